// SPDX-License-Identifier: Apache-2.0
// The post half on a durable spool that has suffered: segments that cannot be opened, bytes that are bad.
#define _GNU_SOURCE
#include "post_subscriber.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block.h"
#include "log.h"
#include "make_windows.h"

#include <cmocka.h>

#define RUN 0x51

static struct world *world;
static struct subscriber got;
static int in_segment; // whose frames are damaged

static int setup(void **state)
{
    (void)state;
    world = world_new(2, 10);
    world_start_meter(world, RUN);
    world->config.mqtt.status_s = 1;
    in_segment = 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_delete(world);
    return 0;
}

// Whether the last status names `word`; the goodbye has none.
static bool degraded(const char *word)
{
    const struct world_message *message = NULL;
    bool found = false;
    json_t *json, *one;
    size_t n;

    for (int i = world->log->count - 1; i >= 0 && !message; i--)
        if (strcmp(world->log->messages[i].leaf, "status") == 0 && world->log->messages[i].size > 30)
            message = &world->log->messages[i];
    if (!message)
        return false;
    json = subscriber_json(world, message);
    json_array_foreach(json_object_get(json, "degraded"), n, one) found |= strcmp(json_string_value(one), word) == 0;
    json_decref(json);
    return found;
}

static bool is_there(const char *name)
{
    char path[JP_PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/%s", world->config.paths_spool, name);
    return access(path, F_OK) == 0;
}

// So many windows without a broker, in a life and a segment of their own.
static void offline(int windows)
{
    world->each_second = NULL;
    world->up = false;
    world->metering = false;
    for (int i = 0; i < windows; i++)
        world_append_window(world);
    world_post(world, 20, true);
}

static void online(int seconds)
{
    world->up = false;
    world->each_second = world_go_up;
    world_post(world, seconds, true);
    subscriber_take(&got, world, 0);
}

// Segments that cannot be opened -----------------------------------------------------------------
static struct jp_fs door;
static const char *closed_name;
static int closed_until, open_error;
static bool told_at_once, told_later;

static int door_open(const struct jp_fs *self, const char *path, enum jp_fs_open how)
{
    (void)self;
    if (how == JP_FS_READ && strstr(path, closed_name) && world->seconds < closed_until)
        return open_error;
    return jp_fs_real.open(&jp_fs_real, path, how);
}

static void close_the_first(int error, int seconds)
{
    door = jp_fs_real;
    door.open = door_open;
    world->flash = &door;
    closed_name = "/00000001.jps";
    open_error = error;
    closed_until = world->seconds + seconds;
    told_at_once = told_later = false;
}

static void watch(struct world *w)
{
    world_go_up(w);
    told_at_once |= w->seconds < closed_until && degraded("disk_error");
    told_later = degraded("disk_error");
}

static void a_segment_that_cannot_be_opened_holds_up_a_minute_alone(void **state)
{
    const struct subscriber_run *run;

    (void)state;
    offline(100);
    offline(100);
    close_the_first(-EACCES, 100000);
    for (int i = 0; i < 50; i++)
        world_append_window(world);
    world->each_second = watch;
    world_post(world, 50, true);
    assert_true(told_at_once);
    subscriber_take(&got, world, 0);
    assert_int_equal(got.blocks, 0);
    world->up = false;
    world_post(world, 90, true);
    subscriber_take(&got, world, 0);
    run = subscriber_run(&got, RUN);
    assert_non_null(run);
    assert_true(!run->seen[99] && run->seen[100] && run->seen[199] && run->seen[249]);
    assert_true(degraded("damaged") && !told_later);
    assert_true(is_there("00000001.jps") || is_there("00000001.jps.bad"));
}

static void a_segment_that_can_be_opened_again_in_time_loses_nothing(void **state)
{
    (void)state;
    offline(100);
    offline(100);
    close_the_first(-EMFILE, 40);
    world->each_second = watch;
    world_post(world, 80, true);
    subscriber_take(&got, world, 0);
    assert_true(told_at_once && !told_later);
    assert_int_equal(got.blocks, 20);
    assert_true(got.ordered && !degraded("damaged"));
}

static void an_error_that_says_try_again_hangs_nothing(void **state)
{
    (void)state;
    offline(100);
    close_the_first(-EAGAIN, 20);
    online(60);
    assert_int_equal(got.blocks, 10);
}

// Blocks that cannot be read ---------------------------------------------------------------------
static uint64_t block_to_find;

static bool is_found(const uint8_t *payload, size_t size)
{
    struct jp_block_head head;

    return jp_block_peek(&head, payload, size) == 0 && head.seq == block_to_find;
}

// Changes the payload of the `nth` frame of a type (0 the first, -1: the block to find) of `in_segment`; `mend` makes
// its CRC right again.
static void alter(uint8_t type, int nth, bool mend, void (*how)(uint8_t *payload, size_t size))
{
    static uint8_t bytes[JP_SEGMENT_MAX], before[JP_SEGMENT_MAX];
    struct jp_segment_header header;
    struct jp_frame frame;
    char path[JP_PATH_MAX + 32];
    int at, fd;
    ssize_t n;

    snprintf(path, sizeof path, "%s/%08d.jps", world->config.paths_spool, in_segment);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    n = pread(fd, bytes, sizeof bytes, 0);
    assert_true(n > 0);
    memcpy(before, bytes, (size_t)n);
    at = jp_segment_header_decode(&header, bytes, (size_t)n);
    assert_true(at > 0);
    for (;; at += JP_FRAME_HEAD + (int)frame.size) {
        frame.size = (size_t)bytes[at + 14] << 8 | bytes[at + 15]; // docs/format.md, section 3
        frame.type = bytes[at + 12];
        assert_true(frame.type != 0);
        if (frame.type == type && (nth < 0 ? is_found(bytes + at + JP_FRAME_HEAD, frame.size) : nth-- == 0))
            break;
    }
    how(bytes + at + JP_FRAME_HEAD, frame.size);
    if (mend && jp_frame_parse(&frame, before + at, (size_t)(n - at)) == JP_FOUND_WHOLE)
        jp_frame_head(bytes + at, frame.number, type, bytes + at + JP_FRAME_HEAD, frame.size);
    assert_int_equal(pwrite(fd, bytes, (size_t)n, 0), n);
    close(fd);
}

static void change(uint8_t type, int nth, void (*how)(uint8_t *payload, size_t size))
{
    alter(type, nth, true, how);
}

static void spoil(uint8_t *payload, size_t size)
{
    payload[size / 2] ^= 0x55;
}

static void damage(uint8_t type, int nth)
{
    alter(type, nth, false, spoil);
}

// The block that begins with this window.
static void damage_block(uint64_t seq)
{
    block_to_find = seq;
    alter(JP_FRAME_BLOCK, -1, false, spoil);
}

static void cut_off_the_end(uint8_t *payload, size_t size)
{
    payload[size - 1] = 0xff;
}

static void a_block_that_cannot_be_read_is_not_published(void **state)
{
    (void)state;
    offline(100);
    change(JP_FRAME_BLOCK, 4, cut_off_the_end);
    online(30);
    assert_int_equal(got.blocks, 9);
    assert_true(!subscriber_run(&got, RUN)->seen[40] && subscriber_run(&got, RUN)->seen[99]);
    assert_true(degraded("damaged"));
}

// The number of the first window that was not covered becomes text.
static void spoil_a_detail(uint8_t *payload, size_t size)
{
    uint8_t *key = memmem(payload, size, "\x63\x63ov", 4);

    assert_non_null(key);
    // {cov: {channel: [[index, covered, cause]]}}: the index
    assert_int_equal(key[7], 0x83);
    key[8] = 0x60;
}

static void a_block_with_a_coverage_that_cannot_be_read_is_not_published(void **state)
{
    static uint8_t bytes[JP_WINDOW_BYTES_MAX];

    (void)state;
    for (uint64_t seq = 0; seq < 30; seq++) {
        make_window(&world->window, &world->run, seq);
        world->window.channels[1].covered_ms = seq == 15 ? 300 : 1000;
        world_append(world, JP_FRAME_WINDOW, bytes, jp_window_encode(&world->window, bytes, sizeof bytes));
    }
    world->next_seq = 30;
    offline(0);
    change(JP_FRAME_BLOCK, 1, spoil_a_detail);
    online(30);
    assert_int_equal(got.blocks, 2);
    assert_true(degraded("damaged"));
}

// What damage took -------------------------------------------------------------------------------
// Every window up to `windows` came, or lies in a gap; the joules are the run's own.
static void assert_balanced(int windows)
{
    static struct jp_window window;
    const struct subscriber_run *run = subscriber_run(&got, RUN);

    assert_non_null(run);
    for (int seq = 0; seq < windows; seq++)
        assert_true(run->seen[seq] != run->in_gap[seq]);
    make_window(&window, &world->run, (uint64_t)windows - 1);
    for (int c = 0; c < 2; c++)
        assert_int_equal(run->mj[c] + run->gap_mj[c], window.channels[c].run_mj);
}

static double status_number(const char *group, const char *name, const char *field)
{
    const struct world_message *message = NULL;
    const json_t *value;
    json_t *json;
    double number;

    for (int i = world->log->count - 1; i >= 0 && !message; i--)
        if (strcmp(world->log->messages[i].leaf, "status") == 0 && world->log->messages[i].size > 30)
            message = &world->log->messages[i];
    assert_non_null(message);
    json = subscriber_json(world, message);
    value = json_object_get(json_object_get(json, group), name);
    number = json_number_value(field ? json_object_get(value, field) : value);
    json_decref(json);
    return number;
}

static void bad_bytes_between_blocks_are_told_as_a_gap(void **state)
{
    (void)state;
    offline(200);
    damage(JP_FRAME_BLOCK, 4);
    damage(JP_FRAME_BLOCK, 5);
    damage(JP_FRAME_BLOCK, 11);
    world->refuse = 0x97;
    world->refusals = 3;
    online(60);
    assert_balanced(200);
    assert_int_equal(got.gaps, 2);
    assert_true(subscriber_run(&got, RUN)->in_gap[40] && subscriber_run(&got, RUN)->in_gap[59]);
    assert_true(status_number("lost", "damaged", "windows") == 30.0);
    assert_true(status_number("lost", "damaged", "seconds") == 30.0);
    assert_true(status_number("lost", "damaged", "joules") > 60.0);
    assert_true(status_number("pending", "windows", NULL) == 0.0);
    online(60);
    assert_int_equal(got.gaps, 2);
}

static void a_block_that_cannot_be_read_is_told_as_a_gap(void **state)
{
    (void)state;
    offline(200);
    change(JP_FRAME_BLOCK, 4, cut_off_the_end);
    online(60);
    assert_balanced(200);
    assert_int_equal(got.gaps, 1);
}

static void the_first_blocks_of_a_run_are_told_as_a_gap(void **state)
{
    (void)state;
    offline(200);
    damage(JP_FRAME_BLOCK, 0);
    damage(JP_FRAME_BLOCK, 1);
    online(60);
    assert_balanced(200);
    assert_int_equal(got.gaps, 1);
}

static void append_gap(uint64_t first, uint64_t last)
{
    static struct jp_gap gap;
    static uint8_t bytes[16384];

    gap.windows = 0;
    for (uint64_t seq = first; seq <= last; seq++) {
        make_window(&world->window, &world->run, seq);
        jp_gap_fold(&gap, &world->run, &world->window, "hot_full");
    }
    world_append(world, JP_FRAME_GAP, bytes, jp_gap_encode(&gap, bytes, sizeof bytes));
    world->next_seq = last + 1;
}

// Blocks of ten from 0 to 49, the gap 50 to 59, blocks to 99; `first` and one more of them are damaged.
static void a_gap_beside_the_damage(int first)
{
    world->metering = false;
    for (int i = 0; i < 50; i++)
        world_append_window(world);
    append_gap(50, 59);
    offline(40);
    damage(JP_FRAME_BLOCK, first);
    damage(JP_FRAME_BLOCK, first + 1);
    online(60);
    assert_balanced(100);
    assert_int_equal(got.gaps, 2);
    assert_true(status_number("lost", "damaged", "windows") == 20.0);
}

static void a_gap_behind_the_damage_is_taken_off(void **state)
{
    (void)state;
    a_gap_beside_the_damage(3);
}

static void a_gap_before_the_damage_is_taken_off(void **state)
{
    (void)state;
    a_gap_beside_the_damage(5);
}

static void a_gap_within_the_damage_is_taken_off(void **state)
{
    (void)state;
    world->metering = false;
    for (int i = 0; i < 50; i++)
        world_append_window(world);
    append_gap(50, 59);
    offline(40);
    damage(JP_FRAME_BLOCK, 4);
    damage(JP_FRAME_BLOCK, 5);
    online(60);
    assert_true(status_number("lost", "damaged", "windows") == 20.0);
    assert_int_equal(subscriber_run(&got, RUN)->windows, 70);
}

// Segments of 64 KiB; the front of the second is gone, the frames before it are released by then.
static void damage_where_a_segment_begins_is_told(void **state)
{
    (void)state;
    world->config.spool.max_bytes = 1;
    offline(4000);
    offline(90);
    in_segment = 2;
    damage(JP_FRAME_BLOCK, 0);
    online(60);
    assert_balanced(4090);
    assert_int_equal(got.gaps, 1);
}

// Behind it stands a gap that tells of itself. The block before has left by then: nobody knows the joules.
static void a_segment_that_cannot_be_opened_is_told_as_a_gap(void **state)
{
    const struct subscriber_run *run;

    (void)state;
    offline(100);
    offline(100);
    append_gap(200, 209);
    offline(90);
    close_the_first(-EACCES, 100000);
    closed_name = "/00000002.jps";
    online(90);
    run = subscriber_run(&got, RUN);
    for (int seq = 0; seq < 300; seq++)
        assert_true(run->seen[seq] != run->in_gap[seq]);
    assert_int_equal(got.gaps, 2);
    assert_true(status_number("lost", "damaged", "windows") == 100.0);
}

static int down_from, down_until;

static void an_outage(struct world *w)
{
    if (w->seconds == down_from)
        world_say(w, JP_NEWS_DOWN, 0);
    else if (w->seconds < down_from || w->seconds > down_until)
        world_go_up(w);
    if (w->seconds == down_until)
        damage(JP_FRAME_BLOCK, 0);
}

// 0 to 49 are in the spool and released, more goes out without it, then an outage: its first block is bad.
static void what_went_out_without_the_spool_is_in_no_gap(void **state)
{
    const struct subscriber_run *run;

    (void)state;
    offline(50);
    in_segment = 2;
    world->metering = true;
    down_from = world->seconds + 60;
    down_until = down_from + 60;
    world->each_second = an_outage;
    world_post(world, 200, true);
    subscriber_take(&got, world, 0);
    run = subscriber_run(&got, RUN);
    for (int seq = 0; seq < 200; seq++)
        assert_true(!run->seen[seq] || !run->in_gap[seq]);
    assert_int_equal(run->windows % 10, 0);
    assert_true(degraded("damaged"));
}

static void up_for_a_minute(struct world *w)
{
    if (w->seconds == 160)
        world_say(w, JP_NEWS_DOWN, 0);
    else if (w->seconds >= 100 && w->seconds < 160)
        world_go_up(w);
}

static void confirm(uint64_t upto)
{
    char text[80];
    int n = snprintf(text, sizeof text, "{\"run\":\"%016x\",\"upto\":%llu}", RUN, (unsigned long long)upto);

    world_incoming(world, "ack", text, (size_t)n);
}

static void up_for_a_minute_and_confirm(struct world *w)
{
    up_for_a_minute(w);
    if (w->up && w->seconds % 5 == 3)
        confirm((uint64_t)w->seconds / 10 * 10 - 1);
}

static void go_up_and_confirm_that(struct world *w)
{
    if (!w->up)
        confirm(149);
    world_go_up(w);
}

// An outage, a minute in which windows go out without the spool, an outage, all in one segment: `first` is the second
// outage's first window, and its block is bad.
static void two_outages(uint64_t first)
{
    const struct subscriber_run *run;

    world_post(world, 240, true);
    subscriber_take(&got, world, 0);
    assert_true(subscriber_run(&got, RUN)->seen[first - 1]);
    damage_block(first);
    world->metering = false;
    world->up = false;
    world_post(world, 60, true);
    subscriber_take(&got, world, 0);
    run = subscriber_run(&got, RUN);
    for (int seq = 0; seq < 240; seq++)
        assert_true(!run->seen[seq] || !run->in_gap[seq]);
    assert_true(run->seen[239] && degraded("damaged"));
}

static void up_for_a_minute_or_now(struct world *w)
{
    up_for_a_minute(w);
    if (w->seconds > 241)
        world_go_up(w);
}

static void what_went_out_before_the_start_is_in_no_gap(void **state)
{
    (void)state;
    world->each_second = up_for_a_minute_or_now;
    two_outages(150);
}

static void up_for_a_minute_or_now_and_confirm(struct world *w)
{
    if (w->seconds > 241)
        go_up_and_confirm_that(w);
    else
        up_for_a_minute_and_confirm(w);
}

static void what_the_collector_has_is_in_no_gap(void **state)
{
    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->config.mqtt.ack_timeout_s = 20;
    world->each_second = up_for_a_minute_or_now_and_confirm;
    two_outages(150);
    assert_int_equal(got.gaps, 1);
}

// The block behind the gap is refused until post has been started anew.
static void a_gap_releases_itself_alone(void **state)
{
    static uint8_t bytes[JP_WINDOW_BYTES_MAX];
    int first;

    (void)state;
    for (uint64_t seq = 0; seq < 100; seq++) {
        make_window(&world->window, &world->run, seq);
        for (int c = 0; c < 2 && seq / 10 == 5; c++)
            world->window.channels[c].mj = seq % 2 ? 1LL << 40 : 0; // a large block
        world_append(world, JP_FRAME_WINDOW, bytes, jp_window_encode(&world->window, bytes, sizeof bytes));
    }
    world->next_seq = 100;
    offline(0);
    damage(JP_FRAME_BLOCK, 4);
    world->config.mqtt.backlog_blocks_per_s = 1;
    world->too_large = 300;
    online(30);
    assert_true(got.gaps == 1 && got.blocks > 4 && subscriber_count(world, "gap") == 1);
    world->too_large = 0;
    first = world->log->count;
    online(30);
    memset(&got, 0, sizeof got);
    subscriber_take(&got, world, first);
    assert_true(subscriber_run(&got, RUN)->seen[50] && !subscriber_run(&got, RUN)->seen[39] && got.gaps == 0);
}

static int confirm_at;

static void go_up_and_confirm(struct world *w)
{
    world_go_up(w);
    if (w->seconds == confirm_at)
        confirm(39);
}

// The collector has what is before the damage: the gap comes again with the block behind it, and is counted once.
static void a_gap_waits_for_the_collector_with_its_block(void **state)
{
    int gaps, late = 0;

    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->config.mqtt.ack_timeout_s = 5;
    world->config.mqtt.retry_max_s = 10;
    offline(100);
    damage(JP_FRAME_BLOCK, 4);
    confirm_at = world->seconds + 10;
    world->each_second = go_up_and_confirm;
    world_post(world, 60, true);
    gaps = subscriber_count(world, "gap");
    for (int i = 0; i < world->log->count; i++)
        late += strcmp(world->log->messages[i].leaf, "gap") == 0 && world->log->messages[i].second > confirm_at + 1;
    assert_true(late > 0);
    assert_true(status_number("lost", "damaged", "windows") == 10.0);
    world->up = false;
    confirm_at = world->seconds + 3;
    world_post(world, 60, true);
    assert_true(subscriber_count(world, "gap") > gaps);
    subscriber_take(&got, world, 0);
    assert_balanced(100);
    assert_int_equal(got.gaps, 1);
    assert_true(status_number("lost", "damaged", "windows") <= 10.0);
}

static void a_gap_comes_again_to_a_silent_collector(void **state)
{
    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->config.mqtt.ack_timeout_s = 5;
    world->config.mqtt.retry_max_s = 10;
    offline(100);
    damage(JP_FRAME_BLOCK, 0);
    online(60);
    assert_balanced(100);
    assert_true(got.gaps == 1 && subscriber_count(world, "gap") > 1);
    assert_true(status_number("lost", "damaged", "windows") == 10.0);
}

// A run whose RUN is damaged ----------------------------------------------------------------------
// Records messages that name this boot.
static int of_boot(const char *boot)
{
    int n = 0;

    for (int i = 0; i < world->log->count; i++) {
        const struct world_message *message = &world->log->messages[i];

        n += strcmp(message->leaf, "records") == 0 &&
             memmem(world->log->arena + message->at, message->size, boot, strlen(boot)) != NULL;
    }
    return n;
}

static void next_boot(uint64_t run, enum jp_clock_state clock, int64_t off_ms)
{
    world_stop_meter(world);
    world_post(world, 2, true);
    world_reboot(world);
    world_start_meter(world, run);
    world_anchor(world, clock, off_ms);
    world->next_seq = 0;
    offline(40);
}

// Three boots; of the second, which never learned the time, the RUN is damaged.
static void three_boots(void)
{
    char boots[3][37];
    const struct subscriber_run *run;

    world_anchor(world, JP_CLOCK_SYNCED, 5000000000000);
    offline(40);
    memcpy(boots[0], world->run.boot, sizeof boots[0]);
    next_boot(RUN + 1, JP_CLOCK_UNSYNCED, 99);
    memcpy(boots[1], world->run.boot, sizeof boots[1]);
    next_boot(RUN + 2, JP_CLOCK_SYNCED, 7000000000000);
    memcpy(boots[2], world->run.boot, sizeof boots[2]);
    in_segment = 3; // 2 has the end of the first run
    damage(JP_FRAME_RUN, 0);
    world->config.mqtt.backlog_blocks_per_s = 1; // a message for each
    online(60);
    for (int i = 0; i < 3; i++) {
        run = subscriber_run(&got, RUN + (uint64_t)i);
        assert_non_null(run);
        assert_int_equal(run->windows, 40);
        assert_int_equal(run->doubled, 0);
        assert_int_equal(of_boot(boots[i]), 4);
    }
    run = subscriber_run(&got, RUN + 1);
    assert_string_equal(run->clock, "unsynced");
    assert_true(run->off_ms == 99);
    assert_int_equal(run->run_no, 2);
    run = subscriber_run(&got, RUN + 2);
    assert_true(run->off_ms == 7000000000000);
    assert_true(got.ordered && got.gaps == 0);
}

static void a_run_whose_frame_is_damaged_keeps_its_boot_and_clock(void **state)
{
    (void)state;
    three_boots();
}

// The first boot's frames stay, and with them the time that it learned.
static void a_run_whose_frame_is_damaged_takes_no_clock_of_another(void **state)
{
    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    three_boots();
}

// Two runs of one boot in one segment: the RUN between them is damaged, and a block of the second.
static void a_run_whose_frame_is_damaged_is_told_apart(void **state)
{
    const struct subscriber_run *run;

    (void)state;
    world->metering = false;
    for (int i = 0; i < 30; i++)
        world_append_window(world);
    world_stop_meter(world);
    world_start_meter(world, RUN + 1);
    world->next_seq = 0;
    offline(40);
    damage(JP_FRAME_RUN, 1);
    damage(JP_FRAME_BLOCK, 3);
    online(60);
    run = subscriber_run(&got, RUN + 1);
    assert_non_null(run);
    assert_int_equal(subscriber_run(&got, RUN)->windows, 30);
    assert_int_equal(run->windows, 30);
    for (int seq = 0; seq < 40; seq++)
        assert_true(run->seen[seq] != run->in_gap[seq]);
    assert_true(got.ordered && got.gaps == 1);
}

// Half of a block in JSON ------------------------------------------------------------------------
static bool is_confirmed;

// The broker answers one message a second; once half of the first block is delivered, the collector has it all.
static void answer_and_confirm(struct world *w)
{
    struct world_message *message = &w->log->messages[w->under_way_index];

    world_go_up(w);
    if (!w->under_way)
        return;
    w->under_way = NULL;
    message->delivered = true;
    world_say(w, JP_NEWS_DELIVERED, 0);
    if (strcmp(message->leaf, "records") == 0 && !is_confirmed) {
        is_confirmed = true;
        confirm(9);
    }
}

static void half_a_block_that_the_collector_has_takes_nothing_of_the_next(void **state)
{
    bool seen[100] = {false};
    json_t *json, *window;
    size_t n;

    (void)state;
    world->config.mqtt.release = JP_RELEASE_COLLECTOR;
    world->config.mqtt.format = JP_RECORDS_JSON;
    offline(100);
    world->config.mqtt.status_s = 60;
    world->max_packet = 1500;
    world->answer = is_confirmed = false;
    world->each_second = answer_and_confirm;
    world_post(world, 100, true);
    for (int i = 0; i < world->log->count; i++) {
        if (strcmp(world->log->messages[i].leaf, "records") != 0)
            continue;
        json = subscriber_json(world, &world->log->messages[i]);
        json_array_foreach(json, n, window) seen[json_integer_value(json_object_get(window, "seq"))] = true;
        json_decref(json);
    }
    assert_true(seen[0] && !seen[9]);
    for (int seq = 10; seq < 100; seq++)
        assert_true(seen[seq]);
}

// What is pending at a start -----------------------------------------------------------------------
static void assert_pending(double windows)
{
    world->up = false;
    world->metering = false;
    world->each_second = world_go_up;
    world->refuse = 0x97;
    world->refusals = -1;
    world_post(world, 5, true);
    assert_true(status_number("pending", "windows", NULL) == windows);
}

static void history_that_is_kept_is_not_pending(void **state)
{
    (void)state;
    world->config.spool.keep_all = true;
    world->each_second = world_go_up;
    world_post(world, 1005, true);
    world_stop_meter(world);
    online(5);
    assert_true(subscriber_run(&got, RUN)->seen[1004]);
    world_start_meter(world, RUN + 1);
    world->next_seq = 0;
    offline(35);
    assert_pending(35);
}

static void put_file(int number)
{
    char path[JP_PATH_MAX + 32];
    int fd;

    snprintf(path, sizeof path, "%s/%08d.jps", world->config.paths_spool, number);
    fd = open(path, O_RDWR | O_CREAT, 0640);
    assert_int_equal(write(fd, "garbage", 7), 7);
    close(fd);
}

static void stray_files_hide_nothing_that_is_pending(void **state)
{
    (void)state;
    offline(100);
    online(60); // and gone
    offline(200);
    for (int i = 0; i < 6; i++)
        put_file(99999 - 7 * i);
    assert_pending(200);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_segment_that_cannot_be_opened_holds_up_a_minute_alone),
        TEST(a_segment_that_can_be_opened_again_in_time_loses_nothing),
        TEST(an_error_that_says_try_again_hangs_nothing),
        TEST(a_block_that_cannot_be_read_is_not_published),
        TEST(a_block_with_a_coverage_that_cannot_be_read_is_not_published),
        TEST(bad_bytes_between_blocks_are_told_as_a_gap),
        TEST(a_block_that_cannot_be_read_is_told_as_a_gap),
        TEST(the_first_blocks_of_a_run_are_told_as_a_gap),
        TEST(a_gap_behind_the_damage_is_taken_off),
        TEST(a_gap_before_the_damage_is_taken_off),
        TEST(a_gap_within_the_damage_is_taken_off),
        TEST(damage_where_a_segment_begins_is_told),
        TEST(a_segment_that_cannot_be_opened_is_told_as_a_gap),
        TEST(what_went_out_without_the_spool_is_in_no_gap),
        TEST(what_went_out_before_the_start_is_in_no_gap),
        TEST(what_the_collector_has_is_in_no_gap),
        TEST(a_gap_releases_itself_alone),
        TEST(a_gap_waits_for_the_collector_with_its_block),
        TEST(a_gap_comes_again_to_a_silent_collector),
        TEST(a_run_whose_frame_is_damaged_keeps_its_boot_and_clock),
        TEST(a_run_whose_frame_is_damaged_takes_no_clock_of_another),
        TEST(a_run_whose_frame_is_damaged_is_told_apart),
        TEST(half_a_block_that_the_collector_has_takes_nothing_of_the_next),
        TEST(history_that_is_kept_is_not_pending),
        TEST(stray_files_hide_nothing_that_is_pending),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
