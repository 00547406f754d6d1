// SPDX-License-Identifier: Apache-2.0
// The driver of NVIDIA's GPUs with a script in the place of nvidia-smi: a real child that talks, hangs, dies and lies.
#define _GNU_SOURCE
#include "drivers.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHANNELS 64
#define SECOND 1000000000LL
#define PATIENCE 1000 // of 10 ms: only a test that fails waits so long
#define UUID_A "GPU-aaaaaaaa-0000-1111-2222-333344445555"
#define UUID_B "GPU-bbbbbbbb-0000-1111-2222-333344445555"
#define TWO "0, " UUID_A ", 35.21, 12, 45, 1410\n1, " UUID_B ", 250.5, 99, 71, 1980\n"
#define TALK "while cat rows; do sleep 0.02; done\n"

static const struct jp_driver *const driver = &jp_driver_nvidia_gpu;
static const struct jp_site here = {.root = ""};

static struct {
    char folder[64], program[96];
    void *state;
    struct jp_channel channels[CHANNELS];
    struct jp_reading readings[CHANNELS];
    int count;
    int64_t now_ns;
} rig;

static void put(const char *name, const char *text)
{
    char path[128], part[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", rig.folder, name);
    snprintf(part, sizeof part, "%s/part", rig.folder);
    file = fopen(part, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(part, path), 0); // never seen half written
}

static void drop(const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", rig.folder, name);
    assert_int_equal(unlink(path), 0);
}

static bool get(const char *name, char *out, size_t size)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", rig.folder, name);
    file = fopen(path, "r");
    out[file ? fread(out, 1, size - 1, file) : 0] = '\0';
    if (file)
        fclose(file);
    return file;
}

// A program that notes its start and goes on with `body`.
static void make(const char *body)
{
    char text[2048];

    memset(&rig, 0, sizeof rig);
    rig.now_ns = 1000 * SECOND;
    snprintf(rig.folder, sizeof rig.folder, "/tmp/jp-nvidia-XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    assert_int_equal(chmod(rig.folder, 0777), 0);
    snprintf(rig.program, sizeof rig.program, "%s/nvidia-smi", rig.folder);
    snprintf(text, sizeof text,
             "#!/bin/sh\ncd %s || exit 1\nif [ -s running ] && kill -0 $(cat running); then echo >two; fi\n"
             "echo $$ >running\necho $$ >>starts\n%s",
             rig.folder, body);
    put("nvidia-smi", text);
    put("starts", "");
    put("running", "");
    put("rows", TWO);
    snprintf(text, sizeof text, "chmod 755 %s && chmod 666 %s/starts %s/running", rig.program, rig.folder, rig.folder);
    assert_int_equal(system(text), 0);
}

static int open_it(void)
{
    struct jp_found found = {.param = 0};

    snprintf(found.path, sizeof found.path, "%s", rig.program);
    rig.state = calloc(1, driver->state_size);
    assert_non_null(rig.state);
    rig.count = driver->open(rig.state, &here, &found, rig.channels, CHANNELS);
    return rig.count;
}

static void read_it(void)
{
    struct jp_pass pass = {.readings = rig.readings, .t_ns = rig.now_ns};

    memset(rig.readings, 0, sizeof rig.readings);
    driver->read(rig.state, &pass);
}

static int starts(void)
{
    char text[4096];
    int count = 0;

    get("starts", text, sizeof text);
    for (const char *at = text; *at; at++)
        count += *at == '\n';
    return count;
}

// The process that was started last.
static pid_t last_pid(void)
{
    char text[4096], *at;

    get("starts", text, sizeof text);
    at = strrchr(text, '\n');
    if (!at)
        return 0;
    *at = '\0';
    at = strrchr(text, '\n');
    return (pid_t)strtol(at ? at + 1 : text, NULL, 10);
}

// A zombie that nobody of ours has to reap counts as gone.
static bool is_gone(pid_t pid)
{
    char path[64], text[512] = "", *at;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file)
        return true;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    at = strrchr(text, ')');
    return !at || at[2] == 'Z' || at[2] == 'X';
}

static bool no_child_is_left(void)
{
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

// Reads until the channel answers so: 0 for a value, else an errno. Time stands still meanwhile.
static void until(int channel, int error)
{
    for (int i = 0; i < PATIENCE; i++) {
        read_it();
        if (error ? rig.readings[channel].state == JP_MISSING && rig.readings[channel].error == error
                  : rig.readings[channel].state == JP_GOOD)
            return;
        poll(NULL, 0, 10);
    }
    fail_msg("channel %d: state %d, error %d, not %d", channel, (int)rig.readings[channel].state,
             rig.readings[channel].error, error);
}

static void until_value(int channel, int64_t value)
{
    for (int i = 0; i < PATIENCE; i++) {
        read_it();
        if (rig.readings[channel].state == JP_GOOD && rig.readings[channel].value == value)
            return;
        poll(NULL, 0, 10);
    }
    fail_msg("channel %d: %lld, not %lld", channel, (long long)rig.readings[channel].value, (long long)value);
}

// Reads until so many children were started.
static void until_started(int count)
{
    for (int i = 0; i < PATIENCE && starts() < count; i++) {
        read_it();
        poll(NULL, 0, 10);
    }
    assert_int_equal(starts(), count);
}

// Reads until the child that was started last has left nothing.
static void until_reaped(void)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d", (int)last_pid());
    for (int i = 0; i < PATIENCE && access(path, F_OK) == 0; i++) {
        read_it();
        poll(NULL, 0, 10);
    }
    assert_int_not_equal(access(path, F_OK), 0);
    read_it();
    assert_int_equal(rig.readings[0].error, EPIPE);
}

static void until_gone(pid_t pid)
{
    for (int i = 0; i < PATIENCE && !is_gone(pid); i++)
        poll(NULL, 0, 10);
    assert_true(is_gone(pid));
}

static void close_it(void)
{
    char text[8];

    driver->close(rig.state);
    free(rig.state);
    rig.state = NULL;
    assert_true(no_child_is_left());
    assert_true(last_pid() == 0 || is_gone(last_pid()));
    assert_false(get("two", text, sizeof text)); // there was never a second one beside it
}

static int clean(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", rig.folder);
    return system(command);
}

static void gpus_are_channels_and_gauges(void **state)
{
    static const char *const names[] = {"gpu-0", "gpu-0_load", "gpu-0_temp", "gpu-0_freq",
                                        "gpu-1", "gpu-1_load", "gpu-1_temp", "gpu-1_freq"};
    static const char *const units[] = {"", "%", "C", "MHz"};
    static const int64_t values[] = {35210000, 12000, 45000, 1410000, 250500000, 99000, 71000, 1980000};

    (void)state;
    make(TALK);
    assert_int_equal(open_it(), 8);
    read_it(); // what open() heard is good for the first pass
    for (int i = 0; i < 8; i++) {
        assert_string_equal(rig.channels[i].name, names[i]);
        assert_string_equal(rig.channels[i].unit, units[i % 4]);
        assert_string_equal(rig.channels[i].chip, "nvidia");
        assert_int_equal(rig.channels[i].index, 1 + i / 4);
        assert_int_equal(rig.channels[i].kind, i % 4 ? JP_GAUGE : JP_POWER);
        assert_int_equal(rig.channels[i].roles, JP_ROLE_GPU);
        assert_int_equal(rig.channels[i].method, JP_MEASURED);
        assert_string_equal(rig.channels[i].part_of, "");
        assert_int_equal(rig.readings[i].state, JP_GOOD);
        assert_true(rig.readings[i].value == values[i]);
        assert_int_equal(rig.readings[i].mv, INT32_MIN);
    }
    put("rows", "0, " UUID_A ", 36, 12, 45, 1410\n1, " UUID_B ", 250.5, 99, 71, 1980\n");
    until_value(0, 36000000);
    close_it();
}

static void the_child_has_nothing_of_ours(void **state)
{
    char text[4096];
    int inherited = dup(1); // not closed on exec
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    sigset_t blocked;

    (void)state;
    make("tr '\\0' '\\n' </proc/$$/environ >environ\nprintf '%s\\n' \"$@\" >arguments\n"
         "ls /proc/$$/fd | sort -n | head -n 12 | tr '\\n' ' ' >numbers\nreadlink /proc/$$/fd/0 /proc/$$/fd/2 >nulls\n"
         "grep -E 'Sig(Blk|Ign)' /proc/$$/status >signals\ncut -d' ' -f1,6,7 /proc/$$/stat >session\n"
         "readlink /proc/$PPID/cwd >/dev/null\n" TALK);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    sigaction(SIGTERM, &ignore, &old);
    sigaction(SIGPIPE, &ignore, NULL);
    assert_int_equal(open_it(), 8);
    sigaction(SIGTERM, &old, NULL);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    close(inherited);
    assert_true(get("arguments", text, sizeof text));
    assert_string_equal(text, "--query-gpu=index,uuid,power.draw,utilization.gpu,temperature.gpu,clocks.sm\n"
                              "--format=csv,noheader,nounits\n-lms\n200\n");
    assert_true(get("environ", text, sizeof text));
    assert_string_equal(text, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n");
    assert_true(get("numbers", text, sizeof text));
    assert_string_equal(text, "0 1 2 10 "); // the last is the shell's own script
    assert_true(get("nulls", text, sizeof text));
    assert_string_equal(text, "/dev/null\n/dev/null\n");
    assert_true(get("signals", text, sizeof text));
    assert_string_equal(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    assert_true(get("session", text, sizeof text));
    assert_int_equal(strtol(text, NULL, 10), strtol(strchr(text, ' '), NULL, 10)); // leads a session of its own
    assert_string_equal(strrchr(text, ' '), " 0\n");                               // without a terminal
    close_it();
}

static void what_a_gpu_never_tells_is_no_channel(void **state)
{
    (void)state;
    make(TALK);
    put("rows",
        "0, " UUID_A ", [N/A], [Not Supported], 45, 1410\n1, " UUID_B ", [Unknown Error], 99, [GPU is lost], 7\n");
    assert_int_equal(open_it(), 6);
    assert_string_equal(rig.channels[0].name, "gpu-0_temp");
    assert_string_equal(rig.channels[1].name, "gpu-0_freq");
    assert_string_equal(rig.channels[2].name, "gpu-1");
    read_it();
    assert_int_equal(rig.readings[2].state, JP_MISSING);
    assert_int_equal(rig.readings[2].error, EIO);
    assert_int_equal(rig.readings[3].value, 99000);
    assert_int_equal(rig.readings[4].error, ENODEV);
    put("rows", TWO); // and what comes back is a value again
    until_value(2, 250500000);
    put("rows", "0, " UUID_A ", 1, 1, 45, 1410\n1, " UUID_B ", [N/A], 99, 1, 7\n");
    until(2, ENODATA);
    close_it();
}

static void a_gpu_that_vanishes_takes_nothing_from_the_others(void **state)
{
    (void)state;
    make(TALK);
    assert_int_equal(open_it(), 8);
    put("rows", "0, " UUID_B ", 99, 1, 2, 3\n7, GPU-cccc, 1, 1, 1, 1\n"); // the rest is numbered anew, and one came
    until_value(4, 99000000);
    read_it();
    assert_int_equal(rig.readings[0].state, JP_GOOD); // not too old yet
    rig.now_ns += 1 * SECOND + 1;
    until(4, 0);
    assert_int_equal(rig.readings[0].state, JP_MISSING);
    assert_int_equal(rig.readings[0].error, ETIMEDOUT);
    assert_int_equal(rig.readings[4].value, 99000000);
    close_it();
}

static void only_what_is_wanted_is_answered(void **state)
{
    struct jp_pass pass = {.readings = rig.readings};

    (void)state;
    make(TALK);
    assert_int_equal(open_it(), 8);
    for (int i = 0; i < 8; i++)
        rig.readings[i] = (struct jp_reading){.state = i == 4 ? JP_WANTED : JP_SKIPPED};
    pass.t_ns = rig.now_ns;
    driver->read(rig.state, &pass);
    for (int i = 0; i < 8; i++)
        assert_int_equal(rig.readings[i].state, i == 4 ? JP_GOOD : JP_SKIPPED);
    close_it();
}

static void a_child_that_hangs_is_missed_then_replaced(void **state)
{
    pid_t first;

    (void)state;
    make("trap '' TERM\nif [ -e stuck ]; then " TALK "fi\necho >stuck; cat rows rows; exec sleep 1000\n");
    assert_int_equal(open_it(), 8);
    first = last_pid();
    read_it();
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    rig.now_ns += 1 * SECOND; // old, and said so: never repeated as new
    read_it();
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    rig.now_ns += 1;
    read_it();
    assert_int_equal(rig.readings[0].error, ETIMEDOUT);
    rig.now_ns += 29 * SECOND;
    read_it(); // told to end, and does not listen
    assert_int_equal(rig.readings[0].error, EPIPE);
    assert_false(is_gone(first));
    rig.now_ns += 3 * SECOND;
    read_it(); // killed
    until_gone(first);
    read_it();
    assert_int_equal(starts(), 1); // after a while only
    rig.now_ns += 1 * SECOND;
    until(0, 0);
    assert_int_equal(starts(), 2);
    close_it();
}

static void a_child_that_dies_is_started_again_less_and_less_often(void **state)
{
    int64_t delay_ns = 1 * SECOND;

    (void)state;
    make("if [ -e broken ]; then exit 9; fi\n" TALK);
    assert_int_equal(open_it(), 8);
    read_it();
    put("broken", "");
    kill(last_pid(), SIGKILL);
    until(0, EPIPE);
    assert_int_equal(rig.readings[7].error, EPIPE);
    for (int i = 1; i < 8; i++) {
        until_reaped();
        rig.now_ns += delay_ns - 1;
        read_it();
        assert_int_equal(rig.readings[0].error, EPIPE); // of one that runs and has not spoken it is another
        assert_int_equal(starts(), i);
        rig.now_ns += 1;
        until_started(i + 1);
        delay_ns = 2 * delay_ns < 60 * SECOND ? 2 * delay_ns : 60 * SECOND;
    }
    until_reaped();
    drop("broken");
    rig.now_ns += 60 * SECOND;
    until(0, 0);
    assert_int_equal(rig.readings[0].value, 35210000);
    for (int i = 0; i < 4; i++) { // it proves itself: the next delay is the shortest
        rig.now_ns += 15 * SECOND;
        until(0, 0);
    }
    kill(last_pid(), SIGKILL);
    until(0, EPIPE);
    until_reaped();
    rig.now_ns += 1 * SECOND;
    until(0, 0);
    close_it();
}

static void a_flood_ends_and_is_not_believed(void **state)
{
    (void)state;
    make("cat rows rows; while [ ! -e go ]; do sleep 0.01; done\n"
         "[ -e dry ] || exec yes '0, " UUID_A ", 99, 1, 1, 1'\n" TALK);
    assert_int_equal(open_it(), 8);
    read_it();
    put("go", "");
    until(0, ETIMEDOUT); // a full pipe: nobody knows since when
    close_it();
}

static void what_cannot_be_opened_says_why_and_leaves_nothing(void **state)
{
    static const struct {
        const char *body;
        int error;
    } cases[] = {
        {"echo 'No devices were found'; exit 6\n", -ENODATA},
        {"exit 0\n", -ENODATA},
        {"echo '0, " UUID_A ", 1, 2, 3, 4'; exit 0\n", -ENODATA}, // cannot go on printing
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make(cases[i].body);
        assert_int_equal(open_it(), cases[i].error);
        assert_true(no_child_is_left());
        free(rig.state);
        assert_int_equal(clean(state), 0);
    }
    make(TALK);
    put("nvidia-smi", "#!/nonexistent\n");
    assert_int_equal(chmod(rig.program, 0755), 0);
    assert_int_equal(open_it(), -ENODATA);
    free(rig.state);
    assert_int_equal(unlink(rig.program), 0);
    assert_int_equal(open_it(), -ENOENT);
    free(rig.state);
    assert_true(no_child_is_left());
}

static void a_gpu_that_tells_nothing_is_no_source(void **state)
{
    (void)state;
    make(TALK);
    put("rows", "0, " UUID_A ", [N/A], [N/A], [N/A], [N/A]\n");
    assert_int_equal(open_it(), 0);
    assert_true(no_child_is_left());
    close_it(); // the caller does that then
}

static void a_child_that_does_not_listen_is_gone_after_close(void **state)
{
    (void)state;
    make("trap '' TERM PIPE\nwhile :; do cat rows; sleep 0.02; done\n");
    assert_int_equal(open_it(), 8);
    close_it();
}

static void whoever_ignores_the_end_of_children_can_use_it(void **state)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;

    (void)state;
    make(TALK);
    sigaction(SIGCHLD, &ignore, &old);
    assert_int_equal(open_it(), 8);
    kill(last_pid(), SIGKILL);
    until(0, EPIPE);
    until_reaped();
    rig.now_ns += 1 * SECOND;
    until(0, 0);
    close_it();
    sigaction(SIGCHLD, &old, NULL);
}

// Runs in a process of its own, which it gives a chance to be killed.
static pid_t fork_meter(void (*life)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        life();
        for (;;)
            pause();
    }
    assert_true(pid > 0);
    return pid;
}

static void open_and_mark(void)
{
    if (open_it() == 8)
        put("opened", "");
}

static void the_child_dies_with_a_meter_that_is_killed(void **state)
{
    char text[8];
    pid_t meter;

    (void)state;
    make("trap '' TERM PIPE\nwhile :; do cat rows; sleep 0.02; done\n");
    meter = fork_meter(open_and_mark);
    for (int i = 0; i < PATIENCE && !get("opened", text, sizeof text); i++)
        poll(NULL, 0, 10);
    assert_false(is_gone(last_pid()));
    kill(meter, SIGKILL);
    assert_int_equal(waitpid(meter, NULL, 0), meter);
    until_gone(last_pid());
}

static void open_then_drop(void)
{
    if (open_it() != 8 || setresuid(65534, 65534, 65534) != 0)
        _exit(1);
    for (int i = 0; i < PATIENCE; i++) {
        read_it();
        if (starts() == 2 && rig.readings[0].state == JP_GOOD)
            _exit(0);
        poll(NULL, 0, 10);
    }
    _exit(2);
}

static void a_child_with_privileges_makes_room_for_one_without(void **state)
{
    char text[8];
    int status;
    pid_t meter;

    (void)state;
    if (geteuid() != 0)
        skip();
    make(TALK);
    meter = fork_meter(open_then_drop);
    assert_int_equal(waitpid(meter, &status, 0), meter);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(get("two", text, sizeof text));
    until_gone(last_pid());
}

static void it_is_looked_for_on_this_machine_only(void **state)
{
    struct jp_site tree = {.root = "/"};
    struct jp_found found[2];
    struct stat st;

    (void)state;
    memset(&rig, 0, sizeof rig);
    snprintf(rig.folder, sizeof rig.folder, "/nonexistent");
    assert_int_equal(driver->probe(&tree, found, 2), 0); // this machine as a tree: even so
    assert_int_equal(driver->probe(&here, found, 0), 0);
    if (stat("/proc/driver/nvidia", &st) != 0 && stat("/dev/nvidiactl", &st) != 0 && stat("/dev/dxg", &st) != 0)
        assert_int_equal(driver->probe(&here, found, 2), 0);
}

#define TEST(test) cmocka_unit_test_teardown(test, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gpus_are_channels_and_gauges),
        TEST(the_child_has_nothing_of_ours),
        TEST(what_a_gpu_never_tells_is_no_channel),
        TEST(a_gpu_that_vanishes_takes_nothing_from_the_others),
        TEST(only_what_is_wanted_is_answered),
        TEST(a_child_that_hangs_is_missed_then_replaced),
        TEST(a_child_that_dies_is_started_again_less_and_less_often),
        TEST(a_flood_ends_and_is_not_believed),
        TEST(what_cannot_be_opened_says_why_and_leaves_nothing),
        TEST(a_gpu_that_tells_nothing_is_no_source),
        TEST(a_child_that_does_not_listen_is_gone_after_close),
        TEST(whoever_ignores_the_end_of_children_can_use_it),
        TEST(the_child_dies_with_a_meter_that_is_killed),
        TEST(a_child_with_privileges_makes_room_for_one_without),
        TEST(it_is_looked_for_on_this_machine_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
