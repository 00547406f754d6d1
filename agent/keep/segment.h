// SPDX-License-Identifier: Apache-2.0
// Segments: a CBOR Sequence in a file. Header map, then frames, then (perhaps) zero bytes. docs/format.md.
//
// Payloads are opaque here. Nothing in this folder knows what a joule is.
#ifndef JP_SEGMENT_H
#define JP_SEGMENT_H

#include "fs.h"
#include "limits.h"

#include <stdbool.h>
#include <stdint.h>

#define JP_FORMAT_VERSION 1

enum jp_frame_type {
    JP_FRAME_RUN = 1,
    JP_FRAME_WINDOW = 2, // hot spool only
    JP_FRAME_BLOCK = 3,
    JP_FRAME_ANCHOR = 4,
    JP_FRAME_GAP = 5,
    JP_FRAME_EVENT = 6,
    JP_FRAME_SEAL = 7, // the last frame of a finished segment
};

struct jp_segment_header {
    uint64_t version;
    uint8_t spool_id[16];
    uint64_t number;
    char device[JP_DEVICE_MAX];
    char boot[37];
    int64_t boot_ms, real_ms; // BOOTTIME and REALTIME at opening
    char clock[12];           // "synced", "unsynced"
    char tool[24];            // version of the writer
};

// A place in a spool: frames of lower segments, then lower offsets, come first.
struct jp_pos {
    uint64_t segment;
    int64_t offset;
};

int jp_pos_compare(struct jp_pos a, struct jp_pos b); // < 0, 0, > 0

struct jp_frame {
    struct jp_pos at, next; // its first byte, and the byte after it
    uint32_t number;        // fno, 0 for the first of a segment
    uint8_t type;
    const uint8_t *payload; // into the reader's buffer, until its next call
    size_t size;
};

#endif
