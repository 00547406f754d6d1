// SPDX-License-Identifier: Apache-2.0
// libgpiod 2: the kernel's second GPIO interface.
#include "gpio_parts.h"

#include <errno.h>
#include <stdio.h>

#define EDGES_KEPT 1024 // by the kernel, for us to come: the most that it grants

int jp_gpiod_chip(struct gpiod_chip *chip, char *label, size_t size, unsigned *lines)
{
    struct gpiod_chip_info *info = gpiod_chip_get_info(chip);

    if (!info)
        return -errno;
    snprintf(label, size, "%s", gpiod_chip_info_get_label(info));
    *lines = (unsigned)gpiod_chip_info_get_num_lines(info);
    gpiod_chip_info_free(info);
    return 0;
}

int jp_gpiod_offset(struct gpiod_chip *chip, const char *name)
{
    int offset = gpiod_chip_get_line_offset_from_name(chip, name);

    return offset < 0 ? -errno : offset;
}

int jp_gpiod_user(struct jp_gpio_line *line)
{
    struct gpiod_line_info *info = gpiod_chip_get_line_info(line->chip, line->offset);
    const char *user;

    if (!info)
        return -errno;
    user = gpiod_line_info_get_consumer(info);
    snprintf(line->user, sizeof line->user, "%s", gpiod_line_info_is_used(info) ? user ? user : "the kernel" : "");
    gpiod_line_info_free(info);
    return 0;
}

static void set_up(struct gpiod_line_settings *settings, const struct jp_gpio_wish *wish)
{
    gpiod_line_settings_set_direction(settings,
                                      wish->output ? GPIOD_LINE_DIRECTION_OUTPUT : GPIOD_LINE_DIRECTION_INPUT);
    if (!wish->output)
        gpiod_line_settings_set_edge_detection(settings, GPIOD_LINE_EDGE_BOTH);
    gpiod_line_settings_set_active_low(settings, wish->active_low);
}

int jp_gpiod_request(struct jp_gpio_line *line, const struct jp_gpio_wish *wish)
{
    struct gpiod_line_settings *settings = gpiod_line_settings_new();
    struct gpiod_line_config *config = gpiod_line_config_new();
    struct gpiod_request_config *request = gpiod_request_config_new();
    int rc = -ENOMEM;

    line->events = gpiod_edge_event_buffer_new(JP_GPIO_EDGES_MAX);
    if (settings && config && request && line->events) {
        set_up(settings, wish);
        gpiod_request_config_set_consumer(request, JP_GPIO_USER);
        gpiod_request_config_set_event_buffer_size(request, EDGES_KEPT);
        if (gpiod_line_config_add_line_settings(config, &line->offset, 1, settings) == 0)
            line->request = gpiod_chip_request_lines(line->chip, request, config);
        rc = line->request ? 0 : -errno;
    }
    if (rc)
        gpiod_edge_event_buffer_free(line->events);
    else if (!wish->output)
        line->fd = gpiod_line_request_get_fd(line->request);
    gpiod_request_config_free(request);
    gpiod_line_config_free(config);
    gpiod_line_settings_free(settings);
    return rc;
}

int jp_gpiod_read(struct jp_gpio_line *line, struct jp_gpio_edge *edges, int max)
{
    int count = gpiod_line_request_read_edge_events(line->request, line->events,
                                                    (size_t)(max < JP_GPIO_EDGES_MAX ? max : JP_GPIO_EDGES_MAX));

    if (count < 0)
        return errno == EAGAIN ? 0 : -errno;
    for (int i = 0; i < count; i++) {
        struct gpiod_edge_event *event = gpiod_edge_event_buffer_get_event(line->events, (unsigned long)i);
        uint64_t seqno = gpiod_edge_event_get_line_seqno(event); // from 1, 32 bits

        edges[i] = (struct jp_gpio_edge){.on = gpiod_edge_event_get_event_type(event) == GPIOD_EDGE_EVENT_RISING_EDGE,
                                         .t_ns = (int64_t)gpiod_edge_event_get_timestamp_ns(event),
                                         .lost = (uint32_t)seqno - (uint32_t)line->seqno - 1};
        line->seqno = seqno;
    }
    return count;
}

int jp_gpiod_get(struct jp_gpio_line *line)
{
    enum gpiod_line_value value = gpiod_line_request_get_value(line->request, line->offset);

    return value == GPIOD_LINE_VALUE_ERROR ? -errno : value == GPIOD_LINE_VALUE_ACTIVE;
}

int jp_gpiod_set(struct jp_gpio_line *line, bool on)
{
    enum gpiod_line_value value = on ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE;

    return gpiod_line_request_set_value(line->request, line->offset, value) ? -errno : 0;
}

void jp_gpiod_release(struct jp_gpio_line *line)
{
    gpiod_line_request_release(line->request);
    gpiod_edge_event_buffer_free(line->events);
    line->request = line->events = NULL;
}
