// SPDX-License-Identifier: Apache-2.0
// The clock of the processors as one gauge: the mean over the cpufreq policies, which are clusters on a Jetson.
#include "channel.h"
#include "drivers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DIR "/sys/devices/system/cpu/cpufreq"
#define POLICIES_MAX 16          // x86 has one for each processor: the first ones stand for all
#define FREQ_MAX_KHZ 100000000LL // 100 GHz: no such processor, and far below an overflow

struct state {
    int fds[POLICIES_MAX];
    int count;
};

struct opening {
    const struct jp_site *site;
    struct state *self;
};

static int open_policy(void *context, const char *name)
{
    struct opening *opening = context;
    char path[128];
    int fd;

    if (strncmp(name, "policy", strlen("policy")) != 0)
        return 0;
    snprintf(path, sizeof path, DIR "/%.40s/scaling_cur_freq", name);
    fd = jp_site_open(opening->site, path);
    if (fd >= 0)
        opening->self->fds[opening->self->count++] = fd;
    return opening->self->count >= POLICIES_MAX;
}

static void close_policies(void *state)
{
    struct state *self = state;

    for (int i = 0; i < self->count; i++)
        close(self->fds[i]);
    self->count = 0;
}

static void open_policies(struct state *self, const struct jp_site *site)
{
    struct opening opening = {.site = site, .self = self};

    jp_site_list(site, DIR, open_policy, &opening);
}

static int probe_policies(const struct jp_site *site, struct jp_found *found, int max)
{
    struct state self = {.count = 0};
    int any;

    open_policies(&self, site);
    any = self.count > 0 && max > 0;
    close_policies(&self);
    if (any)
        found[0] = (struct jp_found){.path = DIR};
    return any;
}

static int describe(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                    int max)
{
    (void)found; // there is one place
    if (max < 1)
        return -EINVAL;
    open_policies(state, site);
    if (((struct state *)state)->count == 0)
        return -ENOENT;
    jp_channel_init(&channels[0], JP_GAUGE, "cpufreq", "cpu_freq");
    channels[0].scope = JP_SCOPE_SYSTEM;
    channels[0].roles = JP_ROLE_CPU;
    channels[0].index = 1;
    snprintf(channels[0].unit, sizeof channels[0].unit, "MHz");
    return 1;
}

// A policy whose processors a power mode took away does not answer; the others do.
static void read_policies(void *state, struct jp_pass *pass)
{
    const struct state *self = state;
    int64_t sum_khz = 0;
    int count = 0, error = ENODATA;

    if (pass->readings[0].state != JP_WANTED)
        return;
    for (int i = 0; i < self->count; i++) {
        int64_t khz;
        int rc = jp_site_pread_i64(self->fds[i], &khz);

        if (rc == 0 && (khz < 0 || khz > FREQ_MAX_KHZ))
            rc = -ERANGE;
        if (rc < 0) {
            error = -rc;
            continue;
        }
        sum_khz += khz;
        count++;
    }
    if (count == 0)
        jp_reading_missing(&pass->readings[0], error);
    else
        jp_reading_good(&pass->readings[0], sum_khz / count);
    jp_pass_late(pass);
}

const struct jp_driver jp_driver_cpu_freq = {
    .name = "cpu_freq",
    .state_size = sizeof(struct state),
    .min_period_ms = 5000,
    .probe = probe_policies,
    .open = describe,
    .read = read_policies,
    .close = close_policies,
};
