// SPDX-License-Identifier: Apache-2.0
// A small record kept in a file of two slots, written in turn in place: after a crash at any byte one of
// the two is whole. The hot cursor, post's state and meter's pending gap live in such files.
#ifndef JP_SLOTS_H
#define JP_SLOTS_H

#include "fs.h"
#include "limits.h"

#include <stdbool.h>
#include <stdint.h>

struct jp_slots {
    const struct jp_fs *fs;
    int fd;
    uint64_t generation; // of the newest whole slot, 0 none
    size_t slot_size;
};

// Opens or makes the file (0640) and copies the newest whole record into buffer; *size gets its length,
// 0 when there is none yet or both slots are damaged (then *damaged is set, may be NULL).
// slot_size: bytes of one slot, the record's largest size plus 24, the same at every opening. 0, or -errno.
int jp_slots_open(struct jp_slots *slots, const struct jp_fs *fs, const char *path, size_t slot_size, void *buffer,
                  size_t *size, bool *damaged);

// Writes the record into the older slot; with `durable` syncs it before returning. 0, or -errno.
int jp_slots_put(struct jp_slots *slots, const void *record, size_t size, bool durable);

void jp_slots_close(struct jp_slots *slots);

#endif
