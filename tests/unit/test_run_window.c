// SPDX-License-Identifier: Apache-2.0
// run.c and window.c: what was written is read back, what is cut or foreign is refused, no byte is passed.
#include "run.h"
#include "window.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint8_t bytes[JP_PAYLOAD_MAX];

static struct jp_run *full_run(int channels)
{
    static struct jp_run run;

    memset(&run, 0, sizeof run);
    run.id = 0xfedcba9876543210u;
    strcpy(run.boot, "7f0c0d6e-2f26-4c3a-9d3e-0d7f1f1f1f1f");
    strcpy(run.device, "bench-1");
    run.window_ms = 1000;
    run.block_windows = 30;
    run.interval_ms = 200;
    run.columns = 5;
    run.channel_count = channels;
    for (int i = 0; i < channels; i++) {
        struct jp_run_channel *channel = &run.channels[i];

        snprintf(channel->name, sizeof channel->name, "RAIL_%02d", i);
        strcpy(channel->part_of, i ? "RAIL_00" : "");
        channel->kind = i % 2 ? JP_ENERGY : JP_POWER;
        channel->scope = JP_SCOPE_MODULE;
        channel->roles = JP_ROLE_CPU | JP_ROLE_PSYS;
        channel->max_uw = 60000000;
        channel->in_total = i < 2;
        channel->scale = 1.0034;
        channel->offset_uw = -1500;
    }
    run.gauge_count = 1;
    strcpy(run.gauges[0].name, "gpu");
    strcpy(run.gauges[0].unit, "%");
    run.total_known = true;
    run.total_scope = JP_SCOPE_MODULE;
    run.facts.gpu_count = -1;
    run.facts.ram_bytes = 32LL << 30;
    strcpy(run.facts.board_id, "jetson-agx-orin");
    return &run;
}

static struct jp_window *full_window(int channels)
{
    static struct jp_window window;

    memset(&window, 0, sizeof window);
    window.run = UINT64_MAX;
    window.seq = 1ULL << 40;
    window.t0_ms = JP_BOOT_MAX_MS;
    window.span_ms = JP_WINDOW_MAX_MS;
    window.late_ticks = INT64_MAX;
    window.channel_count = channels;
    window.gauge_count = JP_GAUGES_MAX;
    for (int i = 0; i < channels; i++)
        window.channels[i] = (struct jp_window_channel){.known = true,
                                                        .mj = -JP_ENERGY_MAX_MJ,
                                                        .run_mj = JP_ENERGY_MAX_MJ,
                                                        .covered_ms = INT32_MAX,
                                                        .cause = JP_CAUSE_IMPLAUSIBLE,
                                                        .raw_uj = INT64_MAX,
                                                        .mv = INT32_MIN + 1,
                                                        .ma = INT32_MAX,
                                                        .peak_mw = -JP_ENERGY_MAX_MJ};
    for (int i = 0; i < JP_GAUGES_MAX; i++)
        window.gauges[i] = INT64_MAX;
    return &window;
}

static void run_is_read_back_as_written(void **state)
{
    struct jp_run *run = full_run(JP_CHANNELS_MAX), back;
    int size = jp_run_encode(run, bytes, sizeof bytes);

    (void)state;
    assert_true(size > 0);
    assert_int_equal(jp_run_decode(&back, bytes, (size_t)size), 0);
    assert_true(back.id == run->id);
    assert_int_equal(back.columns, 5);
    assert_int_equal(back.channel_count, JP_CHANNELS_MAX);
    assert_string_equal(back.channels[63].name, "RAIL_63");
    assert_string_equal(back.channels[63].part_of, "RAIL_00");
    assert_int_equal(back.channels[63].kind, JP_ENERGY);
    assert_int_equal(back.channels[1].roles, JP_ROLE_CPU | JP_ROLE_PSYS);
    assert_true(back.channels[1].scale == 1.0034 && back.channels[1].offset_uw == -1500);
    assert_string_equal(back.gauges[0].unit, "%");
    assert_string_equal(back.facts.board_id, "jetson-agx-orin");
    assert_true(back.facts.ram_bytes == 32LL << 30 && back.facts.gpu_count == -1);
    assert_int_equal(back.total_scope, JP_SCOPE_MODULE);
}

static void run_total_lists_its_channels_or_none(void **state)
{
    struct jp_run *run = full_run(5);
    int out[JP_CHANNELS_MAX];

    (void)state;
    run->channels[1].in_total = false;
    run->channels[4].in_total = true;
    assert_int_equal(jp_run_total(run, out), 2);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 4);
    run->total_known = false;
    assert_int_equal(jp_run_total(run, out), 0);
}

static void run_passes_over_unknown_keys(void **state)
{
    static const char *const keys[] = {"window_ms", "block_windows", "a_key_of_a_later_version_and_a_long_one"};
    struct jp_cbor_out out;
    struct jp_run back;

    (void)state;
    jp_cbor_out_init(&out, bytes, sizeof bytes);
    jp_cbor_put_map(&out, 3);
    jp_cbor_put_text(&out, keys[2]);
    jp_cbor_put_array(&out, 1);
    jp_cbor_put_null(&out);
    jp_cbor_put_text(&out, keys[0]);
    jp_cbor_put_uint(&out, 500);
    jp_cbor_put_text(&out, keys[1]);
    jp_cbor_put_uint(&out, 60);
    assert_int_equal(jp_run_decode(&back, bytes, out.used), 0);
    assert_int_equal(back.window_ms, 500);
    assert_int_equal(back.facts.gpu_count, -1);
}

static void run_cut_or_changed_never_passes_its_buffer(void **state)
{
    struct jp_run *run = full_run(3), back;
    int size = jp_run_encode(run, bytes, sizeof bytes);

    (void)state;
    for (int cut = 0; cut < size; cut++) {
        assert_int_equal(jp_run_decode(&back, bytes, (size_t)cut), -EBADMSG);
        assert_int_equal(jp_run_encode(run, bytes + 8192, (size_t)cut), -EMSGSIZE);
    }
    for (int i = 0; i < size; i++) {
        uint8_t kept = bytes[i];

        for (int value = 0; value < 256; value += 5) {
            bytes[i] = (uint8_t)value;
            if (jp_run_decode(&back, bytes, (size_t)size) == 0)
                assert_in_range(back.channel_count, 0, JP_CHANNELS_MAX);
        }
        bytes[i] = kept;
    }
}

static void window_at_its_largest_fits_its_bound_and_comes_back(void **state)
{
    struct jp_window *window = full_window(JP_CHANNELS_MAX), back;
    int size = jp_window_encode(window, bytes, JP_WINDOW_BYTES_MAX);

    (void)state;
    assert_true(size > 0);
    assert_int_equal(jp_window_decode(&back, bytes, (size_t)size), 0);
    for (int i = 0; i < JP_CHANNELS_MAX; i++) {
        const struct jp_window_channel *a = &window->channels[i], *b = &back.channels[i];

        assert_true(a->known == b->known && a->mj == b->mj && a->run_mj == b->run_mj);
        assert_true(a->covered_ms == b->covered_ms && a->cause == b->cause && a->raw_uj == b->raw_uj);
        assert_true(a->mv == b->mv && a->ma == b->ma && a->peak_mw == b->peak_mw);
    }
    assert_true(back.seq == window->seq && back.t0_ms == window->t0_ms && back.late_ticks == window->late_ticks);
    assert_memory_equal(back.gauges, window->gauges, sizeof back.gauges);
}

static void window_unknowns_stay_unknown(void **state)
{
    struct jp_window *window = full_window(1), back;
    int size;

    (void)state;
    window->channels[0] =
        (struct jp_window_channel){.raw_uj = -1, .mv = INT32_MIN, .ma = INT32_MIN, .peak_mw = INT64_MIN};
    window->gauges[3] = INT64_MIN;
    size = jp_window_encode(window, bytes, sizeof bytes);
    assert_int_equal(jp_window_decode(&back, bytes, (size_t)size), 0);
    assert_false(back.channels[0].known);
    assert_true(back.channels[0].raw_uj == -1 && back.channels[0].mv == INT32_MIN);
    assert_true(back.channels[0].peak_mw == INT64_MIN && back.gauges[3] == INT64_MIN);
}

static void window_cut_is_refused(void **state)
{
    struct jp_window *window = full_window(2), back;
    int size = jp_window_encode(window, bytes, sizeof bytes);

    (void)state;
    for (int cut = 0; cut < size; cut++) {
        assert_int_equal(jp_window_decode(&back, bytes, (size_t)cut), -EBADMSG);
        assert_int_equal(jp_window_encode(window, bytes + 8192, (size_t)cut), -EMSGSIZE);
    }
}

static void gap_folds_joules_and_keeps_silence_apart(void **state)
{
    struct jp_window *window = full_window(2);
    struct jp_run *run = full_run(2);
    struct jp_gap gap = {.windows = 0}, back;
    int size;

    (void)state;
    run->channels[1].in_total = false;
    window->span_ms = 1000;
    window->channels[1].known = false;
    window->channels[0].mj = 70;
    window->seq = 8;
    jp_gap_fold(&gap, run, window, "hot_full");
    window->seq = 9;
    window->channels[0].mj = -20;
    jp_gap_fold(&gap, run, window, "io_error");
    size = jp_gap_encode(&gap, bytes, sizeof bytes);
    assert_int_equal(jp_gap_decode(&back, bytes, (size_t)size), 0);
    assert_true(back.first_seq == 8 && back.last_seq == 9 && back.windows == 2 && back.span_ms == 2000);
    assert_true(back.known[0] && back.mj[0] == 50 && !back.known[1]);
    assert_string_equal(back.reason, "hot_full");
    assert_true(back.named && back.total_known && back.in_total[0] && !back.in_total[1]);
    assert_string_equal(back.names[0], "RAIL_00");
    assert_string_equal(back.names[1], "RAIL_01");
    for (int cut = 0; cut < size; cut++)
        assert_int_equal(jp_gap_decode(&back, bytes, (size_t)cut), -EBADMSG);
}

static void gap_of_an_early_writer_has_no_names(void **state)
{
    struct jp_window *window = full_window(2);
    struct jp_gap gap = {.windows = 0}, back;
    int size;

    (void)state;
    jp_gap_fold(&gap, full_run(2), window, "hot_full");
    size = jp_gap_encode(&gap, bytes, sizeof bytes);
    bytes[0] = 0x88; // an array of 8: what follows is not looked at
    assert_int_equal(jp_gap_decode(&back, bytes, (size_t)size), 0);
    assert_true(!back.named && !back.total_known && back.known[1] && back.mj[1] == -JP_ENERGY_MAX_MJ);
}

static void gap_takes_a_later_one_in_by_name(void **state)
{
    struct jp_window *window = full_window(2);
    struct jp_run *run = full_run(2);
    struct jp_gap gap = {.windows = 0}, later = {.windows = 0};

    (void)state;
    window->run = 1;
    window->span_ms = 1000;
    window->channels[0].mj = 70;
    window->channels[1].known = false;
    jp_gap_fold(&gap, run, window, "hot_full");
    strcpy(run->channels[0].name, "RAIL_01");
    strcpy(run->channels[1].name, "new");
    window->run = 2;
    window->channels[1] = window->channels[0];
    window->channels[1].mj = 5;
    jp_gap_fold(&later, run, window, "io_error");
    jp_gap_merge(&gap, &later);
    assert_true(gap.run == 1 && gap.windows == 2 && gap.span_ms == 2000 && gap.channel_count == 3);
    assert_true(gap.mj[0] == 70 && gap.mj[1] == 70 && gap.mj[2] == 5);
    assert_true(gap.known[0] && gap.known[1] && gap.known[2] && gap.total_known && gap.in_total[2]);
    assert_string_equal(gap.names[2], "new");
}

// One number a frame, written beyond what the reader believes.
static void numbers_whose_sums_would_overflow_are_refused(void **state)
{
    struct jp_window back;
    struct jp_gap gap = {.channel_count = 1, .known = {true}}, gap_back;
    struct jp_event event = {.boot_ms = JP_BOOT_MAX_MS + 1}, event_back;
    struct jp_anchor anchor = {.off_ms = JP_REAL_MAX_MS + 1}, anchor_back;

    (void)state;
    for (int i = 0; i < 7; i++) {
        struct jp_window *window = full_window(1);
        int64_t *const at[] = {&window->channels[0].mj, &window->channels[0].run_mj, &window->t0_ms,
                               &window->span_ms,        &window->channels[0].raw_uj, &window->channels[0].peak_mw,
                               &window->t0_ms};
        const int64_t wild[] = {
            JP_ENERGY_MAX_MJ + 1, -JP_ENERGY_MAX_MJ - 1, JP_BOOT_MAX_MS + 1, JP_BOOT_MAX_MS + 1, -2, INT64_MAX,
            -JP_BOOT_MAX_MS - 1};
        int size = jp_window_encode(window, bytes, sizeof bytes);

        assert_int_equal(jp_window_decode(&back, bytes, (size_t)size), 0);
        *at[i] = wild[i];
        size = jp_window_encode(window, bytes, sizeof bytes);
        assert_int_equal(jp_window_decode(&back, bytes, (size_t)size), -EBADMSG);
    }
    gap.mj[0] = INT64_MIN;
    assert_int_equal(jp_gap_decode(&gap_back, bytes, (size_t)jp_gap_encode(&gap, bytes, sizeof bytes)), -EBADMSG);
    assert_int_equal(jp_event_decode(&event_back, bytes, (size_t)jp_event_encode(&event, bytes, sizeof bytes)),
                     -EBADMSG);
    assert_int_equal(jp_anchor_decode(&anchor_back, bytes, (size_t)jp_anchor_encode(&anchor, bytes, sizeof bytes)),
                     -EBADMSG);
}

static void event_and_anchor_come_back(void **state)
{
    struct jp_event event = {.run = 7, .boot_ms = 12, .kind = "task", .detail = "{\"action\":\"start\"}"}, event_back;
    struct jp_anchor anchor = {.boot_ms = 5, .off_ms = 1700000000000, .clock = 1, .err_ms = -1}, anchor_back;
    int size = jp_event_encode(&event, bytes, sizeof bytes);

    (void)state;
    assert_int_equal(jp_event_decode(&event_back, bytes, (size_t)size), 0);
    assert_memory_equal(&event, &event_back, sizeof event);
    assert_int_equal(jp_event_decode(&event_back, bytes, (size_t)size - 1), -EBADMSG);
    size = jp_anchor_encode(&anchor, bytes, sizeof bytes);
    assert_int_equal(jp_anchor_decode(&anchor_back, bytes, (size_t)size), 0);
    assert_true(anchor_back.off_ms == anchor.off_ms && anchor_back.err_ms == -1 && anchor_back.clock == 1);
    assert_int_equal(jp_anchor_decode(&anchor_back, bytes, (size_t)size - 1), -EBADMSG);
}

static void every_cause_has_its_word(void **state)
{
    (void)state;
    assert_null(jp_cause_name(JP_CAUSE_NONE));
    for (int i = 1; i < JP_CAUSE_COUNT; i++)
        assert_non_null(jp_cause_name((enum jp_cause)i));
    assert_string_equal(jp_cause_name(JP_CAUSE_READ_ERROR), "read_error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_is_read_back_as_written),
        cmocka_unit_test(run_total_lists_its_channels_or_none),
        cmocka_unit_test(run_passes_over_unknown_keys),
        cmocka_unit_test(run_cut_or_changed_never_passes_its_buffer),
        cmocka_unit_test(window_at_its_largest_fits_its_bound_and_comes_back),
        cmocka_unit_test(window_unknowns_stay_unknown),
        cmocka_unit_test(window_cut_is_refused),
        cmocka_unit_test(gap_folds_joules_and_keeps_silence_apart),
        cmocka_unit_test(gap_of_an_early_writer_has_no_names),
        cmocka_unit_test(gap_takes_a_later_one_in_by_name),
        cmocka_unit_test(numbers_whose_sums_would_overflow_are_refused),
        cmocka_unit_test(event_and_anchor_come_back),
        cmocka_unit_test(every_cause_has_its_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
