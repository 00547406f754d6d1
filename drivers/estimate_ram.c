// SPDX-License-Identifier: Apache-2.0
// The memory's power as CodeCarbon models it from its size. Modelled, never measured.
#define _GNU_SOURCE
#include "channel.h"
#include "cpu_model.h"
#include "drivers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
    int64_t uw;
};

#if defined(__aarch64__) || defined(__arm__)
static const bool built_for_arm = true;
#else
static const bool built_for_arm = false;
#endif

// The beginning of a file that may be long. Its length, or -errno.
static int read_head(const struct jp_site *site, const char *path, char *out, size_t size)
{
    int fd = jp_site_open(site, path);
    ssize_t got;
    int error;

    if (fd < 0)
        return fd;
    got = read(fd, out, size - 1);
    error = errno;
    close(fd);
    if (got < 0)
        return -error;
    out[got] = '\0';
    return (int)got;
}

// The machine looked at, which is not always the one this program was built for.
static bool is_arm(const struct jp_site *site)
{
    char text[4096];
    int fd;

    if (read_head(site, "/proc/cpuinfo", text, sizeof text) > 0) {
        if (strstr(text, "CPU implementer"))
            return true;
        if (strstr(text, "vendor_id"))
            return false;
    }
    fd = jp_site_open(site, "/proc/device-tree/compatible");
    if (fd < 0)
        return built_for_arm;
    close(fd);
    return true;
}

static int memory_kb(const struct jp_site *site, const char *path, int64_t *kb)
{
    static const char key[] = "MemTotal:";
    char text[512];
    int rc = read_head(site, path, text, sizeof text);
    const char *line;
    char *end;

    if (rc < 0)
        return rc;
    line = strstr(text, key);
    if (!line)
        return -EINVAL;
    *kb = strtoll(line + sizeof key - 1, &end, 10);
    return *kb > 0 && *kb < INT64_MAX / 1024 && strncmp(end, " kB", 3) == 0 ? 0 : -EINVAL;
}

static int probe_ram(const struct jp_site *site, struct jp_found *found, int max)
{
    int64_t kb;

    if (max < 1 || memory_kb(site, "/proc/meminfo", &kb) < 0)
        return 0;
    found[0] = (struct jp_found){.path = "/proc/meminfo"};
    return 1;
}

static int open_ram(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                    int max)
{
    struct state *self = state;
    int64_t kb;
    int rc = max < 1 ? -EINVAL : memory_kb(site, found->path, &kb);

    if (rc < 0)
        return rc;
    self->uw = jp_ram_model_uw(kb, is_arm(site));
    jp_channel_init(&channels[0], JP_POWER, "model", "ram");
    channels[0].method = JP_MODELLED;
    channels[0].scope = JP_SCOPE_SYSTEM;
    channels[0].roles = JP_ROLE_RAM;
    channels[0].index = 1;
    channels[0].max_uw = self->uw;
    return 1;
}

static void read_ram(void *state, struct jp_pass *pass)
{
    const struct state *self = state;

    if (pass->readings[0].state == JP_WANTED)
        jp_reading_good(&pass->readings[0], self->uw);
}

static void close_ram(void *state)
{
    (void)state;
}

const struct jp_driver jp_driver_estimate_ram = {
    .name = "estimate_ram",
    .state_size = sizeof(struct state),
    .min_period_ms = 1000,
    .probe = probe_ram,
    .open = open_ram,
    .read = read_ram,
    .close = close_ram,
};
