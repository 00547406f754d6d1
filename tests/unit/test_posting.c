// SPDX-License-Identifier: Apache-2.0
// The post half against a real hot spool, a clock that jumps and a link that misbehaves to order.
#define _GNU_SOURCE
#include "post_world.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "make_windows.h"

#include <cmocka.h>

#define SEQ_MAX 4096

static struct world world;

// What a subscriber made of the delivered records.
static struct {
    int blocks, windows, doubled, differing;
    int64_t mj[2];
    uint64_t last_seq;
    bool ordered;
    struct {
        size_t at, size; // of the encoded block in the arena, of its first window
    } block[SEQ_MAX];
    bool seen[SEQ_MAX];
    int64_t off_ms;
    char clock[16];
} got;

static void take_window(const struct jp_window *window)
{
    assert_true(window->seq < SEQ_MAX);
    if (got.seen[window->seq]) {
        got.doubled++;
        return;
    }
    got.ordered &= got.windows == 0 || window->seq == got.last_seq + 1;
    got.seen[window->seq] = true;
    got.last_seq = window->seq;
    got.windows++;
    for (int c = 0; c < 2; c++)
        got.mj[c] += window->channels[c].mj;
}

static void take_block(const uint8_t *bytes, size_t size)
{
    static struct jp_block_reader reader;
    static struct jp_window window;
    size_t at = (size_t)(bytes - world.log->arena);

    assert_int_equal(jp_block_read(&reader, bytes, size), 0);
    assert_true(reader.seq < SEQ_MAX);
    assert_true(reader.seq / (uint64_t)world.run.block_windows ==
                (reader.seq + (uint64_t)reader.count - 1) / (uint64_t)world.run.block_windows);
    if (got.block[reader.seq].size > 0)
        got.differing +=
            got.block[reader.seq].size != size || memcmp(world.log->arena + got.block[reader.seq].at, bytes, size) != 0;
    got.block[reader.seq].at = at;
    got.block[reader.seq].size = size;
    got.blocks++;
    while (jp_block_next(&reader, &window) == 1)
        take_window(&window);
}

static void take_head(struct jp_cbor_in *in)
{
    size_t pairs = jp_cbor_get_map(in);

    while (pairs-- > 0) {
        char key[16];

        jp_cbor_copy_text(in, key, sizeof key);
        if (strcmp(key, "off_ms") == 0)
            got.off_ms = jp_cbor_get_int(in);
        else if (strcmp(key, "clock") == 0)
            jp_cbor_copy_text(in, got.clock, sizeof got.clock);
        else
            jp_cbor_skip(in);
    }
    assert_false(in->failed);
}

// All records handed over, delivered or not: a message under way at a kill may have arrived.
static void subscribe(void)
{
    memset(&got, 0, sizeof got);
    got.ordered = true;
    for (int i = 0; i < world.log->count; i++) {
        const struct world_message *message = &world.log->messages[i];
        const uint8_t *bytes = world.log->arena + message->at;
        struct jp_cbor_in in;

        if (strcmp(message->leaf, "records") != 0)
            continue;
        jp_cbor_in_init(&in, bytes, message->size);
        take_head(&in);
        while (in.at < in.size) {
            size_t from = in.at;

            jp_cbor_skip(&in);
            assert_false(in.failed);
            take_block(bytes + from, in.at - from);
        }
    }
}

static int count_leaf(const char *leaf)
{
    int n = 0;

    for (int i = 0; i < world.log->count; i++)
        n += strcmp(world.log->messages[i].leaf, leaf) == 0 && world.log->messages[i].delivered;
    return n;
}

static const struct world_message *last_of(const char *leaf)
{
    const struct world_message *found = NULL;

    for (int i = 0; i < world.log->count; i++)
        if (strcmp(world.log->messages[i].leaf, leaf) == 0)
            found = &world.log->messages[i];
    return found;
}

static json_t *json_of(const struct world_message *message)
{
    json_t *json = message ? json_loadb((const char *)world.log->arena + message->at, message->size, 0, NULL) : NULL;

    assert_non_null(json);
    return json;
}

static int setup(void **state)
{
    (void)state;
    world_begin(&world, 2, 10);
    world_start_meter(&world, 0x51);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_end(&world);
    return 0;
}

static void assert_delivered_equals_cumulative(int windows)
{
    subscribe();
    assert_int_equal(got.windows, windows);
    assert_int_equal(got.differing, 0);
    make_window(&world.window, &world.run, (uint64_t)windows - 1);
    for (int c = 0; c < 2; c++)
        assert_int_equal(got.mj[c], world.window.channels[c].run_mj);
}

static void every_closed_block_arrives_once_and_in_order(void **state)
{
    (void)state;
    world.each_second = world_go_up;
    assert_int_equal(world_post(&world, 105, true), 0);
    assert_delivered_equals_cumulative(100);
    assert_true(got.ordered && got.doubled == 0);
    assert_int_equal(got.blocks, 10);
    assert_true(world.stopped);
}

static void run_event_and_meta_come_before_records(void **state)
{
    int event = -1, meta = -1, records = -1;
    json_t *json;

    (void)state;
    world.each_second = world_go_up;
    world_post(&world, 15, true);
    for (int i = world.log->count - 1; i >= 0; i--) {
        if (strcmp(world.log->messages[i].leaf, "event") == 0)
            event = i;
        else if (strcmp(world.log->messages[i].leaf, "meta") == 0)
            meta = i;
        else if (strcmp(world.log->messages[i].leaf, "records") == 0)
            records = i;
    }
    assert_true(event >= 0 && meta >= 0 && event < records && meta < records);
    json = json_of(&world.log->messages[event]);
    assert_string_equal(json_string_value(json_object_get(json, "kind")), "run");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "detail"), "device")), "bench-1");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "detail"), "run_no")), 1);
    assert_true(json_is_null(json_object_get(json_object_get(json, "detail"), "prev")));
    json_decref(json);
}

static void resend_after_kill_is_byte_identical(void **state)
{
    int killed = 0, windows;

    (void)state;
    world.each_second = world_go_up;
    world.metering = false;
    for (int turn = 1; turn <= 20; turn++) {
        for (int i = 0; i < 17; i++)
            world_append_window(&world);
        if (turn % 3 == 0)
            world_event(&world, "fit");
        killed += world_post_killed(&world, 40, 1 + turn % 7);
    }
    windows = (int)world.next_seq / 10 * 10;
    world_post(&world, 20, true);
    assert_true(killed >= 10);
    assert_delivered_equals_cumulative(windows);
    assert_true(got.ordered);
}

static void a_seal_closes_the_block_and_stop_sends_it(void **state)
{
    const struct world_message *last;

    (void)state;
    world.metering = false;
    for (int i = 0; i < 13; i++)
        world_append_window(&world);
    world.each_second = world_go_up;
    world_post(&world, 5, true);
    subscribe();
    assert_int_equal(got.windows, 10);
    jp_hot_close(&world.meter);
    world.up = false;
    world_post(&world, 1, true);
    assert_delivered_equals_cumulative(13);
    last = &world.log->messages[world.log->count - 1];
    assert_string_equal(last->leaf, "status");
    assert_true(last->retained && last->qos == 1);
    assert_int_equal(last->size, strlen(JP_PAYLOAD_OFFLINE));
    assert_memory_equal(world.log->arena + last->at, JP_PAYLOAD_OFFLINE, last->size);
}

static void a_new_run_ends_the_block_of_the_old(void **state)
{
    struct jp_gap gap = {.run = 0x51,
                         .first_seq = 4,
                         .last_seq = 4,
                         .windows = 1,
                         .reason = "hot_full",
                         .channel_count = 2,
                         .mj = {1, 2},
                         .known = {true, true}};
    struct jp_event start = {.run = 0x52, .kind = "run", .detail = "{}"}; // said from the RUN frame already
    uint8_t bytes[512];
    json_t *json;

    (void)state;
    world.metering = false;
    for (int i = 0; i < 4; i++)
        world_append_window(&world);
    world_start_meter(&world, 0x52); // the first meter was killed: no SEAL
    world_append(&world, JP_FRAME_EVENT, bytes, jp_event_encode(&start, bytes, sizeof bytes));
    world_append(&world, JP_FRAME_GAP, bytes, jp_gap_encode(&gap, bytes, sizeof bytes));
    world.next_seq = 20;
    for (int i = 0; i < 10; i++)
        world_append_window(&world);
    world.each_second = world_go_up;
    world_post(&world, 5, true);
    subscribe();
    assert_int_equal(got.windows, 14);
    assert_int_equal(count_leaf("event"), 2);
    assert_int_equal(count_leaf("gap"), 1);
    json = json_of(last_of("gap"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "energy_mj"), "r0")), 1);
    json_decref(json);
    assert_true(got.seen[3] && got.seen[20] && got.seen[29]);
}

static void the_run_event_has_the_time_of_its_own_start(void **state)
{
    json_t *json;

    (void)state;
    world.each_second = world_go_up;
    world_post(&world, 20, true);
    world.seconds = 50;
    world_start_meter(&world, 0x52);
    world.up = false;
    world_post(&world, 5, true);
    json = json_of(last_of("event"));
    assert_int_equal(json_integer_value(json_object_get(json, "boot_ms")), 150000);
    assert_true(json_integer_value(json_object_get(json, "t_ms")) == 4000000150000);
    json_decref(json);
}

// Of a run that post never saw: its frames are gone.
static void a_gap_names_its_channels_itself(void **state)
{
    static struct jp_gap gap; // large
    static struct jp_run run;
    uint8_t bytes[512];
    json_t *json;

    (void)state;
    make_run(&run, 0x99, 2, 10);
    make_window(&world.window, &run, 4);
    jp_gap_fold(&gap, &run, &world.window, "hot_full");
    world_append(&world, JP_FRAME_GAP, bytes, jp_gap_encode(&gap, bytes, sizeof bytes));
    world.each_second = world_go_up;
    world_post(&world, 5, true);
    json = json_of(last_of("gap"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "energy_mj"), "r1")), 2004);
    json_decref(json);
    json = json_of(last_of("status"));
    assert_string_equal(json_string_value(json_object_get(json, "state")), "offline");
    json_decref(json);
}

// A configuration changed in between would make other bytes of the same windows.
static void a_blocks_columns_are_those_of_its_run(void **state)
{
    static struct jp_block_reader reader;
    const struct world_message *message;
    struct jp_cbor_in in;

    (void)state;
    world.run.columns = JP_BLOCK_MV | JP_BLOCK_PEAK;
    world_start_meter(&world, 0x53);
    world.each_second = world_go_up;
    world_post(&world, 15, true);
    message = last_of("records");
    assert_non_null(message);
    jp_cbor_in_init(&in, world.log->arena + message->at, message->size);
    take_head(&in);
    assert_int_equal(jp_block_read(&reader, world.log->arena + message->at + in.at, in.size - in.at), 0);
    assert_int_equal(reader.columns, JP_BLOCK_MV | JP_BLOCK_PEAK);
}

// Overwrites the frames of `count` windows in the segment at hand, then appends the rest of 40 windows in the next.
static void damage_windows(uint64_t first, uint64_t count)
{
    static const uint8_t noise[4096] = {[0 ... 4095] = 0xa5};
    int64_t from = 0, to = 0;
    char path[512];
    FILE *file;

    world.metering = false;
    for (uint64_t seq = 0; seq < 25; seq++) {
        if (seq == first)
            from = world.meter.offset;
        world_append_window(&world);
        if (seq + 1 == first + count)
            to = world.meter.offset;
    }
    assert_int_equal(jp_segment_path(path, world.dir, world.meter.header.number), 0);
    file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, (long)from, SEEK_SET);
    assert_int_equal(fwrite(noise, 1, (size_t)(to - from), file), to - from);
    fclose(file);
    world_start_meter(&world, 0x51);
    world.next_seq = 25;
    for (int i = 0; i < 15; i++)
        world_append_window(&world);
}

static int64_t damaged_gap(const char *name)
{
    json_t *json = json_of(last_of("gap"));
    int64_t value = json_integer_value(json_object_get(json, name));

    assert_string_equal(json_string_value(json_object_get(json, "reason")), "damaged");
    json_decref(json);
    return value;
}

static void damaged_windows_are_told_as_a_gap_with_their_joules(void **state)
{
    json_t *json, *energy, *lost;

    (void)state;
    damage_windows(12, 2);
    world.each_second = world_go_up;
    world.config.mqtt.status_s = 1;
    world_post(&world, 10, true);
    subscribe();
    assert_int_equal(got.windows, 38);
    assert_false(got.seen[12] || got.seen[13]);
    assert_int_equal(count_leaf("gap"), 1);
    assert_int_equal(damaged_gap("first_seq"), 12);
    assert_int_equal(damaged_gap("last_seq"), 13);
    assert_int_equal(damaged_gap("windows"), 2);
    json = json_of(last_of("gap"));
    assert_true(json_real_value(json_object_get(json, "seconds")) == 2.0);
    energy = json_object_get(json, "energy_mj");
    assert_int_equal(json_integer_value(json_object_get(energy, "r0")), 1005 + 1006);
    assert_int_equal(json_integer_value(json_object_get(energy, "r1")), 2005 + 2006);
    json_decref(json);
    world.log->count--; // the goodbye
    json = json_of(last_of("status"));
    lost = json_object_get(json_object_get(json, "lost"), "damaged");
    assert_int_equal(json_integer_value(json_object_get(lost, "windows")), 2);
    assert_true(json_real_value(json_object_get(lost, "seconds")) == 2.0);
    assert_true(json_real_value(json_object_get(lost, "joules")) == 6.022);
    json_decref(json);
    world.up = false;
    world_post(&world, 10, true);
    assert_int_equal(count_leaf("gap"), 1);
}

// What lies between is not counted twice.
static void damage_beside_another_gap_is_counted_apart(void **state)
{
    static struct jp_gap gap; // large
    uint8_t bytes[512];

    (void)state;
    world.metering = false;
    damage_windows(20, 5);
    for (uint64_t seq = 40; seq < 43; seq++) {
        make_window(&world.window, &world.run, seq);
        jp_gap_fold(&gap, &world.run, &world.window, "hot_full");
    }
    world_append(&world, JP_FRAME_GAP, bytes, jp_gap_encode(&gap, bytes, sizeof bytes));
    world.next_seq = 43;
    for (int i = 0; i < 10; i++)
        world_append_window(&world);
    world.each_second = world_go_up;
    world_post(&world, 10, true);
    assert_int_equal(count_leaf("gap"), 2);
    while (count_leaf("gap") == 2)
        world.log->count--; // up to the first
    assert_int_equal(damaged_gap("first_seq"), 20);
    assert_int_equal(damaged_gap("last_seq"), 24);
    assert_int_equal(damaged_gap("windows"), 5);
}

static void damage_of_a_runs_first_windows_is_told(void **state)
{
    (void)state;
    damage_windows(0, 3);
    world.each_second = world_go_up;
    world_post(&world, 10, true);
    assert_int_equal(damaged_gap("first_seq"), 0);
    assert_int_equal(damaged_gap("windows"), 3);
}

static void a_backlog_goes_out_in_large_messages(void **state)
{
    (void)state;
    world.metering = false;
    for (int i = 0; i < 3000; i++)
        world_append_window(&world);
    world.each_second = world_go_up;
    world_post(&world, 20, true);
    assert_delivered_equals_cumulative(3000);
    assert_true(got.ordered && got.doubled == 0);
    assert_true(count_leaf("records") <= 10);
    assert_true(count_leaf("live") >= 1);
}

static void nothing_is_released_before_it_is_acknowledged(void **state)
{
    (void)state;
    world.each_second = world_go_up;
    world.refuse = 0x97;
    world.refusals = -1;
    world_post(&world, 60, true);
    assert_int_equal(count_leaf("records"), 0);
    world.refusals = 0;
    world.up = false;
    world_post(&world, 20, true);
    subscribe();
    assert_true(got.windows >= 70 && got.ordered);
}

static void a_message_too_large_is_split(void **state)
{
    (void)state;
    world.metering = false;
    for (int i = 0; i < 400; i++)
        world_append_window(&world);
    world.each_second = world_go_up;
    world.too_large = 300;
    world_post(&world, 60, true);
    assert_delivered_equals_cumulative(400);
    for (int i = 0; i < world.log->count; i++)
        if (world.log->messages[i].delivered && strcmp(world.log->messages[i].leaf, "records") == 0)
            assert_true(world.log->messages[i].size <= 300);
}

static void the_brokers_packet_limit_is_kept(void **state)
{
    (void)state;
    world.metering = false;
    for (int i = 0; i < 400; i++)
        world_append_window(&world);
    world.each_second = world_go_up;
    world.max_packet = 600;
    world_post(&world, 60, true);
    assert_delivered_equals_cumulative(400);
    for (int i = 0; i < world.log->count; i++)
        if (strcmp(world.log->messages[i].leaf, "records") == 0)
            assert_true(world.log->messages[i].size < 600);
}

static void a_refused_block_is_kept_and_status_says_so(void **state)
{
    bool said = false;
    json_t *json;

    (void)state;
    world.each_second = world_go_up;
    world.refuse = 0x99;
    world.refusals = 7;
    world_post(&world, 120, true);
    subscribe();
    assert_true(got.windows >= 100 && got.ordered && got.differing == 0);
    for (int i = 0; i < world.log->count - 1; i++) {
        if (strcmp(world.log->messages[i].leaf, "status") != 0)
            continue;
        json = json_of(&world.log->messages[i]);
        said |= json_integer_value(json_object_get(json, "refused")) > 0;
        json_decref(json);
    }
    assert_true(said);
}

static void json_windows_follow(size_t largest, int seconds);

static const char *denied;

static void deny_until_40(struct world *w)
{
    world_go_up(w);
    w->deny = w->seconds < 40 ? denied : NULL;
}

static int64_t most_refused(void)
{
    int64_t most = 0;

    for (int i = 0; i < world.log->count - 1; i++) {
        json_t *json;
        int64_t refused;

        if (strcmp(world.log->messages[i].leaf, "status") != 0)
            continue;
        json = json_of(&world.log->messages[i]);
        refused = json_integer_value(json_object_get(json, "refused"));
        most = refused > most ? refused : most;
        json_decref(json);
    }
    return most;
}

static void records_pass_while_leaf_is_denied(const char *leaf)
{
    denied = leaf;
    world.each_second = deny_until_40;
    world_post(&world, 35, true);
    subscribe();
    assert_true(got.windows >= 30 && got.ordered);
    assert_int_equal(count_leaf(leaf), 0);
    assert_true(most_refused() >= 1);
}

static void a_denied_event_stands_aside_and_is_told_later(void **state)
{
    json_t *json;

    (void)state;
    denied = "event";
    world.each_second = deny_until_40;
    world_event(&world, "fit");
    world_post(&world, 120, true);
    subscribe();
    assert_true(got.windows >= 110 && got.ordered && got.doubled == 0);
    assert_true(most_refused() == 2);
    assert_int_equal(count_leaf("event"), 2);
    json = json_of(last_of("event"));
    assert_string_equal(json_string_value(json_object_get(json, "kind")), "task");
    json_decref(json);
}

static void denied_events_do_not_stop_records(void **state)
{
    (void)state;
    records_pass_while_leaf_is_denied("event");
}

static void a_denied_meta_does_not_stop_records_and_comes_later(void **state)
{
    (void)state;
    records_pass_while_leaf_is_denied("meta");
    world.up = false;
    world.seconds = 39;
    world_post(&world, 60, true);
    assert_int_equal(count_leaf("meta"), 1);
}

static void a_meta_refused_once_comes_again(void **state)
{
    (void)state;
    world.each_second = world_go_up;
    world_post(&world, 12, true);
    world.log->count = 0;
    world.up = false;
    denied = "meta"; // no run is begun now: meta is due because of the connection alone
    world.seconds = 38;
    world.each_second = deny_until_40;
    world_post(&world, 20, true);
    assert_int_equal(count_leaf("meta"), 1);
}

static void meta_comes_once_at_the_start(void **state)
{
    (void)state;
    world.each_second = world_go_up;
    world_post(&world, 30, true);
    assert_int_equal(count_leaf("meta"), 1);
}

static void an_event_larger_than_the_packet_stands_aside(void **state)
{
    (void)state;
    world.each_second = world_go_up;
    world.max_packet = 300; // a block fits, the event that begins the run and meta do not
    world_post(&world, 35, true);
    subscribe();
    assert_true(got.windows >= 30 && got.ordered);
    assert_int_equal(count_leaf("event"), 0);
    assert_true(most_refused() >= 1);
}

// Under 3.1.1 a broker closes the connection upon a message that is too large for it.
static void a_broker_that_closes_on_large_records_gets_small_ones(void **state)
{
    (void)state;
    world.metering = false;
    for (int i = 0; i < 400; i++)
        world_append_window(&world);
    world.each_second = world_go_up;
    world.slam = 400;
    world_post(&world, 120, true);
    assert_delivered_equals_cumulative(400);
    assert_true(count_leaf("records") >= 10);
    assert_true(last_of("records")->delivered);
}

static void a_broker_that_closes_on_large_json_gets_small_ones(void **state)
{
    (void)state;
    world.slam = 700;
    json_windows_follow(700, 60);
}

// Up for two seconds, down for one; from second 60 on it holds.
static void flap(struct world *w)
{
    if (w->seconds >= 60 || w->seconds % 3 == 0)
        world_go_up(w);
    else if (w->seconds % 3 == 2 && w->up && !w->under_way)
        world_say(w, JP_NEWS_DOWN, 0);
}

// How many lines of what post logged in `seconds` hold the text.
static int lines_with(const char *text, FILE *log)
{
    char line[1024];
    int count = 0;

    rewind(log);
    while (fgets(line, sizeof line, log))
        count += strstr(line, text) != NULL;
    return count;
}

static void a_flapping_connection_is_said_at_its_edges(void **state)
{
    FILE *log = tmpfile();
    int before = dup(2);

    (void)state;
    assert_non_null(log);
    dup2(fileno(log), 2);
    jp_log_open("post", JP_LOG_INFO);
    world.each_second = flap;
    world_post(&world, 120, true);
    jp_log_open("post", JP_LOG_ERROR);
    dup2(before, 2);
    close(before);
    assert_int_equal(lines_with("connected to", log), 1);
    assert_int_equal(lines_with("connection lost", log), 1);
    assert_int_equal(lines_with("holds again", log), 1);
    fclose(log);
    subscribe();
    assert_true(got.windows >= 110);
}

static void down_in_the_middle(struct world *w)
{
    if (w->seconds == 35) {
        w->answer = false; // the next publish hangs, then the door slams
    } else if (w->seconds == 45) {
        if (w->under_way)
            world_say(w, JP_NEWS_FAILED, 0);
        w->under_way = NULL;
        world_say(w, JP_NEWS_DOWN, 0);
        w->answer = true;
    } else if (w->seconds < 35 || w->seconds > 60) {
        world_go_up(w);
    }
}

static void what_stands_aside_at_the_end_comes_after_it(void **state)
{
    int before;

    (void)state;
    denied = "event";
    world.each_second = deny_until_40;
    world_post(&world, 20, true);
    assert_int_equal(count_leaf("event"), 0);
    before = world.log->count;
    world.up = false;
    world.deny = NULL;
    world.each_second = world_go_up;
    world_post(&world, 20, true);
    assert_int_equal(count_leaf("event"), 1);
    assert_true(world.log->count > before);
}

static void a_slammed_door_loses_nothing(void **state)
{
    (void)state;
    world.each_second = down_in_the_middle;
    world_post(&world, 105, true);
    assert_delivered_equals_cumulative(100);
    assert_true(got.ordered && got.doubled <= 10);
}

static void events_and_gaps_are_told_once_over_a_restart(void **state)
{
    struct jp_gap gap = {.run = 0x51,
                         .first_seq = 12,
                         .last_seq = 14,
                         .windows = 3,
                         .t0_ms = 112000,
                         .span_ms = 3000,
                         .reason = "hot_full",
                         .channel_count = 2,
                         .mj = {3000, 6000},
                         .known = {true, true}};
    uint8_t bytes[512];
    json_t *json;

    (void)state;
    world.metering = false;
    world.each_second = world_go_up;
    for (int i = 0; i < 12; i++)
        world_append_window(&world);
    world_event(&world, "fit");
    world_append(&world, JP_FRAME_GAP, bytes, jp_gap_encode(&gap, bytes, sizeof bytes));
    world.next_seq = 15;
    for (int i = 0; i < 3; i++)
        world_append_window(&world);
    world_event(&world, "inside an open block");
    world_post(&world, 5, true);
    subscribe();
    assert_int_equal(got.windows, 12);
    assert_int_equal(count_leaf("event"), 3); // run, task, task
    assert_int_equal(count_leaf("gap"), 1);
    json = json_of(last_of("gap"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "energy_mj"), "r1")), 6000);
    json_decref(json);
    world.up = false;
    world_post(&world, 5, true);
    for (int i = 0; i < 2; i++)
        world_append_window(&world);
    world.up = false;
    world_post(&world, 5, true);
    assert_int_equal(count_leaf("event"), 3);
    assert_int_equal(count_leaf("gap"), 1);
    jp_hot_close(&world.meter);
    world.up = false;
    world_post(&world, 5, true);
    subscribe();
    assert_int_equal(got.windows, 17);
    assert_int_equal(count_leaf("gap"), 1);
}

static void json_windows_follow(size_t largest, int seconds)
{
    uint64_t seq = 0;
    int64_t mj = 0;

    world.config.mqtt.format = JP_RECORDS_JSON;
    world.metering = false;
    for (int i = 0; i < 100; i++)
        world_append_window(&world);
    world.each_second = world_go_up;
    world_post(&world, seconds, true);
    for (int i = 0; i < world.log->count; i++) {
        const struct world_message *message = &world.log->messages[i];
        json_t *array, *one;
        size_t index;

        if (strcmp(message->leaf, "records") != 0 || !message->delivered)
            continue;
        assert_true(message->size <= largest);
        array = json_of(message);
        json_array_foreach(array, index, one)
        {
            assert_int_equal(json_integer_value(json_object_get(one, "seq")), seq++);
            mj += json_integer_value(json_object_get(json_object_get(one, "energy_mj"), "r1"));
        }
        json_decref(array);
    }
    assert_int_equal(seq, 100);
    make_window(&world.window, &world.run, 99);
    assert_int_equal(mj, world.window.channels[1].run_mj);
}

// A block of ten windows does not fit: it is split.
static void json_carries_the_same_windows(void **state)
{
    (void)state;
    world.max_packet = 2000;
    json_windows_follow(2000, 30);
}

static void a_refused_json_message_is_split_between_windows(void **state)
{
    (void)state;
    world.too_large = 700;
    json_windows_follow(700, 30);
}

// The first of two windows is far larger than the other: half of both has no room for it.
static void windows_of_uneven_size_are_split_by_number(void **state)
{
    uint8_t bytes[JP_WINDOW_BYTES_MAX];

    (void)state;
    world_end(&world);
    world_begin(&world, 8, 2);
    world_start_meter(&world, 0x51);
    world.metering = false;
    world.config.mqtt.format = JP_RECORDS_JSON;
    for (uint64_t seq = 0; seq < 20; seq++) {
        make_window(&world.window, &world.run, seq);
        for (int c = 0; c < 8 && seq % 2 == 0; c++) {
            world.window.channels[c].covered_ms = 999;
            world.window.channels[c].cause = JP_CAUSE_READ_ERROR;
        }
        world_append(&world, JP_FRAME_WINDOW, bytes, jp_window_encode(&world.window, bytes, sizeof bytes));
    }
    world.too_large = 750;
    world.each_second = world_go_up;
    world_post(&world, 60, true);
    assert_true(count_leaf("records") >= 20);
}

static void live_comes_every_live_s_from_the_newest_window(void **state)
{
    json_t *json;

    (void)state;
    world.each_second = world_go_up;
    world_post(&world, 101, true);
    assert_in_range(count_leaf("live"), 9, 12);
    assert_int_equal(last_of("live")->qos, 0);
    assert_true(last_of("live")->retained);
    json = json_of(last_of("live"));
    assert_true(json_integer_value(json_object_get(json, "seq")) >= 89);
    assert_string_equal(json_string_value(json_object_get(json, "register")), "final");
    json_decref(json);
}

static int64_t seq_of(const struct world_message *message)
{
    json_t *json = json_of(message);
    int64_t seq = json_integer_value(json_object_get(json, "seq"));

    json_decref(json);
    return seq;
}

static void live_of_each_second_misses_no_window(void **state)
{
    int64_t last = -1;
    int lives = 0;

    (void)state;
    world.each_second = world_go_up;
    world.config.mqtt.live_s = 1;
    world.lag_ms = 180;
    world_post(&world, 60, true);
    for (int i = 0; i < world.log->count; i++) {
        const struct world_message *message = &world.log->messages[i];

        if (strcmp(message->leaf, "live") != 0)
            continue;
        assert_true(last < 0 || seq_of(message) == last + 1);
        last = seq_of(message);
        lives++;
    }
    assert_in_range(lives, 57, 60);
}

// Live every 5 windows, blocks of 10: every second live goes with a block, and nothing else wakes post.
static void live_goes_with_the_last_window_of_a_block(void **state)
{
    int lives = 0;

    (void)state;
    world.each_second = world_go_up;
    world.config.mqtt.live_s = 5;
    world.lag_ms = 180;
    world_post(&world, 20, true);
    world.up = false;
    world.wakes = 0;
    world.log->count = 0;
    world_post(&world, 201, true);
    for (int i = 0; i < world.log->count; i++) {
        const struct world_message *message = &world.log->messages[i];

        if (strcmp(message->leaf, "live") != 0)
            continue;
        assert_true(lives == 0 || (seq_of(message) + 1) % 5 == 0);
        lives++;
    }
    assert_in_range(lives, 40, 42);
    assert_int_equal(count_leaf("records"), 20);
    // 40 lives, 20 acknowledgements, the few of the start and the end.
    assert_in_range(world.wakes, 60, 70);
}

// A meter that is late is waited for in short steps, one that is gone in long ones.
static void a_silent_meter_costs_few_wakes(void **state)
{
    (void)state;
    world.each_second = world_go_up;
    world.lag_ms = 180;
    world_post(&world, 20, true);
    world.metering = false;
    world.up = false;
    world.wakes = 0;
    world_post(&world, 600, true);
    assert_in_range(world.wakes, 60, 80);
}

static void bring(struct world *w, const char *topic, const char *text)
{
    struct jp_news *news = &w->news[w->news_count++];

    *news = (struct jp_news){.kind = JP_NEWS_INCOMING, .size = strlen(text)};
    snprintf(news->topic, sizeof news->topic, "%s", topic);
    news->payload = malloc(news->size + 1); // one more: an empty one is not NULL
    memcpy(news->payload, text, news->size);
}

static void bring_a_factor(struct world *w)
{
    world_go_up(w);
    if (w->seconds == 12)
        bring(w, "joulepost/1/grid/FR", "{\"g_per_kwh\":3600,\"source\":\"x\",\"valid_from\":\"2026\"}");
    if (w->seconds == 14)
        bring(w, "joulepost/1/grid/FR", "{\"g_per_kwh\":-1}");
    if (w->seconds == 16)
        bring(w, "joulepost/1/grid/FR", "");
}

static void a_live_factor_prices_what_is_sent(void **state)
{
    json_t *json;

    (void)state;
    strcpy(world.config.location.zone, "FR");
    world.each_second = bring_a_factor;
    world_post(&world, 41, true);
    json = json_of(last_of("live"));
    assert_true(json_real_value(json_object_get(json, "emissions_g")) > 0);
    json_decref(json);
    json = json_of(last_of("meta"));
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "factor"), "source")), "live:FR");
    json_decref(json);
}

static void a_configured_factor_is_not_replaced(void **state)
{
    json_t *json;

    (void)state;
    strcpy(world.config.location.zone, "FR");
    world.config.location.intensity_g_per_kwh = 42;
    world.each_second = bring_a_factor;
    world_post(&world, 41, true);
    json = json_of(last_of("meta"));
    assert_true(json_number_value(json_object_get(json_object_get(json, "factor"), "g_per_kwh")) == 42);
    json_decref(json);
}

static void bring_commands(struct world *w)
{
    world_go_up(w);
    if (w->seconds == 5)
        bring(w, "joulepost/1/bench-1/cmd", "{\"command\":\"task start\",\"name\":\"fit\"}");
    if (w->seconds == 9) { // sent once, long ago: not to be done at each connection
        bring(w, "joulepost/1/bench-1/cmd", "{\"command\":\"task start\",\"name\":\"kept\"}");
        w->news[w->news_count - 1].retained = true;
    }
    if (w->seconds == 6)
        bring(w, "joulepost/1/bench-1/cmd", "{\"command\":\"task stop\",\"name\":\"a b\"}");
    if (w->seconds == 7)
        bring(w, "joulepost/1/bench-1/cmd", "{\"command\":\"halt\",\"name\":\"now\"}");
    if (w->seconds == 8)
        bring(w, "joulepost/1/bench-1/cmd", "[[[[");
}

static void only_allowed_commands_reach_meter(void **state)
{
    (void)state;
    world.each_second = bring_commands;
    world_post(&world, 10, true);
    assert_string_equal(world.asked, "");
    world.config.mqtt.command_count = 1;
    strcpy(world.config.mqtt.commands[0], "task");
    world.seconds = 0;
    world_post(&world, 10, true);
    assert_string_equal(world.asked, "task start fit");
}

static void the_will_is_exactly_offline(void **state)
{
    struct jp_posting_topics store;
    struct jp_link_config link;

    (void)state;
    strcpy(world.config.location.zone, "FR");
    world.config.mqtt.client_id[0] = '\0';
    jp_posting_link_config(&world.config, "bench-1", &store, &link);
    assert_string_equal(link.will_payload, "{\"state\":\"offline\"}");
    assert_string_equal(link.will_topic, "joulepost/1/bench-1/status");
    assert_string_equal(link.client_id, "joulepost-bench-1");
    assert_string_equal(link.subscriptions[0], "joulepost/1/grid/FR");
    assert_string_equal(link.subscriptions[1], "joulepost/1/bench-1/live");
    assert_null(link.subscriptions[2]); // cmd only when allowed, ack only when asked for
}

static void set_the_clock(struct world *w)
{
    if (w->seconds == 25)
        world_anchor(w, JP_CLOCK_SYNCED, 5000000000000);
    if (w->seconds > 30)
        world_go_up(w);
}

static void an_unsynced_clock_is_repaired_from_a_later_anchor(void **state)
{
    (void)state;
    world_anchor(&world, JP_CLOCK_UNSYNCED, 77);
    world.each_second = set_the_clock;
    world_post(&world, 32, true);
    subscribe();
    assert_string_equal(got.clock, "synced"); // of the last message: windows after the anchor
    assert_true(got.off_ms == 5000000000000);
    for (int i = 0; i < world.log->count; i++) { // of the first: those before it
        struct jp_cbor_in in;

        if (strcmp(world.log->messages[i].leaf, "records") != 0)
            continue;
        jp_cbor_in_init(&in, world.log->arena + world.log->messages[i].at, world.log->messages[i].size);
        take_head(&in);
        assert_string_equal(got.clock, "estimated");
        assert_true(got.off_ms == 5000000000000);
        break;
    }
}

static void sent_segments_are_removed_and_unsent_ones_go_to_flash(void **state)
{
    int64_t full;

    (void)state;
    world.metering = false;
    for (int i = 0; i < SEQ_MAX / 10 * 10; i++)
        world_append_window(&world);
    full = jp_hot_bytes(&jp_fs_real, world.dir);
    world_post(&world, 20, false);
    assert_true(jp_hot_bytes(&jp_fs_real, world.dir) < full);
    world.each_second = world_go_up;
    world_post(&world, 30, true);
    assert_delivered_equals_cumulative(SEQ_MAX / 10 * 10);
}

static void the_wake_socket_replaces_a_stale_one(void **state)
{
    char path[512];
    struct stat st;
    mode_t mask;

    (void)state;
    mask = umask(077);
    snprintf(path, sizeof path, "%s/wake", world.dir);
    world_post(&world, 2, false);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0660);
    umask(mask);
    assert_int_equal(world_post(&world, 2, false), 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_closed_block_arrives_once_and_in_order),
        TEST(run_event_and_meta_come_before_records),
        TEST(resend_after_kill_is_byte_identical),
        TEST(a_seal_closes_the_block_and_stop_sends_it),
        TEST(a_new_run_ends_the_block_of_the_old),
        TEST(the_run_event_has_the_time_of_its_own_start),
        TEST(a_gap_names_its_channels_itself),
        TEST(a_blocks_columns_are_those_of_its_run),
        TEST(damaged_windows_are_told_as_a_gap_with_their_joules),
        TEST(damage_beside_another_gap_is_counted_apart),
        TEST(damage_of_a_runs_first_windows_is_told),
        TEST(a_backlog_goes_out_in_large_messages),
        TEST(nothing_is_released_before_it_is_acknowledged),
        TEST(a_message_too_large_is_split),
        TEST(the_brokers_packet_limit_is_kept),
        TEST(a_refused_block_is_kept_and_status_says_so),
        TEST(denied_events_do_not_stop_records),
        TEST(a_denied_event_stands_aside_and_is_told_later),
        TEST(a_denied_meta_does_not_stop_records_and_comes_later),
        TEST(a_meta_refused_once_comes_again),
        TEST(meta_comes_once_at_the_start),
        TEST(an_event_larger_than_the_packet_stands_aside),
        TEST(a_broker_that_closes_on_large_records_gets_small_ones),
        TEST(a_broker_that_closes_on_large_json_gets_small_ones),
        TEST(windows_of_uneven_size_are_split_by_number),
        TEST(a_flapping_connection_is_said_at_its_edges),
        TEST(what_stands_aside_at_the_end_comes_after_it),
        TEST(a_slammed_door_loses_nothing),
        TEST(events_and_gaps_are_told_once_over_a_restart),
        TEST(json_carries_the_same_windows),
        TEST(a_refused_json_message_is_split_between_windows),
        TEST(live_comes_every_live_s_from_the_newest_window),
        TEST(live_of_each_second_misses_no_window),
        TEST(live_goes_with_the_last_window_of_a_block),
        TEST(a_silent_meter_costs_few_wakes),
        TEST(a_live_factor_prices_what_is_sent),
        TEST(a_configured_factor_is_not_replaced),
        TEST(only_allowed_commands_reach_meter),
        TEST(the_will_is_exactly_offline),
        TEST(an_unsynced_clock_is_repaired_from_a_later_anchor),
        TEST(sent_segments_are_removed_and_unsent_ones_go_to_flash),
        TEST(the_wake_socket_replaces_a_stale_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
