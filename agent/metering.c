// SPDX-License-Identifier: Apache-2.0
// The loop of the meter half: read, integrate, close the window, append.
#include "metering.h"

#include "alarms.h"
#include "answers.h"
#include "control.h"
#include "diagnose.h"
#include "log.h"
#include "notify.h"
#include "power_mode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIVE_NS (5 * JP_NS_PER_S) // how often the service manager is told, unless it asks for more
#define LOOK_MS 5000               // how often the power mode and new sensors are looked at

struct meter {
    const struct jp_metering *in;
    struct jp_sampler sampler;
    struct jp_record record;
    struct jp_alarms alarms;
    struct jp_answers answers;
    struct jp_control control;
    struct pollfd fds[1 + JP_CONTROL_CLIENTS + JP_GPIO_MAX];
    struct jp_window window;
    struct jp_bridge bridge;
    int notify_fd;
    bool told; // a service manager listens
    int64_t alive_ns, alive_at_ns;
    int said; // errno of the write failure that was logged
    bool has_modes;
    int mode;        // the power mode's number as last told, -1 unknown
    int64_t look_ms; // BOOTTIME of the last look
    bool more;       // sensors came that this run does not have, or that only root may open
};

// What is said aloud ------------------------------------------------------------------------------
static void say_denied(struct meter *meter, const char *name)
{
    meter->more |= meter->in->opens_as_root;
    if (meter->in->opens_as_root)
        jp_log_warning("%s: it came back, for root alone: beginning anew to open it", name);
    else
        jp_log_warning("%s: it came back, and this user may not open it: " JP_REMEDY_PERMISSION, name);
}

static void say(void *context, const struct jp_sampler_note *note)
{
    struct meter *meter = context;
    const struct jp_run *run = &meter->in->plan->run;

    switch (note->what) {
    case JP_NOTE_FAILING:
        jp_log_warning("%s: reading fails (%s); trying less and less often", run->channels[note->channel].name,
                       strerror(note->error));
        break;
    case JP_NOTE_DENIED:
        say_denied(meter, run->channels[note->channel].name);
        break;
    case JP_NOTE_BACK:
        jp_log_info("%s: reading works again", run->channels[note->channel].name);
        break;
    case JP_NOTE_SLOWED:
        jp_log_warning("%s: reading takes %lld ms; read every %lld ms from now on",
                       meter->sampler.sources[note->source].driver->name, (long long)(note->cost_ns / JP_NS_PER_MS),
                       (long long)(note->every_ns / JP_NS_PER_MS));
        break;
    }
}

static void say_written(struct meter *meter, int rc)
{
    if (-rc == meter->said)
        return;
    meter->said = -rc;
    if (rc == 0)
        jp_log_info("the hot spool takes windows again");
    else
        jp_log_warning("%s: %s; windows are added up into a gap meanwhile", meter->in->config->paths_hot,
                       rc != -ENOSPC               ? strerror(-rc)
                       : meter->record.hot.limited ? "the hot spool is full (hot.max_bytes)"
                                                   : "its file system is full");
}

static void say_alive(struct meter *meter)
{
    int64_t now_ns;

    if (!meter->told)
        return;
    now_ns = meter->in->clock->mono_ns(meter->in->clock);
    if (now_ns - meter->alive_at_ns < meter->alive_ns)
        return;
    meter->alive_at_ns = now_ns;
    jp_notify_state(meter->notify_fd, "WATCHDOG=1");
}

// Facts that change ---------------------------------------------------------------------------------
static void quote(const char *text, char *out, size_t size)
{
    snprintf(out, size, text[0] ? "\"%s\"" : "null", text);
}

// What could not be written down is tried again at the next look.
static void tell_mode(struct meter *meter, int id)
{
    struct jp_facts *facts = &meter->in->plan->run.facts;
    char before[JP_NAME_MAX], from[JP_NAME_MAX + 2], to[JP_NAME_MAX + 2], detail[128];

    memcpy(before, facts->power_mode, sizeof before);
    jp_power_mode_name(meter->in->site, &meter->in->plan->board, id, facts->power_mode);
    quote(before, from, sizeof from);
    quote(facts->power_mode, to, sizeof to);
    snprintf(detail, sizeof detail, "{\"from\":%s,\"to\":%s,\"id\":%d}", from, to, id);
    if (jp_record_run(&meter->record) || jp_record_event(&meter->record, "power_mode", "", detail))
        memcpy(facts->power_mode, before, sizeof before);
    else
        meter->mode = id;
}

static void look_around(struct meter *meter)
{
    int64_t now_ms = meter->window.t0_ms + meter->window.span_ms;
    int id;

    if (now_ms - meter->look_ms < LOOK_MS)
        return;
    meter->look_ms = now_ms;
    id = meter->has_modes ? jp_power_mode_id(meter->in->site) : -1;
    if (id >= 0 && id != meter->mode)
        tell_mode(meter, id);
    meter->more |= meter->in->arrivals && jp_arrivals_look(meter->in->arrivals, meter->in->plan);
}

// The loop -----------------------------------------------------------------------------------------
static void append(struct meter *meter)
{
    jp_record_clock(&meter->record);
    say_written(meter, jp_record_window(&meter->record, &meter->window));
    jp_alarms_look(&meter->alarms, &meter->window);
    look_around(meter);
    if (meter->in->pins)
        jp_pins_border(meter->in->pins, jp_answers_well(&meter->answers));
    meter->answers.window_ns = meter->in->clock->mono_ns(meter->in->clock);
}

// The next pass; GPIO edges, and a service manager that listens, are told before it.
static int64_t until(const struct meter *meter)
{
    const struct jp_clock *clock = meter->in->clock;
    int64_t next_ns = jp_sampler_next(&meter->sampler);
    int64_t alive_ns = meter->told ? clock->mono_ns(clock) + meter->alive_ns : INT64_MAX;
    int64_t pins_ns = meter->in->pins ? jp_pins_next(meter->in->pins) : INT64_MAX;

    if (alive_ns < next_ns)
        next_ns = alive_ns;
    return next_ns < pins_ns ? next_ns : pins_ns;
}

static void loop(struct meter *meter)
{
    const struct jp_clock *clock = meter->in->clock;
    struct jp_pins *pins = meter->in->pins;

    while (!*meter->in->stop && !meter->record.gone && !meter->more) {
        unsigned count = jp_control_poll(&meter->control, meter->fds);
        unsigned lines = pins ? jp_pins_poll(pins, meter->fds + count) : 0;
        int ready = clock->wait(clock, meter->fds, count + lines, until(meter));

        if (ready >= 0 && pins)
            jp_pins_serve(pins, meter->fds + count, lines);
        if (ready > 0)
            jp_control_serve(&meter->control, meter->fds, count);
        say_alive(meter);
        if (clock->mono_ns(clock) < jp_sampler_next(&meter->sampler))
            continue;
        if (jp_sampler_pass(&meter->sampler, &meter->window))
            append(meter);
    }
    if (jp_sampler_stop(&meter->sampler, &meter->window))
        append(meter);
    if (!meter->record.gone)
        jp_record_event(&meter->record, "run", "", "{\"action\":\"stop\"}");
}

// The start ----------------------------------------------------------------------------------------
static void plan_sampler(struct meter *meter)
{
    const struct jp_plan *plan = meter->in->plan;
    struct jp_sampler *sampler = &meter->sampler;

    sampler->clock = meter->in->clock;
    sampler->run = &plan->run;
    sampler->seed = meter->in->entropy->u64(meter->in->entropy);
    sampler->note = say;
    sampler->context = meter;
    sampler->source_count = plan->source_count;
    memcpy(sampler->range_uj, plan->range_uj, sizeof sampler->range_uj);
    for (int i = 0; i < plan->source_count; i++) {
        const struct jp_source *from = &plan->sources[i];
        struct jp_sampler_source *to = &sampler->sources[i];

        to->driver = from->driver;
        to->state = from->state;
        to->bus = from->count > 0 ? from->info[0].bus + 1 : 0;
        to->count = from->count;
        memcpy(to->channel, from->channel, sizeof to->channel);
        memcpy(to->gauge, from->gauge, sizeof to->gauge);
    }
    jp_sampler_init(sampler);
    if (!sampler->poll_reachable)
        jp_log_warning("a counter may wrap faster than it can be read; its energy may be too low");
}

static void bridge(struct meter *meter)
{
    const struct jp_run *run = &meter->in->plan->run;
    const struct jp_window *last = &meter->bridge.window;

    for (int i = 0; meter->bridge.known && i < run->channel_count; i++)
        for (int k = 0; k < meter->bridge.run.channel_count && k < last->channel_count; k++)
            if (run->channels[i].kind == JP_ENERGY && last->channels[k].raw_uj >= 0 &&
                strcmp(run->channels[i].name, meter->bridge.run.channels[k].name) == 0)
                jp_sampler_bridge(&meter->sampler, i, last->channels[k].raw_uj, last->t0_ms + last->span_ms);
}

static int open_record(struct meter *meter)
{
    struct jp_record *record = &meter->record;
    const struct jp_config *config = meter->in->config;
    int rc = jp_fs_make_dirs(meter->in->fs, config->paths_hot, 02770); // post unlinks there what meter wrote

    record->clock = meter->in->clock;
    record->fs = meter->in->fs;
    record->run = &meter->in->plan->run;
    record->dir = config->paths_hot;
    record->max_bytes = config->hot_max_bytes;
    record->notify_fd = meter->notify_fd;
    if (rc >= 0)
        rc = jp_record_open(record, meter->in->entropy, &meter->bridge);
    if (rc)
        jp_log_error("%s: %s%s", config->paths_hot, strerror(-rc),
                     rc == -ENOSPC ? "; make room on its file system, or set paths.hot to a folder of another tmpfs"
                                   : "");
    return rc;
}

static void open_control(struct meter *meter)
{
    int rc = jp_control_open(&meter->control, meter->in->config->paths_hot);

    if (rc)
        jp_log_warning("%s/control: %s; top and task will not work", meter->in->config->paths_hot, strerror(-rc));
    meter->answers.run = &meter->in->plan->run;
    meter->answers.sampler = &meter->sampler;
    meter->answers.record = &meter->record;
    meter->answers.clock = meter->in->clock;
    meter->answers.window = &meter->window;
    meter->answers.pins = meter->in->pins;
    meter->control.answer = jp_answers_give;
    meter->control.context = &meter->answers;
}

static void begin_pins(struct meter *meter)
{
    struct jp_pins *pins = meter->in->pins;

    if (!pins)
        return;
    pins->record = &meter->record;
    pins->sampler = &meter->sampler;
    jp_pins_begin(pins);
}

static void begin(struct meter *meter)
{
    const char *watchdog = getenv("WATCHDOG_USEC");
    int64_t asked_us = watchdog ? strtoll(watchdog, NULL, 10) / 3 : 0;

    meter->told = jp_notify_wanted();
    meter->alive_ns = asked_us > 0 && asked_us < ALIVE_NS / 1000 ? asked_us * 1000 : ALIVE_NS;
    plan_sampler(meter);
    jp_alarms_init(&meter->alarms, meter->in->plan, &meter->record);
    meter->mode = meter->in->plan->power_mode;
    meter->has_modes = meter->in->site && !jp_site_is_trace(meter->in->site) && jp_power_mode_here(meter->in->site);
    bridge(meter);
    jp_sampler_start(&meter->sampler);
    meter->answers.window_ns = meter->in->clock->mono_ns(meter->in->clock);
    jp_record_event(&meter->record, "run", "", "{\"action\":\"start\",\"version\":\"" JOULEPOST_VERSION "\"}");
    begin_pins(meter);
    jp_notify_state(meter->notify_fd, "READY=1");
}

int jp_metering_run(const struct jp_metering *metering)
{
    struct meter *meter = calloc(1, sizeof *meter);
    int rc;

    if (!meter)
        return -ENOMEM;
    meter->in = metering;
    meter->notify_fd = jp_notify_open();
    rc = open_record(meter);
    if (rc == 0) {
        open_control(meter);
        begin(meter);
        loop(meter);
        if (meter->more) {
            jp_log_info("more sensors are here: beginning a new run with them");
            rc = JP_METERING_MORE;
        } else {
            jp_notify_state(meter->notify_fd, "STOPPING=1");
        }
        if (meter->record.gone) {
            jp_log_error("%s was emptied or removed: beginning anew", metering->config->paths_hot);
            rc = -ESTALE;
        }
        jp_control_close(&meter->control);
        jp_record_close(&meter->record);
    }
    if (meter->notify_fd >= 0)
        jp_notify_close(meter->notify_fd);
    free(meter);
    return rc;
}
