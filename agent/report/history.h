// SPDX-License-Identifier: Apache-2.0
// What a spool tells, in order, hot or durable alike: windows with their names and wall time, runs, gaps, events,
// anchors, and what is wrong. Reads only; constant memory but for the anchors and eight bytes a segment.
#ifndef JP_HISTORY_H
#define JP_HISTORY_H

#include "anchors.h"
#include "block.h"
#include "payload.h"
#include "walk.h"
#include "window_json.h"

#define JP_HISTORY_NAMES_MAX (4 * JP_CHANNELS_MAX)
// Runs whose RUN is kept from the look beforehand: each segment says it again, so one damaged RUN costs no window.
#define JP_HISTORY_RUNS 16

enum jp_entry_kind {
    JP_ENTRY_END,
    JP_ENTRY_WINDOW,    // window, names, head; brief: run, seq and t0_ms of the first of `windows`, and last_ms
    JP_ENTRY_BLOCK,     // block, read to its end; frame, head; in place of its windows with whole_blocks
    JP_ENTRY_RUN,       // run, run_no, prev; once, however often it is said
    JP_ENTRY_GAP,       // gap, gap_run, head
    JP_ENTRY_EVENT,     // event, head
    JP_ENTRY_ANCHOR,    // anchor
    JP_ENTRY_FLAW,      // walk.flaw
    JP_ENTRY_SENSELESS, // a whole frame that cannot be understood; what
};

struct jp_history_in {
    const struct jp_fs *fs;
    const char *dir;
    struct jp_factor factor;
    double pue;
    bool whole_blocks;
    // A block is one entry, read no further than its head: for those who only count. Names are not looked at either.
    bool brief;
    // Called now and then with segments looked at and all of them; may be NULL.
    void (*progress)(size_t done, size_t all);
};

// Who was before a run, as recorded.
struct jp_prev {
    bool known, clean;
    uint64_t run, last_seq;
};

struct jp_history {
    const struct jp_history_in *in;
    struct jp_walk walk;
    struct jp_anchors anchors;
    char names_seen[JP_HISTORY_NAMES_MAX][JP_NAME_MAX]; // of channels, in order of appearance
    int name_count;
    bool names_left_out; // there are more
    struct jp_run runs[JP_HISTORY_RUNS];
    int run_count;   // ever kept; the newest are there
    int boot;        // of the open segment, -1 unknown
    uint64_t blocks; // seen in the look beforehand
    bool spool_id_known;
    uint8_t spool_id[16];
    bool begun; // the first segment of a look was opened

    struct jp_pos at;            // of the entry's frame, or of the flaw
    struct jp_frame frame;       // the entry's, its payload until the next call
    const char *device;          // of the entry, "" unknown
    struct jp_records_head head; // of the entry's moment
    const struct jp_window_names *names;
    struct jp_window window;
    uint64_t windows; // of this entry: 1, or of the block when in->brief
    int64_t last_ms;  // BOOTTIME of the start of the last of them, as if none were shorter or longer than the others
    const uint8_t *block_bytes; // brief: the block, until the next call; NULL of a WINDOW
    size_t block_size;
    struct jp_run run, run_before, run_read;
    bool run_known;
    bool told; // the run in force was handed out as an entry
    bool run_no_known;
    uint64_t run_no;
    struct jp_prev prev;
    struct jp_gap gap;
    const struct jp_run *gap_run; // for a gap without names; without channels when nobody knows them
    struct jp_event event;
    struct jp_anchor anchor;
    const char *what;

    struct jp_window_names run_names, block_names;
    struct jp_block_reader block;
    bool in_block;
};

// Looks through the spool once for anchors and names, and goes to its beginning. Large: allocate it. `in` is
// borrowed. 0, or -errno of the folder, -ENOMEM.
int jp_history_open(struct jp_history *history, const struct jp_history_in *in);
// The next entry, until JP_ENTRY_END.
enum jp_entry_kind jp_history_next(struct jp_history *history);
// Back to the beginning. 0, or -errno.
int jp_history_rewind(struct jp_history *history);
void jp_history_close(struct jp_history *history);

#endif
