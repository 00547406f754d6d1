// SPDX-License-Identifier: Apache-2.0
// The load of an integrated GPU as a gauge: a sysfs file of 0..1000 per mille.
#include "channel.h"
#include "drivers.h"
#include "gpu_node.h"

#include <errno.h>
#include <unistd.h>

struct state {
    int fd;
};

// Where kernels without a devfreq node have it: JetPack 4, 5 and 6 in this order.
static const char *const known[] = {
    "/sys/devices/gpu.0/load",
    "/sys/devices/platform/gpu.0/load",
    "/sys/devices/platform/17000000.gpu/load",
    "/sys/devices/platform/bus@0/17000000.gpu/load",
    NULL,
};

static int probe_gpu(const struct jp_site *site, struct jp_found *found, int max)
{
    return max < 1 ? 0 : jp_gpu_node_find(site, "device/load", known, found);
}

static int open_gpu(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                    int max)
{
    struct state *self = state;

    self->fd = max < 1 ? -EINVAL : jp_site_open(site, found->path);
    if (self->fd < 0)
        return self->fd;
    jp_channel_init(&channels[0], JP_GAUGE, "gpu", "gpu_load");
    channels[0].roles = JP_ROLE_GPU;
    channels[0].index = 1;
    channels[0].unit[0] = '%';
    return 1;
}

static void read_gpu(void *state, struct jp_pass *pass)
{
    struct state *self = state;
    int64_t permille;
    int rc;

    if (pass->readings[0].state != JP_WANTED)
        return;
    rc = jp_site_pread_i64(self->fd, &permille);
    if (rc == 0 && (permille < 0 || permille > 1000))
        rc = -ERANGE;
    if (rc < 0)
        jp_reading_missing(&pass->readings[0], -rc);
    else
        jp_reading_good(&pass->readings[0], permille * 100); // per mille to thousandths of a per cent
    jp_pass_late(pass);
}

static void close_gpu(void *state)
{
    struct state *self = state;

    close(self->fd);
}

const struct jp_driver jp_driver_gpu_load = {
    .name = "gpu_load",
    .state_size = sizeof(struct state),
    .probe = probe_gpu,
    .open = open_gpu,
    .read = read_gpu,
    .close = close_gpu,
};
