// SPDX-License-Identifier: Apache-2.0
// The processors' power as CodeCarbon models it from their load. Modelled, never measured.
#include "channel.h"
#include "cpu_model.h"
#include "drivers.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct state {
    struct jp_cpu_load load;
    int64_t tdp_mw;
};

static int probe_cpu(const struct jp_site *site, struct jp_found *found, int max)
{
    int fd = max > 0 ? jp_site_open(site, "/proc/stat") : -ENOENT;

    if (fd < 0)
        return 0;
    close(fd);
    found[0] = (struct jp_found){.path = "/proc/stat"}; // whoever knows the processor sets its TDP
    return 1;
}

static int open_cpu(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                    int max)
{
    struct state *self = state;
    int fd, rc;

    // 1 MW: far above any processor, far below an overflow.
    if (max < 1 || found->param <= 0 || found->param > 1000000000)
        return -EINVAL;
    fd = jp_site_open(site, found->path);
    if (fd < 0)
        return fd;
    rc = jp_cpu_load_start(&self->load, fd);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    self->tdp_mw = found->param;
    jp_channel_init(&channels[0], JP_POWER, "model", "cpu");
    channels[0].method = JP_MODELLED;
    channels[0].scope = JP_SCOPE_PACKAGE;
    channels[0].roles = JP_ROLE_CPU;
    channels[0].index = 1;
    channels[0].max_uw = self->tdp_mw * 1000;
    return 1;
}

static void read_cpu(void *state, struct jp_pass *pass)
{
    struct state *self = state;
    int32_t ppm;
    int rc;

    if (pass->readings[0].state != JP_WANTED)
        return;
    rc = jp_cpu_load_next(&self->load, &ppm);
    if (rc < 0)
        jp_reading_missing(&pass->readings[0], -rc);
    else
        jp_reading_good(&pass->readings[0], jp_cpu_model_uw(self->tdp_mw, ppm));
    jp_pass_late(pass);
}

static void close_cpu(void *state)
{
    struct state *self = state;

    close(self->load.fd);
}

const struct jp_driver jp_driver_estimate_cpu = {
    .name = "estimate_cpu",
    .state_size = sizeof(struct state),
    .min_period_ms = 1000,
    .probe = probe_cpu,
    .open = open_cpu,
    .read = read_cpu,
    .close = close_cpu,
};
