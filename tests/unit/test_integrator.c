// SPDX-License-Identifier: Apache-2.0
// integrator.c: what a joule means. Ramps exact, wraps, resets and holes told apart, no drift, jitter beats aliasing.
#include "clock.h"
#include "entropy.h"
#include "integrator.h"
#include "limits.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS JP_NS_PER_MS
#define S JP_NS_PER_S

static struct jp_integrator power(void)
{
    struct jp_integrator it;

    jp_integrator_init(&it, JP_POWER, 0);
    it.hole_ns = 2 * S;
    return it;
}

static struct jp_integrator counter(int64_t range_uj, int64_t limit_uw)
{
    struct jp_integrator it;

    jp_integrator_init(&it, JP_ENERGY, limit_uw);
    it.range_uj = range_uj;
    return it;
}

static enum jp_verdict add(struct jp_integrator *it, int64_t t_ns, int64_t value)
{
    return jp_integrator_add(it, &(struct jp_sample){.t_ns = t_ns, .value = value});
}

static void first_sample_is_a_baseline(void **state)
{
    struct jp_integrator p = power(), c = counter(262143328850, 0);

    (void)state;
    assert_int_equal(add(&p, 5 * S, 7000000), JP_FIRST);
    assert_int_equal(add(&c, 5 * S, 7000000), JP_FIRST);
    assert_true(p.total_uj == 0 && c.total_uj == 0);
}

static void ramp_is_exact(void **state)
{
    struct jp_integrator it = power();
    struct jp_jitter jitter;
    int64_t t = 0;

    (void)state;
    jp_jitter_seed(&jitter, 3);
    add(&it, 0, 0);
    // p(t) = t / 1000 uW a ns: samples at whole microseconds, at any spacing.
    for (int i = 0; i < 10000; i++) {
        t += (int64_t)(1 + jp_jitter_next(&jitter, 300000)) * 1000;
        assert_int_equal(add(&it, t, t / 1000), JP_ADDED);
    }
    // E = t^2 / 2000 uW ns = (t/1e6)^2 / 2 mW ms
    assert_true(it.total_uj == (int64_t)floorl((long double)t * (long double)t / 2000 / 1e9L));
}

static void constant_power_never_drifts(void **state)
{
    struct jp_integrator it = power();

    (void)state;
    add(&it, 0, 333);
    for (int64_t i = 1; i <= 300000; i++)
        add(&it, i * 200 * MS + (i % 7), 333);
    assert_true(it.total_uj == 333LL * 60000 + 333LL * (300000 % 7) / S);
    assert_true(it.rest == 2 * (333LL * (300000 % 7)));
}

static void largest_power_over_the_longest_interval_is_exact(void **state)
{
    struct jp_integrator it = power();

    (void)state;
    it.hole_ns = 1000 * S;
    add(&it, 0, JP_POWER_MAX_UW);
    assert_int_equal(add(&it, 999 * S + 999999999, JP_POWER_MAX_UW), JP_ADDED);
    assert_true(it.total_uj == 999999999999000 && it.rest == 0);
    add(&it, 1999 * S, -JP_POWER_MAX_UW);
    assert_true(it.total_uj == 999999999999000);
    assert_int_equal(add(&it, 2000 * S, JP_POWER_MAX_UW + 1), JP_IMPLAUSIBLE);
    assert_int_equal(add(&it, 2000 * S, INT64_MIN), JP_IMPLAUSIBLE);
    assert_int_equal(add(&it, 2001 * S, -JP_POWER_MAX_UW), JP_ADDED);
    assert_true(it.total_uj == 999999999999000 - 2 * JP_POWER_MAX_UW);
}

static void negative_power_takes_energy_back(void **state)
{
    struct jp_integrator it = power();

    (void)state;
    add(&it, 0, -1);
    add(&it, S / 2, -1);
    assert_true(it.total_uj == -1); // floor(-0.5)
    add(&it, S, -1);
    assert_true(it.total_uj == -1 && it.rest == 0);
    add(&it, 2 * S, 3000001);
    assert_true(it.total_uj == 1499999 && it.rest == 0);
}

static void power_after_too_long_is_a_hole(void **state)
{
    struct jp_integrator it = power();

    (void)state;
    add(&it, 0, 1000000);
    assert_int_equal(add(&it, 2 * S, 1000000), JP_ADDED);
    assert_int_equal(add(&it, 4 * S + 1, 9000000), JP_HOLE);
    assert_true(it.total_uj == 2000000);
    assert_int_equal(add(&it, 5 * S + 1, 9000000), JP_ADDED);
    assert_true(it.total_uj == 11000000);
}

static void power_across_a_suspend_is_a_hole(void **state)
{
    struct jp_integrator it = power();
    struct jp_sample after = {.t_ns = S, .asleep_ns = 3600 * S, .value = 5000000};

    (void)state;
    add(&it, 0, 5000000);
    assert_int_equal(jp_integrator_add(&it, &after), JP_HOLE);
    assert_true(it.total_uj == 0);
}

static void border_splits_a_line_without_changing_its_energy(void **state)
{
    struct jp_integrator whole = power(), split = power();
    struct jp_sample next = {.t_ns = 200 * MS, .value = 40000000};

    (void)state;
    add(&whole, 0, 10000000);
    add(&split, 0, 10000000);
    assert_true(jp_integrator_at(&split, &next, 50 * MS) == 17500000);
    assert_true(jp_integrator_at(&split, &next, 0) == 10000000);
    assert_true(jp_integrator_at(&split, &next, 200 * MS) == 40000000);
    add(&split, 50 * MS, 17500000);
    jp_integrator_add(&split, &next);
    jp_integrator_add(&whole, &next);
    assert_true(split.total_uj == whole.total_uj && whole.total_uj == 5000000);
    next.value = -JP_POWER_MAX_UW;
    next.t_ns += 1000 * S;
    assert_true(llabs(jp_integrator_at(&split, &next, 700 * S) + (int64_t)(0.69986 * 1e12)) < 100000000);
}

static void wrap_adds_what_was_used(void **state)
{
    struct jp_integrator it = counter(262143328850, 150000000);

    (void)state;
    add(&it, 0, 262143328850 - 99);
    assert_int_equal(add(&it, S, 49900), JP_WRAPPED);
    assert_true(it.total_uj == 50000);
}

// 262 kJ at 150 W take 1747 s: after that a small step may be a whole round and more, in either direction.
static void step_that_may_hide_a_whole_round_is_a_reset(void **state)
{
    struct jp_integrator it = counter(262143328850, 150000000);

    (void)state;
    add(&it, 0, 1000);
    assert_int_equal(add(&it, 1700 * S, 2000), JP_ADDED);
    assert_int_equal(add(&it, 3500 * S, 5000), JP_RESET);
    assert_int_equal(add(&it, 3501 * S, 5500), JP_ADDED);
    assert_true(it.total_uj == 1500);
    it = counter(262143328850, 150000000);
    add(&it, 0, 250000000000);
    assert_int_equal(add(&it, 1000 * S, 10000000000), JP_WRAPPED);
    assert_int_equal(add(&it, 3000 * S, 5000000000), JP_WRAPPED);
    assert_true(it.total_uj == 2 * 262143328851 - 245000000000);
    assert_int_equal(add(&it, 6600 * S, 4000000000), JP_RESET);
    assert_true(it.total_uj == 2 * 262143328851 - 245000000000);
}

static void step_back_without_explanation_is_a_reset(void **state)
{
    struct jp_integrator known = counter(262143328850, 150000000), unknown = counter(0, 0);

    (void)state;
    add(&known, 0, 1000000000);
    assert_int_equal(add(&known, S, 5), JP_RESET);
    assert_int_equal(add(&known, 2 * S, 1005), JP_ADDED);
    assert_true(known.total_uj == 1000);
    add(&unknown, 0, 1000);
    assert_int_equal(add(&unknown, S, 999), JP_RESET);
    assert_true(unknown.total_uj == 0);
}

static void counter_beyond_its_range_is_no_wrap(void **state)
{
    struct jp_integrator it = counter(1000, 0);

    (void)state;
    add(&it, 0, 5000);
    assert_int_equal(add(&it, S, 4999), JP_RESET);
    assert_int_equal(add(&it, 2 * S, -1), JP_IMPLAUSIBLE);
    assert_int_equal(add(&it, 3 * S, 5001), JP_ADDED);
    assert_true(it.total_uj == 2);
}

static void forward_step_above_the_limit_is_implausible(void **state)
{
    struct jp_integrator it = counter(262143328850, 150000000);
    struct jp_sample late = {.t_ns = 3 * S, .slack_ns = 10 * MS, .value = 200000000 + 151500000};

    (void)state;
    add(&it, 0, 0);
    assert_int_equal(add(&it, S, 150000000), JP_ADDED);
    assert_int_equal(add(&it, 2 * S, 150000000 + 150000001), JP_IMPLAUSIBLE);
    it.value = 200000000;
    assert_int_equal(jp_integrator_add(&it, &late), JP_ADDED);
    assert_true(it.total_uj == 150000000 + 151500000);
}

static void no_range_of_a_counter_overflows(void **state)
{
    struct jp_integrator it = counter(INT64_MAX, 0);

    (void)state;
    add(&it, 0, INT64_MAX);
    assert_int_equal(add(&it, S, 41), JP_WRAPPED);
    assert_true(it.total_uj == 42);
    assert_int_equal(add(&it, 2 * S, INT64_MAX), JP_IMPLAUSIBLE);
    assert_int_equal(add(&it, INT64_MAX - 1, INT64_MAX), JP_ADDED);
}

static void suspend_makes_steps_forward_plausible_but_no_wraps(void **state)
{
    struct jp_integrator it = counter(262143328850, 150000000);
    struct jp_sample on = {.t_ns = S, .asleep_ns = 36000 * S, .value = 28000000000};
    struct jp_sample back = {.t_ns = 2 * S, .asleep_ns = 36000 * S, .value = 12};

    (void)state;
    add(&it, 0, 0);
    assert_int_equal(jp_integrator_add(&it, &on), JP_ADDED);
    assert_true(it.total_uj == 28000000000);
    assert_int_equal(jp_integrator_add(&it, &back), JP_RESET);
    assert_true(it.total_uj == 28000000000);
}

static void calibration_of_a_counter_does_not_drift(void **state)
{
    struct jp_integrator it = counter(0, 0);

    (void)state;
    it.scale_ppm = 1003400;
    for (int64_t i = 0; i <= 100000; i++)
        add(&it, i * S, i * 7);
    assert_true(it.total_uj == 700000LL * 10034 / 10000);
}

static void poll_period_is_half_the_wrap_time(void **state)
{
    struct jp_integrator it = counter(10000000, 100000000);

    (void)state;
    assert_true(jp_integrator_poll_ns(&it) == 50 * MS);
    it = counter(262143328850, 225000000);
    assert_int_equal(jp_integrator_poll_ns(&it) / S, 582);
    it = counter(0, 225000000);
    assert_true(jp_integrator_poll_ns(&it) == 0);
    it = counter(INT64_MAX, 1);
    assert_true(jp_integrator_poll_ns(&it) == INT64_MAX / 2);
    it = counter(JP_POWER_MAX_UW, JP_POWER_MAX_UW);
    assert_true(llabs(jp_integrator_poll_ns(&it) - S / 2) < 1000);
}

// The energy of a square wave between 5 W and 15 W (half its mean up and down) from its start to t, duty one half.
static double square_j(double hz, double phase, double t)
{
    double cycles = t * hz + phase, whole = floor(cycles), part = cycles - whole, high;

    high = (whole - floor(phase)) * 0.5 + fmin(part, 0.5) - fmin(phase - floor(phase), 0.5);
    return 5 * t + 10 * high / hz;
}

static int64_t square_uw(double hz, double phase, double t)
{
    double cycles = t * hz + phase;

    return cycles - floor(cycles) < 0.5 ? 15000000 : 5000000;
}

static double minute_error(double hz, double phase, struct jp_jitter *jitter)
{
    struct jp_integrator it = power();
    int64_t t = 0;

    add(&it, 0, square_uw(hz, phase, 0));
    for (int64_t tick = 1; tick < 300; tick++) {
        t = tick * 200 * MS + (int64_t)jp_jitter_next(jitter, 200 * MS);
        add(&it, t, square_uw(hz, phase, (double)t / 1e9));
    }
    return fabs((double)it.total_uj / 1e6 / square_j(hz, phase, (double)t / 1e9) - 1);
}

static int ascending(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

// 3 % of standard deviation by theory (half the mean over the root of 300 samples), so 5.8 % at the 95th
// percentile: 20,000 trials tell that from 6 %, over all waves and at 10 Hz, where a fixed grid is off by half.
static double p95_of_minutes(double hz_min, double hz_max)
{
    enum { TRIALS = 20000 };
    static double errors[TRIALS];
    struct jp_jitter jitter;

    jp_jitter_seed(&jitter, 20);
    for (int i = 0; i < TRIALS; i++) {
        double hz = hz_min * pow(hz_max / hz_min, (double)jp_jitter_next(&jitter, 1000000) / 1e6);

        errors[i] = minute_error(hz, (double)jp_jitter_next(&jitter, 1000000) / 1e6, &jitter);
    }
    qsort(errors, TRIALS, sizeof errors[0], ascending);
    return errors[TRIALS * 95 / 100];
}

static void jittered_samples_of_any_square_wave_stay_within_six_percent(void **state)
{
    (void)state;
    assert_true(p95_of_minutes(0.1, 50) <= 0.06);
    assert_true(p95_of_minutes(10, 10) <= 0.06);
    assert_true(p95_of_minutes(25, 50) <= 0.06);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_sample_is_a_baseline),
        cmocka_unit_test(ramp_is_exact),
        cmocka_unit_test(constant_power_never_drifts),
        cmocka_unit_test(largest_power_over_the_longest_interval_is_exact),
        cmocka_unit_test(negative_power_takes_energy_back),
        cmocka_unit_test(power_after_too_long_is_a_hole),
        cmocka_unit_test(power_across_a_suspend_is_a_hole),
        cmocka_unit_test(border_splits_a_line_without_changing_its_energy),
        cmocka_unit_test(wrap_adds_what_was_used),
        cmocka_unit_test(step_that_may_hide_a_whole_round_is_a_reset),
        cmocka_unit_test(step_back_without_explanation_is_a_reset),
        cmocka_unit_test(counter_beyond_its_range_is_no_wrap),
        cmocka_unit_test(forward_step_above_the_limit_is_implausible),
        cmocka_unit_test(no_range_of_a_counter_overflows),
        cmocka_unit_test(suspend_makes_steps_forward_plausible_but_no_wraps),
        cmocka_unit_test(calibration_of_a_counter_does_not_drift),
        cmocka_unit_test(poll_period_is_half_the_wrap_time),
        cmocka_unit_test(jittered_samples_of_any_square_wave_stay_within_six_percent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
