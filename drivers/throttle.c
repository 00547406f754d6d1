// SPDX-License-Identifier: Apache-2.0
// Whether clocks are held back because of heat, as a gauge for each of CPU, GPU and the rest: 1 while one of the part's
// cooling devices is engaged, or an x86 package has counted another throttling since the last reading.
#include "channel.h"
#include "drivers.h"
#include "gpu_node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define THERMAL "/sys/class/thermal"
#define CPUS "/sys/devices/system/cpu"
#define FILES_MAX 32
#define PACKAGES_MAX 8

enum part { CPU, GPU, SOC, PARTS, NO_PART };

struct file {
    int fd;
    enum part part;
    bool counter; // of throttlings, else a state
    int64_t last; // counter: as read last, at first when it was opened; -1 unknown
};

struct state {
    struct file files[FILES_MAX];
    int count, channel_count;
    enum part parts[PARTS]; // of each channel
};

struct opening {
    const struct jp_site *site;
    struct state *self;
    int64_t packages[PACKAGES_MAX];
    int package_count;
};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

// Most cooling devices cool: fans. Others only warn ("hot-surface-alert": somebody could touch it) or stand at a value
// that is no throttling ("TCC Offset"). So only known names count; sources in docs/drivers.md.
static enum part part_of(const char *type)
{
    const char *alert = strstr(type, "-throttle-alert");
    const char *name = begins(type, "thermal-") ? type + strlen("thermal-") : type;

    if (begins(name, "cpufreq-") || strcmp(type, "Processor") == 0 || strcmp(type, "intel_powerclamp") == 0)
        return CPU;
    if (begins(name, "devfreq-") || alert)
        return jp_gpu_node_is_gpu(type) ? GPU : alert && strstr(type, "cpu") ? CPU : SOC;
    return NO_PART;
}

static int add(struct opening *opening, const char *path, enum part part, bool counter)
{
    struct state *self = opening->self;
    int fd = jp_site_open(opening->site, path);

    if (fd >= 0) {
        struct file *file = &self->files[self->count++];

        *file = (struct file){.fd = fd, .part = part, .counter = counter, .last = -1};
        if (counter && jp_site_pread_i64(fd, &file->last) < 0)
            file->last = -1;
    }
    return self->count >= FILES_MAX;
}

static int open_cooling(void *context, const char *name)
{
    struct opening *opening = context;
    char path[128], type[64];
    enum part part;

    snprintf(path, sizeof path, THERMAL "/%.40s/type", name);
    if (!begins(name, "cooling_device") || jp_site_read(opening->site, path, type, sizeof type) <= 0)
        return 0;
    part = part_of(type);
    snprintf(path, sizeof path, THERMAL "/%.40s/cur_state", name);
    return part == NO_PART ? 0 : add(opening, path, part, false);
}

// Each processor of a package tells the package's count: one is enough.
static int open_package(void *context, const char *name)
{
    struct opening *opening = context;
    char path[128];
    int64_t package;

    snprintf(path, sizeof path, CPUS "/%.40s/topology/physical_package_id", name);
    if (!begins(name, "cpu") || jp_site_read_i64(opening->site, path, &package))
        return 0;
    for (int i = 0; i < opening->package_count; i++)
        if (opening->packages[i] == package)
            return 0;
    if (opening->package_count == PACKAGES_MAX)
        return 1;
    opening->packages[opening->package_count++] = package;
    snprintf(path, sizeof path, CPUS "/%.40s/thermal_throttle/package_throttle_count", name);
    return add(opening, path, CPU, true);
}

static void open_files(struct state *self, const struct jp_site *site)
{
    struct opening opening = {.site = site, .self = self};

    jp_site_list(site, CPUS, open_package, &opening);
    if (self->count < FILES_MAX)
        jp_site_list(site, THERMAL, open_cooling, &opening);
}

static void close_files(void *state)
{
    struct state *self = state;

    for (int i = 0; i < self->count; i++)
        close(self->files[i].fd);
    self->count = 0;
}

static int probe_files(const struct jp_site *site, struct jp_found *found, int max)
{
    struct state self = {.count = 0};
    int any;

    open_files(&self, site);
    any = self.count > 0 && max > 0;
    close_files(&self);
    if (any)
        found[0] = (struct jp_found){.path = THERMAL};
    return any;
}

static int open_parts(void *state, const struct jp_site *site, const struct jp_found *found,
                      struct jp_channel *channels, int max)
{
    static const char *const names[] = {[CPU] = "throttle_cpu", [GPU] = "throttle_gpu", [SOC] = "throttle_soc"};
    static const uint32_t roles[] = {[CPU] = JP_ROLE_CPU, [GPU] = JP_ROLE_GPU, [SOC] = JP_ROLE_SOC};
    struct state *self = state;
    bool has[PARTS] = {false};

    (void)found; // there is one place
    open_files(self, site);
    for (int i = 0; i < self->count; i++)
        has[self->files[i].part] = true;
    for (int part = 0; part < PARTS && self->channel_count < max; part++) {
        struct jp_channel *channel = &channels[self->channel_count];

        if (!has[part])
            continue;
        jp_channel_init(channel, JP_GAUGE, "throttle", names[part]);
        channel->index = part + 1;
        channel->roles = roles[part];
        snprintf(channel->event, sizeof channel->event, "throttle");
        self->parts[self->channel_count++] = (enum part)part;
    }
    return self->channel_count;
}

// 1 engaged, 0 not, or -errno.
static int is_engaged(struct file *file)
{
    int64_t value, before = file->last;
    int rc = jp_site_pread_i64(file->fd, &value);

    if (rc < 0)
        return rc;
    file->last = value;
    if (!file->counter)
        return value > 0;
    return before < 0 ? -ENODATA : value > before;
}

// One engaged device is enough; that none is takes all of them.
static void read_part(struct state *self, enum part part, struct jp_reading *reading)
{
    bool engaged = false;
    int error = 0;

    for (int i = 0; i < self->count; i++) {
        int rc = self->files[i].part == part ? is_engaged(&self->files[i]) : 0;

        engaged |= rc > 0;
        if (rc < 0)
            error = -rc;
    }
    if (engaged || error == 0)
        jp_reading_good(reading, engaged ? 1000 : 0);
    else
        jp_reading_missing(reading, error);
}

static void read_parts(void *state, struct jp_pass *pass)
{
    struct state *self = state;

    for (int i = 0; i < self->channel_count; i++) {
        if (pass->readings[i].state != JP_WANTED)
            continue;
        read_part(self, self->parts[i], &pass->readings[i]);
        if (jp_pass_late(pass))
            return;
    }
}

const struct jp_driver jp_driver_throttle = {
    .name = "throttle",
    .state_size = sizeof(struct state),
    .min_period_ms = 2000,
    .probe = probe_files,
    .open = open_parts,
    .read = read_parts,
    .close = close_files,
};
