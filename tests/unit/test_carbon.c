// SPDX-License-Identifier: Apache-2.0
// Grid factors, mixes, micrograms, thermal design powers.
#include "grid.h"
#include "tdp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define KWH_MJ 3600000000LL // 1 kWh in millijoules

static void near(double got, double wanted, double error)
{
    if (!(got >= wanted - error && got <= wanted + error))
        fail_msg("%.12g is not %.12g", got, wanted);
}

static void grid_finds_countries_and_regions_in_any_case(void **state)
{
    const struct jp_grid_row *row = jp_grid_find("FRA", NULL);

    (void)state;
    assert_non_null(row);
    near(row->g_per_kwh, 56.039, 1e-9);
    assert_string_equal(row->source, "owid");
    assert_int_equal(row->year, 2023);
    assert_ptr_equal(jp_grid_find("fra", ""), row);
    // 452.541 lb/MWh x 0.45359237, to the six decimals of the table
    row = jp_grid_find("USA", "California");
    assert_non_null(row);
    near(row->g_per_kwh, 205.26914471217, 5e-7);
    row = jp_grid_find("CAN", "quebec");
    assert_non_null(row);
    near(row->g_per_kwh, 3.937355, 5e-7);
    row = jp_grid_find("CAF", NULL);
    assert_non_null(row);
    near(row->g_per_kwh, 26, 0);
}

static void grid_never_guesses_a_country(void **state)
{
    (void)state;
    assert_null(jp_grid_find("XXX", NULL));
    assert_null(jp_grid_find("", NULL));
    assert_null(jp_grid_find("FRA", "atlantis"));
}

static void grid_table_is_whole(void **state)
{
    int i = 0;

    (void)state;
    for (const struct jp_grid_row *row; (row = jp_grid_row(i)); i++) {
        assert_int_equal(strlen(row->iso3), 3);
        assert_true(row->g_per_kwh > 0 && row->g_per_kwh < 1500);
        assert_true(row->year >= 2000 && row->year < 2100);
        assert_ptr_equal(jp_grid_find(row->iso3, row->region), row); // no row hides another
    }
    assert_int_equal(i, 289);
    assert_null(jp_grid_row(-1));
}

static void mix_is_the_weighted_sum(void **state)
{
    struct jp_mix_part parts[] = {{"solar", 0.5, -1}, {"wind", 0.25, -1}, {"diesel", 0.25, 800}};
    double g = 0;

    (void)state;
    assert_int_equal(jp_grid_mix(parts, 3, &g), 0);
    near(g, 0.5 * 48 + 0.25 * 26 + 0.25 * 800, 1e-9);
    parts[2].g_per_kwh = -1;
    assert_int_equal(jp_grid_mix(parts, 3, &g), -ENOENT);
    assert_int_equal(jp_grid_mix(parts, 2, &g), -EINVAL);
    assert_int_equal(jp_grid_mix(parts, 0, &g), -EINVAL);
    assert_int_equal(jp_grid_source("nuclear", &g), 0);
    near(g, 29, 0);
    for (int i = 0; jp_grid_source_name(i); i++)
        assert_int_equal(jp_grid_source(jp_grid_source_name(i), &g), 0);
}

static void emissions_are_rounded_to_nearest(void **state)
{
    (void)state;
    assert_int_equal(jp_emissions_ug(KWH_MJ, 1.2, 56.039), 67246800);
    assert_int_equal(jp_emissions_ug(KWH_MJ, 1, 205.26914471217), 205269145);
    assert_int_equal(jp_emissions_ug(-KWH_MJ, 1.2, 56.039), -67246800);
    assert_int_equal(jp_emissions_ug(0, 1.2, 56.039), 0);
    assert_int_equal(jp_emissions_ug(3600, 1, 0.4), 0);
    assert_int_equal(jp_emissions_ug(3600, 1, 0.6), 1);
    assert_int_equal(jp_emissions_ug(-3600, 1, 0.4), 0);
    assert_int_equal(jp_emissions_ug(-3600, 1, 0.6), -1);
}

static void emissions_keep_their_last_digit_and_saturate(void **state)
{
    (void)state;
    // odd numbers above 2^53: a double would round them to even ones
    assert_true(jp_emissions_ug(9007199254740993LL, 1, 3600) == 9007199254740993LL);
    assert_true(jp_emissions_ug(-9007199254740993LL, 1, 3600) == -9007199254740993LL);
    assert_true(jp_emissions_ug(INT64_MAX, 2, 3600) == INT64_MAX);
    assert_true(jp_emissions_ug(INT64_MIN, 2, 3600) == INT64_MIN);
}

static void tdp_matches_exactly_first(void **state)
{
    (void)state;
    assert_int_equal(jp_tdp_mw("ARMv8 Processor rev 0 (v8l)"), 30000);
    assert_int_equal(jp_tdp_mw("armv8 processor REV 0 (v8l)"), 30000);
    assert_int_equal(jp_tdp_mw("Intel EP80579 Integrated, 600 MHz"), 11000);
    assert_int_equal(jp_tdp_mw("ARMv8 Processor rev 1 (v8l)"), 0);
    assert_int_equal(jp_tdp_mw(""), 0);
}

static void tdp_matches_what_proc_cpuinfo_says(void **state)
{
    (void)state;
    assert_int_equal(jp_tdp_mw("Intel(R) Xeon(R) CPU E5-2699 v4 @ 2.20GHz"), 145000);
    assert_int_equal(jp_tdp_mw("Intel Xeon E5-2699 v4"), 145000);
}

static void tdp_of_words_must_be_the_only_one(void **state)
{
    (void)state;
    assert_int_equal(jp_tdp_mw("AMD Ryzen 7 5800X 8-Core Processor"), 105000);
    assert_int_equal(jp_tdp_mw("Intel"), 0); // contained in thousands of rows
    assert_int_equal(jp_tdp_mw("no such processor at all"), 0);
}

static void tdp_of_a_machine_counts_sockets_and_threads(void **state)
{
    (void)state;
    assert_int_equal(jp_tdp_machine_mw("Intel Xeon E5-2699 v4", 88, 2), 290000);
    // an unknown model of 4 threads in what lscpu calls 2 sockets: 32 W
    assert_int_equal(jp_tdp_machine_mw("ARMv8 Processor rev 1 (v8l)", 4, 2), 32000);
    assert_int_equal(jp_tdp_machine_mw(NULL, 4, 0), 16000);
    assert_int_equal(jp_tdp_machine_mw("", 0, 0), 85000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_finds_countries_and_regions_in_any_case),
        cmocka_unit_test(grid_never_guesses_a_country),
        cmocka_unit_test(grid_table_is_whole),
        cmocka_unit_test(mix_is_the_weighted_sum),
        cmocka_unit_test(emissions_are_rounded_to_nearest),
        cmocka_unit_test(emissions_keep_their_last_digit_and_saturate),
        cmocka_unit_test(tdp_matches_exactly_first),
        cmocka_unit_test(tdp_matches_what_proc_cpuinfo_says),
        cmocka_unit_test(tdp_of_words_must_be_the_only_one),
        cmocka_unit_test(tdp_of_a_machine_counts_sockets_and_threads),
    };

    return cmocka_run_group_tests_name("carbon", tests, NULL, NULL);
}
