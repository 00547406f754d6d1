// SPDX-License-Identifier: Apache-2.0
// The terminal of a view that goes on, and what ends it: keys, signals, a reader that left.
#ifndef JP_TOP_SCREEN_H
#define JP_TOP_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

struct jp_screen {
    bool full;             // the terminal is ours: alternate screen, no echo, no cursor
    int columns, rows;     // of the terminal
    bool keys;             // standard input is a terminal
    struct termios before; // of its state
    int signals;           // the reading end of what the handler writes
    char frame[262144];    // a drawing and an escape for each line
};

enum jp_screen_event { JP_SCREEN_TIME, JP_SCREEN_READY, JP_SCREEN_RESIZED, JP_SCREEN_QUIT };

// Takes over INT, TERM, HUP, TSTP and WINCH, and with `full` the terminal. 0, or -errno.
int jp_screen_open(struct jp_screen *screen, bool full);
// Waits for MONOTONIC until_ns (TIME), for something to be read from fd or its end (READY; -1: none), for q, a signal
// that ends or a reader of standard output that left (QUIT). Stopped and continued it is RESIZED.
enum jp_screen_event jp_screen_wait(struct jp_screen *screen, int fd, int64_t until_ns);
// Shows lines in place of what was there: screen->rows at most. 0, or -errno.
int jp_screen_show(struct jp_screen *screen, const char *lines);
// The terminal as it was.
void jp_screen_close(struct jp_screen *screen);

#endif
