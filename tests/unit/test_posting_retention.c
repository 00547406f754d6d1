// SPDX-License-Identifier: Apache-2.0
// The post half with a full spool, or content that no broker takes: what goes is told once, and kept where it can be.
#define _GNU_SOURCE
#include "post_subscriber.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "make_windows.h"
#include "spool.h"

#include <cmocka.h>

#define RUN 0x51
#define SPOOL_BYTES 524288 // the least: eight segments of 64 KiB

static struct world *world;
static struct subscriber got;

static int setup(void **state)
{
    (void)state;
    world = world_new(2, 10);
    world->config.spool.max_bytes = 1;
    world_start_meter(world, RUN);
    world->metering = false;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_delete(world);
    return 0;
}

static int64_t spool_bytes(void)
{
    return jp_hot_bytes(&jp_fs_real, world->config.paths_spool);
}

// What arrived as windows and in gaps, together.
struct sum {
    int64_t windows, lost, mj[2];
    int gaps;
};

static void add(struct sum *sum, const json_t *object, int64_t windows)
{
    const json_t *energy = json_object_get(object, "energy_mj");

    sum->windows += windows;
    sum->mj[0] += json_integer_value(json_object_get(energy, "r0"));
    sum->mj[1] += json_integer_value(json_object_get(energy, "r1"));
}

static struct sum sum_up(void)
{
    struct sum sum = {0};

    for (int i = 0; i < world->log->count; i++) {
        const struct world_message *message = &world->log->messages[i];
        bool gap = strcmp(message->leaf, "gap") == 0;
        json_t *json, *window;
        size_t n;

        if (!message->delivered || (!gap && strcmp(message->leaf, "records") != 0))
            continue;
        json = subscriber_json(world, message);
        json_array_foreach(json, n, window) add(&sum, window, 1);
        if (gap)
            add(&sum, json, json_integer_value(json_object_get(json, "windows")));
        sum.gaps += gap;
        sum.lost += gap ? json_integer_value(json_object_get(json, "windows")) : 0;
        json_decref(json);
    }
    return sum;
}

// `runs` runs of ten windows.
static void assert_whole(const struct sum *sum, int runs)
{
    static struct jp_run run;
    static struct jp_window window;

    make_run(&run, RUN, 2, 10);
    make_window(&window, &run, 9);
    assert_int_equal(sum->windows, runs * 10);
    for (int c = 0; c < 2; c++)
        assert_int_equal(sum->mj[c], runs * window.channels[c].run_mj);
}

// The gaps of runs that went are themselves more than the spool holds.
static void runs_without_end_leave_room_for_the_newest(void **state)
{
    const int runs = 2500;
    struct sum sum;

    (void)state;
    world->config.mqtt.format = JP_RECORDS_JSON;
    for (int run = 1; run <= runs; run++) {
        for (int i = 0; i < 10; i++)
            world_append_window(world);
        world_stop_meter(world);
        if (run % 50 == 0) {
            int before = world->syncs;

            world_post(world, 15, true);
            assert_true(world->syncs - before < 300);
            assert_true(spool_bytes() <= SPOOL_BYTES);
        }
        world_start_meter(world, RUN + (uint64_t)run);
        world->metering = false;
    }
    world->each_second = world_go_up;
    world_post(world, 300, true);
    sum = sum_up();
    assert_whole(&sum, runs);
    assert_true(sum.gaps < 500);
}

static void a_run_that_goes_on_keeps_its_number(void **state)
{
    int whole = 0, cut = 0;

    (void)state;
    for (int run = 0; run < 24; run++) {
        for (int life = 0; life < 3; life++) { // of post: a segment each
            for (int i = 0; i < 1360; i++)
                world_append_window(world);
            world_post(world, 15, true);
        }
        world_stop_meter(world);
        world_start_meter(world, RUN + 1 + (uint64_t)run);
        world->metering = false;
    }
    for (int i = 0; i < 1360; i++) // of one run more, so that another has to give a part of itself
        world_append_window(world);
    world_post(world, 15, true);
    world->each_second = world_go_up;
    world_post(world, 60, true);
    subscriber_take(&got, world, 0);
    for (int run = 0; run < 24; run++) {
        const struct subscriber_run *one = subscriber_run(&got, RUN + (uint64_t)run);

        assert_non_null(one);
        whole += one->windows == 4080;
        cut += one->windows > 0 && one->windows < 4080;
        if (one->windows > 0)
            assert_int_equal(one->run_no, run + 1);
    }
    assert_true(cut == 1 && whole > 1);
    assert_int_equal(subscriber_run(&got, RUN + 1)->run_no, -1);
}

// A disk that fails for half a minute as soon as a segment has been weighed.
static struct {
    struct jp_fs fs;
    bool armed;
    int weighings; // until it does
    int until;     // second of world time
} disk;

static bool is_broken(void)
{
    return world->seconds < disk.until;
}

static int disk_open(const struct jp_fs *self, const char *path, enum jp_fs_open how)
{
    (void)self;
    if (how == JP_FS_CREATE && is_broken())
        return -EIO;
    if (disk.armed && how == JP_FS_READ && strstr(path, ".jps") && --disk.weighings == 0)
        disk.until = world->seconds + 30;
    return jp_fs_real.open(&jp_fs_real, path, how);
}

static ssize_t disk_pwrite(const struct jp_fs *self, int fd, const void *bytes, size_t size, int64_t offset)
{
    (void)self;
    return is_broken() ? -EIO : jp_fs_real.pwrite(&jp_fs_real, fd, bytes, size, offset);
}

static int disk_sync(const struct jp_fs *self, int fd)
{
    (void)self;
    return is_broken() ? -EIO : jp_fs_real.sync(&jp_fs_real, fd);
}

static void fill_then_go_up(struct world *w)
{
    disk.armed = true; // what is read from now on is weighed
    if (w->seconds < 300)
        for (int i = 0; i < 20; i++)
            world_append_window(w);
    else if (w->seconds > 450)
        world_go_up(w);
}

static int64_t status_lost(void)
{
    int64_t lost = 0;

    for (int i = 0; i < world->log->count; i++) {
        const struct world_message *message = &world->log->messages[i];
        json_t *json;

        if (strcmp(message->leaf, "status") != 0 || message->size < 30)
            continue; // "offline" says nothing more
        json = subscriber_json(world, message);
        lost = json_integer_value(
            json_object_get(json_object_get(json_object_get(json, "lost"), "spool_full"), "windows"));
        json_decref(json);
    }
    return lost;
}

// The disk fails upon the weighing number `nth`. Segments without windows are among the first.
static void assert_counted_once(int nth)
{
    struct sum sum;

    for (int run = 0; run < 3; run++) {
        for (int i = 0; i < 1000; i++)
            world_append_window(world);
        world_post(world, 15, true);
        world_stop_meter(world);
        world_post(world, 1, true);
        world_start_meter(world, RUN + 1 + (uint64_t)run);
        world->metering = false;
    }
    disk.armed = false;
    disk.until = 0;
    disk.weighings = nth;
    world->flash = &disk.fs;
    world->each_second = fill_then_go_up;
    world_post(world, 1000, true);
    sum = sum_up();
    assert_true(disk.until > 0);
    assert_int_equal(sum.windows, 3000 + (int64_t)world->next_seq);
    assert_int_equal(status_lost(), sum.lost);
}

static void what_goes_while_the_disk_fails_is_told_and_counted_once(void **state)
{
    disk.fs = jp_fs_real;
    disk.fs.open = disk_open;
    disk.fs.pwrite = disk_pwrite;
    disk.fs.sync = disk_sync;
    for (int nth = 1; nth <= 3; nth++) {
        setup(state);
        world->config.mqtt.format = JP_RECORDS_JSON;
        world->config.mqtt.status_s = 1;
        world->config.mqtt.ack_timeout_s = 3;
        assert_counted_once(nth);
        teardown(state);
    }
}

// What is refused -----------------------------------------------------------------------------------
static void what_is_parked_is_not_released_and_no_part_of_the_spool_beside_it(void **state)
{
    char refused[JP_PATH_MAX + 16];
    struct jp_spool_reader reader;
    struct jp_block_head head;
    struct jp_frame frame;
    struct jp_pos cursor = {0, 0};
    uint8_t id[16] = {0}, main_id[16];
    int rc, blocks = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        world_append_window(world);
    world_post(world, 30, true); // to flash
    world->each_second = world_go_up;
    world->refuse = 0x99;
    world->refusals = 5 * 5; // ten blocks, five, two, one, and one more
    world_post(world, 60, true);
    snprintf(refused, sizeof refused, "%s/refused", world->config.paths_spool);
    assert_int_equal(jp_spool_read_cursor(&jp_fs_real, world->config.paths_spool, &cursor, main_id), 0);
    cursor = (struct jp_pos){0, 0};
    jp_spool_read_cursor(&jp_fs_real, refused, &cursor, id); // it may have none
    assert_int_equal(jp_spool_reader_open(&reader, &jp_fs_real, refused, cursor), 0);
    while ((rc = jp_spool_reader_next(&reader, &frame)) >= 0 && rc != JP_SPOOL_END) {
        if (rc != JP_SPOOL_FRAME || frame.type != JP_FRAME_BLOCK)
            continue;
        assert_int_equal(jp_block_peek(&head, frame.payload, frame.size), 0);
        assert_true(head.run == RUN && head.seq == 10 * (uint64_t)blocks);
        assert_memory_not_equal(reader.file.header.spool_id, main_id, sizeof main_id);
        if (blocks++ > 0)
            assert_memory_equal(reader.file.header.spool_id, id, sizeof id);
        memcpy(id, reader.file.header.spool_id, sizeof id);
    }
    jp_spool_reader_close(&reader);
    assert_int_equal(blocks, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(runs_without_end_leave_room_for_the_newest),
        TEST(a_run_that_goes_on_keeps_its_number),
        TEST(what_is_parked_is_not_released_and_no_part_of_the_spool_beside_it),
        cmocka_unit_test(what_goes_while_the_disk_fails_is_told_and_counted_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
