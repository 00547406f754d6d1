// SPDX-License-Identifier: Apache-2.0
// The post half over many runs: their numbers, who was before, which RUN is in force after a kill, and what a
// collector's word means for runs long gone.
#define _GNU_SOURCE
#include "post_subscriber.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "log.h"
#include "make_windows.h"

#include <cmocka.h>

#define RUN 0x51

static struct world *world;
static struct subscriber got;

static int setup(void **state)
{
    (void)state;
    world = world_new(2, 10);
    world_start_meter(world, RUN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_delete(world);
    return 0;
}

static void take(void)
{
    subscriber_take(&got, world, 0);
}

static int windows_of(uint64_t run)
{
    const struct subscriber_run *found = subscriber_run(&got, run);

    return found ? found->windows : 0;
}

static int64_t spool_bytes(void)
{
    return jp_hot_bytes(&jp_fs_real, world->config.paths_spool);
}

// `count` runs of ten windows each, the first of them RUN, none ended as it should.
static void measure_runs(int count)
{
    world->metering = false;
    for (int i = 0; i < count; i++) {
        if (i > 0)
            world_start_meter(world, RUN + (uint64_t)i);
        for (int k = 0; k < 10; k++)
            world_append_window(world);
    }
}

static void runs_of_a_time_without_post_get_their_numbers_in_order(void **state)
{
    (void)state;
    measure_runs(26);
    world->each_second = world_go_up;
    world_post(world, 60, true);
    take();
    for (int i = 0; i < 26; i++) {
        const struct subscriber_run *run = subscriber_run(&got, RUN + (uint64_t)i);

        assert_non_null(run);
        assert_int_equal(run->windows, 10);
        assert_int_equal(run->run_no, i + 1);
        assert_true(i == 0 || (run->prev_known && run->prev_run == RUN + (uint64_t)i - 1 && run->prev_seq == 9));
    }
    assert_true(got.ordered);
}

static void ack_the_newest(struct world *w)
{
    char text[80];
    int n;

    world_go_up(w);
    if (w->seconds % 20 != 19)
        return;
    take();
    if (got.run_count == 0)
        return;
    n = snprintf(text, sizeof text, "{\"run\":\"%016llx\",\"upto\":%llu}",
                 (unsigned long long)got.runs[got.run_count - 1].id,
                 (unsigned long long)got.runs[got.run_count - 1].last_seq);
    world_incoming(w, "ack", text, (size_t)n);
}

static void a_word_frees_runs_however_long_gone(void **state)
{
    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    for (int i = 0; i < 90; i++) { // more than the state remembers
        if (i > 0)
            world_start_meter(world, RUN + (uint64_t)i);
        world->metering = true;
        world->up = false;
        world->each_second = NULL;
        world_post(world, 31, true);
    }
    world->metering = false;
    world->each_second = ack_the_newest;
    world_post(world, 400, true);
    take();
    for (int i = 0; i < 90; i++)
        assert_true(windows_of(RUN + (uint64_t)i) >= 30);
    assert_true(spool_bytes() <= 65536); // all but the open segment
}

static void kill_after_three(struct world *w)
{
    w->disk_error = -ENOSPC;
    world_go_up(w);
}

static void the_run_in_force_survives_a_kill_while_another_waits(void **state)
{
    (void)state;
    world->config.mqtt.backlog_blocks_per_s = 1;
    world->metering = false;
    for (int i = 0; i < 50; i++)
        world_append_window(world);
    world_stop_meter(world);
    world_start_meter(world, RUN + 1);
    for (int i = 0; i < 10; i++)
        world_append_window(world);
    world->disk_error = -ENOSPC;
    world->each_second = kill_after_three;
    assert_true(world_post_forked(world, 60, world->seconds + 4));
    world->disk_error = 0;
    world->each_second = world_go_up;
    world_post(world, 60, true);
    take();
    assert_int_equal(windows_of(RUN), 50);
    assert_int_equal(windows_of(RUN + 1), 10);
}

static int64_t most_bytes;

static void restart_meter(struct world *w)
{
    int64_t bytes = spool_bytes();

    world_go_up(w);
    most_bytes = bytes > most_bytes ? bytes : most_bytes;
    if (w->seconds == 33)
        world_start_meter(w, RUN + 1);
}

static void a_restart_of_meter_writes_no_records_to_flash(void **state)
{
    (void)state;
    most_bytes = 0;
    world->each_second = restart_meter;
    world_post(world, 95, true);
    assert_int_equal(most_bytes, 0);
    take();
    assert_int_equal(windows_of(RUN), 33);
    assert_int_equal(windows_of(RUN + 1), 60);
}

static void a_run_without_windows_ends_no_other(void **state)
{
    struct jp_event event = {.kind = "run", .run = RUN + 1, .detail = "{\"action\":\"stop\"}"};
    uint8_t bytes[256];
    const struct subscriber_run *run;

    (void)state;
    measure_runs(1);
    world_start_meter(world, RUN + 1);
    world_append(world, JP_FRAME_EVENT, bytes, jp_event_encode(&event, bytes, sizeof bytes));
    world_start_meter(world, RUN + 2);
    for (int k = 0; k < 10; k++)
        world_append_window(world);
    world->each_second = world_go_up;
    world_post(world, 20, true);
    take();
    run = subscriber_run(&got, RUN + 2);
    assert_true(run->prev_known && run->prev_run == RUN && !run->prev_clean);
}

static void be_away_until_20(struct world *w)
{
    w->away = w->seconds < 20;
    world_go_up(w);
}

// What was there before is older than all that was sent meanwhile, and not to be passed over with it.
static void a_spool_that_comes_late_is_sent_whole(void **state)
{
    (void)state;
    world_post(world, 1505, true);
    world_reboot(world);
    world_start_meter(world, RUN + 1);
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->config.mqtt.ack_timeout_s = 3;
    world->away = true;
    world->each_second = be_away_until_20;
    world_post(world, 200, true);
    take();
    assert_int_equal(windows_of(RUN), 1500);
    assert_true(windows_of(RUN + 1) >= 190);
}

static void numbers_go_on_from_a_state_that_comes_late(void **state)
{
    const struct subscriber_run *run;

    (void)state;
    measure_runs(5);
    world->each_second = world_go_up;
    world_post(world, 20, true);
    world_reboot(world);
    world_start_meter(world, RUN + 5);
    world->metering = true;
    world->up = false;
    world->away = true;
    world->each_second = be_away_until_20;
    world->seconds = 0;
    world_post(world, 90, true);
    world_start_meter(world, RUN + 6);
    world->each_second = world_go_up;
    world->up = false;
    world_post(world, 25, true);
    take();
    run = subscriber_run(&got, RUN + 6);
    assert_true(run->run_no >= 6);
    assert_true(run->prev_known && run->prev_run == RUN + 5);
}

// After a power cut the registers wait for meter's first run: that is no reason to wake.
static void registers_that_wait_cost_few_wakes(void **state)
{
    (void)state;
    world->each_second = world_go_up;
    assert_true(world_post_forked(world, 200, 100));
    world_reboot(world);
    world->metering = false;
    world->lag_ms = 100;
    world->wakes = 0;
    world_post(world, 100, true);
    assert_in_range(world->wakes, 1, 40);
}

static void a_gap_on_flash_that_is_refused_outlives_a_kill(void **state)
{
    static struct jp_gap gap; // large
    uint8_t bytes[512];

    (void)state;
    make_window(&world->window, &world->run, 40);
    jp_gap_fold(&gap, &world->run, &world->window, "hot_full");
    world_append(world, JP_FRAME_GAP, bytes, jp_gap_encode(&gap, bytes, sizeof bytes));
    world_post(world, 45, true); // offline
    world->deny = "gap";
    world->metering = false;
    world->each_second = world_go_up;
    world_post_forked(world, 60, world->seconds + 30);
    assert_int_equal(subscriber_count(world, "gap"), 0);
    world->deny = NULL;
    world_post(world, 20, true);
    assert_int_equal(subscriber_count(world, "gap"), 1);
}

static void deny_events_for_a_while(struct world *w)
{
    w->deny = w->seconds < 60 ? "event" : NULL;
    world_go_up(w);
}

// The event of the first boot, refused at first, when the clock of the second stands elsewhere.
static void what_stands_aside_keeps_its_time(void **state)
{
    int told = 0;

    (void)state;
    world_post(world, 45, true);
    world_stop_meter(world);
    world_post(world, 2, true);
    world_reboot(world);
    world_start_meter(world, RUN + 1);
    world_anchor(world, JP_CLOCK_SYNCED, 7000000000000);
    world->metering = true;
    world->each_second = deny_events_for_a_while;
    world->up = false;
    world_post(world, 60, true);
    for (int i = 0; i < world->log->count; i++) {
        const struct world_message *message = &world->log->messages[i];
        json_t *json;

        if (strcmp(message->leaf, "event") != 0 || !message->delivered)
            continue;
        json = subscriber_json(world, message);
        if (strcmp(json_string_value(json_object_get(json, "run")), "0000000000000051") == 0) {
            assert_in_range(json_integer_value(json_object_get(json, "t_ms")), 4000000000000, 4000001000000);
            told++;
        }
        json_decref(json);
    }
    assert_true(told >= 1);
}

// Meter says RUN once more, as the power mode has changed.
static void change_mode(struct world *w, const char *mode)
{
    static uint8_t bytes[16384];

    snprintf(w->run.facts.power_mode, sizeof w->run.facts.power_mode, "%s", mode);
    world_append(w, JP_FRAME_RUN, bytes, jp_run_encode(&w->run, bytes, sizeof bytes));
}

static void change_mode_at_20(struct world *w)
{
    world_go_up(w);
    if (w->seconds == 20)
        change_mode(w, "MODE_30W");
}

static int metas(void)
{
    int count = 0;

    for (int i = 0; i < world->log->count; i++)
        count += strcmp(world->log->messages[i].leaf, "meta") == 0;
    return count;
}

static bool meta_says(const char *mode)
{
    const struct world_message *last = world_last(world, "meta");
    char text[64];
    size_t size = (size_t)snprintf(text, sizeof text, mode ? "\"power_mode\":\"%s\"" : "\"power_mode\":null", mode);

    assert_non_null(last);
    return memmem(world->log->arena + last->at, last->size, text, size) != NULL;
}

static void a_new_power_mode_is_in_meta_at_once_and_after_a_restart_of_post(void **state)
{
    int before;

    (void)state;
    world->metering = true;
    world->each_second = world_go_up;
    world_post(world, 15, true);
    assert_true(meta_says(NULL));
    before = metas();
    world->up = false;
    world->each_second = change_mode_at_20;
    world_post(world, 60, true);
    assert_true(meta_says("MODE_30W"));
    assert_int_equal(metas(), before + 2); // at the connection, and at the change
    world->up = false;
    world->each_second = world_go_up;
    world_post(world, 3, true); // what it reads from now on says no mode
    assert_true(meta_says("MODE_30W"));
    assert_int_equal(metas(), before + 3);
    take();
    assert_int_equal(got.run_count, 1); // it is no other run
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(runs_of_a_time_without_post_get_their_numbers_in_order),
        TEST(a_word_frees_runs_however_long_gone),
        TEST(the_run_in_force_survives_a_kill_while_another_waits),
        TEST(a_restart_of_meter_writes_no_records_to_flash),
        TEST(a_run_without_windows_ends_no_other),
        TEST(a_spool_that_comes_late_is_sent_whole),
        TEST(numbers_go_on_from_a_state_that_comes_late),
        TEST(registers_that_wait_cost_few_wakes),
        TEST(a_gap_on_flash_that_is_refused_outlives_a_kill),
        TEST(what_stands_aside_keeps_its_time),
        TEST(a_new_power_mode_is_in_meta_at_once_and_after_a_restart_of_post),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
