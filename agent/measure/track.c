// SPDX-License-Identifier: Apache-2.0
// Coverage tiles: every nanosecond of a window is covered, or lies in a hole that has a cause.
#include "track.h"

#include "clock.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PPM 1000000LL
#define COUNTER_SLACK_NS (2 * JP_NS_PER_MS) // a RAPL counter moves about once a millisecond

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void begin_window(struct jp_track *track, int64_t start_ns)
{
    track->start_ns = start_ns;
    track->start_mj = jp_floor_div(track->integrator.total_uj, 1000);
    track->covered_ns = 0;
    track->cause = JP_CAUSE_NONE;
    track->sum_mv = track->sum_ma = 0;
    track->peak_uw = INT64_MIN;
    track->electric = track->samples = 0;
}

void jp_track_init(struct jp_track *track, const struct jp_run_channel *channel, int64_t range_uj, int64_t hole_ns)
{
    int64_t scale_ppm = llround(channel->scale * (double)PPM);
    bool counter = channel->kind == JP_ENERGY;

    memset(track, 0, sizeof *track);
    jp_integrator_init(&track->integrator, channel->kind, counter ? channel->max_uw : 0);
    track->integrator.range_uj = range_uj;
    track->integrator.hole_ns = hole_ns;
    track->integrator.scale_ppm = track->scale_ppm = scale_ppm;
    track->offset_uw = channel->offset_uw;
    track->raw_uj = -1;
    begin_window(track, 0);
}

static void grave(struct jp_track *track, enum jp_cause cause)
{
    if (cause > track->cause)
        track->cause = cause;
}

int64_t jp_track_backoff_ns(int64_t period_ns, int doublings)
{
    while (doublings-- > 0 && period_ns < JP_BACKOFF_MAX_NS)
        period_ns *= 2;
    return period_ns < JP_BACKOFF_MAX_NS ? period_ns : JP_BACKOFF_MAX_NS;
}

// What was read and is denied now was opened by somebody else than may open it again.
static enum jp_edge fail(struct jp_track *track, int error, int64_t now_ns)
{
    bool denied = error == EACCES && track->integrator.started && !track->denied;

    track->pass = JP_PASS_MISSING;
    track->errors++;
    track->fails++;
    if (track->fails >= 3)
        track->retry_ns = now_ns + jp_track_backoff_ns(track->due_ns, track->fails - 2);
    if (!denied && (track->fails < 3 || track->reported))
        return JP_EDGE_NONE;
    track->reported = true;
    track->denied |= denied;
    return denied ? JP_EDGE_DENIED : JP_EDGE_FAILING;
}

static int64_t calibrated(const struct jp_track *track, int64_t uw)
{
    if (uw > JP_POWER_MAX_UW || uw < -JP_POWER_MAX_UW)
        return uw; // implausible as it is
    return uw / PPM * track->scale_ppm + uw % PPM * track->scale_ppm / PPM + track->offset_uw;
}

enum jp_edge jp_track_reading(struct jp_track *track, const struct jp_reading *reading, const struct jp_sample *stamp)
{
    bool counter = track->integrator.kind == JP_ENERGY, was_reported = track->reported;

    if (reading->state == JP_MISSING)
        return fail(track, reading->error, stamp->t_ns);
    if (reading->state != JP_GOOD) {
        track->pass = JP_PASS_LEFT;
        return JP_EDGE_NONE;
    }
    track->pass = JP_PASS_GOOD;
    track->sample = *stamp;
    track->sample.value = counter ? reading->value : calibrated(track, reading->value);
    track->sample.asleep_ns -= track->asleep_seen_ns;
    track->sample.slack_ns += COUNTER_SLACK_NS;
    track->mv = counter ? INT32_MIN : reading->mv;
    track->ma = counter ? INT32_MIN : reading->ma;
    track->reported = track->denied = false;
    return was_reported ? JP_EDGE_BACK : JP_EDGE_NONE;
}

void jp_track_slow(struct jp_track *track, int64_t now_ns, int64_t period_ns)
{
    track->slow = true;
    track->slows++;
    track->retry_ns = now_ns + jp_track_backoff_ns(period_ns, track->slows);
}

static enum jp_cause hole_cause(const struct jp_track *track)
{
    if (track->sample.asleep_ns > 0)
        return JP_CAUSE_SUSPEND;
    return track->fails > 0 || track->slows > 0 || track->left ? JP_CAUSE_READ_ERROR : JP_CAUSE_STALL;
}

// Adds to the integrator; `from_ns` to `to_ns` is the time this covers if it adds.
static void add(struct jp_track *track, const struct jp_sample *sample, int64_t from_ns, int64_t to_ns)
{
    switch (jp_integrator_add(&track->integrator, sample)) {
    case JP_ADDED:
    case JP_WRAPPED:
        track->covered_ns += max64(to_ns - from_ns, 0);
        break;
    case JP_RESET:
        grave(track, JP_CAUSE_RESET);
        break;
    case JP_IMPLAUSIBLE:
        grave(track, JP_CAUSE_IMPLAUSIBLE);
        break;
    case JP_HOLE:
        grave(track, hole_cause(track));
        break;
    case JP_FIRST:
        break;
    }
}

// A bridge that failed lies before all windows. The first one tells of it, by a millisecond without coverage.
static void tell_failed_bridge(struct jp_track *track, int64_t upto_ns)
{
    if (upto_ns <= track->start_ns && track->cause >= JP_CAUSE_RESET)
        track->covered_ns = -JP_NS_PER_MS;
}

static void take_counter(struct jp_track *track, int64_t upto_ns)
{
    add(track, &track->sample, max64(track->upto_ns, track->start_ns), upto_ns);
    tell_failed_bridge(track, upto_ns);
    track->upto_ns = upto_ns;
    track->raw_uj = track->integrator.value;
    track->pass = JP_PASS_NOT_DUE; // taken
}

// The line from the last sample to this one is known at the border: two lines instead of one.
static void split_power(struct jp_track *track, int64_t at_ns, int64_t value)
{
    struct jp_sample border = {.t_ns = at_ns, .value = value, .between = true};

    add(track, &border, track->integrator.t_ns, at_ns);
}

// After a border without a sample the line may begin only there: the piece before it belongs to a closed window.
static void cut_line(struct jp_track *track)
{
    struct jp_integrator *it = &track->integrator;

    if (track->cut_ns <= it->t_ns || !jp_integrator_joins(it, &track->sample))
        return;
    it->value = jp_integrator_at(it, &track->sample, track->cut_ns);
    it->t_ns = track->cut_ns;
}

// No labs(): the least value has none.
static bool is_wild(const struct jp_track *track)
{
    return track->sample.value > track->integrator.limit_uw || track->sample.value < -track->integrator.limit_uw;
}

// Nothing speaks against the last value: its time had not come, or another's transfer took it. How old it may be, the
// integrator knows.
static bool holds(const struct jp_track *track)
{
    return (track->pass == JP_PASS_NOT_DUE || track->pass == JP_PASS_LEFT) && track->cut_ns <= track->integrator.t_ns;
}

static void power_to_border(struct jp_track *track, const struct jp_border *border)
{
    struct jp_sample held = {.t_ns = border->at_ns, .asleep_ns = border->asleep_ns - track->asleep_seen_ns};
    bool good = track->pass == JP_PASS_GOOD, wild = good && is_wild(track);

    if (good && !wild && jp_integrator_joins(&track->integrator, &track->sample)) {
        cut_line(track);
        split_power(track, border->at_ns, jp_integrator_at(&track->integrator, &track->sample, border->at_ns));
        return;
    }
    if (holds(track) && jp_integrator_joins(&track->integrator, &held)) {
        split_power(track, border->at_ns, track->integrator.value);
        return;
    }
    track->cut_ns = border->at_ns;
    if (wild)
        grave(track, JP_CAUSE_IMPLAUSIBLE);
    else if (good && track->integrator.started)
        grave(track, hole_cause(track));
    else
        grave(track, JP_CAUSE_READ_ERROR);
}

static void close_window(const struct jp_track *track, const struct jp_border *border, struct jp_window_channel *out)
{
    int64_t run_mj = jp_floor_div(track->integrator.total_uj, 1000);
    int64_t covered_ms = max64(track->covered_ns, 0) / JP_NS_PER_MS; // below zero after a bridge that failed alone

    if (track->covered_ns >= border->span_ns || covered_ms > border->span_ms)
        covered_ms = border->span_ms;
    *out = (struct jp_window_channel){
        .mj = run_mj - track->start_mj,
        .run_mj = run_mj,
        .covered_ms = (int32_t)(covered_ms < INT32_MAX ? covered_ms : INT32_MAX),
        .cause = covered_ms < border->span_ms ? track->cause : JP_CAUSE_NONE,
        .raw_uj = track->raw_uj,
        .mv = track->electric ? (int32_t)(track->sum_mv / track->electric) : INT32_MIN,
        .ma = track->electric ? (int32_t)(track->sum_ma / track->electric) : INT32_MIN,
        .peak_mw = track->samples ? jp_floor_div(track->peak_uw, 1000) : INT64_MIN,
    };
    out->known = track->covered_ns > 0 || out->mj != 0;
    if (covered_ms < border->span_ms && out->cause == JP_CAUSE_NONE)
        out->cause = JP_CAUSE_READ_ERROR;
}

void jp_track_border(struct jp_track *track, const struct jp_border *border, struct jp_window_channel *out)
{
    int64_t at_ns = border->at_ns + border->asleep_ns;

    if (track->integrator.kind == JP_POWER)
        power_to_border(track, border);
    else if (track->pass == JP_PASS_GOOD)
        jp_track_take(track, border->asleep_ns + border->at_ns - track->sample.t_ns);
    else
        grave(track, JP_CAUSE_READ_ERROR);
    close_window(track, border, out);
    begin_window(track, at_ns);
}

static void take_power(struct jp_track *track)
{
    if (!is_wild(track)) {
        cut_line(track);
        track->peak_uw = max64(track->peak_uw, track->sample.value);
        track->samples++;
    }
    if (track->mv != INT32_MIN && track->ma != INT32_MIN) {
        track->sum_mv += track->mv;
        track->sum_ma += track->ma;
        track->electric++;
    }
    add(track, &track->sample, track->integrator.t_ns, track->sample.t_ns);
}

void jp_track_take(struct jp_track *track, int64_t asleep_ns)
{
    if (track->pass == JP_PASS_MISSING)
        grave(track, JP_CAUSE_READ_ERROR);
    track->left |= track->pass == JP_PASS_LEFT;
    if (track->pass != JP_PASS_GOOD)
        return;
    if (track->integrator.kind == JP_ENERGY)
        take_counter(track, track->sample.t_ns + asleep_ns);
    else
        take_power(track);
    track->asleep_seen_ns += track->sample.asleep_ns;
    track->fails = 0;
    track->left = false;
    if (!track->slow)
        track->slows = 0;
    track->slow = false;
}

void jp_track_begin(struct jp_track *track, int64_t start_ns)
{
    begin_window(track, start_ns);
}
