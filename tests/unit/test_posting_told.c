// SPDX-License-Identifier: Apache-2.0
// The line that post leaves in paths.hot for programs of this machine.
#define _GNU_SOURCE
#include "post_world.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct world *world;
static struct {
    int count;
    char state[128][16]; // a second each
    char error[128][64];
    int64_t since_ms[128], age_ms[128], pending[128];
    bool silent[128];
    double of_run[128], registers[128];
} seen;

static json_t *told(void)
{
    char path[128];

    snprintf(path, sizeof path, "%s/post.json", world->dir);
    return json_load_file(path, 0, NULL);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void look(void)
{
    static int64_t first_ms;
    json_t *line = told(), *link = json_object_get(line, "link"), *status = json_object_get(line, "status");
    const json_t *registers = json_object_get(line, "registers");
    const json_t *degraded = json_object_get(status, "degraded");
    int i = seen.count++;

    assert_non_null(line);
    assert_true(i < 128);
    first_ms = i == 0 ? json_integer_value(json_object_get(line, "boot_ms")) : first_ms;
    snprintf(seen.state[i], sizeof seen.state[i], "%s", text_of(link, "state"));
    snprintf(seen.error[i], sizeof seen.error[i], "%s", text_of(link, "error"));
    seen.since_ms[i] = json_integer_value(json_object_get(link, "since_boot_ms"));
    seen.age_ms[i] = first_ms + i * 1000 - json_integer_value(json_object_get(line, "boot_ms"));
    seen.pending[i] = json_integer_value(json_object_get(json_object_get(status, "pending"), "windows"));
    seen.of_run[i] = json_number_value(json_object_get(registers, "of_run_j"));
    seen.registers[i] = json_number_value(json_object_get(json_object_get(registers, "energy_j"), "total"));
    if (json_is_object(registers))
        assert_string_equal(text_of(registers, "run"), "0000000000000051");
    for (size_t k = 0; k < json_array_size(degraded); k++)
        seen.silent[i] |= strcmp(json_string_value(json_array_get(degraded, k)), "meter_silent") == 0;
    assert_int_equal(json_integer_value(json_object_get(line, "pid")), getpid());
    json_decref(line);
}

static void watch(struct world *the)
{
    if (the->seconds == 5) {
        world_say(the, JP_NEWS_REFUSED, 0);
        snprintf(the->news[the->news_count - 1].text, sizeof the->news[0].text, "no \"route\"");
    }
    if (the->seconds == 20)
        world_say(the, JP_NEWS_UP, 0);
    look();
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    world = world_new(2, 10);
    world_start_meter(world, 0x51);
    world->metering = true;
    world->answer = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_delete(world);
    return 0;
}

static void the_link_is_told_with_its_reason(void **state)
{
    (void)state;
    world->each_second = watch;
    world_post(world, 40, true);
    assert_string_equal(seen.state[1], "connecting");
    assert_string_equal(seen.error[1], "");
    assert_string_equal(seen.state[8], "connecting");
    assert_string_equal(seen.error[8], "no \"route\"");
    assert_int_equal(seen.since_ms[8], seen.since_ms[1]);
    assert_string_equal(seen.state[22], "connected");
    assert_string_equal(seen.error[22], "");
    assert_in_range(seen.since_ms[22] - seen.since_ms[8], 18000, 21000);
    assert_int_equal(seen.since_ms[39], seen.since_ms[22]);
    assert_true(seen.pending[18] >= 10);
    assert_true(seen.pending[22] < 25);
    assert_true(seen.of_run[39] > 0);
    assert_true(seen.of_run[39] == seen.registers[39]); // there was no run before
}

// A broker's reason may be cut inside a letter, or be no text at all: post is not dead for that.
static void mangle(struct world *the)
{
    if (the->seconds == 5) {
        world_say(the, JP_NEWS_REFUSED, 0);
        memcpy(the->news[the->news_count - 1].text, "caf\xc3\xa9 \xff caf\xc3", sizeof "caf\xc3\xa9 \xff caf\xc3");
    }
    look();
}

static void a_reason_that_is_no_text_is_told_too(void **state)
{
    (void)state;
    world->each_second = mangle;
    world_post(world, 20, true);
    assert_string_equal(seen.error[19], "caf\xc3\xa9 ? caf?");
    assert_in_range(seen.age_ms[19], 0, 12000);
}

// Written seldom while all is well, more often while something is not: never so that readers call post dead.
static void the_line_is_never_old(void **state)
{
    int64_t worst[2] = {0, 0};

    (void)state;
    world->each_second = watch;
    world_post(world, 120, true);
    for (int i = 0; i < seen.count; i++)
        if (seen.age_ms[i] > worst[i > 21])
            worst[i > 21] = seen.age_ms[i];
    assert_in_range(worst[0], 5000, 12000);
    assert_in_range(worst[1], 40000, 70000);
}

static void look_only(struct world *the)
{
    (void)the;
    look();
}

static void a_logger_says_so(void **state)
{
    (void)state;
    world->each_second = look_only;
    world_post(world, 30, false);
    assert_string_equal(seen.state[29], "none");
}

static void a_silent_meter_is_told(void **state)
{
    (void)state;
    world->metering = false;
    world->each_second = watch;
    world_post(world, 60, true);
    assert_false(seen.silent[20]);
    assert_true(seen.silent[59]);
}

static void its_end_takes_the_line_along(void **state)
{
    json_t *line;

    (void)state;
    world_post(world, 5, true);
    line = told();
    assert_null(line);
    assert_true(world_post_forked(world, 20, 10));
    line = told();
    assert_non_null(line); // killed: it grows old
    json_decref(line);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_link_is_told_with_its_reason),
        TEST(a_reason_that_is_no_text_is_told_too),
        TEST(the_line_is_never_old),
        TEST(a_logger_says_so),
        TEST(a_silent_meter_is_told),
        TEST(its_end_takes_the_line_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
