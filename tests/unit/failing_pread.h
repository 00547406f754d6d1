// SPDX-License-Identifier: Apache-2.0
// A pread in front of libc's that fails on command: a plain file system never answers ENODATA, EAGAIN or EIO, the
// kernel's drivers do. For one test program only.
#ifndef FAILING_PREAD_H
#define FAILING_PREAD_H

#include "driver_rig.h"

#include <errno.h>
#include <limits.h>

static const char *failing; // end of the path whose reads fail
static int failure;
static int transfers;

ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    char name[64], path[PATH_MAX];
    ssize_t length;

    transfers++;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    length = readlink(name, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    if (failing && strlen(path) > strlen(failing) && strcmp(path + strlen(path) - strlen(failing), failing) == 0) {
        errno = failure;
        return -1;
    }
    if (lseek(fd, offset, SEEK_SET) < 0)
        return -1;
    return read(fd, buffer, size);
}

static int mend(void **state)
{
    failing = NULL;
    return drop_tree(state);
}

#endif
