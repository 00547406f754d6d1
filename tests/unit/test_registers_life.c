// SPDX-License-Identifier: Apache-2.0
// Lives of a board, thousands of them at random, against a subscriber who remembers: under one register_id no value
// ever goes down, and none moves by more than was used since he last saw it.
#include "registers_resolve.h"

#include "entropy.h"
#include "payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "make_windows.h"

#include <cmocka.h>

#define LIVES 4000
#define STEPS 60
#define CHANNELS 3
#define TOTAL CHANNELS // its index among the values
#define WINDOWS_MAX 2000
#define IDS_MAX 64

static const struct jp_records_head head = {.device = "bench-1", .boot = "0e7c1f6e-2f0b-4d6a-9b1e-5d7f2a3c4b5a"};

// What is so, whoever counts it.
static struct {
    struct jp_jitter jitter;
    struct jp_run run, before;
    struct jp_window windows[WINDOWS_MAX], windows_before[WINDOWS_MAX]; // of both
    int count, count_before;
    int64_t used_mj[CHANNELS + 1]; // all that was ever drawn, what was pushed back not taken off
    int64_t net_mj[CHANNELS + 1], highest_mj[CHANNELS + 1];
    int64_t now_ms;
    uint64_t seed, next;
    double g_per_kwh;
    bool one_factor; // for all its life
    bool negative;
} world;

struct record {
    uint8_t bytes[JP_REGISTERS_BYTES_MAX];
    int size; // 0 none
};

static struct {
    bool alive, resolved, have_record;
    int64_t record_ms, stopped_ms;
    struct jp_registers registers;
} post;

static struct record hot, flash;
static char retained[4096];
static int retained_size;
static bool lossless; // nothing was lost so far
static int published, resolutions[JP_RESOLUTION_COUNT];

// The subscriber.
struct seen {
    uint64_t id;
    int64_t mj[CHANNELS + 1], used_mj[CHANNELS + 1], ug;
};
static struct seen seen[IDS_MAX];
static int seen_count;

static uint64_t pick(uint64_t below)
{
    return jp_jitter_next(&world.jitter, below);
}

// Of the windows, those that may be left out before one is counted: where rails push back, the peak may be among them.
static int left_out(int windows)
{
    return world.negative || windows == 0 ? 0 : (int)pick((uint64_t)windows);
}

// The world ------------------------------------------------------------------------------------
static void start_run(void)
{
    world.before = world.run;
    memcpy(world.windows_before, world.windows, sizeof *world.windows * (size_t)world.count);
    world.count_before = world.count;
    make_run(&world.run, ++world.next, CHANNELS, 5);
    world.run.channels[2].in_total = false;
    world.count = 0;
}

static void use(int value, int64_t mj)
{
    world.used_mj[value] += mj > 0 ? mj : 0;
    world.net_mj[value] += mj;
    if (world.highest_mj[value] < world.net_mj[value])
        world.highest_mj[value] = world.net_mj[value];
}

static void close_window(void)
{
    struct jp_window *window = &world.windows[world.count];
    int64_t total_mj = 0;

    if (world.count == WINDOWS_MAX)
        return;
    make_window(window, &world.run, 0);
    window->seq = (uint64_t)world.count;
    window->t0_ms += world.count * 1000;
    for (int c = 0; c < CHANNELS; c++) {
        int64_t mj = (int64_t)pick(3000) - (world.negative && c > 0 ? 1000 : 0);

        window->channels[c].mj = mj;
        window->channels[c].run_mj = mj + (world.count > 0 ? window[-1].channels[c].run_mj : 0);
        use(c, mj);
        total_mj += world.run.channels[c].in_total ? mj : 0;
    }
    use(TOTAL, total_mj);
    world.count++;
    world.now_ms += 1000;
}

// The subscriber ---------------------------------------------------------------------------------
static struct seen *find_seen(uint64_t id)
{
    for (int i = 0; i < seen_count; i++)
        if (seen[i].id == id)
            return &seen[i];
    assert_true(seen_count < IDS_MAX);
    seen[seen_count] = (struct seen){.id = id};
    return &seen[seen_count++];
}

static void judge(bool good, int value, int64_t before, int64_t after)
{
    if (!good)
        fail_msg("REGISTERS_SEED=%llu: value %d went from %lld to %lld", (unsigned long long)world.seed, value,
                 (long long)before, (long long)after);
}

static void check_value(const struct seen *last, int value, int64_t mj)
{
    int64_t used_mj = world.used_mj[value] - last->used_mj[value];

    judge(mj >= last->mj[value] && mj - last->mj[value] <= used_mj, value, last->mj[value], mj);
    judge(!lossless || mj == world.highest_mj[value], value, world.highest_mj[value], mj);
}

static void check_emissions(const struct seen *last, const struct jp_retained *live)
{
    double used_ug = (double)(world.used_mj[TOTAL] - last->used_mj[TOTAL]) * world.g_per_kwh / 3600;

    judge(live->emissions_known && live->emissions_ug >= last->ug, TOTAL + 1, last->ug, live->emissions_ug);
    if (world.one_factor)
        judge((double)(live->emissions_ug - last->ug) <= used_ug + 2, TOTAL + 2, last->ug, live->emissions_ug);
}

static void see(const struct jp_retained *live)
{
    struct seen *last = find_seen(live->id);

    assert_true(live->count == CHANNELS && live->total_known);
    for (int c = 0; c < CHANNELS; c++)
        check_value(last, c, live->channels[c].mj);
    check_value(last, TOTAL, live->total_mj);
    check_emissions(last, live);
    for (int c = 0; c < CHANNELS; c++)
        last->mj[c] = live->channels[c].mj;
    last->mj[TOTAL] = live->total_mj;
    last->ug = live->emissions_ug;
    memcpy(last->used_mj, world.used_mj, sizeof last->used_mj);
    published++;
}

// Post -------------------------------------------------------------------------------------------
static void write(struct record *record, bool closed)
{
    const struct jp_registers_stamp stamp = {
        .real_ms = post.registers.final ? world.now_ms : post.record_ms,
        .closed = closed,
    };

    record->size = jp_registers_encode(&post.registers, &stamp, record->bytes, sizeof record->bytes);
    assert_true(record->size > 0);
}

// The one on tmpfs is never the older one.
static void save(bool closed)
{
    write(&flash, closed);
    write(&hot, true);
}

static void load(void)
{
    const struct record *record = hot.size > 0 ? &hot : &flash;
    struct jp_registers_stamp stamp = {.real_ms = 0};

    if (record->size == 0)
        jp_registers_init(&post.registers, ++world.next << 32);
    else
        assert_int_equal(jp_registers_decode(&post.registers, &stamp, record->bytes, (size_t)record->size), 0);
    post.have_record = post.registers.published;
    post.record_ms = stamp.real_ms;
}

// The last run's blocks, or all but its end.
static void prove(void)
{
    static uint8_t bytes[JP_BLOCK_BYTES_MAX];
    static struct jp_block_reader reader;
    static struct jp_block block;
    int end = (int)pick((uint64_t)world.count_before + 1);

    if (end == 0)
        return;
    assert_int_equal(jp_block_begin(&block, &world.before, 0), 0);
    for (int i = 0; i < end; i++) {
        assert_int_equal(jp_block_add(&block, &world.windows_before[i]), 0);
        if (!jp_block_full(&block) && i < end - 1)
            continue;
        assert_int_equal(jp_block_read(&reader, bytes, (size_t)jp_block_encode(&block, bytes, sizeof bytes)), 0);
        assert_true(jp_registers_prove(&post.registers, &reader) >= 0);
        jp_block_clear(&block);
    }
    jp_block_end(&block);
}

static void count_from(const struct jp_run *run, const struct jp_window *windows, int from, int to)
{
    jp_registers_begin(&post.registers, run);
    for (int i = from; i < to; i++)
        jp_registers_count(&post.registers, &windows[i]);
}

static void price(void)
{
    const struct jp_factor factor = {.known = true, .g_per_kwh = world.g_per_kwh};

    jp_registers_price(&post.registers, &factor, 1.0);
}

// The hot spool may hold the run before too, and be read from anywhere; a record tells what of it was counted.
static void start_post(void)
{
    int from = left_out(world.count + 1);

    load();
    if (!world.one_factor)
        world.g_per_kwh = (double)pick(1000);
    price();
    if (!lossless && pick(2))
        prove();
    if (lossless && world.count_before > 0 && post.registers.run != 0)
        count_from(&world.before, world.windows_before, left_out(world.count_before), world.count_before);
    count_from(&world.run, world.windows, from,
               lossless ? world.count : from + (int)pick((uint64_t)(world.count - from) + 1));
    post.alive = true;
    post.resolved = false;
    save(false);
}

static void resolve(void)
{
    static struct jp_retained live;
    bool there = retained_size > 0 && jp_retained_parse(&live, retained, (size_t)retained_size) == 0;
    struct jp_resolve_rules rules = {
        .have_record = post.have_record,
        .may_adopt = pick(4) > 0,
        .new_id = ++world.next << 32,
        .run = &world.run,
        .missing_ms = pick(8) == 0 ? -1 : world.now_ms - (post.have_record ? post.record_ms : 0),
    };

    resolutions[jp_registers_resolve(&post.registers, there ? &live : NULL, &rules)]++;
    post.resolved = true;
    save(false);
}

static void read_hot(void)
{
    for (int i = left_out(world.count); i < world.count; i++)
        jp_registers_count(&post.registers, &world.windows[i]);
}

static void publish(void)
{
    static struct jp_retained live;
    const struct jp_window *newest = &world.windows[world.count - 1];
    struct jp_live out = {.head = &head, .run = &world.run, .window = newest, .registers = &post.registers};

    if (!post.alive || world.count == 0)
        return;
    if (!post.resolved)
        resolve();
    read_hot();
    write(&hot, true);
    retained_size = jp_payload_live(&out, retained, sizeof retained);
    assert_int_equal(jp_retained_parse(&live, retained, (size_t)retained_size), 0);
    see(&live);
}

// What happens -----------------------------------------------------------------------------------
static void windows(void)
{
    for (uint64_t n = pick(12) + 1; n > 0; n--) {
        close_window();
        if (post.alive && (world.negative || pick(5) > 0))
            jp_registers_count(&post.registers, &world.windows[world.count - 1]);
    }
}

static void restart_meter(void)
{
    if (post.alive) // what closed is in the hot spool
        read_hot();
    if (!post.alive && lossless)
        return; // post would read two runs' ends: one is enough here
    start_run();
    if (post.alive) {
        jp_registers_begin(&post.registers, &world.run);
        save(false);
    }
}

static void stop(void)
{
    if (!post.alive)
        return;
    read_hot();
    save(true);
    post.stopped_ms = world.now_ms;
    post.alive = false;
}

static void reboot(void)
{
    stop();
    if (post.stopped_ms != world.now_ms)
        lossless = false; // it had died before
    hot.size = 0;
    start_run();
    world.count_before = 0;
}

static void cut_power(void)
{
    post.alive = lossless = false;
    hot.size = 0;
    start_run();
}

// A board of the same name.
static void be_foreign(void)
{
    char *id = retained_size > 0 ? strstr(retained, "\"register_id\":\"") : NULL;

    if (id)
        memcpy(id + strlen("\"register_id\":\""), "0f", 2);
}

static void step(void)
{
    switch (pick(16)) {
    case 0: // killed
        post.alive = false;
        break;
    case 1:
        stop();
        break;
    case 2:
        reboot();
        break;
    case 3:
        restart_meter();
        break;
    case 4:
        if (pick(3) == 0)
            cut_power();
        break;
    case 5:
        if (pick(8) == 0) { // the state is gone
            cut_power();
            flash.size = 0;
        }
        break;
    case 6:
        if (pick(8) == 0) { // the record on tmpfs alone
            post.alive = lossless = false;
            hot.size = 0;
        }
        break;
    case 7:
        if (pick(8) == 0) // the broker forgets
            retained_size = 0;
        else if (pick(8) == 0)
            be_foreign();
        break;
    case 8:
        if (post.alive)
            save(false);
        break;
    case 9:
    case 10:
        if (!post.alive)
            start_post();
        break;
    default:
        windows();
        if (pick(3) > 0)
            publish();
        break;
    }
}

static void live(uint64_t seed)
{
    memset(&world, 0, sizeof world);
    memset(&post, 0, sizeof post);
    world.seed = seed;
    jp_jitter_seed(&world.jitter, seed);
    world.one_factor = pick(2);
    world.negative = pick(2);
    world.g_per_kwh = 360;
    seen_count = retained_size = 0;
    hot.size = flash.size = 0;
    lossless = true;
    start_run();
    for (int i = 0; i < STEPS; i++)
        step();
}

static void no_value_goes_down_or_moves_by_more_than_was_used(void **state)
{
    const char *from = getenv("REGISTERS_SEED"); // one life alone
    uint64_t seed = from ? strtoull(from, NULL, 10) : 1;

    (void)state;
    for (int i = 0; i < (from ? 1 : LIVES); i++) {
        live(seed + (uint64_t)i);
    }
    if (from)
        return;
    assert_true(published > LIVES);
    for (int i = 0; i < JP_RESOLUTION_COUNT; i++)
        if (resolutions[i] < 10)
            fail_msg("outcome %d came %d times only", i, resolutions[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_value_goes_down_or_moves_by_more_than_was_used)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
