// SPDX-License-Identifier: Apache-2.0
// The sensor drivers on made trees: what is found, how it is named, and what bad files become.
#define _GNU_SOURCE
#include "driver_rig.h"
#include "ina3221.h"

#include <errno.h>

static void the_chip_arithmetic(void **state)
{
    (void)state;
    assert_int_equal(jp_ina3221_power_uw(19000, 160), 3040000);
    assert_int_equal(jp_ina3221_power_uw(19600, -20), -392000);
    assert_true(jp_ina3221_power_uw(INT32_MAX, INT32_MAX) == 4611686014132420609LL);
    assert_int_equal(jp_ina3221_step_ua(2000), 20000);
    assert_int_equal(jp_ina3221_step_ua(5000), 8000);
    assert_int_equal(jp_ina3221_step_ua(0), 0);
    assert_int_equal(jp_ina3221_resolution_uw(2000, 19600), 392000);
    assert_int_equal(jp_ina3221_resolution_uw(0, 19600), 0);
    assert_int_equal(jp_ina3221_resolution_uw(2000, -8), 0);
    assert_true(jp_ina3221_max_uw(5000) > 32760000LL * 32760 / 1000);
    assert_int_equal(jp_ina3221_max_uw(0), 0);
}

static void an_agx_orin_has_its_four_rails_whatever_the_hwmon_numbers(void **state)
{
    static const char *const kinds[] = {"agx-orin-jp5", "agx-orin-jp6"};
    struct jp_found found[MAX];
    struct rig rig;

    for (int i = 0; i < 2; i++) {
        tree(kinds[i]);
        assert_int_equal(jp_driver_ina3221_hwmon.probe(&site, found, MAX), 2);
        assert_int_equal(open_rig(&rig, &jp_driver_ina3221_hwmon, &found[0]), 3);
        read_rig(&rig);
        assert_string_equal(rig.channels[0].name, "VDD_GPU_SOC");
        assert_string_equal(rig.channels[2].name, "VIN_SYS_5V0");
        assert_string_equal(rig.channels[0].chip, "ina3221");
        assert_string_equal(rig.channels[0].bus_node, "i2c@c240000");
        assert_int_equal(rig.channels[0].address, 0x40);
        assert_int_equal(rig.channels[0].shunt_uohm, 2000);
        assert_int_equal(rig.channels[0].resolution_uw, 380000);
        assert_int_equal(rig.readings[0].value, 3040000);
        assert_int_equal(rig.readings[0].mv, 19000);
        assert_int_equal(rig.readings[0].ma, 160);
        close_rig(&rig);
        // NC inputs, switched-off inputs, in4..in7 and curr4 are no rails.
        assert_int_equal(open_rig(&rig, &jp_driver_ina3221_hwmon, &found[1]), 1);
        assert_string_equal(rig.channels[0].name, "VDDQ_VDD2_1V8AO");
        assert_int_equal(rig.channels[0].index, 2);
        assert_int_equal(rig.channels[0].address, 0x41);
        close_rig(&rig);
        drop_tree(state);
    }
}

static void a_tree_without_links_is_read_as_well(void **state)
{
    struct rig rig;

    (void)state;
    tree("arm-unknown");
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 3);
    assert_string_equal(rig.channels[0].name, "MAIN");
    assert_string_equal(rig.channels[1].name, "");
    assert_string_equal(rig.channels[2].bus_node, "i2c@fe804000");
    assert_int_equal(rig.channels[2].address, 0x42);
    assert_int_equal(rig.channels[2].index, 3);
    close_rig(&rig);
}

static void run(const char *format)
{
    char command[512];

    snprintf(command, sizeof command, "cd '%s' && %s", root, format);
    assert_int_equal(system(command), 0);
}

// A copy of /sys/class alone: no client's folder, the device a plain folder.
static void a_copied_class_folder_tells_its_chip_by_its_uevent(void **state)
{
    struct jp_found found[MAX];
    struct rig rig;

    (void)state;
    tree("arm-unknown");
    run("mkdir -p sys/class && mv sys/bus/i2c/devices/3-0042/hwmon sys/class/hwmon");
    run("mkdir sys/class/hwmon/hwmon0/device && mv sys/bus/i2c/devices/3-0042/uevent sys/class/hwmon/hwmon0/device/");
    assert_int_equal(jp_driver_ina3221_hwmon.probe(&site, found, MAX), 1);
    assert_int_equal(open_rig(&rig, &jp_driver_ina3221_hwmon, &found[0]), 3);
    assert_int_equal(rig.channels[0].address, 0x42);
    assert_string_equal(rig.channels[0].bus_node, "i2c@fe804000");
    close_rig(&rig);
    run("rm -r sys/class/hwmon/hwmon0/device");
    assert_int_equal(open_rig(&rig, &jp_driver_ina3221_hwmon, &found[0]), 3);
    assert_int_equal(rig.channels[0].address, -1);
    assert_string_equal(rig.channels[0].bus_node, "");
    close_rig(&rig);
}

static void the_of_node_link_names_the_bus_where_uevent_does_not(void **state)
{
    struct rig rig;

    (void)state;
    tree("arm-unknown");
    run("mkdir -p sys/firmware/devicetree/base/soc/i2c@7e804000/ina3221@42 && rm sys/bus/i2c/devices/3-0042/uevent && "
        "ln -s ../../../../firmware/devicetree/base/soc/i2c@7e804000/ina3221@42 sys/bus/i2c/devices/3-0042/of_node");
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 3);
    assert_string_equal(rig.channels[0].bus_node, "i2c@7e804000");
    assert_int_equal(rig.channels[0].address, 0x42);
    close_rig(&rig);
}

static void one_chip_seen_in_three_places_is_found_once(void **state)
{
    struct jp_found found[MAX];

    (void)state;
    tree("arm-unknown");
    run("mkdir -p sys/bus/i2c/drivers/ina3221 sys/class && cp -r sys/bus/i2c/devices/3-0042 "
        "sys/bus/i2c/drivers/ina3221/ "
        "&& cp -r sys/bus/i2c/devices/3-0042/hwmon sys/class/");
    assert_int_equal(jp_driver_ina3221_hwmon.probe(&site, found, MAX), 1);
    assert_int_equal(jp_driver_ina3221_hwmon.probe(&site, found, 0), 0);
    // The same client under another number is the same chip, another client another one.
    run("mv sys/bus/i2c/drivers/ina3221/3-0042/hwmon/hwmon0 sys/bus/i2c/drivers/ina3221/3-0042/hwmon/hwmon7");
    assert_int_equal(jp_driver_ina3221_hwmon.probe(&site, found, MAX), 1);
    run("cp -r sys/bus/i2c/devices/3-0042 sys/bus/i2c/devices/3-0043");
    assert_int_equal(jp_driver_ina3221_hwmon.probe(&site, found, MAX), 2);
}

static void a_bad_rail_file_is_missing_and_never_stops_the_others(void **state)
{
#define CHIP "/sys/bus/i2c/devices/3-0042/hwmon/hwmon0/"
    static const struct {
        const char *text;
        int error;
    } cases[] = {{"", ENODATA}, {"abc\n", EINVAL}, {"12x\n", EINVAL}, {"99999999999\n", ERANGE}};
    struct rig rig;

    (void)state;
    tree("arm-unknown");
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(CHIP "curr1_input", cases[i].text);
        put(CHIP "in2_input", cases[i].text);
        read_rig(&rig);
        for (int rail = 0; rail < 2; rail++) {
            assert_int_equal(rig.readings[rail].state, JP_MISSING);
            assert_int_equal(rig.readings[rail].error, cases[i].error);
            assert_int_equal(rig.readings[rail].mv, INT32_MIN);
        }
        assert_int_equal(rig.readings[2].state, JP_GOOD);
        assert_int_equal(rig.readings[2].value, 3304 * 40);
    }
    put(CHIP "curr1_input", "-20\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    assert_int_equal(rig.readings[0].value, -240000);
    close_rig(&rig);
}

static void a_labelled_rail_that_is_empty_at_open_is_kept(void **state)
{
    struct rig rig;

    (void)state;
    tree("arm-unknown");
    put(CHIP "in1_input", "");
    put(CHIP "in2_input", "");
    drop(CHIP "curr3_input");
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 1);
    assert_string_equal(rig.channels[0].name, "MAIN");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    put(CHIP "in1_input", "12000\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 6000000);
    close_rig(&rig);
}

static bool late_after_two(void *context)
{
    return ++*(int *)context >= 2;
}

static void after_a_slow_transfer_the_rest_stays_wanted(void **state)
{
    struct rig rig;
    int calls = 0;
    struct jp_pass pass = {.late = late_after_two, .context = &calls};

    (void)state;
    tree("arm-unknown");
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 3);
    pass.readings = rig.readings;
    rig.readings[0].state = JP_SKIPPED;
    rig.driver->read(rig.state, &pass);
    assert_int_equal(rig.readings[0].state, JP_SKIPPED);
    assert_int_equal(rig.readings[1].state, JP_GOOD);
    assert_int_equal(rig.readings[2].state, JP_WANTED);
    assert_int_equal(calls, 2);
    // A slow voltage: the current of the same chip is not waited for as well.
    rig.readings[0].state = JP_WANTED;
    rig.driver->read(rig.state, &pass);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    assert_int_equal(rig.readings[0].error, ETIMEDOUT);
    assert_int_equal(rig.readings[2].state, JP_WANTED);
    assert_int_equal(calls, 3);
    close_rig(&rig);
}

static int find(const struct rig *rig, const char *name)
{
    for (int i = 0; i < rig->count; i++)
        if (strcmp(rig->channels[i].name, name) == 0)
            return i;
    fail_msg("no channel %s", name);
    return -1;
}

static void two_packages_are_named_and_the_mmio_twin_is_dropped(void **state)
{
    static const char *const kinds[] = {"x86-2s", "x86-virtual"};
    struct rig rig;

    for (int i = 0; i < 2; i++) {
        tree(kinds[i]);
        assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 9);
        read_rig(&rig);
        assert_int_equal(rig.readings[find(&rig, "package-0")].value, 1000000);
        assert_int_equal(rig.readings[find(&rig, "package-1")].value, 5000000);
        assert_int_equal(rig.readings[find(&rig, "dram-1")].value, 8000000);
        assert_string_equal(rig.channels[find(&rig, "core-1")].part_of, "package-1");
        assert_string_equal(rig.channels[find(&rig, "uncore-0")].part_of, "package-0");
        assert_string_equal(rig.channels[find(&rig, "dram-0")].part_of, "");
        assert_int_equal(rig.channels[find(&rig, "dram-0")].roles, JP_ROLE_DRAM);
        assert_int_equal(rig.channels[find(&rig, "package-1")].roles, JP_ROLE_PACKAGE);
        assert_int_equal(rig.channels[find(&rig, "psys")].roles, JP_ROLE_PSYS);
        assert_int_equal(rig.channels[find(&rig, "psys")].scope, JP_SCOPE_SYSTEM);
        assert_true(rig.channels[find(&rig, "package-0")].range_uj == 262143328850);
        assert_true(rig.channels[find(&rig, "package-0")].max_uw == 564000000);
        assert_int_equal(rig.channels[find(&rig, "core-0")].max_uw, 0);
        close_rig(&rig);
        drop_tree(state);
    }
}

static void a_bad_counter_is_missing_never_zero(void **state)
{
#define ZONE "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0/"
    static const char *const texts[] = {"", "-1\n", "n/a\n", "18446744073709551615\n"};
    struct rig rig;

    (void)state;
    tree("x86-2s");
    put(ZONE "max_energy_range_uj", "0\n");
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 9);
    assert_int_equal(rig.channels[find(&rig, "package-0")].range_uj, 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put(ZONE "energy_uj", texts[i]);
        read_rig(&rig);
        assert_int_equal(rig.readings[find(&rig, "package-0")].state, JP_MISSING);
        assert_int_not_equal(rig.readings[find(&rig, "package-0")].error, 0);
        assert_int_equal(rig.readings[find(&rig, "package-1")].state, JP_GOOD);
    }
    close_rig(&rig);
}

static void an_empty_site_has_no_sensor(void **state)
{
    struct jp_found found[MAX];

    (void)state;
    tree("empty");
    for (int i = 0; jp_drivers[i]; i++)
        assert_int_equal(jp_drivers[i]->probe(&site, found, MAX), 0);
}

static void every_driver_is_found_by_its_name(void **state)
{
    (void)state;
    for (int i = 0; jp_drivers[i]; i++)
        assert_ptr_equal(jp_driver_by_name(jp_drivers[i]->name), jp_drivers[i]);
    assert_null(jp_driver_by_name("hwmon"));
}

static void words_and_values_go_both_ways(void **state)
{
    enum jp_scope scope;

    (void)state;
    for (int i = JP_SCOPE_RAIL; i <= JP_SCOPE_SYSTEM; i++) {
        assert_int_equal(jp_scope_by_name(jp_scope_name((enum jp_scope)i), &scope), 0);
        assert_int_equal(scope, i);
    }
    assert_int_equal(jp_scope_by_name("wall", &scope), -EINVAL);
    for (uint32_t bit = JP_ROLE_CPU; bit <= JP_ROLE_PSYS; bit <<= 1)
        assert_int_equal(jp_role_by_name(jp_role_name(bit)), bit);
    assert_int_equal(jp_role_by_name("moon"), 0);
    assert_string_equal(jp_method_name(JP_MODELLED), "modelled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chip_arithmetic),
        cmocka_unit_test(an_agx_orin_has_its_four_rails_whatever_the_hwmon_numbers),
        ON_A_TREE(a_tree_without_links_is_read_as_well),
        ON_A_TREE(a_copied_class_folder_tells_its_chip_by_its_uevent),
        ON_A_TREE(the_of_node_link_names_the_bus_where_uevent_does_not),
        ON_A_TREE(one_chip_seen_in_three_places_is_found_once),
        ON_A_TREE(a_bad_rail_file_is_missing_and_never_stops_the_others),
        ON_A_TREE(a_labelled_rail_that_is_empty_at_open_is_kept),
        ON_A_TREE(after_a_slow_transfer_the_rest_stays_wanted),
        cmocka_unit_test(two_packages_are_named_and_the_mmio_twin_is_dropped),
        ON_A_TREE(a_bad_counter_is_missing_never_zero),
        ON_A_TREE(an_empty_site_has_no_sensor),
        cmocka_unit_test(every_driver_is_found_by_its_name),
        cmocka_unit_test(words_and_values_go_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
