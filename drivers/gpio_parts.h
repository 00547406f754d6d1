// SPDX-License-Identifier: Apache-2.0
// What gpio.c needs of libgpiod, written once for each of its two interfaces: gpio_v1.c, gpio_v2.c.
#ifndef JP_GPIO_PARTS_H
#define JP_GPIO_PARTS_H

#include "gpio.h"

#include <gpiod.h>
#include <stddef.h>

// The chip's label, cut to size, and how many lines it has. 0, or -errno.
int jp_gpiod_chip(struct gpiod_chip *chip, char *label, size_t size, unsigned *lines);
// The number of the line of that name, or -errno (-ENOENT).
int jp_gpiod_offset(struct gpiod_chip *chip, const char *name);
// Who holds line->offset of line->chip, into line->user; "" nobody. 0, or -errno.
int jp_gpiod_user(struct jp_gpio_line *line);
// Takes line->offset of line->chip. 0, or -errno.
int jp_gpiod_request(struct jp_gpio_line *line, const struct jp_gpio_wish *wish);
// As in the door. release() leaves the chip open.
int jp_gpiod_read(struct jp_gpio_line *line, struct jp_gpio_edge *edges, int max);
int jp_gpiod_get(struct jp_gpio_line *line);
int jp_gpiod_set(struct jp_gpio_line *line, bool on);
void jp_gpiod_release(struct jp_gpio_line *line);

#endif
