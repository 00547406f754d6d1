// SPDX-License-Identifier: Apache-2.0
// One packet in, one packet out.
#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_MAX 256
#define GROUPS_MAX 256

static int address(const char *path, struct sockaddr_un *out)
{
    size_t length = strlen(path);

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length >= sizeof out->sun_path)
        return -ENAMETOOLONG;
    memcpy(out->sun_path, path, length + 1);
    return 0;
}

static int socket_path(const char *dir, char *out, size_t size)
{
    int n = snprintf(out, size, "%s/control", dir);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

// Serving ----------------------------------------------------------------------------------------
// The name is bound without access and opened up afterwards: nobody connects in between.
static int listen_at(const char *path)
{
    struct sockaddr_un at;
    int rc = address(path, &at);
    int fd;
    mode_t mask;

    if (rc)
        return rc;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    unlink(path);
    mask = umask(0777);
    rc = bind(fd, (const struct sockaddr *)&at, sizeof at);
    umask(mask);
    if (rc || chmod(path, 0660) || listen(fd, JP_CONTROL_CLIENTS)) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int jp_control_open(struct jp_control *control, const char *dir)
{
    int rc = socket_path(dir, control->path, sizeof control->path);
    struct stat st;

    for (int i = 0; i < 1 + JP_CONTROL_CLIENTS; i++)
        control->fds[i] = -1;
    control->turn = 0;
    if (rc == 0)
        rc = listen_at(control->path);
    if (rc < 0)
        return rc;
    control->fds[0] = rc;
    control->inode = lstat(control->path, &st) ? 0 : st.st_ino;
    return 0;
}

unsigned jp_control_poll(const struct jp_control *control, struct pollfd *fds)
{
    unsigned count = 1 + JP_CONTROL_CLIENTS;

    while (count > 0 && control->fds[count - 1] < 0)
        count--; // mostly only the listener is left
    for (unsigned i = 0; i < count; i++)
        fds[i] = (struct pollfd){.fd = control->fds[i], .events = POLLIN};
    return count;
}

static bool in_groups(int fd, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t size = sizeof groups;

    // Kernels before 4.13 do not tell; there the mode of the socket alone has decided who could connect.
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
        return errno == ENOPROTOOPT;
    for (size_t i = 0; i < size / sizeof groups[0]; i++)
        if (groups[i] == group)
            return true;
    return false;
}

static bool may_ask(const struct jp_control *control, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    struct stat st;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || stat(control->path, &st))
        return false;
    return peer.uid == 0 || peer.uid == geteuid() || peer.gid == st.st_gid || in_groups(fd, st.st_gid);
}

static void drop(struct jp_control *control, int slot)
{
    close(control->fds[slot]);
    control->fds[slot] = -1;
}

// A ninth client takes the place of one before it, in turn: idle ones cannot keep others out.
static void take_client(struct jp_control *control)
{
    int fd = accept4(control->fds[0], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int slot = 1;

    if (fd < 0)
        return;
    if (!may_ask(control, fd)) {
        close(fd);
        return;
    }
    while (slot <= JP_CONTROL_CLIENTS && control->fds[slot] >= 0)
        slot++;
    if (slot > JP_CONTROL_CLIENTS) {
        slot = 1 + (int)(control->turn++ % JP_CONTROL_CLIENTS);
        drop(control, slot);
    }
    control->fds[slot] = fd;
}

static void answer(struct jp_control *control, int slot)
{
    static const char too_long[] = "{\"ok\": false, \"error\": \"the request is too long\"}";
    char request[REQUEST_MAX];
    ssize_t n = recv(control->fds[slot], request, sizeof request, MSG_TRUNC | MSG_DONTWAIT);
    const char *text = too_long;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(control, slot);
        return;
    }
    if ((size_t)n < sizeof request) {
        request[n] = '\0';
        control->answer(control->context, request, control->reply, sizeof control->reply);
        text = control->reply;
    }
    if (send(control->fds[slot], text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        drop(control, slot); // it does not read what it asked for
}

void jp_control_serve(struct jp_control *control, const struct pollfd *fds, unsigned count)
{
    if (count > 0 && fds[0].revents)
        take_client(control);
    for (unsigned i = 0; count > 1 && i < count - 1; i++) {
        unsigned slot = 1 + (control->turn + i) % (count - 1);

        if (fds[slot].revents && fds[slot].fd >= 0 && fds[slot].fd == control->fds[slot]) {
            control->turn = slot; // the next one first, the next time
            answer(control, (int)slot);
            return;
        }
    }
}

void jp_control_close(struct jp_control *control)
{
    struct stat st;

    // The name may be another meter's by now.
    if (control->fds[0] >= 0 && lstat(control->path, &st) == 0 && st.st_ino == control->inode)
        unlink(control->path);
    for (int i = 0; i < 1 + JP_CONTROL_CLIENTS; i++)
        if (control->fds[i] >= 0)
            drop(control, i);
}

// Asking -----------------------------------------------------------------------------------------
int jp_control_request(int fd, const char *request, char *reply, size_t size)
{
    ssize_t n;

    if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    do
        n = recv(fd, reply, size - 1, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    if (n == 0)
        return -ECONNRESET;
    reply[n] = '\0';
    return (int)n;
}

int jp_control_connect(const char *dir, int timeout_ms)
{
    struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    char path[JP_PATH_MAX];
    struct sockaddr_un at;
    int rc = socket_path(dir, path, sizeof path);
    int fd;

    if (rc == 0)
        rc = address(path, &at);
    if (rc)
        return rc;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) ||
        connect(fd, (const struct sockaddr *)&at, sizeof at)) {
        rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int jp_control_ask(const char *dir, const char *request, char *reply, size_t size, int timeout_ms)
{
    int fd = jp_control_connect(dir, timeout_ms);
    int rc;

    if (fd < 0)
        return fd;
    rc = jp_control_request(fd, request, reply, size);
    close(fd);
    return rc;
}
