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
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "make_windows.h"

#include <cmocka.h>

#define RUN 0x51

static struct world *world;
static struct subscriber got;

static int setup(void **state)
{
    (void)state;
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(world != MAP_FAILED);
    world_begin(world, 2, 10);
    world_start_meter(world, RUN);
    world->config.mqtt.status_s = 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_end(world);
    munmap(world, sizeof *world);
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
static int closed_until, open_error;
static bool told_at_once, told_later;

static int door_open(const struct jp_fs *self, const char *path, enum jp_fs_open how)
{
    (void)self;
    if (how == JP_FS_READ && strstr(path, "/00000001.jps") && world->seconds < closed_until)
        return open_error;
    return jp_fs_real.open(&jp_fs_real, path, how);
}

static void close_the_first(int error, int seconds)
{
    door = jp_fs_real;
    door.open = door_open;
    world->flash = &door;
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
// Changes the payload of the `nth` frame of a type (0 the first) in segment 1; its CRC is right again.
static void change(uint8_t type, int nth, void (*how)(uint8_t *payload, size_t size))
{
    static uint8_t bytes[JP_SEGMENT_MAX];
    struct jp_segment_header header;
    struct jp_frame frame;
    char path[JP_PATH_MAX + 32];
    int at, fd;
    ssize_t n;

    snprintf(path, sizeof path, "%s/00000001.jps", world->config.paths_spool);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    n = pread(fd, bytes, sizeof bytes, 0);
    assert_true(n > 0);
    at = jp_segment_header_decode(&header, bytes, (size_t)n);
    assert_true(at > 0);
    for (;; at += JP_FRAME_HEAD + (int)frame.size) {
        assert_int_equal(jp_frame_parse(&frame, bytes + at, (size_t)(n - at)), JP_FOUND_WHOLE);
        if (frame.type == type && nth-- == 0)
            break;
    }
    how(bytes + at + JP_FRAME_HEAD, frame.size);
    jp_frame_head(bytes + at, frame.number, type, bytes + at + JP_FRAME_HEAD, frame.size);
    assert_int_equal(pwrite(fd, bytes, (size_t)n, 0), n);
    close(fd);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_segment_that_cannot_be_opened_holds_up_a_minute_alone),
        TEST(a_segment_that_can_be_opened_again_in_time_loses_nothing),
        TEST(an_error_that_says_try_again_hangs_nothing),
        TEST(a_block_that_cannot_be_read_is_not_published),
        TEST(a_block_with_a_coverage_that_cannot_be_read_is_not_published),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
