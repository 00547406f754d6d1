// SPDX-License-Identifier: Apache-2.0
// The clock of an integrated GPU as a gauge, from its devfreq node.
#include "channel.h"
#include "drivers.h"
#include "gpu_node.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define FREQ_MAX_HZ 100000000000LL // 100 GHz: no such GPU, and far below an overflow

struct state {
    int fd;
};

static int probe_gpu(const struct jp_site *site, struct jp_found *found, int max)
{
    static const char *const none[] = {NULL}; // every kernel with the file has the class; profiles name what is left

    return max < 1 ? 0 : jp_gpu_node_find(site, "cur_freq", none, found);
}

static int open_gpu(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                    int max)
{
    struct state *self = state;

    self->fd = max < 1 ? -EINVAL : jp_site_open(site, found->path);
    if (self->fd < 0)
        return self->fd;
    jp_channel_init(&channels[0], JP_GAUGE, "gpu", "gpu_freq");
    channels[0].roles = JP_ROLE_GPU;
    channels[0].index = 1;
    snprintf(channels[0].unit, sizeof channels[0].unit, "MHz");
    return 1;
}

// 0 is a reading: the clock of a gated GPU stands.
static void read_gpu(void *state, struct jp_pass *pass)
{
    struct state *self = state;
    int64_t hz;
    int rc;

    if (pass->readings[0].state != JP_WANTED)
        return;
    rc = jp_site_pread_i64(self->fd, &hz);
    if (rc == 0 && (hz < 0 || hz > FREQ_MAX_HZ))
        rc = -ERANGE;
    if (rc < 0)
        jp_reading_missing(&pass->readings[0], -rc);
    else
        jp_reading_good(&pass->readings[0], hz / 1000);
    jp_pass_late(pass);
}

static void close_gpu(void *state)
{
    struct state *self = state;

    close(self->fd);
}

const struct jp_driver jp_driver_gpu_freq = {
    .name = "gpu_freq",
    .state_size = sizeof(struct state),
    .min_period_ms = 5000,
    .probe = probe_gpu,
    .open = open_gpu,
    .read = read_gpu,
    .close = close_gpu,
};
