// SPDX-License-Identifier: Apache-2.0
// What a look costs and what is wrong with clocks, where trees of files cannot show it; why the total is what it is.
#define _GNU_SOURCE
#include "machine.h"

#include "total.h"

static int64_t now_ns, step_ns, real_ns;
static enum jp_clock_state sync_state;

static int64_t mono(const struct jp_clock *self)
{
    (void)self;
    return now_ns += step_ns;
}

static int64_t real(const struct jp_clock *self)
{
    (void)self;
    return real_ns;
}

static enum jp_clock_state sync_of(const struct jp_clock *self, int64_t *err_ms)
{
    (void)self;
    (void)err_ms;
    return sync_state;
}

static int pass_time(const struct jp_clock *self, struct pollfd *fds, unsigned count, int64_t until_ns)
{
    (void)self;
    (void)fds;
    (void)count;
    now_ns = until_ns;
    return 0;
}

static const struct jp_clock made = {
    .mono_ns = mono, .boot_ns = mono, .real_ns = real, .sync = sync_of, .wait = pass_time};

static void a_read_longer_than_the_period_is_told_and_timed(void **state)
{
    static struct jp_power_now now;

    (void)state;
    tree("orin-nano");
    discover();
    step_ns = 150 * JP_NS_PER_MS;
    jp_diagnose_read(&plan, &made, &now);
    jp_diagnose_readings(&plan, &now);
    assert_null(problem("one read takes"));
    assert_true(now.read_ns[0] == step_ns);
    assert_true(now.gauge_known[1] && now.gauge[1] == 25000);
    step_ns = 250 * JP_NS_PER_MS;
    jp_diagnose_read(&plan, &made, &now);
    jp_diagnose_readings(&plan, &now);
    assert_string_equal(problem("one read takes 0.25 s, longer than the period of 200 ms")->where,
                        plan.sources[0].found.path);
    assert_int_equal(plan.problem_count, 1); // gauges are not sampled at the period
    jp_diagnose_readings(&plan, &now);
    assert_int_equal(plan.problem_count, 1);
}

// As the service, which adds nothing of it.
static void a_power_that_no_sensor_has_is_none(void **state)
{
    static const char *const numbers[] = {"9223372036854775807\n", "-9223372036854775808\n", "1000000000001\n"};
    static const char *const files[] = {"/sys/class/hwmon/hwmon0/power1_input", "/sys/class/hwmon/hwmon1/power1_input"};
    static struct jp_power_now now;

    (void)state;
    step_ns = 1;
    put("/sys/class/hwmon/hwmon0/name", "ina226\n");
    put("/sys/class/hwmon/hwmon1/name", "ina226\n");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        put(files[0], numbers[i]);
        put(files[1], numbers[i]);
        discover();
        jp_diagnose_read(&plan, &made, &now);
        assert_int_equal(plan.run.channel_count, 2);
        for (int k = 0; k < 2; k++) {
            assert_false(now.known[k]);
            assert_int_equal(now.error[k], ERANGE);
        }
        jp_plan_close(&plan);
    }
}

static void a_clock_is_judged_on_its_own_machine_only(void **state)
{
    const struct jp_site tree_site = {.root = root}, here = {.root = ""};

    (void)state;
    tree("orin-nano");
    discover();
    step_ns = 1;
    real_ns = 1000 * JP_NS_PER_S;
    jp_diagnose_machine(&plan, &tree_site, &config, &made);
    assert_string_equal(problem("never set")->where, "CLOCK_REALTIME");
    plan.problem_count = 0;
    real_ns = 1900000000 * JP_NS_PER_S;
    jp_diagnose_machine(&plan, &tree_site, &config, &made);
    assert_null(problem("wall clock"));
    jp_diagnose_machine(&plan, &here, &config, &made);
    assert_non_null(problem("not synchronised"));
    plan.problem_count = 0;
    sync_state = JP_CLOCK_SYNCED;
    jp_diagnose_machine(&plan, &here, &config, &made);
    assert_null(problem("wall clock"));
}

static const struct jp_problem *hidden(const char *path, const char *text)
{
    plan.problem_count = 0;
    put(path, text);
    diagnose();
    return problem("hides");
}

static void a_container_shows_by_what_covers_a_path(void **state)
{
    static const char mounts[] = "/proc/self/mountinfo";

    (void)state;
    put("/proc/cpuinfo", "CPU implementer\t: 0x41\n");
    discover();
    assert_null(
        hidden(mounts, "22 20 0:20 / /sys rw - sysfs sysfs rw\n23 22 0:21 / /sys/firmware rw - sysfs sysfs rw\n"));
    assert_null(hidden(mounts, "24 22 0:22 / /sys/firmware/efi rw - tmpfs tmpfs rw\n"));
    assert_string_equal(hidden(mounts, "25 22 0:23 / /sys/firmware ro - tmpfs tmpfs ro\n")->where, "/sys/firmware");
    assert_null(hidden(mounts, ""));
    assert_non_null(hidden("/run/.containerenv", ""));
    assert_null(problem("nothing is measured")); // the container is why
    assert_null(hidden("/proc/device-tree/compatible", "x"));
}

static void a_rival_fits_as_well_with_the_same_priority(void **state)
{
    static struct jp_board boards[4];
    const struct jp_site site = {.root = root};

    (void)state;
    put("/proc/device-tree/compatible", "acme,one");
    for (int i = 0; i < 4; i++) {
        boards[i].matches = 1;
        boards[i].priority = i == 1 ? 40 : 50;
        strcpy(boards[i].match[0], i == 2 ? "acme,two" : "acme,one");
    }
    assert_ptr_equal(jp_board_rival(boards, 4, &site, &boards[0]), &boards[3]);
    assert_null(jp_board_rival(boards, 3, &site, &boards[0]));
    assert_null(jp_board_rival(boards, 4, &site, &boards[2])); // it does not fit itself: it is the last resort
}

static const char *reason(void)
{
    static char text[256];

    jp_total_reason(&plan, text, sizeof text);
    return text;
}

static void a_total_has_its_reason(void **state)
{
    (void)state;
    tree("orin-nano");
    discover();
    assert_string_equal(reason(), "the profile's module total");
    strcpy(plan.board.total_board[0], "VDD_MUX");
    plan.board.total_board_count = 1;
    assert_string_equal(reason(), "the profile's module total; its board total lacks VDD_MUX");
    strcpy(plan.board.total_module[1], "VDD_5V");
    plan.board.total_module_count = 2;
    plan.run.total_known = false;
    assert_string_equal(reason(), "missing VDD_5V");
    plan.board.total_board_count = plan.board.total_module_count = 0;
    assert_string_equal(reason(), "nobody has said which rails make it");
    jp_plan_close(&plan);
    tear_down(NULL);
    set_up(NULL);
    tree("x86-2s");
    discover();
    assert_string_equal(reason(), "the packages, and their memory where it is counted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(a_read_longer_than_the_period_is_told_and_timed), WITH_ROOT(a_power_that_no_sensor_has_is_none),
        WITH_ROOT(a_clock_is_judged_on_its_own_machine_only),       WITH_ROOT(a_container_shows_by_what_covers_a_path),
        WITH_ROOT(a_rival_fits_as_well_with_the_same_priority),     WITH_ROOT(a_total_has_its_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
