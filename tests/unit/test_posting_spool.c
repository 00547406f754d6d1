// SPDX-License-Identifier: Apache-2.0
// The post half without a broker for a while: the durable spool, restarts, reboots, power cuts, full and broken disks.
#define _GNU_SOURCE
#include "post_subscriber.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "make_windows.h"

#include <cmocka.h>

#define RUN 0x51
#define LOSS_WINDOWS 20 // block_windows 10 and ack_timeout_s 10, in windows of a second

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

// Every window of a run up to `windows`, each once by its name, or in a gap; joules as the run's own cumulative.
static void assert_balanced(uint64_t id, int windows)
{
    static struct jp_run made;
    static struct jp_window window;
    const struct subscriber_run *run = subscriber_run(&got, id);

    assert_non_null(run);
    for (int seq = 0; seq < windows; seq++)
        assert_true(run->seen[seq] != run->in_gap[seq]);
    make_run(&made, id, 2, 10);
    make_window(&window, &made, (uint64_t)windows - 1);
    for (int c = 0; c < 2; c++)
        assert_int_equal(run->mj[c] + run->gap_mj[c], window.channels[c].run_mj);
    assert_false(got.differing);
}

static double status_number(const char *group, const char *name)
{
    const struct world_message *message = NULL;
    json_t *json;
    double value;

    for (int i = world->log->count - 1; i >= 0 && !message; i--)
        if (strcmp(world->log->messages[i].leaf, "status") == 0 && world->log->messages[i].size > 30)
            message = &world->log->messages[i];
    assert_non_null(message);
    json = subscriber_json(world, message);
    value = json_number_value(json_object_get(json_object_get(json, group), name));
    json_decref(json);
    return value;
}

static bool degraded(const char *word)
{
    bool found = false;

    for (int i = 0; i < world->log->count; i++) {
        const struct world_message *message = &world->log->messages[i];
        json_t *json, *one;
        size_t n;

        if (strcmp(message->leaf, "status") != 0)
            continue;
        json = subscriber_json(world, message);
        found = false;
        json_array_foreach(json_object_get(json, "degraded"), n, one) found |=
            strcmp(json_string_value(one), word) == 0;
        json_decref(json);
        if (found)
            return true;
    }
    return false;
}

static int64_t spool_bytes(void)
{
    return jp_hot_bytes(&jp_fs_real, world->config.paths_spool);
}

// Offline ----------------------------------------------------------------------------------------
static void what_cannot_be_sent_goes_to_flash_and_arrives_later(void **state)
{
    (void)state;
    assert_int_equal(world_post(world, 205, true), 0);
    assert_true(spool_bytes() > 0);
    assert_int_equal(world->log->count, 0);
    world->metering = false;
    world->each_second = world_go_up;
    world_post(world, 20, true);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 200);
    assert_true(got.ordered && subscriber_run(&got, RUN)->doubled == 0);
}

static void one_block_costs_one_sync(void **state)
{
    int before;

    (void)state;
    world->config.mqtt.ack_timeout_s = 3;
    world_post(world, 60, true);
    before = world->syncs;
    world_post(world, 1000, true);
    // 100 blocks, a header and a spare now and then, the state at start and end
    assert_in_range(world->syncs - before, 100, 120);
}

static void down_for_five_seconds(struct world *w)
{
    if (w->seconds == 50)
        world_say(w, JP_NEWS_DOWN, 0);
    else if (w->seconds < 50 || w->seconds > 55)
        world_go_up(w);
}

static void a_short_outage_writes_no_records_to_flash(void **state)
{
    (void)state;
    world->each_second = down_for_five_seconds;
    world_post(world, 105, true);
    assert_int_equal(spool_bytes(), 0);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 100);
}

static void status_counts_what_is_pending_and_written(void **state)
{
    (void)state;
    world_post(world, 105, true);
    world->metering = false;
    world->each_second = world_go_up;
    world->refusals = -1;
    world->refuse = 0x97;
    world->config.mqtt.status_s = 1;
    world_post(world, 10, true);
    assert_true(status_number("pending", "windows") == 105.0);
    assert_true(status_number("pending", "bytes") > 500.0);
    assert_true(status_number("cost", "flash_bytes") > 0);
    world->refusals = 0;
    world->up = false;
    world_post(world, 30, true);
    assert_true(status_number("pending", "windows") == 5.0); // an open block
}

static void live_stays_fresh_while_a_backlog_is_sent(void **state)
{
    const struct world_message *live;
    json_t *json;

    (void)state;
    world->config.mqtt.backlog_blocks_per_s = 1;
    world_post(world, 600, true);
    world->each_second = world_go_up;
    world_post(world, 40, true);
    live = world_last(world, "live");
    json = subscriber_json(world, live);
    assert_true(json_integer_value(json_object_get(json, "seq")) >= 625);
    json_decref(json);
    subscriber_take(&got, world, 0);
    assert_in_range(subscriber_run(&got, RUN)->windows, 300, 500);
    assert_true(got.ordered);
}

static void history_is_kept_when_all_is_to_be_kept(void **state)
{
    int64_t full;

    (void)state;
    world->config.spool.keep_all = true;
    world->each_second = world_go_up;
    world_post(world, 205, true);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 200);
    full = spool_bytes();
    assert_true(full > 0);
    world->up = false;
    world->metering = false;
    world_post(world, 30, true);
    assert_true(spool_bytes() >= full);
    got.ordered = true;
    subscriber_take(&got, world, 0);
    assert_int_equal(subscriber_run(&got, RUN)->doubled, 0);
}

static void a_logger_keeps_what_it_measures(void **state)
{
    (void)state;
    world_post(world, 105, false);
    assert_true(spool_bytes() > 0);
    world->metering = false;
    world->each_second = world_go_up;
    world_post(world, 20, true);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 100);
}

static void hang_between_30_and_60(struct world *w)
{
    world_go_up(w);
    w->answer = w->seconds < 30 || w->seconds > 60;
}

// A message ends in the middle of a block, which goes to flash while it is under way.
static void a_part_under_way_costs_no_window_when_its_block_moves(void **state)
{
    static bool seen[256];
    int n = 0;

    (void)state;
    memset(seen, 0, sizeof seen);
    world->config.mqtt.format = JP_RECORDS_JSON;
    world->config.mqtt.status_s = 5;
    world->max_packet = 1200;
    world->each_second = hang_between_30_and_60;
    world_post(world, 205, true);
    for (int i = 0; i < world->log->count; i++) {
        json_t *array, *window;
        size_t at;

        if (strcmp(world->log->messages[i].leaf, "records") != 0 || !world->log->messages[i].delivered)
            continue;
        array = subscriber_json(world, &world->log->messages[i]);
        assert_true(json_array_size(array) < 10);
        json_array_foreach(array, at, window) seen[json_integer_value(json_object_get(window, "seq"))] = true;
        json_decref(array);
    }
    for (int i = 0; i < 200; i++)
        n += seen[i];
    assert_int_equal(n, 200);
    assert_true(status_number("cost", "flash_bytes") > 60000); // it did move
}

static void remove_the_spool_at_105(struct world *w)
{
    char command[JP_PATH_MAX + 16];

    snprintf(command, sizeof command, "rm -r %s", w->config.paths_spool);
    if (w->seconds == 105)
        assert_int_equal(system(command), 0);
}

// By somebody who made room: what comes after has to be kept all the same.
static void a_spool_that_was_removed_begins_anew(void **state)
{
    const struct subscriber_run *run;

    (void)state;
    world->each_second = remove_the_spool_at_105;
    world_post(world, 305, true);
    assert_true(spool_bytes() > 0);
    world->metering = false;
    world->each_second = world_go_up;
    world_post(world, 20, true);
    subscriber_take(&got, world, 0);
    run = subscriber_run(&got, RUN);
    for (int seq = 110; seq < 300; seq++)
        assert_true(run->seen[seq]);
}

static void starts_cost_no_room(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        world_post(world, 12, true);
    assert_true(spool_bytes() > 1000 && spool_bytes() < 40000);
}

// Restarts ---------------------------------------------------------------------------------------
static void kills_lose_nothing_and_store_nothing_twice(void **state)
{
    int killed = 0;

    (void)state;
    for (int turn = 0; turn < 12; turn++) {
        killed += world_post_forked(world, 60, world->seconds + 23 + turn);
        world_start_meter(world, RUN + 1 + (uint64_t)turn);
    }
    assert_int_equal(killed, 12);
    world->metering = false;
    world->each_second = world_go_up;
    world_post(world, 20, true);
    subscriber_take(&got, world, 0);
    assert_true(got.ordered);
    for (int turn = 0; turn < 12; turn++) {
        const struct subscriber_run *run = subscriber_run(&got, RUN + (uint64_t)turn);

        assert_non_null(run);
        assert_int_equal(run->doubled, 0);
        assert_int_equal(run->run_no, turn + 1);
        assert_true(turn == 0 || (run->prev_known && run->prev_run == RUN + (uint64_t)turn - 1));
        assert_balanced(RUN + (uint64_t)turn, run->windows);
        assert_in_range(run->windows, 22, 35);
    }
}

static void a_clean_reboot_loses_nothing(void **state)
{
    const struct subscriber_run *run;

    (void)state;
    world_post(world, 45, true);
    world_stop_meter(world);
    world_post(world, 2, true);
    world_reboot(world);
    world_start_meter(world, RUN + 1);
    world->metering = true;
    world->each_second = world_go_up;
    world_post(world, 33, true);
    subscriber_take(&got, world, 0);
    assert_true(got.ordered);
    assert_balanced(RUN, 45);
    assert_balanced(RUN + 1, 30);
    run = subscriber_run(&got, RUN + 1);
    assert_int_equal(run->run_no, 2);
    assert_true(run->prev_known && run->prev_clean && run->prev_run == RUN && run->prev_seq == 44);
}

static void a_power_cut_loses_no_more_than_it_may_and_is_told(void **state)
{
    const struct subscriber_run *run, *before;

    (void)state;
    assert_true(world_post_forked(world, 200, 158));
    world_reboot(world);
    world_start_meter(world, RUN + 1);
    world->next_seq = 0;
    world->each_second = world_go_up;
    world_post(world, 33, true);
    subscriber_take(&got, world, 0);
    before = subscriber_run(&got, RUN);
    assert_in_range(before->windows, 158 - LOSS_WINDOWS, 158);
    assert_balanced(RUN, before->windows);
    run = subscriber_run(&got, RUN + 1);
    assert_true(run->prev_known && !run->prev_clean && run->prev_run == RUN);
    assert_int_equal(run->prev_seq, before->last_seq);
}

// Clocks -----------------------------------------------------------------------------------------
static void a_boot_that_learned_the_time_late_is_repaired_from_flash(void **state)
{
    (void)state;
    world_anchor(world, JP_CLOCK_UNSYNCED, 77);
    world_post(world, 105, true);
    world_anchor(world, JP_CLOCK_SYNCED, 5000000000000);
    world_post(world, 40, true);
    world_stop_meter(world);
    world_post(world, 2, true);
    world_reboot(world);
    world_start_meter(world, RUN + 1); // never set: its own anchor is taken back
    world_anchor(world, JP_CLOCK_UNSYNCED, 99);
    world->metering = true;
    world_post(world, 45, true);
    world_stop_meter(world);
    world_post(world, 2, true);
    world_reboot(world);
    world_start_meter(world, RUN + 2);
    world->metering = true;
    world->each_second = world_go_up;
    world_post(world, 25, true);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 145);
    assert_string_equal(subscriber_run(&got, RUN)->first_clock, "estimated");
    assert_string_equal(subscriber_run(&got, RUN)->clock, "synced");
    assert_true(subscriber_run(&got, RUN)->off_ms == 5000000000000);
    assert_string_equal(subscriber_run(&got, RUN + 1)->clock, "unsynced");
    assert_true(subscriber_run(&got, RUN + 1)->off_ms == 99);
    assert_string_equal(subscriber_run(&got, RUN + 2)->clock, "synced");
    assert_true(got.ordered);
}

// The collector ----------------------------------------------------------------------------------
static void ack(uint64_t run, unsigned upto)
{
    char text[80];
    int n = snprintf(text, sizeof text, "{\"run\":\"%016llx\",\"upto\":%u}", (unsigned long long)run, upto);

    world_incoming(world, "ack", text, (size_t)n);
}

static void ack_at_100(struct world *w)
{
    world_go_up(w);
    if (w->seconds == 100)
        ack(RUN, 69);
}

static void only_the_collectors_word_releases(void **state)
{
    int first;

    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->each_second = ack_at_100;
    world_post(world, 105, true);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 100);
    assert_true(spool_bytes() > 0); // delivered, and not confirmed within ack_timeout_s
    first = world->log->count;
    world->metering = false;
    world->up = false;
    world->each_second = world_go_up;
    world_post(world, 20, true);
    subscriber_take(&got, world, first);
    assert_int_equal(subscriber_run(&got, RUN)->doubled, 30); // 70 were confirmed
    assert_false(got.differing);
}

static void ack_each_block(struct world *w)
{
    world_go_up(w);
    if (w->seconds % 10 == 3 && w->seconds > 20)
        ack(RUN, (unsigned)w->seconds / 10 * 10 - 1);
}

static void what_the_collector_confirms_in_time_never_reaches_flash(void **state)
{
    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->each_second = ack_each_block;
    world_post(world, 105, true);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 100);
    assert_int_equal(subscriber_run(&got, RUN)->doubled, 0);
    world->metering = false;
    world->each_second = world_go_up;
    world->up = false;
    world_post(world, 5, true);
    got.ordered = true;
    subscriber_take(&got, world, 0);
    assert_true(subscriber_run(&got, RUN)->doubled <= 10); // the last may not have been confirmed
}

static void a_collector_that_stays_silent_is_sent_all_again(void **state)
{
    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->config.mqtt.retry_max_s = 60;
    world->each_second = world_go_up;
    world_post(world, 205, true);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 200);
    assert_true(subscriber_run(&got, RUN)->doubled >= 60);
}

// More than the marks hold is waiting: what cannot be sent costs nothing.
static void a_collector_that_stays_silent_costs_few_wakes(void **state)
{
    int before;

    (void)state;
    world->metering = false;
    for (int i = 0; i < 4000; i++)
        world_append_window(world);
    world_post(world, 30, true);
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->config.mqtt.retry_max_s = 300;
    world->each_second = world_go_up;
    world->lag_ms = 100;
    world_post(world, 20, true);
    subscriber_take(&got, world, 0);
    assert_in_range(got.blocks, 150, 256);
    before = world->wakes;
    world->up = false;
    world_post(world, 100, true);
    assert_in_range(world->wakes - before, 5, 120);
}

static void senseless_acks(struct world *w)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "{}",
                                      "{\"run\":\"51\",\"upto\":99}",
                                      "{\"run\":7,\"upto\":1}",
                                      "{\"run\":\"0000000000000051\",\"upto\":-1}",
                                      "{\"run\":\"0000000000000051\",\"upto\":900719925474}",
                                      "{\"run\":\"00000000000000ff\",\"upto\":1}"};

    world_go_up(w);
    if (w->seconds >= 30 && w->seconds < 38)
        world_incoming(w, "ack", bad[w->seconds - 30], strlen(bad[w->seconds - 30]));
}

static void senseless_acks_release_nothing(void **state)
{
    int first;

    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->each_second = senseless_acks;
    world_post(world, 55, true);
    first = world->log->count;
    subscriber_take(&got, world, 0);
    world->up = false;
    world->metering = false;
    world->each_second = world_go_up;
    world_post(world, 10, true);
    subscriber_take(&got, world, first);
    assert_int_equal(subscriber_run(&got, RUN)->doubled, 50);
}

static void confirm_the_block_before_the_event(struct world *w)
{
    world_go_up(w);
    w->metering = w->next_seq < 90;
    if (w->seconds == 90) // in the moment in which the block closes
        world_event(w, "late");
    if (w->seconds == 106) // both are on flash by now
        ack(RUN, 89);
}

// Delivered like the block before it, stored with it, and not confirmed by the word that frees that block.
static void an_event_behind_a_confirmed_block_is_sent_again(void **state)
{
    int blocks, events;

    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->config.mqtt.ack_timeout_s = 3; // both are delivered before they go to flash
    world->each_second = confirm_the_block_before_the_event;
    world_post(world, 110, true);
    subscriber_take(&got, world, 0);
    blocks = got.blocks;
    events = got.events;
    world->up = false;
    world->metering = false;
    world->each_second = world_go_up;
    world_post(world, 20, true);
    subscriber_take(&got, world, 0);
    assert_int_equal(got.blocks, blocks);
    assert_int_equal(got.events, events + 1);
}

// A spool of before a change of device.name, or another device's: its windows keep their name.
static void windows_go_out_under_the_name_that_measured_them(void **state)
{
    (void)state;
    world_post(world, 45, true);
    world_stop_meter(world);
    world_post(world, 2, true);
    world_reboot(world);
    snprintf(world->run.device, sizeof world->run.device, "renamed");
    world_start_meter(world, RUN + 1);
    world->metering = true;
    world->each_second = world_go_up;
    world_post(world, 25, true);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 45);
    assert_balanced(RUN + 1, 20);
    assert_string_equal(subscriber_run(&got, RUN)->device, "bench-1");
    assert_string_equal(subscriber_run(&got, RUN + 1)->device, "renamed");
}

// Refusals ---------------------------------------------------------------------------------------
static void what_no_broker_takes_is_parked_and_told_as_a_gap(void **state)
{
    char refused[JP_PATH_MAX + 16];

    (void)state;
    world->metering = false;
    for (int i = 0; i < 100; i++)
        world_append_window(world);
    world->each_second = world_go_up;
    world->refuse = 0x99;
    world->refusals = 5 * 4; // down to one block, and that one
    world_post(world, 60, true);
    subscriber_take(&got, world, 0);
    assert_int_equal(got.gaps, 1);
    snprintf(refused, sizeof refused, "%s/refused", world->config.paths_spool);
    assert_true(jp_hot_bytes(&jp_fs_real, refused) > 0);
    assert_true(subscriber_run(&got, RUN)->in_gap[0] && subscriber_run(&got, RUN)->in_gap[9]);
    assert_false(subscriber_run(&got, RUN)->in_gap[10]);
    assert_true(status_number("pending", "windows") == 0.0);
}

// Disks ------------------------------------------------------------------------------------------
static int break_at, mend_at, broken_with;

static void break_the_disk(struct world *w)
{
    w->disk_error = w->seconds >= break_at && w->seconds < mend_at ? broken_with : 0;
}

static void a_broken_disk_loses_nothing(int error, const char *word)
{
    int stored;

    break_at = 100;
    mend_at = 400;
    broken_with = error;
    world->each_second = break_the_disk;
    world_post(world, 350, true);
    world->disk_error = error;
    world->up = false;
    stored = world->log->count;
    assert_int_equal(stored, 0);
    world->config.mqtt.status_s = 1;
    world_post(world, 205, true); // mended in the middle
    world->metering = false;
    world->each_second = world_go_up;
    world_post(world, 20, true);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 550);
    assert_true(got.ordered);
    (void)word;
}

static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    a_broken_disk_loses_nothing(-ENOSPC, "disk_full");
}

static void a_read_only_disk_loses_nothing(void **state)
{
    (void)state;
    a_broken_disk_loses_nothing(-EROFS, "disk_error");
}

static void a_failing_disk_loses_nothing(void **state)
{
    (void)state;
    a_broken_disk_loses_nothing(-EIO, "disk_error");
}

static void break_the_disk_online(struct world *w)
{
    break_the_disk(w);
    world_go_up(w);
}

static void status_tells_of_a_broken_disk_and_of_its_recovery(void **state)
{
    json_t *json;

    (void)state;
    break_at = 20;
    mend_at = 90;
    broken_with = -ENOSPC;
    world->config.spool.keep_all = true;
    world->config.mqtt.status_s = 5;
    world->each_second = break_the_disk_online;
    world_post(world, 200, true);
    assert_true(degraded("disk_full"));
    world->log->count--; // the goodbye
    json = subscriber_json(world, world_last(world, "status"));
    assert_int_equal(json_array_size(json_object_get(json, "degraded")), 0);
    json_decref(json);
    subscriber_take(&got, world, 0);
    assert_balanced(RUN, 200);
}

static void what_a_disk_holds_is_known_once_it_can_be_used(void **state)
{
    (void)state;
    world_post(world, 105, true);
    world->metering = false;
    break_at = 0;
    mend_at = world->seconds + 30;
    broken_with = world->disk_error = -EIO;
    world->each_second = break_the_disk_online;
    world->refusals = -1;
    world->refuse = 0x97;
    world->config.mqtt.status_s = 1;
    world_post(world, 130, true);
    assert_true(status_number("pending", "windows") == 105.0);
}

// Retention --------------------------------------------------------------------------------------
static void a_full_spool_lets_the_oldest_go_and_counts_it(void **state)
{
    const struct subscriber_run *run;
    int windows = 0, lost = 0;

    (void)state;
    world->config.spool.max_bytes = 1; // as little as can be: 512 KiB in segments of 64
    for (int turn = 0; turn < 20; turn++) {
        world->metering = false;
        for (int i = 0; i < 4090; i++)
            world_append_window(world);
        world_post(world, 15, true);
        world_stop_meter(world);
        world_post(world, 1, true);
        world_start_meter(world, RUN + 1 + (uint64_t)turn);
    }
    world->each_second = world_go_up;
    world->config.mqtt.status_s = 1;
    world_post(world, 60, true);
    subscriber_take(&got, world, 0);
    for (int turn = 0; turn < 20; turn++) {
        run = subscriber_run(&got, RUN + (uint64_t)turn);
        assert_non_null(run);
        assert_balanced(RUN + (uint64_t)turn, 4090);
        windows += run->windows;
        for (int seq = 0; seq < 4090; seq++)
            lost += run->in_gap[seq];
    }
    assert_int_equal(windows + lost, 20 * 4090);
    assert_true(lost > 4090 && windows > 4090);
    assert_true(spool_bytes() <= 524288);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_cannot_be_sent_goes_to_flash_and_arrives_later),
        TEST(one_block_costs_one_sync),
        TEST(a_short_outage_writes_no_records_to_flash),
        TEST(status_counts_what_is_pending_and_written),
        TEST(live_stays_fresh_while_a_backlog_is_sent),
        TEST(history_is_kept_when_all_is_to_be_kept),
        TEST(a_logger_keeps_what_it_measures),
        TEST(a_spool_that_was_removed_begins_anew),
        TEST(starts_cost_no_room),
        TEST(a_part_under_way_costs_no_window_when_its_block_moves),
        TEST(kills_lose_nothing_and_store_nothing_twice),
        TEST(a_clean_reboot_loses_nothing),
        TEST(a_power_cut_loses_no_more_than_it_may_and_is_told),
        TEST(a_boot_that_learned_the_time_late_is_repaired_from_flash),
        TEST(only_the_collectors_word_releases),
        TEST(what_the_collector_confirms_in_time_never_reaches_flash),
        TEST(a_collector_that_stays_silent_is_sent_all_again),
        TEST(a_collector_that_stays_silent_costs_few_wakes),
        TEST(senseless_acks_release_nothing),
        TEST(an_event_behind_a_confirmed_block_is_sent_again),
        TEST(windows_go_out_under_the_name_that_measured_them),
        TEST(what_no_broker_takes_is_parked_and_told_as_a_gap),
        TEST(a_full_disk_loses_nothing),
        TEST(a_read_only_disk_loses_nothing),
        TEST(a_failing_disk_loses_nothing),
        TEST(status_tells_of_a_broken_disk_and_of_its_recovery),
        TEST(what_a_disk_holds_is_known_once_it_can_be_used),
        TEST(a_full_spool_lets_the_oldest_go_and_counts_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
