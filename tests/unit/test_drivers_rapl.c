// SPDX-License-Identifier: Apache-2.0
// RAPL zones: names that never collide, what contains what, and who may read.
#define _GNU_SOURCE
#include "driver_rig.h"
#include "rapl_zones.h"

#include <errno.h>
#include <limits.h>

#define TOP "/sys/devices/virtual/powercap/"

static int64_t moved_uj; // how far all counters went on since their files were written
static int64_t step_uj;  // by each third read
static int64_t round_uj; // after which comes 0, where it is set

// The kernel's counters move by themselves, and a descriptor outlives its zone as a dead one; files do neither.
ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    static int reads;
    char name[64], path[PATH_MAX];
    ssize_t length;

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    length = readlink(name, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    if (strstr(path, " (deleted)")) {
        errno = ENODEV;
        return -1;
    }
    if (lseek(fd, offset, SEEK_SET) < 0)
        return -1;
    length = read(fd, buffer, size);
    if (length <= 0 || step_uj == 0)
        return length;
    moved_uj += ++reads % 3 ? 0 : step_uj;
    return snprintf(buffer, size, "%lld\n", (atoll(buffer) + (long long)moved_uj) % (round_uj ? round_uj : INT64_MAX));
}

static int stand_still(void **state)
{
    step_uj = moved_uj = round_uj = 0;
    return drop_tree(state);
}

static void folder(const char *path)
{
    char command[640], full[512];

    assert_int_equal(jp_site_path(&site, path, full, sizeof full), 0);
    snprintf(command, sizeof command, "mkdir -p '%s'", full);
    assert_int_equal(system(command), 0);
}

static void zone(const char *dir, const char *name, const char *energy)
{
    char path[256];

    folder(dir);
    snprintf(path, sizeof path, "%s/name", dir);
    put(path, name);
    snprintf(path, sizeof path, "%s/energy_uj", dir);
    put(path, energy);
}

static void check_zones(const char *const expected[][3], int count)
{
    struct jp_rapl_zone zones[JP_RAPL_ZONES_MAX];

    assert_int_equal(jp_rapl_zones(&site, zones, JP_RAPL_ZONES_MAX), count);
    for (int i = 0; i < count; i++) {
        assert_string_equal(zones[i].id, expected[i][0]);
        assert_string_equal(zones[i].name, expected[i][1]);
        assert_string_equal(zones[i].part_of, expected[i][2]);
    }
}

static void dies_keep_their_names_and_second_ones_never_collide(void **state)
{
    static const char *const expected[][3] = {
        {"intel-rapl:0", "package-0-die-0", ""},
        {"intel-rapl:1", "package-0-die-1", ""},
        {"intel-rapl:2", "psys", ""},
        {"intel-rapl:3", "psys.3", ""},
        {"intel-rapl:4", "dram-4", ""},
        {"intel-rapl:5", "psys.5", ""},
        {"intel-rapl:0:0", "core-0-die-0", "package-0-die-0"},
        {"intel-rapl:0:1", "dram-0-die-0", ""},
        {"intel-rapl:1:0", "core-0-die-1", "package-0-die-1"},
    };

    (void)state;
    tree("empty");
    zone(TOP "intel-rapl/intel-rapl:0", "package-0-die-0\n", "1\n");
    zone(TOP "intel-rapl/intel-rapl:0/intel-rapl:0:0", "core\n", "1\n");
    zone(TOP "intel-rapl/intel-rapl:0/intel-rapl:0:1", "dram\n", "1\n");
    zone(TOP "intel-rapl/intel-rapl:1", "package-0-die-1\n", "1\n");
    zone(TOP "intel-rapl/intel-rapl:1/intel-rapl:1:0", "core\n", "1\n");
    zone(TOP "intel-rapl/intel-rapl:2", "psys\n", "1\n");
    zone(TOP "intel-rapl/intel-rapl:3", "psys\n", "1\n");
    zone(TOP "intel-rapl/intel-rapl:4", "dram\n", "1\n");
    zone(TOP "intel-rapl/intel-rapl:5", "psys\n", "1\n");
    check_zones(expected, 9);
}

static void an_mmio_zone_without_a_twin_is_kept(void **state)
{
    static const char *const expected[][3] = {
        {"intel-rapl:0", "package-0", ""},
        {"intel-rapl-mmio:1", "package-1", ""},
    };

    (void)state;
    tree("empty");
    zone("/sys/class/powercap/intel-rapl:0", "package-0\n", "1\n");
    zone("/sys/class/powercap/intel-rapl-mmio:0", "package-0\n", "1\n");
    zone("/sys/class/powercap/intel-rapl-mmio:1", "package-1\n", "1\n");
    zone("/sys/class/powercap/dtpm:0", "package-9\n", "1\n");
    check_zones(expected, 2);
}

static void a_part_is_named_after_its_packages_number_not_its_own(void **state)
{
    static const char *const expected[][3] = {
        {"intel-rapl:0", "package-1", ""},
        {"intel-rapl:1", "package-0", ""},
        {"intel-rapl:0:0", "core-1", "package-1"},
        {"intel-rapl:1:0", "core-0", "package-0"},
    };

    (void)state;
    tree("empty");
    zone("/sys/class/powercap/intel-rapl:0", "package-1\n", "1\n");
    zone("/sys/class/powercap/intel-rapl:0:0", "core\n", "1\n");
    zone("/sys/class/powercap/intel-rapl:1", "package-0\n", "1\n");
    zone("/sys/class/powercap/intel-rapl:1:0", "core\n", "1\n");
    check_zones(expected, 4);
}

static void a_zone_without_a_counter_is_left_out(void **state)
{
    struct rig rig;

    (void)state;
    tree("x86-virtual");
    drop(TOP "intel-rapl/intel-rapl:0/intel-rapl:0:0/energy_uj");
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 8);
    close_rig(&rig);
}

static void close_to_others(const char *path)
{
    char full[512];

    assert_int_equal(jp_site_path(&site, path, full, sizeof full), 0);
    assert_int_equal(chmod(full, 0), 0);
}

// As a user who may not read: root reads every file.
static void counters_for_root_alone_are_told_as_such(void **state)
{
    bool is_root = geteuid() == 0;
    struct rig rig;

    (void)state;
    tree("empty");
    zone("/sys/class/powercap/intel-rapl:0", "package-0\n", "1\n");
    zone("/sys/class/powercap/intel-rapl:1", "package-1\n", "77\n");
    assert_int_equal(chmod(root, 0755), 0);
    close_to_others("/sys/class/powercap/intel-rapl:0/energy_uj");
    assert_int_equal(is_root ? seteuid(65534) : 0, 0);
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 2);
    read_rig(&rig);
    close_rig(&rig);
    assert_int_equal(is_root ? seteuid(0) : 0, 0);
    assert_string_equal(rig.channels[0].name, "package-0");
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    assert_int_equal(rig.readings[0].error, EACCES);
    assert_int_equal(rig.readings[1].value, 77);

    close_to_others("/sys/class/powercap/intel-rapl:1/energy_uj");
    assert_int_equal(is_root ? seteuid(65534) : 0, 0);
    open_nth(&rig, &jp_driver_rapl_powercap, 0);
    assert_int_equal(is_root ? seteuid(0) : 0, 0);
    assert_int_equal(rig.count, -EACCES);
}

static void two_packages(const char *first, const char *second)
{
    tree("empty");
    zone(TOP "intel-rapl/intel-rapl:0", "package-0\n", first);
    zone(TOP "intel-rapl/intel-rapl:0/intel-rapl:0:0", "core\n", "11\n");
    zone(TOP "intel-rapl/intel-rapl:0/intel-rapl:0:1", "dram\n", "2000\n");
    zone(TOP "intel-rapl/intel-rapl:1", "package-1\n", second);
    zone(TOP "intel-rapl/intel-rapl:1/intel-rapl:1:0", "core\n", "12\n");
    zone(TOP "intel-rapl/intel-rapl:1/intel-rapl:1:1", "dram\n", second);
}

static void a_counter_that_two_packages_tell_counts_once(void **state)
{
    struct rig rig;

    round_uj = *state ? 7003 : 0; // it goes round meanwhile
    two_packages("7000\n", "7000\n");
    step_uj = 5;
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 5);
    assert_string_equal(rig.channels[0].name, "package-0");
    assert_string_equal(rig.channels[0].repeated_by, "package-1");
    assert_string_equal(rig.channels[3].name, "core-1");
    assert_string_equal(rig.channels[3].part_of, "package-0");
    assert_string_equal(rig.channels[3].repeated_by, "");
    assert_string_equal(rig.channels[4].name, "dram-1"); // it has the package's value, and is of another kind
    read_rig(&rig);
    for (int i = 0; i < rig.count; i++)
        assert_int_equal(rig.readings[i].state, JP_GOOD);
    close_rig(&rig);
}

static void check_two(const char *first, const char *second)
{
    struct rig rig;

    two_packages(first, second);
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 6);
    assert_string_equal(rig.channels[0].repeated_by, "");
    assert_string_equal(rig.channels[1].part_of, "");
    close_rig(&rig);
    drop_tree(NULL);
}

static void what_is_not_proved_to_be_one_counter_is_two(void **state)
{
    (void)state;
    check_two("7000\n", "7000\n"); // equal, and nothing moves
    step_uj = 5;
    check_two("7000\n", "7006\n"); // as near as can be, and ahead
    moved_uj = 0;
    check_two("7006\n", "7000\n");
    moved_uj = step_uj = 0;
    check_two("0\n", "0\n"); // a machine without counters
}

static void check_reading(struct rig *rig, int i, enum jp_reading_state state, int error)
{
    read_rig(rig);
    assert_int_equal(rig->readings[i].state, state);
    assert_int_equal(rig->readings[i].error, error);
    assert_int_equal(rig->readings[0].state, JP_GOOD);
}

static void a_zone_that_comes_back_is_read_again(void **state)
{
    static const char first[] = TOP "intel-rapl/intel-rapl:1/name",
                      part[] = TOP "intel-rapl/intel-rapl:1/intel-rapl:1:0/name",
                      counter[] = TOP "intel-rapl/intel-rapl:1/intel-rapl:1:0/energy_uj";
    struct rig rig;

    (void)state;
    two_packages("1\n", "2\n");
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 6);
    check_reading(&rig, 4, JP_GOOD, 0);
    drop(counter);
    drop(part);
    check_reading(&rig, 4, JP_MISSING, ENODEV);
    check_reading(&rig, 4, JP_MISSING, ENODEV);
    put(part, "core\n");
    check_reading(&rig, 4, JP_MISSING, ENODEV); // its counter comes after it
    put(counter, "77\n");
    check_reading(&rig, 4, JP_GOOD, 0);
    assert_int_equal(rig.readings[4].value, 77);

    drop(counter); // now others come back in its place
    put(part, "uncore\n");
    check_reading(&rig, 4, JP_MISSING, ENODEV);
    put(counter, "88\n");
    check_reading(&rig, 4, JP_MISSING, ENODEV);
    put(part, "core\n");
    put(first, "package-2\n");
    check_reading(&rig, 4, JP_MISSING, ENODEV);
    put(first, "package-1\n");
    check_reading(&rig, 4, JP_GOOD, 0);
    close_rig(&rig);
}

// As whoever root became: what it opened it reads on, what is new is root's.
static void a_zone_that_comes_back_for_root_alone_says_so(void **state)
{
    static const char counter[] = TOP "intel-rapl/intel-rapl:1/energy_uj";
    struct rig rig;

    (void)state;
    two_packages("1\n", "2\n");
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(root, 0755), 0);
    close_to_others(TOP "intel-rapl/intel-rapl:0/energy_uj");
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 6);
    drop(counter);
    put(counter, "3\n");
    close_to_others(counter);
    assert_int_equal(seteuid(65534), 0);
    check_reading(&rig, 1, JP_MISSING, ENODEV);
    check_reading(&rig, 1, JP_MISSING, EACCES);
    assert_int_equal(seteuid(0), 0);
    check_reading(&rig, 1, JP_GOOD, 0);
    close_rig(&rig);
}

static void the_largest_limit_and_a_half_is_the_most_believed(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    zone("/sys/class/powercap/intel-rapl:0", "package-0\n", "1\n");
    put("/sys/class/powercap/intel-rapl:0/constraint_1_power_limit_uw", "64000000\n");
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 1);
    assert_int_equal(rig.channels[0].max_uw, 0); // a limit alone is no maximum
    close_rig(&rig);
    put("/sys/class/powercap/intel-rapl:0/constraint_0_max_power_uw", "15000000\n");
    assert_int_equal(open_nth(&rig, &jp_driver_rapl_powercap, 0), 1);
    assert_int_equal(rig.channels[0].max_uw, 96000000);
    assert_int_equal(rig.channels[0].range_uj, 0); // no file: unknown
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_TREE(dies_keep_their_names_and_second_ones_never_collide),
        ON_A_TREE(an_mmio_zone_without_a_twin_is_kept),
        ON_A_TREE(a_part_is_named_after_its_packages_number_not_its_own),
        ON_A_TREE(a_zone_without_a_counter_is_left_out),
        ON_A_TREE(counters_for_root_alone_are_told_as_such),
        cmocka_unit_test_teardown(a_counter_that_two_packages_tell_counts_once, stand_still),
        {"and_so_does_one_that_goes_round", a_counter_that_two_packages_tell_counts_once, NULL, stand_still, &round_uj},
        cmocka_unit_test_teardown(what_is_not_proved_to_be_one_counter_is_two, stand_still),
        ON_A_TREE(a_zone_that_comes_back_is_read_again),
        ON_A_TREE(a_zone_that_comes_back_for_root_alone_says_so),
        ON_A_TREE(the_largest_limit_and_a_half_is_the_most_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
