// SPDX-License-Identifier: Apache-2.0
// Discrete NVIDIA GPUs through one nvidia-smi that goes on printing: a static program cannot load NVML.
//
// All GPUs are one source. The child prints at its own instants and is read at ours: a reading is the newest row, as
// long as that is fresh.
#define _GNU_SOURCE
#include "channel.h"
#include "drivers.h"
#include "nvidia_child.h"
#include "nvidia_row.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GPUS_MAX 16
#define NS_PER_S 1000000000LL
#define FRESH_NS (1 * NS_PER_S)      // five rounds
#define HANG_NS (30 * NS_PER_S)      // a first round takes seconds where the kernel module has to wake the GPUs
#define PATIENCE_NS (2 * NS_PER_S)   // from SIGTERM to SIGKILL
#define LIFE_NS (60 * NS_PER_S)      // a child that lived this long begins again with the shortest delay
#define DELAY_MIN_NS (1 * NS_PER_S)  // before a child is started again,
#define DELAY_MAX_NS (60 * NS_PER_S) // doubled each time
#define OPEN_STEPS 100               // until the GPUs are known, of
#define OPEN_STEP_MS 100
#define NEVER INT64_MIN

struct gpu {
    struct jp_nvidia_row row;
    int channel[JP_NVIDIA_FIELDS]; // -1: this GPU does not tell it
    bool arrived;                  // since the last pass
    int64_t at_ns;                 // of the pass that found it, NEVER
};

struct state {
    char program[256];
    struct jp_nvidia_child child;
    struct jp_nvidia_text text;
    struct gpu gpus[GPUS_MAX];
    int count;
    bool known, again;  // the GPUs are known; a second round has begun
    int64_t started_ns; // NEVER: by open(), which is not told the time
    int64_t row_ns;     // of the last row of any GPU, or of the start
    int64_t told_ns;    // when the child was told to end
    int64_t again_ns, delay_ns;
};

static const char *const programs[] = {"/usr/bin/nvidia-smi", "/usr/lib/nvidia/current/nvidia-smi",
                                       "/usr/lib/wsl/lib/nvidia-smi"};

static int count_entry(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
    return 0;
}

static bool has_gpu(const struct jp_site *site)
{
    int count = 0;

    jp_site_list(site, "/proc/driver/nvidia/gpus", count_entry, &count);
    return count > 0 || access("/dev/nvidiactl", F_OK) == 0 || access("/dev/dxg", F_OK) == 0;
}

// Its GPU is inside the rails. The newest have an nvidia-smi as well, which knows no power.
static bool is_jetson(const struct jp_site *site)
{
    static const char key[] = "nvidia,tegra";
    char names[2048];
    int length = jp_site_read(site, "/proc/device-tree/compatible", names, sizeof names);

    for (int at = 0; at < length; at += (int)strlen(names + at) + 1)
        if (strncmp(names + at, key, sizeof key - 1) == 0)
            return true;
    return false;
}

// A tree or a trace has no child: what runs here would tell of this machine.
static int probe_smi(const struct jp_site *site, struct jp_found *found, int max)
{
    const char *program = programs[0]; // where it is missed

    if (max < 1 || site->root[0] || !has_gpu(site) || is_jetson(site))
        return 0;
    for (size_t i = sizeof programs / sizeof programs[0]; i > 0; i--)
        if (access(programs[i - 1], X_OK) == 0)
            program = programs[i - 1];
    found[0] = (struct jp_found){.param = 0};
    snprintf(found[0].path, sizeof found[0].path, "%s", program);
    return 1;
}

// Hearing -----------------------------------------------------------------------------------------
static struct gpu *find_gpu(struct state *self, const char *uuid)
{
    for (int i = 0; i < self->count; i++)
        if (strcmp(self->gpus[i].row.uuid, uuid) == 0)
            return &self->gpus[i];
    return NULL;
}

static void take_row(void *context, const struct jp_nvidia_row *row)
{
    struct state *self = context;
    struct gpu *gpu = find_gpu(self, row->uuid);

    if (!gpu && !self->known && self->count < GPUS_MAX)
        gpu = &self->gpus[self->count++];
    else if (gpu && gpu->arrived)
        self->again = true;
    if (!gpu)
        return; // a GPU that came later has no channel
    gpu->row = *row;
    gpu->arrived = true;
}

static void forget_rows(struct state *self)
{
    for (int i = 0; i < self->count; i++) {
        self->gpus[i].arrived = false;
        self->gpus[i].at_ns = NEVER;
    }
}

// Takes what the child has printed. False: it prints no more.
static bool hear(struct state *self)
{
    char bytes[4096];
    size_t total = 0;
    ssize_t length = 1;

    while (length > 0 && total < self->child.buffer) {
        length = read(self->child.fd, bytes, sizeof bytes);
        if (length > 0) {
            jp_nvidia_rows(&self->text, bytes, (size_t)length, take_row, self);
            total += (size_t)length;
        }
    }
    if (total > self->child.buffer / 2) // it may have stood still in front of a full pipe: nobody knows how old this is
        forget_rows(self);
    return length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR));
}

// The child ---------------------------------------------------------------------------------------
static int start(struct state *self)
{
    memset(&self->text, 0, sizeof self->text);
    forget_rows(self);
    return jp_nvidia_child_start(&self->child, self->program);
}

static void tell_end(struct state *self, int64_t t_ns)
{
    forget_rows(self);
    jp_nvidia_child_end(&self->child, SIGTERM);
    self->told_ns = t_ns;
}

static void plan_start(struct state *self, int64_t t_ns)
{
    if (self->child.uid != geteuid()) // privileges were dropped since open()
        self->delay_ns = 0;
    else if (self->delay_ns == 0 || t_ns - self->started_ns >= LIFE_NS)
        self->delay_ns = DELAY_MIN_NS;
    else
        self->delay_ns = 2 * self->delay_ns < DELAY_MAX_NS ? 2 * self->delay_ns : DELAY_MAX_NS;
    self->again_ns = t_ns + self->delay_ns;
}

static void date_rows(struct state *self, int64_t t_ns)
{
    for (int i = 0; i < self->count; i++) {
        if (!self->gpus[i].arrived)
            continue;
        self->gpus[i].arrived = false;
        self->gpus[i].at_ns = self->row_ns = t_ns;
    }
}

// One at a time: the next is started when the last has been seen off.
static void look_after(struct state *self, int64_t t_ns)
{
    if (self->child.pid > 0 && self->child.fd >= 0) {
        bool alive = hear(self);

        date_rows(self, t_ns);
        if (!alive || t_ns - self->row_ns > HANG_NS || self->child.uid != geteuid())
            tell_end(self, t_ns);
    }
    if (self->child.pid > 0 && self->child.fd < 0) {
        if (jp_nvidia_child_gone(&self->child))
            plan_start(self, t_ns);
        else if (t_ns - self->told_ns > PATIENCE_NS)
            jp_nvidia_child_end(&self->child, SIGKILL);
    }
    if (self->child.pid > 0 || t_ns < self->again_ns)
        return;
    self->started_ns = self->row_ns = t_ns;
    if (start(self) != 0)
        plan_start(self, t_ns);
}

// The driver --------------------------------------------------------------------------------------
// Until every GPU has printed a row: a second one of any says so.
static int survey(struct state *self)
{
    bool alive = true;

    for (int i = 0; i < OPEN_STEPS && alive && !self->again; i++) {
        struct pollfd fd = {.fd = self->child.fd, .events = POLLIN};

        if (poll(&fd, 1, OPEN_STEP_MS) > 0)
            alive = hear(self);
    }
    self->known = true;
    if (!alive)
        return -ENODATA;
    return self->count > 0 ? 0 : -ETIMEDOUT;
}

static void describe(const struct gpu *gpu, enum jp_nvidia_field field, struct jp_channel *channel)
{
    static const struct {
        const char *suffix, *unit;
    } words[] = {
        [JP_NVIDIA_POWER] = {"", ""},
        [JP_NVIDIA_LOAD] = {"_load", "%"},
        [JP_NVIDIA_TEMPERATURE] = {"_temp", "C"},
        [JP_NVIDIA_CLOCK] = {"_freq", "MHz"},
    };
    char name[24];

    snprintf(name, sizeof name, "gpu-%d%s", gpu->row.index, words[field].suffix);
    jp_channel_init(channel, field == JP_NVIDIA_POWER ? JP_POWER : JP_GAUGE, "nvidia", name);
    snprintf(channel->unit, sizeof channel->unit, "%s", words[field].unit);
    channel->roles = JP_ROLE_GPU;
    channel->index = gpu->row.index + 1;
    if (field == JP_NVIDIA_POWER)
        channel->resolution_uw = 10000; // two decimals
}

static int describe_all(struct state *self, struct jp_channel *channels, int max)
{
    int count = 0;

    for (int i = 0; i < self->count; i++)
        for (int field = 0; field < JP_NVIDIA_FIELDS; field++) {
            struct gpu *gpu = &self->gpus[i];

            gpu->channel[field] = -1;
            if (gpu->row.error[field] == ENODATA || count == max)
                continue;
            describe(gpu, (enum jp_nvidia_field)field, &channels[count]);
            gpu->channel[field] = count++;
        }
    return count;
}

static void close_smi(void *state)
{
    struct state *self = state;

    jp_nvidia_child_stop(&self->child);
}

static int open_smi(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                    int max)
{
    struct state *self = state;
    int rc;

    (void)site; // probe() saw that it is this machine
    self->child.fd = -1;
    self->started_ns = NEVER;
    snprintf(self->program, sizeof self->program, "%s", found->path);
    if (access(self->program, X_OK) != 0)
        return -errno;
    rc = start(self);
    if (rc == 0)
        rc = survey(self);
    if (rc == 0)
        rc = describe_all(self, channels, max);
    if (rc <= 0)
        close_smi(self);
    return rc;
}

static void answer(const struct state *self, const struct gpu *gpu, int64_t t_ns, struct jp_reading *readings)
{
    bool fresh = gpu->at_ns != NEVER && t_ns - gpu->at_ns <= FRESH_NS;

    for (int field = 0; field < JP_NVIDIA_FIELDS; field++) {
        struct jp_reading *reading = gpu->channel[field] < 0 ? NULL : &readings[gpu->channel[field]];

        if (!reading || reading->state != JP_WANTED)
            continue;
        if (fresh && gpu->row.error[field] == 0)
            jp_reading_good(reading, gpu->row.value[field]);
        else
            jp_reading_missing(reading, fresh                                        ? gpu->row.error[field]
                                        : self->child.pid > 0 && self->child.fd >= 0 ? ETIMEDOUT
                                                                                     : EPIPE);
    }
}

static void read_smi(void *state, struct jp_pass *pass)
{
    struct state *self = state;

    if (self->started_ns == NEVER)
        self->started_ns = self->row_ns = self->again_ns = pass->t_ns;
    look_after(self, pass->t_ns);
    for (int i = 0; i < self->count; i++)
        answer(self, &self->gpus[i], pass->t_ns, pass->readings);
    jp_pass_late(pass);
}

const struct jp_driver jp_driver_nvidia_gpu = {
    .name = "nvidia_gpu",
    .state_size = sizeof(struct state),
    .min_period_ms = JP_NVIDIA_PERIOD_MS,
    .probe = probe_smi,
    .open = open_smi,
    .read = read_smi,
    .close = close_smi,
};
