// SPDX-License-Identifier: Apache-2.0
// control.c and answers.c: one reply a request, tasks never nest, crowds and strangers delay nothing.
#define _GNU_SOURCE
#include "answers.h"
#include "control.h"
#include "fake_sensor.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], hot[96];
static struct jp_control control;
static struct jp_answers answers;
static struct jp_window window;
static struct jp_sampler sampler;
static struct jp_record record;
static struct jp_run run;
static struct fake_clock clk;

static int set_up(void **state)
{
    static struct jp_bridge bridge;

    (void)state;
    strcpy(dir, "/tmp/jp-control-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(hot, sizeof hot, "%s/hot", dir);
    assert_int_equal(mkdir(hot, 0750), 0);
    clk = fake_clock_at(1000 * JP_NS_PER_S);
    memset(&run, 0, sizeof run);
    memset(&record, 0, sizeof record);
    memset(&answers, 0, sizeof answers);
    memset(&window, 0, sizeof window);
    memset(&sampler, 0, sizeof sampler);
    run.id = 0xabc;
    strcpy(run.boot, "11111111-2222-3333-4444-555555555555");
    run.window_ms = 1000;
    run.block_windows = 30;
    run.channel_count = 2;
    strcpy(run.channels[0].name, "VDD_IN");
    strcpy(run.channels[1].name, "VDD_CPU");
    run.channels[0].in_total = run.total_known = true;
    run.gauge_count = 1;
    strcpy(run.gauges[0].name, "gpu");
    sampler.seq = 5;
    sampler.poll_reachable = true;
    sampler.gauges[0] = 12500;
    record = (struct jp_record){.clock = &clk.door, .fs = &jp_fs_real, .run = &run, .dir = hot, .max_bytes = 1048576};
    record.notify_fd = -1;
    assert_int_equal(jp_record_open(&record, &jp_entropy_real, &bridge), 0);
    answers = (struct jp_answers){.run = &run, .sampler = &sampler, .record = &record, .clock = &clk.door};
    answers.window = &window;
    answers.window_ns = clk.now_ns;
    control.answer = jp_answers_give;
    control.context = &answers;
    return jp_control_open(&control, dir);
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    jp_control_close(&control);
    jp_record_close(&record);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static json_t *give(const char *request)
{
    static char reply[JP_CONTROL_REPLY_MAX];
    json_t *json;

    jp_answers_give(&answers, request, reply, sizeof reply);
    json = json_loads(reply, JSON_REJECT_DUPLICATES, NULL);
    if (!json)
        fail_msg("not JSON: %s", reply);
    return json;
}

static bool ok(const char *request)
{
    json_t *json = give(request);
    bool is = json_is_true(json_object_get(json, "ok"));

    assert_true(is || json_is_string(json_object_get(json, "error")));
    json_decref(json);
    return is;
}

static void close_a_window(void)
{
    window = (struct jp_window){.run = run.id, .seq = 4, .t0_ms = 1004000, .span_ms = 2000};
    window.channel_count = 2;
    window.channels[0] = (struct jp_window_channel){.known = true, .mj = 30001, .run_mj = 150005, .covered_ms = 2000};
    window.channels[1] = (struct jp_window_channel){.known = false, .run_mj = -7};
}

static void tasks_never_nest_and_names_are_checked(void **state)
{
    (void)state;
    assert_false(ok("task stop bench"));
    assert_true(ok("task start bench"));
    assert_false(ok("task start bench"));
    assert_false(ok("task start other"));
    assert_false(ok("task stop other"));
    assert_true(ok("task stop bench"));
    assert_false(ok("task stop bench"));
    assert_false(ok("task start "));
    assert_false(ok("task start a b"));
    assert_false(ok("task start \"x\""));
    assert_false(ok("task start aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    assert_true(ok("task start aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    assert_false(ok("reboot"));
    assert_false(ok(""));
}

static void task_leaves_its_event(void **state)
{
    struct jp_hot_reader reader;
    struct jp_frame frame;
    struct jp_event event;
    int events = 0;

    (void)state;
    assert_true(ok("task start train-1"));
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, hot, (struct jp_pos){0, 0}), 0);
    while (jp_hot_reader_next(&reader, &frame) == JP_HOT_FRAME) {
        if (frame.type != JP_FRAME_EVENT)
            continue;
        events++;
        assert_int_equal(jp_event_decode(&event, frame.payload, frame.size), 0);
        assert_string_equal(event.kind, "task");
        assert_string_equal(event.detail, "{\"action\":\"start\",\"name\":\"train-1\",\"seq\":5}");
        assert_true(event.boot_ms == 1000000 && event.run == run.id);
    }
    jp_hot_reader_close(&reader);
    assert_int_equal(events, 1);
}

static void live_says_what_is_known_and_null_elsewhere(void **state)
{
    json_t *json, *power, *energy;

    (void)state;
    json = give("live");
    assert_true(json_is_null(json_object_get(json, "seq")));
    assert_true(json_is_null(json_object_get(json, "power_mode")));
    json_decref(json);
    strcpy(run.facts.power_mode, "MODE \"30W\"");
    close_a_window();
    assert_true(ok("task start bench"));
    json = give("live");
    power = json_object_get(json, "power_w");
    energy = json_object_get(json, "energy_j");
    assert_string_equal(json_string_value(json_object_get(json, "run")), "0000000000000abc");
    assert_int_equal(json_integer_value(json_object_get(json, "seq")), 4);
    assert_int_equal(json_integer_value(json_object_get(json, "boot_ms")), 1006000);
    assert_string_equal(json_string_value(json_object_get(json, "power_mode")), "MODE \"30W\"");
    assert_true(json_real_value(json_object_get(power, "VDD_IN")) == 15.0);
    assert_true(json_is_null(json_object_get(power, "VDD_CPU")));
    assert_true(json_real_value(json_object_get(power, "total")) == 15.0);
    assert_true(json_real_value(json_object_get(energy, "VDD_IN")) == 150.005);
    assert_true(json_real_value(json_object_get(energy, "VDD_CPU")) == -0.007);
    assert_true(json_real_value(json_object_get(energy, "total")) == 150.005);
    assert_true(json_real_value(json_object_get(json_object_get(json, "gauges"), "gpu")) == 12.5);
    assert_string_equal(json_string_value(json_object_get(json, "task")), "bench");
    json_decref(json);
}

static double watts(const char *name)
{
    json_t *json = give("live"), *power = json_object_get(json_object_get(json, "power_w"), name);
    double value = json_is_null(power) ? -1 : json_real_value(power);

    json_decref(json);
    return value;
}

static void live_power_is_energy_over_covered_time(void **state)
{
    (void)state;
    close_a_window();
    window.span_ms = 1000;
    window.channels[0] = (struct jp_window_channel){.known = true, .mj = 3000, .covered_ms = 200};
    assert_true(watts("VDD_IN") == 15.0);
    assert_true(watts("total") == 15.0);
    window.channels[0].covered_ms = 0; // an energy of an unknown time: no power, and none of a total with it
    assert_true(watts("VDD_IN") == -1 && watts("total") == -1);
    window.channels[0].covered_ms = 1000;
    run.channels[0].kind = JP_ENERGY;
    assert_true(watts("VDD_IN") == 3.0);
    window.seq = 0; // it may hold what was used between two runs
    assert_true(watts("VDD_IN") == -1 && watts("total") == -1);
}

static void live_names_the_cause_of_what_is_not_covered(void **state)
{
    json_t *json, *cause;

    (void)state;
    close_a_window();
    window.channels[1].cause = JP_CAUSE_READ_ERROR;
    json = give("live");
    cause = json_object_get(json, "cause");
    assert_int_equal(json_object_size(cause), 1);
    assert_string_equal(json_string_value(json_object_get(cause, "VDD_CPU")), "read_error");
    json_decref(json);
}

static void meta_says_what_live_leaves_out(void **state)
{
    json_t *json, *channel;

    (void)state;
    strcpy(run.device, "bench-1");
    strcpy(run.facts.board_name, "A \"board\\\" \xc3\xa4\xff\n");
    strcpy(run.channels[1].part_of, "VDD_IN");
    strcpy(run.gauges[0].unit, "%");
    run.channels[1].roles = JP_ROLE_CPU | JP_ROLE_CV;
    run.channels[1].unverified = true;
    run.channels[1].resolution_uw = 2500;
    run.facts.gpu_count = -1;
    sampler.origin_ns = 7 * JP_NS_PER_S;
    sampler.sleep_base_ns = JP_NS_PER_S;
    json = give("meta");
    assert_true(json_is_true(json_object_get(json, "ok")));
    assert_string_equal(json_string_value(json_object_get(json, "run")), "0000000000000abc");
    assert_string_equal(json_string_value(json_object_get(json, "device")), "bench-1");
    assert_int_equal(json_integer_value(json_object_get(json, "start_boot_ms")), 8000);
    assert_int_equal(json_integer_value(json_object_get(json, "window_ms")), 1000);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "board"), "name")),
                        "A \"board\\\" \xc3\xa4??");
    assert_true(json_is_null(json_object_get(json_object_get(json, "gpu"), "count")));
    assert_true(json_is_null(json_object_get(json, "power_mode")));
    channel = json_array_get(json_object_get(json, "channels"), 0);
    assert_true(json_is_null(json_object_get(channel, "part_of")));
    assert_int_equal(json_array_size(json_object_get(channel, "roles")), 0);
    channel = json_array_get(json_object_get(json, "channels"), 1);
    assert_string_equal(json_string_value(json_object_get(channel, "name")), "VDD_CPU");
    assert_string_equal(json_string_value(json_object_get(channel, "part_of")), "VDD_IN");
    assert_string_equal(json_string_value(json_array_get(json_object_get(channel, "roles"), 1)), "cv");
    assert_string_equal(json_string_value(json_object_get(channel, "method")), "measured");
    assert_true(json_is_false(json_object_get(channel, "verified")));
    assert_true(json_real_value(json_object_get(channel, "resolution_mw")) == 2.5);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(json_object_get(json, "total"), "channels"), 0)), "VDD_IN");
    assert_int_equal(json_array_size(json_object_get(json_object_get(json, "total"), "channels")), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(json, "gauges"), 0), "unit")),
                        "%");
    json_decref(json);
    run.total_known = false;
    json = give("meta");
    assert_true(json_is_null(json_object_get(json, "total")));
    json_decref(json);
}

static void fill(char *text, size_t size, int letter)
{
    memset(text, letter, size - 1);
    text[size - 1] = '\0';
}

static void fill_name(char name[JP_NAME_MAX], int i)
{
    fill(name, JP_NAME_MAX, 'n');
    name[0] = (char)('A' + i % 26);
    name[1] = (char)('A' + i / 26);
}

static void fill_everything(void)
{
    struct jp_facts *facts = &run.facts;
    char *texts[] = {facts->board_name, facts->module, facts->gpu_name, facts->cpu_model, facts->os_name, facts->note};
    char *names[] = {facts->board_id, facts->soc, facts->l4t, facts->jetpack, facts->power_mode};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        fill(texts[i], JP_TEXT_MAX, '"');
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        fill(names[i], JP_NAME_MAX, '"');
    fill(run.device, sizeof run.device, 'd');
    facts->ram_bytes = INT64_MAX;
    facts->cpu_count = facts->gpu_count = INT32_MAX;
    run.channel_count = JP_CHANNELS_MAX;
    run.gauge_count = JP_GAUGES_MAX;
    run.total_known = true;
    run.total_scope = JP_SCOPE_CARRIER;
    window = (struct jp_window){.seq = INT64_MAX, .t0_ms = JP_BOOT_MAX_MS, .span_ms = JP_BOOT_MAX_MS};
    for (int i = 0; i < JP_CHANNELS_MAX; i++) {
        run.channels[i] =
            (struct jp_run_channel){.method = JP_MEASURED, .scope = JP_SCOPE_CARRIER, .roles = UINT32_MAX};
        run.channels[i].resolution_uw = JP_POWER_MAX_UW;
        run.channels[i].in_total = run.channels[i].unverified = true;
        fill_name(run.channels[i].name, i);
        fill_name(run.channels[i].part_of, i);
        window.channels[i] = (struct jp_window_channel){.known = true, .covered_ms = 1, .cause = JP_CAUSE_IMPLAUSIBLE};
        window.channels[i].mj = -JP_POWER_MAX_UW / 1000;
        window.channels[i].run_mj = -JP_ENERGY_MAX_MJ;
        sampler.tracks[i].errors = INT64_MAX;
        sampler.tracks[i].reported = true;
    }
    for (int i = 0; i < JP_GAUGES_MAX; i++) {
        fill_name(run.gauges[i].name, i);
        fill(run.gauges[i].unit, sizeof run.gauges[i].unit, 'u');
        sampler.gauges[i] = INT64_MIN + 1;
    }
    fill(answers.task, sizeof answers.task, 't');
}

static void everything_at_its_largest_fits(void **state)
{
    static const char *const requests[] = {"meta", "live", "health"};

    (void)state;
    fill_everything();
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        json_t *json = give(requests[i]);

        assert_true(json_is_true(json_object_get(json, "ok")));
        json_decref(json);
    }
}

static void health_tells_age_errors_and_reasons(void **state)
{
    json_t *json;

    (void)state;
    clk.now_ns += 1500 * JP_NS_PER_MS;
    sampler.tracks[1].errors = 3;
    sampler.tracks[1].reported = true;
    sampler.late_ticks = 2;
    record.failing = ENOSPC;
    json = give("health");
    assert_int_equal(json_integer_value(json_object_get(json, "window_age_ms")), 1500);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "errors"), "VDD_CPU")), 3);
    assert_int_equal(json_integer_value(json_object_get(json, "late_ticks")), 2);
    assert_true(json_integer_value(json_object_get(json, "hot_bytes")) > 100);
    assert_int_equal(json_array_size(json_object_get(json, "degraded")), 2);
    json_decref(json);
    json = give("live");
    assert_int_equal(json_array_size(json_object_get(json, "degraded")), 2);
    json_decref(json);
}

static void no_reply_passes_its_buffer(void **state)
{
    static const char *const requests[] = {"live", "meta", "health"};
    char reply[1200];

    (void)state;
    close_a_window();
    strcpy(run.facts.board_name, "A \"board\"");
    for (size_t size = 1; size < sizeof reply; size++) {
        memset(reply, 0x55, sizeof reply);
        jp_answers_give(&answers, requests[size % 3], reply, size);
        assert_true(memchr(reply, '\0', size) != NULL);
        for (size_t i = size; i < sizeof reply; i++)
            assert_int_equal(reply[i], 0x55);
    }
}

// The socket --------------------------------------------------------------------------------------
static void serve(void)
{
    struct pollfd fds[1 + JP_CONTROL_CLIENTS];
    unsigned count = jp_control_poll(&control, fds);

    if (poll(fds, count, 0) > 0)
        jp_control_serve(&control, fds, count);
}

static volatile bool served;

static void *server(void *unused)
{
    (void)unused;
    while (!served) {
        struct pollfd fds[1 + JP_CONTROL_CLIENTS];
        unsigned count = jp_control_poll(&control, fds);

        if (poll(fds, count, 20) > 0)
            jp_control_serve(&control, fds, count);
    }
    return NULL;
}

static void asking_gets_the_answer(void **state)
{
    char reply[JP_CONTROL_REPLY_MAX], request[600];
    pthread_t thread;

    (void)state;
    served = false;
    assert_int_equal(pthread_create(&thread, NULL, server, NULL), 0);
    assert_true(jp_control_ask(dir, "live", reply, sizeof reply, 5000) > 10);
    assert_non_null(strstr(reply, "\"ok\": true"));
    memset(request, 'x', sizeof request - 1);
    request[sizeof request - 1] = '\0';
    assert_true(jp_control_ask(dir, request, reply, sizeof reply, 5000) > 10);
    assert_non_null(strstr(reply, "too long"));
    served = true;
    pthread_join(thread, NULL);
}

static void connection_takes_request_after_request(void **state)
{
    static char reply[JP_CONTROL_REPLY_MAX];
    pthread_t thread;
    int fd;

    (void)state;
    served = false;
    assert_int_equal(pthread_create(&thread, NULL, server, NULL), 0);
    fd = jp_control_connect(dir, 5000);
    assert_true(fd >= 0);
    fill_everything();
    for (int i = 0; i < 3; i++) {
        assert_true(jp_control_request(fd, "meta", reply, sizeof reply) > 16384);
        assert_int_equal(reply[strlen(reply) - 1], '}');
        assert_true(jp_control_request(fd, "live", reply, sizeof reply) > 10);
    }
    served = true;
    pthread_join(thread, NULL);
    jp_control_close(&control);
    assert_true(jp_control_request(fd, "live", reply, sizeof reply) < 0); // it has gone
    close(fd);
    assert_int_equal(jp_control_connect(dir, 100), -ENOENT);
}

static void asking_nobody_says_so(void **state)
{
    char reply[64];

    (void)state;
    assert_int_equal(jp_control_ask(hot, "live", reply, sizeof reply, 100), -ENOENT);
    assert_int_equal(jp_control_ask(dir, "live", reply, sizeof reply, 30), -ETIMEDOUT); // nobody serves
}

static int connected(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    strcpy(at.sun_path, control.path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void idle_crowd_keeps_nobody_out(void **state)
{
    int idle[2 * JP_CONTROL_CLIENTS], fd;
    char reply[JP_CONTROL_REPLY_MAX];

    (void)state;
    for (int i = 0; i < 2 * JP_CONTROL_CLIENTS; i++) {
        idle[i] = connected();
        serve();
    }
    fd = connected();
    serve();
    assert_int_equal(send(fd, "live", 4, 0), 4);
    for (int i = 0; i < 3; i++)
        serve();
    assert_true(recv(fd, reply, sizeof reply, MSG_DONTWAIT) > 10);
    close(fd);
    for (int i = 0; i < 2 * JP_CONTROL_CLIENTS; i++)
        close(idle[i]);
}

static void one_wake_up_serves_one_request(void **state)
{
    int a = connected(), b = connected();
    char reply[JP_CONTROL_REPLY_MAX];

    (void)state;
    serve();
    serve();
    assert_int_equal(send(a, "live", 4, 0), 4);
    assert_int_equal(send(b, "live", 4, 0), 4);
    serve();
    assert_int_equal(
        (recv(a, reply, sizeof reply, MSG_DONTWAIT) > 0) + (recv(b, reply, sizeof reply, MSG_DONTWAIT) > 0), 1);
    serve();
    assert_int_equal(
        (recv(a, reply, sizeof reply, MSG_DONTWAIT) > 0) + (recv(b, reply, sizeof reply, MSG_DONTWAIT) > 0), 1);
    close(a);
    close(b);
    serve(); // hang-ups are served too
    serve();
    assert_int_equal(control.fds[1], -1);
    assert_int_equal(control.fds[2], -1);
}

static void socket_is_for_owner_and_group(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(stat(control.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
}

static void closing_leaves_another_meters_socket(void **state)
{
    static struct jp_control successor;
    struct stat st;

    (void)state;
    assert_int_equal(jp_control_open(&successor, dir), 0);
    jp_control_close(&control);
    assert_int_equal(stat(successor.path, &st), 0);
    jp_control_close(&successor);
    assert_int_equal(stat(successor.path, &st), -1);
    assert_int_equal(jp_control_open(&control, dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tasks_never_nest_and_names_are_checked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(task_leaves_its_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(live_says_what_is_known_and_null_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(live_power_is_energy_over_covered_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(live_names_the_cause_of_what_is_not_covered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(meta_says_what_live_leaves_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(everything_at_its_largest_fits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(health_tells_age_errors_and_reasons, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_reply_passes_its_buffer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asking_gets_the_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(connection_takes_request_after_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(asking_nobody_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(idle_crowd_keeps_nobody_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_wake_up_serves_one_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(socket_is_for_owner_and_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_leaves_another_meters_socket, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
