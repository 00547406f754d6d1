// SPDX-License-Identifier: Apache-2.0
// pull FILE COUNT [GAP_US]: gpio-sim's `pull` of a line goes up, down, up, ... COUNT times, back to back or with a gap.
// Prints for each the BOOTTIME in ms before and after; -COUNT begins with down.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    static int64_t times[100000][2];
    int count = argc > 2 ? atoi(argv[2]) : 0, gap_us = argc > 3 ? atoi(argv[3]) : 0;
    int up = count > 0, fd = argc > 2 ? open(argv[1], O_WRONLY) : -1;

    count = abs(count);
    if (fd < 0 || count > 100000)
        return 1;
    for (int i = 0; i < count; i++, up = !up) {
        const char *text = up ? "pull-up" : "pull-down";

        times[i][0] = now_ms();
        if (pwrite(fd, text, strlen(text), 0) < 0)
            return 1;
        times[i][1] = now_ms();
        if (gap_us)
            usleep((useconds_t)gap_us);
    }
    for (int i = 0; i < count; i++)
        printf("%lld %lld\n", (long long)times[i][0], (long long)times[i][1]);
    return 0;
}
