// SPDX-License-Identifier: Apache-2.0
// The post half on a durable spool that has suffered: segments that cannot be opened, bytes that are bad.
#define _GNU_SOURCE
#include "post_subscriber.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_segment_that_cannot_be_opened_holds_up_a_minute_alone),
        TEST(a_segment_that_can_be_opened_again_in_time_loses_nothing),
        TEST(an_error_that_says_try_again_hangs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
