// SPDX-License-Identifier: Apache-2.0
// Names, calibration, facts and problems of what discovery found, and how `meta` says them.
#define _GNU_SOURCE
#include "machine.h"

#include "facts.h"
#include "meta.h"

static void calibration_is_applied_and_an_unknown_channel_is_told(void **state)
{
    (void)state;
    tree("orin-nano");
    config.calibration_count = 3;
    config.calibrations[0] = (struct jp_calibration){.channel = "VDD_IN", .scale = 1.02, .offset_uw = 420000};
    config.calibrations[1] = (struct jp_calibration){.channel = "VDD_OUT", .scale = 1.02};
    config.calibrations[2] = (struct jp_calibration){.channel = "total", .scale = 1.02};
    discover();
    assert_true(channel("VDD_IN")->scale == 1.02);
    assert_int_equal(channel("VDD_IN")->offset_uw, 420000);
    assert_true(channel("VDD_SOC")->scale == 1.0);
    assert_string_equal(problem("calibration")->where, "VDD_OUT");
    assert_non_null(strstr(problem("calibration")[1].remedy, "calibrate the channels"));
}

// A scale belongs to a counter as to a rail; an offset would be a power that nobody measured.
static void an_offset_of_a_counter_is_refused(void **state)
{
    (void)state;
    tree("x86-2s");
    config.calibration_count = 3;
    config.calibrations[0] = (struct jp_calibration){.channel = "package-0", .scale = 1.02, .offset_uw = 420000};
    config.calibrations[1] = (struct jp_calibration){.channel = "package-1", .scale = 0.98};
    config.calibrations[2] = (struct jp_calibration){.channel = "cpu_load", .scale = 2};
    discover();
    assert_true(channel("package-0")->scale == 1.02 && channel("package-0")->offset_uw == 0);
    assert_true(channel("package-1")->scale == 0.98);
    assert_string_equal(problem("offset_mw is not applied")->where, "package-0");
    assert_string_equal(problem("calibration names a channel")->where, "cpu_load"); // a gauge
    assert_int_equal(plan.problem_count, 2);
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
    put("/sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon1/curr3_input", "-16\n");
    jp_diagnose_read(&plan, &jp_clock_real, &now);
    jp_diagnose_readings(&plan, &now);
    assert_int_equal(plan.problem_count, 0); // a rail that pushes back has no parts
    put(file, "\n");
    jp_diagnose_read(&plan, &jp_clock_real, &now);
    assert_true(now.total_known && !now.known[1]);
    put(file, "1200\n");
    jp_diagnose_read(&plan, &jp_clock_real, &now);
    jp_diagnose_readings(&plan, &now);
    assert_string_equal(problem("its parts read")->where, "VDD_IN");
}

static void a_total_with_a_silent_member_is_not_told(void **state)
{
    static struct jp_power_now now;

    (void)state;
    tree("orin-nano");
    discover();
    put("/sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon1/curr1_input", "\n");
    jp_diagnose_read(&plan, &jp_clock_real, &now);
    assert_false(now.total_known || now.known[0]);
    assert_true(now.known[1] && now.error[0] != 0);
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
    assert_string_equal(plan.run.facts.power_mode, ""); // its own table is not there, and another may differ
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
    strcpy(channels[3].repeated_by, "package-1, package-2");
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

// Two rails of the AGX Orin, an alarm of the second, and a gauge with an event of its own.
static int alarm_open(void *state, const struct jp_site *site, const struct jp_found *found,
                      struct jp_channel *channels, int max)
{
    static const char *const labels[] = {"VDD_GPU_SOC", "", "alarm", "heat"};
    static const int places[] = {1, 2, 2, 2};

    (void)state;
    (void)site;
    (void)max;
    for (int i = 0; i < 4; i++) {
        channels[i] = (struct jp_channel){.chip = "ina3221", .address = 0x40, .index = places[i], .kind = JP_POWER};
        strcpy(channels[i].name, labels[i]);
        if (i >= 2)
            channels[i].kind = JP_GAUGE;
    }
    strcpy(channels[2].event, "over_current");
    strcpy(channels[3].event, "throttle");
    channels[3].address = -1;
    return found->path[0] == 's' ? 2 : 4;
}

static const struct jp_driver alarmed = {
    .name = "alarmed", .probe = fake_probe, .open = alarm_open, .read = fake_read, .close = fake_close};
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
    assert_string_equal(problem("comes again as package-1, package-2")->where, "a rail's name");
}

// Thor's profile knows no addresses: VIN is its INA238's, not that of a board somebody put beside it.
static void a_label_on_another_chip_is_another_rail(void **state)
{
    (void)state;
    put("/proc/device-tree/compatible", "nvidia,p3834-0008");
    put("/sys/class/hwmon/hwmon0/name", "ina226\n");
    put("/sys/class/hwmon/hwmon0/label", "VIN\n");
    put("/sys/class/hwmon/hwmon0/power1_input", "1000000\n");
    discover();
    assert_string_equal(plan.board.id, "jetson-agx-thor");
    assert_int_equal(plan.run.channel_count, 1);
    assert_int_equal(plan.profile[0], -1);
    assert_false(plan.run.total_known);
    jp_plan_close(&plan);
    put("/sys/class/hwmon/hwmon0/name", "ina238\n");
    discover();
    assert_true(plan.profile[0] >= 0 && plan.run.total_known && plan.run.total_scope == JP_SCOPE_BOARD);
}

static void an_alarm_watches_the_rail_at_its_place(void **state)
{
    static const struct jp_driver *const drivers[] = {&alarmed, NULL};

    (void)state;
    put("/proc/device-tree/compatible", "nvidia,p3701-0000");
    discover_with(drivers);
    assert_int_equal(plan.run.gauge_count, 2);
    assert_string_equal(plan.run.channels[plan.watched[0]].name, "VDD_CPU_CV"); // the profile's name of it
    assert_int_equal(plan.watched[1], -1);
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
    assert_string_equal(json_string_value(json_object_get(json_object_get(meta, "cpu"), "model")), "Arm Cortex-A78AE");
    json_decref(meta);
    plan.run.total_known = false;
    meta = jp_meta_json(&plan.run, NULL, 1.0, NULL);
    assert_true(json_is_null(json_object_get(meta, "total")) && json_is_null(json_object_get(meta, "factor")));
    assert_true(json_is_null(json_object_get(meta, "spool_id")));
    json_decref(meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(calibration_is_applied_and_an_unknown_channel_is_told),
        WITH_ROOT(an_offset_of_a_counter_is_refused),
        WITH_ROOT(a_wrong_shunt_is_told),
        WITH_ROOT(parts_above_their_whole_are_told),
        WITH_ROOT(a_total_with_a_silent_member_is_not_told),
        WITH_ROOT(the_l4t_release_and_power_mode_come_from_their_files),
        WITH_ROOT(the_device_name_is_the_same_for_everybody_and_another_for_another_serial),
        WITH_ROOT(names_are_legal_and_their_own),
        WITH_ROOT(a_label_on_another_chip_is_another_rail),
        WITH_ROOT(an_alarm_watches_the_rail_at_its_place),
        WITH_ROOT(a_closed_sensor_is_told_with_its_remedy),
        WITH_ROOT(a_replayed_trace_takes_the_place_of_the_sensors),
        WITH_ROOT(meta_says_unknown_as_null_and_the_total_by_its_channels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
