// SPDX-License-Identifier: Apache-2.0
// metering.c and record.c: the frames and their order, no joule lost when the spool is full, no allocation.
#define _GNU_SOURCE
#include "control.h"
#include "fake_sensor.h"
#include "log.h"
#include "metering.h"
#include "record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define START (1000 * JP_NS_PER_S)
#define FRAMES_MAX 8192

static char dir[64];
static struct fake_clock clk;
static struct fake_chip chip;
static struct fake_chip *chip_state = &chip;
static struct jp_config config;
static struct jp_plan *plan;
static volatile sig_atomic_t stop;
static bool opens_as_root;
static int64_t windows_to_go_ns;
static int window_ms, interval_ms, ends_with;
static struct jp_arrivals *arrivals;
static volatile bool counting; // the compiler knows malloc too well
static volatile long allocations;
static void *volatile kept;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

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

void *__wrap_realloc(void *old, size_t size)
{
    allocations += counting;
    return __real_realloc(old, size);
}

// 10 W on the counter, 5 W on the rail.
static int steady(struct fake_chip *self, int index, int64_t t_ns, int64_t *value)
{
    *value = self->info[index].kind == JP_ENERGY ? t_ns / 100 : 5000000;
    return 0;
}

static void (*each_wait)(void);

static void on_wait(struct fake_clock *clock, int64_t until_ns)
{
    (void)until_ns;
    if (each_wait)
        each_wait();
    if (clock->now_ns >= windows_to_go_ns)
        stop = 1;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/jp-metering-XXXXXX");
    assert_non_null(mkdtemp(dir));
    memset(&chip, 0, sizeof chip);
    jp_log_open("test", JP_LOG_ERROR);
    clk = fake_clock_at(START);
    clk.on_wait = on_wait;
    chip = (struct fake_chip){.clock = &clk, .count = 2, .value = steady};
    chip.info[0].kind = JP_POWER;
    chip.info[1].kind = JP_ENERGY;
    memset(&config, 0, sizeof config);
    snprintf(config.paths_hot, sizeof config.paths_hot, "%s/hot", dir);
    config.hot_max_bytes = 1048576;
    plan = calloc(1, sizeof *plan);
    window_ms = 1000;
    interval_ms = 200;
    ends_with = 0;
    arrivals = NULL;
    each_wait = NULL;
    counting = false;
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

static int find_one(const struct jp_site *site, struct jp_found *found, int max)
{
    (void)site;
    (void)found;
    return max > 0;
}

static const struct jp_driver late_driver = {.name = "late", .probe = find_one};

// One life of meter, `seconds` long.
static void live(uint64_t id, int64_t seconds)
{
    struct jp_metering metering = {.clock = &clk.door,
                                   .fs = &jp_fs_real,
                                   .entropy = &jp_entropy_real,
                                   .config = &config,
                                   .arrivals = arrivals,
                                   .plan = plan,
                                   .opens_as_root = opens_as_root,
                                   .stop = &stop};

    memset(plan, 0, sizeof *plan);
    plan->run.id = id;
    strcpy(plan->run.boot, "11111111-2222-3333-4444-555555555555");
    strcpy(plan->run.device, "bench");
    plan->run.window_ms = window_ms;
    plan->run.interval_ms = interval_ms;
    plan->run.block_windows = 10;
    plan->run.channel_count = 2;
    plan->run.total_known = true;
    plan->source_count = 1;
    plan->sources[0].driver = &fake_driver;
    plan->sources[0].state = &chip_state;
    plan->sources[0].count = 2;
    for (int i = 0; i < 2; i++) {
        strcpy(plan->run.channels[i].name, i ? "package-0" : "VDD_IN");
        plan->run.channels[i].kind = chip.info[i].kind;
        plan->run.channels[i].scale = 1;
        plan->run.channels[i].in_total = i == 1;
        plan->sources[0].channel[i] = i;
        plan->sources[0].gauge[i] = -1;
    }
    plan->range_uj[1] = 262143328850;
    stop = 0;
    windows_to_go_ns = clk.now_ns + seconds * JP_NS_PER_S;
    plan->asked[0] = (struct jp_asked){&late_driver, 0};
    plan->asked_count = 1;
    assert_int_equal(jp_metering_run(&metering), ends_with);
}

// What stands in the spool.
static struct {
    int type;
    uint64_t run, first, last;
    int64_t mj[2];
} seen[FRAMES_MAX];
static int seen_count;

static void see(const struct jp_frame *frame)
{
    static struct jp_run run;
    static struct jp_window window;
    static struct jp_gap gap;
    struct jp_event event;

    assert_true(seen_count < FRAMES_MAX);
    memset(&seen[seen_count], 0, sizeof seen[0]);
    seen[seen_count].type = frame->type;
    if (frame->type == JP_FRAME_RUN) {
        assert_int_equal(jp_run_decode(&run, frame->payload, frame->size), 0);
        seen[seen_count].run = run.id;
    } else if (frame->type == JP_FRAME_WINDOW) {
        assert_int_equal(jp_window_decode(&window, frame->payload, frame->size), 0);
        seen[seen_count].run = window.run;
        seen[seen_count].first = seen[seen_count].last = window.seq;
        for (int i = 0; i < 2; i++)
            seen[seen_count].mj[i] = window.channels[i].mj;
    } else if (frame->type == JP_FRAME_GAP) {
        assert_int_equal(jp_gap_decode(&gap, frame->payload, frame->size), 0);
        assert_string_equal(gap.reason, "hot_full");
        seen[seen_count].run = gap.run;
        seen[seen_count].first = gap.first_seq;
        seen[seen_count].last = gap.last_seq;
        memcpy(seen[seen_count].mj, gap.mj, sizeof seen[0].mj);
    } else if (frame->type == JP_FRAME_EVENT) {
        assert_int_equal(jp_event_decode(&event, frame->payload, frame->size), 0);
        assert_string_equal(event.kind, "run");
        seen[seen_count].run = event.run;
    }
    seen_count++;
}

static struct jp_pos read_spool(struct jp_pos from)
{
    struct jp_hot_reader reader;
    struct jp_frame frame;
    int found;

    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, config.paths_hot, from), 0);
    while ((found = jp_hot_reader_next(&reader, &frame)) == JP_HOT_FRAME) {
        see(&frame);
        from = frame.next;
    }
    assert_int_equal(found, JP_HOT_NOT_YET);
    jp_hot_reader_close(&reader);
    return from;
}

// Every sequence of the run once, in order, as a window or inside a gap; its joules added up.
static int64_t add_up(uint64_t run, int channel, uint64_t *next_seq)
{
    int64_t mj = 0;

    *next_seq = 0;
    for (int i = 0; i < seen_count; i++) {
        if (seen[i].run != run || (seen[i].type != JP_FRAME_WINDOW && seen[i].type != JP_FRAME_GAP))
            continue;
        assert_true(seen[i].first == *next_seq);
        *next_seq = seen[i].last + 1;
        mj += seen[i].mj[channel];
    }
    return mj;
}

static void frames_stand_in_their_order(void **state)
{
    uint64_t windows;

    (void)state;
    live(7, 20);
    seen_count = 0;
    read_spool((struct jp_pos){0, 0});
    assert_int_equal(seen[0].type, JP_FRAME_RUN);
    assert_int_equal(seen[1].type, JP_FRAME_ANCHOR);
    assert_int_equal(seen[seen_count - 1].type, JP_FRAME_SEAL);
    assert_true(llabs(add_up(7, 0, &windows) - 100000) <= 1000);
    assert_true(windows >= 20);
    assert_true(llabs(add_up(7, 1, &windows) - 200000) <= 4000);
    assert_true(access(config.paths_hot, F_OK) == 0);
}

static void restart_in_one_boot_loses_no_joule_of_a_counter(void **state)
{
    uint64_t windows;
    int64_t from_ns = clk.now_ns, mj;

    (void)state;
    live(7, 15);
    clk.now_ns += 40 * JP_NS_PER_S;
    live(8, 15);
    seen_count = 0;
    read_spool((struct jp_pos){0, 0});
    mj = add_up(7, 1, &windows) + add_up(8, 1, &windows);
    assert_true(llabs(mj - (clk.now_ns - from_ns) / 100000) <= 1);
}

static void step_of_the_wall_clock_gives_one_anchor(void **state)
{
    int anchors = 0;

    (void)state;
    live(7, 3);
    clk.real_offset_ns += 86400 * JP_NS_PER_S;
    live(8, 3);
    seen_count = 0;
    read_spool((struct jp_pos){0, 0});
    for (int i = 0; i < seen_count; i++)
        anchors += seen[i].type == JP_FRAME_ANCHOR;
    assert_in_range(anchors, 2, 4);
}

static void nobody_reads_and_the_joules_wait_in_a_gap(void **state)
{
    struct jp_pos read;
    uint64_t windows;
    int64_t from_ns = clk.now_ns, mj;
    int gaps = 0;

    (void)state;
    config.hot_max_bytes = 16384;
    live(7, 600);
    clk.now_ns += 5 * JP_NS_PER_S;
    live(8, 100); // the gap of run 7 waits on, another begins
    seen_count = 0;
    read = read_spool((struct jp_pos){0, 0});
    add_up(7, 1, &windows);
    assert_true(windows > 50 && windows < 600);
    config.hot_max_bytes = 1048576;
    clk.now_ns += 5 * JP_NS_PER_S;
    live(9, 100);
    read = read_spool(read);
    for (int i = 0; i < seen_count; i++)
        gaps += seen[i].type == JP_FRAME_GAP;
    assert_in_range(gaps, 2, 3); // the last room may take a gap and no window
    mj = add_up(7, 1, &windows);
    assert_true(windows >= 600);
    mj += add_up(8, 1, &windows);
    assert_true(windows >= 100);
    mj += add_up(9, 1, &windows);
    assert_true(llabs(mj - (clk.now_ns - from_ns) / 100000) <= 2);
    live(10, 1);
    read_spool(read);
    for (int i = 0; i < seen_count; i++)
        gaps -= seen[i].type == JP_FRAME_GAP;
    assert_int_equal(gaps, 0); // a later start says none again
}

static void add_a_device(void)
{
    char path[128];

    each_wait = NULL;
    snprintf(path, sizeof path, "mkdir -p %s/sys/class/hwmon/hwmon0", dir);
    assert_int_equal(system(path), 0);
}

static void more_sensors_close_the_run_and_the_next_goes_on(void **state)
{
    const struct jp_site site = {.root = dir};
    struct jp_arrivals later;
    int64_t from_ns = clk.now_ns, mj;
    uint64_t windows;

    (void)state;
    jp_arrivals_begin(&later, &site);
    arrivals = &later;
    each_wait = add_a_device;
    ends_with = JP_METERING_MORE;
    live(7, 60);
    assert_in_range(clk.now_ns - from_ns, 5 * JP_NS_PER_S, 12 * JP_NS_PER_S);
    ends_with = 0;
    live(8, 15); // the device is known now
    seen_count = 0;
    read_spool((struct jp_pos){0, 0});
    mj = add_up(7, 1, &windows) + add_up(8, 1, &windows);
    assert_true(llabs(mj - (clk.now_ns - from_ns) / 100000) <= 1);
    assert_true(llabs(add_up(7, 0, &windows) + add_up(8, 0, &windows) - (clk.now_ns - from_ns) / 200000) <= 10);
}

static void count_from_here(void)
{
    counting = true;
}

static void nothing_is_allocated_after_the_first_sample(void **state)
{
    const struct jp_site site = {.root = dir};
    struct jp_arrivals later;

    (void)state;
    jp_arrivals_begin(&later, &site);
    arrivals = &later;
    allocations = 0;
    each_wait = count_from_here;
    live(7, 200); // 1000 ticks, several segments
    counting = false;
    assert_true(clk.wakes >= 1000);
    assert_true(allocations == 0);
    counting = true;
    kept = malloc(1);
    free((void *)kept);
    counting = false;
    assert_true(allocations == 1); // the counter counts
}

static void one_wake_up_a_tick(void **state)
{
    (void)state;
    live(7, 200);
    assert_in_range(clk.wakes, 1000, 1050);
}

// A service manager: what it heard last, and the longest silence so far.
static int manager = -1, heard;
static int64_t heard_ns, silence_ns;

static void listen_in(void)
{
    char message[32];

    while (recv(manager, message, sizeof message, MSG_DONTWAIT) > 0) {
        silence_ns = clk.now_ns - heard_ns > silence_ns ? clk.now_ns - heard_ns : silence_ns;
        heard_ns = clk.now_ns;
        heard++;
    }
}

static void watchdog_hears_of_the_loop_however_seldom_it_samples(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    (void)state;
    snprintf(at.sun_path, sizeof at.sun_path, "%.60s/notify", dir);
    manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(manager, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", at.sun_path, 1), 0);
    assert_int_equal(setenv("WATCHDOG_USEC", "12000000", 1), 0);
    each_wait = listen_in;
    for (window_ms = interval_ms = 200; window_ms <= 60000; window_ms = interval_ms += 59800) {
        heard = 0;
        silence_ns = 0;
        heard_ns = clk.now_ns;
        clk.wakes = 0;
        live((uint64_t)window_ms, 600);
        assert_true(heard > 100);
        assert_true(silence_ns <= 8 * JP_NS_PER_S); // two of its three chances
        assert_true(clk.wakes <= (window_ms == 200 ? 3150 : 300));
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    close(manager);
}

// The counter goes away after 2 s and comes back after 5 s, for root alone.
static int denied(struct fake_chip *self, int index, int64_t t_ns, int64_t *value)
{
    int64_t age_ns = t_ns - START;

    steady(self, index, t_ns, value);
    if (index != 1 || age_ns < 2 * JP_NS_PER_S)
        return 0;
    return age_ns < 5 * JP_NS_PER_S ? ENODEV : EACCES;
}

static void begins_anew_for_what_only_root_may_open_where_that_helps(void **state)
{
    (void)state;
    chip.value = denied;
    live(1, 60);
    assert_true(clk.now_ns >= START + 60 * JP_NS_PER_S);
    clk = fake_clock_at(START);
    clk.on_wait = on_wait;
    opens_as_root = true;
    ends_with = JP_METERING_MORE;
    live(2, 60);
    opens_as_root = false;
    assert_true(clk.now_ns < START + 30 * JP_NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_stand_in_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(restart_in_one_boot_loses_no_joule_of_a_counter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(step_of_the_wall_clock_gives_one_anchor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_reads_and_the_joules_wait_in_a_gap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_sensors_close_the_run_and_the_next_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_allocated_after_the_first_sample, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_wake_up_a_tick, set_up, tear_down),
        cmocka_unit_test_setup_teardown(begins_anew_for_what_only_root_may_open_where_that_helps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(watchdog_hears_of_the_loop_however_seldom_it_samples, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
