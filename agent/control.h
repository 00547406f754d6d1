// SPDX-License-Identifier: Apache-2.0
// The control socket: how top, task and other programs speak to a running meter.
//
// A SOCK_SEQPACKET socket `control` in paths.hot, mode 0660. One request a packet, plain text:
//   "task start NAME"   "task stop NAME"   "live"   "meta"   "health"
// One reply a packet: a JSON object, {"ok": true, ...} or {"ok": false, "error": "..."} (docs/operating.md). Requests
// come from root, the service's own user, or a member of the group that owns the socket (SO_PEERCRED). Served inside
// meter's loop, at most one request a wake-up, never waiting: it cannot delay a tick.
#ifndef JP_CONTROL_H
#define JP_CONTROL_H

#include "limits.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define JP_CONTROL_CLIENTS 8
// Worst `meta`: 64 channels x (2 names of 32 + roles 112 + the rest 150) + 64 names of the total x 36 + 48 gauges
// x 70 + 8 texts of 128, escaped, = 28,600. Worst `live`: 65 values twice, 48 gauges, 64 causes: 14,000.
#define JP_CONTROL_REPLY_MAX 32768

struct jp_control {
    int fds[1 + JP_CONTROL_CLIENTS]; // listener, then clients; -1 free
    unsigned turn;                   // whose request comes first
    char path[JP_PATH_MAX];
    ino_t inode; // of the socket at path, as made
    char reply[JP_CONTROL_REPLY_MAX];
    // Answers one request: writes a NUL-terminated JSON object into reply.
    void (*answer)(void *context, const char *request, char *reply, size_t size);
    void *context;
};

// Makes the socket in `dir`; one that is there is taken for stale and replaced, so the caller holds the lock of
// its half. 0, or -errno.
int jp_control_open(struct jp_control *control, const char *dir);
// Fills `fds` (room for 1 + JP_CONTROL_CLIENTS) for the next wait; returns how many.
unsigned jp_control_poll(const struct jp_control *control, struct pollfd *fds);
// Serves what the wait found ready: at most one request.
void jp_control_serve(struct jp_control *control, const struct pollfd *fds, unsigned count);
// Closes it, and removes the name if it is still that of this socket.
void jp_control_close(struct jp_control *control);

// The caller's side: connects to the socket in `dir`. What is asked over it waits up to timeout_ms. A descriptor to
// close, or -errno (-ENOENT, -ECONNREFUSED: no meter runs; -EACCES; -ETIMEDOUT).
int jp_control_connect(const char *dir, int timeout_ms);
// One request on such a connection, and its reply. The reply's length, or -errno (-ETIMEDOUT; -EPIPE, -ECONNRESET: the
// meter has gone, or wants no requests from this user); after an error only to be closed.
int jp_control_request(int fd, const char *request, char *reply, size_t size);
// Both, and closes.
int jp_control_ask(const char *dir, const char *request, char *reply, size_t size, int timeout_ms);

#endif
