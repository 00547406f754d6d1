// SPDX-License-Identifier: Apache-2.0
// The GPIO door: lines of this machine through libgpiod, as inputs with edges or as outputs.
//
// There are two libgpiods: 1.6 (gpio_v1.c; the kernel's first interface, Linux 4.8) and 2 (gpio_v2.c; its second, Linux
// 5.10). Chips are renumbered between boots, so they are found by their label or device name each time a line is
// opened. Levels and edges are logical: with active_low, "on" is a low level. Only open() allocates; nothing waits for
// an edge, but a line behind a bus costs a transfer of that bus.
#ifndef JP_GPIO_H
#define JP_GPIO_H

#include <stdbool.h>
#include <stdint.h>

#define JP_GPIO_USER "joulepost" // whom the kernel names as the user of our lines
#define JP_GPIO_EDGES_MAX 16     // a read hands out no more; the kernel's first interface keeps no more for a line

struct jp_gpio_wish {
    const char *chip; // its label, or "gpiochip1", "/dev/gpiochip1", "1"
    const char *line; // its number on the chip, or its name there
    bool output;      // else an input that tells both edges
    bool active_low;
};

struct jp_gpio_edge {
    bool on;
    int64_t t_ns; // the kernel's: CLOCK_MONOTONIC since Linux 5.7, CLOCK_REALTIME before
    unsigned
        lost; // edges before it that the kernel had no room for; 0 also where it does not count them (libgpiod 1.6)
};

struct jp_gpio_line {
    int fd;        // readable when edges wait; -1 an output
    char user[33]; // after -EBUSY, and after look(): who holds the line; "" nobody
    unsigned offset;
    uint64_t seqno; // of the last edge
    void *chip, *request, *events;
};

struct jp_gpio_door {
    // Whether the line is there, and who holds it. 0, or -errno as open().
    int (*look)(const struct jp_gpio_door *self, struct jp_gpio_line *line, const struct jp_gpio_wish *wish);
    // Takes the line; an output begins as off. 0, or nothing stays open: -ENODEV no such chip, -ENOTUNIQ several of
    // that label, -ENOENT no line of that name, -ERANGE a number beyond the chip's end, -EBUSY held by line->user,
    // -ENXIO it cannot tell edges, -EACCES, other -errno of the kernel.
    int (*open)(const struct jp_gpio_door *self, struct jp_gpio_line *line, const struct jp_gpio_wish *wish);
    // Takes up to max edges, oldest first, JP_GPIO_EDGES_MAX at most. Their count, 0 when none waits, or -errno
    // (-ENODEV: the chip has gone).
    int (*read)(struct jp_gpio_line *line, struct jp_gpio_edge *edges, int max);
    // 1 on, 0 off, or -errno.
    int (*get)(struct jp_gpio_line *line);
    int (*set)(struct jp_gpio_line *line, bool on);
    void (*close)(struct jp_gpio_line *line);
};

// The machine's own.
extern const struct jp_gpio_door jp_gpio_real;

#endif
