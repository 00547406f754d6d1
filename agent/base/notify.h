// SPDX-License-Identifier: Apache-2.0
// Datagrams to neighbours that may not be there: the service manager's state, and wake-up bytes.
#ifndef JP_NOTIFY_H
#define JP_NOTIFY_H

#include <stdbool.h>

// Opens an unbound datagram socket, close-on-exec and non-blocking. The descriptor, or -errno.
int jp_notify_open(void);

// Sends `state` ("READY=1", "WATCHDOG=1", "STOPPING=1") to $NOTIFY_SOCKET, a path or "@name", as
// sd_notify(3) does. Without the variable nothing happens. Never waits. 0, or -errno.
int jp_notify_state(int fd, const char *state);

// True when a service manager listens: only then is anything worth sending.
bool jp_notify_wanted(void);

// Sends one byte to the datagram socket at `path`. Never waits. 0, or -errno.
int jp_notify_wake(int fd, const char *path);

void jp_notify_close(int fd);

#endif
