// SPDX-License-Identifier: Apache-2.0
// Over-current alarms of the INA3221, on a chip that clears its flags whenever its status is read.
#define _GNU_SOURCE
#include "driver_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#define CHIP "/sys/bus/i2c/devices/3-0042/hwmon/hwmon0/"
#define PASSES 12 // each of six files is read first twice

static const struct jp_driver *const driver = &jp_driver_ina3221_hwmon;

// The chip, as TI's data sheet has its mask/enable register: a conversion sets a flag, any read of it clears all, and
// the kernel reads it for each alarm, voltage and current.
static bool lives;      // the model answers the alarm files
static bool over[3][2]; // the current is above this limit, [rail][critical]
static bool flags[3][2];
static char order[512]; // the files read, in their order
static const char *failing;

static void convert(void)
{
    for (int rail = 0; rail < 3; rail++)
        for (int level = 0; level < 2; level++)
            flags[rail][level] |= over[rail][level];
}

static ssize_t answer(const char *file, char *buffer)
{
    int rail = file[4] - '1', level = strstr(file, "_crit_") != NULL;
    bool set = flags[rail][level];

    memset(flags, 0, sizeof flags);
    return sprintf(buffer, "%d\n", set);
}

// Stands before libc's.
ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    char name[64], path[PATH_MAX];
    ssize_t length;
    const char *file;

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    length = readlink(name, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    snprintf(order + strlen(order), sizeof order - strlen(order), "%.40s ", file);
    if (failing && strcmp(file, failing) == 0) {
        errno = EIO;
        return -1;
    }
    if (lives && strstr(file, "_alarm"))
        return answer(file, buffer);
    if (lives)
        memset(flags, 0, sizeof flags);
    if (lseek(fd, offset, SEEK_SET) < 0)
        return -1;
    return read(fd, buffer, size);
}

static int set_up(void **state)
{
    (void)state;
    lives = false;
    memset(over, 0, sizeof over);
    memset(flags, 0, sizeof flags);
    failing = NULL;
    tree("alarms");
    return 0;
}

static void a_rail_has_one_gauge_of_its_place(void **state)
{
    static const char *const names[] = {"MAIN_alarm", "ina3221-42.2_alarm", "A_NAME_OF_THIRTY_TWO_CHARA_alarm"};
    struct rig rig;

    (void)state;
    assert_int_equal(open_nth(&rig, driver, 0), 6);
    for (int i = 0; i < 3; i++) {
        const struct jp_channel *rail = &rig.channels[i], *alarm = &rig.channels[3 + i];

        assert_int_equal(rail->kind, JP_POWER);
        assert_string_equal(rail->event, "");
        assert_int_equal(alarm->kind, JP_GAUGE);
        assert_string_equal(alarm->event, "over_current");
        assert_string_equal(alarm->unit, "");
        assert_string_equal(alarm->name, names[i]);
        assert_string_equal(alarm->part_of, rail->name);
        assert_string_equal(alarm->chip, rail->chip);
        assert_string_equal(alarm->bus_node, rail->bus_node);
        assert_int_equal(alarm->address, rail->address);
        assert_int_equal(alarm->index, rail->index);
    }
    close_rig(&rig);
}

static void a_kernel_without_a_file_has_no_gauge_or_half_of_one(void **state)
{
    struct jp_found found[MAX];
    struct rig rig;

    (void)state;
    drop(CHIP "curr1_max_alarm");
    drop(CHIP "curr2_max_alarm");
    drop(CHIP "curr2_crit_alarm");
    put(CHIP "in3_enable", "0\n");
    assert_int_equal(open_nth(&rig, driver, 0), 3);
    assert_string_equal(rig.channels[2].name, "MAIN_alarm");
    put(CHIP "curr1_crit_alarm", "1\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[2].value, 2000);
    close_rig(&rig);
    // No room for gauges: the rails go first.
    assert_int_equal(driver->probe(&site, found, MAX), 1);
    memset(&rig, 0, sizeof rig);
    assert_int_equal(driver->open(rig.state, &site, &found[0], rig.channels, 2), 2);
    assert_int_equal(rig.channels[1].kind, JP_POWER);
    driver->close(rig.state);
}

static void the_levels_are_none_warning_and_critical(void **state)
{
    static const struct {
        const char *max, *crit;
        int64_t value;
    } cases[] = {{"0\n", "0\n", 0}, {"1\n", "0\n", 1000}, {"1\n", "1\n", 2000}, {"0\n", "1\n", 2000}};
    struct rig rig;

    (void)state;
    assert_int_equal(open_nth(&rig, driver, 0), 6);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put(CHIP "curr2_max_alarm", cases[i].max);
        put(CHIP "curr2_crit_alarm", cases[i].crit);
        for (int pass = 0; pass < PASSES; pass++)
            read_rig(&rig);
        assert_int_equal(rig.readings[4].state, JP_GOOD);
        assert_int_equal(rig.readings[4].value, cases[i].value);
        assert_int_equal(rig.readings[3].value, 0);
        assert_int_equal(rig.readings[1].value, 500000);
    }
    close_rig(&rig);
}

static void a_bad_alarm_is_missing_and_stops_no_other(void **state)
{
    static const char *const texts[] = {"", "abc\n", "2\n", "-1\n"};
    struct rig rig;

    (void)state;
    assert_int_equal(open_nth(&rig, driver, 0), 6);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put(CHIP "curr1_max_alarm", texts[i]);
        read_rig(&rig);
        assert_int_equal(rig.readings[3].state, JP_MISSING);
        assert_int_not_equal(rig.readings[3].error, 0);
        assert_int_equal(rig.readings[4].state, JP_GOOD);
        assert_int_equal(rig.readings[0].state, JP_GOOD);
    }
    put(CHIP "curr1_max_alarm", "0\n");
    failing = "curr1_crit_alarm";
    read_rig(&rig);
    assert_int_equal(rig.readings[3].error, EIO);
    assert_int_equal(rig.readings[0].value, 6000000);
    close_rig(&rig);
}

static void read_after(struct rig *rig, int passes)
{
    for (int i = 0; i < passes; i++) {
        convert();
        read_rig(rig);
    }
}

// However the reads of the meter itself clear the flags, an alarm that lasts is seen, stays, and ends.
static void an_alarm_that_lasts_is_seen_once_and_held_to_its_end(void **state)
{
    struct rig rig;

    (void)state;
    lives = true;
    assert_int_equal(open_nth(&rig, driver, 0), 6);
    for (int rail = 0; rail < 3; rail++)
        for (int level = 0; level < 2; level++) {
            over[rail][level] = true;
            read_after(&rig, 6);
            for (int pass = 0; pass < PASSES; pass++) {
                read_after(&rig, 1);
                for (int other = 0; other < 3; other++)
                    assert_int_equal(rig.readings[3 + other].value, other == rail ? 1000 * (level + 1) : 0);
            }
            over[rail][level] = false;
            read_after(&rig, 6);
            assert_int_equal(rig.readings[3 + rail].value, 0);
        }
    close_rig(&rig);
}

static void alarms_cost_nothing_where_they_are_not_wanted_and_come_first_where_they_are(void **state)
{
    struct rig rig;
    struct jp_pass pass = {.readings = rig.readings};

    (void)state;
    assert_int_equal(open_nth(&rig, driver, 0), 6);
    for (int i = 3; i < 6; i++)
        rig.readings[i].state = JP_SKIPPED;
    order[0] = '\0';
    driver->read(rig.state, &pass);
    assert_string_equal(order, "in1_input curr1_input in2_input curr2_input in3_input curr3_input ");
    assert_int_equal(rig.readings[3].state, JP_SKIPPED);
    order[0] = '\0';
    read_rig(&rig);
    assert_string_equal(order, "curr1_max_alarm curr1_crit_alarm curr2_max_alarm curr2_crit_alarm curr3_max_alarm "
                               "curr3_crit_alarm in1_input curr1_input in2_input curr2_input in3_input curr3_input ");
    order[0] = '\0';
    read_rig(&rig);
    assert_memory_equal(order, "curr1_crit_alarm curr1_max_alarm ", 33);
    order[0] = '\0';
    read_rig(&rig);
    assert_memory_equal(order, "curr2_max_alarm curr2_crit_alarm curr3_max_alarm ", 49);
    close_rig(&rig);
}

static bool late_after_some(void *context)
{
    return --*(int *)context <= 0;
}

static void after_a_slow_alarm_the_rest_stays_wanted(void **state)
{
    struct rig rig;
    int calls;
    struct jp_pass pass = {.readings = rig.readings, .late = late_after_some, .context = &calls};

    (void)state;
    assert_int_equal(open_nth(&rig, driver, 0), 6);
    calls = 4;
    driver->read(rig.state, &pass);
    assert_int_equal(calls, 0);
    assert_int_equal(rig.readings[3].state, JP_GOOD);
    assert_int_equal(rig.readings[4].state, JP_GOOD);
    assert_int_equal(rig.readings[5].state, JP_WANTED);
    assert_int_equal(rig.readings[0].state, JP_WANTED);
    calls = 1; // between the files of one alarm
    order[0] = '\0';
    memset(rig.readings, 0, sizeof rig.readings);
    driver->read(rig.state, &pass);
    assert_string_equal(order, "curr1_crit_alarm ");
    assert_int_equal(rig.readings[3].state, JP_WANTED);
    close_rig(&rig);
}

static int open_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 64; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void descriptors_are_opened_once_and_all_closed(void **state)
{
    struct rig rig;
    int before = open_descriptors();

    (void)state;
    assert_int_equal(open_nth(&rig, driver, 0), 6);
    assert_int_equal(open_descriptors(), before + 12);
    read_rig(&rig);
    assert_int_equal(open_descriptors(), before + 12);
    close_rig(&rig);
    assert_int_equal(open_descriptors(), before);
}

#define ON_A_CHIP(test) cmocka_unit_test_setup_teardown(test, set_up, drop_tree)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_CHIP(a_rail_has_one_gauge_of_its_place),
        ON_A_CHIP(a_kernel_without_a_file_has_no_gauge_or_half_of_one),
        ON_A_CHIP(the_levels_are_none_warning_and_critical),
        ON_A_CHIP(a_bad_alarm_is_missing_and_stops_no_other),
        ON_A_CHIP(an_alarm_that_lasts_is_seen_once_and_held_to_its_end),
        ON_A_CHIP(alarms_cost_nothing_where_they_are_not_wanted_and_come_first_where_they_are),
        ON_A_CHIP(after_a_slow_alarm_the_rest_stays_wanted),
        ON_A_CHIP(descriptors_are_opened_once_and_all_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
