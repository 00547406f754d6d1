// SPDX-License-Identifier: Apache-2.0
// The load of an integrated GPU as a gauge: a sysfs file of 0..1000 per mille.
#include "channel.h"
#include "drivers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct state {
    int fd;
};

struct search {
    const struct jp_site *site;
    struct jp_found *found;
    int count;
};

// Where kernels without a devfreq node have it: JetPack 4, 5 and 6 in this order.
static const char *const known[] = {
    "/sys/devices/gpu.0/load",
    "/sys/devices/platform/gpu.0/load",
    "/sys/devices/platform/17000000.gpu/load",
    "/sys/devices/platform/bus@0/17000000.gpu/load",
};

static const char *const nodes[] = {"gv11b", "gp10b", "ga10b", "gb10b"};

static bool is_gpu(const char *node)
{
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
        if (strcmp(node, nodes[i]) == 0)
            return true;
    return strstr(node, "gpu") != NULL;
}

static bool take_file(struct search *search, const char *path)
{
    int fd = jp_site_open(search->site, path);

    if (fd < 0)
        return false;
    close(fd);
    search->found[0] = (struct jp_found){.param = 0};
    snprintf(search->found[0].path, sizeof search->found[0].path, "%s", path);
    search->count = 1;
    return true;
}

static int take_devfreq(void *context, const char *name)
{
    struct search *search = context;
    char path[200], node[64];

    snprintf(path, sizeof path, "/sys/class/devfreq/%.100s/device/of_node/name", name);
    if (jp_site_read(search->site, path, node, sizeof node) < 0 || !is_gpu(node))
        return 0;
    snprintf(path, sizeof path, "/sys/class/devfreq/%.100s/device/load", name);
    return take_file(search, path);
}

static int probe_gpu(const struct jp_site *site, struct jp_found *found, int max)
{
    struct search search = {.site = site, .found = found};

    if (max < 1)
        return 0;
    jp_site_list(site, "/sys/class/devfreq", take_devfreq, &search); // none: the known places remain
    for (size_t i = 0; i < sizeof known / sizeof known[0] && search.count == 0; i++)
        take_file(&search, known[i]);
    return search.count;
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
