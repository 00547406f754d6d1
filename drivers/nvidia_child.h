// SPDX-License-Identifier: Apache-2.0
// nvidia-smi as a child process: started, heard and ended, without ever waiting for it on the sampling path.
#ifndef JP_NVIDIA_CHILD_H
#define JP_NVIDIA_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define JP_NVIDIA_PERIOD_MS 200 // between two rounds of rows

struct jp_nvidia_child {
    pid_t pid;     // 0: none
    int fd;        // what it prints, does not block; -1: closed, it was told to end
    uid_t uid;     // it was started by
    size_t buffer; // bytes that it may be ahead
};

// Runs the program until it is ended: no terminal, no descriptors of ours, a plain environment. It dies with this
// process. No allocation. 0, or -errno; a program that cannot be run shows as one that ends at once.
int jp_nvidia_child_start(struct jp_nvidia_child *child, const char *program);

// Closes what it prints to, and sends the signal, which fails for a child of another user: that one ends at its next
// line.
void jp_nvidia_child_end(struct jp_nvidia_child *child, int signal_number);

// Whether it has ended, and nothing of it is left: pid is 0 then. Does not wait.
bool jp_nvidia_child_gone(struct jp_nvidia_child *child);

// Ends it and waits for that, less than a second.
void jp_nvidia_child_stop(struct jp_nvidia_child *child);

#endif
