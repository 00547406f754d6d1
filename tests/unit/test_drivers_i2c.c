// SPDX-License-Identifier: Apache-2.0
// The INA3221 on a bus of a test's own: who is found, what its registers mean, and what bad chips become.
#define _GNU_SOURCE
#include "driver_rig.h"

#include "fake_i2c.h"
#include "ina3221_i2c.h"

#define CLIENT "/sys/bus/i2c/devices/1-0040"

static const struct jp_driver *const driver = &jp_driver_ina3221_i2c;

static void run(const char *text)
{
    char command[1024];

    snprintf(command, sizeof command, "cd '%s' && %s", root, text);
    assert_int_equal(system(command), 0);
}

// A client without a driver, and an adapter with a node.
static void begin(void)
{
    snprintf(root, sizeof root, "/tmp/jp-i2c-XXXXXX");
    assert_non_null(mkdtemp(root));
    site.i2c = &fake_i2c;
    memset(fake_chips, 0, sizeof fake_chips);
    run("mkdir -p sys/bus/i2c/devices/1-0040 sys/bus/i2c/devices/i2c-1 sys/bus/i2c/devices/i2c-7 "
        "sys/bus/i2c/devices/1-0050 && cd sys/bus/i2c/devices && echo ina3221 >1-0040/name && echo 24c02 >1-0050/name "
        "&& ln -s ../../../../firmware/devicetree/base/bus@0/i2c@c240000 i2c-1/of_node && echo Tegra >i2c-1/name && "
        "echo 'SMBus stub driver' >i2c-7/name");
}

// No sysfs at all: what a chip says needs none.
static void bare(void)
{
    snprintf(root, sizeof root, "/nonexistent");
    site.i2c = &fake_i2c;
    memset(fake_chips, 0, sizeof fake_chips);
}

static void put_tree(void)
{
    run("mkdir -p sys/bus/i2c/devices/1-0040/of_node && cd sys/bus/i2c/devices/1-0040/of_node && "
        "mkdir input@0 input@1 input@2 && printf '\\0\\0\\0\\0' >input@0/reg && printf '\\0\\0\\0\\001' >input@1/reg "
        "&& "
        "printf '\\0\\0\\0\\002' >input@2/reg && printf 'VDD_IN\\0' >input@0/label && "
        "printf '\\0\\0\\047\\020' >input@0/shunt-resistor-micro-ohms && printf 'disabled\\0' >input@1/status && "
        "printf 'NC\\0' >input@2/label");
}

static void open_with(struct rig *rig, int32_t first, int32_t second, int32_t third)
{
    struct jp_found found = {.path = CLIENT, .shunt_uohm = {first, second, third}};

    assert_true(open_rig(rig, driver, &found) > 0);
}

static void read_at(struct rig *rig, int64_t t_ns)
{
    struct jp_pass pass = {.readings = rig->readings, .t_ns = t_ns};

    memset(rig->readings, 0, sizeof rig->readings);
    driver->read(rig->state, &pass);
}

// The arithmetic ------------------------------------------------------------------------------------
static void every_averaging_and_time_is_decoded(void **state)
{
    static const int samples[] = {1, 4, 16, 64, 128, 256, 512, 1024};
    static const int times[] = {140, 204, 332, 588, 1100, 2116, 4156, 8244};
    struct jp_ina3221_config config;

    (void)state;
    for (int i = 0; i < 8; i++) {
        jp_ina3221_decode((uint16_t)(0x7007 | i << 9 | i << 6 | (7 - i) << 3), &config);
        assert_int_equal(config.samples, samples[i]);
        assert_int_equal(config.bus_us, times[i]);
        assert_int_equal(config.shunt_us, times[7 - i]);
        assert_int_equal(jp_ina3221_with_samples(0x7127, samples[i]), 0x7127 | i << 9);
        assert_int_equal(jp_ina3221_with_samples(0xffff, samples[i]), 0xf1ff | i << 9);
    }
    assert_int_equal(jp_ina3221_with_samples(0x7527, 5), 0x7527);
}

static void modes_and_channels_are_decoded(void **state)
{
    struct jp_ina3221_config config;

    (void)state;
    for (int mode = 0; mode < 8; mode++) {
        jp_ina3221_decode((uint16_t)(0x7120 | mode), &config);
        assert_int_equal(config.converts, mode == 7);
        assert_int_equal(config.powered_down, mode == 0 || mode == 4);
    }
    jp_ina3221_decode(0x5127, &config);
    assert_true(config.enabled[0] && !config.enabled[1] && config.enabled[2]);
    assert_int_equal(config.channels, 2);
    assert_int_equal(jp_ina3221_round_us(&config), 4400);
    jp_ina3221_decode(0x0127, &config);
    assert_int_equal(jp_ina3221_round_us(&config), 0);
}

static void the_least_averaging_that_covers_the_period(void **state)
{
    (void)state;
    assert_int_equal(jp_ina3221_samples_for(6600, 200000), 64);
    assert_int_equal(jp_ina3221_samples_for(6600, 6600), 1);
    assert_int_equal(jp_ina3221_samples_for(6600, 6601), 4);
    assert_int_equal(jp_ina3221_samples_for(6600, 60000000), 1024);
    assert_int_equal(jp_ina3221_samples_for(840, 1000000), 1024);
}

static void registers_are_signed_and_rounded_as_the_kernel_does(void **state)
{
    (void)state;
    assert_int_equal(jp_ina3221_swap(0x4954), 0x5449);
    assert_int_equal(jp_ina3221_shunt_uv(0x7ff8), 163800);
    assert_int_equal(jp_ina3221_shunt_uv(0x8000), -163840);
    assert_int_equal(jp_ina3221_shunt_uv(0xfff8), -40);
    assert_int_equal(jp_ina3221_bus_mv(0x12c0), 4800);
    assert_int_equal(jp_ina3221_bus_mv(0x7ff8), 32760);
    assert_int_equal(jp_ina3221_ma(40, 10000), 4);
    assert_int_equal(jp_ina3221_ma(40, 3000), 13);
    assert_int_equal(jp_ina3221_ma(-40, 3000), -13);
    assert_int_equal(jp_ina3221_ma(40, 16000), 3); // 2.5
    assert_int_equal(jp_ina3221_ma(-40, 16000), -3);
    assert_int_equal(jp_ina3221_ma(-163840, 1), -163840000);
}

// Finding -------------------------------------------------------------------------------------------
static void the_kernels_clients_are_found_and_no_other(void **state)
{
    struct jp_found found[MAX];

    (void)state;
    begin();
    assert_int_equal(driver->probe(&site, found, MAX), 1);
    assert_string_equal(found[0].path, CLIENT);
    assert_int_equal(fake_reads(&fake_chips[0]), 0);
}

static void a_tree_or_a_trace_has_no_bus(void **state)
{
    struct jp_found found[MAX] = {{.path = CLIENT}};
    struct rig rig;

    (void)state;
    begin();
    site.i2c = NULL;
    assert_int_equal(driver->probe(&site, found, MAX), 0);
    found[0] = (struct jp_found){.path = CLIENT};
    assert_int_equal(open_rig(&rig, driver, &found[0]), -ENODEV);
    assert_int_equal(jp_ina3221_i2c_place(&site, "i2c@c240000", 0x40, &found[0]), -ENODEV);
}

static void a_bus_goes_by_its_node_or_else_by_its_name(void **state)
{
    struct jp_found found;

    (void)state;
    begin();
    assert_int_equal(jp_ina3221_i2c_place(&site, "i2c@c240000", 0x41, &found), 0);
    assert_string_equal(found.path, "/sys/bus/i2c/devices/1-0041");
    assert_int_equal(jp_ina3221_i2c_place(&site, "SMBus stub driver", 0x40, &found), 0);
    assert_string_equal(found.path, "/sys/bus/i2c/devices/7-0040");
    assert_int_equal(jp_ina3221_i2c_place(&site, "Tegra", 0x40, &found), -ENOENT); // it has a node
    run("mkdir sys/bus/i2c/devices/i2c-8 && cp sys/bus/i2c/devices/i2c-7/name sys/bus/i2c/devices/i2c-8/");
    assert_int_equal(jp_ina3221_i2c_place(&site, "SMBus stub driver", 0x40, &found), -ENOTUNIQ);
}

static void paths_are_taken_apart_whole(void **state)
{
    int bus, address;

    (void)state;
    assert_true(jp_ina3221_i2c_parse("/sys/bus/i2c/devices/12-0043", &bus, &address));
    assert_int_equal(bus, 12);
    assert_int_equal(address, 0x43);
    assert_false(jp_ina3221_i2c_parse("/sys/bus/i2c/devices/12-0043/hwmon/hwmon1", &bus, &address));
    assert_false(jp_ina3221_i2c_parse("/sys/bus/i2c/devices/i2c-1", &bus, &address));
    assert_false(jp_ina3221_i2c_parse("/sys/bus/i2c/devices/1-0000", &bus, &address));
    assert_false(jp_ina3221_i2c_parse("/dev/i2c-1", &bus, &address));
}

// Reading -------------------------------------------------------------------------------------------
static void the_profiles_shunts_make_the_numbers(void **state)
{
    struct rig rig;

    (void)state;
    begin();
    fake_ina3221(0, 1, 0x40);
    open_with(&rig, 10000, 5000, 10000);
    assert_int_equal(rig.count, 3);
    read_rig(&rig);
    assert_int_equal(rig.readings[0].mv, 4800);
    assert_int_equal(rig.readings[0].ma, 800);
    assert_int_equal(rig.readings[0].value, 3840000);
    assert_int_equal(rig.readings[1].ma, 800);
    assert_int_equal(rig.readings[2].mv, 20000);
    assert_int_equal(rig.readings[2].ma, -100);
    assert_int_equal(rig.readings[2].value, -2000000);
    assert_string_equal(rig.channels[0].name, "");
    assert_string_equal(rig.channels[0].chip, "ina3221");
    assert_int_equal(rig.channels[0].address, 0x40);
    assert_string_equal(rig.channels[0].bus_node, "i2c@c240000");
    assert_int_equal(rig.channels[2].index, 3);
    assert_int_equal(rig.channels[1].shunt_uohm, 5000);
    assert_int_equal(rig.channels[0].resolution_uw, 19200);
    assert_true(rig.channels[0].max_uw > 0);
    close_rig(&rig);
    assert_int_equal(fake_chips[0].opened, 0);
    assert_int_equal(fake_chips[0].writes, 0);
}

static void the_device_tree_names_inputs_and_shunts(void **state)
{
    struct rig rig;

    (void)state;
    begin();
    put_tree();
    fake_ina3221(0, 1, 0x40);
    open_with(&rig, 0, 0, 0);
    assert_int_equal(rig.count, 1); // the others are off, and not connected
    assert_string_equal(rig.channels[0].name, "VDD_IN");
    assert_int_equal(rig.channels[0].shunt_uohm, 10000);
    close_rig(&rig);
    open_with(&rig, 2000, 0, 0); // the profile goes first
    assert_int_equal(rig.channels[0].shunt_uohm, 2000);
    close_rig(&rig);
}

static void an_input_that_the_profile_leaves_out_is_absent(void **state)
{
    struct rig rig;

    (void)state;
    bare();
    fake_ina3221(0, 1, 0x40);
    open_with(&rig, -1, 2000, -1);
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.channels[0].index, 2);
    close_rig(&rig);
}

static void without_a_shunt_there_is_no_power_and_no_zero(void **state)
{
    struct rig rig;

    (void)state;
    bare();
    fake_ina3221(0, 1, 0x40);
    open_with(&rig, 0, 5000, 0);
    assert_int_equal(rig.count, 3);
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    assert_int_equal(rig.readings[0].error, JP_INA3221_NO_SHUNT);
    assert_int_equal(rig.readings[1].state, JP_GOOD);
    close_rig(&rig);
}

static void a_cycle_is_one_burst_of_two_words_a_channel(void **state)
{
    struct fake_chip *chip;
    struct rig rig;

    (void)state;
    bare();
    chip = fake_ina3221(0, 1, 0x40);
    open_with(&rig, 10000, 10000, 10000);
    read_at(&rig, 0);
    memset(chip->reads, 0, sizeof chip->reads);
    for (int i = 1; i <= 4; i++)
        read_at(&rig, i * 200000000LL);
    for (int reg = 1; reg <= 6; reg++)
        assert_int_equal(chip->reads[reg], 4);
    assert_int_equal(fake_reads(chip), 24);
    read_at(&rig, 1000000000); // once a second it is asked how it is set
    assert_int_equal(chip->reads[0], 1);
    assert_int_equal(fake_reads(chip), 31);
    assert_int_equal(chip->reads[0x0f], 0);
    close_rig(&rig);
}

static void what_is_not_wanted_is_not_read(void **state)
{
    struct fake_chip *chip;
    struct rig rig;
    struct jp_pass pass = {.readings = rig.readings};

    (void)state;
    bare();
    chip = fake_ina3221(0, 1, 0x40);
    open_with(&rig, 10000, 10000, 10000);
    memset(chip->reads, 0, sizeof chip->reads);
    for (int i = 0; i < 3; i++)
        rig.readings[i].state = JP_SKIPPED;
    driver->read(rig.state, &pass);
    assert_int_equal(fake_reads(chip), 0);
    rig.readings[1].state = JP_WANTED;
    driver->read(rig.state, &pass);
    assert_int_equal(rig.readings[1].state, JP_GOOD);
    assert_int_equal(chip->reads[1] + chip->reads[5], 0);
    close_rig(&rig);
}

static int transfers_left;

static bool late(void *context)
{
    (void)context;
    return --transfers_left == 0;
}

// Late after so many transfers: the look, then two a channel. How many channels are good, how many missing, then the
// rest is left.
static void a_slow_bus_is_told_and_leaves_the_rest_wanted(void **state)
{
    static const struct {
        int transfers, good, missing;
    } cases[] = {{1, 0, 3}, {2, 0, 1}, {3, 1, 0}, {4, 1, 1}, {5, 2, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake_chip *chip;
        struct rig rig;
        struct jp_pass pass = {.readings = rig.readings, .late = late};

        bare();
        chip = fake_ina3221(0, 1, 0x40);
        open_with(&rig, 10000, 10000, 10000);
        memset(chip->reads, 0, sizeof chip->reads);
        transfers_left = cases[i].transfers;
        driver->read(rig.state, &pass);
        for (int k = 0; k < 3; k++) {
            bool good = k < cases[i].good, missing = !good && k < cases[i].good + cases[i].missing;

            assert_int_equal(rig.readings[k].state, good ? JP_GOOD : missing ? JP_MISSING : JP_WANTED);
            assert_int_equal(rig.readings[k].error, missing ? ETIMEDOUT : 0);
        }
        assert_int_equal(fake_reads(chip), cases[i].transfers);
        close_rig(&rig);
    }
}

// Bad chips -------------------------------------------------------------------------------------------
static void another_chip_is_refused(void **state)
{
    struct jp_found found = {.path = CLIENT};
    struct jp_ina3221_look look;
    struct rig rig;

    (void)state;
    bare();
    fake_ina3221(0, 1, 0x40);
    fake_set(&fake_chips[0], 0xfe, 0x4954);
    assert_int_equal(open_rig(&rig, driver, &found), -JP_INA3221_OTHER_CHIP);
    fake_set(&fake_chips[0], 0xfe, 0x5449);
    fake_set(&fake_chips[0], 0xff, 0x2260);
    assert_int_equal(open_rig(&rig, driver, &found), -JP_INA3221_OTHER_CHIP);
    assert_int_equal(jp_ina3221_i2c_look(&site, CLIENT, &look), 0);
    assert_int_equal(look.die, 0x2260);
    assert_int_equal(fake_chips[0].opened, 0);
    fake_chips[0].fails[0xfe] = fake_chips[0].fails[0xff] = EREMOTEIO; // it does not say who it is
    assert_int_equal(open_rig(&rig, driver, &found), 3);
    close_rig(&rig);
}

static void what_stands_in_the_way_is_told(void **state)
{
    struct jp_found found = {.path = CLIENT};
    struct rig rig;

    (void)state;
    bare();
    assert_int_equal(open_rig(&rig, driver, &found), -ENXIO); // nobody there
    fake_ina3221(0, 1, 0x40);
    fake_chips[0].held = true;
    assert_int_equal(open_rig(&rig, driver, &found), -EBUSY);
    assert_int_equal(fake_reads(&fake_chips[0]), 0);
    fake_chips[0].held = false;
    fake_chips[0].open_error = EACCES;
    assert_int_equal(open_rig(&rig, driver, &found), -EACCES);
}

static void a_channel_that_is_off_is_absent_or_missing(void **state)
{
    struct rig rig;

    (void)state;
    bare();
    fake_ina3221(0, 1, 0x40);
    fake_set(&fake_chips[0], 0, 0x6127);
    open_with(&rig, 10000, 10000, 10000);
    assert_int_equal(rig.count, 2);
    fake_set(&fake_chips[0], 0, 0x4127); // switched off meanwhile
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    assert_int_equal(rig.readings[1].state, JP_MISSING);
    assert_int_equal(rig.readings[1].error, ENODATA);
    close_rig(&rig);
}

static void a_chip_that_does_not_convert_says_nothing(void **state)
{
    static const int modes[] = {0, 3, 4, 5, 6};
    struct rig rig;

    (void)state;
    bare();
    fake_ina3221(0, 1, 0x40);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        fake_set(&fake_chips[0], 0, 0x7120 | modes[i]);
        open_with(&rig, 10000, 10000, 10000);
        assert_int_equal(rig.count, 3);
        read_rig(&rig);
        assert_int_equal(rig.readings[2].state, JP_MISSING);
        assert_int_equal(rig.readings[2].error, JP_INA3221_POWERED_DOWN);
        fake_set(&fake_chips[0], 0, 0x7127); // and at once again when it does
        read_rig(&rig);
        assert_int_equal(rig.readings[2].state, JP_GOOD);
        close_rig(&rig);
    }
}

static void a_chip_that_a_kernel_driver_takes_is_left_alone(void **state)
{
    struct rig rig;

    (void)state;
    bare();
    fake_ina3221(0, 1, 0x40);
    open_with(&rig, 10000, 10000, 10000);
    read_at(&rig, 0);
    fake_chips[0].held = true;
    memset(fake_chips[0].reads, 0, sizeof fake_chips[0].reads);
    read_at(&rig, 1000000000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig.readings[i].state, JP_MISSING);
        assert_int_equal(rig.readings[i].error, EBUSY);
    }
    assert_int_equal(fake_reads(&fake_chips[0]), 0);
    close_rig(&rig);
}

static void one_bad_register_costs_one_channel(void **state)
{
    struct rig rig;

    (void)state;
    bare();
    fake_ina3221(0, 1, 0x40);
    open_with(&rig, 10000, 10000, 10000);
    fake_chips[0].fails[3] = EREMOTEIO;
    fake_chips[0].fails[6] = ETIMEDOUT;
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    assert_int_equal(rig.readings[1].error, EREMOTEIO);
    assert_int_equal(rig.readings[2].error, ETIMEDOUT);
    fake_chips[0].fails[0] = ENXIO; // the whole chip
    read_at(&rig, 1000000000);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    assert_int_equal(rig.readings[0].error, ENXIO);
    fake_chips[0].fails[0] = 0;
    read_at(&rig, 1000000001);
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_averaging_and_time_is_decoded),
        cmocka_unit_test(modes_and_channels_are_decoded),
        cmocka_unit_test(the_least_averaging_that_covers_the_period),
        cmocka_unit_test(registers_are_signed_and_rounded_as_the_kernel_does),
        cmocka_unit_test(paths_are_taken_apart_whole),
        ON_A_TREE(the_kernels_clients_are_found_and_no_other),
        ON_A_TREE(a_tree_or_a_trace_has_no_bus),
        ON_A_TREE(a_bus_goes_by_its_node_or_else_by_its_name),
        ON_A_TREE(the_profiles_shunts_make_the_numbers),
        ON_A_TREE(the_device_tree_names_inputs_and_shunts),
        cmocka_unit_test(an_input_that_the_profile_leaves_out_is_absent),
        cmocka_unit_test(without_a_shunt_there_is_no_power_and_no_zero),
        cmocka_unit_test(a_cycle_is_one_burst_of_two_words_a_channel),
        cmocka_unit_test(what_is_not_wanted_is_not_read),
        cmocka_unit_test(a_slow_bus_is_told_and_leaves_the_rest_wanted),
        cmocka_unit_test(another_chip_is_refused),
        cmocka_unit_test(what_stands_in_the_way_is_told),
        cmocka_unit_test(a_channel_that_is_off_is_absent_or_missing),
        cmocka_unit_test(a_chip_that_does_not_convert_says_nothing),
        cmocka_unit_test(a_chip_that_a_kernel_driver_takes_is_left_alone),
        cmocka_unit_test(one_bad_register_costs_one_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
