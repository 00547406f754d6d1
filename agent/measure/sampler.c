// SPDX-License-Identifier: Apache-2.0
// One pass: find the border, read what is due, close the window, take the samples.
#include "sampler_parts.h"

#include <assert.h>
#include <string.h>

#define SUSPEND_MIN_NS (100 * JP_NS_PER_MS) // less is the two clocks read one after the other, or a slew

// Time -------------------------------------------------------------------------------------------
static int64_t mono(const struct jp_sampler *sampler)
{
    return sampler->clock->mono_ns(sampler->clock);
}

static int64_t sleep_clock(const struct jp_sampler *sampler, int64_t now_ns)
{
    return sampler->clock->boot_ns(sampler->clock) - now_ns;
}

static void schedule(struct jp_sampler *sampler)
{
    int64_t now_tick = (mono(sampler) - sampler->origin_ns) / sampler->tick_ns;

    sampler->tick++;
    if (now_tick > sampler->tick) { // whole ticks went by
        sampler->late_ticks += now_tick - sampler->tick;
        sampler->tick = now_tick;
    }
    sampler->next_ns = sampler->origin_ns + sampler->tick * sampler->tick_ns;
    if (sampler->jitters)
        sampler->next_ns += (int64_t)jp_jitter_next(&sampler->jitter, (uint64_t)sampler->tick_ns);
}

static void begin_pass(struct jp_sampler *sampler)
{
    int64_t asleep_ns;

    sampler->pass_ns = mono(sampler);
    asleep_ns = sleep_clock(sampler, sampler->pass_ns) - sampler->sleep_base_ns;
    if (asleep_ns - sampler->asleep_ns > SUSPEND_MIN_NS)
        sampler->asleep_ns = asleep_ns;
}

// Reading ----------------------------------------------------------------------------------------
// Asked after each transfer: how long did that one take?
static bool is_late(void *context)
{
    struct jp_sampler *sampler = context;
    int64_t now_ns = mono(sampler);

    sampler->transfers++;
    if (now_ns - sampler->transfer_ns > sampler->slow_ns)
        sampler->slow = true;
    sampler->transfer_ns = now_ns;
    return sampler->slow;
}

// Without jitter passes lie a whole tick apart but for the wake-up's own lateness.
static bool powers_due(const struct jp_sampler *sampler, const struct jp_sampler_source *source)
{
    int64_t slack_ns = sampler->jitters ? 0 : sampler->tick_ns / 4;

    return source->every_ns <= sampler->tick_ns || sampler->pass_ns - source->last_ns >= source->every_ns - slack_ns;
}

// Counted from border to border: passes lie up to a tick behind theirs.
static bool gauges_due(const struct jp_sampler *sampler, const struct jp_sampler_source *source)
{
    return sampler->first || (sampler->border_due &&
                              sampler->passed_ns - source->gauges_ns >= source->driver->min_period_ms * JP_NS_PER_MS);
}

static bool is_due(const struct jp_sampler *sampler, const struct jp_sampler_source *source, int index)
{
    const struct jp_track *track;

    if (sampler->first)
        return true;
    if (source->channel[index] < 0)
        return gauges_due(sampler, source);
    track = &sampler->tracks[source->channel[index]];
    if (track->integrator.kind == JP_ENERGY)
        return sampler->border_due || sampler->poll_ns < sampler->window_ns;
    return powers_due(sampler, source);
}

// Marks what this pass reads; true when there is anything.
static bool want(struct jp_sampler *sampler, const struct jp_sampler_source *source)
{
    bool any = false;

    for (int i = 0; i < source->count; i++) {
        struct jp_track *track = source->channel[i] < 0 ? NULL : &sampler->tracks[source->channel[i]];
        bool due = (track || source->gauge[i] >= 0) && is_due(sampler, source, i);
        bool resting = sampler->pass_ns < (track ? track->retry_ns : source->gauges_retry_ns);
        bool wanted = due && !resting && !source->waits;

        sampler->readings[i] =
            (struct jp_reading){.state = wanted ? JP_WANTED : JP_SKIPPED, .mv = INT32_MIN, .ma = INT32_MIN};
        if (track)
            track->pass = !due ? JP_PASS_NOT_DUE : resting ? JP_PASS_SKIPPED : JP_PASS_LEFT;
        else if (due)
            sampler->gauges[source->gauge[i]] = INT64_MIN; // until it is read
        any |= wanted;
    }
    return any;
}

static void tell_edge(const struct jp_sampler *sampler, enum jp_edge edge, int channel, int error)
{
    struct jp_sampler_note note = {.what = JP_NOTE_FAILING, .channel = channel, .error = error};

    if (edge == JP_EDGE_DENIED)
        note.what = JP_NOTE_DENIED;
    else if (edge == JP_EDGE_BACK)
        note.what = JP_NOTE_BACK;
    if (edge != JP_EDGE_NONE && sampler->note)
        sampler->note(sampler->context, &note);
}

static void keep(struct jp_sampler *sampler, const struct jp_sampler_source *source, int64_t end_ns)
{
    int64_t begin_ns = sampler->read_ns, middle_ns = begin_ns + (end_ns - begin_ns) / 2;
    struct jp_sample stamp = {.slack_ns = source->slack_ns + end_ns - begin_ns, .asleep_ns = sampler->asleep_ns};

    for (int i = 0; i < source->count; i++) {
        const struct jp_reading *reading = &sampler->readings[i];
        int channel = source->channel[i], gauge = source->gauge[i];
        enum jp_edge edge;

        if (gauge >= 0 && reading->state == JP_GOOD)
            sampler->gauges[gauge] = reading->value;
        if (channel < 0 || reading->state == JP_SKIPPED)
            continue;
        stamp.t_ns = sampler->run->channels[channel].kind == JP_POWER ? middle_ns : begin_ns;
        stamp.t_ns = jp_earlier(stamp.t_ns, sampler->limit_ns);
        edge = jp_track_reading(&sampler->tracks[channel], reading, &stamp);
        tell_edge(sampler, edge, channel, reading->error);
    }
}

static bool answered(const struct jp_reading *reading)
{
    return reading->state == JP_GOOD || reading->state == JP_MISSING;
}

// Nothing tells whose transfer it was. Drivers read gauges first.
static void blame_all(struct jp_sampler *sampler, struct jp_sampler_source *source)
{
    int64_t every_ns = jp_later(sampler->window_ns, source->driver->min_period_ms * JP_NS_PER_MS); // of gauges
    bool gauges = false;

    for (int i = 0; i < source->count; i++)
        gauges |= source->channel[i] < 0 && sampler->readings[i].state != JP_SKIPPED;
    if (gauges)
        source->gauges_retry_ns = sampler->pass_ns + jp_track_backoff_ns(every_ns, ++source->gauges_slow);
    for (int i = 0; i < source->count && !gauges; i++)
        if (sampler->readings[i].state == JP_WANTED)
            jp_track_slow(&sampler->tracks[source->channel[i]], sampler->pass_ns, sampler->tick_ns);
}

// The transfer that took so long is the last that was made: of one channel, or where it is the only one, of all that
// were answered.
static void blame(struct jp_sampler *sampler, struct jp_sampler_source *source)
{
    bool found = false;

    sampler->last_bus = source->bus;
    for (int i = 0; i < sampler->source_count; i++)
        sampler->sources[i].waits |= source->bus > 0 && sampler->sources[i].bus == source->bus;
    sampler->first_source = (int)(source - sampler->sources + 1) % sampler->source_count;
    for (int i = source->count - 1; i >= 0 && (!found || sampler->transfers <= 1); i--) {
        if (source->channel[i] < 0 || !answered(&sampler->readings[i]))
            continue;
        jp_track_slow(&sampler->tracks[source->channel[i]], sampler->pass_ns, sampler->tick_ns);
        found = true;
    }
    if (!found)
        blame_all(sampler, source);
}

static void read_source(struct jp_sampler *sampler, struct jp_sampler_source *source)
{
    struct jp_pass pass = {.readings = sampler->readings, .late = is_late, .context = sampler};
    int64_t end_ns;
    bool powers = sampler->first || powers_due(sampler, source);
    bool gauges = gauges_due(sampler, source);

    if (!want(sampler, source))
        return;
    sampler->read_ns = sampler->transfer_ns = pass.t_ns = mono(sampler);
    sampler->slow = false;
    sampler->transfers = 0;
    source->driver->read(source->state, &pass);
    end_ns = mono(sampler);
    if (powers)
        source->last_ns = sampler->pass_ns;
    if (gauges)
        source->gauges_ns = sampler->passed_ns;
    keep(sampler, source, end_ns);
    if (sampler->slow || end_ns - sampler->transfer_ns > sampler->slow_ns)
        blame(sampler, source);
    else if (gauges)
        source->gauges_slow = 0;
    source->slack_ns = end_ns - sampler->read_ns;
    if (source->reads < 3)
        jp_sampler_weigh(sampler, source, source->slack_ns);
}

static void read_all(struct jp_sampler *sampler)
{
    int first = sampler->first_source, last_bus = sampler->last_bus, count = sampler->source_count;

    for (int i = 0; i < count; i++)
        sampler->sources[i].waits = false;
    for (int i = 0; i < 2 * count; i++) {
        struct jp_sampler_source *source = &sampler->sources[(first + i) % count];

        if ((last_bus > 0 && source->bus == last_bus) == (i >= count))
            read_source(sampler, source);
    }
}

static void take_all(struct jp_sampler *sampler)
{
    for (int i = 0; i < sampler->run->channel_count; i++)
        jp_track_take(&sampler->tracks[i], sampler->asleep_ns);
}

// Windows ----------------------------------------------------------------------------------------
static void close_window(struct jp_sampler *sampler, int64_t at_ns, struct jp_window *window)
{
    int64_t sleep_ms = sampler->asleep_ns / JP_NS_PER_MS;
    struct jp_border border = {.at_ns = at_ns, .asleep_ns = sampler->asleep_ns};

    border.span_ms = (at_ns - sampler->border_ns) / JP_NS_PER_MS + sleep_ms - sampler->told_sleep_ns / JP_NS_PER_MS;
    border.span_ns = at_ns - sampler->border_ns + sampler->asleep_ns - sampler->told_sleep_ns;
    window->run = sampler->run->id;
    window->seq = sampler->seq++;
    window->t0_ms = sampler->t0_ms;
    window->span_ms = border.span_ms;
    window->late_ticks = sampler->late_ticks;
    window->channel_count = sampler->run->channel_count;
    for (int i = 0; i < window->channel_count; i++)
        jp_track_border(&sampler->tracks[i], &border, &window->channels[i]);
    window->gauge_count = sampler->run->gauge_count;
    memcpy(window->gauges, sampler->gauges, (size_t)window->gauge_count * sizeof window->gauges[0]);
    sampler->told_sleep_ns = sampler->asleep_ns;
    sampler->t0_ms += border.span_ms;
    sampler->border_ns = at_ns;
}

void jp_sampler_bridge(struct jp_sampler *sampler, int channel, int64_t raw_uj, int64_t boot_ms)
{
    struct jp_integrator *it = &sampler->tracks[channel].integrator;
    int64_t now_ns = mono(sampler);
    int64_t since_ns = now_ns + sleep_clock(sampler, now_ns) - boot_ms * JP_NS_PER_MS;

    assert(it->kind == JP_ENERGY);
    if (raw_uj < 0 || since_ns < 0)
        return;
    it->started = true;
    it->value = raw_uj;
    it->t_ns = now_ns - since_ns;
}

void jp_sampler_start(struct jp_sampler *sampler)
{
    int64_t now_ns = mono(sampler);

    sampler->origin_ns = sampler->border_ns = now_ns;
    sampler->sleep_base_ns = sleep_clock(sampler, now_ns);
    sampler->t0_ms = (now_ns + sampler->sleep_base_ns) / JP_NS_PER_MS;
    sampler->limit_ns = sampler->passed_ns = now_ns; // the first samples stand at the start
    for (int i = 0; i < sampler->run->channel_count; i++)
        jp_track_begin(&sampler->tracks[i], now_ns);
    sampler->first = true;
    begin_pass(sampler);
    read_all(sampler);
    take_all(sampler);
    sampler->first = false;
    schedule(sampler);
}

bool jp_sampler_pass(struct jp_sampler *sampler, struct jp_window *window)
{
    int64_t windows;

    begin_pass(sampler);
    windows = (sampler->pass_ns - sampler->border_ns) / sampler->window_ns;
    sampler->border_due = windows > 0;
    sampler->passed_ns = sampler->border_ns + windows * sampler->window_ns;
    sampler->limit_ns = sampler->passed_ns + sampler->window_ns;
    read_all(sampler);
    if (sampler->border_due)
        close_window(sampler, sampler->passed_ns, window);
    take_all(sampler);
    schedule(sampler);
    return sampler->border_due;
}

bool jp_sampler_stop(struct jp_sampler *sampler, struct jp_window *window)
{
    begin_pass(sampler);
    if (sampler->pass_ns - sampler->border_ns < JP_NS_PER_MS)
        return false;
    sampler->border_due = true;
    sampler->limit_ns = sampler->passed_ns = sampler->pass_ns;
    read_all(sampler);
    close_window(sampler, sampler->pass_ns, window);
    return true;
}
