// SPDX-License-Identifier: Apache-2.0
// What rails cost on flash, everything included: a spool of the default size holds at least 50 days of three rails at
// 1 Hz, at no more than 3.2 bytes a rail and window.
#define _POSIX_C_SOURCE 200809L
#include "block.h"
#include "made_load.h"
#include "spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_BYTES 67108864
#define BUDGET_BYTES 3.2
#define BUDGET_DAYS 50
#define DAY_S 86400.0

struct world {
    struct jp_run run;
    struct made_load load;
    struct jp_block block;
    struct jp_spool spool;
    struct jp_spool_now now;
    uint64_t stored; // windows written
    uint8_t payload[JP_PAYLOAD_MAX];
};

static int remain(const struct jp_fs *self, int fd)
{
    (void)self;
    (void)fd;
    return 0;
}

// As post begins a segment.
static void preface(void *context, struct jp_spool *spool)
{
    struct world *world = context;
    struct jp_anchor anchor = {.boot_ms = world->now.boot_ms, .off_ms = 1790000000000, .clock = 1, .err_ms = 4};
    size_t size = made_durable_run(&world->run, 1, NULL, world->stored, world->payload, sizeof world->payload);
    int n;

    assert_int_equal(jp_spool_append(spool, JP_FRAME_RUN, world->payload, size), 0);
    n = jp_anchor_encode(&anchor, world->payload, sizeof world->payload);
    assert_int_equal(jp_spool_append(spool, JP_FRAME_ANCHOR, world->payload, (size_t)n), 0);
}

static size_t next_block(struct world *world)
{
    struct jp_window window;
    int size;

    jp_block_clear(&world->block);
    while (!jp_block_full(&world->block)) {
        made_window(&world->load, &window);
        assert_int_equal(jp_block_add(&world->block, &window), 0);
    }
    size = jp_block_encode(&world->block, world->payload, sizeof world->payload);
    assert_true(size > 0);
    return (size_t)size;
}

static void begin(struct world *world, int rails, enum made_kind kind)
{
    made_run(&world->run, 0x5eed, rails);
    made_begin(&world->load, &world->run, kind, 1);
    assert_int_equal(jp_block_begin(&world->block, &world->run, 0), 0);
}

// Bytes of frames a rail and window, of a day of one kind of load.
static double of_load(struct world *world, int rails, enum made_kind kind)
{
    double bytes = 0;

    begin(world, rails, kind);
    for (int i = 0; i < DAY_S / 30; i++)
        bytes += JP_FRAME_HEAD + (double)next_block(world);
    jp_block_end(&world->block);
    return bytes / DAY_S / rails;
}

// Windows that can be read.
static uint64_t windows_in(const char *dir, const struct jp_fs *fs)
{
    struct jp_spool_reader reader;
    struct jp_block_reader block;
    struct jp_frame frame;
    uint64_t windows = 0;
    int rc;

    assert_int_equal(jp_spool_reader_open(&reader, fs, dir, (struct jp_pos){0, 0}), 0);
    while ((rc = jp_spool_reader_next(&reader, &frame)) == JP_SPOOL_FRAME) {
        if (frame.type != JP_FRAME_BLOCK)
            continue;
        assert_int_equal(jp_block_read(&block, frame.payload, frame.size), 0);
        windows += (uint64_t)block.count;
    }
    assert_int_equal(rc, JP_SPOOL_END);
    jp_spool_reader_close(&reader);
    return windows;
}

// Fills a spool until its oldest segment goes. The windows that are left, and the bytes they take.
static uint64_t fill(struct world *world, const char *dir, int rails, int64_t *bytes)
{
    int64_t max_bytes = rails == 3 ? MAX_BYTES : MAX_BYTES / 4; // a quarter says as much, in segments of the same size
    struct jp_fs fs = jp_fs_real;
    struct jp_spool_config config = {.fs = &fs,
                                     .dir = dir,
                                     .max_bytes = max_bytes,
                                     .segment_bytes = MAX_BYTES / 64,
                                     .calls = {.context = world, .preface = preface}};
    uint64_t windows;

    fs.sync = remain; // nobody cuts the power here
    snprintf(config.header.device, sizeof config.header.device, "made");
    snprintf(config.header.boot, sizeof config.header.boot, "%s", world->run.boot);
    snprintf(config.header.tool, sizeof config.header.tool, "0.1.0");
    world->now = (struct jp_spool_now){10000, 1790000010000, true};
    world->stored = 0;
    begin(world, rails, MADE_DAY);
    assert_int_equal(jp_spool_open(&world->spool, &config, &world->now), 0);
    while (world->spool.counts.dropped == 0) {
        size_t size = next_block(world);

        assert_int_equal(jp_spool_append(&world->spool, JP_FRAME_BLOCK, world->payload, size), 0);
        world->now.boot_ms += 30000;
        world->now.real_ms += 30000;
        assert_int_equal(jp_spool_commit(&world->spool, &world->now), 0);
        world->stored += 30;
    }
    *bytes = world->spool.used_bytes;
    windows = windows_in(dir, &fs);
    jp_spool_close(&world->spool, &world->now);
    jp_block_end(&world->block);
    return windows;
}

static int remove_file(void *context, const char *name)
{
    char path[JP_PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", (const char *)context, name);
    return jp_fs_real.unlink(&jp_fs_real, path);
}

static void a_spool_holds_its_days(void **state)
{
    static const int rails[] = {3, 8, 11};
    static struct world world; // large
    bool ram = access("/dev/shm", W_OK) == 0;

    (void)state;
    for (size_t i = 0; i < sizeof rails / sizeof rails[0]; i++) {
        char dir[] = "/dev/shm/jp_capacity_XXXXXX", other[] = "/tmp/jp_capacity_XXXXXX";
        char *made = mkdtemp(ram ? dir : other);
        int64_t used;
        double days, bytes;

        assert_non_null(made);
        printf("%2d rails, blocks alone: idle %.2f, steady %.2f, bursts %.2f bytes a rail and window\n", rails[i],
               of_load(&world, rails[i], MADE_IDLE), of_load(&world, rails[i], MADE_STEADY),
               of_load(&world, rails[i], MADE_BURSTS));
        days = (double)fill(&world, made, rails[i], &used) / DAY_S;
        bytes = (double)used / days / DAY_S / rails[i];
        printf("%2d rails in 64 MiB: %.1f days (at least %d of 3), %.2f bytes a rail and window, all included (at most "
               "%.1f)\n",
               rails[i], rails[i] == 3 ? days : MAX_BYTES / bytes / DAY_S / rails[i], BUDGET_DAYS, bytes, BUDGET_BYTES);
        jp_fs_real.list(&jp_fs_real, made, remove_file, made);
        assert_int_equal(rmdir(made), 0);
        assert_true(bytes <= BUDGET_BYTES);
        assert_true(rails[i] != 3 || days >= BUDGET_DAYS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_spool_holds_its_days)};

    return cmocka_run_group_tests_name("capacity", tests, NULL, NULL);
}
