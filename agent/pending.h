// SPDX-License-Identifier: Apache-2.0
// What must outlive meter and stands in no hot segment: gaps that wait for room, and where the counters stood.
//
// Both live in the file `gap` of paths.hot. Its room is taken when it is opened, so that a file system that is full
// later cannot keep a gap from it.
#ifndef JP_PENDING_H
#define JP_PENDING_H

#include "clock.h"
#include "run.h"
#include "slots.h"
#include "window.h"

#define JP_PENDING_GAPS_MAX 4 // runs while the spool stays full; of more, the oldest two become one
// Gaps of at most 3,100 bytes each, a window of at most 4,576, its names of at most 2,200, heads.
#define JP_PENDING_MAX 20480

// Where the counters of a run before stood, same boot.
struct jp_bridge {
    bool known;
    struct jp_run run; // its id and its channels' names at least
    struct jp_window window;
};

struct jp_pending {
    // Set before jp_pending_open; borrowed.
    const struct jp_clock *clock;
    const struct jp_fs *fs;
    const struct jp_run *run; // the one going on
    // State.
    struct jp_slots slots;
    struct jp_gap gaps[JP_PENDING_GAPS_MAX]; // oldest first, one a run
    int gap_count;
    bool stale; // the file tells of gaps that were appended, or could not be written
    uint8_t bytes[JP_PENDING_MAX];
};

// Opens or makes `dir`/gap and takes what it has: gaps of any boot (their times turned into this boot's), and the
// bridge if it is of this boot. Allocates here only. 0, or -errno.
int jp_pending_open(struct jp_pending *pending, const char *dir, struct jp_bridge *bridge);

// Adds a window of the run to its gap, in the file too.
void jp_pending_fold(struct jp_pending *pending, const struct jp_window *window, const char *reason);

// The first gap was appended to the spool. The file still tells of it: a start that finds it in both places asks
// jp_pending_forget.
void jp_pending_drop(struct jp_pending *pending);

// This gap stands in the spool: if it is the first that waits, it waits no more.
void jp_pending_forget(struct jp_pending *pending, const struct jp_gap *written);

// Writes the file: the gaps that wait, and where a run's counters stand (window NULL: nowhere). After an error
// `stale` is set.
void jp_pending_save(struct jp_pending *pending, const struct jp_run *run, const struct jp_window *window);

void jp_pending_close(struct jp_pending *pending);

#endif
