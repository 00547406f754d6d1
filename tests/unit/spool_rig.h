// SPDX-License-Identifier: Apache-2.0
// An owner of a durable spool for tests: frames that can be told apart, GAPs that say which went, a judge.
#ifndef SPOOL_RIG_H
#define SPOOL_RIG_H

#include "spool.h"

#include <stdbool.h>
#include <stdint.h>

#define RIG_FRAMES 20000
#define RIG_BIG 3000 // bytes of a frame that fills segments fast

struct rig {
    struct jp_spool spool;
    const struct jp_fs *fs;
    const char *dir;
    int64_t max_bytes, segment_bytes;
    int keep_days;
    bool keep_all;
    struct jp_spool_now now;
    uint32_t next;            // number of the next frame to append
    uint32_t durable;         // frames below were reported durable
    size_t size;              // of a frame
    bool repeats;             // frames were appended anew: a copy may have survived
    uint8_t fate[RIG_FRAMES]; // what the judge knows of frame i: enum rig_fate bits
    uint32_t gone[512];       // being weighed
    int gone_count;
    uint32_t gaps, dropped_old; // GAP frames read; weighed for JP_SPOOL_OLD
};

enum rig_fate {
    RIG_APPENDED = 1,
    RIG_READ = 2,     // since the last rig_forget_read()
    RIG_RELEASED = 4, // delivered
    RIG_GAP = 8,      // a GAP that was read names it
};

void rig_init(struct rig *rig, const struct jp_fs *fs, const char *dir);
int rig_open(struct rig *rig);
void rig_close(struct rig *rig);
// As a process that is killed: memory is freed, nothing is written.
void rig_kill(struct rig *rig);
// Appends `count` frames, each with a commit. 0, or the first error (the frame stays held; `next` is behind it).
int rig_append(struct rig *rig, uint32_t count);
// Takes it that what is held is lost and appends it anew, as from the hot spool.
void rig_again(struct rig *rig);
// Reads up to `count` frames that want a release and releases them when asked. The number read. Every frame must be
// genuine and, within one call, later than the one before.
uint32_t rig_read(struct rig *rig, uint32_t count, bool release);
void rig_forget_read(struct rig *rig);
// Every frame reported durable was delivered, can be read, or is named by a GAP.
void rig_judge(struct rig *rig);

#endif
