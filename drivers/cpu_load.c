// SPDX-License-Identifier: Apache-2.0
// The load of all processors as a gauge, from /proc/stat.
#include "channel.h"
#include "cpu_model.h"
#include "drivers.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int probe_load(const struct jp_site *site, struct jp_found *found, int max)
{
    int fd = max > 0 ? jp_site_open(site, "/proc/stat") : -ENOENT;

    if (fd < 0)
        return 0;
    close(fd);
    found[0] = (struct jp_found){.path = "/proc/stat"};
    return 1;
}

static int open_load(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                     int max)
{
    int fd = max > 0 ? jp_site_open(site, found->path) : -EINVAL;
    int rc;

    if (fd < 0)
        return fd;
    rc = jp_cpu_load_start(state, fd);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    jp_channel_init(&channels[0], JP_GAUGE, "stat", "cpu_load");
    channels[0].scope = JP_SCOPE_SYSTEM;
    channels[0].roles = JP_ROLE_CPU;
    channels[0].index = 1;
    channels[0].unit[0] = '%';
    return 1;
}

static void read_load(void *state, struct jp_pass *pass)
{
    int32_t ppm;
    int rc;

    if (pass->readings[0].state != JP_WANTED)
        return;
    rc = jp_cpu_load_next(state, &ppm);
    if (rc < 0)
        jp_reading_missing(&pass->readings[0], -rc);
    else
        jp_reading_good(&pass->readings[0], ppm / 10); // parts per million to thousandths of a per cent
    jp_pass_late(pass);
}

static void close_load(void *state)
{
    struct jp_cpu_load *self = state;

    close(self->fd);
}

const struct jp_driver jp_driver_cpu_load = {
    .name = "cpu_load",
    .state_size = sizeof(struct jp_cpu_load),
    .min_period_ms = 1000,
    .probe = probe_load,
    .open = open_load,
    .read = read_load,
    .close = close_load,
};
