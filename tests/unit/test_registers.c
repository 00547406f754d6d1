// SPDX-License-Identifier: Apache-2.0
// Registers: they never go down, a new run continues them, reading again changes nothing, emissions follow the factor.
#include "registers.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "make_windows.h"

#include <cmocka.h>

static struct jp_run run;
static struct jp_window window;
static struct jp_registers registers;

static void count(uint64_t seq, int64_t r0_mj, int64_t r1_mj)
{
    make_window(&window, &run, seq);
    window.channels[0].run_mj = r0_mj;
    window.channels[1].run_mj = r1_mj;
    jp_registers_count(&registers, &window);
}

static void begin(uint64_t id)
{
    make_run(&run, id, 2, 30);
    jp_registers_begin(&registers, &run);
}

static void negative_windows_are_repaid_before_a_register_moves(void **state)
{
    (void)state;
    jp_registers_init(&registers, 1);
    begin(7);
    count(0, 100, 50);
    count(1, 60, 50);
    assert_int_equal(registers.channels[0].shown_mj, 100);
    assert_int_equal(registers.total.shown_mj, 150);
    count(2, 90, 55);
    assert_int_equal(registers.channels[0].shown_mj, 100);
    count(3, 110, 60);
    assert_int_equal(registers.channels[0].shown_mj, 110);
    assert_int_equal(registers.total.shown_mj, 170);
}

static void a_new_run_goes_on_where_the_last_ended(void **state)
{
    (void)state;
    jp_registers_init(&registers, 1);
    begin(7);
    count(0, 100, 50);
    count(1, 70, 80);
    begin(8);
    assert_false(registers.any);
    count(0, 20, 5);
    assert_int_equal(registers.channels[0].shown_mj, 100); // 70 + 20: the debt outlives the run
    assert_int_equal(registers.channels[1].shown_mj, 85);
    assert_int_equal(registers.total.shown_mj, 175);
    count(1, 40, 5);
    assert_int_equal(registers.channels[0].shown_mj, 110);
    assert_true(registers.run == 8 && registers.seq == 1);
}

static void channels_are_followed_by_name(void **state)
{
    (void)state;
    jp_registers_init(&registers, 1);
    begin(7);
    count(0, 100, 50);
    make_run(&run, 8, 2, 30);
    strcpy(run.channels[0].name, "r1");
    strcpy(run.channels[1].name, "other");
    jp_registers_begin(&registers, &run);
    count(0, 1, 2);
    assert_int_equal(registers.channels[registers.of[0]].shown_mj, 51);
    assert_int_equal(registers.channels[registers.of[1]].shown_mj, 2);
    assert_int_equal(registers.channels[0].shown_mj, 100);
}

static void a_rail_never_covered_stays_unknown(void **state)
{
    (void)state;
    jp_registers_init(&registers, 1);
    begin(7);
    make_window(&window, &run, 0);
    window.channels[0].known = false;
    window.channels[0].run_mj = 0;
    jp_registers_count(&registers, &window);
    assert_false(registers.channels[0].known);
    assert_true(registers.channels[1].known);
}

static void energy_before_the_first_factor_is_priced_with_it(void **state)
{
    struct jp_factor factor = {.known = true, .g_per_kwh = 3600};
    struct jp_factor half = {.known = true, .g_per_kwh = 1800};

    (void)state;
    jp_registers_init(&registers, 1);
    begin(7);
    count(0, 100, 50);
    assert_false(registers.priced);
    jp_registers_price(&registers, &factor, 1.0);
    assert_true(registers.emissions_ug == 150.0);
    jp_registers_price(&registers, &half, 2.0);
    count(1, 100, 60);
    assert_true(registers.emissions_ug == 160.0);
    count(2, 90, 60); // pushed back: emissions do not go down
    assert_true(registers.emissions_ug == 160.0);
}

static void the_run_that_goes_on_keeps_its_base(void **state)
{
    (void)state;
    jp_registers_init(&registers, 1);
    begin(7);
    count(0, 100, 50);
    begin(8);
    count(0, 20, 5);
    begin(8);
    assert_true(registers.any && registers.seq == 0);
    assert_int_equal(registers.channels[0].base_mj, 100);
    count(1, 30, 5);
    assert_int_equal(registers.channels[0].shown_mj, 130);
    assert_int_equal(registers.total.shown_mj, 185);
}

static void reading_again_changes_nothing(void **state)
{
    static struct jp_registers before;

    (void)state;
    jp_registers_init(&registers, 1);
    for (uint64_t id = 7; id < 7 + JP_REGISTERS_RUNS + 2; id++) {
        begin(id);
        count(0, 10, 5);
        count(1, 30, 5);
    }
    before = registers;
    for (uint64_t id = 10; id < 7 + JP_REGISTERS_RUNS + 2; id++) {
        begin(id);
        count(0, 10, 5);
        count(1, 30, 5);
        count(2, registers.past ? 40 : 30, 5); // a run's end that was given up is not made up for later
    }
    assert_int_equal(registers.channels[0].shown_mj, before.channels[0].shown_mj);
    assert_int_equal(registers.channels[0].shown_mj, 30 * (JP_REGISTERS_RUNS + 2));
    assert_int_equal(registers.total.shown_mj, before.total.shown_mj);
    assert_true(registers.run == before.run && registers.seq == 2);
}

static void a_window_no_later_than_the_last_changes_nothing(void **state)
{
    (void)state;
    jp_registers_init(&registers, 1);
    begin(7);
    count(4, 100, 50);
    count(4, 500, 50);
    count(2, 80, 40);
    assert_int_equal(registers.channels[0].run_mj, 100);
    assert_int_equal(registers.channels[0].shown_mj, 100);
    assert_true(registers.seq == 4);
}

static void opened(struct jp_block_reader *reader, uint64_t first, int windows)
{
    static uint8_t bytes[JP_BLOCK_BYTES_MAX];
    static struct jp_block block;
    int n;

    assert_int_equal(jp_block_begin(&block, &run, 0), 0);
    for (uint64_t seq = first; seq < first + (uint64_t)windows; seq++) {
        make_window(&window, &run, seq);
        assert_int_equal(jp_block_add(&block, &window), 0);
    }
    n = jp_block_encode(&block, bytes, sizeof bytes);
    jp_block_end(&block);
    assert_int_equal(jp_block_read(reader, bytes, (size_t)n), 0);
}

static void stored_blocks_prove_the_end_of_a_run(void **state)
{
    static struct jp_block_reader reader;
    int64_t sum_mj;

    (void)state;
    jp_registers_init(&registers, 1);
    make_run(&run, 7, 2, 30);
    opened(&reader, 0, 5);
    assert_int_equal(jp_registers_prove(&registers, &reader), 0); // nothing of it is known
    assert_int_equal(registers.count, 0);
    begin(7);
    for (uint64_t seq = 0; seq < 3; seq++) {
        make_window(&window, &run, seq);
        jp_registers_count(&registers, &window);
    }
    opened(&reader, 1, 5);
    assert_int_equal(jp_registers_prove(&registers, &reader), 3);
    make_window(&window, &run, 5);
    sum_mj = window.channels[0].run_mj + window.channels[1].run_mj;
    assert_int_equal(registers.channels[0].shown_mj, window.channels[0].run_mj);
    assert_int_equal(registers.total.shown_mj, sum_mj);
    assert_true(registers.seq == 5 && registers.unpriced_mj == sum_mj);
    opened(&reader, 2, 4);
    assert_int_equal(jp_registers_prove(&registers, &reader), 0);
    make_run(&run, 8, 2, 30);
    opened(&reader, 0, 30);
    assert_int_equal(jp_registers_prove(&registers, &reader), 0);
    assert_int_equal(registers.total.shown_mj, sum_mj);
    begin(8);
    count(0, 1, 2);
    assert_int_equal(registers.total.shown_mj, sum_mj + 3);
}

static void a_block_that_no_meter_wrote_is_refused(void **state)
{
    static struct jp_block_reader reader;

    (void)state;
    jp_registers_init(&registers, 1);
    begin(7);
    opened(&reader, 0, 5);
    reader.run_mj[1] = JP_ENERGY_MAX_MJ;
    assert_int_equal(jp_registers_prove(&registers, &reader), -EBADMSG);
    assert_int_equal(registers.total.shown_mj, 0);
}

static void names_are_those_a_channel_can_have(void **state)
{
    (void)state;
    assert_true(jp_registers_is_name("ina3221-40.1"));
    assert_true(jp_registers_is_name("abcdefghijklmnopqrstuvwxyzABCDEF"));
    assert_false(jp_registers_is_name("abcdefghijklmnopqrstuvwxyzABCDEFG"));
    assert_false(jp_registers_is_name(""));
    assert_false(jp_registers_is_name("total"));
    assert_false(jp_registers_is_name("a b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(negative_windows_are_repaid_before_a_register_moves),
        cmocka_unit_test(a_new_run_goes_on_where_the_last_ended),
        cmocka_unit_test(channels_are_followed_by_name),
        cmocka_unit_test(a_rail_never_covered_stays_unknown),
        cmocka_unit_test(energy_before_the_first_factor_is_priced_with_it),
        cmocka_unit_test(the_run_that_goes_on_keeps_its_base),
        cmocka_unit_test(reading_again_changes_nothing),
        cmocka_unit_test(a_window_no_later_than_the_last_changes_nothing),
        cmocka_unit_test(stored_blocks_prove_the_end_of_a_run),
        cmocka_unit_test(a_block_that_no_meter_wrote_is_refused),
        cmocka_unit_test(names_are_those_a_channel_can_have),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
