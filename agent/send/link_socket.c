// SPDX-License-Identifier: Apache-2.0
// Finds and tunes the TCP socket that Paho keeps to itself.
#define _GNU_SOURCE
#include "link_internal.h"

#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

static bool connected_tcp(int fd)
{
    struct sockaddr_storage peer;
    struct stat st;
    int value;
    socklen_t size = sizeof value;

    if (fstat(fd, &st) || !S_ISSOCK(st.st_mode))
        return false;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) || (value != AF_INET && value != AF_INET6))
        return false;
    size = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) || value != SOCK_STREAM)
        return false;
    size = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

void jp_link_sockets_mark(struct jp_link_sockets *before)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    before->count = dir ? 0 : -1;
    while (dir && (entry = readdir(dir))) {
        int fd;

        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        fd = (int)strtol(entry->d_name, NULL, 10);
        if (!connected_tcp(fd))
            continue;
        if (before->count == (int)(sizeof before->fds / sizeof *before->fds)) {
            before->count = -1;
            break;
        }
        before->fds[before->count++] = fd;
    }
    if (dir)
        closedir(dir);
}

static bool holds(const struct jp_link_sockets *set, int fd)
{
    for (int i = 0; i < set->count; i++)
        if (set->fds[i] == fd)
            return true;
    return false;
}

int jp_link_sockets_find(const struct jp_link_sockets *before)
{
    struct jp_link_sockets now;
    int found = -1;

    if (before->count < 0)
        return -1;
    jp_link_sockets_mark(&now);
    for (int i = 0; i < now.count; i++) {
        if (holds(before, now.fds[i]))
            continue;
        if (found >= 0)
            return -1;
        found = now.fds[i];
    }
    return found;
}

void jp_link_socket_tune(int fd, int timeout_s)
{
    unsigned timeout_ms = (unsigned)timeout_s * 1000;
    int on = 1;

    // A kernel that refuses one of these serves all the same, slower.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}
