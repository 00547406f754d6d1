// SPDX-License-Identifier: Apache-2.0
// The INA3221 under the driver of JetPack 4: which chips, which inputs, and what its files become.
#define _GNU_SOURCE
#include "failing_pread.h"

#define CHIP "/sys/bus/i2c/drivers/ina3221x/0-0040/iio:device0/"

static const struct jp_driver *const driver = &jp_driver_ina3221_iio;

static void run(const char *shell)
{
    char command[512];

    snprintf(command, sizeof command, "cd '%s' && %s", root, shell);
    assert_int_equal(system(command), 0);
}

static void both_chips_and_their_inputs_are_found_with_and_without_links(void **state)
{
    static const char *const kinds[] = {"iio", "iio-copied"};
    struct jp_found found[MAX];
    struct rig rig;

    for (int i = 0; i < 2; i++) {
        tree(kinds[i]);
        assert_int_equal(driver->probe(&site, found, MAX), 2);
        assert_int_equal(driver->probe(&site, found, 1), 1);
        assert_int_equal(jp_driver_ina3221_hwmon.probe(&site, found, MAX), 0);
        assert_int_equal(open_nth(&rig, driver, 0), 3);
        assert_string_equal(rig.channels[0].name, "VDD_SYS_GPU");
        assert_string_equal(rig.channels[2].name, "VDD_4V0_WIFI");
        assert_string_equal(rig.channels[0].chip, "ina3221");
        assert_string_equal(rig.channels[0].bus_node, "i2c@3160000");
        assert_int_equal(rig.channels[0].address, 0x40);
        assert_int_equal(rig.channels[0].index, 1);
        assert_int_equal(rig.channels[2].index, 3);
        read_rig(&rig);
        assert_int_equal(rig.readings[0].value, 19152 * 76);
        assert_int_equal(rig.readings[0].mv, 19152);
        assert_int_equal(rig.readings[0].ma, 76);
        assert_int_equal(rig.readings[2].value, 4792 * -4);
        close_rig(&rig);
        assert_int_equal(open_nth(&rig, driver, 1), 1);
        assert_string_equal(rig.channels[0].name, "VDD_IN");
        assert_int_equal(rig.channels[0].address, 0x41);
        close_rig(&rig);
        drop_tree(state);
    }
}

static void a_copied_folder_of_all_devices_tells_its_chips_by_their_uevents(void **state)
{
    struct rig rig;

    (void)state;
    tree("iio-copied");
    run("mkdir -p sys/bus/iio/devices && mv sys/bus/i2c/drivers/ina3221x/0-0040/iio:device0 "
        "sys/bus/i2c/drivers/ina3221x/0-0041/iio:device1 sys/bus/iio/devices && rm -r sys/bus/i2c");
    assert_int_equal(open_nth(&rig, driver, 1), 1);
    assert_int_equal(rig.channels[0].address, 0x41);
    assert_string_equal(rig.channels[0].bus_node, "i2c@3160000");
    close_rig(&rig);
}

static void a_chip_seen_in_several_places_is_found_once(void **state)
{
    struct jp_found found[MAX];

    (void)state;
    tree("iio-copied");
    run("mkdir -p sys/bus/iio/devices sys/bus/i2c/devices && cp -r sys/bus/i2c/drivers/ina3221x/0-004* "
        "sys/bus/i2c/devices && cp -r sys/bus/i2c/devices/0-0040/iio:device0 sys/bus/iio/devices");
    assert_int_equal(driver->probe(&site, found, MAX), 2);
    run("echo something_else >sys/bus/i2c/devices/0-0041/iio:device1/name && rm -r sys/bus/i2c/drivers");
    assert_int_equal(driver->probe(&site, found, MAX), 1);
}

static void a_chip_that_hwmon_shows_is_left_to_hwmon(void **state)
{
    struct jp_found found[MAX];

    (void)state;
    tree("iio-copied");
    run("mkdir -p sys/bus/i2c/devices/0-0040/hwmon/hwmon3 && echo ina3221 "
        ">sys/bus/i2c/devices/0-0040/hwmon/hwmon3/name");
    assert_int_equal(jp_driver_ina3221_hwmon.probe(&site, found, MAX), 1);
    assert_int_equal(driver->probe(&site, found, MAX), 1);
    assert_non_null(strstr(found[0].path, "0-0041"));
    // A copied class folder has no client's name: the place tells.
    run("mkdir -p sys/class/hwmon && mv sys/bus/i2c/devices/0-0040/hwmon/hwmon3 sys/class/hwmon && "
        "cp sys/bus/i2c/drivers/ina3221x/0-0040/uevent sys/class/hwmon/hwmon3");
    assert_int_equal(jp_driver_ina3221_hwmon.probe(&site, found, MAX), 1);
    assert_int_equal(driver->probe(&site, found, MAX), 1);
    assert_non_null(strstr(found[0].path, "0-0041"));
}

static void a_rail_costs_one_read_and_without_the_pair_file_two(void **state)
{
    struct rig rig;

    (void)state;
    tree("iio-copied");
    assert_int_equal(open_nth(&rig, driver, 0), 3);
    transfers = 0;
    read_rig(&rig);
    assert_int_equal(transfers, 3);
    close_rig(&rig);
    drop(CHIP "ui_input_1");
    assert_int_equal(open_nth(&rig, driver, 0), 3);
    transfers = 0;
    read_rig(&rig);
    assert_int_equal(transfers, 4);
    assert_int_equal(rig.readings[1].value, 19152 * 60);
    put(CHIP "in_current1_input", "32760 ma\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[1].ma, 32760);
    close_rig(&rig);
    drop(CHIP "in_current1_input");
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    assert_int_equal(rig.channels[1].index, 3);
    close_rig(&rig);
}

static void what_is_no_pair_is_missing_and_never_zero(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {{"", ENODATA},
                 {"\n", ENODATA},
                 {"abc\n", EINVAL},
                 {"19152\n", EINVAL},
                 {"19152 abc\n", EINVAL},
                 {"19152mv 76ma\n", EINVAL},
                 {"19152 99999999999\n", ERANGE},
                 {"19152 99999999999999999999\n", ERANGE}};
    struct rig rig;

    (void)state;
    tree("iio-copied");
    assert_int_equal(open_nth(&rig, driver, 0), 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(CHIP "ui_input_0", cases[i].text);
        read_rig(&rig);
        assert_int_equal(rig.readings[0].state, JP_MISSING);
        assert_int_equal(rig.readings[0].error, cases[i].error);
        assert_int_equal(rig.readings[0].mv, INT32_MIN);
        assert_int_equal(rig.readings[1].state, JP_GOOD);
    }
    put(CHIP "ui_input_0", " 19152\t-76 ma\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 19152 * -76);
    close_rig(&rig);
}

static void an_errno_reaches_its_rail_and_no_other(void **state)
{
    static const int errors[] = {EAGAIN, EIO};
    struct rig rig;

    (void)state;
    tree("iio");
    assert_int_equal(open_nth(&rig, driver, 0), 3);
    for (int i = 0; i < 2; i++) {
        failing = "/ui_input_1";
        failure = errors[i];
        read_rig(&rig);
        assert_int_equal(rig.readings[1].state, JP_MISSING);
        assert_int_equal(rig.readings[1].error, errors[i]);
        assert_int_equal(rig.readings[0].state, JP_GOOD);
        assert_int_equal(rig.readings[2].state, JP_GOOD);
        failing = NULL;
        read_rig(&rig);
        assert_int_equal(rig.readings[1].state, JP_GOOD);
    }
    close_rig(&rig);
}

// The pair is the kernel's "%d %d\n"; limits carry their unit, and a file that says "trigger" is 0 while the chip
// sleeps.
static void the_other_files_of_a_chip_change_nothing(void **state)
{
    struct rig rig;

    (void)state;
    tree("iio");
    put(CHIP "ui_input_0", "19152 76\n");
    put(CHIP "crit_current_limit_0", "2000 ma\n");
    put(CHIP "warn_current_limit_0", "-1 ma\n");
    put(CHIP "crit_power_limit_0", "38304 mw\n");
    put(CHIP "in_power0_input", "1455\n");
    put(CHIP "in_voltage0_input", "1\n");
    put(CHIP "in_current0_input", "1\n");
    put(CHIP "running_mode", "0\n");
    put(CHIP "rail_name_3", "VDD_FOURTH\n");
    put(CHIP "ui_input_3", "5000 1000\n");
    assert_int_equal(open_nth(&rig, driver, 0), 3);
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 19152 * 76);
    close_rig(&rig);
    drop(CHIP "ui_input_1");
    drop(CHIP "in_current1_input");
    assert_int_equal(open_nth(&rig, driver, 0), 2); // in_current1_trigger_input does not stand in
    close_rig(&rig);
}

static void a_chip_asleep_when_it_is_opened_is_described_and_wakes(void **state)
{
    struct rig rig;

    (void)state;
    tree("iio");
    failing = ""; // every read
    failure = EAGAIN;
    assert_int_equal(open_nth(&rig, driver, 0), 3);
    assert_int_equal(rig.channels[0].mv, 0);
    read_rig(&rig);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig.readings[i].error, EAGAIN);
    failing = NULL;
    read_rig(&rig);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig.readings[i].state, JP_GOOD);
    close_rig(&rig);
}

static void half_a_pair_of_two_files_is_no_pair(void **state)
{
    static const char *const halves[] = {"/in_voltage1_input", "/in_current1_input"};
    struct rig rig;

    (void)state;
    tree("iio-copied");
    drop(CHIP "ui_input_1");
    assert_int_equal(open_nth(&rig, driver, 0), 3);
    for (int i = 0; i < 2; i++) {
        failing = halves[i];
        failure = EIO;
        read_rig(&rig);
        assert_int_equal(rig.readings[1].state, JP_MISSING);
        assert_int_equal(rig.readings[1].error, EIO);
        assert_int_equal(rig.readings[1].mv, INT32_MIN);
        assert_int_equal(rig.readings[2].state, JP_GOOD);
    }
    close_rig(&rig);
}

static bool late_after_one(void *context)
{
    return ++*(int *)context >= 1;
}

static void after_a_slow_transfer_the_rest_stays_wanted(void **state)
{
    struct rig rig;
    int calls = 0;
    struct jp_pass pass = {.late = late_after_one, .context = &calls};

    (void)state;
    tree("iio-copied");
    assert_int_equal(open_nth(&rig, driver, 0), 3);
    pass.readings = rig.readings;
    rig.readings[0].state = JP_SKIPPED;
    driver->read(rig.state, &pass);
    assert_int_equal(rig.readings[0].state, JP_SKIPPED);
    assert_int_equal(rig.readings[1].state, JP_GOOD);
    assert_int_equal(rig.readings[2].state, JP_WANTED);
    assert_int_equal(calls, 1);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_chips_and_their_inputs_are_found_with_and_without_links),
        ON_A_TREE(a_copied_folder_of_all_devices_tells_its_chips_by_their_uevents),
        ON_A_TREE(a_chip_seen_in_several_places_is_found_once),
        ON_A_TREE(a_chip_that_hwmon_shows_is_left_to_hwmon),
        ON_A_TREE(a_rail_costs_one_read_and_without_the_pair_file_two),
        ON_A_TREE(what_is_no_pair_is_missing_and_never_zero),
        cmocka_unit_test_teardown(an_errno_reaches_its_rail_and_no_other, mend),
        ON_A_TREE(the_other_files_of_a_chip_change_nothing),
        cmocka_unit_test_teardown(a_chip_asleep_when_it_is_opened_is_described_and_wakes, mend),
        cmocka_unit_test_teardown(half_a_pair_of_two_files_is_no_pair, mend),
        ON_A_TREE(after_a_slow_transfer_the_rest_stays_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
