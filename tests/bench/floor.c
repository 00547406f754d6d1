// SPDX-License-Identifier: Apache-2.0
// The floor: what reading these files and keeping a record cannot cost less than.
//
//   floor PERIOD_MS RECORD FILE...
// Opens the files once; each period, on an absolute schedule, reads and parses all of them and appends one
// record. No sync, no network, no text, no second process.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 64

static int64_t parse(const char *text, ssize_t size)
{
    int64_t value = 0;
    int negative = size > 0 && text[0] == '-';

    for (ssize_t i = negative; i < size && text[i] >= '0' && text[i] <= '9'; i++)
        value = value * 10 + (text[i] - '0');
    return negative ? -value : value;
}

static int cycle(const int *fds, int count, int record)
{
    int64_t values[FILES_MAX];
    char text[32];

    for (int i = 0; i < count; i++)
        values[i] = parse(text, pread(fds[i], text, sizeof text, 0));
    return write(record, values, (size_t)count * 8 > 40 ? 40 : (size_t)count * 8) > 0;
}

int main(int argc, char **argv)
{
    int fds[FILES_MAX], record;
    long period_ns;
    struct timespec next;

    if (argc < 4 || argc - 3 > FILES_MAX)
        return 64;
    period_ns = strtol(argv[1], NULL, 10) * 1000000L;
    record = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    for (int i = 3; i < argc; i++) {
        fds[i - 3] = open(argv[i], O_RDONLY | O_CLOEXEC);
        if (fds[i - 3] < 0)
            return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &next);
    while (record >= 0 && cycle(fds, argc - 3, record)) {
        next.tv_nsec += period_ns;
        next.tv_sec += next.tv_nsec / 1000000000L;
        next.tv_nsec %= 1000000000L;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
    return 1;
}
