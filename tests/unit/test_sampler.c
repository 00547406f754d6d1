// SPDX-License-Identifier: Apache-2.0
// sampler.c and track.c: every window tiles, every hole has its cause, every counter's story ends to the mJ.
#include "fake_sensor.h"
#include "sampler.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS JP_NS_PER_MS
#define S JP_NS_PER_S
#define START (1000 * S)

static struct fake_clock clk;
static struct fake_chip chip;
static struct fake_chip *chip_state;
static struct jp_run run;
static struct jp_sampler sampler;
static struct jp_sampler_note notes[16];
static int note_count;

static void on_note(void *context, const struct jp_sampler_note *note)
{
    (void)context;
    if (note_count < 16)
        notes[note_count++] = *note;
}

// What channel i says, by the second since the start; error 0.
static int64_t (*script)(int index, double s, int *error);

static int scripted(struct fake_chip *self, int index, int64_t t_ns, int64_t *value)
{
    int error = 0;

    (void)self;
    *value = script(index, (double)(t_ns - START) / 1e9, &error);
    return error;
}

static void set_up(const enum jp_kind *kinds, int count)
{
    clk = fake_clock_at(START);
    memset(&chip, 0, sizeof chip);
    memset(&run, 0, sizeof run);
    memset(&sampler, 0, sizeof sampler);
    note_count = 0;
    chip = (struct fake_chip){.clock = &clk, .count = count, .value = scripted};
    chip_state = &chip;
    run.id = 42;
    run.window_ms = 1000;
    run.interval_ms = 200;
    run.block_windows = 30;
    run.channel_count = count;
    sampler.clock = &clk.door;
    sampler.run = &run;
    sampler.source_count = 1;
    sampler.sources[0].driver = &fake_driver;
    sampler.sources[0].state = &chip_state;
    sampler.sources[0].count = count;
    sampler.note = on_note;
    for (int i = 0; i < count; i++) {
        chip.info[i].kind = kinds[i];
        run.channels[i].kind = kinds[i];
        run.channels[i].scale = 1;
        run.channels[i].max_uw = kinds[i] == JP_ENERGY ? 100000000 : 0;
        sampler.range_uj[i] = kinds[i] == JP_ENERGY ? 262143328850 : 0;
        sampler.sources[0].channel[i] = i;
        sampler.sources[0].gauge[i] = -1;
    }
}

static void set_up_one(enum jp_kind kind)
{
    set_up(&kind, 1);
}

static void begin(void)
{
    jp_sampler_init(&sampler);
    jp_sampler_start(&sampler);
}

// On to the next window.
static struct jp_window next(void)
{
    struct jp_window window;

    memset(&window, 0, sizeof window);
    do {
        int64_t until_ns = jp_sampler_next(&sampler);

        if (clk.now_ns < until_ns)
            clk.now_ns = until_ns;
    } while (!jp_sampler_pass(&sampler, &window));
    return window;
}

static void check(const struct jp_window *w, bool known, int64_t mj, int32_t covered_ms, enum jp_cause cause)
{
    const struct jp_window_channel *c = &w->channels[0];

    if (c->known != known || (known && c->mj != mj) || c->covered_ms != covered_ms || c->cause != cause)
        fail_msg("window %d: known %d, %lld mJ, %d ms, cause %d", (int)w->seq, c->known, (long long)c->mj,
                 c->covered_ms, c->cause);
}

static int64_t ramp_of_rails(int index, double s, int *error)
{
    (void)error;
    return (int64_t)((index + 1) * 1000000 * s);
}

static void ramp_gives_each_window_its_exact_energy(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER};

    (void)state;
    set_up(kinds, 2);
    script = ramp_of_rails;
    begin();
    for (int k = 0; k < 60; k++) {
        struct jp_window w = next();

        assert_true(w.seq == (uint64_t)k && w.span_ms == 1000 && w.t0_ms == 1000000 + 1000 * k);
        for (int i = 0; i < 2; i++) {
            int64_t true_mj = (i + 1) * (500 + 1000 * k);

            // A sample is a whole microwatt: at most 1 uJ of rounding, so 1 mJ at a border.
            assert_true(llabs(w.channels[i].mj - true_mj) <= 1);
            assert_int_equal(w.channels[i].covered_ms, 1000);
            assert_int_equal(w.channels[i].cause, JP_CAUSE_NONE);
            assert_int_equal(w.channels[i].mv, 5000);
        }
    }
    assert_true(llabs(sampler.tracks[0].integrator.total_uj / 1000 - 1800000) < 61500);
    assert_true(sampler.late_ticks == 0);
}

static int64_t noisy(int index, double s, int *error)
{
    static struct jp_jitter jitter = {.state = 9};

    (void)index;
    (void)s;
    if (jp_jitter_next(&jitter, 10) == 0)
        *error = EIO;
    return (int64_t)jp_jitter_next(&jitter, 30000000) - 10000000;
}

static void windows_add_up_to_the_floor_of_the_cumulative_energy(void **state)
{
    int64_t sum = 0, covered = 0, spans = 0;

    (void)state;
    set_up_one(JP_POWER);
    script = noisy;
    begin();
    for (int k = 0; k < 500; k++) {
        struct jp_window w = next();

        if (w.channels[0].known)
            sum += w.channels[0].mj;
        else
            assert_int_equal(w.channels[0].covered_ms, 0);
        assert_true(w.channels[0].run_mj == sum);
        assert_in_range(w.channels[0].covered_ms, 0, w.span_ms);
        assert_true((w.channels[0].covered_ms == w.span_ms) == (w.channels[0].cause == JP_CAUSE_NONE));
        covered += w.channels[0].covered_ms;
        spans += w.span_ms;
    }
    assert_true(spans == 500000 && covered > 450000 && covered < spans);
}

// Counters: 10 W all the time, told with the stories below ---------------------------------------
static int64_t counter_fails_at;
static bool wraps;

static int64_t ten_watts(int index, double s, int *error)
{
    int64_t uj = (int64_t)(s * 10e6 + 0.5);

    (void)index;
    if (counter_fails_at > 0 && (int64_t)(s + 0.1) == counter_fails_at)
        *error = EIO;
    if (wraps) // 262143328850 comes at 2.5 s, then 0
        uj += 262143328851 - 25000000;
    return uj % 262143328851;
}

static void counter_is_exact_and_its_first_reading_no_energy(void **state)
{
    (void)state;
    counter_fails_at = 0;
    wraps = false;
    set_up_one(JP_ENERGY);
    script = ten_watts;
    begin();
    for (int k = 0; k < 100; k++) {
        struct jp_window w = next();

        check(&w, true, 10000, 1000, JP_CAUSE_NONE);
        assert_true(w.channels[0].raw_uj == 10000000LL * (k + 1));
    }
    assert_true(chip.reads[0] == 101);
}

static void counter_wraps_to_the_mj(void **state)
{
    (void)state;
    counter_fails_at = 0;
    wraps = true;
    set_up_one(JP_ENERGY);
    script = ten_watts;
    begin();
    for (int k = 0; k < 6; k++) {
        struct jp_window w = next();

        check(&w, true, 10000, 1000, JP_CAUSE_NONE);
    }
}

static void one_failed_read_is_neither_zero_nor_a_wrap(void **state)
{
    (void)state;
    for (int wrapping = 0; wrapping < 2; wrapping++) {
        struct jp_window w;

        counter_fails_at = 3; // the wrap, if any, is at 2.5 s: across the failed read
        wraps = wrapping;
        set_up_one(JP_ENERGY);
        script = ten_watts;
        begin();
        for (int k = 0; k < 2; k++) {
            w = next();
            check(&w, true, 10000, 1000, JP_CAUSE_NONE);
        }
        w = next();
        check(&w, false, 0, 0, JP_CAUSE_READ_ERROR);
        w = next();
        check(&w, true, 20000, 1000, JP_CAUSE_NONE);
        assert_true(w.channels[0].run_mj == 40000);
        assert_int_equal(note_count, 0);
    }
}

static int64_t reset_at_2_5(int index, double s, int *error)
{
    (void)index;
    (void)error;
    return s < 2.5 ? 5000000000 + (int64_t)(s * 10e6 + 0.5) : (int64_t)((s - 2.5) * 10e6 + 0.5);
}

static void reset_adds_nothing_and_says_so(void **state)
{
    struct jp_window w;

    (void)state;
    set_up_one(JP_ENERGY);
    script = reset_at_2_5;
    begin();
    next();
    next();
    w = next();
    check(&w, false, 0, 0, JP_CAUSE_RESET);
    w = next();
    check(&w, true, 10000, 1000, JP_CAUSE_NONE);
    assert_true(w.channels[0].run_mj == 30000);
}

static int64_t wrap_then_reset(int index, double s, int *error)
{
    (void)index;
    (void)error;
    if (s < 0.5)
        return 262143328851 - 5000000 + (int64_t)(s * 10e6 + 0.5);
    return s < 4.5 ? (int64_t)((s - 0.5) * 10e6 + 0.5) : (int64_t)((s - 4.5) * 2e6 + 0.5);
}

static void wrap_then_reset_are_told_apart(void **state)
{
    struct jp_window w;

    (void)state;
    set_up_one(JP_ENERGY);
    script = wrap_then_reset;
    begin();
    for (int k = 0; k < 4; k++) {
        w = next();
        check(&w, true, 10000, 1000, JP_CAUSE_NONE);
    }
    w = next();
    check(&w, false, 0, 0, JP_CAUSE_RESET);
    w = next();
    check(&w, true, 2000, 1000, JP_CAUSE_NONE);
}

static int64_t jump(int index, double s, int *error)
{
    (void)index;
    (void)error;
    return (int64_t)(s * 10e6 + 0.5) + (s > 1.5 ? 9000000000 : 0);
}

static void jump_forward_is_implausible(void **state)
{
    struct jp_window w;

    (void)state;
    set_up_one(JP_ENERGY);
    script = jump;
    begin();
    next();
    w = next();
    check(&w, false, 0, 0, JP_CAUSE_IMPLAUSIBLE);
    w = next();
    check(&w, true, 10000, 1000, JP_CAUSE_NONE);
}

static int64_t negative(int index, double s, int *error)
{
    (void)index;
    (void)s;
    (void)error;
    return -1500001;
}

static void negative_power_is_data(void **state)
{
    struct jp_window w;

    (void)state;
    set_up_one(JP_POWER);
    script = negative;
    begin();
    w = next();
    check(&w, true, -1501, 1000, JP_CAUSE_NONE); // floor
    w = next();
    check(&w, true, -1500, 1000, JP_CAUSE_NONE);
    assert_true(w.channels[0].peak_mw == -1501);
}

static int64_t five_watts(int index, double s, int *error)
{
    (void)index;
    (void)s;
    (void)error;
    return 5000000;
}

static int64_t fails_at_the_border(int index, double s, int *error)
{
    (void)index;
    if (s >= 1 && s < 1.2)
        *error = EAGAIN;
    return 5000000;
}

static void power_unread_at_a_border_leaves_a_hole_before_it_only(void **state)
{
    struct jp_window w;
    int64_t last_ns;

    (void)state;
    set_up_one(JP_POWER);
    script = fails_at_the_border;
    begin();
    w = next();
    last_ns = START + w.channels[0].covered_ms * MS;
    assert_in_range(last_ns, START + 800 * MS, START + 999 * MS);
    assert_int_equal(w.channels[0].cause, JP_CAUSE_READ_ERROR);
    assert_in_range(w.channels[0].mj - 5 * w.channels[0].covered_ms, 0, 5);
    w = next();
    assert_in_range(w.channels[0].mj, 4999, 5001);
    assert_int_equal(w.channels[0].covered_ms, 1000);
}

static void stall_is_one_long_window_with_its_hole(void **state)
{
    struct jp_window w;
    int64_t last_ns;

    (void)state;
    set_up_one(JP_POWER);
    script = five_watts;
    begin();
    w = next();
    check(&w, true, 5000, 1000, JP_CAUSE_NONE);
    last_ns = sampler.tracks[0].integrator.t_ns;
    clk.now_ns += 10 * S + 250 * MS;
    w = next();
    assert_true(w.seq == 1 && w.t0_ms == 1001000 && w.span_ms % 1000 == 0 && w.span_ms >= 10000);
    assert_int_equal(w.channels[0].cause, JP_CAUSE_STALL);
    assert_true(w.channels[0].covered_ms == (last_ns - START - S) / MS);
    assert_true(w.channels[0].mj == (last_ns - START) * 5 / 1000000 - 5000);
    assert_true(sampler.late_ticks >= 49 && sampler.late_ticks <= 52);
    last_ns = w.t0_ms + w.span_ms;
    w = next();
    assert_true(w.seq == 2 && w.t0_ms == last_ns && w.span_ms == 1000);
    assert_int_equal(w.channels[0].cause, JP_CAUSE_STALL);
    w = next();
    check(&w, true, w.channels[0].mj, 1000, JP_CAUSE_NONE);
    assert_in_range(w.channels[0].mj, 4999, 5001);
}

static void stall_costs_a_counter_nothing(void **state)
{
    struct jp_window w;

    (void)state;
    counter_fails_at = 0;
    wraps = false;
    set_up_one(JP_ENERGY);
    script = ten_watts;
    begin();
    next();
    clk.now_ns += 10 * S;
    w = next();
    assert_true(w.span_ms == 10000);
    check(&w, true, 100000, 10000, JP_CAUSE_NONE);
    w = next();
    check(&w, true, 10000, 1000, JP_CAUSE_NONE);
}

static void suspend_belongs_to_its_window_and_costs_powers_their_coverage(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_ENERGY};
    struct jp_window w;

    (void)state;
    counter_fails_at = 0;
    wraps = false;
    set_up(kinds, 2);
    script = ten_watts;
    begin();
    next();
    clk.asleep_ns += 3600 * S;
    w = next();
    assert_true(w.span_ms == 3601000 && w.t0_ms == 1001000);
    assert_int_equal(w.channels[0].cause, JP_CAUSE_SUSPEND);
    assert_in_range(w.channels[0].covered_ms, 500, 1000);
    assert_true(w.channels[1].known && w.channels[1].covered_ms == 3601000);
    assert_in_range(w.channels[1].mj, 8000, 12000); // read up to a period after each border
    w = next();
    assert_true(w.span_ms == 1000 && w.t0_ms == 4602000);
    assert_int_equal(w.channels[0].covered_ms, 1000);
}

static void steps_of_the_wall_clock_change_nothing(void **state)
{
    (void)state;
    counter_fails_at = 0;
    wraps = false;
    set_up_one(JP_ENERGY);
    script = ten_watts;
    begin();
    for (int k = 0; k < 20; k++) {
        struct jp_window w;

        clk.real_offset_ns += (k % 2 ? -1 : 1) * 86400 * S;
        w = next();
        check(&w, true, 10000, 1000, JP_CAUSE_NONE);
        assert_true(w.t0_ms == 1000000 + 1000 * k);
    }
}

static int64_t second_is_sick(int index, double s, int *error)
{
    if (index == 1 && s > 10 && s < 200)
        *error = EIO;
    return 5000000;
}

static void bad_channel_backs_off_alone_and_is_reported_on_edges(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER};
    struct jp_window w;

    (void)state;
    set_up(kinds, 2);
    script = second_is_sick;
    begin();
    for (int k = 0; k < 300; k++) {
        w = next();
        assert_int_equal(w.channels[0].covered_ms, 1000);
        if (k > 12 && k < 199) {
            assert_false(w.channels[1].known);
            assert_int_equal(w.channels[1].cause, JP_CAUSE_READ_ERROR);
        }
    }
    assert_int_equal(w.channels[1].covered_ms, 1000);
    assert_int_equal(note_count, 2);
    assert_true(notes[0].what == JP_NOTE_FAILING && notes[0].channel == 1 && notes[0].error == EIO);
    assert_true(notes[1].what == JP_NOTE_BACK && notes[1].channel == 1);
    assert_in_range(sampler.tracks[1].errors, 5, 20);
}

static int64_t second_comes_back_for_root(int index, double s, int *error)
{
    if (index == 1 && s > 10 && s < 200)
        *error = s < 20 ? ENODEV : EACCES;
    return 5000000;
}

static void what_was_read_and_may_not_be_opened_again_is_told_once_more(void **state)
{
    static const enum jp_kind kinds[] = {JP_ENERGY, JP_ENERGY};

    (void)state;
    set_up(kinds, 2);
    script = second_comes_back_for_root;
    begin();
    for (int k = 0; k < 300; k++)
        assert_int_equal(next().channels[0].covered_ms, 1000);
    assert_int_equal(note_count, 3);
    assert_true(notes[0].what == JP_NOTE_FAILING && notes[0].error == ENODEV);
    assert_true(notes[1].what == JP_NOTE_DENIED && notes[1].channel == 1);
    assert_true(notes[2].what == JP_NOTE_BACK && notes[2].channel == 1);
}

static int64_t second_was_never_open(int index, double s, int *error)
{
    (void)s;
    if (index == 1)
        *error = EACCES;
    return 5000000;
}

static void what_was_never_read_fails_as_all_do(void **state)
{
    static const enum jp_kind kinds[] = {JP_ENERGY, JP_ENERGY};

    (void)state;
    set_up(kinds, 2);
    script = second_was_never_open;
    begin();
    for (int k = 0; k < 300; k++)
        next();
    assert_int_equal(note_count, 1);
    assert_true(notes[0].what == JP_NOTE_FAILING && notes[0].error == EACCES);
}

static void r1_polls_a_small_counter_often_enough(void **state)
{
    (void)state;
    counter_fails_at = 0;
    wraps = false;
    set_up_one(JP_ENERGY);
    sampler.range_uj[0] = 40000000; // 40 J, 100 W plausible: half the wrap time is 200 ms
    script = ten_watts;
    begin();
    assert_true(sampler.poll_reachable && sampler.poll_ns == 200 * MS && sampler.tick_ns == 200 * MS);
    for (int k = 0; k < 5; k++) {
        struct jp_window w = next();

        check(&w, true, 10000, 1000, JP_CAUSE_NONE);
    }
    assert_true(chip.reads[0] == 26);
    set_up_one(JP_ENERGY);
    sampler.range_uj[0] = 1000000;
    jp_sampler_init(&sampler);
    assert_false(sampler.poll_reachable);
    assert_true(sampler.tick_ns == 10 * MS);
}

static void slow_chip_is_read_less_often_and_that_is_said_once(void **state)
{
    struct jp_window w;

    (void)state;
    set_up_one(JP_POWER);
    script = five_watts;
    chip.transfer_ns = 80 * MS;
    begin();
    for (int k = 0; k < 20; k++) {
        w = next();
        assert_int_equal(w.span_ms, 1000);
        assert_int_equal(w.channels[0].covered_ms, 1000);
    }
    assert_in_range(w.channels[0].mj, 4999, 5001);
    assert_int_equal(note_count, 1);
    assert_true(notes[0].what == JP_NOTE_SLOWED && notes[0].every_ns == 400 * MS);
    assert_in_range(chip.reads[0], 36, 56);
}

static void models_and_counters_wake_once_a_window(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_ENERGY};

    (void)state;
    counter_fails_at = 0;
    wraps = false;
    set_up(kinds, 2);
    run.channels[0].method = JP_MODELLED;
    sampler.sources[0].driver = &(const struct jp_driver){.name = "model", .read = fake_read, .min_period_ms = 1000};
    script = ten_watts;
    begin();
    for (int k = 0; k < 20; k++) {
        struct jp_window w;

        clk.now_ns += k % 3 * MS; // a wake-up is never quite on time
        w = next();
        assert_int_equal(w.channels[0].covered_ms, 1000);
        assert_int_equal(w.channels[1].covered_ms, 1000);
        assert_true(w.channels[1].mj == 10000);
    }
    assert_true(chip.reads[0] == 21 && chip.reads[1] == 21);
}

static int stuck_value(struct fake_chip *self, int index, int64_t t_ns, int64_t *value)
{
    if (index == 1 && t_ns > START + 5 * S && t_ns < START + 60 * S)
        self->clock->now_ns += S;
    *value = 5000000;
    return 0;
}

static void stuck_transfer_skips_the_rest_of_its_pass_and_backs_off(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER, JP_POWER};
    struct jp_window w;
    int64_t reads, short_windows = 0;

    (void)state;
    set_up(kinds, 3);
    chip.value = stuck_value;
    begin();
    while (clk.now_ns < START + 60 * S) {
        w = next();
        short_windows += w.channels[0].covered_ms < w.span_ms;
    }
    reads = chip.reads[1];
    assert_in_range(reads, 25, 40); // 5 s healthy, then a handful
    assert_true(chip.reads[0] > 200);
    assert_true(short_windows == 0);
    while (clk.now_ns < START + 180 * S)
        w = next();
    assert_int_equal(w.channels[1].covered_ms, 1000);
}

static void restart_in_the_same_boot_bridges_the_counter(void **state)
{
    struct jp_window w;

    (void)state;
    counter_fails_at = 0;
    wraps = false;
    set_up_one(JP_ENERGY);
    script = ten_watts;
    clk.now_ns = START + 7 * S;
    jp_sampler_init(&sampler);
    jp_sampler_bridge(&sampler, 0, 30000000, START / MS + 3000);
    jp_sampler_start(&sampler);
    w = next();
    check(&w, true, 50000, 1000, JP_CAUSE_NONE);
    w = next();
    check(&w, true, 10000, 1000, JP_CAUSE_NONE);
}

// 262 kJ and the 29 kJ seen take 2913 s at 100 W: after that nobody knows whether the counter went round.
static void bridge_too_long_for_the_counter_is_not_believed(void **state)
{
    struct jp_window w;

    (void)state;
    counter_fails_at = 0;
    wraps = false;
    for (int down_s = 2900; down_s < 2950; down_s += 40) {
        bool far = down_s > 2913;

        set_up_one(JP_ENERGY);
        script = ten_watts;
        clk.now_ns = START + (3 + down_s) * S;
        jp_sampler_init(&sampler);
        jp_sampler_bridge(&sampler, 0, 30000000, START / MS + 3000);
        jp_sampler_start(&sampler);
        w = next();
        check(&w, true, far ? 10000 : 10000 * (down_s + 1), far ? 999 : 1000, far ? JP_CAUSE_RESET : JP_CAUSE_NONE);
        w = next();
        check(&w, true, 10000, 1000, JP_CAUSE_NONE);
    }
}

// Nothing of window 0 is known then; it must still be a window that others can read.
static void failed_bridge_and_failed_read_leave_a_readable_window(void **state)
{
    uint8_t bytes[JP_WINDOW_BYTES_MAX];
    struct jp_window w, read;
    int size;

    (void)state;
    wraps = false;
    set_up_one(JP_ENERGY);
    script = ten_watts;
    clk.now_ns = START + 9003 * S;
    counter_fails_at = 9004; // the border of window 0
    jp_sampler_init(&sampler);
    jp_sampler_bridge(&sampler, 0, 30000000, START / MS + 3000);
    jp_sampler_start(&sampler);
    w = next();
    counter_fails_at = 0;
    check(&w, false, 0, 0, JP_CAUSE_RESET);
    size = jp_window_encode(&w, bytes, sizeof bytes);
    assert_true(size > 0);
    assert_int_equal(jp_window_decode(&read, bytes, (size_t)size), 0);
}

static void final_pass_closes_the_window_going_on(void **state)
{
    struct jp_window w;

    (void)state;
    counter_fails_at = 0;
    wraps = false;
    set_up_one(JP_ENERGY);
    script = ten_watts;
    begin();
    next();
    clk.now_ns += 400 * MS;
    assert_true(jp_sampler_stop(&sampler, &w));
    assert_true(w.seq == 1 && w.span_ms == 400);
    check(&w, true, 4000, 400, JP_CAUSE_NONE);
    assert_false(jp_sampler_stop(&sampler, &w));
}

static void calibration_scales_and_shifts(void **state)
{
    struct jp_window w;

    (void)state;
    set_up_one(JP_POWER);
    run.channels[0].scale = 1.1;
    run.channels[0].offset_uw = -500000;
    script = five_watts;
    begin();
    w = next();
    check(&w, true, 5000, 1000, JP_CAUSE_NONE);
    counter_fails_at = 0;
    wraps = false;
    set_up_one(JP_ENERGY);
    run.channels[0].scale = 1.1;
    script = ten_watts;
    begin();
    w = next();
    check(&w, true, 11000, 1000, JP_CAUSE_NONE);
}

static int64_t seconds_gone(int index, double s, int *error)
{
    (void)index;
    (void)error;
    return (int64_t)(s * 1000);
}

// A power at 5 Hz and a gauge of one chip, whose driver says how often is enough.
static void begin_with_gauge(int32_t min_period_ms)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_GAUGE};
    static struct jp_driver driver;

    set_up(kinds, 2);
    run.channel_count = 1;
    run.gauge_count = 1;
    driver = (struct jp_driver){.name = "slow", .read = fake_read, .min_period_ms = min_period_ms};
    sampler.sources[0].driver = &driver;
    sampler.sources[0].channel[1] = -1;
    sampler.sources[0].gauge[1] = 0;
    script = seconds_gone;
    begin();
}

static void a_gauge_is_read_at_borders_and_no_more_often_than_its_driver_says(void **state)
{
    (void)state;
    begin_with_gauge(0);
    for (int i = 1; i <= 20; i++)
        assert_in_range(next().gauges[0], 1000 * i, 1000 * i + 400);
    assert_int_equal(chip.reads[1], 21);
    begin_with_gauge(5000);
    for (int i = 1; i <= 20; i++) {
        struct jp_window window = next();

        assert_in_range(window.gauges[0], i / 5 * 5000, i / 5 * 5000 + 400); // the last reading stands meanwhile
    }
    assert_int_equal(chip.reads[1], 5);
}

// Windows longer than the period: at each border.
static void a_slow_gauge_does_not_outlast_a_long_window(void **state)
{
    (void)state;
    begin_with_gauge(5000);
    run.window_ms = 10000;
    begin();
    chip.reads[1] = 0;
    for (int i = 1; i <= 6; i++)
        next();
    assert_int_equal(chip.reads[1], 6);
}

static int64_t least_at_borders(int index, double s, int *error)
{
    (void)index;
    (void)error;
    return s >= 1 && s - (double)(int)s < 0.2 ? INT64_MIN : 5000000;
}

// The one number whose size has no place in 64 bits.
static void the_least_number_is_wild(void **state)
{
    (void)state;
    set_up_one(JP_POWER);
    script = least_at_borders;
    begin();
    for (int i = 0; i < 20; i++) {
        struct jp_window w = next();

        assert_true(w.channels[0].mj >= 0 && w.channels[0].mj <= 5001);
        assert_true(w.channels[0].peak_mw == 5000);
    }
}

// A thermal zone behind a bus that hangs: the ticks are late once, then seldom, and its last value is not shown on.
static void a_gauge_that_hangs_rests_and_is_unknown_meanwhile(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_GAUGE, JP_GAUGE};
    static struct fake_chip zones;
    static struct fake_chip *zones_state = &zones;
    struct jp_window w;

    (void)state;
    set_up(kinds, 1);
    run.gauge_count = 2;
    zones = (struct fake_chip){.clock = &clk, .count = 2, .value = scripted};
    zones.info[0].kind = zones.info[1].kind = JP_GAUGE;
    sampler.source_count = 2;
    sampler.sources[1].driver = &fake_driver;
    sampler.sources[1].state = &zones_state;
    sampler.sources[1].count = 2;
    sampler.sources[1].channel[0] = sampler.sources[1].channel[1] = -1;
    sampler.sources[1].gauge[0] = 0;
    sampler.sources[1].gauge[1] = 1;
    script = seconds_gone;
    begin();
    w = next();
    assert_true(w.gauges[0] >= 1000 && w.gauges[1] >= 1000);
    zones.transfer_ns = 500 * MS;
    zones.reads[0] = zones.reads[1] = 0;
    w = next();
    assert_true(w.gauges[0] > 2000 && w.gauges[1] == INT64_MIN); // behind the slow one: not read
    for (int i = 0; i < 60; i++)
        w = next();
    assert_in_range(zones.reads[0], 5, 6); // at once, and after 2, 4, 8, 16 s ...
    assert_int_equal(zones.reads[1], 0);
    assert_true(w.gauges[0] == INT64_MIN && w.gauges[1] == INT64_MIN);
    zones.transfer_ns = 0;
    for (int i = 0; i < 65; i++)
        w = next();
    assert_true(w.gauges[0] >= 120000 && w.gauges[1] >= 120000);
    assert_int_equal(sampler.sources[1].gauges_slow, 0);
}

// The alarms of a chip are read before its rails: a bus that hangs there is not asked for them each second.
static void a_gauge_before_the_rails_of_its_chip_rests_alone(void **state)
{
    static const enum jp_kind kinds[] = {JP_GAUGE, JP_POWER};

    (void)state;
    set_up(kinds, 2);
    run.channel_count = 1;
    run.channels[0].kind = JP_POWER;
    run.gauge_count = 1;
    sampler.sources[0].channel[0] = -1;
    sampler.sources[0].gauge[0] = 0;
    sampler.sources[0].channel[1] = 0;
    script = seconds_gone;
    begin();
    chip.reads[0] = 0;
    chip.transfer_ns = 300 * MS;
    for (int i = 0; i < 30; i++)
        next();
    assert_in_range(chip.reads[0], 3, 5);
}

// Two chips on one bus and a third elsewhere. From 5 s to 60 s each transfer of those that hang takes a second.
static int hanging;                       // how many of the chips
static int64_t read_ns[3], longest_ns[3]; // of each chip's last rail: when it was read, and the longest time between

static int hangs(struct fake_chip *self, int index, int64_t t_ns, int64_t *value)
{
    int number = *(int *)self->context;

    if (index == self->count - 1) {
        if (read_ns[number] && t_ns - read_ns[number] > longest_ns[number])
            longest_ns[number] = t_ns - read_ns[number];
        read_ns[number] = t_ns;
    }
    if (t_ns > START + 5 * S && t_ns < START + 60 * S && number < hanging)
        self->clock->now_ns += S;
    *value = 5000000;
    return 0;
}

static void begin_with_buses(struct fake_chip chips[3])
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER, JP_POWER, JP_POWER, JP_POWER, JP_POWER};
    static struct fake_chip *states[3];
    static int numbers[3] = {0, 1, 2};

    set_up(kinds, 6);
    run.gauge_count = 2;
    sampler.source_count = 3;
    for (int i = 0; i < 3; i++) {
        chips[i] = (struct fake_chip){.clock = &clk, .count = i < 2 ? 4 : 1, .value = hangs, .context = &numbers[i]};
        states[i] = &chips[i];
        sampler.sources[i] = (struct jp_sampler_source){
            .driver = &fake_driver, .state = &states[i], .count = chips[i].count, .bus = i < 2 ? 1 : 2};
        for (int k = 0; k < chips[i].count; k++) {
            bool gauge = i < 2 && k == 0;

            chips[i].info[k].kind = gauge ? JP_GAUGE : JP_POWER;
            sampler.sources[i].channel[k] = gauge ? -1 : i < 2 ? 3 * i + k - 1 : 6;
            sampler.sources[i].gauge[k] = gauge ? i : -1;
        }
    }
    run.channels[6] = run.channels[0];
    run.channel_count = 7;
    begin();
}

static void a_bus_that_hangs_makes_no_hole_elsewhere(void **state)
{
    struct fake_chip chips[3];

    (void)state;
    for (hanging = 1; hanging <= 2; hanging++) {
        int64_t holes[7] = {0};
        struct jp_window w;

        memset(read_ns, 0, sizeof read_ns);
        memset(longest_ns, 0, sizeof longest_ns);
        begin_with_buses(chips);
        while (clk.now_ns < START + 60 * S) {
            w = next();
            for (int i = 0; i < 7; i++) {
                holes[i] += w.channels[i].covered_ms < w.span_ms;
                assert_true(w.channels[i].cause == JP_CAUSE_NONE || w.channels[i].cause == JP_CAUSE_READ_ERROR);
            }
        }
        assert_int_equal(holes[6], 0);
        assert_true(longest_ns[2] <= S + 400 * MS);
        assert_true(hanging > 1 || longest_ns[1] < 2 * S);
        for (int i = 0; i < 6; i++)
            if (i >= 3 * hanging)
                assert_int_equal(holes[i], 0); // the other chip of that bus
            else
                assert_in_range(holes[i], 3, 56);
        while (clk.now_ns < START + 190 * S)
            w = next();
        for (int i = 0; i < 7; i++)
            assert_int_equal(w.channels[i].covered_ms, 1000);
    }
}

// Two buses that hang, their chips in turn: each is waited for once a pass.
static void two_buses_that_hang_cost_two_transfers_a_pass(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER, JP_POWER, JP_POWER};
    static int number;
    struct fake_chip chips[4], *states[4];
    int64_t longest_pass_ns = 0;

    (void)state;
    hanging = 1;
    set_up(kinds, 4);
    sampler.source_count = 4;
    for (int i = 0; i < 4; i++) {
        chips[i] = (struct fake_chip){.clock = &clk, .count = 1, .value = hangs, .context = &number};
        states[i] = &chips[i];
        sampler.sources[i] = (struct jp_sampler_source){
            .driver = &fake_driver, .state = &states[i], .count = 1, .channel = {i}, .gauge = {-1}, .bus = 1 + i % 2};
    }
    begin();
    while (clk.now_ns < START + 30 * S) {
        int64_t begin_ns = jp_sampler_next(&sampler);
        struct jp_window window;

        if (begin_ns < clk.now_ns)
            begin_ns = clk.now_ns;
        clk.now_ns = begin_ns;
        jp_sampler_pass(&sampler, &window);
        if (clk.now_ns - begin_ns > longest_pass_ns)
            longest_pass_ns = clk.now_ns - begin_ns;
    }
    assert_true(longest_pass_ns == 2 * S);
    for (int i = 0; i < 4; i++)
        assert_true(sampler.tracks[i].slows > 0); // each had its turn
}

static int slow_once(struct fake_chip *self, int index, int64_t t_ns, int64_t *value)
{
    if (index == 0 && t_ns > START + 5 * S && t_ns < START + 5 * S + 200 * MS)
        self->clock->now_ns += 300 * MS;
    *value = 5000000;
    return 0;
}

// The pass of a border, where the chip's second rail was left out: its last value holds to there.
static void a_slow_transfer_at_a_border_is_no_hole_behind_it(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER};

    (void)state;
    set_up(kinds, 2);
    chip.value = slow_once;
    begin();
    for (int k = 0; k < 10; k++) {
        struct jp_window w = next();

        assert_int_equal(w.channels[1].covered_ms, w.span_ms);
        assert_in_range(w.channels[1].mj, 5 * w.span_ms - 1, 5 * w.span_ms + 1);
    }
}

static void read_none(void *state, struct jp_pass *pass)
{
    struct fake_chip *one = *(struct fake_chip **)state;

    one->clock->now_ns += 500 * MS;
    one->reads[0]++;
    pass->late(pass->context);
}

// A driver that was late before its first channel, and has no gauges.
static void a_source_that_answers_nothing_rests_as_a_whole(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER};
    static const struct jp_driver driver = {.name = "none", .read = read_none};

    (void)state;
    set_up(kinds, 2);
    sampler.sources[0].driver = &driver;
    begin();
    for (int k = 0; k < 30; k++) {
        struct jp_window w = next();

        assert_false(w.channels[0].known);
        assert_int_equal(w.channels[0].cause, JP_CAUSE_READ_ERROR);
    }
    assert_in_range(chip.reads[0], 6, 8); // after 400, 800 ms ...
}

static void read_all_at_once(void *state, struct jp_pass *pass)
{
    struct fake_chip *one = *(struct fake_chip **)state;

    one->clock->now_ns += one->clock->now_ns > START + 5 * S ? 300 * MS : 0;
    one->reads[0]++;
    for (int i = 0; i < 6; i++)
        if (pass->readings[i].state == JP_WANTED)
            pass->readings[i] = (struct jp_reading){.state = JP_GOOD, .value = 5000000};
    pass->late(pass->context);
}

// One answer for all rails: slow is what all of them are.
static void rails_of_one_slow_answer_rest_together(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER, JP_POWER, JP_POWER, JP_POWER, JP_POWER};
    static const struct jp_driver driver = {.name = "at once", .read = read_all_at_once};

    (void)state;
    set_up(kinds, 6);
    sampler.sources[0].driver = &driver;
    begin();
    while (clk.now_ns < START + 5 * S)
        next();
    chip.reads[0] = 0;
    while (clk.now_ns < START + 35 * S)
        next();
    assert_in_range(chip.reads[0], 5, 8); // after 400, 800 ms ...
}

static int64_t hang_end_ns;

static int all_hang(struct fake_chip *self, int index, int64_t t_ns, int64_t *value)
{
    (void)index;
    if (t_ns > START + 5 * S && t_ns < hang_end_ns)
        self->clock->now_ns += S;
    *value = 5000000;
    return 0;
}

// However long the period: six transfers of a second each would be a hole for all others.
static void a_long_period_makes_no_transfer_quick(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER, JP_POWER, JP_POWER, JP_POWER, JP_POWER};

    (void)state;
    hang_end_ns = START + 100 * S;
    set_up(kinds, 6);
    run.interval_ms = run.window_ms = 2000;
    chip.value = all_hang;
    begin();
    while (clk.now_ns < START + 40 * S) {
        int64_t begin_ns = jp_sampler_next(&sampler);
        struct jp_window window;

        if (begin_ns < clk.now_ns)
            begin_ns = clk.now_ns;
        clk.now_ns = begin_ns;
        jp_sampler_pass(&sampler, &window);
        assert_true(clk.now_ns - begin_ns <= S);
    }
}

// But not for as long as the others of its chip take: six rails, a second each.
static void what_is_left_out_holds_its_value_no_longer_than_a_line(void **state)
{
    static const enum jp_kind kinds[] = {JP_POWER, JP_POWER, JP_POWER, JP_POWER, JP_POWER, JP_POWER};
    static const int64_t ends_s[] = {9, 100}; // the first before the last rail had its turn

    (void)state;
    for (int i = 0; i < 2; i++) {
        int64_t lost_ms = 0;

        hang_end_ns = START + ends_s[i] * S;
        set_up(kinds, 6);
        chip.value = all_hang;
        begin();
        while (clk.now_ns < START + 20 * S) {
            struct jp_window w = next();

            lost_ms += w.span_ms - w.channels[5].covered_ms;
            assert_true(w.channels[5].cause == JP_CAUSE_NONE || w.channels[5].cause == JP_CAUSE_READ_ERROR);
        }
        if (i == 0)
            assert_in_range(lost_ms, 2000, 5000);
        else
            assert_in_range(lost_ms, 12000, 15000);
    }
}

// A value held to a border is no sample: what comes later than the hole limit after the last one begins anew.
static void what_was_held_to_a_border_joins_no_later_than_a_hole(void **state)
{
    static const int64_t backs_ms[] = {2900, 3100}; // the last sample is at 1 s, the limit 2 s

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct jp_run_channel channel = {.kind = JP_POWER, .scale = 1};
        struct jp_reading good = {.state = JP_GOOD, .value = 5000000}, left = {.state = JP_WANTED};
        struct jp_window_channel out;
        struct jp_track track;

        jp_track_init(&track, &channel, 0, 2 * S);
        jp_track_begin(&track, S);
        jp_track_reading(&track, &good, &(struct jp_sample){.t_ns = S});
        jp_track_take(&track, 0);
        jp_track_reading(&track, &left, &(struct jp_sample){.t_ns = 2 * S});
        jp_track_border(&track, &(struct jp_border){.at_ns = 2 * S, .span_ms = 1000, .span_ns = S}, &out);
        assert_true(out.covered_ms == 1000 && out.mj == 5000);
        jp_track_take(&track, 0);
        jp_track_reading(&track, &good, &(struct jp_sample){.t_ns = backs_ms[i] * MS});
        jp_track_take(&track, 0);
        assert_true(track.covered_ns == (i == 0 ? 900 * MS : 0));
        assert_int_equal(track.cause, i == 0 ? JP_CAUSE_NONE : JP_CAUSE_READ_ERROR);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ramp_gives_each_window_its_exact_energy),
        cmocka_unit_test(windows_add_up_to_the_floor_of_the_cumulative_energy),
        cmocka_unit_test(counter_is_exact_and_its_first_reading_no_energy),
        cmocka_unit_test(counter_wraps_to_the_mj),
        cmocka_unit_test(one_failed_read_is_neither_zero_nor_a_wrap),
        cmocka_unit_test(reset_adds_nothing_and_says_so),
        cmocka_unit_test(wrap_then_reset_are_told_apart),
        cmocka_unit_test(jump_forward_is_implausible),
        cmocka_unit_test(negative_power_is_data),
        cmocka_unit_test(power_unread_at_a_border_leaves_a_hole_before_it_only),
        cmocka_unit_test(stall_is_one_long_window_with_its_hole),
        cmocka_unit_test(stall_costs_a_counter_nothing),
        cmocka_unit_test(suspend_belongs_to_its_window_and_costs_powers_their_coverage),
        cmocka_unit_test(steps_of_the_wall_clock_change_nothing),
        cmocka_unit_test(bad_channel_backs_off_alone_and_is_reported_on_edges),
        cmocka_unit_test(what_was_read_and_may_not_be_opened_again_is_told_once_more),
        cmocka_unit_test(what_was_never_read_fails_as_all_do),
        cmocka_unit_test(r1_polls_a_small_counter_often_enough),
        cmocka_unit_test(slow_chip_is_read_less_often_and_that_is_said_once),
        cmocka_unit_test(models_and_counters_wake_once_a_window),
        cmocka_unit_test(stuck_transfer_skips_the_rest_of_its_pass_and_backs_off),
        cmocka_unit_test(restart_in_the_same_boot_bridges_the_counter),
        cmocka_unit_test(bridge_too_long_for_the_counter_is_not_believed),
        cmocka_unit_test(failed_bridge_and_failed_read_leave_a_readable_window),
        cmocka_unit_test(final_pass_closes_the_window_going_on),
        cmocka_unit_test(calibration_scales_and_shifts),
        cmocka_unit_test(a_gauge_is_read_at_borders_and_no_more_often_than_its_driver_says),
        cmocka_unit_test(a_slow_gauge_does_not_outlast_a_long_window),
        cmocka_unit_test(the_least_number_is_wild),
        cmocka_unit_test(a_gauge_that_hangs_rests_and_is_unknown_meanwhile),
        cmocka_unit_test(a_gauge_before_the_rails_of_its_chip_rests_alone),
        cmocka_unit_test(a_bus_that_hangs_makes_no_hole_elsewhere),
        cmocka_unit_test(two_buses_that_hang_cost_two_transfers_a_pass),
        cmocka_unit_test(a_slow_transfer_at_a_border_is_no_hole_behind_it),
        cmocka_unit_test(a_source_that_answers_nothing_rests_as_a_whole),
        cmocka_unit_test(rails_of_one_slow_answer_rest_together),
        cmocka_unit_test(a_long_period_makes_no_transfer_quick),
        cmocka_unit_test(what_is_left_out_holds_its_value_no_longer_than_a_line),
        cmocka_unit_test(what_was_held_to_a_border_joins_no_later_than_a_hole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
