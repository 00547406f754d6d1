// SPDX-License-Identifier: Apache-2.0
// Trapezoids and counter differences, exact in 64 bits.
#include "integrator.h"

#include "clock.h"
#include "limits.h"

#include <assert.h>

#define PPM 1000000LL

int64_t jp_floor_div(int64_t numerator, int64_t divisor)
{
    return numerator / divisor - (numerator % divisor < 0);
}

static int64_t floor_mod(int64_t numerator, int64_t divisor)
{
    return numerator - jp_floor_div(numerator, divisor) * divisor;
}

void jp_integrator_init(struct jp_integrator *integrator, enum jp_kind kind, int64_t limit_uw)
{
    int64_t fallback_uw = kind == JP_ENERGY ? JP_PACKAGE_MAX_UW : JP_POWER_MAX_UW;

    *integrator = (struct jp_integrator){.kind = kind, .scale_ppm = PPM};
    integrator->limit_uw = limit_uw <= 0 ? fallback_uw : limit_uw < JP_POWER_MAX_UW ? limit_uw : JP_POWER_MAX_UW;
}

// uW over a time, in uJ (rounded down) and what is left in uW*ns (0 to 1e9 - 1). The product itself may
// need 80 bits, so it is taken in parts: whole seconds, then whole watts of the rest of a second (at most
// 2e6 W x 1e9 ns = 2e15), then the rest of a watt (1e6 x 1e9 = 1e15).
static int64_t product(int64_t uw, int64_t dt_ns, int64_t *left)
{
    int64_t s = dt_ns / JP_NS_PER_S, ns = dt_ns % JP_NS_PER_S;
    int64_t w = jp_floor_div(uw, PPM), part_uw = floor_mod(uw, PPM);
    int64_t low = floor_mod(w * ns, 1000) * PPM + part_uw * ns; // uW*ns

    *left = low % JP_NS_PER_S;
    return uw * s + jp_floor_div(w * ns, 1000) + low / JP_NS_PER_S;
}

// (p0 + p1) / 2 x dt: the sum is integrated, so all is counted in halves.
static void add_trapezoid(struct jp_integrator *integrator, int64_t sum_uw, int64_t dt_ns)
{
    int64_t left, halves = product(sum_uw, dt_ns, &left);

    integrator->total_uj += jp_floor_div(halves, 2);
    integrator->rest += floor_mod(halves, 2) * JP_NS_PER_S + left;
    integrator->total_uj += integrator->rest / (2 * JP_NS_PER_S);
    integrator->rest %= 2 * JP_NS_PER_S;
}

bool jp_integrator_joins(const struct jp_integrator *integrator, const struct jp_sample *next)
{
    return integrator->started && next->asleep_ns == 0 && next->t_ns - integrator->seen_ns <= integrator->hole_ns;
}

static enum jp_verdict add_power(struct jp_integrator *integrator, const struct jp_sample *sample)
{
    enum jp_verdict verdict = JP_FIRST;

    if (sample->value > integrator->limit_uw || sample->value < -integrator->limit_uw)
        return JP_IMPLAUSIBLE;
    if (jp_integrator_joins(integrator, sample)) {
        add_trapezoid(integrator, integrator->value + sample->value, sample->t_ns - integrator->t_ns);
        verdict = JP_ADDED;
    } else if (integrator->started) {
        verdict = JP_HOLE;
    }
    return verdict;
}

// The most a counter can have gone on in a time.
static bool plausible(const struct jp_integrator *integrator, int64_t step_uj, int64_t dt_ns)
{
    int64_t left;

    if (dt_ns / JP_NS_PER_S >= INT64_MAX / 2 / integrator->limit_uw)
        return true;
    return step_uj <= product(integrator->limit_uw, dt_ns, &left);
}

// May the counter have gone round once more than the step shows? Then nobody knows what was used.
static bool ambiguous(const struct jp_integrator *integrator, int64_t step_uj, int64_t dt_ns)
{
    int64_t range_uj = integrator->range_uj;

    if (range_uj <= 0 || integrator->value > range_uj || step_uj > INT64_MAX - 1 - range_uj)
        return false;
    return plausible(integrator, step_uj + range_uj + 1, dt_ns);
}

static void add_step(struct jp_integrator *integrator, int64_t step_uj)
{
    int64_t low = step_uj % PPM * integrator->scale_ppm + integrator->rest;

    integrator->total_uj += step_uj / PPM * integrator->scale_ppm + low / PPM;
    integrator->rest = low % PPM;
}

// After a suspend a counter may have gone on (suspend to idle) or begun again (suspend to RAM). A step
// forward is believed over all the time; a wrap only over the time awake, else the hours slept would make
// any step back plausible.
static enum jp_verdict add_energy(struct jp_integrator *integrator, const struct jp_sample *sample)
{
    int64_t step_uj = sample->value - integrator->value;
    int64_t awake_ns = sample->t_ns - integrator->t_ns + sample->slack_ns;

    if (!integrator->started)
        return JP_FIRST;
    if (step_uj >= 0) {
        if (!plausible(integrator, step_uj, awake_ns + sample->asleep_ns))
            return JP_IMPLAUSIBLE;
        if (ambiguous(integrator, step_uj, awake_ns))
            return JP_RESET;
        add_step(integrator, step_uj);
        return JP_ADDED;
    }
    if (integrator->range_uj < integrator->value)
        return JP_RESET;
    step_uj = step_uj + integrator->range_uj + 1; // it holds range + 1 different values: after `range` comes 0
    if (!plausible(integrator, step_uj, awake_ns) || ambiguous(integrator, step_uj, awake_ns))
        return JP_RESET;
    add_step(integrator, step_uj);
    return JP_WRAPPED;
}

enum jp_verdict jp_integrator_add(struct jp_integrator *integrator, const struct jp_sample *sample)
{
    enum jp_verdict verdict;

    assert(!integrator->started || sample->t_ns >= integrator->t_ns);
    if (integrator->kind == JP_ENERGY && sample->value < 0)
        return JP_IMPLAUSIBLE; // no counter is below zero
    verdict = integrator->kind == JP_ENERGY ? add_energy(integrator, sample) : add_power(integrator, sample);
    if (verdict == JP_IMPLAUSIBLE && integrator->kind == JP_POWER)
        return verdict; // a wild sample is no end of any line
    integrator->started = true;
    integrator->t_ns = sample->t_ns;
    if (!sample->between)
        integrator->seen_ns = sample->t_ns;
    integrator->value = sample->value;
    return verdict;
}

int64_t jp_integrator_at(const struct jp_integrator *integrator, const struct jp_sample *next, int64_t t_ns)
{
    int64_t rise = next->value - integrator->value, size = rise < 0 ? -rise : rise;
    int64_t part = t_ns - integrator->t_ns, whole = next->t_ns - integrator->t_ns;

    assert(part >= 0 && part <= whole);
    if (whole == 0)
        return next->value;
    while (size > 0 && whole > INT64_MAX / size) {
        part >>= 1;
        whole >>= 1;
    }
    return integrator->value + rise * part / whole;
}

int64_t jp_integrator_poll_ns(const struct jp_integrator *integrator)
{
    int64_t half_uj = integrator->range_uj / 2, limit_uw = integrator->limit_uw, whole_ns;

    if (integrator->kind != JP_ENERGY || integrator->range_uj <= 0)
        return 0;
    if (half_uj / limit_uw >= INT64_MAX / 2 / JP_NS_PER_S)
        return INT64_MAX / 2;
    whole_ns = half_uj / limit_uw * JP_NS_PER_S;
    for (half_uj %= limit_uw; half_uj > INT64_MAX / JP_NS_PER_S; half_uj >>= 1)
        limit_uw = (limit_uw + 1) >> 1;
    return whole_ns + half_uj * JP_NS_PER_S / limit_uw;
}
