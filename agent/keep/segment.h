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

// The header as it stands at the file's first byte, self-described tag included. Encoding: the size, or
// -EMSGSIZE (JP_HEADER_MAX always suffices). Decoding: the size; -EBADMSG when cut or damaged;
// -EPROTONOSUPPORT for another version. Keys it does not know are passed over.
int jp_segment_header_encode(const struct jp_segment_header *header, void *buffer, size_t size);
int jp_segment_header_decode(struct jp_segment_header *header, const void *bytes, size_t size);

// A segment a second for 31,000 years. A file with a higher number in its name is none of ours.
#define JP_SEGMENT_NUMBER_MAX 999999999999ULL

// Names: eight digits (more only when the number needs them) and ".jps". 0, -ERANGE for a number that no reader
// takes, or -ENAMETOOLONG; false for every other name in the directory.
int jp_segment_path(char path[JP_PATH_MAX], const char *dir, uint64_t number);
bool jp_segment_number(const char *name, uint64_t *number);
// Bytes of a segment's file; 0 when there is none, it cannot be opened, or it is larger than any segment.
int64_t jp_segment_size(const struct jp_fs *fs, const char *dir, uint64_t number);

// One listing: the lowest number above `above` and the highest of all, 0 where there is none. 0, or -errno.
int jp_segment_find(const struct jp_fs *fs, const char *dir, uint64_t above, uint64_t *next, uint64_t *highest);

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

// What stands at a place where a frame may begin.
enum jp_frame_found {
    JP_FOUND_WHOLE, // a frame with a good CRC
    JP_FOUND_SHORT, // may become a frame with more bytes
    JP_FOUND_BAD,   // never a frame
};

// Writes the JP_FRAME_HEAD bytes that stand before a payload of at most JP_PAYLOAD_MAX bytes.
void jp_frame_head(uint8_t head[JP_FRAME_HEAD], uint32_t number, uint8_t type, const void *payload, size_t size);
// Looks at the front of `bytes`; for WHOLE fills number, type, payload (points into bytes) and size.
enum jp_frame_found jp_frame_parse(struct jp_frame *frame, const uint8_t *bytes, size_t size);

#endif
