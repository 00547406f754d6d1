// SPDX-License-Identifier: Apache-2.0
// Record against retained live: every outcome, and what each does to the values.
#include "registers_resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "make_windows.h"

#include <cmocka.h>

#define ID 0x1111
#define NEW 0x2222
#define OTHER 0x3333
#define EARLIER 6 // runs
#define RECORD 7
#define PRESENT 8

static struct jp_run run;
static struct jp_window window;
static struct jp_registers registers;
static struct jp_retained retained;
static struct jp_resolve_rules rules;

static void begin(uint64_t id)
{
    make_run(&run, id, 2, 30);
    run.channels[0].max_uw = 10000000; // 10 W
    jp_registers_begin(&registers, &run);
}

static void count(uint64_t seq, int64_t r0_mj, int64_t r1_mj)
{
    make_window(&window, &run, seq);
    window.channels[0].run_mj = r0_mj;
    window.channels[1].run_mj = r1_mj;
    jp_registers_count(&registers, &window);
}

static void price(double g_per_kwh)
{
    jp_registers_price(&registers, &(struct jp_factor){.known = true, .g_per_kwh = g_per_kwh}, 1.0);
}

// A record of run 7 with 1,000 and 500 mJ, not exact, then 20 and 10 mJ of run 8. 1 ug a mJ.
static void setup_record(void)
{
    jp_registers_init(&registers, ID);
    price(3600);
    begin(RECORD);
    count(5, 1000, 500);
    registers.published = true;
    registers.final = false;
    begin(PRESENT);
    count(0, 20, 10);
    rules = (struct jp_resolve_rules){
        .have_record = true, .may_adopt = true, .new_id = NEW, .run = &run, .missing_ms = 60000};
}

static void setup_none(void)
{
    jp_registers_init(&registers, ID);
    price(3600);
    begin(PRESENT);
    count(0, 20, 10);
    rules = (struct jp_resolve_rules){.may_adopt = true, .new_id = NEW, .run = &run, .missing_ms = 60000};
}

static void see(uint64_t run_id, uint64_t seq, int64_t r0_mj, int64_t r1_mj)
{
    retained = (struct jp_retained){
        .id = ID,
        .run = run_id,
        .seq = seq,
        .channels = {{"r0", r0_mj}, {"r1", r1_mj}},
        .count = 2,
        .total_known = true,
        .total_mj = r0_mj + r1_mj,
        .emissions_known = true,
        .emissions_ug = r0_mj + r1_mj,
    };
}

static enum jp_resolution resolve(void)
{
    enum jp_resolution resolution = jp_registers_resolve(&registers, &retained, &rules);

    assert_true(registers.final && registers.published);
    return resolution;
}

static void assert_shown(int64_t r0_mj, int64_t r1_mj)
{
    assert_int_equal(registers.channels[0].shown_mj, r0_mj);
    assert_int_equal(registers.channels[1].shown_mj, r1_mj);
    assert_int_equal(registers.total.shown_mj, r0_mj + r1_mj);
    assert_true(registers.emissions_ug == (double)(r0_mj + r1_mj));
}

static void a_record_that_nobody_saw_more_of_is_confirmed(void **state)
{
    (void)state;
    setup_record();
    see(RECORD, 5, 1000, 500);
    assert_int_equal(resolve(), JP_RESOLUTION_CONFIRMED);
    assert_true(registers.id == ID);
    assert_shown(1020, 510);
}

static void values_of_an_earlier_run_become_the_base(void **state)
{
    (void)state;
    setup_record();
    see(RECORD, 9, 1300, 700);
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    assert_true(registers.id == ID);
    assert_shown(1320, 710);
    count(1, 50, 60);
    assert_shown(1350, 760);
}

// Present values cover it, but what was lost is known all the same.
static void values_below_ours_now_are_adopted_too(void **state)
{
    (void)state;
    setup_record();
    see(RECORD, 6, 1015, 505);
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    assert_shown(1035, 515);
}

static void or_left_where_nothing_may_be_adopted(void **state)
{
    (void)state;
    setup_record();
    rules.may_adopt = false;
    see(RECORD, 6, 1015, 505);
    assert_int_equal(resolve(), JP_RESOLUTION_CONFIRMED);
    assert_shown(1020, 510);
}

static void values_of_the_present_run_hold_what_it_counted(void **state)
{
    (void)state;
    setup_record();
    see(PRESENT, 0, 1320, 710);
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    assert_shown(1320, 710);
    count(1, 50, 60);
    assert_shown(1350, 760);
}

// Its energy up to window 9 comes only now: it is in the retained value already.
static void values_ahead_of_the_windows_wait_for_them(void **state)
{
    (void)state;
    setup_record();
    see(PRESENT, 9, 1100, 600);
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    assert_shown(1100, 600);
    count(9, 100, 100);
    assert_shown(1100, 600);
    count(10, 110, 110);
    assert_shown(1110, 610);
}

static void a_debt_of_the_record_is_still_repaid(void **state)
{
    (void)state;
    setup_record();
    registers.channels[1].base_mj -= 100;
    registers.total.base_mj -= 100;
    see(RECORD, 9, 1300, 500); // r1 shows no more than the record
    retained.total_known = retained.emissions_known = false;
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    count(1, 20, 90);
    assert_int_equal(registers.channels[1].shown_mj, 510);
    count(2, 20, 111);
    assert_int_equal(registers.channels[1].shown_mj, 511);
}

static void higher_values_that_may_not_be_adopted_begin_a_new_id(void **state)
{
    (void)state;
    setup_record();
    rules.may_adopt = false;
    see(RECORD, 9, 1300, 700);
    assert_int_equal(resolve(), JP_RESOLUTION_NEW_HIGHER);
    assert_true(registers.id == NEW);
    assert_shown(1020, 510);
}

static void unlikely(int64_t r0_mj, int64_t r1_mj, int64_t missing_ms, enum jp_resolution expected)
{
    setup_record();
    rules.missing_ms = missing_ms;
    see(RECORD, 9, r0_mj, r1_mj);
    retained.total_mj = 1500;
    retained.emissions_ug = 1500;
    assert_int_equal(resolve(), expected);
    assert_true(registers.id == (expected == JP_RESOLUTION_NEW_HIGHER ? NEW : ID));
}

static void more_than_the_maximum_in_the_time_is_not_adopted(void **state)
{
    (void)state;
    unlikely(1000 + 600000, 500, 60000, JP_RESOLUTION_ADOPTED); // 10 W for 60 s
    unlikely(1000 + 600001, 500, 60000, JP_RESOLUTION_NEW_HIGHER);
    unlikely(1000, 500 + 60000000, 60000, JP_RESOLUTION_ADOPTED); // no maximum known: 1 kW
    unlikely(1000, 500 + 60000001, 60000, JP_RESOLUTION_NEW_HIGHER);
    unlikely(1100, 600, 0, JP_RESOLUTION_NEW_HIGHER);
    unlikely(1100, 600, -1, JP_RESOLUTION_NEW_HIGHER);
    unlikely(1000, 500, -1, JP_RESOLUTION_CONFIRMED);
}

static void total_and_emissions_have_their_maximum(void **state)
{
    const int64_t most_mj = 1010 * 60000LL; // 10 W and 1 kW for 60 s

    (void)state;
    for (int beyond = 0; beyond < 2; beyond++) {
        setup_record();
        see(RECORD, 9, 1000, 500);
        retained.total_mj = 1500 + most_mj + beyond;
        assert_int_equal(resolve(), beyond ? JP_RESOLUTION_NEW_HIGHER : JP_RESOLUTION_ADOPTED);
        setup_record();
        see(RECORD, 9, 1000, 500);
        retained.emissions_ug = 1530 + most_mj * 10000 / 3600 + beyond;
        assert_int_equal(resolve(), beyond ? JP_RESOLUTION_NEW_HIGHER : JP_RESOLUTION_ADOPTED);
    }
}

static void emissions_alone_count_as_a_value(void **state)
{
    (void)state;
    setup_record();
    see(RECORD, 5, 1000, 500);
    retained.emissions_ug = 1531; // a rounding apart
    assert_int_equal(resolve(), JP_RESOLUTION_CONFIRMED);
    assert_true(registers.emissions_ug == 1531);
    setup_record();
    see(RECORD, 5, 1000, 500);
    retained.emissions_ug = 2000; // the factor was higher then
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    assert_true(registers.emissions_ug == 2030);
    setup_record();
    rules.may_adopt = false;
    retained.emissions_ug = 2000;
    assert_int_equal(resolve(), JP_RESOLUTION_NEW_HIGHER);
}

static void without_retained_grams_the_energy_is_priced(void **state)
{
    (void)state;
    setup_record();
    see(RECORD, 9, 1300, 700);
    retained.emissions_known = false;
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    assert_shown(1320, 710);
    setup_record();
    registers.priced = false;
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    assert_true(registers.emissions_ug == 1530 && registers.unpriced_mj == 500);
    price(3600);
    assert_shown(1320, 710);
}

static void retained_grams_wait_for_a_factor(void **state)
{
    (void)state;
    setup_record();
    registers.priced = false;
    see(RECORD, 9, 1300, 700);
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    assert_true(registers.emissions_ug == 2000 && registers.unpriced_mj == 30);
    price(3600);
    assert_shown(1320, 710);
}

static void a_register_we_do_not_have_is_made(void **state)
{
    int at;

    (void)state;
    setup_record();
    see(RECORD, 5, 1000, 500);
    retained.channels[retained.count++] = (struct jp_retained_register){"gone", 77};
    rules.may_adopt = false;
    assert_int_equal(resolve(), JP_RESOLUTION_NEW_HIGHER);
    assert_int_equal(jp_registers_find(&registers, "gone"), -1);
    setup_record();
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED);
    at = jp_registers_find(&registers, "gone");
    assert_true(at >= 0 && registers.channels[at].shown_mj == 77 && registers.channels[at].known);
}

static void another_id_leaves_an_exact_record(void **state)
{
    (void)state;
    setup_record();
    see(RECORD, 9, 1300, 700);
    retained.id = OTHER;
    assert_int_equal(resolve(), JP_RESOLUTION_NEW_FOREIGN);
    assert_true(registers.id == NEW);
    for (int exact = 0; exact < 2; exact++) {
        setup_record();
        registers.final = exact;
        registers.published = exact; // else: never published
        assert_int_equal(resolve(), JP_RESOLUTION_KEPT);
        assert_true(registers.id == ID);
        assert_shown(1020, 510);
    }
}

static void without_retained_only_an_exact_record_holds(void **state)
{
    (void)state;
    setup_record();
    assert_int_equal(jp_registers_resolve(&registers, NULL, &rules), JP_RESOLUTION_NEW_UNPROVED);
    assert_true(registers.id == NEW && registers.final && registers.published);
    assert_shown(1020, 510);
    setup_record();
    registers.final = true;
    assert_int_equal(jp_registers_resolve(&registers, NULL, &rules), JP_RESOLUTION_CONFIRMED);
    setup_record();
    registers.published = false;
    assert_int_equal(jp_registers_resolve(&registers, NULL, &rules), JP_RESOLUTION_CONFIRMED);
    assert_true(registers.id == ID && registers.final && registers.published);
}

static void an_exact_record_is_checked_as_well(void **state)
{
    (void)state;
    setup_record();
    registers.final = true; // a copy of an old state
    rules.may_adopt = false;
    see(RECORD, 9, 1300, 700);
    assert_int_equal(resolve(), JP_RESOLUTION_NEW_HIGHER);
}

static void a_lost_state_takes_the_retained_register_over(void **state)
{
    (void)state;
    setup_none();
    see(EARLIER, 9, 1300, 700);
    retained.id = OTHER;
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED_ID);
    assert_true(registers.id == OTHER);
    assert_shown(1320, 710);
    setup_none();
    retained.run = PRESENT;
    retained.seq = 0;
    assert_int_equal(resolve(), JP_RESOLUTION_ADOPTED_ID);
    assert_shown(1300, 700);
    count(1, 30, 11);
    assert_shown(1310, 701);
}

static void or_begins_anew(void **state)
{
    (void)state;
    see(EARLIER, 9, 1300, 700);
    retained.id = OTHER;
    setup_none();
    rules.may_adopt = false;
    assert_int_equal(resolve(), JP_RESOLUTION_NEW_LOST);
    assert_true(registers.id == NEW);
    assert_shown(20, 10);
    setup_none();
    retained.channels[0].mj = 600001;
    assert_int_equal(resolve(), JP_RESOLUTION_NEW_LOST);
    assert_shown(20, 10);
    setup_none();
    assert_int_equal(jp_registers_resolve(&registers, NULL, &rules), JP_RESOLUTION_FRESH);
    assert_true(registers.id == ID && registers.final && registers.published);
}

static void every_outcome_has_words(void **state)
{
    (void)state;
    for (int i = 0; i < JP_RESOLUTION_COUNT; i++)
        assert_true(strlen(jp_resolution_text((enum jp_resolution)i)) > 10);
    assert_true(jp_resolution_is_conflict(JP_RESOLUTION_KEPT));
    assert_true(jp_resolution_is_conflict(JP_RESOLUTION_NEW_HIGHER));
    assert_false(jp_resolution_is_conflict(JP_RESOLUTION_ADOPTED));
    assert_false(jp_resolution_is_conflict(JP_RESOLUTION_FRESH));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_nobody_saw_more_of_is_confirmed),
        cmocka_unit_test(values_of_an_earlier_run_become_the_base),
        cmocka_unit_test(values_below_ours_now_are_adopted_too),
        cmocka_unit_test(or_left_where_nothing_may_be_adopted),
        cmocka_unit_test(values_of_the_present_run_hold_what_it_counted),
        cmocka_unit_test(values_ahead_of_the_windows_wait_for_them),
        cmocka_unit_test(a_debt_of_the_record_is_still_repaid),
        cmocka_unit_test(higher_values_that_may_not_be_adopted_begin_a_new_id),
        cmocka_unit_test(more_than_the_maximum_in_the_time_is_not_adopted),
        cmocka_unit_test(total_and_emissions_have_their_maximum),
        cmocka_unit_test(emissions_alone_count_as_a_value),
        cmocka_unit_test(without_retained_grams_the_energy_is_priced),
        cmocka_unit_test(retained_grams_wait_for_a_factor),
        cmocka_unit_test(a_register_we_do_not_have_is_made),
        cmocka_unit_test(another_id_leaves_an_exact_record),
        cmocka_unit_test(without_retained_only_an_exact_record_holds),
        cmocka_unit_test(an_exact_record_is_checked_as_well),
        cmocka_unit_test(a_lost_state_takes_the_retained_register_over),
        cmocka_unit_test(or_begins_anew),
        cmocka_unit_test(every_outcome_has_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
