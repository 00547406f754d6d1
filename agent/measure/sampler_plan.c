// SPDX-License-Identifier: Apache-2.0
// How often to read what: the schedule, from periods, wrap times and what reads cost.
#include "sampler_parts.h"

#define HOLE_MIN_NS (2 * JP_NS_PER_S)

static bool has_power(const struct jp_sampler *sampler, const struct jp_sampler_source *source)
{
    for (int i = 0; i < source->count; i++)
        if (source->channel[i] >= 0 && sampler->run->channels[source->channel[i]].kind == JP_POWER)
            return true;
    return false;
}

// A model's reading is a mean since the one before: jitter has nothing to catch there.
static bool wants_jitter(const struct jp_sampler *sampler, const struct jp_sampler_source *source)
{
    for (int i = 0; i < source->count; i++) {
        const struct jp_run_channel *channel =
            source->channel[i] < 0 ? NULL : &sampler->run->channels[source->channel[i]];

        if (channel && channel->kind == JP_POWER && channel->method == JP_MEASURED)
            return true;
    }
    return false;
}

static void plan_polls(struct jp_sampler *sampler)
{
    sampler->poll_ns = sampler->window_ns;
    for (int i = 0; i < sampler->run->channel_count; i++) {
        int64_t poll_ns = jp_integrator_poll_ns(&sampler->tracks[i].integrator);

        if (poll_ns > 0)
            sampler->poll_ns = jp_earlier(sampler->poll_ns, poll_ns);
    }
    sampler->poll_reachable = sampler->poll_ns >= JP_POLL_MIN_NS;
    sampler->poll_ns = jp_later(sampler->poll_ns, JP_POLL_MIN_NS);
}

static void plan_ticks(struct jp_sampler *sampler)
{
    int64_t interval_ns = sampler->run->interval_ms * JP_NS_PER_MS;

    plan_polls(sampler);
    if (!sampler->jitters) {
        // Whole ticks a window: a pass falls on every border.
        int64_t want_ns = sampler->poll_ns;

        for (int i = 0; i < sampler->source_count; i++)
            if (has_power(sampler, &sampler->sources[i]))
                want_ns = jp_earlier(want_ns, sampler->sources[i].every_ns);
        sampler->tick_ns = sampler->window_ns / ((sampler->window_ns + want_ns - 1) / want_ns);
        return;
    }
    sampler->tick_ns = interval_ns;
    if (sampler->poll_ns < sampler->window_ns) // two jittered instants lie up to two ticks apart
        sampler->tick_ns = jp_later(jp_earlier(interval_ns, sampler->poll_ns / 2), JP_POLL_MIN_NS / 2);
}

static void plan_source(struct jp_sampler *sampler, struct jp_sampler_source *source)
{
    int64_t interval_ns = sampler->run->interval_ms * JP_NS_PER_MS;
    int64_t min_ns = source->driver->min_period_ms * JP_NS_PER_MS;

    source->every_ns = jp_later(interval_ns, min_ns);
    source->cost_ns = INT64_MAX;
    source->reads = 0;
    source->slack_ns = 0;
    for (int i = 0; i < source->count; i++) {
        int channel = source->channel[i];

        if (channel < 0)
            continue;
        jp_track_init(&sampler->tracks[channel], &sampler->run->channels[channel], sampler->range_uj[channel],
                      jp_later(3 * source->every_ns, HOLE_MIN_NS));
        sampler->tracks[channel].due_ns =
            sampler->run->channels[channel].kind == JP_POWER ? source->every_ns : sampler->window_ns;
    }
}

void jp_sampler_init(struct jp_sampler *sampler)
{
    sampler->window_ns = sampler->run->window_ms * JP_NS_PER_MS;
    sampler->jitters = false;
    for (int i = 0; i < sampler->source_count; i++) {
        plan_source(sampler, &sampler->sources[i]);
        sampler->jitters |= wants_jitter(sampler, &sampler->sources[i]);
    }
    plan_ticks(sampler);
    // A chip of seven slow words is still no hole for the others.
    sampler->slow_ns = jp_earlier(sampler->tick_ns, jp_later(3 * sampler->tick_ns, HOLE_MIN_NS) / 8);
    jp_jitter_seed(&sampler->jitter, sampler->seed);
    for (int i = 0; i < JP_GAUGES_MAX; i++)
        sampler->gauges[i] = INT64_MIN;
}

// The cost is the cheapest of the first reads: the very first may wait for a cold path.
void jp_sampler_weigh(struct jp_sampler *sampler, struct jp_sampler_source *source, int64_t cost_ns)
{
    struct jp_sampler_note note = {.what = JP_NOTE_SLOWED, .source = (int)(source - sampler->sources)};
    int64_t times;

    source->cost_ns = jp_earlier(source->cost_ns, cost_ns);
    if (++source->reads != 3 || source->cost_ns <= source->every_ns / 4 || !has_power(sampler, source))
        return;
    times = (4 * source->cost_ns + source->every_ns - 1) / source->every_ns;
    source->every_ns *= times;
    for (int i = 0; i < source->count; i++)
        if (source->channel[i] >= 0)
            sampler->tracks[source->channel[i]].integrator.hole_ns = jp_later(3 * source->every_ns, HOLE_MIN_NS);
    note.cost_ns = source->cost_ns;
    note.every_ns = source->every_ns;
    if (sampler->note)
        sampler->note(sampler->context, &note);
}
