// SPDX-License-Identifier: Apache-2.0
// What meter writes down: runs, windows, anchors, events and gaps into the hot spool, in order, losing no joule.
//
// A window that finds no room (or whose write fails) is folded into one pending gap, kept in the file `gap`
// of paths.hot until it can be appended, before the next window.
#ifndef JP_RECORD_H
#define JP_RECORD_H

#include "clock.h"
#include "entropy.h"
#include "hot.h"
#include "run.h"
#include "slots.h"
#include "window.h"

#define JP_PENDING_GAPS_MAX 4 // restarts while the spool stays full; more push the oldest out
// The boot, gaps of at most 700 bytes each, a window of at most 4,576, its names of at most 2,200.
#define JP_PENDING_MAX 12288

struct jp_record {
    // Set before jp_record_open; borrowed.
    const struct jp_clock *clock;
    const struct jp_fs *fs;
    const struct jp_run *run;
    const char *dir;
    int64_t max_bytes;
    int notify_fd; // for the wake-ups
    // State.
    struct jp_hot_writer hot;
    struct jp_slots slots;                   // the file `gap`
    struct jp_gap gaps[JP_PENDING_GAPS_MAX]; // pending, oldest first, one a run
    int gap_count;
    struct jp_anchor anchor;
    bool anchored;
    int sync_in;           // windows until the kernel is asked about REALTIME again
    uint64_t told_segment; // the segment that has the RUN frame
    int failing;           // errno of what stands in the way now, 0 nothing
    char wake_path[JP_PATH_MAX];
    uint8_t payload[JP_PAYLOAD_MAX];
};

// Where the counters of the run before stood, same boot: from the hot spool or the pending gap.
struct jp_bridge {
    bool known;
    struct jp_run run; // its channels' names at least
    struct jp_window window;
};

// Opens the hot spool and writes RUN and ANCHOR; a gap left pending by a run before is appended first.
// Fills `bridge`. Allocates here only. 0, or -errno when dir cannot be used; no room is not an error.
int jp_record_open(struct jp_record *record, const struct jp_entropy *entropy, struct jp_bridge *bridge);

// Appends a closed window, or folds it. What stands in the way, as -errno, else 0.
int jp_record_window(struct jp_record *record, const struct jp_window *window);

// Appends an event of this moment and wakes post. 0, or -errno: not written.
int jp_record_event(struct jp_record *record, const char *kind, const char *detail);

// Once a window: has the kernel's word on REALTIME, or its distance to BOOTTIME, changed? Then an ANCHOR.
void jp_record_clock(struct jp_record *record);

// Seals the spool.
void jp_record_close(struct jp_record *record);

#endif
