// SPDX-License-Identifier: Apache-2.0
// Runs one half in this process.
#define _GNU_SOURCE
#include "half.h"

#include "averaging.h"
#include "clock.h"
#include "cmd.h"
#include "diagnose.h"
#include "drivers.h"
#include "entropy.h"
#include "fs.h"
#include "lock.h"
#include "log.h"
#include "metering.h"
#include "notify.h"
#include "posting.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NUDGES 5
#define PREDECESSOR_NS (12 * JP_NS_PER_S) // a post that was told to end may take nearly so long
#define LOOK_NS (100 * JP_NS_PER_MS)

static volatile sig_atomic_t stop;
static volatile sig_atomic_t nudges;
static int manager = -1; // who is told that a look at the sensors goes on; -1: nobody

// A signal between the loop's look at `stop` and its sleep would be slept over: some more follow.
static void on_stop(int signal_number)
{
    (void)signal_number;
    stop = 1;
    if (nudges < NUDGES) {
        nudges++;
        alarm(1);
    }
}

void jp_half_signals(bool under_agent)
{
    struct sigaction action = {.sa_handler = on_stop}, old;

    sigaction(SIGALRM, &action, NULL);
    sigaction(JP_HALF_STOP, &action, NULL);
    if (under_agent) { // what reaches the whole group (Ctrl-C, a service manager's end): the agent alone decides the
                       // order
        action.sa_handler = SIG_IGN;
        sigaction(SIGTERM, &action, NULL);
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGHUP, &action, NULL);
        return;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
}

// Dies with the agent. Asked for again after the drop, which clears it.
static void follow_agent(const struct jp_half_setup *setup)
{
    if (setup->agent == 0)
        return;
    prctl(PR_SET_PDEATHSIG, JP_HALF_STOP);
    if (getppid() != setup->agent) // it died before it was asked for
        stop = 1;
}

static int become(const struct jp_half_setup *setup, bool with_spool)
{
    int rc = jp_identity_drop(setup->identity);

    if (rc)
        jp_log_error("cannot become user %s: %s", setup->identity->name, strerror(-rc));
    follow_agent(setup);
    return rc ? rc : jp_identity_can_write(setup->config, with_spool);
}

// One of each half on a hot path. Waits for one that is about to die. 0, or an enum jp_exit with a line on the log.
static int keep_others_out(struct jp_lock *lock, const struct jp_half_setup *setup, const char *half)
{
    const struct jp_clock *clock = &jp_clock_real;
    const char *hot = setup->config->paths_hot;
    int64_t until = clock->mono_ns(clock) + PREDECESSOR_NS;
    bool said = false;
    char name[16];
    int rc;

    snprintf(name, sizeof name, "%s.lock", half);
    while ((rc = jp_lock_try(lock, hot, name)) == -EAGAIN && !stop && clock->mono_ns(clock) < until) {
        if (!said)
            jp_log_info("another %s still runs on %s, waiting for its end", half, hot);
        said = true;
        clock->wait(clock, NULL, 0, clock->mono_ns(clock) + LOOK_NS);
    }
    if (rc == 0 || (rc == -EAGAIN && stop))
        return JP_EXIT_DONE;
    if (rc == -EAGAIN)
        jp_log_error("a %s already runs on %s: stop it, or name another folder in paths.hot", half, hot);
    else
        jp_log_error("%s: %s", lock->path, strerror(-rc));
    return rc == -EAGAIN && setup->agent ? JP_HALF_SURPLUS : JP_EXIT_FAILED;
}

static void log_problems(const struct jp_plan *plan, const struct jp_config *config)
{
    const char *unused[JP_CONFIG_UNUSED_MAX];
    int count = jp_config_unused(config, unused, JP_CONFIG_UNUSED_MAX);

    for (int i = 0; i < count; i++)
        jp_log_warning("%s is set and has no effect in this version", unused[i]);
    for (int i = 0; i < plan->problem_count; i++)
        jp_log_warning("%s (%s): %s", plan->problems[i].what, plan->problems[i].where, plan->problems[i].remedy);
}

static void say_pin(const struct jp_pin_note *note)
{
    const struct jp_gpio *gpio = note->pin->config;
    struct jp_problem problem;

    jp_pins_problem(gpio, note->pin->error, note->pin->line.user, &problem);
    switch (note->what) {
    case JP_PIN_FAILING:
        jp_log_warning("%s (%s): %s", problem.what, problem.where, problem.remedy);
        break;
    case JP_PIN_BACK:
        jp_log_info("%s: it is here now", problem.where);
        break;
    case JP_PIN_NOISY:
        jp_log_warning("%s: more edges than are written down; the rest is counted", problem.where);
        break;
    }
}

// As whoever this process still is: reopening them later may not be allowed.
static struct jp_pins *open_pins(const struct jp_half_setup *setup)
{
    static struct jp_pins pins = {.door = &jp_gpio_real, .clock = &jp_clock_real, .note = say_pin};

    if (setup->config->gpio_count == 0)
        return NULL;
    if (setup->root[0]) {
        jp_log_warning(JP_PINS_NO_GPIO);
        return NULL;
    }
    jp_pins_open(&pins, setup->config);
    return &pins;
}

// A bus that hangs makes many sensors slow: each is a step, so that the watchdog ends what hangs in one.
static void say_alive(void)
{
    if (manager >= 0)
        jp_notify_state(manager, "WATCHDOG=1");
}

static int look(const struct jp_site *site, const struct jp_config *config, struct jp_plan *plan, char *error,
                size_t size)
{
    const struct jp_discovery how = {.site = site,
                                     .config = config,
                                     .run_id = jp_entropy_real.u64(&jp_entropy_real),
                                     .drivers = jp_drivers,
                                     .went_on = say_alive};
    int rc;

    say_alive();
    rc = jp_discover_with(&how, plan, error, size);
    if (rc == 0)
        jp_diagnose_machine(plan, site, config, &jp_clock_real);
    say_alive();
    return rc;
}

// One run. An enum jp_exit, or JP_HALF_AGAIN.
static int measure(const struct jp_half_setup *setup, struct jp_plan *plan, struct jp_lock *lock)
{
    const struct jp_site site = {.root = setup->root};
    struct jp_arrivals arrivals;
    struct jp_averaging averaging = {.clock = &jp_clock_real, .fs = &jp_fs_real, .config = setup->config};
    struct jp_metering metering = {.clock = &jp_clock_real,
                                   .fs = &jp_fs_real,
                                   .entropy = &jp_entropy_real,
                                   .config = setup->config,
                                   .site = &site,
                                   .arrivals = &arrivals,
                                   .plan = plan,
                                   .opens_as_root = setup->agent != 0 && setup->identity->drop,
                                   .stop = &stop};
    char error[1024];
    int rc;

    jp_arrivals_begin(&arrivals, &site);
    if (look(&site, setup->config, plan, error, sizeof error)) {
        jp_log_error("%s", error);
        return JP_EXIT_CONFIG;
    }
    log_problems(plan, setup->config);
    jp_averaging_open(&averaging, &site, plan);
    metering.pins = open_pins(setup);
    rc = become(setup, false) ? JP_EXIT_FAILED : JP_EXIT_DONE;
    if (rc == 0 && lock->fd < 0)
        rc = keep_others_out(lock, setup, "meter");
    if (rc == 0 && !stop) {
        jp_averaging_begin(&averaging);
        say_alive();
        rc = jp_metering_run(&metering);
        jp_averaging_end(&averaging);
        rc = rc == JP_METERING_MORE ? JP_HALF_AGAIN : rc ? JP_EXIT_FAILED : JP_EXIT_DONE;
    }
    if (metering.pins)
        jp_pins_close(metering.pins);
    jp_plan_close(plan);
    return rc;
}

int jp_half_meter(const struct jp_half_setup *setup)
{
    struct jp_plan *plan = calloc(1, sizeof *plan);
    struct jp_lock lock = {.fd = -1};
    int rc;

    if (!plan) {
        jp_log_error("out of memory");
        return JP_EXIT_FAILED;
    }
    follow_agent(setup);
    for (;;) {
        rc = measure(setup, plan, &lock);
        if (rc != JP_HALF_AGAIN || setup->identity->drop) // who dropped rights may not open all that came
            break;
        if (manager < 0) // not before READY=1: it would start the watchdog's time
            manager = jp_notify_open();
    }
    if (manager >= 0)
        jp_notify_close(manager);
    jp_lock_drop(&lock);
    free(plan);
    return rc;
}

int jp_half_device(const struct jp_half_setup *setup, char *out, size_t size)
{
    const struct jp_site site = {.root = setup->root};

    if (jp_device_name(&site, setup->config, out, size) >= 0)
        return JP_EXIT_DONE;
    jp_log_error(
        "nothing here names this machine (no /etc/machine-id, serial number or network card): set device.name");
    return JP_EXIT_CONFIG;
}

#if JOULEPOST_HAS_MQTT
// The link of the configuration, NULL without mqtt.url. JP_EXIT_CONFIG when it cannot work.
static int open_link(const struct jp_config *config, const char *device, struct jp_posting_topics *topics,
                     struct jp_link **link)
{
    struct jp_link_config link_config;
    char error[1024];

    *link = NULL;
    if (!config->mqtt.url[0])
        return JP_EXIT_DONE;
    if (jp_config_secrets(config, error, sizeof error)) {
        jp_log_error("%s", error);
        return JP_EXIT_CONFIG;
    }
    jp_posting_link_config(config, device, topics, &link_config);
    *link = jp_link_paho(&link_config, error, sizeof error);
    if (!*link)
        jp_log_error("%s: %s", config->path[0] ? config->path : "mqtt", error);
    return *link ? JP_EXIT_DONE : JP_EXIT_CONFIG;
}
#else
static int open_link(const struct jp_config *config, const char *device, struct jp_posting_topics *topics,
                     struct jp_link **link)
{
    (void)config; // a url is refused when the file is read
    (void)device;
    (void)topics;
    *link = NULL;
    return JP_EXIT_DONE;
}
#endif

int jp_half_post(const struct jp_half_setup *setup)
{
    static struct jp_posting_topics topics; // as long as the link
    static char device[JP_DEVICE_MAX];
    char boot[37];
    struct jp_posting posting = {.clock = &jp_clock_real,
                                 .fs = &jp_fs_real,
                                 .entropy = &jp_entropy_real,
                                 .config = setup->config,
                                 .device = device,
                                 .boot = boot,
                                 .stop = &stop};
    struct jp_lock lock;
    int rc = jp_half_device(setup, device, sizeof device); // a serial number may be for root's eyes only

    if (rc)
        return rc;
    if (become(setup, true))
        return JP_EXIT_FAILED;
    jp_boot_id(boot);
    rc = keep_others_out(&lock, setup, "post");
    if (rc || stop)
        return rc;
    rc = open_link(setup->config, device, &topics, &posting.link);
    if (rc == 0)
        rc = jp_posting_run(&posting);
    if (rc == -EWOULDBLOCK && setup->agent) // another holds paths.spool, and will
        rc = JP_HALF_SURPLUS;
    else if (rc < 0)
        rc = JP_EXIT_FAILED;
    jp_lock_drop(&lock);
    return rc;
}
