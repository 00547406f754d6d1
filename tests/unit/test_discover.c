// SPDX-License-Identifier: Apache-2.0
// Discovery on trees that look like machines: which channels, under which names, and what makes the total.
#define _GNU_SOURCE
#include "drivers.h"
#include "machine.h"
#include "track.h"

static void assert_agx_orin(void)
{
    assert_string_equal(names(), "+VDD_GPU_SOC +VDD_CPU_CV +VIN_SYS_5V0 VDDQ_VDD2_1V8AO");
    assert_string_equal(channel("VDDQ_VDD2_1V8AO")->part_of, "VIN_SYS_5V0");
    assert_int_equal(channel("VDD_GPU_SOC")->roles, JP_ROLE_GPU | JP_ROLE_SOC);
    assert_int_equal(channel("VDD_GPU_SOC")->scope, JP_SCOPE_MODULE);
    assert_true(plan.run.total_known);
    assert_int_equal(plan.run.total_method, JP_MEASURED);
    assert_int_equal(plan.run.total_scope, JP_SCOPE_MODULE);
    assert_string_equal(plan.run.facts.board_id, "jetson-agx-orin");
    assert_true(plan.run.facts.board_verified);
    assert_int_equal(plan.run.facts.gpu_count, 1);
    assert_string_equal(plan.run.facts.gpu_name, "Orin (nvgpu)");
    assert_int_equal(plan.problem_count, 0);
}

static void agx_orin_of_jetpack_5_and_6_adds_its_three_inputs(void **state)
{
    (void)state;
    tree("agx-orin-jp5");
    discover();
    assert_agx_orin();
    jp_plan_close(&plan);
    assert_int_equal(tear_down(NULL), 0);
    assert_int_equal(set_up(NULL), 0);
    tree("agx-orin-jp6");
    discover();
    assert_agx_orin();
}

static void orin_nano_takes_its_input_as_the_total(void **state)
{
    (void)state;
    tree("orin-nano");
    discover();
    assert_string_equal(names(), "+VDD_IN VDD_CPU_GPU_CV VDD_SOC");
    assert_string_equal(channel("VDD_SOC")->part_of, "VDD_IN");
    assert_int_equal(plan.problem_count, 0);
}

static int steps;

static void count_step(void)
{
    steps++;
}

static int refuse(void *state, const struct jp_site *where, const struct jp_found *found, struct jp_channel *channels,
                  int max)
{
    (void)state, (void)where, (void)found, (void)channels, (void)max;
    return -ETIMEDOUT;
}

static void each_sensor_is_a_step_opened_or_not(void **state)
{
    static struct jp_driver hung;
    static const struct jp_driver *const drivers[] = {&jp_driver_ina3221_hwmon, &hung, NULL};
    const struct jp_site site = {.root = root};
    const struct jp_discovery how = {.site = &site, .config = &config, .drivers = drivers, .went_on = count_step};

    (void)state;
    tree("agx-orin-jp6");
    hung = jp_driver_ina3221_hwmon;
    hung.open = refuse;
    steps = 0;
    assert_int_equal(jp_discover_with(&how, &plan, error, sizeof error), 0);
    assert_int_equal(plan.source_count, 2);
    assert_int_equal(steps, 4);
}

static void a_run_carries_this_machines_boot_id_whole(void **state)
{
    (void)state;
    tree("orin-nano");
    discover();
    assert_int_equal(strlen(plan.run.boot), 36);
}

static void x86_adds_packages_and_dram_and_shows_psys(void **state)
{
    (void)state;
    tree("x86-2s");
    discover();
    assert_string_equal(names(), "+package-0 +package-1 psys core-0 uncore-0 +dram-0 core-1 uncore-1 +dram-1");
    assert_string_equal(channel("core-1")->part_of, "package-1");
    assert_int_equal(plan.run.total_scope, JP_SCOPE_PACKAGE);
    assert_int_equal(plan.range_uj[0], 262143328850);
    assert_string_equal(plan.run.facts.board_id, "generic-x86");
    assert_string_equal(plan.run.facts.board_name, "Made Server");
    assert_string_equal(plan.run.facts.cpu_model, "Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz");
    assert_true(plan.run.facts.ram_bytes == 197132288LL * 1024);
    assert_int_equal(plan.problem_count, 0);
}

// What sysfs states, half as much again; a counter without a statement 1 kW, and no more.
static void a_counter_is_believed_up_to_its_limit_and_no_factor_more(void **state)
{
    struct jp_track track;

    (void)state;
    tree("x86-2s");
    discover();
    jp_track_init(&track, channel("package-0"), plan.range_uj[0], 0);
    assert_true(track.integrator.limit_uw == 564000000);
    jp_track_init(&track, channel("core-0"), plan.range_uj[0], 0);
    assert_true(track.integrator.limit_uw == JP_PACKAGE_MAX_UW);
}

static void a_board_file_of_the_user_makes_psys_the_total(void **state)
{
    (void)state;
    tree("x86-2s");
    put("/boards.d/my-server.conf", "name = \"My server\"; match = ( \"dmi:Made Server\" );\n"
                                    "sensors = ( { chip = \"rapl\"; scope = \"board\"; channels = ( { label = "
                                    "\"psys\"; roles = ( \"psys\" ); } ); } );\n"
                                    "totals = { board = ( \"psys\" ); };\n");
    snprintf(config.board_dir, sizeof config.board_dir, "%s/boards.d", root);
    discover();
    assert_string_equal(names(), "package-0 package-1 +psys core-0 uncore-0 dram-0 core-1 uncore-1 dram-1");
    assert_int_equal(plan.run.total_scope, JP_SCOPE_BOARD);
    assert_string_equal(plan.run.facts.board_name, "My server");
}

static void an_unknown_board_has_rails_and_no_total(void **state)
{
    (void)state;
    tree("arm-unknown");
    config.sampling.columns = JP_COLUMN_MV | JP_COLUMN_PEAK;
    discover();
    assert_int_equal(plan.run.columns, JP_COLUMN_MV | JP_COLUMN_PEAK);
    assert_string_equal(names(), "MAIN ina3221-42.2 ina3221-42.3");
    assert_false(plan.run.total_known);
    assert_string_equal(plan.run.facts.board_id, "generic-arm");
    assert_string_equal(plan.run.facts.board_name, "Some Board");
    assert_false(plan.run.facts.board_verified);
    diagnose();
    assert_non_null(strstr(problem("no profile for this board")->remedy, "match = ( \"example,some-board\" )"));
}

static void an_unknown_tegra_and_an_emulation_tree_get_no_total(void **state)
{
    (void)state;
    tree("agx-orin-jp6");
    put("/proc/device-tree/compatible", "nvidia,p3737-0000+p3701-0000-as-p3767-0003");
    discover();
    assert_string_equal(plan.run.facts.board_id, "generic-arm");
    assert_string_equal(names(), "VDD_GPU_SOC VDD_CPU_CV VIN_SYS_5V0 VDDQ_VDD2_1V8AO");
    assert_false(plan.run.total_known);
    jp_plan_close(&plan);
    // Its other entries decide, and a profile whose rails are not there has no total either.
    put("/proc/device-tree/compatible", "nvidia,p3767-0003");
    discover();
    assert_string_equal(plan.run.facts.board_id, "jetson-orin-nano");
    assert_false(plan.run.total_known);
    assert_false(plan.run.facts.board_verified);
    diagnose();
    assert_non_null(problem("VDD_IN, VDD_CPU_GPU_CV, VDD_SOC"));
    assert_non_null(problem("no total"));
    assert_null(strstr(names(), "+"));
}

static void load_and_clock_of_the_gpu_are_read_where_the_profile_says(void **state)
{
    (void)state;
    put("/proc/device-tree/compatible", "nvidia,p3701-0000");
    put("/sys/devices/17000000.ga10b/load", "250\n");
    put("/boards.d/my.conf", "name = \"X\"; match = ( \"nvidia,p3701-0000\" ); priority = 900;\n"
                             "gpu = { load = ( \"/sys/no\", \"/sys/devices/17000000.ga10b/load\" );\n"
                             "frequency = ( \"/sys/no\", \"/sys/devices/freq\" ); };\n");
    put("/sys/devices/freq", "1300500000\n");
    snprintf(config.board_dir, sizeof config.board_dir, "%s/boards.d", root);
    discover();
    assert_int_equal(plan.run.gauge_count, 2);
    assert_string_equal(plan.sources[0].found.path, "/sys/devices/17000000.ga10b/load");
    assert_string_equal(plan.sources[1].found.path, "/sys/devices/freq");
}

#define CHIP_40 "/sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon1"

static void a_rail_without_label_is_known_by_its_place_and_a_strange_label_is_not(void **state)
{
    char path[256];

    (void)state;
    tree("orin-nano");
    snprintf(path, sizeof path, "%s" CHIP_40 "/in1_label", root);
    assert_int_equal(unlink(path), 0);
    discover();
    assert_string_equal(names(), "+VDD_IN VDD_CPU_GPU_CV VDD_SOC");
    jp_plan_close(&plan);
    put(CHIP_40 "/in1_label", "CAMERA_5V\n");
    discover();
    assert_string_equal(names(), "CAMERA_5V VDD_CPU_GPU_CV VDD_SOC");
    assert_false(plan.run.total_known);
    assert_string_equal(channel("VDD_SOC")->part_of, "");
    diagnose();
    assert_non_null(problem("missing: VDD_IN"));
}

static const char *device(int rc)
{
    static char name[JP_DEVICE_MAX];
    const struct jp_site site = {.root = root};

    name[0] = '\0';
    assert_int_equal(jp_device_name(&site, &config, name, sizeof name), rc);
    return name;
}

static void a_device_is_named_by_what_no_two_machines_share(void **state)
{
    char link[128], before[JP_DEVICE_MAX];

    (void)state;
    assert_string_equal(device(-ENOENT), "");
    discover();
    assert_string_equal(plan.run.device, "unnamed");
    assert_non_null(problem("neither an id"));
    put("/sys/class/net/lo/address", "00:00:00:00:00:00\n");
    put("/sys/class/net/br0/address", "02:00:00:00:00:01\n");
    put("/sys/class/net/br0/addr_assign_type", "3\n");
    for (int i = 0; i < 2; i++) { // an empty id and one that was never made are none
        put("/etc/machine-id", i ? "uninitialized\n" : "\n");
        device(-ENOENT);
    }
    put("/sys/class/net/eth0/address", "48:b0:2d:00:00:02\n");
    put("/sys/class/net/eth0/addr_assign_type", "0\n");
    snprintf(link, sizeof link, "%s/sys/class/net/eth0/device", root);
    assert_int_equal(symlink("../../../devices/eth", link), 0);
    strcpy(before, device(0)); // printf '48:b0:2d:00:00:02\n' | sha256sum
    assert_string_equal(before, "a524b9f190775efe");
    put("/proc/device-tree/serial-number", "1423\n");
    assert_string_not_equal(device(0), before);
    strcpy(before, device(0));
    put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    assert_string_not_equal(device(0), before);
    strcpy(config.device_name, "box");
    assert_string_equal(device(0), "box");
}

static void a_replayed_board_is_the_board(void **state)
{
    (void)state;
    put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    put("/proc/device-tree/compatible", "nvidia,p3701-0000");
    put("/replay.trace",
        "joulepost-trace 1\nnote made for a test\nperiod_ms 200\nchannel VDD_GPU_SOC power\nchannel VDD_CPU_CV power\n"
        "channel VIN_SYS_5V0 power\nchannel VDDQ_VDD2_1V8AO power\nrows\n"
        "3000000 1000000 3000000 500000\n");
    discover();
    assert_agx_orin();
    assert_string_equal(plan.drivers_used[0], "replay");
    assert_string_equal(plan.run.facts.note, "made for a test");
}

#define TRACE "joulepost-trace 1\nperiod_ms 200\n"

static void every_wrong_trace_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"joulepost-trace 1\nperiod_ms 0\n", "/replay.trace:2"},
        {"", "/replay.trace:1"},
        {TRACE "channel a power\nrows\n1 2\n", "/replay.trace:5"},
        {TRACE "channel a power\nchannel b power\nrows\n\n1\n", "/replay.trace:7"},
        {TRACE "rows\n", "/replay.trace:3"},
    };
    char many[2048] = TRACE;

    (void)state;
    for (int i = 0; i < 65; i++)
        sprintf(many + strlen(many), "channel c%d power\n", i);
    for (size_t i = 0; i <= sizeof cases / sizeof cases[0]; i++) {
        put("/replay.trace", i ? cases[i - 1].text : many);
        discover();
        assert_non_null(problem("this line of the trace is wrong"));
        assert_string_equal(problem("this line of the trace is wrong")->where,
                            i ? cases[i - 1].line : "/replay.trace:67");
        assert_null(problem("cannot be opened"));
        jp_plan_close(&plan);
    }
}

static void a_place_that_the_table_lacks_is_told(void **state)
{
    (void)state;
    tree("x86-2s");
    config.location.intensity_g_per_kwh = -1;
    strcpy(config.location.country, "USA");
    strcpy(config.location.region, "california");
    discover();
    diagnose();
    assert_null(problem("grid's table"));
    strcpy(config.location.region, "atlantis");
    diagnose();
    assert_string_equal(problem("no region atlantis of USA")->where, "location.region");
    strcpy(config.location.country, "XXX");
    diagnose();
    assert_string_equal(problem("no country XXX")->where, "location.country");
}

static void the_release_is_the_trees_or_unknown(void **state)
{
    (void)state;
    tree("empty");
    discover();
    assert_string_equal(plan.run.facts.os_name, "");
    jp_plan_close(&plan);
    put("/etc/os-release", "NAME=X\nPRETTY_NAME=\"Made Linux 1\"\n");
    discover();
    assert_string_equal(plan.run.facts.os_name, "Made Linux 1");
}

static void a_forced_board_must_exist(void **state)
{
    const struct jp_site site = {.root = root};

    (void)state;
    tree("agx-orin-jp6");
    strcpy(config.board_name, "jetson-orin-nano");
    discover();
    assert_string_equal(plan.run.facts.board_id, "jetson-orin-nano");
    jp_plan_close(&plan);
    strcpy(config.board_name, "no-such");
    assert_int_equal(jp_discover(&site, &config, 7, &plan, error, sizeof error), -EINVAL);
    assert_non_null(strstr(error, "board.name: no profile \"no-such\""));
}

static void where_nothing_is_measured_the_models_make_the_total(void **state)
{
    (void)state;
    tree("empty");
    put("/proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\n");
    put("/proc/meminfo", "MemTotal:       16000000 kB\n");
    put("/proc/cpuinfo", "processor\t: 0\nvendor_id\t: X\nphysical id\t: 0\nprocessor\t: 1\nphysical id\t: 1\n");
    discover();
    assert_string_equal(names(), "+cpu +ram");
    assert_int_equal(plan.run.total_method, JP_MODELLED);
    assert_int_equal(plan.run.total_scope, JP_SCOPE_SYSTEM);
    assert_int_equal(plan.tdp_mw[0], 4 * 2 * 2 * 1000);
    assert_int_equal(plan.run.facts.cpu_count, 2);
    diagnose();
    assert_non_null(problem("nothing is measured"));
}

static void a_battery_is_shown_and_stands_for_nothing(void **state)
{
    char full[256];

    (void)state;
    tree("laptop");
    discover();
    assert_string_equal(names(), "+package-0 BAT0_in BAT0_out ram");
    assert_int_equal(plan.run.total_method, JP_MEASURED);
    assert_int_equal(plan.run.total_scope, JP_SCOPE_PACKAGE);
    jp_plan_close(&plan);
    snprintf(full, sizeof full, "rm -r '%s/sys/class/powercap'", root);
    assert_int_equal(system(full), 0);
    discover();
    assert_string_equal(names(), "BAT0_in BAT0_out +cpu +ram");
    assert_int_equal(plan.run.total_method, JP_MODELLED);
    diagnose();
    assert_non_null(problem("only a battery is measured"));
}

static void a_pi_5_has_rails_and_no_total(void **state)
{
    (void)state;
    tree("raspberry-pi-5");
    discover();
    assert_int_equal(plan.run.channel_count, 12);
    assert_string_equal(plan.run.channels[7].name, "VDD_CORE");
    assert_false(plan.run.total_known);
}

static void a_listed_driver_is_the_only_one_and_a_wrong_one_is_told(void **state)
{
    (void)state;
    tree("x86-2s");
    config.driver_count = 2;
    strcpy(config.drivers[0], "estimate_ram");
    strcpy(config.drivers[1], "no_such_driver");
    discover();
    assert_string_equal(names(), "ram");
    assert_false(plan.run.total_known);
    assert_int_equal(plan.driver_count, 1);
    assert_string_equal(problem("does not have")->where, "no_such_driver");
    assert_non_null(strstr(problem("does not have")->remedy, "docs/drivers.md"));
    jp_plan_close(&plan);
    strcpy(config.drivers[1], "ina3221_hwmon");
    discover();
    assert_string_equal(problem("finds nothing")->where, "ina3221_hwmon");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(agx_orin_of_jetpack_5_and_6_adds_its_three_inputs),
        WITH_ROOT(orin_nano_takes_its_input_as_the_total),
        WITH_ROOT(each_sensor_is_a_step_opened_or_not),
        WITH_ROOT(a_run_carries_this_machines_boot_id_whole),
        WITH_ROOT(x86_adds_packages_and_dram_and_shows_psys),
        WITH_ROOT(a_counter_is_believed_up_to_its_limit_and_no_factor_more),
        WITH_ROOT(a_board_file_of_the_user_makes_psys_the_total),
        WITH_ROOT(an_unknown_board_has_rails_and_no_total),
        WITH_ROOT(an_unknown_tegra_and_an_emulation_tree_get_no_total),
        WITH_ROOT(load_and_clock_of_the_gpu_are_read_where_the_profile_says),
        WITH_ROOT(a_rail_without_label_is_known_by_its_place_and_a_strange_label_is_not),
        WITH_ROOT(a_device_is_named_by_what_no_two_machines_share),
        WITH_ROOT(a_replayed_board_is_the_board),
        WITH_ROOT(every_wrong_trace_is_told_with_its_line),
        WITH_ROOT(a_place_that_the_table_lacks_is_told),
        WITH_ROOT(the_release_is_the_trees_or_unknown),
        WITH_ROOT(a_forced_board_must_exist),
        WITH_ROOT(where_nothing_is_measured_the_models_make_the_total),
        WITH_ROOT(a_battery_is_shown_and_stands_for_nothing),
        WITH_ROOT(a_pi_5_has_rails_and_no_total),
        WITH_ROOT(a_listed_driver_is_the_only_one_and_a_wrong_one_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
