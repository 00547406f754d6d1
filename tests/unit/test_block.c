// SPDX-License-Identifier: Apache-2.0
// Blocks: what goes in comes out, borders hold, the same windows give the same bytes.
#include "block.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "make_windows.h"

#include <cmocka.h>

static struct jp_run run;
static struct jp_window window, back;
static struct jp_block block;
static struct jp_block_reader reader;
static uint8_t bytes[JP_BLOCK_BYTES_MAX], again[JP_BLOCK_BYTES_MAX];

static void assert_same(const struct jp_window *a, const struct jp_window *b, bool columns)
{
    assert_true(a->run == b->run && a->seq == b->seq);
    assert_int_equal(a->t0_ms, b->t0_ms);
    assert_int_equal(a->span_ms, b->span_ms);
    assert_int_equal(a->channel_count, b->channel_count);
    for (int c = 0; c < a->channel_count; c++) {
        const struct jp_window_channel *x = &a->channels[c], *y = &b->channels[c];

        assert_int_equal(x->known, y->known);
        if (x->known)
            assert_int_equal(x->mj, y->mj);
        assert_int_equal(x->run_mj, y->run_mj);
        assert_int_equal(x->covered_ms, y->covered_ms);
        if (x->covered_ms < a->span_ms)
            assert_int_equal(x->cause, y->cause);
        assert_int_equal(y->mv, columns ? x->mv : INT32_MIN);
        assert_int_equal(y->ma, columns ? x->ma : INT32_MIN);
        assert_true(y->peak_mw == (columns ? x->peak_mw : INT64_MIN));
    }
}

// A window with everything out of the ordinary: a long one after a suspend, silent and half covered rails.
static void make_odd(uint64_t seq)
{
    make_window(&window, &run, seq);
    if (seq % 30 >= 12)
        window.t0_ms += 6500;
    if (seq % 30 == 11) {
        window.span_ms = 7500;
        for (int c = 0; c < run.channel_count; c++) {
            window.channels[c].covered_ms = 1000;
            window.channels[c].cause = JP_CAUSE_SUSPEND;
        }
    }
    if (seq % 5 == 0) {
        window.channels[0].known = false;
        window.channels[0].covered_ms = 0;
        window.channels[0].cause = JP_CAUSE_READ_ERROR;
        window.channels[0].mv = window.channels[0].ma = INT32_MIN;
        window.channels[0].peak_mw = INT64_MIN;
    }
    if (seq % 4 == 0) {
        window.channels[1].mj = -250;
        window.channels[1].covered_ms = 999;
        window.channels[1].cause = JP_CAUSE_NONE;
    }
}

static void round_trip(unsigned columns)
{
    int64_t run_mj[3] = {0};
    int n;

    make_run(&run, 0xfedcba9876543210u, 3, 30);
    assert_int_equal(jp_block_begin(&block, &run, columns), 0);
    for (uint64_t seq = 0; seq < 30; seq++) {
        make_odd(seq);
        for (int c = 0; c < 3; c++)
            window.channels[c].run_mj = run_mj[c] += window.channels[c].known ? window.channels[c].mj : 0;
        assert_int_equal(jp_block_add(&block, &window), 0);
    }
    assert_true(jp_block_full(&block));
    n = jp_block_encode(&block, bytes, sizeof bytes);
    assert_true(n > 0 && (size_t)n <= block.bytes);
    assert_int_equal(jp_block_read(&reader, bytes, (size_t)n), 0);
    assert_int_equal(reader.count, 30);
    assert_string_equal(reader.names[2], "r2");
    assert_true(reader.total_known && reader.in_total[2]);
    memset(run_mj, 0, sizeof run_mj);
    for (uint64_t seq = 0; seq < 30; seq++) {
        make_odd(seq);
        for (int c = 0; c < 3; c++)
            window.channels[c].run_mj = run_mj[c] += window.channels[c].known ? window.channels[c].mj : 0;
        assert_int_equal(jp_block_next(&reader, &back), 1);
        assert_same(&window, &back, columns != 0);
    }
    assert_int_equal(jp_block_next(&reader, &back), 0);
    jp_block_end(&block);
}

static void block_gives_back_every_window(void **state)
{
    (void)state;
    round_trip(0);
}

static void block_gives_back_the_configured_columns(void **state)
{
    (void)state;
    round_trip(JP_BLOCK_MV | JP_BLOCK_MA | JP_BLOCK_PEAK);
}

// The bytes themselves, so that a change of the format is seen.
static void block_has_the_published_shape(void **state)
{
    static const uint8_t expected[] = {
        0x89,                                                     // 9 items
        0x07, 0x00, 0x02, 0x1a, 0x00, 0x01, 0x86, 0xa0,           // run 7, seq 0, n 2, t0 100000
        0x19, 0x03, 0xe8,                                         // dt 1000
        0x81, 0x62, 'r',  '0',                                    // names
        0x81, 0x00,                                               // total
        0x81, 0x82, 0x19, 0x07, 0xd1,                             // [[2001, ...
        0x82, 0x19, 0x03, 0xe8, 0x01,                             // [1000, +1]]]
        0xa1, 0x63, 'c',  'o',  'v',  0xa1, 0x00, 0x81,           // {"cov": {0: [
        0x83, 0x01, 0x18, 0x64, 0x65, 's',  't',  'a',  'l', 'l', // [1, 100, "stall"]]}}
    };
    int n;

    (void)state;
    make_run(&run, 7, 1, 30);
    assert_int_equal(jp_block_begin(&block, &run, 0), 0);
    for (uint64_t seq = 0; seq < 2; seq++) {
        make_window(&window, &run, seq);
        if (seq == 1) {
            window.channels[0].covered_ms = 100;
            window.channels[0].cause = JP_CAUSE_STALL;
        }
        assert_int_equal(jp_block_add(&block, &window), 0);
    }
    n = jp_block_encode(&block, bytes, sizeof bytes);
    assert_int_equal(n, sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
    jp_block_end(&block);
}

static void block_never_crosses_a_multiple(void **state)
{
    int blocks = 0;

    (void)state;
    make_run(&run, 7, 2, 8);
    assert_int_equal(jp_block_begin(&block, &run, 0), 0);
    for (uint64_t seq = 5; seq < 40; seq++) {
        make_window(&window, &run, seq);
        if (jp_block_add(&block, &window) == 0)
            continue;
        assert_true(jp_block_full(&block));
        assert_true(block.seq / 8 == (block.seq + (uint64_t)block.count - 1) / 8);
        assert_int_equal(block.count, blocks == 0 ? 3 : 8);
        blocks++;
        jp_block_clear(&block);
        assert_int_equal(jp_block_add(&block, &window), 0);
    }
    assert_int_equal(blocks, 4);
    jp_block_end(&block);
}

static void block_ends_at_a_hole(void **state)
{
    (void)state;
    make_run(&run, 7, 2, 30);
    assert_int_equal(jp_block_begin(&block, &run, 0), 0);
    make_window(&window, &run, 0);
    assert_int_equal(jp_block_add(&block, &window), 0);
    make_window(&window, &run, 2);
    assert_int_equal(jp_block_add(&block, &window), -EXDEV);
    make_window(&window, &run, 1);
    window.t0_ms += 1;
    assert_int_equal(jp_block_add(&block, &window), -EXDEV);
    window.t0_ms -= 1;
    window.run = 8;
    assert_int_equal(jp_block_add(&block, &window), -EBADMSG);
    window.run = 7;
    assert_int_equal(jp_block_add(&block, &window), 0);
    jp_block_end(&block);
}

static void block_closes_before_it_outgrows_a_frame(void **state)
{
    int n, rc = 0;

    (void)state;
    make_run(&run, UINT64_MAX, JP_CHANNELS_MAX, JP_BLOCK_WINDOWS_MAX);
    for (int c = 0; c < JP_CHANNELS_MAX; c++)
        snprintf(run.channels[c].name, JP_NAME_MAX, "a_rail_with_the_longest_name_%03d", c);
    assert_int_equal(jp_block_begin(&block, &run, JP_BLOCK_MV | JP_BLOCK_MA | JP_BLOCK_PEAK), 0);
    for (uint64_t seq = 0; seq < JP_BLOCK_WINDOWS_MAX && rc == 0; seq++) {
        make_window(&window, &run, seq);
        window.span_ms = 1000;
        for (int c = 0; c < JP_CHANNELS_MAX; c++) {
            window.channels[c].mj = seq % 2 ? JP_POWER_MAX_UW : -JP_POWER_MAX_UW;
            window.channels[c].covered_ms = 70000 % 999;
            window.channels[c].cause = JP_CAUSE_IMPLAUSIBLE;
            window.channels[c].peak_mw = seq % 2 ? JP_POWER_MAX_UW : -JP_POWER_MAX_UW;
        }
        rc = jp_block_add(&block, &window);
    }
    assert_int_equal(rc, -EXDEV);
    n = jp_block_encode(&block, bytes, sizeof bytes);
    assert_true(n > JP_BLOCK_BYTES_MAX / 2);
    assert_int_equal(jp_block_read(&reader, bytes, (size_t)n), 0);
    jp_block_end(&block);
}

static void same_windows_same_bytes(void **state)
{
    int n;

    (void)state;
    make_run(&run, 7, 3, 30);
    assert_int_equal(jp_block_begin(&block, &run, JP_BLOCK_PEAK), 0);
    for (int turn = 0; turn < 2; turn++) {
        jp_block_clear(&block);
        for (uint64_t seq = 30; seq < 45; seq++) {
            make_odd(seq);
            assert_int_equal(jp_block_add(&block, &window), 0);
        }
        n = jp_block_encode(&block, turn ? again : bytes, sizeof bytes);
        assert_true(n > 0);
    }
    assert_memory_equal(bytes, again, (size_t)n);
    jp_block_end(&block);
}

static void reader_survives_every_cut_and_every_changed_byte(void **state)
{
    int n, windows = 0, refused = 0;

    (void)state;
    make_run(&run, 7, 3, 30);
    assert_int_equal(jp_block_begin(&block, &run, JP_BLOCK_MV), 0);
    for (uint64_t seq = 0; seq < 20; seq++) {
        make_odd(seq);
        assert_int_equal(jp_block_add(&block, &window), 0);
    }
    n = jp_block_encode(&block, bytes, sizeof bytes);
    for (int cut = 0; cut < n; cut++) {
        uint8_t *exact = malloc((size_t)cut + 1); // so that a read past the end is seen by the sanitizer

        memcpy(exact, bytes, (size_t)cut);
        assert_int_equal(jp_block_read(&reader, exact, (size_t)cut), -EBADMSG);
        free(exact);
    }
    for (int at = 0; at < n * 8; at++) {
        int rc;

        memcpy(again, bytes, (size_t)n);
        again[at / 8] ^= (uint8_t)(1 << (at % 8));
        rc = jp_block_read(&reader, again, (size_t)n);
        while (rc == 0 && (rc = jp_block_next(&reader, &back)) == 1) {
            windows++;
            rc = 0;
        }
        refused += rc < 0;
    }
    assert_true(windows > 0 && refused > 0);
    jp_block_end(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_gives_back_every_window),
        cmocka_unit_test(block_gives_back_the_configured_columns),
        cmocka_unit_test(block_has_the_published_shape),
        cmocka_unit_test(block_never_crosses_a_multiple),
        cmocka_unit_test(block_ends_at_a_hole),
        cmocka_unit_test(block_closes_before_it_outgrows_a_frame),
        cmocka_unit_test(same_windows_same_bytes),
        cmocka_unit_test(reader_survives_every_cut_and_every_changed_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
