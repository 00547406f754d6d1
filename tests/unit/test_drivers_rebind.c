// SPDX-License-Identifier: Apache-2.0
// A kernel driver is unbound and bound again while its chip is read: same chip, another hwmon number, no new channel.
#define _GNU_SOURCE
#include "failing_pread.h"

#include <fcntl.h>

#define CLIENT "sys/bus/i2c/devices/3-0042"
#define PLATFORM "sys/devices/platform/meter"

static void run(const char *shell)
{
    char command[512];

    snprintf(command, sizeof command, "cd '%s' && %s", root, shell);
    assert_int_equal(system(command), 0);
}

// A read of a file that is gone answers as the kernel does.
static int set_up(void **state)
{
    (void)state;
    failing = " (deleted)";
    failure = ENODEV;
    return 0;
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 64; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void check_all(const struct rig *rig, enum jp_reading_state expected, int error)
{
    for (int i = 0; i < rig->count; i++) {
        assert_int_equal(rig->readings[i].state, expected);
        assert_int_equal(rig->readings[i].error, error);
    }
}

static void open_ina3221(struct rig *rig)
{
    tree("alarms");
    assert_int_equal(open_nth(rig, &jp_driver_ina3221_hwmon, 0), 6);
    run("cp -r " CLIENT "/hwmon/hwmon0 kept");
    run("rm -r " CLIENT "/hwmon");
    read_rig(rig);
    check_all(rig, JP_MISSING, ENODEV);
    read_rig(rig);
    check_all(rig, JP_MISSING, ENODEV);
}

static void an_ina3221_is_found_under_its_new_number(void **state)
{
    struct rig rig;
    int before = open_descriptors();

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_ina3221(&rig);
        run("mkdir " CLIENT "/hwmon && cp -r kept " CLIENT "/hwmon/hwmon7");
        put("/" CLIENT "/hwmon/hwmon7/curr1_input", "250\n");
        put("/" CLIENT "/hwmon/hwmon7/curr3_crit_alarm", "1\n");
        read_rig(&rig);
        check_all(&rig, JP_GOOD, 0);
        assert_int_equal(rig.readings[0].value, 3000000);
        assert_int_equal(rig.readings[5].value, 2000);
        assert_int_equal(open_descriptors(), before + 12);
        // Gone once more, and for good.
        run("rm -r " CLIENT "/hwmon");
        read_rig(&rig);
        check_all(&rig, JP_MISSING, ENODEV);
        close_rig(&rig);
        assert_int_equal(open_descriptors(), before);
        drop_tree(state);
    }
}

static void a_folder_that_is_half_made_is_looked_at_again(void **state)
{
    static const char *const last[] = {"name", "in1_input", "curr3_input", "curr1_max_alarm", "curr2_crit_alarm"};
    char command[200];
    struct rig rig;

    for (size_t i = 0; i < sizeof last / sizeof last[0]; i++) {
        open_ina3221(&rig);
        run("mkdir " CLIENT "/hwmon && cp -r kept " CLIENT "/hwmon/hwmon7");
        snprintf(command, sizeof command, "rm " CLIENT "/hwmon/hwmon7/%s", last[i]);
        run(command);
        read_rig(&rig);
        snprintf(command, sizeof command, "cp kept/%s " CLIENT "/hwmon/hwmon7/", last[i]);
        run(command);
        read_rig(&rig);
        check_all(&rig, JP_GOOD, 0);
        close_rig(&rig);
        drop_tree(state);
    }
}

static void what_may_be_another_chip_is_not_taken(void **state)
{
    struct rig rig;

    (void)state;
    open_ina3221(&rig);
    run("mkdir " CLIENT "/hwmon && cp -r kept " CLIENT "/hwmon/hwmon7 && echo ina219 > " CLIENT "/hwmon/hwmon7/name");
    read_rig(&rig);
    check_all(&rig, JP_MISSING, ENODEV);
    run("cp -r kept " CLIENT "/hwmon/hwmon8 && cp -r kept " CLIENT "/hwmon/hwmon9 && mkdir " CLIENT "/hwmon/other");
    read_rig(&rig);
    check_all(&rig, JP_MISSING, ENODEV); // two, and nobody knows which
    run("rm -r " CLIENT "/hwmon/hwmon9");
    read_rig(&rig);
    check_all(&rig, JP_GOOD, 0);
    close_rig(&rig);
}

static void open_meter(struct rig *rig, const char *where)
{
    struct jp_found found = {.path = "/sys/class/hwmon/hwmon1"};
    char command[400];

    tree("empty");
    snprintf(command, sizeof command,
             "mkdir -p %s/hwmon1 sys/class/hwmon && ln -sfn ../../../%s/hwmon1 sys/class/hwmon/hwmon1 && "
             "cd %s/hwmon1 && echo meter > name && echo 7000 > power1_input && echo 9 > energy2_input",
             where, where, where);
    run(command);
    assert_int_equal(open_rig(rig, &jp_driver_hwmon_power, &found), 2);
    read_rig(rig);
    check_all(rig, JP_GOOD, 0);
    snprintf(command, sizeof command, "mv %s kept && mkdir %s && rm kept/*/*_input", where, where);
    run(command);
    read_rig(rig);
    check_all(rig, JP_MISSING, ENODEV);
    snprintf(command, sizeof command,
             "mv kept/hwmon1 %s/hwmon4 && echo 8000 > %s/hwmon4/power1_input && echo 11 > %s/hwmon4/energy2_input",
             where, where, where);
    run(command);
    read_rig(rig);
}

static void a_meter_on_no_bus_is_found_below_its_device(void **state)
{
    struct rig rig;
    int before = open_descriptors();

    (void)state;
    open_meter(&rig, PLATFORM "/hwmon");
    check_all(&rig, JP_GOOD, 0);
    assert_int_equal(rig.readings[0].value, 11);
    assert_int_equal(rig.readings[1].value, 8000);
    close_rig(&rig);
    assert_int_equal(open_descriptors(), before);
}

// Another device may have taken the number meanwhile.
static void a_meter_without_a_device_is_not_guessed(void **state)
{
    struct rig rig;

    (void)state;
    open_meter(&rig, "sys/devices/virtual/hwmon");
    check_all(&rig, JP_MISSING, ENODEV);
    close_rig(&rig);
}

static void the_bus_is_the_number_of_this_boot(void **state)
{
    struct rig rig;

    (void)state;
    tree("alarms");
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 6);
    for (int i = 0; i < rig.count; i++)
        assert_int_equal(rig.channels[i].bus, 3);
    close_rig(&rig);
    drop_tree(state);
    open_meter(&rig, PLATFORM "/hwmon");
    assert_int_equal(rig.channels[0].bus, -1);
    close_rig(&rig);
}

#define REBOUND(test) cmocka_unit_test_setup_teardown(test, set_up, mend)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REBOUND(an_ina3221_is_found_under_its_new_number), REBOUND(a_folder_that_is_half_made_is_looked_at_again),
        REBOUND(what_may_be_another_chip_is_not_taken),    REBOUND(a_meter_on_no_bus_is_found_below_its_device),
        REBOUND(a_meter_without_a_device_is_not_guessed),  REBOUND(the_bus_is_the_number_of_this_boot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
