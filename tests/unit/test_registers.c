// SPDX-License-Identifier: Apache-2.0
// Registers: they never go down, a new run continues them, emissions follow the factor.
#include "registers.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(negative_windows_are_repaid_before_a_register_moves),
        cmocka_unit_test(a_new_run_goes_on_where_the_last_ended),
        cmocka_unit_test(channels_are_followed_by_name),
        cmocka_unit_test(a_rail_never_covered_stays_unknown),
        cmocka_unit_test(energy_before_the_first_factor_is_priced_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
