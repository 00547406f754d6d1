// SPDX-License-Identifier: Apache-2.0
// What the kernel says instead of a number: each errno reaches its reading, and one channel stops no other.
#define _GNU_SOURCE
#include "failing_pread.h"

#define CHIP "/sys/bus/i2c/devices/3-0042/hwmon/hwmon0/"

static void an_errno_reaches_its_rail_and_no_other(void **state)
{
    static const int errors[] = {ENODATA, EAGAIN, ETIMEDOUT, EIO, ENODEV, EREMOTEIO};
    struct rig rig;

    (void)state;
    tree("arm-unknown");
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 3);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        failure = errors[i];
        failing = i % 2 ? "/in2_input" : "/curr2_input";
        read_rig(&rig);
        assert_int_equal(rig.readings[1].state, JP_MISSING);
        assert_int_equal(rig.readings[1].error, errors[i]);
        assert_int_equal(rig.readings[1].value, 0);
        assert_int_equal(rig.readings[1].ma, INT32_MIN);
        assert_int_equal(rig.readings[0].state, JP_GOOD);
        assert_int_equal(rig.readings[2].state, JP_GOOD);
    }
    failing = NULL;
    read_rig(&rig);
    assert_int_equal(rig.readings[1].value, 500000);
    close_rig(&rig);
}

static void a_file_costs_one_transfer_and_none_after_its_pair_failed(void **state)
{
    struct rig rig;

    (void)state;
    tree("arm-unknown");
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 3);
    transfers = 0;
    read_rig(&rig);
    assert_int_equal(transfers, 6);
    failing = "/in2_input";
    failure = EIO;
    transfers = 0;
    read_rig(&rig);
    assert_int_equal(transfers, 5);
    close_rig(&rig);
}

static void a_disconnected_channel_is_absent_and_a_broken_one_is_not(void **state)
{
    struct rig rig;

    (void)state;
    tree("arm-unknown");
    failing = "/in1_input";
    failure = ENODATA;
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 2);
    assert_int_equal(rig.channels[0].index, 2);
    close_rig(&rig);
    failure = EIO;
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 3);
    assert_string_equal(rig.channels[0].name, "MAIN");
    assert_int_equal(rig.channels[0].resolution_uw, 0);
    close_rig(&rig);
}

static void a_label_nc_is_exact(void **state)
{
    struct rig rig;

    (void)state;
    tree("arm-unknown");
    put(CHIP "in1_label", "NC_5V\n");
    put(CHIP "in2_label", "NC\n");
    put(CHIP "in3_enable", "0\n");
    assert_int_equal(open_nth(&rig, &jp_driver_ina3221_hwmon, 0), 1);
    assert_string_equal(rig.channels[0].name, "NC_5V");
    close_rig(&rig);
}

static void an_errno_reaches_its_counter_and_no_other(void **state)
{
    struct rig rig;

    (void)state;
    tree("x86-2s");
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 9);
    failing = "/intel-rapl:0/energy_uj";
    failure = EIO;
    transfers = 0;
    read_rig(&rig);
    assert_int_equal(transfers, 9);
    for (int i = 0; i < rig.count; i++) {
        bool broken = strcmp(rig.channels[i].name, "package-0") == 0;

        assert_int_equal(rig.readings[i].state, broken ? JP_MISSING : JP_GOOD);
        assert_int_equal(rig.readings[i].error, broken ? EIO : 0);
    }
    close_rig(&rig);
}

static void a_gated_gpu_is_missing_not_idle(void **state)
{
    struct rig rig;

    (void)state;
    tree("orin-nano");
    assert_int_equal(open_nth(&rig, &jp_driver_gpu_load, 0), 1);
    failing = "/load";
    failure = EAGAIN;
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    assert_int_equal(rig.readings[0].error, EAGAIN);
    close_rig(&rig);
}

static void no_driver_transfers_what_is_not_wanted(void **state)
{
    struct rig rig;
    struct jp_pass pass = {.readings = rig.readings};

    (void)state;
    tree("x86-2s");
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 9);
    for (int i = 0; i < rig.count; i++)
        rig.readings[i].state = i == 4 ? JP_WANTED : JP_SKIPPED;
    transfers = 0;
    rig.driver->read(rig.state, &pass);
    assert_int_equal(transfers, 1);
    for (int i = 0; i < rig.count; i++)
        assert_int_equal(rig.readings[i].state, i == 4 ? JP_GOOD : JP_SKIPPED);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_errno_reaches_its_rail_and_no_other, mend),
        cmocka_unit_test_teardown(a_file_costs_one_transfer_and_none_after_its_pair_failed, mend),
        cmocka_unit_test_teardown(a_disconnected_channel_is_absent_and_a_broken_one_is_not, mend),
        cmocka_unit_test_teardown(a_label_nc_is_exact, mend),
        cmocka_unit_test_teardown(an_errno_reaches_its_counter_and_no_other, mend),
        cmocka_unit_test_teardown(a_gated_gpu_is_missing_not_idle, mend),
        cmocka_unit_test_teardown(no_driver_transfers_what_is_not_wanted, mend),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
