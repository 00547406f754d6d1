// SPDX-License-Identifier: Apache-2.0
// The file door's twin: a disk in memory with a volatile cache, that counts, fails and loses power on command.
//
// Every file has what programs see and what is durable; sync makes a file's content durable, sync_dir the
// names of a folder. Folders are only prefixes of paths. One thread.
#ifndef FAULTY_FS_H
#define FAULTY_FS_H

#include "fs.h"
#include "limits.h"

#include <stdbool.h>
#include <stdint.h>

#define FAULTY_FILES 512
#define FAULTY_OPEN 32

enum faulty_call {
    FAULTY_ANY, // in `fail.call`: whichever comes
    FAULTY_OPENS,
    FAULTY_PREAD,
    FAULTY_PWRITE,
    FAULTY_SYNC,
    FAULTY_SYNC_DIR,
    FAULTY_SIZE,
    FAULTY_TRUNCATE,
    FAULTY_UNLINK,
    FAULTY_RENAME,
    FAULTY_MKDIR,
    FAULTY_LIST,
    FAULTY_LOCK,
    FAULTY_APPENDS,
    FAULTY_CALLS
};

// What a power cut leaves of sectors and names that were not synced.
enum faulty_loss {
    FAULTY_KEEP, // all of them
    FAULTY_DROP, // none
    FAULTY_TEAR, // of each sector the old, the new, a mixture or garbage; of each name the old or the new
};

struct faulty_file {
    uint8_t *seen, *durable;
    int64_t seen_size, durable_size;
};

struct faulty_name {
    char path[JP_PATH_MAX];
    int seen, durable; // index of a file, -1 none
};

struct faulty_fs {
    struct jp_fs fs; // first: hand &faulty.fs to the code under test
    struct faulty_file files[FAULTY_FILES];
    struct faulty_name names[FAULTY_FILES];
    int file_count, name_count;
    int open[FAULTY_OPEN]; // file index + 1, 0 free
    int64_t sector;
    long calls[FAULTY_CALLS]; // made so far; [FAULTY_ANY] counts all
    struct {
        enum faulty_call call;
        long at;      // the n-th such call from faulty_fail() on, 1 the next; 0 never
        bool forever; // and all after it
        int error;    // -errno; 0: a short write of half the bytes
    } fail;
    int64_t power_bytes; // bytes that can still be written before the power goes, -1 no cut planned
    long power_calls;    // calls that still work before it goes, -1 no cut planned
    bool off;            // the power is gone: every call answers -EIO
    uint64_t random;
    bool powersafe;          // garbage only from the first to the last byte that was to change, as disks promise
    bool locked;             // somebody else holds every lock
    bool full;               // -ENOSPC for new files and growth; what is there can be written to
    bool full_until_unlink;  // the next unlink frees a lot
    int appends;             // what the file system is
    int64_t written, synced; // bytes handed to pwrite; bytes of the sectors that were dirty at a sync
};

void faulty_init(struct faulty_fs *faulty, int64_t sector);
void faulty_free(struct faulty_fs *faulty);
void faulty_fail(struct faulty_fs *faulty, enum faulty_call call, long at, int error, bool forever);
// The power comes back: what is seen becomes what survived, every descriptor is gone, no fault is planned.
void faulty_power_up(struct faulty_fs *faulty, enum faulty_loss loss, uint64_t seed);
// Bytes of a file as programs see them, NULL when there is none; for tests that damage it.
struct faulty_file *faulty_file(struct faulty_fs *faulty, const char *path);

#endif
