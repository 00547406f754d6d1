// SPDX-License-Identifier: Apache-2.0
// What discovery makes of the channels of the iio driver, of hwmon's power meters and of alarms.
#define _GNU_SOURCE
#include "drivers.h"
#include "machine.h"

#define GPU "/sys/class/hwmon/hwmon9/"

static void put_amdgpu(void)
{
    put(GPU "name", "amdgpu\n");
    put(GPU "power1_average", "31000000\n");
    put(GPU "power1_label", "PPT\n");
}

static bool uses(const char *driver)
{
    for (int i = 0; i < plan.driver_count; i++)
        if (strcmp(plan.drivers_used[i], driver) == 0)
            return true;
    return false;
}

static void rails_of_jetpack_4_are_named_as_those_of_later_ones(void **state)
{
    (void)state;
    tree("iio");
    discover();
    assert_string_equal(names(), "VDD_SYS_GPU VDD_SYS_SOC VDD_4V0_WIFI VDD_IN");
    assert_false(plan.run.total_known);
    assert_true(uses("ina3221_iio") && !uses("ina3221_hwmon"));
    assert_int_equal(plan.run.gauge_count, 1); // cpu_load: this kernel has no alarm files
}

static void a_graphics_card_stands_beside_the_packages_and_never_in_their_total(void **state)
{
    (void)state;
    tree("x86-2s");
    put_amdgpu();
    discover();
    assert_string_equal(names(), "PPT +package-0 +package-1 psys core-0 uncore-0 +dram-0 core-1 uncore-1 +dram-1");
    assert_int_equal(channel("PPT")->roles, JP_ROLE_GPU);
    assert_int_equal(channel("PPT")->scope, JP_SCOPE_RAIL);
    assert_int_equal(plan.run.total_scope, JP_SCOPE_PACKAGE);
}

static void a_graphics_card_alone_is_shown_and_nothing_is_modelled_into_a_total(void **state)
{
    char command[256];

    (void)state;
    tree("x86-2s");
    put_amdgpu();
    snprintf(command, sizeof command, "rm -r '%s/sys/devices/virtual/powercap' '%s/sys/class/powercap'", root, root);
    assert_int_equal(system(command), 0);
    discover();
    assert_string_equal(names(), "PPT");
    assert_false(plan.run.total_known);
    assert_false(uses("estimate_cpu") || uses("estimate_ram"));
}

static int probe_fake_smi(const struct jp_site *site, struct jp_found *found, int max)
{
    (void)max;
    found[0] = (struct jp_found){.param = 0};
    snprintf(found[0].path, sizeof found[0].path, "%s/nvidia-smi", site->root);
    return 1;
}

// The driver does not run in a tree: here it is made to.
static void discover_with_smi(const char *script)
{
    struct jp_driver smi = jp_driver_nvidia_gpu;
    const struct jp_driver *drivers[] = {&jp_driver_rapl_powercap, &smi, &jp_driver_cpu_load, &jp_driver_estimate_cpu,
                                         &jp_driver_estimate_ram,  NULL};
    char path[128];

    smi.probe = probe_fake_smi;
    put("/nvidia-smi", script);
    snprintf(path, sizeof path, "%s/nvidia-smi", root);
    assert_int_equal(chmod(path, 0755), 0);
    discover_with(drivers);
    jp_plan_close(&plan); // while the copy lives
}

static void nvidias_cards_stand_beside_the_packages_and_never_in_their_total(void **state)
{
    (void)state;
    tree("x86-2s");
    discover_with_smi("#!/bin/sh\nwhile echo '0, GPU-a, 70.5, 1, 2, 3'; echo '1, GPU-b, [N/A], 4, [N/A], 6'; do\n"
                      "sleep 0.05; done\n");
    assert_string_equal(names(), "+package-0 +package-1 psys core-0 uncore-0 +dram-0 core-1 uncore-1 +dram-1 gpu-0");
    assert_int_equal(channel("gpu-0")->roles, JP_ROLE_GPU);
    assert_int_equal(channel("gpu-0")->scope, JP_SCOPE_RAIL);
    assert_string_equal(channel("gpu-0")->part_of, "");
    assert_int_equal(plan.run.gauge_count, 6);
    assert_string_equal(plan.run.gauges[0].name, "gpu-0_load");
    assert_string_equal(plan.run.gauges[4].name, "gpu-1_freq");
    assert_string_equal(plan.run.gauges[4].unit, "MHz");
}

static void an_nvidia_smi_that_fails_costs_nothing_else_and_is_told(void **state)
{
    (void)state;
    tree("x86-2s");
    discover_with_smi("#!/bin/sh\necho 'No devices were found'\nexit 6\n");
    assert_string_equal(names(), "+package-0 +package-1 psys core-0 uncore-0 +dram-0 core-1 uncore-1 +dram-1");
    assert_int_equal(plan.problem_count, 1);
    assert_non_null(strstr(plan.problems[0].where, "/nvidia-smi"));
    assert_string_equal(plan.problems[0].what, "nvidia_gpu cannot be opened: No data available");
    assert_string_equal(plan.problems[0].remedy, JP_REMEDY_NVIDIA);
    assert_true(sizeof JP_REMEDY_NVIDIA <= sizeof plan.problems[0].remedy);
}

static void a_profile_knows_single_channel_chips_by_place_or_label(void **state)
{
    (void)state;
    tree("hwmon-power");
    put("/boards.d/b.conf",
        "name = \"B\"; match = ( \"example,some-board\" );\n"
        "sensors = ( { chip = \"ina238\"; scope = \"board\"; channels = ( { channel = 1; label = \"VIN\"; roles = ( "
        "\"board\" ); } ); },\n"
        "  { chip = \"ina219\"; address = 0x44; bus_node = \"i2c@31e0000\"; scope = \"carrier\";\n"
        "    channels = ( { channel = 1; label = \"CVB_ATX_12V_8P\"; part_of = \"VIN\"; shunt_uohm = 2000; } ); },\n"
        "  { chip = \"ina226\"; address = 0x45; bus_node = \"i2c@31e0000\"; scope = \"carrier\";\n"
        "    channels = ( { channel = 1; label = \"BY_PLACE\"; part_of = \"VIN\"; } ); } );\n"
        "totals = { board = ( \"VIN\" ); };\n");
    snprintf(config.board_dir, sizeof config.board_dir, "%s/boards.d", root);
    discover();
    assert_string_equal(names(), "VDD_GPU +VIN CVB_ATX_12V_8P BY_PLACE");
    assert_string_equal(channel("CVB_ATX_12V_8P")->part_of, "VIN");
    assert_int_equal(channel("BY_PLACE")->scope, JP_SCOPE_CARRIER);
    assert_int_equal(plan.run.total_scope, JP_SCOPE_BOARD);
    assert_int_equal(plan.problem_count, 0);
}

static void a_chip_that_nobody_names_is_named_by_its_place(void **state)
{
    (void)state;
    tree("hwmon-power");
    discover();
    assert_string_equal(names(), "VDD_GPU VIN CVB_ATX_12V_8P ina226-45.1");
}

static void alarms_are_gauges_with_names_of_their_own(void **state)
{
    (void)state;
    tree("alarms");
    discover();
    assert_string_equal(names(), "MAIN ina3221-42.2 A_NAME_OF_THIRTY_TWO_CHARACTERS_");
    assert_int_equal(plan.run.gauge_count, 4);
    assert_string_equal(plan.run.gauges[0].name, "MAIN_alarm");
    assert_string_equal(plan.run.gauges[1].name, "ina3221-42.2_alarm");
    assert_string_equal(plan.run.gauges[2].name, "A_NAME_OF_THIRTY_TWO_CHARA_alarm");
    assert_string_equal(plan.run.gauges[0].unit, "");
    assert_int_equal(plan.sources[0].channel[3], -1);
    assert_int_equal(plan.sources[0].gauge[3], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(rails_of_jetpack_4_are_named_as_those_of_later_ones),
        WITH_ROOT(a_graphics_card_stands_beside_the_packages_and_never_in_their_total),
        WITH_ROOT(a_graphics_card_alone_is_shown_and_nothing_is_modelled_into_a_total),
        WITH_ROOT(nvidias_cards_stand_beside_the_packages_and_never_in_their_total),
        WITH_ROOT(an_nvidia_smi_that_fails_costs_nothing_else_and_is_told),
        WITH_ROOT(a_profile_knows_single_channel_chips_by_place_or_label),
        WITH_ROOT(a_chip_that_nobody_names_is_named_by_its_place),
        WITH_ROOT(alarms_are_gauges_with_names_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
