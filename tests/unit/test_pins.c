// SPDX-License-Identifier: Apache-2.0
// pins.c on lines that a test moves: edges become tasks and alerts with their own time, and what is lost is counted.
#define _GNU_SOURCE
#include "fake_sensor.h"
#include "hot.h"
#include "pins.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define START (1000 * JP_NS_PER_S)
#define QUEUE_MAX 4096

// A line as the kernel has it: what waits to be read, its level, and whether it can be had.
struct fake_line {
    struct jp_gpio_edge queue[QUEUE_MAX];
    int count;
    int level, set; // set: -1 never
    int error;      // of open, read, get and set
    bool held;
};

static struct fake_line lines[4]; // by the number of the line
static struct jp_pins pins;
static struct jp_config config;
static struct jp_record record;
static struct jp_run run;
static struct jp_sampler sampler;
static struct fake_clock clk;
static char dir[64];
static char notes[512];
static int64_t slow_ns; // what an open takes

static struct fake_line *at(const struct jp_gpio_line *line)
{
    return &lines[line->offset];
}

static int fake_open(const struct jp_gpio_door *self, struct jp_gpio_line *line, const struct jp_gpio_wish *wish)
{
    (void)self;
    clk.now_ns += slow_ns;
    *line = (struct jp_gpio_line){.offset = (unsigned)atoi(wish->line), .fd = wish->output ? -1 : 100};
    if (at(line)->error == EBUSY)
        strcpy(line->user, "fan");
    if (at(line)->error)
        return -at(line)->error;
    at(line)->held = true;
    at(line)->set = wish->output ? 0 : -1;
    return 0;
}

static int fake_look(const struct jp_gpio_door *self, struct jp_gpio_line *line, const struct jp_gpio_wish *wish)
{
    int rc;

    (void)self;
    *line = (struct jp_gpio_line){.offset = (unsigned)atoi(wish->line), .fd = -1};
    rc = at(line)->error;
    strcpy(line->user, rc == EBUSY ? "fan" : at(line)->held ? JP_GPIO_USER : "");
    return rc == EBUSY ? 0 : -rc;
}

static int fake_read_edges(struct jp_gpio_line *line, struct jp_gpio_edge *edges, int max)
{
    struct fake_line *fake = at(line);
    int n = max < JP_GPIO_EDGES_MAX ? max : JP_GPIO_EDGES_MAX;

    if (fake->error)
        return -fake->error;
    n = n < fake->count ? n : fake->count;
    memcpy(edges, fake->queue, (size_t)n * sizeof *edges);
    fake->count -= n;
    memmove(fake->queue, fake->queue + n, (size_t)fake->count * sizeof *edges);
    return n;
}

static int fake_get(struct jp_gpio_line *line)
{
    return at(line)->error ? -at(line)->error : at(line)->level;
}

static int fake_set(struct jp_gpio_line *line, bool on)
{
    at(line)->set = on;
    return -at(line)->error;
}

static void fake_close_line(struct jp_gpio_line *line)
{
    at(line)->held = false;
}

static const struct jp_gpio_door door = {fake_look, fake_open, fake_read_edges, fake_get, fake_set, fake_close_line};

static void note(const struct jp_pin_note *what)
{
    static const char *const words[] = {"failing", "back", "noisy"};
    size_t used = strlen(notes);

    snprintf(notes + used, sizeof notes - used, "%s %s %d;", words[what->what], what->pin->config->line,
             what->pin->error);
}

static void configure(int i, const char *use, const char *task)
{
    struct jp_gpio *gpio = &config.gpio[i];

    strcpy(gpio->chip, "chip");
    snprintf(gpio->line, sizeof gpio->line, "%d", i);
    strcpy(gpio->use, use);
    strcpy(gpio->task, task);
    config.gpio_count = i + 1;
}

static int set_up(void **state)
{
    static struct jp_bridge bridge;

    (void)state;
    strcpy(dir, "/tmp/jp-pins-XXXXXX");
    assert_non_null(mkdtemp(dir));
    memset(lines, 0, sizeof lines);
    memset(&pins, 0, sizeof pins);
    memset(&config, 0, sizeof config);
    memset(&run, 0, sizeof run);
    memset(&record, 0, sizeof record);
    memset(&sampler, 0, sizeof sampler);
    notes[0] = '\0';
    slow_ns = 0;
    clk = fake_clock_at(START);
    run.id = 0xabc;
    strcpy(run.boot, "11111111-2222-3333-4444-555555555555");
    run.window_ms = 1000;
    run.block_windows = 30;
    sampler.run = &run;
    sampler.seq = 7;
    sampler.t0_ms = START / JP_NS_PER_MS;
    record = (struct jp_record){.clock = &clk.door, .fs = &jp_fs_real, .run = &run, .dir = dir, .max_bytes = 1048576};
    record.notify_fd = -1;
    pins = (struct jp_pins){.door = &door, .clock = &clk.door, .note = note};
    return jp_record_open(&record, &jp_entropy_real, &bridge);
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    jp_pins_close(&pins);
    jp_record_close(&record);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void begin(void)
{
    jp_pins_open(&pins, &config);
    pins.record = &record;
    pins.sampler = &sampler;
    jp_pins_begin(&pins);
}

static void edge_at(int line, bool on, int64_t t_ns)
{
    assert_true(lines[line].count < QUEUE_MAX);
    lines[line].queue[lines[line].count++] = (struct jp_gpio_edge){.on = on, .t_ns = t_ns};
    lines[line].level = on;
}

static void edge(int line, bool on)
{
    edge_at(line, on, clk.now_ns);
}

// Turns of the loop as metering has them, until nothing is left to read or tell. How many.
static int turn(void)
{
    struct pollfd fds[JP_GPIO_MAX];
    int turns = 0;

    for (;; turns++) {
        unsigned count = jp_pins_poll(&pins, fds);
        int ready = 0, before;

        for (unsigned i = 0; i < count; i++) {
            fds[i].revents = lines[pins.polled[i]].count > 0 || lines[pins.polled[i]].error ? POLLIN : 0;
            ready += fds[i].revents != 0;
        }
        if (ready == 0 && jp_pins_next(&pins) == INT64_MAX)
            return turns;
        if (ready == 0 && clk.now_ns < jp_pins_next(&pins))
            clk.now_ns = jp_pins_next(&pins);
        before = pins.heard_count;
        jp_pins_serve(&pins, fds, count);
        assert_true(pins.heard_count >= before - 16); // the sampler waits no longer
    }
}

static void border(int seconds, bool well)
{
    clk.now_ns += seconds * JP_NS_PER_S;
    sampler.seq += (uint64_t)seconds;
    sampler.t0_ms += seconds * 1000;
    jp_pins_border(&pins, well);
}

static struct jp_event got[QUEUE_MAX];

static int events(void)
{
    struct jp_hot_reader reader;
    struct jp_frame frame;
    int count = 0;

    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){0, 0}), 0);
    while (jp_hot_reader_next(&reader, &frame) == JP_HOT_FRAME)
        if (frame.type == JP_FRAME_EVENT)
            assert_int_equal(jp_event_decode(&got[count++], frame.payload, frame.size), 0);
    jp_hot_reader_close(&reader);
    return count;
}

static void expect(int i, int64_t boot_ms, const char *detail)
{
    assert_string_equal(got[i].detail, detail);
    assert_int_equal(got[i].boot_ms, boot_ms);
}

static void edges_start_and_stop_a_task_with_their_own_time(void **state)
{
    (void)state;
    configure(0, "marker", "job");
    clk.asleep_ns = 3 * JP_NS_PER_S; // BOOTTIME is ahead of MONOTONIC
    sampler.t0_ms += 3000;
    begin();
    edge(0, true);
    clk.now_ns += 40 * JP_NS_PER_MS;
    turn();
    assert_string_equal(jp_pins_task(&pins), "job");
    assert_true(jp_pins_marks(&pins, "job") && !jp_pins_marks(&pins, "other"));
    edge_at(0, false, clk.real_offset_ns + clk.now_ns + clk.asleep_ns - JP_NS_PER_MS); // an old kernel: REALTIME
    turn();
    assert_string_equal(jp_pins_task(&pins), "");
    assert_int_equal(events(), 2);
    assert_string_equal(got[0].kind, "task");
    expect(0, 1003000, "{\"action\":\"start\",\"name\":\"job\",\"seq\":7,\"by\":\"edge\",\"missed\":0}");
    // 40 ms and the 2 in which more might have come, less one
    expect(1, 1003041, "{\"action\":\"stop\",\"name\":\"job\",\"seq\":7,\"by\":\"edge\",\"missed\":0}");
}

static void an_edge_names_the_window_that_it_lies_in(void **state)
{
    (void)state;
    configure(0, "marker", "job");
    begin();
    edge_at(0, true, START + 999 * JP_NS_PER_MS);
    edge_at(0, false, START + 1001 * JP_NS_PER_MS);
    clk.now_ns = START + 1100 * JP_NS_PER_MS; // the border's pass is still to come
    turn();
    edge_at(0, true, START + 1400 * JP_NS_PER_MS);
    edge_at(0, false, START + 2400 * JP_NS_PER_MS);
    clk.now_ns = START + 2450 * JP_NS_PER_MS;
    sampler.seq = 9; // and here it is over
    sampler.t0_ms += 2000;
    turn();
    assert_int_equal(events(), 4);
    expect(0, 1000999, "{\"action\":\"start\",\"name\":\"job\",\"seq\":7,\"by\":\"edge\",\"missed\":0}");
    expect(1, 1001001, "{\"action\":\"stop\",\"name\":\"job\",\"seq\":8,\"by\":\"edge\",\"missed\":0}");
    expect(2, 1001400, "{\"action\":\"start\",\"name\":\"job\",\"seq\":8,\"by\":\"edge\",\"missed\":0}");
    expect(3, 1002400, "{\"action\":\"stop\",\"name\":\"job\",\"seq\":9,\"by\":\"edge\",\"missed\":0}");
}

static void what_is_on_at_the_start_is_told_by_its_level(void **state)
{
    (void)state;
    configure(0, "marker", "job");
    configure(1, "alert", "");
    lines[0].level = lines[1].level = 1;
    begin();
    edge_at(0, false, START - 1); // before the level was looked at
    turn();
    assert_int_equal(events(), 2);
    expect(0, 1000000, "{\"action\":\"start\",\"name\":\"job\",\"seq\":7,\"by\":\"level\",\"missed\":0}");
    expect(1, 1000000, "{\"line\":\"chip 1\",\"state\":\"on\"}");
    assert_string_equal(got[1].kind, "over_current");
}

// A run that begins in the same process opens them again, before it has a record of its own.
static void opened_again_nothing_of_the_run_before_is_left(void **state)
{
    static struct jp_record gone;

    (void)state;
    configure(0, "marker", "job");
    lines[0].level = 1;
    begin();
    assert_int_equal(events(), 1);
    jp_pins_close(&pins);
    pins.record = memset(&gone, 0xff, sizeof gone);
    lines[0].level = 0;
    jp_pins_open(&pins, &config);
    jp_pins_close(&pins);
    lines[0].level = 1;
    begin();
    assert_int_equal(events(), 2);
    expect(1, 1000000, "{\"action\":\"start\",\"name\":\"job\",\"seq\":7,\"by\":\"level\",\"missed\":0}");
}

static void a_storm_loses_no_pair_and_serves_others_too(void **state)
{
    int missed = 0;

    (void)state;
    configure(0, "marker", "job");
    configure(1, "alert", "");
    begin();
    for (int i = 0; i < 400; i++)
        edge_at(0, i % 2 == 0, START + i);
    edge(1, true);
    assert_true(turn() >= 401 / 16); // at most 16 are told a turn
    assert_int_equal(events(), 401);
    for (int i = 0, task = 0; i < 401; i++)
        if (strcmp(got[i].kind, "task") == 0)
            missed += strstr(got[i].detail, task++ % 2 == 0 ? "\"start\"" : "\"stop\"") == NULL;
    assert_int_equal(missed, 0);
}

static void what_the_kernel_lost_is_counted(void **state)
{
    (void)state;
    configure(0, "marker", "job");
    begin();
    edge(0, true);
    edge(0, true); // a stop between them was dropped, nobody says so: a start and a stop are missing
    edge(0, false);
    turn();
    edge(0, true);
    lines[0].queue[0].lost = 4; // and here the kernel says how many
    edge(0, true);
    lines[0].queue[1].lost = 3; // off, on, off, and this one
    edge(0, false);
    turn();
    assert_int_equal(events(), 4);
    expect(1, 1000000, "{\"action\":\"stop\",\"name\":\"job\",\"seq\":7,\"by\":\"edge\",\"missed\":1}");
    assert_non_null(strstr(got[2].detail, "\"start\",\"name\":\"job\",\"seq\":7,\"by\":\"edge\",\"missed\":2"));
    assert_non_null(strstr(got[3].detail, "\"stop\",\"name\":\"job\",\"seq\":7,\"by\":\"edge\",\"missed\":2"));
}

static void a_last_edge_that_was_lost_is_found_by_the_level(void **state)
{
    (void)state;
    configure(0, "marker", "job");
    begin();
    edge(0, true);
    turn();
    lines[0].level = 0;
    border(5, true); // it may still be on its way
    assert_int_equal(events(), 1);
    border(5, true);
    assert_int_equal(events(), 2);
    expect(1, 1010002, "{\"action\":\"stop\",\"name\":\"job\",\"seq\":17,\"by\":\"level\",\"missed\":0}");
    lines[0].level = 1;
    border(5, true);
    edge(0, true); // here it comes
    turn();
    border(5, true);
    assert_int_equal(events(), 3);
    assert_non_null(strstr(got[2].detail, "\"by\":\"edge\""));
}

static void a_line_that_flutters_is_cut_short_and_its_last_state_told(void **state)
{
    int count, missed = 0;

    (void)state;
    configure(0, "marker", "job");
    begin();
    for (int i = 0; i < 2001; i++)
        edge_at(0, i % 2 == 0, START + i);
    turn();
    assert_int_equal(lines[0].count, 2001 - 1024);
    assert_string_equal(notes, "noisy 0 0;");
    for (int i = 0; i < 600 && lines[0].count > 0; i++) {
        border(1, true); // 4 a second
        turn();
    }
    assert_int_equal(lines[0].count, 0);
    count = events();
    assert_int_equal(count % 2, 1);
    assert_non_null(strstr(got[count - 1].detail, "\"start\""));
    for (int i = 0; i < count; i++)
        missed += atoi(strstr(got[i].detail, "missed\":") + 8);
    assert_int_equal(count + 2 * missed, 2001);
}

static void what_finds_no_room_is_told_later_with_its_own_time(void **state)
{
    (void)state;
    configure(0, "marker", "job");
    begin();
    record.hot.max_bytes = 0;
    edge(0, true);
    turn();
    edge(0, false);
    edge_at(0, true, START + 500 * JP_NS_PER_MS);
    clk.now_ns = START + JP_NS_PER_S;
    turn();
    assert_int_equal(events(), 0);
    record.hot.max_bytes = 1048576;
    border(1, true);
    assert_int_equal(events(), 1);
    expect(0, 1000500, "{\"action\":\"start\",\"name\":\"job\",\"seq\":7,\"by\":\"edge\",\"missed\":1}");
}

static void an_alert_that_flutters_is_one(void **state)
{
    (void)state;
    configure(0, "alert", "");
    begin();
    for (int i = 0; i < 7; i++, clk.now_ns += JP_NS_PER_S) {
        edge(0, i % 2 == 0);
        turn();
        jp_pins_border(&pins, true);
    }
    assert_int_equal(events(), 1);
    expect(0, 1000000, "{\"line\":\"chip 0\",\"state\":\"on\"}");
    edge(0, false);
    turn();
    border(4, true);
    assert_int_equal(events(), 1);
    border(2, true);
    assert_int_equal(events(), 2);
    expect(1, clk.now_ns / JP_NS_PER_MS, "{\"line\":\"chip 0\",\"state\":\"off\",\"pulses\":4}");
    edge(0, false); // over before the kernel looked: it says low, and it was low
    turn();
    assert_int_equal(events(), 3);
    border(6, true);
    assert_int_equal(events(), 4);
    assert_string_equal(got[3].detail, "{\"line\":\"chip 0\",\"state\":\"off\",\"pulses\":1}");
}

static void the_led_shows_what_is_asked_and_goes_off(void **state)
{
    struct pollfd fds[JP_GPIO_MAX];

    (void)state;
    configure(0, "led", "");
    begin();
    assert_int_equal(jp_pins_poll(&pins, fds), 0);
    assert_int_equal(lines[0].set, 0);
    border(1, true);
    assert_int_equal(lines[0].set, 1);
    border(1, false);
    assert_int_equal(lines[0].set, 0);
    border(1, true);
    lines[0].error = ENODEV;
    border(5, true);
    assert_string_equal(notes, "failing 0 19;");
    lines[0].error = 0;
    border(5, true); // taken again, as off
    border(1, true);
    assert_int_equal(lines[0].set, 1);
    jp_pins_close(&pins);
    assert_int_equal(lines[0].set, 0);
    assert_false(lines[0].held);
}

static void lines_come_and_go_and_each_change_is_said_once(void **state)
{
    (void)state;
    configure(0, "marker", "a");
    configure(1, "marker", "b");
    lines[1].error = EBUSY;
    begin();
    border(6, true);
    assert_string_equal(notes, "failing 1 16;");
    lines[1].error = 0;
    lines[1].level = 1;
    border(6, true);
    assert_string_equal(notes, "failing 1 16;back 1 0;");
    assert_string_equal(jp_pins_task(&pins), "b");
    edge(0, true);
    turn();
    lines[0].error = ENODEV; // read fails
    turn();
    border(6, true);
    border(6, true);
    assert_string_equal(notes, "failing 1 16;back 1 0;failing 0 19;");
    assert_string_equal(jp_pins_task(&pins), "a"); // nobody has said that it ended
    lines[0].error = 0;
    lines[0].level = 0;
    border(6, true);
    assert_string_equal(jp_pins_task(&pins), "b");
    assert_non_null(strstr(notes, "back 0 0;"));
}

static void slow_lines_take_turns_and_little_time(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        configure(i, "alert", "");
        lines[i].error = ENODEV;
    }
    begin();
    for (int i = 0; i < 3; i++)
        lines[i].error = 0;
    slow_ns = 100 * JP_NS_PER_MS;
    for (int i = 0; i < 3; i++) {
        border(i == 0 ? 5 : 2, true);
        assert_int_equal(lines[0].held + lines[1].held + lines[2].held, i + 1);
        border(8, true); // 100 ms are a hundredth of 10 s
        assert_int_equal(lines[0].held + lines[1].held + lines[2].held, i + 1);
    }
}

static void problems_are_told_and_our_own_hold_is_none(void **state)
{
    static struct jp_plan plan;
    struct jp_site site = {.root = ""};

    (void)state;
    for (int i = 0; i < 4; i++)
        configure(i, "alert", "");
    lines[0].error = EBUSY;
    lines[1].held = true;
    lines[2].error = ERANGE;
    lines[3].error = EPROTO;
    jp_pins_diagnose(&plan, &site, &config, &door);
    assert_int_equal(plan.problem_count, 3);
    assert_string_equal(plan.problems[0].what, "the GPIO line is in use by fan");
    assert_string_equal(plan.problems[0].where, "gpio, alert: chip chip, line 0");
    assert_string_equal(plan.problems[1].what, "this line lies beyond the end of the GPIO chip");
    assert_string_equal(plan.problems[2].what, "the GPIO line cannot be used: Protocol error");
    plan.problem_count = 0;
    site.root = "/tree";
    jp_pins_diagnose(&plan, &site, &config, &door);
    assert_int_equal(plan.problem_count, 1);
    assert_string_equal(plan.problems[0].what, JP_PINS_NO_GPIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(edges_start_and_stop_a_task_with_their_own_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_edge_names_the_window_that_it_lies_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_on_at_the_start_is_told_by_its_level, set_up, tear_down),
        cmocka_unit_test_setup_teardown(opened_again_nothing_of_the_run_before_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_storm_loses_no_pair_and_serves_others_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_kernel_lost_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_last_edge_that_was_lost_is_found_by_the_level, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_that_flutters_is_cut_short_and_its_last_state_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_finds_no_room_is_told_later_with_its_own_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_alert_that_flutters_is_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_led_shows_what_is_asked_and_goes_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_come_and_go_and_each_change_is_said_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slow_lines_take_turns_and_little_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(problems_are_told_and_our_own_hold_is_none, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
