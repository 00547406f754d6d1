// SPDX-License-Identifier: Apache-2.0
// The escapes of ECMA-48 and of xterm that every terminal of today knows; nothing is asked of terminfo.
#define _GNU_SOURCE
#include "top_screen.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J" // alternate screen, cursor hidden, no wrap
#define LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"
#define RESIZED "\033[2J"

static int wake = -1;
static volatile sig_atomic_t ending;

// A write to a terminal that nobody reads is interrupted too: there is no SA_RESTART.
static void on_signal(int number)
{
    int saved = errno;
    char byte = (char)number;

    if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT)
        ending = 1;
    if (write(wake, &byte, 1) < 0)
        errno = 0; // it is full of others
    errno = saved;
}

static int write_all(const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n < 0 && ending)
            return -EINTR;
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static void measure(struct jp_screen *screen)
{
    struct winsize size;

    screen->columns = 80;
    screen->rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        screen->columns = size.ws_col;
        screen->rows = size.ws_row;
    }
}

static void enter(struct jp_screen *screen)
{
    struct termios mode;

    measure(screen);
    if (!screen->full)
        return;
    screen->keys = tcgetattr(STDIN_FILENO, &screen->before) == 0;
    mode = screen->before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode.c_iflag &= ~(tcflag_t)IXON; // Ctrl-S would stop us inside a write
    if (screen->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &mode);
    write_all(ENTER, sizeof ENTER - 1);
}

static void leave(const struct jp_screen *screen)
{
    if (!screen->full)
        return;
    write_all(LEAVE, sizeof LEAVE - 1);
    if (screen->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
}

int jp_screen_open(struct jp_screen *screen, bool full)
{
    const struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return -errno;
    screen->full = full;
    screen->signals = ends[0];
    wake = ends[1];
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    if (full) {
        sigaction(SIGQUIT, &action, NULL); // its core would be left on a terminal of ours
        sigaction(SIGWINCH, &action, NULL);
        sigaction(SIGTSTP, &action, NULL);
    }
    enter(screen);
    return 0;
}

// RESIZED where the screen has to be drawn anew, else TIME.
static enum jp_screen_event take_signals(struct jp_screen *screen)
{
    enum jp_screen_event event = JP_SCREEN_TIME;
    char number;

    while (read(screen->signals, &number, 1) == 1) {
        if (number != SIGTSTP && number != SIGWINCH)
            continue;
        if (number == SIGTSTP) {
            leave(screen);
            kill(getpid(), SIGSTOP);
            enter(screen);
        }
        measure(screen);
        write_all(RESIZED, sizeof RESIZED - 1);
        event = JP_SCREEN_RESIZED;
    }
    return ending ? JP_SCREEN_QUIT : event;
}

static bool take_keys(void)
{
    char keys[64];
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    return n <= 0 || memchr(keys, 'q', (size_t)n) || memchr(keys, 'Q', (size_t)n);
}

enum jp_screen_event jp_screen_wait(struct jp_screen *screen, int fd, int64_t until_ns)
{
    const struct jp_clock *clock = &jp_clock_real;
    struct pollfd fds[] = {
        {.fd = screen->signals, .events = POLLIN},
        {.fd = STDOUT_FILENO}, // its reader left
        {.fd = screen->full && screen->keys ? STDIN_FILENO : -1, .events = POLLIN},
        {.fd = fd, .events = POLLIN},
    };
    enum jp_screen_event event;
    int n = clock->wait(clock, fds, sizeof fds / sizeof fds[0], until_ns);

    event = take_signals(screen);
    if (event != JP_SCREEN_TIME || n <= 0)
        return n == 0 || event != JP_SCREEN_TIME ? event : JP_SCREEN_RESIZED;
    if ((fds[1].revents & (POLLERR | POLLHUP)) || (fds[2].revents && take_keys()))
        return JP_SCREEN_QUIT;
    return fds[3].revents ? JP_SCREEN_READY : fds[2].revents ? JP_SCREEN_RESIZED : JP_SCREEN_TIME;
}

int jp_screen_show(struct jp_screen *screen, const char *lines)
{
    size_t used = 0, size = sizeof screen->frame;

    used += (size_t)snprintf(screen->frame, size, "\033[H");
    for (int row = 0; row < screen->rows && *lines; row++) {
        size_t length = strcspn(lines, "\n");

        if (used + length + 16 > size)
            break;
        if (row > 0)
            used += (size_t)snprintf(screen->frame + used, size - used, "\r\n");
        memcpy(screen->frame + used, lines, length);
        used += length;
        used += (size_t)snprintf(screen->frame + used, size - used, "\033[K");
        lines += length + (lines[length] == '\n');
    }
    used += (size_t)snprintf(screen->frame + used, size - used, "\033[J");
    return write_all(screen->frame, used);
}

void jp_screen_close(struct jp_screen *screen)
{
    leave(screen);
    close(screen->signals);
    close(wake);
    wake = -1;
}
