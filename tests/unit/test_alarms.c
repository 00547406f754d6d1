// SPDX-License-Identifier: Apache-2.0
// Facts that change while meter runs: alarms and power modes become events, once each, and RUN says the present mode.
#define _GNU_SOURCE
#include "fake_sensor.h"
#include "hot.h"
#include "log.h"
#include "metering.h"
#include "power_mode.h"
#include "window.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define START (1000 * JP_NS_PER_S)
#define EVENTS_MAX 256

static char dir[64];
static struct jp_site site = {.root = dir};
static struct fake_clock clk;
static struct fake_chip chip;
static struct fake_chip *chip_state = &chip;
static struct jp_config config;
static struct jp_plan *plan;
static volatile sig_atomic_t stop;
static int64_t end_ns;
static volatile bool counting; // the compiler knows malloc too well
static volatile long allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations += counting;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations += counting;
    return __real_calloc(count, size);
}

// Levels by the second: what the gauge says from then on; -1 fails.
struct step {
    int second, level;
};

static const struct step *steps;
static void (*each_wait)(int second);

static int second_now(void)
{
    return (int)((clk.now_ns - START) / JP_NS_PER_S);
}

// A rail, its alarm, and another gauge with an event, which stays off.
static int scripted(struct fake_chip *self, int index, int64_t t_ns, int64_t *value)
{
    int level = 0;

    (void)self;
    if (index != 1) {
        *value = index == 0 ? 5000000 : 0;
        return 0;
    }
    for (int i = 0; steps && steps[i].second >= 0; i++)
        if ((t_ns - START) / JP_NS_PER_S >= steps[i].second)
            level = steps[i].level;
    *value = level * 1000;
    return level < 0 ? EAGAIN : 0;
}

static void on_wait(struct fake_clock *clock, int64_t until_ns)
{
    (void)until_ns;
    counting = false;
    if (each_wait)
        each_wait(second_now());
    counting = true;
    if (clock->now_ns >= end_ns)
        stop = 1;
}

// As nvpmodel may: an open descriptor would not see it.
static void put(const char *name, const char *text)
{
    char path[128], made[128];
    FILE *file;

    snprintf(path, sizeof path, "%s%s", dir, name);
    snprintf(made, sizeof made, "%s/new", dir);
    file = fopen(made, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(made, path), 0);
}

static int set_up(void **state)
{
    static const char *const folders[] = {"/etc", "/var", "/var/lib", "/var/lib/nvpmodel"};
    char path[128];

    (void)state;
    strcpy(dir, "/tmp/jp-alarms-XXXXXX");
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        snprintf(path, sizeof path, "%s%s", dir, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    jp_log_open("test", JP_LOG_ERROR);
    clk = fake_clock_at(START);
    clk.on_wait = on_wait;
    memset(&chip, 0, sizeof chip);
    chip = (struct fake_chip){.clock = &clk, .count = 3, .value = scripted};
    memset(&config, 0, sizeof config);
    snprintf(config.paths_hot, sizeof config.paths_hot, "%s/hot", dir);
    config.hot_max_bytes = 1048576;
    plan = calloc(1, sizeof *plan);
    plan->power_mode = -1;
    steps = NULL;
    each_wait = NULL;
    allocations = 0;
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    free(plan);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void add_gauge(int gauge, const char *name, const char *event, int watched)
{
    struct jp_source *source = &plan->sources[0];

    snprintf(plan->run.gauges[gauge].name, JP_NAME_MAX, "%s", name);
    snprintf(source->info[1 + gauge].event, sizeof source->info[0].event, "%s", event);
    source->info[1 + gauge].kind = chip.info[1 + gauge].kind = JP_GAUGE;
    source->channel[1 + gauge] = -1;
    source->gauge[1 + gauge] = gauge;
    plan->watched[gauge] = watched;
}

// One life of meter, `seconds` long.
static void live(int seconds)
{
    struct jp_metering metering = {.clock = &clk.door,
                                   .fs = &jp_fs_real,
                                   .entropy = &jp_entropy_real,
                                   .config = &config,
                                   .site = &site,
                                   .plan = plan,
                                   .stop = &stop};

    plan->run.id++;
    strcpy(plan->run.boot, "11111111-2222-3333-4444-555555555555");
    strcpy(plan->run.device, "bench");
    plan->run.window_ms = 1000;
    plan->run.interval_ms = 200;
    plan->run.block_windows = 10;
    plan->run.channel_count = 1;
    plan->run.gauge_count = 2;
    strcpy(plan->run.channels[0].name, "VDD_IN");
    plan->run.channels[0].scale = 1;
    plan->source_count = 1;
    plan->sources[0].driver = &fake_driver;
    plan->sources[0].state = &chip_state;
    plan->sources[0].count = 3;
    plan->sources[0].channel[0] = 0;
    plan->sources[0].gauge[0] = -1;
    add_gauge(0, "VDD_IN_alarm", "over_current", 0);
    add_gauge(1, "throttle_cpu", "throttle", -1);
    stop = 0;
    end_ns = clk.now_ns + seconds * JP_NS_PER_S;
    assert_int_equal(jp_metering_run(&metering), 0);
    counting = false;
}

// What the spool holds beside windows.
static struct {
    struct jp_event event;
    int second; // of the start of the window that it came after
} got[EVENTS_MAX];
static int got_count;
static char modes[8][JP_NAME_MAX]; // that RUNs say, changes only
static int mode_count;

static void see_run(const struct jp_frame *frame)
{
    static struct jp_run run;

    assert_int_equal(jp_run_decode(&run, frame->payload, frame->size), 0);
    if (mode_count == 0 || strcmp(modes[mode_count - 1], run.facts.power_mode) != 0)
        strcpy(modes[mode_count++ % 8], run.facts.power_mode);
}

static void read_spool(void)
{
    struct jp_hot_reader reader;
    struct jp_window window = {.t0_ms = START / JP_NS_PER_MS};
    struct jp_frame frame;
    int found;

    got_count = mode_count = 0;
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, config.paths_hot, (struct jp_pos){0, 0}), 0);
    while ((found = jp_hot_reader_next(&reader, &frame)) == JP_HOT_FRAME) {
        if (frame.type == JP_FRAME_RUN)
            see_run(&frame);
        if (frame.type == JP_FRAME_WINDOW)
            assert_int_equal(jp_window_decode(&window, frame.payload, frame.size), 0);
        if (frame.type != JP_FRAME_EVENT)
            continue;
        assert_int_equal(jp_event_decode(&got[got_count].event, frame.payload, frame.size), 0);
        if (strcmp(got[got_count].event.kind, "run") == 0)
            continue;
        got[got_count++].second = (int)((window.t0_ms - START / JP_NS_PER_MS) / 1000);
    }
    assert_int_equal(found, JP_HOT_NOT_YET);
    jp_hot_reader_close(&reader);
}

static void expect(int i, int second, const char *state, int level)
{
    char detail[128];

    assert_true(i < got_count);
    snprintf(detail, sizeof detail, "{\"gauge\":\"VDD_IN_alarm\",\"state\":\"%s\",\"level\":%d}", state, level);
    assert_string_equal(got[i].event.detail, detail);
    assert_string_equal(got[i].event.kind, "over_current");
    assert_string_equal(got[i].event.channel, "VDD_IN");
    assert_int_equal(got[i].second, second);
}

static void an_alarm_is_told_when_it_comes_and_when_it_has_gone(void **state)
{
    static const struct step script[] = {{10, 1}, {20, 0}, {-1, 0}};

    (void)state;
    steps = script;
    live(40);
    read_spool();
    assert_int_equal(got_count, 2);
    expect(0, 9, "on", 1);
    expect(1, 24, "off", 0);
    assert_int_equal(allocations, 0);
}

static void an_alarm_that_flutters_is_one_and_a_graver_level_another(void **state)
{
    static const struct step script[] = {{5, 1},  {6, 0},  {7, 1},  {8, 0},  {10, 1}, {12, 2},
                                         {13, 1}, {14, 2}, {16, 1}, {18, 0}, {-1, 0}};

    (void)state;
    steps = script;
    live(40);
    read_spool();
    assert_int_equal(got_count, 3);
    expect(0, 4, "on", 1);
    expect(1, 11, "on", 2);
    expect(2, 22, "off", 0);
}

static void what_cannot_be_read_is_neither_on_nor_off(void **state)
{
    static const struct step script[] = {{0, -1}, {5, 1}, {8, -1}, {30, 1}, {35, -1}, {-1, 0}};

    (void)state;
    steps = script;
    live(50);
    read_spool();
    assert_int_equal(got_count, 1);
    expect(0, 4, "on", 1);
}

static void an_alarm_that_is_on_at_the_start_is_told_by_each_run(void **state)
{
    static const struct step script[] = {{0, 1}, {-1, 0}};

    (void)state;
    steps = script;
    live(10);
    clk.now_ns = START + 20 * JP_NS_PER_S;
    live(10);
    read_spool();
    assert_int_equal(got_count, 2);
    expect(0, 0, "on", 1);
    assert_int_equal(got[1].event.run, plan->run.id);
}

static void release_late(int second)
{
    uint64_t next, highest;

    if (second != 250)
        return;
    assert_int_equal(jp_segment_find(&jp_fs_real, config.paths_hot, 0, &next, &highest), 0);
    assert_true(jp_hot_release(&jp_fs_real, config.paths_hot, (struct jp_pos){highest, 0}) >= 0);
}

// Ever higher levels take the room that is too small for a window; the last ones are told when post has made some.
static void an_alarm_that_finds_no_room_is_told_as_soon_as_there_is_some(void **state)
{
    static struct step script[201];
    char detail[128];

    (void)state;
    for (int i = 0; i < 200; i++)
        script[i] = (struct step){i, i + 1};
    script[200] = (struct step){-1, 0};
    steps = script;
    config.hot_max_bytes = 16384;
    each_wait = release_late;
    live(300);
    read_spool();
    snprintf(detail, sizeof detail, "{\"gauge\":\"VDD_IN_alarm\",\"state\":\"on\",\"level\":200}");
    assert_true(got_count > 0 && got_count < 200);
    assert_string_equal(got[got_count - 1].event.detail, detail);
    assert_in_range(got[got_count - 1].event.boot_ms, (START + 250 * JP_NS_PER_S) / JP_NS_PER_MS,
                    (START + 253 * JP_NS_PER_S) / JP_NS_PER_MS);
}

static void change_modes(int second)
{
    if (second == 12)
        put("/var/lib/nvpmodel/status", "pmode:0002 fmode:quiet");
    else if (second == 22)
        put("/var/lib/nvpmodel/status", "pmo"); // half written: no change
    else if (second == 32)
        put("/var/lib/nvpmodel/status", "pmode:0007");
    else if (second == 42)
        put("/var/lib/nvpmodel/status", "pmode:0000");
}

static void a_change_of_the_power_mode_is_an_event_and_run_says_the_present_one(void **state)
{
    (void)state;
    put("/etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=2 NAME=MODE_30W >\n");
    put("/var/lib/nvpmodel/status", "pmode:0000");
    plan->power_mode = 0;
    strcpy(plan->run.facts.power_mode, "MAXN");
    each_wait = change_modes;
    live(60);
    read_spool();
    assert_int_equal(got_count, 3);
    assert_string_equal(got[0].event.kind, "power_mode");
    assert_string_equal(got[0].event.channel, "");
    assert_string_equal(got[0].event.detail, "{\"from\":\"MAXN\",\"to\":\"MODE_30W\",\"id\":2}");
    assert_in_range(got[0].second, 11, 17);
    assert_string_equal(got[1].event.detail, "{\"from\":\"MODE_30W\",\"to\":null,\"id\":7}");
    assert_string_equal(got[2].event.detail, "{\"from\":null,\"to\":\"MAXN\",\"id\":0}");
    assert_int_equal(mode_count, 4);
    assert_string_equal(modes[1], "MODE_30W");
    assert_string_equal(modes[2], "");
    assert_string_equal(modes[3], "MAXN");
    assert_int_equal(allocations, 0);
}

static void put_trace(int mode)
{
    char text[256];

    snprintf(text, sizeof text,
             "joulepost-trace 2\nfile /etc/nvpmodel.conf < POWER_MODEL ID=2 NAME=A >\n"
             "file /var/lib/nvpmodel/status pmode:%04d\nperiod_ms 200\nchannel VDD_IN power\nrows\n0 0 1\n",
             mode);
    put("/trace", text);
}

static void rewrite_trace(int second)
{
    if (second == 12)
        put_trace(2);
}

// Opening a file of it allocates.
static void the_mode_of_a_trace_is_not_looked_for_again(void **state)
{
    char path[128];

    (void)state;
    put_trace(0);
    snprintf(path, sizeof path, "%s/trace", dir);
    site.root = path;
    assert_true(jp_power_mode_here(&site));
    plan->power_mode = 0;
    each_wait = rewrite_trace;
    live(30);
    site.root = dir;
    read_spool();
    assert_int_equal(got_count, 0);
}

static void write_status_late(int second)
{
    if (second == 3)
        put("/var/lib/nvpmodel/status", "pmode:0002");
}

static void a_mode_that_is_set_late_in_boot_is_seen(void **state)
{
    (void)state;
    put("/etc/nvpmodel.conf", "< POWER_MODEL ID=2 NAME=MODE_30W >\n");
    each_wait = write_status_late;
    live(15);
    read_spool();
    assert_int_equal(got_count, 1);
    assert_string_equal(got[0].event.detail, "{\"from\":null,\"to\":\"MODE_30W\",\"id\":2}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_alarm_is_told_when_it_comes_and_when_it_has_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_alarm_that_flutters_is_one_and_a_graver_level_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_neither_on_nor_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_alarm_that_is_on_at_the_start_is_told_by_each_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_alarm_that_finds_no_room_is_told_as_soon_as_there_is_some, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_change_of_the_power_mode_is_an_event_and_run_says_the_present_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_mode_of_a_trace_is_not_looked_for_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mode_that_is_set_late_in_boot_is_seen, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
