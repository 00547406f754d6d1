// SPDX-License-Identifier: Apache-2.0
// Chips that tell power or energy themselves: what is one, what is none, and how it is named.
#define _GNU_SOURCE
#include "driver_rig.h"

#include <errno.h>

#define CLASS "/sys/class/hwmon/hwmon9/"
#define INA219 "/sys/bus/i2c/devices/7-0044/"

static const struct jp_driver *const driver = &jp_driver_hwmon_power;

static void run(const char *shell)
{
    char command[512];

    snprintf(command, sizeof command, "cd '%s' && %s", root, shell);
    assert_int_equal(system(command), 0);
}

// A further chip, hwmon9, that is on no I2C bus.
static void put_class(const char *name)
{
    run("mkdir -p sys/class/hwmon/hwmon9");
    put(CLASS "name", name);
}

static int probe(void)
{
    struct jp_found found[MAX];

    return driver->probe(&site, found, MAX);
}

static void open_hwmon9(struct rig *rig, int count)
{
    struct jp_found found = {.path = "/sys/class/hwmon/hwmon9"};

    assert_int_equal(open_rig(rig, driver, &found), count);
}

static void three_chips_with_three_kinds_of_name(void **state)
{
    static const char *const kinds[] = {"hwmon-power", "hwmon-power-copied"};
    struct rig rig;

    for (int i = 0; i < 2; i++) {
        tree(kinds[i]);
        assert_int_equal(probe(), 3); // no INA3221
        assert_int_equal(open_nth(&rig, driver, 0), 1);
        assert_string_equal(rig.channels[0].name, "VIN");
        assert_string_equal(rig.channels[0].chip, "ina238");
        assert_string_equal(rig.channels[0].bus_node, "i2c@c250000");
        assert_int_equal(rig.channels[0].address, 0x44);
        assert_int_equal(rig.channels[0].index, 1);
        assert_int_equal(rig.channels[0].kind, JP_POWER);
        assert_int_equal(rig.channels[0].scope, JP_SCOPE_RAIL);
        assert_int_equal(rig.channels[0].roles, 0);
        assert_int_equal(rig.channels[0].shunt_uohm, 0);
        read_rig(&rig);
        assert_int_equal(rig.readings[0].value, 22800000);
        assert_int_equal(rig.readings[0].mv, INT32_MIN);
        close_rig(&rig);
        assert_int_equal(open_nth(&rig, driver, 1), 1);
        assert_string_equal(rig.channels[0].name, "CVB_ATX_12V_8P");
        assert_string_equal(rig.channels[0].chip, "ina219");
        assert_string_equal(rig.channels[0].bus_node, "i2c@31e0000");
        assert_int_equal(rig.channels[0].shunt_uohm, 2000);
        close_rig(&rig);
        assert_int_equal(open_nth(&rig, driver, 2), 1);
        assert_string_equal(rig.channels[0].name, "");
        assert_int_equal(rig.channels[0].address, 0x45);
        close_rig(&rig);
        drop_tree(state);
    }
}

static void the_nearest_label_is_the_name(void **state)
{
    struct rig rig;

    (void)state;
    tree("hwmon-power-copied");
    put(INA219 "hwmon/hwmon2/label", "OF_THE_CHIP\n");
    assert_int_equal(open_nth(&rig, driver, 1), 1);
    assert_string_equal(rig.channels[0].name, "OF_THE_CHIP");
    close_rig(&rig);
    put(INA219 "hwmon/hwmon2/power1_label", "OF_THE_CHANNEL\n");
    assert_int_equal(open_nth(&rig, driver, 1), 1);
    assert_string_equal(rig.channels[0].name, "OF_THE_CHANNEL");
    close_rig(&rig);
    put_class("some_meter\n");
    put(CLASS "power1_input", "1\n");
    put(CLASS "label", "");
    run("mkdir -p sys/class/hwmon/hwmon9/device/of_node");
    put(CLASS "device/of_node/label", "OF_THE_TREE");
    open_hwmon9(&rig, 1);
    assert_string_equal(rig.channels[0].name, "OF_THE_TREE");
    close_rig(&rig);
}

static void one_chip_seen_in_two_places_is_found_once(void **state)
{
    (void)state;
    tree("hwmon-power-copied");
    run("mkdir -p sys/class/hwmon && cp -r sys/bus/i2c/devices/*/hwmon/hwmon* sys/class/hwmon/");
    assert_int_equal(probe(), 3);
}

static void an_average_and_an_energy_stand_in_for_a_power_that_is_not_there(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    put_class("some_meter\n");
    put(CLASS "power1_input", "1000\n");
    put(CLASS "energy1_input", "3000\n");
    put(CLASS "power2_average", "4000\n");
    put(CLASS "energy2_input", "5000\n");
    put(CLASS "energy3_input", "6000\n");
    put(CLASS "energy3_label", "third\n");
    put(CLASS "power4_cap", "7000\n");
    put(CLASS "power12_input", "-8000\n");
    put(CLASS "power12_average", "2000\n");
    assert_int_equal(probe(), 1);
    open_hwmon9(&rig, 4);
    read_rig(&rig);
    assert_string_equal(rig.channels[0].name, "third");
    assert_int_equal(rig.channels[0].kind, JP_ENERGY);
    assert_int_equal(rig.channels[0].range_uj, 0);
    assert_int_equal(rig.channels[0].index, 3);
    assert_int_equal(rig.channels[0].address, -1);
    assert_int_equal(rig.readings[0].value, 6000);
    assert_int_equal(rig.channels[1].index, 1);
    assert_int_equal(rig.readings[1].value, 1000);
    assert_int_equal(rig.channels[2].index, 2);
    assert_int_equal(rig.readings[2].value, 4000);
    assert_int_equal(rig.channels[3].index, 12);
    assert_int_equal(rig.readings[3].value, -8000);
    put(CLASS "energy3_input", "-1\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].error, ERANGE);
    close_rig(&rig);
}

static void a_gpu_has_its_role_and_no_other_chip_has(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    put_class("amdgpu\n");
    put(CLASS "power1_average", "31000000\n");
    put(CLASS "power1_label", "PPT\n");
    open_hwmon9(&rig, 1);
    assert_string_equal(rig.channels[0].name, "PPT");
    assert_string_equal(rig.channels[0].chip, "amdgpu");
    assert_int_equal(rig.channels[0].roles, JP_ROLE_GPU);
    assert_int_equal(rig.channels[0].scope, JP_SCOPE_RAIL);
    close_rig(&rig);
    put_class("power_meter\n");
    open_hwmon9(&rig, 1);
    assert_int_equal(rig.channels[0].roles, 0);
    close_rig(&rig);
}

static void what_is_no_rail_is_left_out(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    put_class("ucsi_source_psy_USBC000:001\n");
    put(CLASS "power1_input", "60000000\n");
    assert_int_equal(probe(), 0);
    put_class("BAT0\n");
    assert_int_equal(probe(), 1);
    run("mkdir -p sys/class/power_supply/BAT0");
    assert_int_equal(probe(), 0);
    put_class("hidpp_battery_0\n");
    run("mkdir -p sys/devices/x/power_supply/y && mv sys/class/hwmon/hwmon9 sys/devices/x/power_supply/y && "
        "ln -s ../../devices/x/power_supply/y/hwmon9 sys/class/hwmon/hwmon9");
    assert_int_equal(probe(), 0);
    run("rm sys/class/hwmon/hwmon9 && mv sys/devices/x/power_supply/y/hwmon9 sys/class/hwmon/");
    assert_int_equal(probe(), 1);
    put_class("ina3221\n");
    assert_int_equal(probe(), 0);
    put_class("power_meter\n");
    put(CLASS "power1_is_battery", "1\n");
    assert_int_equal(probe(), 0);
    put(CLASS "power1_is_battery", "0\n");
    assert_int_equal(probe(), 1);
    put_class("sfp_eth1\n");
    put(CLASS "power1_label", "TX_power\n");
    put(CLASS "power2_input", "500\n");
    put(CLASS "power2_label", "RX_power\n");
    assert_int_equal(probe(), 0);
    put_class("amd_energy\n");
    put(CLASS "power1_label", "Ecore000\n");
    put(CLASS "power2_label", "Esocket0\n");
    open_hwmon9(&rig, 1);
    assert_string_equal(rig.channels[0].name, "Esocket0");
    close_rig(&rig);
}

static void another_bus_gives_no_i2c_address(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    put_class("scmi_sensors\n");
    put(CLASS "power1_input", "1\n");
    put(CLASS "uevent", "OF_NAME=protocol\nOF_FULLNAME=/firmware/scmi/protocol@15\n");
    open_hwmon9(&rig, 1);
    assert_int_equal(rig.channels[0].address, -1);
    assert_string_equal(rig.channels[0].bus_node, "");
    close_rig(&rig);
    put(CLASS "uevent", "OF_NAME=ina226\nOF_FULLNAME=/soc/i2c@1000/ina226@45\n");
    open_hwmon9(&rig, 1);
    assert_int_equal(rig.channels[0].address, 0x45);
    assert_string_equal(rig.channels[0].bus_node, "i2c@1000");
    close_rig(&rig);
}

static void a_bad_file_is_missing_never_zero_and_stops_no_other(void **state)
{
    static const char *const texts[] = {"", "abc\n", "12x\n", "99999999999999999999\n"};
    struct rig rig;

    (void)state;
    tree("empty");
    put_class("some_meter\n");
    put(CLASS "power1_input", "0\n");
    put(CLASS "power2_input", "7\n");
    open_hwmon9(&rig, 2);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put(CLASS "power1_input", texts[i]);
        read_rig(&rig);
        assert_int_equal(rig.readings[0].state, JP_MISSING);
        assert_int_not_equal(rig.readings[0].error, 0);
        assert_int_equal(rig.readings[1].value, 7);
    }
    put(CLASS "power1_input", "0\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    assert_int_equal(rig.readings[0].value, 0);
    close_rig(&rig);
}

// A link to itself stands for a file that cannot be opened: root opens any other.
static void a_chip_of_which_nothing_opens_says_why(void **state)
{
    struct jp_found found = {.path = "/sys/class/hwmon/hwmon9"};
    struct rig rig;

    (void)state;
    tree("empty");
    put_class("some_meter\n");
    run("ln -s power1_input sys/class/hwmon/hwmon9/power1_input");
    assert_int_equal(open_rig(&rig, driver, &found), -ELOOP);
    put(CLASS "power2_input", "7\n");
    open_hwmon9(&rig, 2);
    read_rig(&rig);
    assert_int_equal(rig.readings[0].error, ELOOP);
    assert_int_equal(rig.readings[1].value, 7);
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
    struct jp_pass pass = {.readings = rig.readings, .late = late_after_one, .context = &calls};

    (void)state;
    tree("empty");
    put_class("some_meter\n");
    put(CLASS "power1_input", "1\n");
    put(CLASS "power2_input", "2\n");
    put(CLASS "power3_input", "3\n");
    open_hwmon9(&rig, 3);
    rig.readings[0].state = JP_SKIPPED;
    driver->read(rig.state, &pass);
    assert_int_equal(rig.readings[0].state, JP_SKIPPED);
    assert_int_equal(rig.readings[1].value, 2);
    assert_int_equal(rig.readings[2].state, JP_WANTED);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_chips_with_three_kinds_of_name),
        ON_A_TREE(the_nearest_label_is_the_name),
        ON_A_TREE(one_chip_seen_in_two_places_is_found_once),
        ON_A_TREE(an_average_and_an_energy_stand_in_for_a_power_that_is_not_there),
        ON_A_TREE(a_gpu_has_its_role_and_no_other_chip_has),
        ON_A_TREE(what_is_no_rail_is_left_out),
        ON_A_TREE(another_bus_gives_no_i2c_address),
        ON_A_TREE(a_bad_file_is_missing_never_zero_and_stops_no_other),
        ON_A_TREE(a_chip_of_which_nothing_opens_says_why),
        ON_A_TREE(after_a_slow_transfer_the_rest_stays_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
