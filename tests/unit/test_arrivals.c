// SPDX-License-Identifier: Apache-2.0
// Sensors that come after the start: what is an arrival, what is none, and what a look costs.
#define _GNU_SOURCE
#include "arrivals.h"
#include "drivers.h"
#include "machine.h"

#include "fake_i2c.h"

static struct jp_arrivals arrivals;
static const struct jp_site site = {.root = root, .i2c = &fake_i2c};
static int probes;

// The driver of the INA3221, its questions counted.
static int count_probes(const struct jp_site *where, struct jp_found *found, int max)
{
    probes++;
    return jp_driver_ina3221_hwmon.probe(where, found, max);
}

static void begin(void)
{
    static struct jp_driver counted;
    static const struct jp_driver *const drivers[] = {&counted, &jp_driver_ina3221_i2c, &jp_driver_rapl_powercap, NULL};

    buses = &fake_i2c;
    counted = jp_driver_ina3221_hwmon;
    counted.probe = count_probes;
    jp_arrivals_begin(&arrivals, &site);
    discover_with(drivers);
    probes = 0;
}

static bool look(void)
{
    return jp_arrivals_look(&arrivals, &plan);
}

static void put_chip(const char *client, const char *hwmon)
{
    char path[200], target[200];

    snprintf(path, sizeof path, "/sys/devices/%s/name", client);
    put(path, "ina3221\n");
    for (int i = 1; i <= 3; i++) {
        snprintf(path, sizeof path, "/sys/devices/%s/hwmon/%s/in%d_input", client, hwmon, i);
        put(path, "5000\n");
        snprintf(path, sizeof path, "/sys/devices/%s/hwmon/%s/curr%d_input", client, hwmon, i);
        put(path, "1000\n");
    }
    snprintf(path, sizeof path, "/sys/devices/%s/hwmon/%s/name", client, hwmon);
    put(path, "ina3221\n");
    put("/sys/class/hwmon/.keep", "");
    put("/sys/bus/i2c/devices/.keep", "");
    snprintf(path, sizeof path, "%s/sys/class/hwmon/%s", root, hwmon);
    snprintf(target, sizeof target, "../../devices/%s/hwmon/%s", client, hwmon);
    assert_int_equal(symlink(target, path), 0);
    snprintf(path, sizeof path, "%s/sys/devices/%s/hwmon/%s/device", root, client, hwmon);
    snprintf(target, sizeof target, "../../../%s", client);
    assert_int_equal(symlink(target, path), 0);
}

static void take_chip(const char *client, const char *hwmon)
{
    char command[300];

    snprintf(command, sizeof command, "rm -r '%s/sys/devices/%s/hwmon' '%s/sys/class/hwmon/%s'", root, client, root,
             hwmon);
    assert_int_equal(system(command), 0);
}

static void a_chip_that_comes_late_is_one_a_look_after_it_was_seen(void **state)
{
    (void)state;
    put("/sys/class/hwmon/hwmon0/name", "nvme\n");
    begin();
    assert_int_equal(plan.run.channel_count, 0);
    assert_false(look());
    put_chip("1-0040", "hwmon1");
    assert_false(look());
    assert_int_equal(probes, 0);
    assert_true(look());
    jp_plan_close(&plan);
    begin();
    assert_int_equal(plan.run.channel_count, 3);
    for (int i = 0; i < 5; i++)
        assert_false(look());
    assert_int_equal(probes, 0);
}

static void the_first_of_many_waits_for_the_last(void **state)
{
    (void)state;
    begin();
    put_chip("1-0040", "hwmon0");
    assert_false(look());
    put_chip("1-0041", "hwmon1");
    assert_false(look());
    assert_true(look());
}

static void a_device_that_no_driver_knows_is_none_and_asked_about_once(void **state)
{
    (void)state;
    put_chip("1-0040", "hwmon0");
    begin();
    put("/sys/class/hwmon/hwmon1/name", "nvme\n");
    put("/sys/class/hwmon/hwmon1/temp1_input", "40000\n");
    for (int i = 0; i < 5; i++)
        assert_false(look());
    assert_int_equal(probes, 1);
}

static void a_chip_that_went_and_came_back_under_another_number_is_none(void **state)
{
    (void)state;
    put_chip("1-0040", "hwmon0");
    put("/sys/class/hwmon/hwmon1/name", "nvme\n");
    begin();
    assert_int_equal(plan.run.channel_count, 3);
    take_chip("1-0040", "hwmon0");
    for (int i = 0; i < 3; i++)
        assert_false(look());
    put_chip("1-0040", "hwmon7");
    for (int i = 0; i < 3; i++)
        assert_false(look());
    assert_int_equal(probes, 0);
    // With another device beside it the drivers are asked, and find what they had.
    put("/sys/class/hwmon/hwmon8/name", "nvme\n");
    for (int i = 0; i < 3; i++)
        assert_false(look());
    assert_int_equal(probes, 1);
}

static void counters_that_come_late_are_one_too(void **state)
{
    (void)state;
    begin();
    tree("x86-2s");
    assert_false(look());
    assert_true(look());
}

static void put_zone(const char *id, const char *kind)
{
    char path[200];

    snprintf(path, sizeof path, "/sys/class/powercap/%s/name", id);
    put(path, kind);
    snprintf(path, sizeof path, "/sys/class/powercap/%s/energy_uj", id);
    put(path, "1000000\n");
}

static void take_zone(const char *id)
{
    char command[300];

    snprintf(command, sizeof command, "rm -r '%s/sys/class/powercap/%s'", root, id);
    assert_int_equal(system(command), 0);
}

static void a_package_that_comes_after_another_counter_is_one(void **state)
{
    (void)state;
    put_zone("intel-rapl-mmio:0", "psys\n");
    begin();
    assert_string_equal(names(), "psys");
    put_zone("intel-rapl:0", "package-0\n");
    assert_false(look());
    assert_true(look());
}

static void a_package_that_went_and_came_back_is_none(void **state)
{
    (void)state;
    put_zone("intel-rapl:0", "package-0\n");
    put_zone("intel-rapl:1", "package-1\n");
    begin();
    take_zone("intel-rapl:1");
    for (int i = 0; i < 3; i++)
        assert_false(look());
    put_zone("intel-rapl:1", "package-1\n");
    put("/sys/class/powercap/dtpm/name", "dtpm\n");
    for (int i = 0; i < 3; i++)
        assert_false(look());
    assert_int_equal(probes, 1);
}

static void put_bus(void)
{
    put("/sys/bus/i2c/devices/i2c-1/name", "SMBus stub driver\n");
}

static void put_node(void)
{
    put("/sys/class/i2c-dev/i2c-1/name", "SMBus stub driver\n");
    fake_ina3221(0, 1, 0x40);
}

static void a_known_chip_whose_bus_gets_its_device_file_late_is_one(void **state)
{
    (void)state;
    put_bus();
    put("/sys/bus/i2c/devices/1-0040/name", "ina3221\n");
    fake_ina3221(0, 1, 0x40)->open_error = ENOENT;
    begin();
    assert_int_equal(plan.run.channel_count, 0);
    put_node();
    assert_false(look());
    assert_true(look());
    jp_plan_close(&plan);
    begin();
    assert_int_equal(plan.run.channel_count, 3);
    put("/sys/class/hwmon/hwmon0/name", "nvme\n");
    for (int i = 0; i < 3; i++)
        assert_false(look());
}

static void a_named_chip_whose_bus_comes_late_is_one(void **state)
{
    (void)state;
    put("/boards.d/mine.conf", "name = \"Mine\"; match = ( \"dmi:MINE\" );\n"
                               "sensors = ( { chip = \"ina3221\"; address = 0x40; bus_node = \"SMBus stub driver\";\n"
                               "  scope = \"board\"; channels = (\n"
                               "  { channel = 1; label = \"MAIN\"; shunt_uohm = 10000; } ); } );\n"
                               "totals = { board = ( \"MAIN\" ); };\n");
    snprintf(config.board_dir, sizeof config.board_dir, "%s/boards.d", root);
    put("/sys/class/dmi/id/product_name", "MINE\n");
    begin();
    assert_int_equal(plan.run.channel_count, 0);
    put_bus();
    put_node();
    assert_false(look());
    assert_true(look());
    jp_plan_close(&plan);
    begin();
    assert_string_equal(names(), "+MAIN");
}

// Loading i2c-dev to look at a bus by hand, say.
static void a_device_file_for_a_chip_that_a_kernel_driver_holds_is_none(void **state)
{
    char link[200];

    (void)state;
    put_bus();
    put_chip("1-0040", "hwmon0");
    put("/sys/bus/i2c/devices/1-0040/name", "ina3221\n");
    snprintf(link, sizeof link, "%s/sys/bus/i2c/devices/1-0040/driver", root);
    assert_int_equal(symlink("../../drivers/ina3221", link), 0);
    begin();
    put_node();
    for (int i = 0; i < 3; i++)
        assert_false(look());
    assert_int_equal(probes, 1);
}

static void a_silent_chip_is_no_arrival_with_each_device(void **state)
{
    (void)state;
    put_bus();
    put_node();
    put("/sys/bus/i2c/devices/1-0040/name", "ina3221\n");
    fake_chips[0].open_error = ENXIO;
    begin();
    put("/sys/class/hwmon/hwmon0/name", "nvme\n");
    for (int i = 0; i < 3; i++)
        assert_false(look());
    assert_int_equal(probes, 1);
}

static void a_driver_that_the_configuration_leaves_out_finds_nothing(void **state)
{
    (void)state;
    config.driver_count = 1;
    strcpy(config.drivers[0], "rapl_powercap");
    begin();
    put_chip("1-0040", "hwmon0");
    for (int i = 0; i < 3; i++)
        assert_false(look());
    assert_int_equal(probes, 0);
}

static void a_trace_has_no_arrivals(void **state)
{
    static const struct jp_site trace = {.root = TESTS_DIR "/CMakeLists.txt"};

    (void)state;
    begin();
    jp_arrivals_begin(&arrivals, &trace);
    assert_false(look());
    assert_false(look());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(a_chip_that_comes_late_is_one_a_look_after_it_was_seen),
        WITH_ROOT(the_first_of_many_waits_for_the_last),
        WITH_ROOT(a_device_that_no_driver_knows_is_none_and_asked_about_once),
        WITH_ROOT(a_chip_that_went_and_came_back_under_another_number_is_none),
        WITH_ROOT(counters_that_come_late_are_one_too),
        WITH_ROOT(a_package_that_comes_after_another_counter_is_one),
        WITH_ROOT(a_package_that_went_and_came_back_is_none),
        WITH_ROOT(a_known_chip_whose_bus_gets_its_device_file_late_is_one),
        WITH_ROOT(a_named_chip_whose_bus_comes_late_is_one),
        WITH_ROOT(a_device_file_for_a_chip_that_a_kernel_driver_holds_is_none),
        WITH_ROOT(a_silent_chip_is_no_arrival_with_each_device),
        WITH_ROOT(a_driver_that_the_configuration_leaves_out_finds_nothing),
        WITH_ROOT(a_trace_has_no_arrivals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
