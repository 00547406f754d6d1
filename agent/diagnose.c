// SPDX-License-Identifier: Apache-2.0
// Looks once at what the service would look at for weeks.
#define _GNU_SOURCE
#include "diagnose.h"

#include "ina3221_i2c.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BETWEEN_NS (333 * JP_NS_PER_MS)

struct pass {
    struct jp_reading readings[JP_CHANNELS_MAX];
    int64_t t_ns; // the middle
    int64_t took_ns;
};

static bool never_late(void *context)
{
    (void)context;
    return false;
}

static void read_source(const struct jp_source *source, const struct jp_clock *clock, struct pass *pass)
{
    struct jp_pass how = {.readings = pass->readings, .late = never_late};

    for (int i = 0; i < JP_CHANNELS_MAX; i++)
        pass->readings[i] = (struct jp_reading){.state = JP_WANTED, .mv = INT32_MIN, .ma = INT32_MIN};
    how.t_ns = clock->mono_ns(clock);
    source->driver->read(source->state, &how);
    pass->took_ns = clock->mono_ns(clock) - how.t_ns;
    pass->t_ns = how.t_ns + pass->took_ns / 2;
}

static int64_t counter_step(int64_t from, int64_t to, int64_t range)
{
    return to >= from || range <= 0 ? to - from : to - from + range + 1;
}

static bool power_of(const struct jp_plan *plan, int channel, const struct pass *passes, int i, double *uw)
{
    const struct jp_reading *first = &passes[0].readings[i], *second = &passes[1].readings[i];
    int64_t dt = passes[1].t_ns - passes[0].t_ns, step;

    if (plan->run.channels[channel].kind != JP_ENERGY) {
        *uw = (double)(second->state == JP_GOOD ? second->value : first->value);
        return second->state == JP_GOOD || first->state == JP_GOOD;
    }
    if (first->state != JP_GOOD || second->state != JP_GOOD || dt <= 0)
        return false;
    step = counter_step(first->value, second->value, plan->range_uj[channel]);
    *uw = (double)step * 1e9 / (double)dt;
    return step >= 0;
}

static void take_gauge(const struct pass *passes, int i, int gauge, struct jp_power_now *now)
{
    now->gauge_known[gauge] = passes[1].readings[i].state == JP_GOOD;
    now->gauge[gauge] = passes[1].readings[i].value;
}

static void take(const struct jp_plan *plan, const struct jp_source *source, const struct pass *passes,
                 struct jp_power_now *now)
{
    for (int i = 0; i < source->count; i++) {
        int channel = source->channel[i];
        const struct jp_run_channel *info = channel < 0 ? NULL : &plan->run.channels[channel];
        double uw;

        if (source->gauge[i] >= 0)
            take_gauge(passes, i, source->gauge[i], now);
        if (!info)
            continue;
        now->known[channel] = power_of(plan, channel, passes, i, &uw);
        if (now->known[channel] && fabs(uw) > JP_POWER_MAX_UW) { // the service does not believe it either
            now->known[channel] = false;
            now->error[channel] = ERANGE;
        } else if (now->known[channel])
            now->uw[channel] = (int64_t)(uw * info->scale) + info->offset_uw;
        else if (passes[1].readings[i].state == JP_MISSING)
            now->error[channel] = passes[1].readings[i].error;
    }
}

void jp_diagnose_read(const struct jp_plan *plan, const struct jp_clock *clock, struct jp_power_now *now)
{
    static struct pass passes[JP_SOURCES_MAX][2];

    memset(now, 0, sizeof *now);
    for (int s = 0; s < plan->source_count; s++)
        read_source(&plan->sources[s], clock, &passes[s][0]);
    if (plan->source_count > 0)
        while (clock->wait(clock, NULL, 0, passes[0][0].t_ns + BETWEEN_NS) == -EINTR)
            ;
    for (int s = 0; s < plan->source_count; s++) {
        read_source(&plan->sources[s], clock, &passes[s][1]);
        take(plan, &plan->sources[s], passes[s], now);
        now->read_ns[s] = passes[s][0].took_ns < passes[s][1].took_ns ? passes[s][0].took_ns : passes[s][1].took_ns;
    }
    now->total_known = plan->run.total_known;
    for (int i = 0; i < plan->run.channel_count; i++)
        if (plan->run.channels[i].in_total) {
            now->total_known = now->total_known && now->known[i];
            now->total_uw += now->uw[i];
        }
}

static void check_parts(struct jp_plan *plan, const struct jp_power_now *now, int parent)
{
    const struct jp_run *run = &plan->run;
    int64_t sum = 0, slack = run->channels[parent].resolution_uw;
    int parts = 0;
    char what[160];

    for (int i = 0; i < run->channel_count; i++) {
        if (strcmp(run->channels[i].part_of, run->channels[parent].name) != 0 || !now->known[i])
            continue;
        parts++;
        sum += now->uw[i];
        slack += run->channels[i].resolution_uw;
    }
    if (parts == 0 || sum <= now->uw[parent] + slack)
        return;
    snprintf(what, sizeof what, "its parts read %.3f W, the whole %.3f W", (double)sum / 1e6,
             (double)now->uw[parent] / 1e6);
    jp_plan_problem(
        plan, what, run->channels[parent].name,
        "look again under a steady load; if it stays, the wiring differs from the profile or a shunt is wrong");
}

// What an error of a sensor means, and what helps.
static const struct reason {
    int error;
    const char *what, *remedy;
} reasons[] = {
    {EACCES, "permission denied", JP_REMEDY_PERMISSION},
    {EPERM, "permission denied", JP_REMEDY_PERMISSION},
    {ENODATA, "no data (ENODATA)",
     "a rail that is off or not connected says so: look at its inN_enable, and at the board's schematic"},
    {EIO, "the bus failed (EIO)",
     "see `dmesg` for the I2C bus; a sensor without power or another master on the bus does this"},
    {EREMOTEIO, "the chip is silent (EREMOTEIO)",
     "see `dmesg` for the I2C bus; a sensor without power does not acknowledge"},
    {ENXIO, "the chip is silent (ENXIO)", "see `dmesg` for the I2C bus; a sensor without power does not acknowledge"},
    {ETIMEDOUT, "it timed out (ETIMEDOUT)",
     "write 1 to `samples` of the chip's hwmon folder; if it stays, the bus is stuck: see `dmesg`, cut the power"},
    {EAGAIN, "not ready (EAGAIN)", "what is powered down answers again under load: look again then"},
    {EBUSY, "a kernel driver took it (EBUSY)",
     "meter reads it through that driver within some 10 s; a key \"drivers\" has to name ina3221_hwmon too"},
    {ENOENT, "its file went away (ENOENT)", "load the sensor's kernel driver again, then restart the service"},
    {ENODEV, "its device went away (ENODEV)", "load the sensor's kernel driver again, then restart the service"},
    {EINVAL, "its file holds no number, or its driver cannot read it (EINVAL)",
     "look at the file with `cat`, and report it with `joulepost probe --json`"},
    {ERANGE, "its number makes no sense", "look at the file with `cat`, and report it with `joulepost probe --json`"},
    {0, "a counter went back, or was read once only", "look again; if it stays, report it"},
};

static const struct reason *reason_of(int error)
{
    static struct reason other;

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].error == error)
            return &reasons[i];
    other = (struct reason){error, strerror(error), "see `dmesg`; report it with `joulepost probe --json`"};
    return &other;
}

// "A, B, C", cut with "..." where it does not fit.
static void add_name(char *list, size_t size, const char *name)
{
    size_t used = strlen(list);

    if (used + strlen(name) + sizeof ", ..." <= size)
        snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
    else if (used < sizeof "..." || strcmp(list + used - 3, "...") != 0)
        snprintf(list + used, size - used, "...");
}

// jp_direct_diagnose has said so.
static bool is_told(int error)
{
    return error == JP_INA3221_NO_SHUNT || error == JP_INA3221_POWERED_DOWN;
}

// One problem for each reason why channels of a source are silent.
static void tell_silent(struct jp_plan *plan, const struct jp_source *source, const struct jp_power_now *now)
{
    bool told[JP_CHANNELS_MAX] = {false};

    for (int i = 0; i < source->count; i++) {
        int channel = source->channel[i], silent = 0;
        char names[sizeof plan->problems[0].where] = "", what[160];

        if (channel < 0 || now->known[channel] || told[i] || is_told(now->error[channel]))
            continue;
        for (int j = i; j < source->count; j++) {
            int other = source->channel[j];

            if (other < 0 || now->known[other] || now->error[other] != now->error[channel])
                continue;
            told[j] = true;
            silent++;
            add_name(names, sizeof names, plan->run.channels[other].name);
        }
        snprintf(what, sizeof what, "the sensor did not answer%s: %s", silent > 1 ? " for any of them" : "",
                 reason_of(now->error[channel])->what);
        jp_plan_problem(plan, what, names,
                        strcmp(source->driver->name, "nvidia_gpu") == 0 ? JP_REMEDY_NVIDIA
                                                                        : reason_of(now->error[channel])->remedy);
    }
}

static bool has_powers(const struct jp_plan *plan, const struct jp_source *source)
{
    for (int i = 0; i < source->count; i++)
        if (source->channel[i] >= 0 && plan->run.channels[source->channel[i]].kind == JP_POWER)
            return true;
    return false;
}

static void check_cost(struct jp_plan *plan, const struct jp_source *source, int64_t read_ns)
{
    char what[160];

    if (read_ns <= plan->run.interval_ms * JP_NS_PER_MS || !has_powers(plan, source))
        return;
    for (int i = 0; i < plan->problem_count; i++)
        if (strcmp(plan->problems[i].where, source->found.path) == 0)
            return; // the chip itself has said why
    snprintf(what, sizeof what, "one read takes %.3g s, longer than the period of %d ms", (double)read_ns / 1e9,
             plan->run.interval_ms);
    jp_plan_problem(plan, what, source->found.path,
                    "set sampling.interval_ms to more than that; see `dmesg` for the I2C bus");
}

void jp_diagnose_readings(struct jp_plan *plan, const struct jp_power_now *now)
{
    for (int s = 0; s < plan->source_count; s++) {
        tell_silent(plan, &plan->sources[s], now);
        check_cost(plan, &plan->sources[s], now->read_ns[s]);
    }
    for (int i = 0; i < plan->run.channel_count; i++)
        if (now->known[i])
            check_parts(plan, now, i);
}
