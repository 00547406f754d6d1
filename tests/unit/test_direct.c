// SPDX-License-Identifier: Apache-2.0
// Which chips discovery reads directly over I2C, under which names, and what it says of those it does not.
#define _GNU_SOURCE
#include "machine.h"

#include "fake_i2c.h"

#define DEVICES "/sys/bus/i2c/devices"

static int begin(void **state)
{
    int rc = set_up(state);

    memset(fake_chips, 0, sizeof fake_chips);
    buses = &fake_i2c;
    return rc;
}

static void put_bus(void)
{
    put(DEVICES "/i2c-1/name", "SMBus stub driver\n");
    put("/sys/class/i2c-dev/i2c-1/name", "SMBus stub driver\n");
    put("/proc/meminfo", "MemTotal: 1000000 kB\n");
}

static void put_board(const char *bus, int address)
{
    char text[1024];

    snprintf(text, sizeof text,
             "name = \"Mine\"; match = ( \"dmi:MINE\" );\n"
             "sensors = ( { chip = \"ina3221\"; address = %d; bus_node = \"%s\"; scope = \"board\"; channels = (\n"
             "  { channel = 1; label = \"MAIN\"; shunt_uohm = 10000; },\n"
             "  { channel = 3; label = \"BACK\"; part_of = \"MAIN\"; shunt_uohm = 5000; } ); } );\n"
             "totals = { board = ( \"MAIN\" ); };\n",
             address, bus);
    put("/boards.d/mine.conf", text);
    snprintf(config.board_dir, sizeof config.board_dir, "%s/boards.d", root);
    put("/sys/class/dmi/id/product_name", "MINE\n");
}

static int reads(void)
{
    int count = 0;

    for (int i = 0; i < FAKE_CHIPS; i++)
        count += fake_reads(&fake_chips[i]);
    return count;
}

static bool uses_only(const char *driver)
{
    for (int s = 0; s < plan.source_count; s++)
        if (strcmp(plan.sources[s].info[0].chip, "ina3221") == 0 && strcmp(plan.sources[s].driver->name, driver) != 0)
            return false;
    return true;
}

static void a_board_file_names_chip_bus_and_rails(void **state)
{
    (void)state;
    put_bus();
    put_board("SMBus stub driver", 0x40);
    fake_ina3221(0, 1, 0x40);
    discover();
    assert_string_equal(names(), "+MAIN BACK");
    assert_string_equal(channel("BACK")->part_of, "MAIN");
    assert_int_equal(channel("MAIN")->scope, JP_SCOPE_BOARD);
    assert_int_equal(channel("MAIN")->resolution_uw, 19200);
    diagnose();
    assert_null(problem("INA3221"));
    assert_null(problem("missing"));
    assert_null(problem("no power"));
}

static void what_no_board_names_is_never_looked_for(void **state)
{
    (void)state;
    put_bus();
    fake_ina3221(0, 1, 0x40);
    discover();
    assert_int_equal(reads(), 0);
}

static void a_client_without_a_driver_is_read_under_its_place(void **state)
{
    (void)state;
    put_bus();
    put(DEVICES "/1-0040/name", "ina3221\n");
    fake_ina3221(0, 1, 0x40);
    fake_set(&fake_chips[0], 0, 0x6127);
    discover();
    diagnose();
    assert_string_equal(names(), "ina3221-40.1 ina3221-40.2");
    assert_false(plan.run.total_known);
    assert_string_equal(problem("no power")->where, "ina3221-40.1, ina3221-40.2");
    assert_null(problem("nobody reads it"));
}

static void the_kernels_driver_goes_first_and_a_chip_counts_once(void **state)
{
    (void)state;
    tree("agx-orin-jp6");
    put(DEVICES "/i2c-1/name", "Tegra\n");
    put(DEVICES "/1-0040/name", "ina3221\n");
    put(DEVICES "/1-0041/name", "ina3221\n");
    fake_ina3221(0, 1, 0x40);
    fake_ina3221(1, 1, 0x41);
    discover();
    diagnose();
    assert_string_equal(names(), "+VDD_GPU_SOC +VDD_CPU_CV +VIN_SYS_5V0 VDDQ_VDD2_1V8AO");
    assert_true(uses_only("ina3221_hwmon"));
    assert_int_equal(reads(), 0);
    assert_null(problem("INA3221"));
}

static void asked_for_by_name_it_says_who_has_the_chip(void **state)
{
    (void)state;
    tree("agx-orin-jp6");
    put(DEVICES "/1-0040/name", "ina3221\n");
    fake_ina3221(0, 1, 0x40)->held = true;
    config.driver_count = 2;
    strcpy(config.drivers[0], "ina3221_i2c");
    strcpy(config.drivers[1], "ina3221_hwmon");
    discover();
    assert_string_equal(names(), "+VDD_GPU_SOC +VDD_CPU_CV +VIN_SYS_5V0 VDDQ_VDD2_1V8AO");
    assert_true(uses_only("ina3221_hwmon"));
    assert_non_null(strstr(problem("busy (EBUSY)")->remedy, "nothing is lost"));
    assert_int_equal(reads(), 0);
}

static void alone_in_the_list_it_names_the_driver_to_add(void **state)
{
    (void)state;
    put_bus();
    put(DEVICES "/1-0040/name", "ina3221\n");
    put("/sys/bus/i2c/drivers/ina3221/module", "");
    config.driver_count = 1;
    strcpy(config.drivers[0], "ina3221_i2c");
    fake_ina3221(0, 1, 0x40)->held = true;
    {
        char path[256];

        snprintf(path, sizeof path, "%s" DEVICES "/1-0040/driver", root);
        assert_int_equal(symlink("../../drivers/ina3221", path), 0);
    }
    discover();
    assert_non_null(strstr(problem("busy (EBUSY)")->what, "the kernel driver ina3221 has it"));
    assert_non_null(strstr(problem("busy (EBUSY)")->remedy, "add ina3221_hwmon"));
    assert_int_equal(plan.source_count, 0);
}

static void another_chip_is_refused_with_what_it_says(void **state)
{
    (void)state;
    put_bus();
    put_board("SMBus stub driver", 0x40);
    fake_ina3221(0, 1, 0x40);
    fake_set(&fake_chips[0], 0xff, 0x2260);
    discover();
    assert_non_null(strstr(problem("no INA3221")->what, "manufacturer 0x5449, die 0x2260"));
    assert_null(strstr(names(), "MAIN"));
}

static void one_that_cannot_be_read_is_told_once(void **state)
{
    int told = 0;

    (void)state;
    put_bus();
    put(DEVICES "/1-0040/name", "ina3221\n");
    fake_ina3221(0, 1, 0x40)->open_error = EACCES;
    discover();
    diagnose();
    for (int i = 0; i < plan.problem_count; i++)
        told += strcmp(plan.problems[i].where, DEVICES "/1-0040") == 0;
    assert_int_equal(told, 1);
    assert_non_null(strstr(problem("cannot be read through /dev/i2c-1")->remedy, "group i2c"));
}

static void a_missing_node_says_which_module_is_missing(void **state)
{
    char command[256];

    (void)state;
    put_bus();
    put(DEVICES "/1-0040/name", "ina3221\n");
    fake_ina3221(0, 1, 0x40)->open_error = ENOENT;
    discover();
    assert_non_null(problem("the service may not see /dev/i2c-1"));
    jp_plan_close(&plan);
    snprintf(command, sizeof command, "rm -r '%s/sys/class/i2c-dev'", root);
    assert_int_equal(system(command), 0);
    discover();
    assert_non_null(strstr(problem("no /dev/i2c-1")->remedy, "modprobe i2c-dev"));
}

static void a_bus_that_is_not_here_or_not_alone_is_told(void **state)
{
    (void)state;
    put_bus();
    put_board("i2c@1000", 0x40);
    discover();
    assert_non_null(problem("no I2C bus is called \"i2c@1000\""));
    jp_plan_close(&plan);
    put(DEVICES "/i2c-2/name", "SMBus stub driver\n");
    put_board("SMBus stub driver", 0x40);
    discover();
    assert_non_null(problem("more than one I2C bus is called \"SMBus stub driver\""));
}

static void a_chip_that_sleeps_or_is_slow_is_told(void **state)
{
    (void)state;
    put_bus();
    put_board("SMBus stub driver", 0x40);
    fake_ina3221(0, 1, 0x40);
    fake_set(&fake_chips[0], 0, 0x7120);
    discover();
    diagnose();
    assert_non_null(problem("powered down"));
    jp_plan_close(&plan);
    fake_set(&fake_chips[0], 0, 0x7727);
    discover();
    diagnose();
    assert_non_null(problem("a new value comes each 422 ms"));
    jp_plan_close(&plan);
    config.sampling.hw_average = true; // then that is what is wanted
    discover();
    diagnose();
    assert_null(problem("a new value comes"));
}

#define ON_BUSES(test) cmocka_unit_test_setup_teardown(test, begin, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BUSES(a_board_file_names_chip_bus_and_rails),
        ON_BUSES(what_no_board_names_is_never_looked_for),
        ON_BUSES(a_client_without_a_driver_is_read_under_its_place),
        ON_BUSES(the_kernels_driver_goes_first_and_a_chip_counts_once),
        ON_BUSES(asked_for_by_name_it_says_who_has_the_chip),
        ON_BUSES(alone_in_the_list_it_names_the_driver_to_add),
        ON_BUSES(another_chip_is_refused_with_what_it_says),
        ON_BUSES(one_that_cannot_be_read_is_told_once),
        ON_BUSES(a_missing_node_says_which_module_is_missing),
        ON_BUSES(a_bus_that_is_not_here_or_not_alone_is_told),
        ON_BUSES(a_chip_that_sleeps_or_is_slow_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
