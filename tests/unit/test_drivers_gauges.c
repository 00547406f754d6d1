// SPDX-License-Identifier: Apache-2.0
// Frequencies, temperatures and throttling: what each kernel's files say, and what they do not.
#define _GNU_SOURCE
#include "driver_rig.h"

#include <errno.h>

// As put(), and makes the folders.
static void make(const char *path, const char *text)
{
    char folder[256];

    for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        snprintf(folder, sizeof folder, "%s%.*s", root, (int)(at - path), path);
        if (mkdir(folder, 0700))
            assert_int_equal(errno, EEXIST);
    }
    put(path, text);
}

static void zone(int n, const char *type, const char *temp)
{
    char path[128];

    snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/type", n);
    make(path, type);
    snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", n);
    make(path, temp);
}

static void cooling(int n, const char *type, const char *state)
{
    char path[128];

    snprintf(path, sizeof path, "/sys/class/thermal/cooling_device%d/type", n);
    make(path, type);
    snprintf(path, sizeof path, "/sys/class/thermal/cooling_device%d/cur_state", n);
    make(path, state);
}

static void temperatures_are_those_of_the_zones_under_their_types(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    assert_int_equal(jp_driver_thermal.probe(&site, &(struct jp_found){.param = 0}, 1), 0);
    zone(10, "tj-thermal\n", "51500\n");
    zone(2, "gpu-thermal\n", "-256000\n"); // gated
    zone(1, "PMIC-Die\n", "100000\n");     // a constant
    zone(0, "CPU-therm\n", "43250\n");
    cooling(0, "pwm-fan\n", "3\n");
    assert_int_equal(open_nth(&rig, &jp_driver_thermal, 0), 3);
    read_rig(&rig);
    assert_string_equal(rig.channels[0].name, "CPU-therm");
    assert_string_equal(rig.channels[0].unit, "C");
    assert_int_equal(rig.channels[0].kind, JP_GAUGE);
    assert_int_equal(rig.readings[0].value, 43250);
    assert_string_equal(rig.channels[1].name, "gpu-thermal");
    assert_int_equal(rig.readings[1].state, JP_MISSING);
    assert_int_equal(rig.readings[1].error, ENODATA);
    assert_string_equal(rig.channels[2].name, "tj-thermal");
    assert_int_equal(rig.readings[2].value, 51500);
    put("/sys/class/thermal/thermal_zone2/temp", "-5000\n");
    put("/sys/class/thermal/thermal_zone0/temp", "");
    read_rig(&rig);
    assert_int_equal(rig.readings[1].value, -5000);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    close_rig(&rig);
}

static void a_machine_with_many_zones_keeps_the_first(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    for (int i = 0; i < 20; i++)
        zone(i, "acpitz\n", "30000\n");
    assert_int_equal(open_nth(&rig, &jp_driver_thermal, 0), 16);
    close_rig(&rig);
}

static void the_clock_of_the_processors_is_the_mean_of_the_policies_that_answer(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    assert_int_equal(jp_driver_cpu_freq.probe(&site, &(struct jp_found){.param = 0}, 1), 0);
    make("/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "2201600\n");
    make("/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", "729600\n");
    make("/sys/devices/system/cpu/cpufreq/boost", "1\n");
    assert_int_equal(open_nth(&rig, &jp_driver_cpu_freq, 0), 1);
    assert_string_equal(rig.channels[0].name, "cpu_freq");
    assert_string_equal(rig.channels[0].unit, "MHz");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 1465600);
    put("/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "<unsupported>\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 729600);
    put("/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", "");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    close_rig(&rig);
}

static void the_clock_of_the_gpu_is_found_beside_its_load(void **state)
{
    struct rig rig;

    (void)state;
    tree("orin-nano");
    assert_int_equal(open_nth(&rig, &jp_driver_gpu_freq, 0), 1);
    assert_string_equal(rig.channels[0].name, "gpu_freq");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 1300500);
    put("/sys/class/devfreq/17000000.gpu/cur_freq", "0\n"); // gated: its clock stands
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    assert_int_equal(rig.readings[0].value, 0);
    put("/sys/class/devfreq/17000000.gpu/cur_freq", "-1\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].error, ERANGE);
    close_rig(&rig);
}

static void a_devfreq_device_without_a_node_is_known_by_its_name(void **state)
{
    struct jp_found found;

    (void)state;
    tree("empty");
    make("/sys/class/devfreq/10000000.bus/cur_freq", "1\n");
    make("/sys/class/devfreq/gpu-nvd-0/cur_freq", "1\n");
    make("/sys/class/devfreq/gpu-gpc-0/cur_freq", "1575000000\n");
    assert_int_equal(jp_driver_gpu_freq.probe(&site, &found, 1), 1);
    assert_string_equal(found.path, "/sys/class/devfreq/gpu-gpc-0/cur_freq");
    make("/sys/class/devfreq/gpu-gpc-0/device/of_node/name", "nothing-of-it");
    assert_int_equal(jp_driver_gpu_freq.probe(&site, &found, 1), 1);
    assert_string_equal(found.path, "/sys/class/devfreq/gpu-nvd-0/cur_freq");
}

static void only_what_holds_clocks_back_is_throttling(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    cooling(0, "pwm-fan\n", "3\n");
    cooling(1, "hot-surface-alert\n", "1\n");
    cooling(2, "TCC Offset\n", "5\n");
    assert_int_equal(jp_driver_throttle.probe(&site, &(struct jp_found){.param = 0}, 1), 0);
    cooling(3, "cpufreq-cpu0\n", "0\n");
    cooling(4, "cpu-throttle-alert\n", "0\n");
    cooling(5, "devfreq-17000000.gpu\n", "0\n");
    cooling(6, "gpu-throttle-alert\n", "0\n");
    cooling(7, "soc0-throttle-alert\n", "0\n");
    assert_int_equal(open_nth(&rig, &jp_driver_throttle, 0), 3);
    assert_string_equal(rig.channels[0].name, "throttle_cpu");
    assert_string_equal(rig.channels[1].name, "throttle_gpu");
    assert_string_equal(rig.channels[2].name, "throttle_soc");
    assert_string_equal(rig.channels[2].event, "throttle");
    read_rig(&rig);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig.readings[i].state, JP_GOOD);
        assert_int_equal(rig.readings[i].value, 0);
    }
    put("/sys/class/thermal/cooling_device3/cur_state", "7\n");
    put("/sys/class/thermal/cooling_device6/cur_state", "1\n");
    put("/sys/class/thermal/cooling_device5/cur_state", "");
    put("/sys/class/thermal/cooling_device7/cur_state", "");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 1000);
    assert_int_equal(rig.readings[1].value, 1000); // one is enough
    assert_int_equal(rig.readings[2].state, JP_MISSING);
    put("/sys/class/thermal/cooling_device6/cur_state", "0\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[1].state, JP_MISSING); // the other one may be engaged
    close_rig(&rig);
}

static void older_kernels_number_their_cooling_devices(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    cooling(0, "thermal-cpufreq-0\n", "2\n");
    assert_int_equal(open_nth(&rig, &jp_driver_throttle, 0), 1);
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 1000);
    close_rig(&rig);
}

static void an_x86_package_throttles_while_its_count_goes_up(void **state)
{
    static const int expected[] = {0, 1000, 0};
    static const char *const counts[] = {"17\n", "19\n", "19\n"};
    struct rig rig;

    (void)state;
    tree("empty");
    for (int cpu = 0; cpu < 4; cpu++) {
        char path[128];

        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
        make(path, cpu < 2 ? "0\n" : "1\n");
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/thermal_throttle/package_throttle_count", cpu);
        make(path, cpu < 2 ? "0\n" : "17\n");
    }
    assert_int_equal(open_nth(&rig, &jp_driver_throttle, 0), 1);
    for (int i = 0; i < 3; i++) {
        put("/sys/devices/system/cpu/cpu2/thermal_throttle/package_throttle_count", counts[i]);
        read_rig(&rig);
        assert_int_equal(rig.readings[0].state, JP_GOOD);
        assert_int_equal(rig.readings[0].value, expected[i]);
    }
    close_rig(&rig);
}

// The first reading is of the time since the sensor was opened; a count that was not known then tells nothing yet.
static void throttling_before_the_first_reading_counts(void **state)
{
    static const char count[] = "/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count";
    struct rig rig;

    (void)state;
    tree("empty");
    make("/sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n");
    make(count, "5\n");
    assert_int_equal(open_nth(&rig, &jp_driver_throttle, 0), 1);
    put(count, "6\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 1000);
    close_rig(&rig);
    put(count, "");
    assert_int_equal(open_nth(&rig, &jp_driver_throttle, 0), 1);
    put(count, "6\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    assert_int_equal(rig.readings[0].error, ENODATA);
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    assert_int_equal(rig.readings[0].value, 0);
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_TREE(temperatures_are_those_of_the_zones_under_their_types),
        ON_A_TREE(a_machine_with_many_zones_keeps_the_first),
        ON_A_TREE(the_clock_of_the_processors_is_the_mean_of_the_policies_that_answer),
        ON_A_TREE(the_clock_of_the_gpu_is_found_beside_its_load),
        ON_A_TREE(a_devfreq_device_without_a_node_is_known_by_its_name),
        ON_A_TREE(only_what_holds_clocks_back_is_throttling),
        ON_A_TREE(older_kernels_number_their_cooling_devices),
        ON_A_TREE(an_x86_package_throttles_while_its_count_goes_up),
        ON_A_TREE(throttling_before_the_first_reading_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
