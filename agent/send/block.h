// SPDX-License-Identifier: Apache-2.0
// Blocks: up to block_windows windows of one run as one CBOR array, immutable once encoded (docs/format.md).
//
//   [run, seq, n, t0_ms, dt_ms, [names], [indices of the total] or null, [[run_mj, column], ...], {options}]
//
// A column is [v0, d1, ... dn-1]: the first known value absolute, then differences to the last known one,
// null for an unknown value. Options: `span` {window index: span_ms} for windows whose length is not
// dt_ms; `cov` {channel index: [[window index, covered_ms, cause text or null], ...]} for windows not
// fully covered; `mv`, `ma`, `peak_mw` {channel index: column}. Windows follow each other without a hole:
// window i + 1 begins where window i ends.
#ifndef JP_BLOCK_H
#define JP_BLOCK_H

#include "cbor.h"
#include "run.h"
#include "window.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum jp_block_column { JP_BLOCK_MV = 1, JP_BLOCK_MA = 2, JP_BLOCK_PEAK = 4 };

// Packing ----------------------------------------------------------------------------------------
struct jp_block_cell; // one channel of one window

struct jp_block {
    const struct jp_run *run; // borrowed from jp_block_begin()
    unsigned columns;         // enum jp_block_column bits
    int capacity;             // windows a block can hold, a multiple of it is never crossed
    int count;                // windows held
    uint64_t seq;             // of the first
    int64_t t0_ms, end_ms;    // BOOTTIME of the first's start, of the last's end
    size_t bytes;             // no encoding of what is held is longer
    int64_t *spans;
    struct jp_block_cell *cells; // capacity rows of channel_count
    int64_t (*last)[4];          // per channel: last known mj, mv, ma, peak, for the size of the next item
    int64_t *run_mj;
};

// Gets ready for windows of `run` (borrowed until the next begin or end). Allocates. 0; -EINVAL for a run
// whose block_windows is out of range; -ENOMEM.
int jp_block_begin(struct jp_block *block, const struct jp_run *run, unsigned columns);
void jp_block_end(struct jp_block *block);

// Adds the window. 0; -EXDEV when it belongs to another block (not the next seq, another multiple of
// block_windows, a hole in time before it, no room in JP_BLOCK_BYTES_MAX): encode, clear and add it again;
// -EBADMSG when it is not of this run. A window is always taken by an empty block.
int jp_block_add(struct jp_block *block, const struct jp_window *window);
// True when no further window can belong to it.
bool jp_block_full(const struct jp_block *block);
void jp_block_clear(struct jp_block *block);

// Writes the block. Its size; -EMSGSIZE; -ENODATA when empty. No allocation, same input same bytes.
int jp_block_encode(const struct jp_block *block, void *buffer, size_t size);

// Unpacking --------------------------------------------------------------------------------------
struct jp_block_column_reader {
    struct jp_cbor_in in; // at the next item
    bool there;
    int64_t last;
};

struct jp_block_reader {
    uint64_t run, seq;
    int count, channel_count;
    int64_t t0_ms, dt_ms;
    char names[JP_CHANNELS_MAX][JP_NAME_MAX];
    bool total_known;
    bool in_total[JP_CHANNELS_MAX];
    int64_t run_mj[JP_CHANNELS_MAX]; // at the end of the window last read; before the first: at the block's start
    unsigned columns;
    int next; // index of the next window
    int64_t next_ms;
    struct jp_block_column_reader values[JP_CHANNELS_MAX][4]; // mj, mv, ma, peak
    struct {
        struct jp_cbor_in in;
        size_t left;
        int64_t at, covered_ms; // the entry in hand; at -1: none
        enum jp_cause cause;
    } cover[JP_CHANNELS_MAX];
    struct {
        struct jp_cbor_in in;
        size_t left;
        int64_t at, span_ms;
    } span;
};

struct jp_block_head {
    uint64_t run, seq;
    int count;
    int64_t t0_ms;
};

// What a block says first, without a look at the rest. 0, or -EBADMSG.
int jp_block_peek(struct jp_block_head *head, const void *bytes, size_t size);

// Opens an encoded block; `bytes` are borrowed. 0, or -EBADMSG. Unknown options are passed over.
int jp_block_read(struct jp_block_reader *reader, const void *bytes, size_t size);
// The next window: run, seq, t0_ms, span_ms and of each channel all but raw_uj. 1, 0 after the last, -EBADMSG.
int jp_block_next(struct jp_block_reader *reader, struct jp_window *window);

#endif
