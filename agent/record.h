// SPDX-License-Identifier: Apache-2.0
// What meter writes down: runs, windows, anchors, events and gaps into the hot spool, in order, losing no joule.
//
// A window that finds no room (or whose write fails) is folded into one pending gap, kept in the file `gap`
// of paths.hot until it can be appended, before the next window. The file also keeps the counters' last place for
// the time in which the newest segment has no window: the bridge to the next run.
#ifndef JP_RECORD_H
#define JP_RECORD_H

#include "clock.h"
#include "entropy.h"
#include "hot.h"
#include "pending.h"

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
    struct jp_pending pending;
    struct jp_anchor anchor;
    bool anchored;
    int sync_in;           // windows until the kernel is asked about REALTIME again
    uint64_t told_segment; // the segment that has the RUN frame
    bool gone;             // the folder was emptied or removed: the record has to be opened anew
    int failing;           // errno of what stands in the way now, 0 nothing
    char wake_path[JP_PATH_MAX];
    uint8_t payload[JP_PAYLOAD_MAX];
};

// Opens the hot spool and writes RUN and ANCHOR; a gap left pending by a run before is appended first.
// Fills `bridge` with the later of what the hot spool and the file know. Allocates here only. 0, or -errno when dir
// cannot be used; no room is not an error.
int jp_record_open(struct jp_record *record, const struct jp_entropy *entropy, struct jp_bridge *bridge);

// Appends a closed window, or folds it. What stands in the way, as -errno, else 0.
int jp_record_window(struct jp_record *record, const struct jp_window *window);

// Appends an event of this moment and wakes post; channel "" for none. 0, or -errno: not written.
int jp_record_event(struct jp_record *record, const char *kind, const char *channel, const char *detail);
// The same of an earlier moment, event->boot_ms, without the waking: several may come at once. Fills its run.
int jp_record_event_at(struct jp_record *record, struct jp_event *event);
void jp_record_wake(const struct jp_record *record);

// Says RUN once more, as its facts have changed. 0, or -errno: not written.
int jp_record_run(struct jp_record *record);

// Once a window: has the kernel's word on REALTIME, or its distance to BOOTTIME, changed? Then an ANCHOR.
void jp_record_clock(struct jp_record *record);

// Seals the spool.
void jp_record_close(struct jp_record *record);

#endif
