// SPDX-License-Identifier: Apache-2.0
// flock(2): it belongs to the open file, so it is gone with the last process that has it open.
#define _GNU_SOURCE
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 8

// Reading suffices for a lock: the file may be another user's.
static int open_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0660);

    if (fd < 0 && errno == EACCES)
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static bool is_at(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

// 0 held, -ESTALE: the file was removed in between, or -errno.
static int try_once(struct jp_lock *lock)
{
    int rc = 0;

    lock->fd = open_file(lock->path);
    if (lock->fd < 0) {
        rc = lock->fd;
        lock->fd = -1;
        return rc;
    }
    if (flock(lock->fd, LOCK_EX | LOCK_NB))
        rc = -errno;
    else if (!is_at(lock->fd, lock->path))
        rc = -ESTALE;
    if (rc)
        jp_lock_drop(lock);
    return rc;
}

int jp_lock_try(struct jp_lock *lock, const char *dir, const char *name)
{
    int n = snprintf(lock->path, sizeof lock->path, "%s/%s", dir, name);
    int rc = -ESTALE;

    lock->fd = -1;
    if (n < 0 || (size_t)n >= sizeof lock->path)
        return -ENAMETOOLONG;
    for (int i = 0; i < TRIES && rc == -ESTALE; i++)
        rc = try_once(lock);
    return rc;
}

void jp_lock_drop(struct jp_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}
