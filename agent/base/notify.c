// SPDX-License-Identifier: Apache-2.0
// One sendto(2) a message.
#define _GNU_SOURCE
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int jp_notify_open(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

static int send_to(int fd, const char *path, const void *bytes, size_t size)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = strlen(path);

    if (fd < 0)
        return -EBADF;
    if (length == 0 || length >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    memcpy(to.sun_path, path, length);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0';
    length += offsetof(struct sockaddr_un, sun_path);
    return sendto(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&to, (socklen_t)length) < 0
               ? -errno
               : 0;
}

static const char *wanted(void)
{
    const char *path = getenv("NOTIFY_SOCKET");

    return path && path[0] != '\0' ? path : NULL;
}

bool jp_notify_wanted(void)
{
    return wanted() != NULL;
}

int jp_notify_state(int fd, const char *state)
{
    const char *path = wanted();

    return path ? send_to(fd, path, state, strlen(state)) : 0;
}

int jp_notify_wake(int fd, const char *path)
{
    return send_to(fd, path, "w", 1);
}

void jp_notify_close(int fd)
{
    close(fd);
}
