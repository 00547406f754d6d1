// SPDX-License-Identifier: Apache-2.0
// libgpiod 1.6: the kernel's first GPIO interface.
#include "gpio_parts.h"

#include <errno.h>
#include <stdio.h>

int jp_gpiod_chip(struct gpiod_chip *chip, char *label, size_t size, unsigned *lines)
{
    snprintf(label, size, "%s", gpiod_chip_label(chip));
    *lines = gpiod_chip_num_lines(chip);
    return 0;
}

int jp_gpiod_offset(struct gpiod_chip *chip, const char *name)
{
    struct gpiod_line *line = gpiod_chip_find_line(chip, name);

    return line ? (int)gpiod_line_offset(line) : -errno;
}

int jp_gpiod_user(struct jp_gpio_line *line)
{
    struct gpiod_line *gpio = gpiod_chip_get_line(line->chip, line->offset);
    const char *user;

    if (!gpio)
        return -errno;
    user = gpiod_line_consumer(gpio);
    snprintf(line->user, sizeof line->user, "%s", gpiod_line_is_used(gpio) ? user ? user : "the kernel" : "");
    return 0;
}

int jp_gpiod_request(struct jp_gpio_line *line, const struct jp_gpio_wish *wish)
{
    struct gpiod_line *gpio = gpiod_chip_get_line(line->chip, line->offset);
    int flags = wish->active_low ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0;

    if (!gpio || (wish->output ? gpiod_line_request_output_flags(gpio, JP_GPIO_USER, flags, 0)
                               : gpiod_line_request_both_edges_events_flags(gpio, JP_GPIO_USER, flags)))
        return -errno;
    line->request = gpio;
    line->fd = wish->output ? -1 : gpiod_line_event_get_fd(gpio);
    return 0;
}

int jp_gpiod_read(struct jp_gpio_line *line, struct jp_gpio_edge *edges, int max)
{
    struct gpiod_line_event events[JP_GPIO_EDGES_MAX];
    int count = gpiod_line_event_read_fd_multiple(line->fd, events,
                                                  (unsigned)(max < JP_GPIO_EDGES_MAX ? max : JP_GPIO_EDGES_MAX));

    if (count < 0)
        return errno == EAGAIN ? 0 : -errno;
    for (int i = 0; i < count; i++)
        edges[i] = (struct jp_gpio_edge){.on = events[i].event_type == GPIOD_LINE_EVENT_RISING_EDGE,
                                         .t_ns = (int64_t)events[i].ts.tv_sec * 1000000000 + events[i].ts.tv_nsec};
    return count;
}

int jp_gpiod_get(struct jp_gpio_line *line)
{
    int value = gpiod_line_get_value(line->request);

    return value < 0 ? -errno : value;
}

int jp_gpiod_set(struct jp_gpio_line *line, bool on)
{
    return gpiod_line_set_value(line->request, on) ? -errno : 0;
}

void jp_gpiod_release(struct jp_gpio_line *line)
{
    gpiod_line_release(line->request);
    line->request = NULL;
}
