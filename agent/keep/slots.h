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
    int newest;      // the slot that holds it, -1 none
    int kept;        // the slot of the last durable record, never overwritten before another is durable; -1 none
    uint8_t *buffer; // slot_size
};

// Opens or makes the file (0640) and copies the newest whole record into buffer; *size gets its length,
// 0 when there is none yet or both slots are damaged (then *damaged is set, may be NULL).
// slot_size: bytes of one slot, the record's largest size plus 24, the same at every opening. Syncs the file
// once, so that what it answers with is what a power cut leaves. Allocates once. 0, or -errno.
int jp_slots_open(struct jp_slots *slots, const struct jp_fs *fs, const char *path, size_t slot_size, void *buffer,
                  size_t *size, bool *damaged);

// Writes the record into the older slot; with `durable` syncs it before returning. In a file that holds a
// durable record the others never overwrite it: they go to the other slot, in place. 0, or -errno; after
// an error the last good record stands.
int jp_slots_put(struct jp_slots *slots, const void *record, size_t size, bool durable);

// Only reads: copies the newest whole record of a file of either slot size into buffer. Its size; 0 when there
// is none; -EMSGSIZE when it is larger; -ENOENT, other -errno.
int jp_slots_peek(const struct jp_fs *fs, const char *path, void *buffer, size_t size);

void jp_slots_close(struct jp_slots *slots);

#endif
