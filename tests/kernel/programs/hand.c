// SPDX-License-Identifier: Apache-2.0
// The host's hand in a guest: reads commands from a virtio port, runs each with sh, answers with its status and output.
//
// A command is a line with its length in bytes and then its text; the answer is "STATUS LENGTH\n" and the output.
// It serves as process 1 (it reaps what is left over) and as a service.
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUT "/run/hand.out"

static int port(void)
{
    for (;; usleep(20000)) {
        glob_t found;
        int fd = -1;

        if (glob("/dev/vport*p1", 0, NULL, &found) == 0) {
            fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
            globfree(&found);
        }
        if (fd >= 0)
            return fd;
    }
}

static void all(int fd, char *data, size_t size, int out)
{
    while (size > 0) {
        ssize_t part = out ? write(fd, data, size) : read(fd, data, size);

        if (part <= 0) { // the host is away
            usleep(20000);
            continue;
        }
        data += part;
        size -= (size_t)part;
    }
}

static size_t length(int fd)
{
    char line[24] = "";

    for (size_t i = 0; i + 1 < sizeof line; i++) {
        all(fd, line + i, 1, 0);
        if (line[i] == '\n')
            break;
    }
    return strtoul(line, NULL, 10);
}

static int run(const char *command)
{
    int status;
    pid_t pid = fork(), ended;

    if (pid == 0) {
        int in = open("/dev/null", O_RDONLY), out = open(OUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        setsid();
        dup2(in, 0);
        dup2(out, 1);
        dup2(out, 2);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    do
        ended = waitpid(-1, &status, 0);
    while (ended != pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void answer(int fd, int status)
{
    static char data[1 << 16];
    char head[48];
    int from = open(OUT, O_RDONLY | O_CLOEXEC);
    off_t size = lseek(from, 0, SEEK_END);
    ssize_t part;

    lseek(from, 0, SEEK_SET);
    all(fd, head, (size_t)snprintf(head, sizeof head, "%d %ld\n", status, (long)size), 1);
    while (size > 0 && (part = read(from, data, sizeof data)) > 0) {
        part = part < size ? part : (ssize_t)size;
        all(fd, data, (size_t)part, 1);
        size -= part;
    }
    close(from);
}

int main(void)
{
    static char command[1 << 20];
    int fd = port();
    char ready[] = "ready\n";

    all(fd, ready, sizeof ready - 1, 1);
    for (;;) {
        size_t size = length(fd);

        if (size == 0 || size >= sizeof command)
            continue;
        all(fd, command, size, 0);
        command[size] = '\0';
        answer(fd, run(command));
    }
}
