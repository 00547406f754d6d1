// SPDX-License-Identifier: Apache-2.0
// Modelled power and load gauges: CodeCarbon's published figures, and what bad files become.
#define _GNU_SOURCE
#include "cpu_model.h"
#include "driver_rig.h"

#include <errno.h>

#define GIB(x) ((int64_t)((x)*1048576.0))

static void the_ram_model_gives_codecarbons_table(void **state)
{
    static const struct {
        int64_t kb, x86_mw, arm_mw;
    } table[] = {
        {GIB(2), 10000, 3000},      {GIB(7.6), 10000, 3000},    {GIB(15.4), 10000, 3000},   {GIB(16), 10000, 3000},
        {GIB(16.01), 20000, 6000},  {GIB(30.264), 20000, 6000}, {GIB(64), 20000, 6000},     {GIB(64.1), 38000, 11400},
        {GIB(128.5), 42000, 12600}, {GIB(192), 54000, 16200},   {GIB(251.5), 70000, 21000}, {GIB(8000), 126000, 37800},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(jp_ram_model_uw(table[i].kb, false), table[i].x86_mw * 1000);
        assert_int_equal(jp_ram_model_uw(table[i].kb, true), table[i].arm_mw * 1000);
    }
}

static void the_cpu_model_is_cubic_with_a_tenth_at_idle(void **state)
{
    (void)state;
    assert_int_equal(jp_cpu_model_uw(30000, 500000), 6375000);
    assert_int_equal(jp_cpu_model_uw(30000, 0), 3000000);
    assert_int_equal(jp_cpu_model_uw(30000, 1000000), 30000000);
    assert_int_equal(jp_cpu_model_uw(30000, 1500000), 30000000);
    assert_int_equal(jp_cpu_model_uw(85000, -1), 8500000);
}

static void guest_time_is_not_counted_twice_and_iowait_is_idle(void **state)
{
    struct jp_cpu_ticks ticks;

    (void)state;
    assert_int_equal(jp_cpu_ticks_parse("cpu  100 20 30 400 50 6 7 8 90 10\ncpu0 1\n", &ticks), 0);
    assert_int_equal(ticks.busy, 100 + 20 + 30 + 6 + 7 + 8);
    assert_int_equal(ticks.idle, 450);
    assert_int_equal(jp_cpu_ticks_parse("cpu  1 2 3 4\n", &ticks), 0);
    assert_int_equal(jp_cpu_ticks_parse("cpu  1 2 3\n", &ticks), -EINVAL);
    assert_int_equal(jp_cpu_ticks_parse("cpu  1 2 3 4x\n", &ticks), -EINVAL);
    assert_int_equal(jp_cpu_ticks_parse("intr 1 2 3 4\n", &ticks), -EINVAL);
}

static void the_modelled_cpu_follows_the_load_between_two_reads(void **state)
{
    struct jp_found found = {.path = "/proc/stat", .param = 30000};
    struct rig rig;

    (void)state;
    tree("empty");
    make_folder("/proc");
    put("/proc/stat", "cpu  50 0 0 50 0 0 0 0 0 0\n");
    assert_int_equal(open_rig(&rig, &jp_driver_estimate_cpu, &found), 1);
    assert_string_equal(rig.channels[0].name, "cpu");
    assert_int_equal(rig.channels[0].method, JP_MODELLED);
    assert_int_equal(rig.channels[0].roles, JP_ROLE_CPU);
    read_rig(&rig); // no tick yet: the load since boot
    assert_int_equal(rig.readings[0].value, 6375000);
    put("/proc/stat", "cpu  50 0 0 150 0 0 0 0 0 0\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 3000000);
    put("/proc/stat", "cpu  150 0 0 150 0 0 0 0 0 0\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 30000000);
    put("/proc/stat", "cpu  10 0 0 15 0 0 0 0 0 0\n"); // counters went back: the last load stands
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 30000000);
    put("/proc/stat", "");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    assert_int_equal(rig.readings[0].error, ENODATA);
    close_rig(&rig);
    found.param = 0;
    assert_int_equal(open_rig(&rig, &jp_driver_estimate_cpu, &found), -EINVAL);
}

static void the_cpu_load_is_a_gauge_in_thousandths_of_a_per_cent(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    make_folder("/proc");
    put("/proc/stat", "cpu  1 0 0 3 0 0 0 0 0 0\n");
    assert_int_equal(open_nth(&rig, &jp_driver_cpu_load, 0), 1);
    assert_int_equal(rig.channels[0].kind, JP_GAUGE);
    assert_string_equal(rig.channels[0].unit, "%");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 25000);
    close_rig(&rig);
}

static void the_modelled_ram_knows_arm_from_x86_by_the_site(void **state)
{
    static const struct {
        const char *kind;
        int64_t uw;
    } cases[] = {{"agx-orin-jp6", 6000000}, {"x86-2s", 54000000}};
    struct rig rig;

    for (int i = 0; i < 2; i++) {
        tree(cases[i].kind);
        assert_int_equal(open_nth(&rig, &jp_driver_estimate_ram, 0), 1);
        read_rig(&rig);
        assert_string_equal(rig.channels[0].name, "ram");
        assert_int_equal(rig.channels[0].method, JP_MODELLED);
        assert_int_equal(rig.channels[0].roles, JP_ROLE_RAM);
        assert_int_equal(rig.readings[0].value, cases[i].uw);
        close_rig(&rig);
        drop_tree(state);
    }
}

static void a_gpu_load_is_found_through_devfreq_or_at_a_known_place(void **state)
{
    struct jp_found found[MAX];
    struct rig rig;

    (void)state;
    tree("orin-nano");
    assert_int_equal(open_nth(&rig, &jp_driver_gpu_load, 0), 1);
    read_rig(&rig);
    assert_string_equal(rig.channels[0].name, "gpu_load");
    assert_int_equal(rig.readings[0].value, 25000);
    put("/sys/class/devfreq/17000000.gpu/device/load", "1001\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    close_rig(&rig);
    drop("/sys/class/devfreq/17000000.gpu");
    assert_int_equal(jp_driver_gpu_load.probe(&site, found, MAX), 1);
    assert_string_equal(found[0].path, "/sys/devices/platform/bus@0/17000000.gpu/load");
    drop(found[0].path);
    assert_int_equal(jp_driver_gpu_load.probe(&site, found, MAX), 0);
    assert_int_equal(open_rig(&rig, &jp_driver_gpu_load, &found[0]), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ram_model_gives_codecarbons_table),
        cmocka_unit_test(the_cpu_model_is_cubic_with_a_tenth_at_idle),
        cmocka_unit_test(guest_time_is_not_counted_twice_and_iowait_is_idle),
        ON_A_TREE(the_modelled_cpu_follows_the_load_between_two_reads),
        ON_A_TREE(the_cpu_load_is_a_gauge_in_thousandths_of_a_per_cent),
        cmocka_unit_test(the_modelled_ram_knows_arm_from_x86_by_the_site),
        ON_A_TREE(a_gpu_load_is_found_through_devfreq_or_at_a_known_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
