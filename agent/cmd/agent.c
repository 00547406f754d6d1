// SPDX-License-Identifier: Apache-2.0
// `joulepost agent`: runs both halves, restarts the one that dies, stops them in order.
#define _GNU_SOURCE
#include "clock.h"
#include "cmd.h"
#include "half.h"
#include "log.h"
#include "options.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DELAY_MIN_NS (100 * JP_NS_PER_MS)
#define DELAY_MAX_NS (5 * JP_NS_PER_S)
#define LIFE_NS (60 * JP_NS_PER_S) // a half that lived this long begins again with the shortest delay

struct half {
    const char *name, *thread;
    int (*run)(const struct jp_half_setup *setup);
    int64_t patience_ns; // from JP_HALF_STOP to SIGKILL
    pid_t pid;           // 0: not running
    int64_t started_ns, delay_ns;
    int64_t again_ns; // when to start it, where pid is 0
    int status;       // as last ended: an exit status, 128 + n for a signal
};

struct supervisor {
    struct half halves[2]; // in the order of stopping: meter first, so that post moves the rest
    struct jp_half_setup setup;
    sigset_t signals, before;
};

static const char help[] = "joulepost agent [-c FILE] [--root DIR] [--check]\n"
                           "\n"
                           "Measures and delivers: runs meter and post in the foreground until told to stop.\n"
                           "  -c FILE     configuration (default /etc/joulepost/joulepost.conf)\n"
                           "  --root DIR  measure a tree, or a captured trace, instead of this machine\n"
                           "  --check     print the configuration in effect and the plan, and stop\n";

static int64_t now_ns(void)
{
    return jp_clock_real.mono_ns(&jp_clock_real);
}

static void start(struct supervisor *supervisor, struct half *half)
{
    pid_t pid;
    int status;

    jp_identity_folders(supervisor->setup.config, supervisor->setup.identity, true); // somebody may have removed them
    fflush(NULL);
    half->started_ns = now_ns();
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, half->thread);
        jp_log_open(half->name, (enum jp_log_level)supervisor->setup.config->log_level);
        jp_half_signals(true);
        sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
        status = half->run(&supervisor->setup);
        fflush(NULL);
        _exit(status); // a thread may still hang in the network: nothing may wait for it
    }
    if (pid < 0)
        jp_log_error("%s cannot be started: %s", half->name, strerror(errno));
    half->pid = pid > 0 ? pid : 0;
    half->again_ns = half->started_ns + half->delay_ns;
}

// Notes the end of a child; the half it was, or NULL.
static struct half *reap(struct supervisor *supervisor)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);

    for (size_t i = 0; pid > 0 && i < 2; i++) {
        struct half *half = &supervisor->halves[i];

        if (half->pid != pid)
            continue;
        half->pid = 0;
        half->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        return half;
    }
    return NULL;
}

static void plan_restart(struct half *half)
{
    int64_t now = now_ns();

    if (half->delay_ns == 0 || now - half->started_ns >= LIFE_NS)
        half->delay_ns = DELAY_MIN_NS;
    else if (half->delay_ns < DELAY_MAX_NS)
        half->delay_ns = half->delay_ns * 2 > DELAY_MAX_NS ? DELAY_MAX_NS : half->delay_ns * 2;
    half->again_ns = now + half->delay_ns;
    jp_log_warning("%s ended with %s %d, again in %.1f s", half->name, half->status > 128 ? "signal" : "status",
                   half->status > 128 ? half->status - 128 : half->status, (double)half->delay_ns / JP_NS_PER_S);
}

// Waits for one of the signals until `until_ns`. Its number, or 0.
static int wait_signal(const struct supervisor *supervisor, int64_t until_ns)
{
    int64_t left = until_ns - now_ns();
    struct timespec timeout = {.tv_sec = left / JP_NS_PER_S, .tv_nsec = left % JP_NS_PER_S};
    int signal_number;

    if (left <= 0)
        timeout = (struct timespec){0};
    signal_number = sigtimedwait(&supervisor->signals, NULL, &timeout);
    return signal_number > 0 ? signal_number : 0;
}

// Ends one half: it is told, and killed when its patience is over.
static void end(struct supervisor *supervisor, struct half *half)
{
    int64_t deadline = now_ns() + half->patience_ns;

    if (half->pid == 0)
        return;
    kill(half->pid, JP_HALF_STOP);
    while (half->pid) {
        while (reap(supervisor))
            ;
        if (half->pid == 0)
            break;
        if (now_ns() >= deadline) {
            jp_log_error("%s did not stop, killed", half->name);
            kill(half->pid, SIGKILL);
            deadline = INT64_MAX;
        }
        wait_signal(supervisor, deadline == INT64_MAX ? now_ns() + JP_NS_PER_S : deadline);
    }
}

static int stop_all(struct supervisor *supervisor, int status)
{
    for (size_t i = 0; i < 2; i++)
        end(supervisor, &supervisor->halves[i]);
    return status;
}

static int supervise(struct supervisor *supervisor)
{
    struct half *half;
    int64_t next;
    int signal_number;

    for (;;) {
        while ((half = reap(supervisor))) {
            if (half->status == JP_EXIT_CONFIG) // it has said why; starting it again would not help
                return stop_all(supervisor, JP_EXIT_CONFIG);
            if (half->status == JP_HALF_SURPLUS)
                return stop_all(supervisor, JP_EXIT_FAILED);
            if (half->status != JP_HALF_AGAIN) // then it is due at once
                plan_restart(half);
        }
        next = INT64_MAX / 2;
        for (size_t i = 0; i < 2; i++) {
            half = &supervisor->halves[i];
            if (half->pid == 0 && now_ns() >= half->again_ns)
                start(supervisor, half);
            if (half->pid == 0 && half->again_ns < next)
                next = half->again_ns;
        }
        signal_number = wait_signal(supervisor, next);
        if (signal_number && signal_number != SIGCHLD)
            return stop_all(supervisor, JP_EXIT_DONE);
    }
}

static int run(const struct jp_half_setup *setup)
{
    struct supervisor supervisor = {
        .halves = {{.name = "meter", .thread = "jp-meter", .run = jp_half_meter, .patience_ns = 5 * JP_NS_PER_S},
                   {.name = "post", .thread = "jp-post", .run = jp_half_post, .patience_ns = 11 * JP_NS_PER_S}},
        .setup = *setup,
    };
    struct sigaction old, seen = {.sa_handler = SIG_DFL};

    sigaction(SIGCHLD, &seen, NULL); // ignored by whoever started us, ends would go unseen
    sigemptyset(&supervisor.signals);
    sigaddset(&supervisor.signals, SIGCHLD);
    sigaddset(&supervisor.signals, SIGTERM);
    sigaddset(&supervisor.signals, SIGINT);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) // nohup stays nohup
        sigaddset(&supervisor.signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &supervisor.signals, &supervisor.before);
    return supervise(&supervisor);
}

// What both halves need, found out once, so that a mistake ends the agent and not each half again and again; by a
// child, as the user that post will be.
static int check(const struct jp_config *config, const struct jp_identity *identity)
{
    char error[1024];
    int status;
    pid_t child = fork();

    if (child == 0) {
        int rc = jp_identity_drop(identity);

        if (rc) {
            jp_log_error("cannot become user %s: %s; give the capabilities setuid and setgid, or set user = \"root\"",
                         identity->name, strerror(-rc));
            _exit(JP_EXIT_FAILED);
        }
        if (jp_config_secrets(config, error, sizeof error) == 0)
            _exit(JP_EXIT_DONE);
        dprintf(STDERR_FILENO, "%s\n", error);
        _exit(JP_EXIT_CONFIG);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : JP_EXIT_FAILED;
}

int jp_cmd_agent(int argc, char **argv)
{
    static struct jp_config config;
    struct jp_identity identity = {0};
    struct jp_options options;
    struct jp_half_setup setup = {.config = &config, .identity = &identity, .agent = getpid()};
    char device[JP_DEVICE_MAX];
    int rc = jp_options_read(argc, argv, JP_OPTION_CONFIG | JP_OPTION_ROOT | JP_OPTION_CHECK, help, &options);

    if (rc != JP_OPTIONS_GO)
        return rc;
    rc = jp_options_config(&options, &config);
    if (rc)
        return rc;
    setup.root = options.root;
    jp_log_open("agent", (enum jp_log_level)config.log_level);
    if (jp_identity_find(&config, &identity)) {
        jp_log_error("there is neither user %s nor nobody here: set user", config.user);
        return JP_EXIT_CONFIG;
    }
    rc = check(&config, &identity);
    if (rc)
        return rc;
    if (options.check) {
        jp_config_print(&config, stdout);
        return jp_half_print_plan(&setup);
    }
    umask(0007);
    rc = jp_half_device(&setup, device, sizeof device);
    if (rc)
        return rc;
    return jp_identity_folders(&config, &identity, true) ? JP_EXIT_FAILED : run(&setup);
}
