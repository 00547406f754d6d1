// SPDX-License-Identifier: Apache-2.0
// sampling.hw_average: what is set, what is left alone, and that it is put back after every kind of end.
#define _GNU_SOURCE
#include "averaging.h"

#include "drivers.h"
#include "fake_i2c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define AVERAGING(config) ((config) >> 9 & 7)
#define HWMON "/sys/bus/i2c/devices/2-0041/hwmon/hwmon2"

static char root[64];
static struct jp_site site = {.root = root, .i2c = &fake_i2c};
static struct jp_config config;
static struct jp_plan plan;
static struct jp_averaging averaging;
static int64_t now_ns, step_ns;

static int64_t stepping(const struct jp_clock *self)
{
    (void)self;
    return now_ns += step_ns;
}

static const struct jp_clock clock_door = {.mono_ns = stepping};

static void put(const char *path, const char *text)
{
    char full[256];
    FILE *file;

    snprintf(full, sizeof full, "%s%s", root, path);
    file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

// Its text without the line end; "" when it is not there.
static const char *get(const char *path)
{
    static char text[256];
    char full[256];
    FILE *file;

    snprintf(full, sizeof full, "%s%s", root, path);
    file = fopen(full, "r");
    text[file ? fread(text, 1, sizeof text - 1, file) : 0] = '\0';
    if (file)
        fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static void add_source(const struct jp_driver *driver, const char *path)
{
    struct jp_source *source = &plan.sources[plan.source_count++];

    source->driver = driver;
    snprintf(source->found.path, sizeof source->found.path, "%s", path);
}

static int set_up(void **state)
{
    (void)state;
    memset(&config, 0, sizeof config);
    memset(&plan, 0, sizeof plan);
    memset(fake_chips, 0, sizeof fake_chips);
    strcpy(root, "/tmp/jp-averaging-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(config.paths_hot, sizeof config.paths_hot, "%s", root);
    config.sampling.interval_ms = 200;
    config.sampling.hw_average = true;
    now_ns = 0;
    step_ns = 1;
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void use_direct(void)
{
    fake_ina3221(0, 1, 0x40);
    add_source(&jp_driver_ina3221_i2c, "/sys/bus/i2c/devices/1-0040");
}

static void use_hwmon(void)
{
    char command[256];

    snprintf(command, sizeof command, "mkdir -p '%s" HWMON "'", root);
    assert_int_equal(system(command), 0);
    put(HWMON "/samples", "1024\n");
    put(HWMON "/update_interval", "7\n");
    put(HWMON "/in2_input", "5000\n");
    add_source(&jp_driver_ina3221_hwmon, HWMON);
}

static void begin(void)
{
    averaging = (struct jp_averaging){.clock = &clock_door, .fs = &jp_fs_real, .config = &config};
    jp_averaging_open(&averaging, &site, &plan);
    jp_averaging_begin(&averaging);
}

// What SIGKILL leaves: descriptors go, nothing is put back.
static void die(void)
{
    for (int i = 0; i < averaging.count; i++)
        jp_ina3221_averaging_close(&averaging.chips[i].chip);
}

static void a_chip_covers_the_period_and_is_put_back(void **state)
{
    (void)state;
    use_direct();
    fake_set(&fake_chips[0], 0, 0x7327);
    begin();
    assert_int_equal(fake_get(&fake_chips[0], 0), 0x7727); // 64 times 6.6 ms, and nothing else is changed
    assert_string_equal(get("/averaging"), "1-0040 4 64");
    assert_int_equal(fake_chips[0].writes, 2); // to 1 first: some kernels tell the time of all that make a mean
    jp_averaging_end(&averaging);
    assert_int_equal(fake_get(&fake_chips[0], 0), 0x7327);
    assert_string_equal(get("/averaging"), "");
    assert_int_equal(fake_chips[0].opened, 0);
}

static void the_kernels_samples_are_set_and_put_back(void **state)
{
    (void)state;
    use_hwmon();
    begin();
    assert_string_equal(get(HWMON "/samples"), "64");
    assert_string_equal(get("/averaging"), "2-0041 1024 64");
    jp_averaging_end(&averaging);
    assert_string_equal(get(HWMON "/samples"), "1024");
}

static void where_reads_wait_nothing_is_changed(void **state)
{
    (void)state;
    use_hwmon();
    use_direct(); // whose reads never do
    step_ns = 7 * 7000000 / 2;
    begin();
    assert_string_equal(get(HWMON "/samples"), "1024");
    assert_int_equal(AVERAGING(fake_get(&fake_chips[0], 0)), 3);
    assert_string_equal(get("/averaging"), "1-0040 1 64");
    jp_averaging_end(&averaging);
    step_ns--;
    begin();
    assert_string_equal(get(HWMON "/samples"), "64");
    jp_averaging_end(&averaging);
}

static void a_run_after_one_that_was_killed_puts_back(void **state)
{
    (void)state;
    use_direct();
    begin();
    die();
    config.sampling.hw_average = false;
    begin();
    assert_int_equal(fake_get(&fake_chips[0], 0), 0x7127);
    assert_string_equal(get("/averaging"), "");
    jp_averaging_end(&averaging);
    assert_int_equal(fake_chips[0].opened, 0);
}

static void a_killed_run_does_not_make_its_own_value_the_old_one(void **state)
{
    (void)state;
    use_direct();
    begin();
    die();
    config.sampling.interval_ms = 1000;
    begin();
    assert_string_equal(get("/averaging"), "1-0040 1 256");
    jp_averaging_end(&averaging);
    assert_int_equal(fake_get(&fake_chips[0], 0), 0x7127);
}

static void killed_while_changing_puts_back_whatever_is_there(void **state)
{
    (void)state;
    use_direct();
    put("/averaging", "1-0040 16 0\n");
    config.sampling.hw_average = false;
    begin();
    assert_int_equal(AVERAGING(fake_get(&fake_chips[0], 0)), 2);
    jp_averaging_end(&averaging);
}

static void what_somebody_else_has_set_stays(void **state)
{
    (void)state;
    use_direct();
    begin();
    fake_set(&fake_chips[0], 0, 0x7d27);
    jp_averaging_end(&averaging);
    assert_int_equal(fake_get(&fake_chips[0], 0), 0x7d27);
    assert_string_equal(get("/averaging"), "");
}

static void a_chip_that_fails_at_the_end_is_put_back_by_the_next_run(void **state)
{
    (void)state;
    use_direct();
    begin();
    fake_chips[0].fails[0] = EREMOTEIO;
    jp_averaging_end(&averaging);
    assert_string_equal(get("/averaging"), "1-0040 1 64");
    begin(); // nor is the old value forgotten while it still fails
    assert_string_equal(get("/averaging"), "1-0040 1 64");
    jp_averaging_end(&averaging);
    fake_chips[0].fails[0] = 0;
    begin();
    jp_averaging_end(&averaging);
    assert_int_equal(fake_get(&fake_chips[0], 0), 0x7127);
}

static void what_cannot_be_put_back_is_not_taken_for_the_old_value(void **state)
{
    (void)state;
    use_direct();
    begin();
    die();
    fake_chips[0].write_error = EIO;
    begin();
    assert_string_equal(get("/averaging"), "1-0040 1 64");
    jp_averaging_end(&averaging);
    assert_string_equal(get("/averaging"), "1-0040 1 64");
    assert_int_equal(fake_chips[0].opened, 0);
}

static void a_chip_that_a_kernel_driver_has_taken_is_left_alone(void **state)
{
    (void)state;
    use_direct();
    begin();
    fake_chips[0].held = true;
    fake_chips[0].writes = 0;
    jp_averaging_end(&averaging);
    assert_int_equal(fake_chips[0].writes, 0);
    assert_string_equal(get("/averaging"), "");
}

static void nothing_is_changed_that_cannot_be_saved(void **state)
{
    (void)state;
    use_direct();
    snprintf(config.paths_hot, sizeof config.paths_hot, "%.60s/missing", root);
    begin();
    assert_int_equal(fake_chips[0].writes, 0);
    jp_averaging_end(&averaging);
    assert_int_equal(fake_chips[0].opened, 0);
}

static void a_chip_that_may_not_be_changed_leaves_the_others(void **state)
{
    (void)state;
    add_source(&jp_driver_ina3221_hwmon, "/sys/bus/i2c/devices/3-0041/hwmon/hwmon9"); // no such file
    use_direct();
    begin();
    assert_int_equal(AVERAGING(fake_get(&fake_chips[0], 0)), 3);
    jp_averaging_end(&averaging);
    assert_int_equal(fake_get(&fake_chips[0], 0), 0x7127);
}

static void nothing_is_written_unless_it_is_asked_for(void **state)
{
    (void)state;
    use_direct();
    use_hwmon();
    config.sampling.hw_average = false;
    begin();
    jp_averaging_end(&averaging);
    assert_int_equal(fake_chips[0].writes + fake_reads(&fake_chips[0]), 0);
    assert_string_equal(get(HWMON "/samples"), "1024");
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(a_chip_covers_the_period_and_is_put_back),
        WITH_ROOT(the_kernels_samples_are_set_and_put_back),
        WITH_ROOT(where_reads_wait_nothing_is_changed),
        WITH_ROOT(a_run_after_one_that_was_killed_puts_back),
        WITH_ROOT(a_killed_run_does_not_make_its_own_value_the_old_one),
        WITH_ROOT(killed_while_changing_puts_back_whatever_is_there),
        WITH_ROOT(what_somebody_else_has_set_stays),
        WITH_ROOT(a_chip_that_fails_at_the_end_is_put_back_by_the_next_run),
        WITH_ROOT(what_cannot_be_put_back_is_not_taken_for_the_old_value),
        WITH_ROOT(a_chip_that_a_kernel_driver_has_taken_is_left_alone),
        WITH_ROOT(nothing_is_changed_that_cannot_be_saved),
        WITH_ROOT(a_chip_that_may_not_be_changed_leaves_the_others),
        WITH_ROOT(nothing_is_written_unless_it_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
