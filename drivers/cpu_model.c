// SPDX-License-Identifier: Apache-2.0
// Load from /proc/stat and CodeCarbon's models, in integers.
#define _GNU_SOURCE
#include "cpu_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum tick { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, GUEST, GUEST_NICE, TICKS };

int jp_cpu_ticks_parse(const char *text, struct jp_cpu_ticks *ticks)
{
    uint64_t value[TICKS] = {0};
    int fields = 0;

    if (strncmp(text, "cpu ", 4) != 0)
        return -EINVAL;
    text += 4;
    while (fields < TICKS) {
        char *end;

        text += strspn(text, " ");
        if (*text < '0' || *text > '9')
            break;
        value[fields++] = strtoull(text, &end, 10);
        text = end;
    }
    if (fields <= IDLE || (*text && *text != '\n' && *text != ' '))
        return -EINVAL;
    // user and nice hold guest and guest_nice already.
    ticks->busy = value[USER] + value[NICE] + value[SYSTEM] + value[IRQ] + value[SOFTIRQ] + value[STEAL];
    ticks->idle = value[IDLE] + value[IOWAIT];
    return 0;
}

static int read_ticks(int fd, struct jp_cpu_ticks *ticks)
{
    char text[320];
    ssize_t got = pread(fd, text, sizeof text - 1, 0);

    if (got < 0)
        return -errno;
    if (got == 0)
        return -ENODATA;
    text[got] = '\0';
    return jp_cpu_ticks_parse(text, ticks);
}

static int32_t share_ppm(uint64_t busy, uint64_t idle)
{
    return (int32_t)((double)busy / ((double)busy + (double)idle) * JP_LOAD_FULL + 0.5);
}

int jp_cpu_load_start(struct jp_cpu_load *load, int fd)
{
    int rc = read_ticks(fd, &load->last);

    if (rc < 0)
        return rc;
    load->fd = fd;
    load->ppm = load->last.busy + load->last.idle ? share_ppm(load->last.busy, load->last.idle) : 0;
    return 0;
}

int jp_cpu_load_next(struct jp_cpu_load *load, int32_t *ppm)
{
    struct jp_cpu_ticks now = {0};
    int rc = read_ticks(load->fd, &now);
    uint64_t busy, idle;

    if (rc < 0)
        return rc;
    // iowait and idle may step back by a tick, a processor taken offline takes its ticks along.
    busy = now.busy > load->last.busy ? now.busy - load->last.busy : 0;
    idle = now.idle > load->last.idle ? now.idle - load->last.idle : 0;
    if (busy + idle > 0)
        load->ppm = share_ppm(busy, idle);
    load->last = now;
    *ppm = load->ppm;
    return 0;
}

int64_t jp_cpu_model_uw(int64_t tdp_mw, int32_t load_ppm)
{
    int64_t load = load_ppm < 0 ? 0 : load_ppm > JP_LOAD_FULL ? JP_LOAD_FULL : load_ppm;
    int64_t cube = load * load / JP_LOAD_FULL * load / JP_LOAD_FULL;

    return tdp_mw * 100 + tdp_mw * 9 * cube / 10000;
}

// How many modules CodeCarbon believes in for this much memory.
static int64_t ram_modules(int64_t kb)
{
    static const struct {
        int64_t gb, modules;
    } small[] = {{2, 1}, {16, 2}, {32, 4}, {64, 4}, {128, 8}};
    const int64_t kb_per_gb = 1024 * 1024;
    int64_t size = 128, modules;

    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        if (kb <= small[i].gb * kb_per_gb)
            return small[i].modules;
    while (size > 4 && size * 8 * kb_per_gb > kb)
        size /= 2;
    modules = (kb + size * kb_per_gb - 1) / (size * kb_per_gb);
    return modules < 32 ? modules : 32;
}

int64_t jp_ram_model_uw(int64_t kb, bool arm)
{
    // Modules up to `last` draw this many tenths of the first ones' power.
    static const struct {
        int64_t last, tenths;
    } steps[] = {{4, 10}, {8, 9}, {16, 8}, {32, 7}};
    const int64_t module_uw = arm ? 1500000 : 5000000;
    const int64_t floor_uw = arm ? 3000000 : 10000000;
    int64_t modules = ram_modules(kb);
    int64_t done = 0, total = 0;

    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && done < modules; i++) {
        int64_t upto = modules < steps[i].last ? modules : steps[i].last;

        total += (upto - done) * module_uw / 10 * steps[i].tenths;
        done = upto;
    }
    return total > floor_uw ? total : floor_uw;
}
