// SPDX-License-Identifier: Apache-2.0
// RAPL zones: names that never collide, what contains what, and who may read.
#define _GNU_SOURCE
#include "driver_rig.h"
#include "rapl_zones.h"

#include <errno.h>

#define TOP "/sys/devices/virtual/powercap/"

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
        ON_A_TREE(the_largest_limit_and_a_half_is_the_most_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
