// SPDX-License-Identifier: Apache-2.0
// Batteries: which are this machine's, which way the energy goes, and what happens when one is taken out.
#define _GNU_SOURCE
#include "failing_pread.h"

#define BAT "/sys/class/power_supply/BAT0/"

static const struct jp_driver *const driver = &jp_driver_power_supply;

static void run(const char *shell)
{
    char command[512];

    snprintf(command, sizeof command, "cd '%s/sys/class/power_supply' && %s", root, shell);
    assert_int_equal(system(command), 0);
}

static void assert_ways(const struct rig *rig, int64_t in, int64_t out)
{
    assert_int_equal(rig->readings[0].state, JP_GOOD);
    assert_int_equal(rig->readings[1].state, JP_GOOD);
    assert_int_equal(rig->readings[0].value, in);
    assert_int_equal(rig->readings[1].value, out);
}

static void assert_missing(const struct rig *rig, int error)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig->readings[i].state, JP_MISSING);
        assert_int_equal(rig->readings[i].error, error);
    }
}

static void only_the_machines_own_batteries_are_found(void **state)
{
    struct jp_found found[MAX];
    struct rig rig;

    (void)state;
    tree("laptop");
    assert_int_equal(driver->probe(&site, found, MAX), 1);
    assert_string_equal(found[0].path, "/sys/class/power_supply/BAT0");
    put("/sys/class/power_supply/BAT1/present", "1\n");
    assert_int_equal(driver->probe(&site, found, MAX), 2);
    assert_int_equal(driver->probe(&site, found, 1), 1);
    put("/sys/class/power_supply/hidpp_battery_0/scope", "System\n");
    assert_int_equal(driver->probe(&site, found, MAX), 3);
    put("/sys/class/power_supply/ucsi-source-psy-USBC000:001/type", "Wireless\n");
    put("/sys/class/power_supply/hidpp_battery_0/type", "UPS\n");
    assert_int_equal(driver->probe(&site, found, MAX), 2);
    run("rm BAT1/power_now"); // a voltage alone tells no power
    assert_int_equal(driver->probe(&site, found, MAX), 1);
    assert_int_equal(open_rig(&rig, driver, &found[0]), 2);
    assert_string_equal(rig.channels[0].name, "BAT0_in");
    assert_string_equal(rig.channels[1].name, "BAT0_out");
    assert_string_equal(rig.channels[1].chip, "power_supply");
    assert_int_equal(rig.channels[1].scope, JP_SCOPE_SYSTEM);
    assert_int_equal(rig.channels[1].roles, JP_ROLE_BATTERY);
    close_rig(&rig);
    run("mv BAT0 battery-of-a-name-that-is-rather-long");
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    assert_string_equal(rig.channels[0].name, "battery-of-a-name-that-is-ra_in");
    assert_string_equal(rig.channels[1].name, "battery-of-a-name-that-is-ra_out");
    close_rig(&rig);
}

static void the_status_tells_the_way_and_the_sign_only_where_it_does_not(void **state)
{
    static const struct {
        const char *status, *power;
        int64_t in, out; // -1: missing
    } cases[] = {
        {"Charging\n", "12500000\n", 12500000, 0},
        {"Charging\n", "-12500000\n", 12500000, 0},
        {"Discharging\n", "12500000\n", 0, 12500000},
        {"Discharging\n", "-12500000\n", 0, 12500000},
        {"Charging\n", "0\n", 0, 0},
        {"Full\n", "0\n", 0, 0},
        {"Not charging\n", "0\n", 0, 0},
        {"Not charging\n", "-30000\n", 0, 30000},
        {"Full\n", "30000\n", -1, -1},
        {"Unknown\n", "0\n", -1, -1},
        {"Unknown\n", "-30000\n", -1, -1},
        {"\n", "0\n", -1, -1},
        {"", "30000\n", -1, -1},
    };
    struct rig rig;

    (void)state;
    tree("laptop");
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(BAT "status", cases[i].status);
        put(BAT "power_now", cases[i].power);
        read_rig(&rig);
        if (cases[i].in < 0)
            assert_missing(&rig, ENODATA);
        else
            assert_ways(&rig, cases[i].in, cases[i].out);
    }
    close_rig(&rig);
}

static void without_a_power_it_is_voltage_times_current(void **state)
{
    struct rig rig;

    (void)state;
    tree("laptop");
    put(BAT "voltage_now", "11400000\n");
    put(BAT "current_now", "-1500000\n");
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    read_rig(&rig);
    assert_ways(&rig, 0, 12500000);
    failing = "/BAT0/power_now"; // a file that is there and tells nothing
    failure = ENODATA;
    read_rig(&rig);
    assert_ways(&rig, 0, 17100000);
    failing = NULL;
    close_rig(&rig);
    drop(BAT "power_now");
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    read_rig(&rig);
    assert_ways(&rig, 0, 17100000);
    failing = "/BAT0/current_now";
    failure = EAGAIN;
    read_rig(&rig);
    assert_missing(&rig, EAGAIN);
    failing = NULL;
    put(BAT "voltage_now", "9000000000000000000\n");
    read_rig(&rig);
    assert_missing(&rig, ERANGE);
    close_rig(&rig);
}

static void what_is_no_power_is_missing_and_never_zero(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {{"", ENODATA},
                 {"abc\n", EINVAL},
                 {"1000000000001\n", ERANGE},
                 {"-1000000000001\n", ERANGE},
                 {"-9223372036854775808\n", ERANGE},
                 {"99999999999999999999\n", ERANGE}};
    struct rig rig;

    (void)state;
    tree("laptop");
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(BAT "power_now", cases[i].text);
        read_rig(&rig);
        assert_missing(&rig, cases[i].error);
    }
    put(BAT "power_now", "12500000\n");
    failing = "/BAT0/status";
    failure = EIO;
    read_rig(&rig);
    assert_missing(&rig, EIO);
    close_rig(&rig);
}

static void a_battery_that_is_absent_is_missing_until_it_is_back(void **state)
{
    struct rig rig;

    (void)state;
    tree("laptop");
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    put(BAT "present", "0\n");
    read_rig(&rig);
    assert_missing(&rig, ENODEV);
    put(BAT "present", "1\n");
    read_rig(&rig);
    assert_ways(&rig, 0, 12500000);
    // Its folder goes: the kernel answers ENODEV on what was open, and new files come under the old name.
    failing = "/BAT0/present";
    failure = ENODEV;
    read_rig(&rig);
    assert_missing(&rig, ENODEV);
    failing = NULL;
    run("mv BAT0 gone");
    read_rig(&rig);
    assert_missing(&rig, ENODEV);
    run("cp -r gone BAT0 && rm BAT0/power_now && echo 2000000 >BAT0/current_now && echo Charging >BAT0/status");
    read_rig(&rig);
    assert_ways(&rig, 22800000, 0);
    close_rig(&rig);
}

static void only_the_channel_that_is_wanted_is_answered(void **state)
{
    struct rig rig;

    (void)state;
    tree("laptop");
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    rig.readings[0] = (struct jp_reading){.state = JP_SKIPPED};
    rig.readings[1] = (struct jp_reading){.state = JP_WANTED};
    driver->read(rig.state, &(struct jp_pass){.readings = rig.readings});
    assert_int_equal(rig.readings[0].state, JP_SKIPPED);
    assert_int_equal(rig.readings[1].value, 12500000);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_TREE(only_the_machines_own_batteries_are_found),
        ON_A_TREE(the_status_tells_the_way_and_the_sign_only_where_it_does_not),
        cmocka_unit_test_teardown(without_a_power_it_is_voltage_times_current, mend),
        cmocka_unit_test_teardown(what_is_no_power_is_missing_and_never_zero, mend),
        cmocka_unit_test_teardown(a_battery_that_is_absent_is_missing_until_it_is_back, mend),
        ON_A_TREE(only_the_channel_that_is_wanted_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
