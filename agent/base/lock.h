// SPDX-License-Identifier: Apache-2.0
// A lock that one process holds and the kernel lets go of when that process dies, however it dies.
#ifndef JP_LOCK_H
#define JP_LOCK_H

#include "limits.h"

struct jp_lock {
    int fd; // -1: not held
    char path[JP_PATH_MAX];
};

// Takes the lock `name` of the folder `dir`, an empty file that is made if missing and never removed. Does not
// wait. 0; -EAGAIN: another process holds it; other -errno. fd is -1 unless 0.
int jp_lock_try(struct jp_lock *lock, const char *dir, const char *name);

// Lets go of it; nothing happens when it is not held.
void jp_lock_drop(struct jp_lock *lock);

#endif
