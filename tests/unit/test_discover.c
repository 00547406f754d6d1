// SPDX-License-Identifier: Apache-2.0
// Discovery on trees that look like machines: which channels, under which names, and what makes the total.
#define _GNU_SOURCE
#include "channels.h"
#include "diagnose.h"
#include "facts.h"
#include "meta.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64], error[512];
static struct jp_config config;
static struct jp_plan plan;

static void put(const char *path, const char *text)
{
    char full[512];
    FILE *file;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(full, 0755);
        *at = '/';
    }
    file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void tree(const char *kind)
{
    char command[1024];

    snprintf(command, sizeof command, "/usr/bin/python3 -B '%s/fixtures/make_tree.py' %s '%s'", TESTS_DIR, kind, root);
    assert_int_equal(system(command), 0);
}

static void discover_with(const struct jp_driver *const *drivers)
{
    const struct jp_site site = {.root = root};
    const struct jp_discovery how = {.site = &site, .config = &config, .run_id = 7, .drivers = drivers};

    error[0] = '\0';
    assert_int_equal(jp_discover_with(&how, &plan, error, sizeof error), 0);
    assert_string_equal(error, "");
}

static void discover(void)
{
    discover_with(jp_drivers);
}

static int set_up(void **state)
{
    (void)state;
    memset(&config, 0, sizeof config);
    config.sampling.interval_ms = 200;
    config.sampling.window_ms = 1000;
    config.sampling.block_windows = 30;
    strcpy(config.paths_hot, "/dev/shm/joulepost");
    strcpy(root, "/tmp/jp-discover-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    jp_plan_close(&plan);
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

// "A B C": the names in order; "+" before those of the total.
static const char *names(void)
{
    static char list[1024];

    list[0] = '\0';
    for (int i = 0; i < plan.run.channel_count; i++) {
        size_t used = strlen(list);

        snprintf(list + used, sizeof list - used, "%s%s%s", i ? " " : "", plan.run.channels[i].in_total ? "+" : "",
                 plan.run.channels[i].name);
    }
    return list;
}

static const struct jp_run_channel *channel(const char *name)
{
    for (int i = 0; i < plan.run.channel_count; i++)
        if (strcmp(plan.run.channels[i].name, name) == 0)
            return &plan.run.channels[i];
    fail_msg("no channel %s among: %s", name, names());
    return NULL;
}

static const struct jp_problem *problem(const char *part)
{
    for (int i = 0; i < plan.problem_count; i++)
        if (strstr(plan.problems[i].what, part)) {
            assert_true(plan.problems[i].remedy[0] && plan.problems[i].where[0]);
            return &plan.problems[i];
        }
    return NULL;
}

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
    discover();
    assert_string_equal(names(), "MAIN ina3221-42.2 ina3221-42.3");
    assert_false(plan.run.total_known);
    assert_string_equal(plan.run.facts.board_id, "generic-arm");
    assert_string_equal(plan.run.facts.board_name, "Some Board");
    assert_false(plan.run.facts.board_verified);
    jp_diagnose_machine(&plan, &config, &jp_clock_real);
    assert_non_null(problem("no profile for this board"));
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
    assert_non_null(problem("VDD_IN, VDD_CPU_GPU_CV, VDD_SOC"));
    assert_non_null(problem("no total"));
    assert_null(strstr(names(), "+"));
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
    assert_int_equal(plan.tdp_mw[0], 4 * 2 * 2 * 1000);
    assert_int_equal(plan.run.facts.cpu_count, 2);
    jp_diagnose_machine(&plan, &config, &jp_clock_real);
    assert_non_null(problem("nothing is measured"));
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
    jp_plan_close(&plan);
    strcpy(config.drivers[1], "ina3221_hwmon");
    discover();
    assert_string_equal(problem("finds nothing")->where, "ina3221_hwmon");
}

static void calibration_is_applied_and_an_unknown_channel_is_told(void **state)
{
    (void)state;
    tree("orin-nano");
    config.calibration_count = 2;
    config.calibrations[0] = (struct jp_calibration){.channel = "VDD_IN", .scale = 1.02, .offset_uw = 420000};
    config.calibrations[1] = (struct jp_calibration){.channel = "VDD_OUT", .scale = 1.02};
    discover();
    assert_true(channel("VDD_IN")->scale == 1.02);
    assert_int_equal(channel("VDD_IN")->offset_uw, 420000);
    assert_true(channel("VDD_SOC")->scale == 1.0);
    assert_string_equal(problem("calibration")->where, "VDD_OUT");
}

static void a_wrong_shunt_is_told(void **state)
{
    static const char file[] = "/sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon1/shunt1_resistor";

    (void)state;
    tree("orin-nano");
    put(file, "5400\n");
    discover();
    assert_null(problem("shunt"));
    jp_plan_close(&plan);
    put(file, "10000\n");
    discover();
    assert_string_equal(problem("shunt of 10000 micro-ohm")->where, "VDD_IN");
}

static void parts_above_their_whole_are_told(void **state)
{
    static const char file[] = "/sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon1/curr2_input";
    static struct jp_power_now now;

    (void)state;
    tree("orin-nano");
    discover();
    jp_diagnose_read(&plan, &jp_clock_real, &now);
    jp_diagnose_readings(&plan, &now);
    assert_int_equal(plan.problem_count, 0);
    assert_true(now.total_known && now.total_uw == 5000 * 1024 && now.uw[1] == 5000 * 200);
    put(file, "1200\n");
    jp_diagnose_read(&plan, &jp_clock_real, &now);
    jp_diagnose_readings(&plan, &now);
    assert_string_equal(problem("its parts read")->where, "VDD_IN");
}

static void the_l4t_release_and_power_mode_come_from_their_files(void **state)
{
    (void)state;
    tree("agx-orin-jp6");
    put("/etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n");
    put("/var/lib/nvpmodel/status", "pmode:0002 fmode:quiet\n");
    discover();
    assert_string_equal(plan.run.facts.l4t, "36.4.3");
    assert_string_equal(plan.run.facts.jetpack, "6.2");
    assert_string_equal(plan.run.facts.power_mode, "MODE_30W");
    jp_plan_close(&plan);
    put("/etc/nvpmodel.conf", "< POWER_MODEL ID=12 NAME=NO >\n< POWER_MODEL ID=2 NAME=MODE_OWN >\n");
    discover();
    assert_string_equal(plan.run.facts.power_mode, "MODE_OWN");
    assert_string_equal(jp_facts_jetpack("36.9.9"), "");
}

static void the_device_name_is_the_same_for_everybody_and_another_for_another_serial(void **state)
{
    const struct jp_site site = {.root = root};
    char first[JP_DEVICE_MAX], second[JP_DEVICE_MAX];

    (void)state;
    put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
    assert_int_equal(jp_device_name(&site, &config, first, sizeof first), 0);
    // printf '0123456789abcdef0123456789abcdef\n' | sha256sum
    assert_string_equal(first, "6ed6653dba3d6aee");
    put("/proc/device-tree/serial-number", "1421321049483");
    assert_int_equal(jp_device_name(&site, &config, second, sizeof second), 0);
    assert_int_equal(strlen(second), 16);
    assert_string_not_equal(first, second);
    strcpy(config.device_name, "bench-3");
    assert_int_equal(jp_device_name(&site, &config, first, sizeof first), 0);
    assert_string_equal(first, "bench-3");
}

static int fake_probe(const struct jp_site *site, struct jp_found *found, int max)
{
    (void)site;
    (void)max;
    memset(found, 0, 2 * sizeof *found);
    strcpy(found[0].path, "first");
    strcpy(found[1].path, "second");
    return 2;
}

static int fake_open(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                     int max)
{
    static const char *const labels[] = {"same", "total", "nc", "a rail's name", "", "same"};

    (void)state;
    (void)site;
    (void)max;
    for (int i = 0; i < 6; i++) {
        channels[i] = (struct jp_channel){.chip = "fake", .address = 0x4c, .index = i + 1, .kind = JP_POWER};
        strcpy(channels[i].name, labels[i]);
    }
    if (found->path[0] == 's')
        channels[0].address = -1;
    return found->path[0] == 's' ? 1 : 6;
}

static void fake_read(void *state, struct jp_pass *pass)
{
    (void)state;
    pass->readings[0].state = JP_MISSING;
    pass->readings[0].error = EIO;
}

static void fake_close(void *state)
{
    (void)state;
}

static int closed_open(void *state, const struct jp_site *site, const struct jp_found *found,
                       struct jp_channel *channels, int max)
{
    (void)state;
    (void)site;
    (void)found;
    (void)channels;
    (void)max;
    return -EACCES;
}

static const struct jp_driver fake = {
    .name = "fake", .probe = fake_probe, .open = fake_open, .read = fake_read, .close = fake_close};
static const struct jp_driver closed = {
    .name = "closed", .probe = fake_probe, .open = closed_open, .read = fake_read, .close = fake_close};
static const struct jp_driver replay = {
    .name = "replay", .probe = fake_probe, .open = fake_open, .read = fake_read, .close = fake_close};

static void names_are_legal_and_their_own(void **state)
{
    static const struct jp_driver *const drivers[] = {&fake, NULL};
    static struct jp_power_now now;

    (void)state;
    discover_with(drivers);
    assert_string_equal(names(), "same fake-4c.2 a_rail_s_name fake-4c.5 same@4c same@2");
    jp_diagnose_read(&plan, &jp_clock_real, &now);
    jp_diagnose_readings(&plan, &now);
    assert_false(now.known[0]);
    assert_string_equal(problem("did not answer")->where, "same");
}

static void a_closed_sensor_is_told_with_its_remedy(void **state)
{
    static const struct jp_driver *const drivers[] = {&closed, NULL};

    (void)state;
    discover_with(drivers);
    assert_int_equal(plan.source_count, 0);
    assert_non_null(strstr(problem("Permission denied")->remedy, "CAP_DAC_READ_SEARCH"));
}

static void a_replayed_trace_takes_the_place_of_the_sensors(void **state)
{
    static const struct jp_driver *const drivers[] = {&fake, &replay, NULL};

    (void)state;
    discover_with(drivers);
    assert_int_equal(plan.driver_count, 1);
    assert_string_equal(plan.drivers_used[0], "fake");
    jp_plan_close(&plan);
    put("/replay.trace", "x");
    discover_with(drivers);
    assert_int_equal(plan.driver_count, 1);
    assert_string_equal(plan.drivers_used[0], "replay");
}

static void meta_says_unknown_as_null_and_the_total_by_its_channels(void **state)
{
    const struct jp_factor factor = {.known = true, .g_per_kwh = 56.039, .source = "owid", .valid_from = "2023"};
    json_t *meta;

    (void)state;
    tree("agx-orin-jp6");
    discover();
    meta = jp_meta_json(&plan.run, &factor, 1.2, "abc");
    assert_non_null(meta);
    assert_int_equal(json_object_size(meta), 11);
    assert_int_equal(json_array_size(json_object_get(meta, "channels")), 4);
    assert_string_equal(json_string_value(json_object_get(json_object_get(meta, "gpu"), "name")), "Orin (nvgpu)");
    assert_int_equal(json_array_size(json_object_get(json_object_get(meta, "total"), "channels")), 3);
    assert_true(json_real_value(json_object_get(json_object_get(meta, "factor"), "pue")) == 1.2);
    assert_true(json_is_null(json_object_get(json_object_get(meta, "os"), "l4t")));
    assert_true(json_is_null(json_object_get(json_object_get(meta, "cpu"), "model")));
    json_decref(meta);
    plan.run.total_known = false;
    meta = jp_meta_json(&plan.run, NULL, 1.0, NULL);
    assert_true(json_is_null(json_object_get(meta, "total")) && json_is_null(json_object_get(meta, "factor")));
    assert_true(json_is_null(json_object_get(meta, "spool_id")));
    json_decref(meta);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(agx_orin_of_jetpack_5_and_6_adds_its_three_inputs),
        WITH_ROOT(orin_nano_takes_its_input_as_the_total),
        WITH_ROOT(x86_adds_packages_and_dram_and_shows_psys),
        WITH_ROOT(a_board_file_of_the_user_makes_psys_the_total),
        WITH_ROOT(an_unknown_board_has_rails_and_no_total),
        WITH_ROOT(an_unknown_tegra_and_an_emulation_tree_get_no_total),
        WITH_ROOT(a_forced_board_must_exist),
        WITH_ROOT(where_nothing_is_measured_the_models_make_the_total),
        WITH_ROOT(a_listed_driver_is_the_only_one_and_a_wrong_one_is_told),
        WITH_ROOT(calibration_is_applied_and_an_unknown_channel_is_told),
        WITH_ROOT(a_wrong_shunt_is_told),
        WITH_ROOT(parts_above_their_whole_are_told),
        WITH_ROOT(the_l4t_release_and_power_mode_come_from_their_files),
        WITH_ROOT(the_device_name_is_the_same_for_everybody_and_another_for_another_serial),
        WITH_ROOT(names_are_legal_and_their_own),
        WITH_ROOT(a_closed_sensor_is_told_with_its_remedy),
        WITH_ROOT(a_replayed_trace_takes_the_place_of_the_sensors),
        WITH_ROOT(meta_says_unknown_as_null_and_the_total_by_its_channels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
