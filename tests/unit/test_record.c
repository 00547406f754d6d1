// SPDX-License-Identifier: Apache-2.0
// record.c and pending.c: wherever meter is killed, counters and gaps add up to what the counter went on, once.
#include "fake_sensor.h"
#include "faulty_fs.h"
#include "hot.h"
#include "record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BOOT "11111111-2222-3333-4444-555555555555"
#define STEP_UJ 1234000 // a window
#define DOWN_UJ 777000  // between two lives

static struct faulty_fs disk;
static struct fake_clock clk;
static struct jp_record record;
static struct jp_run run;
static struct jp_window window;
static int64_t raw_uj, last_uj; // of the counter: now, and as the life going on saw it last; -1 it did not
static const char *counter;     // its name

static void set_up(void)
{
    faulty_init(&disk, 512);
    clk = fake_clock_at(1000 * JP_NS_PER_S);
    memset(&record, 0, sizeof record);
    memset(&run, 0, sizeof run);
    raw_uj = 5000000;
    counter = "package-0";
}

static void tear_down(void)
{
    faulty_free(&disk);
}

// Lives -------------------------------------------------------------------------------------------
static int born(uint64_t id, int64_t max_bytes)
{
    static struct jp_bridge bridge;

    memset(&record, 0, sizeof record);
    run.id = id;
    if (run.boot[0] == '\0')
        strcpy(run.boot, BOOT);
    run.window_ms = 1000;
    run.block_windows = 10;
    run.interval_ms = 200;
    run.channel_count = 2;
    strcpy(run.channels[0].name, "VDD_IN");
    snprintf(run.channels[1].name, sizeof run.channels[1].name, "%s", counter);
    run.channels[1].kind = JP_ENERGY;
    run.channels[1].in_total = run.total_known = true;
    record.clock = &clk.door;
    record.fs = &disk.fs;
    record.run = &run;
    record.dir = "/hot";
    record.max_bytes = max_bytes;
    record.notify_fd = -1;
    memset(&window, 0, sizeof window);
    window.run = id;
    window.channel_count = 2;
    window.span_ms = 1000;
    window.channels[0].raw_uj = -1;
    last_uj = -1;
    if (jp_record_open(&record, &jp_entropy_real, &bridge))
        return -1;
    raw_uj += DOWN_UJ;
    clk.now_ns += JP_NS_PER_S;
    for (int i = 0; bridge.known && i < bridge.run.channel_count; i++)
        if (strcmp(bridge.run.channels[i].name, counter) == 0)
            last_uj = bridge.window.channels[i].raw_uj;
    if (last_uj < 0)
        last_uj = raw_uj;
    return 0;
}

static void live(int windows)
{
    for (int i = 0; i < windows && !disk.off; i++) {
        struct jp_window_channel *channel = &window.channels[1];

        window.t0_ms = clk.now_ns / JP_NS_PER_MS;
        clk.now_ns += JP_NS_PER_S;
        raw_uj += STEP_UJ;
        channel->known = true;
        channel->mj = (raw_uj - last_uj) / 1000;
        channel->run_mj += channel->mj;
        channel->covered_ms = 1000;
        channel->raw_uj = last_uj = raw_uj;
        jp_record_clock(&record);
        jp_record_window(&record, &window);
        window.seq++;
    }
}

// The end, clean or by a kill: what was written stays, as on tmpfs.
static void die(void)
{
    jp_record_close(&record);
    faulty_power_up(&disk, FAULTY_KEEP, 1);
}

// What post holds --------------------------------------------------------------------------------
static struct jp_pos cursor;
static int64_t held_mj, held_windows, gaps;
static bool seen[16][2048];
static struct jp_gap last_gap;

static void hold(uint64_t id, uint64_t first, uint64_t last, int64_t mj)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        assert_true(id < 16 && seq < 2048);
        assert_false(seen[id][seq]);
        seen[id][seq] = true;
    }
    held_mj += mj;
}

static void take(const struct jp_frame *frame)
{
    struct jp_window back;

    if (frame->type == JP_FRAME_WINDOW) {
        assert_int_equal(jp_window_decode(&back, frame->payload, frame->size), 0);
        hold(back.run, back.seq, back.seq, back.channels[1].mj);
        held_windows++;
    } else if (frame->type == JP_FRAME_GAP) {
        assert_int_equal(jp_gap_decode(&last_gap, frame->payload, frame->size), 0);
        assert_true(last_gap.named);
        gaps++;
        for (int i = 0; i < last_gap.channel_count; i++) // a merged one holds those of two names
            held_mj += strcmp(last_gap.names[i], "VDD_IN") != 0 ? last_gap.mj[i] : 0;
        hold(last_gap.run, last_gap.first_seq, last_gap.last_seq, 0);
        held_windows += (int64_t)last_gap.windows;
    }
}

// post takes all there is and frees it; no fault hits it.
static void drain(void)
{
    static struct jp_hot_reader reader;
    struct jp_frame frame;
    bool off = disk.off;
    long power = disk.power_calls;
    int found;

    if (off)
        return;
    disk.power_calls = -1;
    assert_int_equal(jp_hot_reader_open(&reader, &disk.fs, "/hot", cursor), 0);
    while ((found = jp_hot_reader_next(&reader, &frame)) == JP_HOT_FRAME || found == JP_HOT_DAMAGED) {
        if (found == JP_HOT_FRAME)
            take(&frame);
        cursor = frame.next;
    }
    jp_hot_reader_close(&reader);
    assert_true(jp_hot_release(&disk.fs, "/hot", cursor) >= 0);
    disk.power_calls = power;
}

static void forget_all(void)
{
    cursor = (struct jp_pos){0, 0};
    held_mj = held_windows = gaps = 0;
    memset(seen, 0, sizeof seen);
}

// Tests ------------------------------------------------------------------------------------------
// Every call of a life is its last once: the spool fills, is read, takes the gap, goes over segments.
static bool killed_at(long call)
{
    int64_t from_uj;
    bool died;

    set_up();
    forget_all();
    assert_int_equal(born(1, 0), 0);
    from_uj = raw_uj;
    live(15);
    die();
    disk.power_calls = call;
    if (born(2, 0) == 0) {
        live(60);
        drain();
        live(400); // full
        drain();
        live(35);
        drain();
        live(3);
    }
    died = disk.off;
    die();
    if (call % 2)
        drain(); // post may be faster than the next start
    assert_int_equal(born(3, 0), 0);
    die(); // before its first window
    drain();
    assert_int_equal(born(4, 0), 0);
    live(12);
    die();
    drain();
    if (held_mj != (raw_uj - from_uj) / 1000)
        fail_msg("killed at call %ld: %lld mJ held, the counter went on by %lld", call, (long long)held_mj,
                 (long long)(raw_uj - from_uj) / 1000);
    tear_down();
    return died;
}

static void killed_at_any_call_the_counters_add_up_once(void **state)
{
    long call = 0;

    (void)state;
    while (killed_at(call))
        call++;
    assert_true(call > 500);
}

static void lives_without_a_window_hand_the_counters_on(void **state)
{
    int64_t from_uj;

    (void)state;
    set_up();
    forget_all();
    assert_int_equal(born(1, 0), 0);
    from_uj = raw_uj;
    live(3);
    die();
    for (uint64_t id = 2; id < 10; id++) {
        assert_int_equal(born(id, 0), 0);
        die();
        drain();
    }
    assert_int_equal(born(10, 0), 0);
    live(1);
    die();
    drain();
    assert_int_equal(held_mj, (raw_uj - from_uj) / 1000);
    tear_down();
}

// More lives under a full spool than gaps are kept, and a channel changes its name.
static void lives_in_a_full_spool_lose_no_joule_and_no_name(void **state)
{
    int64_t from_uj, windows = 0;

    (void)state;
    set_up();
    forget_all();
    assert_int_equal(born(1, 0), 0);
    from_uj = raw_uj;
    live(500);
    windows += 500;
    die();
    for (uint64_t id = 2; id < 10; id++) {
        int64_t before_uj = raw_uj;

        counter = id > 3 ? "socket-0" : "package-0";
        assert_int_equal(born(id, 0), 0);
        if (id == 4) // nobody can bridge another name
            from_uj += raw_uj - before_uj;
        live(7);
        windows += 7;
        die();
    }
    assert_int_equal(gaps, 0);
    drain();
    assert_int_equal(born(10, 0), 0);
    live(5);
    windows += 5;
    die();
    drain();
    assert_int_equal(gaps, JP_PENDING_GAPS_MAX);
    assert_string_equal(last_gap.names[1], "socket-0");
    assert_int_equal(held_mj, (raw_uj - from_uj) / 1000);
    assert_int_equal(held_windows, windows);
    tear_down();
}

// The gap of another boot is told, its time as of this boot's clock; its counters are not believed.
static void gap_of_another_boot_is_told_and_bridges_nothing(void **state)
{
    int64_t from_uj, then_ms, full_mj;

    (void)state;
    set_up();
    forget_all();
    assert_int_equal(born(1, 0), 0);
    from_uj = raw_uj;
    live(500);
    full_mj = (raw_uj - from_uj) / 1000;
    die();
    drain();
    assert_int_equal(gaps, 0);
    clk.real_offset_ns += clk.now_ns - 5 * JP_NS_PER_S; // a minute of the new boot, the same day
    clk.now_ns = 5 * JP_NS_PER_S;
    strcpy(run.boot, "99999999-2222-3333-4444-555555555555");
    raw_uj = 60000000;
    assert_int_equal(born(2, 0), 0);
    from_uj = raw_uj;
    live(4);
    die();
    drain();
    assert_int_equal(gaps, 1);
    assert_int_equal(held_mj, full_mj + (raw_uj - from_uj) / 1000);
    then_ms = last_gap.t0_ms + last_gap.span_ms;
    assert_in_range(then_ms, 4000, 6000); // the day it was, told in the BOOTTIME of now
    tear_down();
}

// The file's room is taken at the start: a full file system cannot keep the gap from it later.
static void pending_gap_needs_no_room_of_a_full_file_system(void **state)
{
    int64_t size;

    (void)state;
    set_up();
    forget_all();
    assert_int_equal(born(1, 0), 0);
    assert_non_null(faulty_file(&disk, "/hot/gap"));
    size = faulty_file(&disk, "/hot/gap")->seen_size;
    live(500);
    for (uint64_t id = 2; id < 8; id++) {
        die();
        assert_int_equal(born(id, 0), 0);
        live(9);
    }
    assert_int_equal(faulty_file(&disk, "/hot/gap")->seen_size, size);
    die();
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_call_the_counters_add_up_once),
        cmocka_unit_test(lives_without_a_window_hand_the_counters_on),
        cmocka_unit_test(lives_in_a_full_spool_lose_no_joule_and_no_name),
        cmocka_unit_test(gap_of_another_boot_is_told_and_bridges_nothing),
        cmocka_unit_test(pending_gap_needs_no_room_of_a_full_file_system),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
