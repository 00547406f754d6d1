// SPDX-License-Identifier: Apache-2.0
// Helpers of the hot spool's tests: a folder on tmpfs, frames that can be told apart, a judge of what is read.
#ifndef HOT_RIG_H
#define HOT_RIG_H

#include "hot.h"

extern char hot_dir[64]; // of the test in hand
extern const struct jp_segment_header hot_template;

// cmocka's setup and teardown: a new folder, and away with it.
int hot_fresh(void **state);
int hot_clean(void **state);

// The path of a segment, in a buffer that the next call overwrites.
const char *hot_file(uint64_t number);

// Writes the payload of frame i (at most 512 bytes, some of them like the heads of frames). Its size.
size_t hot_make(uint8_t *payload, uint32_t i);
// The i of a frame, which must be genuine to its last byte.
uint32_t hot_number_of(const struct jp_frame *frame);

void hot_append(struct jp_hot_writer *writer, uint32_t i);
// A writer's whole life: frames from..to - 1.
void hot_write_some(uint32_t from, uint32_t to);

struct tally {
    int frames, damaged, seals;
    uint32_t last;
    int64_t bad_bytes;
};

// Reads to the end; every frame must be genuine and later than the one before.
struct tally hot_drain(struct jp_hot_reader *reader);
struct tally hot_read_all(void);

#endif
