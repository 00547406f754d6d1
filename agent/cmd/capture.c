// SPDX-License-Identifier: Apache-2.0
// `joulepost capture`: records what the sensors say, to report a board or to replay.
#define _GNU_SOURCE
#include "capture_machine.h"
#include "channels.h"
#include "clock.h"
#include "cmd.h"
#include "discover.h"
#include "look.h"
#include "options.h"
#include "trace.h"
#include "trace_words.h"
#include "trace_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define VERB "joulepost capture"
#define SECONDS_DEFAULT 30
#define SECONDS_MAX 86400
#define ROW_MAX 4096 // 64 cells of mV/mA/uW, and what 32 sources cost

static const char help[] =
    "joulepost capture [-o PATH] [--seconds N] [--root DIR] [-c FILE]\n"
    "\n"
    "Records what the sensors say: values, errors, what reading cost, labels, what the machine is, and no serial\n"
    "number, name or address of it. The trace is a bug report, and a machine: --root TRACE replays it in probe, "
    "agent,\n"
    "meter and capture.\n"
    "  -o PATH      where the trace goes; overwritten when it is there (default stdout)\n"
    "  --seconds N  how long, 1 to 86400 (default 30); Ctrl-C ends it and keeps what is there\n"
    "  --root DIR   record a tree, or a captured trace, instead of this machine\n"
    "  -c FILE      configuration (default /etc/joulepost/joulepost.conf): sampling.interval_ms, drivers\n";

// One look of the sensors at a time; nothing grows. Large: static.
struct capture {
    const struct jp_clock *clock;
    struct jp_config config;
    struct jp_plan plan;
    FILE *out; // into text, which emit() empties into fd
    char *text;
    size_t size;
    const char *path; // NULL: stdout
    int fd, stop_fd;
    int64_t seconds;
    int columns;                     // channels of the trace
    int count[JP_SOURCES_MAX];       // of them, by source; 0: left out
    int64_t cost_us[JP_SOURCES_MAX]; // of the read going on; -1 not read
    int64_t read_ns[JP_SOURCES_MAX]; // of the last read
    struct jp_reading readings[JP_TRACE_CHANNELS_MAX];
    int64_t start_ns, rows, failed;
    int64_t bytes; // written
};

static volatile sig_atomic_t stop_fd = -1;

static void on_stop(int signal_number)
{
    int error = errno;

    (void)signal_number;
    (void)!eventfd_write(stop_fd, 1);
    errno = error;
}

// An end asked for at any moment is seen by the next wait.
static int take_signals(struct capture *capture)
{
    struct sigaction action = {.sa_handler = on_stop}, old;

    stop_fd = capture->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (stop_fd < 0)
        return -errno;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    return 0;
}

static int read_seconds(const struct jp_options *options, int64_t *seconds)
{
    char *end;

    *seconds = SECONDS_DEFAULT;
    if (!options->seconds)
        return JP_OPTIONS_GO;
    *seconds = strtoll(options->seconds, &end, 10);
    if (*end == '\0' && *seconds >= 1 && *seconds <= SECONDS_MAX)
        return JP_OPTIONS_GO;
    fprintf(stderr, VERB ": --seconds '%s', allowed: 1 to %d\n", options->seconds, SECONDS_MAX);
    return JP_EXIT_USAGE;
}

// What measures; a model's numbers are made here and say nothing of the machine.
static void choose_sources(struct capture *capture)
{
    const struct jp_plan *plan = &capture->plan;
    int left_out = 0;

    for (int s = 0; s < plan->source_count; s++) {
        const struct jp_source *source = &plan->sources[s];
        int room = JP_TRACE_CHANNELS_MAX - capture->columns;

        if (source->info[0].method == JP_MODELLED)
            continue;
        capture->count[s] = source->count < room ? source->count : room;
        capture->columns += capture->count[s];
        left_out += source->count - capture->count[s];
    }
    if (left_out > 0)
        fprintf(stderr, VERB ": %d channels are left out, a trace has room for %d\n", left_out, JP_TRACE_CHANNELS_MAX);
}

// A replay is no proof of a machine: what it said of itself goes on.
static void put_note(const struct capture *capture, const struct jp_site *site)
{
    static const char again[] = "replayed and captured again: ";
    const char *before = capture->plan.run.facts.note;
    time_t now = (time_t)(capture->clock->real_ns(capture->clock) / JP_NS_PER_S);
    char day[16] = "?";
    struct tm tm;

    if (gmtime_r(&now, &tm))
        strftime(day, sizeof day, "%Y-%m-%d", &tm);
    if (before[0])
        fprintf(capture->out, "note %s%s\n", strncmp(before, again, strlen(again)) ? again : "", before);
    else
        fprintf(capture->out, "note captured%s by joulepost " JOULEPOST_VERSION " on %s\n",
                site->root[0] ? " from a tree" : "", day);
}

// A label may be part of it, and a label anything.
static void put_problem(FILE *out, const struct jp_problem *problem)
{
    fputs("# problem: ", out);
    jp_trace_put_escaped(out, problem->where, strlen(problem->where), 0);
    fputs(": ", out);
    jp_trace_put_escaped(out, problem->what, strlen(problem->what), 0);
    putc('\n', out);
}

static void put_header(const struct capture *capture, const struct jp_site *site)
{
    const struct jp_plan *plan = &capture->plan;
    FILE *out = capture->out;

    fprintf(out, "joulepost-trace 2\n# By joulepost " JOULEPOST_VERSION "; docs/drivers.md describes the format.\n");
    put_note(capture, site);
    fprintf(out, "period_ms %d\n", capture->config.sampling.interval_ms);
    jp_capture_machine(out, site, &jp_entropy_real);
    for (int i = 0; i < plan->problem_count; i++)
        put_problem(out, &plan->problems[i]);
    for (int s = 0; s < plan->source_count; s++) {
        if (capture->count[s] > 0)
            fprintf(out, "source %s\n", plan->sources[s].driver->name);
        for (int i = 0; i < capture->count[s]; i++)
            jp_trace_put_channel(out, &plan->sources[s].info[i]);
    }
    fprintf(out, "# us, us a source cost, then the channels: uW, mV/mA, uJ or thousandths of the unit\nrows\n");
}

static bool never_late(void *context)
{
    (void)context;
    return false;
}

static bool is_due(const struct capture *capture, int s, int64_t now_ns)
{
    int64_t least_ns = capture->plan.sources[s].driver->min_period_ms * JP_NS_PER_MS;
    int64_t slack_ns = capture->config.sampling.interval_ms * JP_NS_PER_MS / 4; // a wake-up's own lateness

    return capture->rows == 0 || now_ns - capture->read_ns[s] >= least_ns - slack_ns;
}

static void read_source(struct capture *capture, int s, struct jp_reading *readings)
{
    static struct jp_reading all[JP_CHANNELS_MAX];
    const struct jp_source *source = &capture->plan.sources[s];
    struct jp_pass pass = {.readings = all, .late = never_late};

    pass.t_ns = capture->clock->mono_ns(capture->clock);
    capture->cost_us[s] = -1;
    for (int i = 0; i < source->count; i++)
        all[i] = (struct jp_reading){
            .state = is_due(capture, s, pass.t_ns) ? JP_WANTED : JP_SKIPPED, .mv = INT32_MIN, .ma = INT32_MIN};
    if (all[0].state == JP_WANTED) {
        source->driver->read(source->state, &pass);
        capture->cost_us[s] = (capture->clock->mono_ns(capture->clock) - pass.t_ns) / 1000;
        capture->read_ns[s] = pass.t_ns;
    }
    memcpy(readings, all, (size_t)capture->count[s] * sizeof *readings);
}

static void put_costs(const struct capture *capture)
{
    const char *before = " ";

    for (int s = 0; s < capture->plan.source_count; s++) {
        if (capture->count[s] == 0)
            continue;
        if (capture->cost_us[s] < 0)
            fprintf(capture->out, "%s-", before);
        else
            fprintf(capture->out, "%s%" PRId64, before, capture->cost_us[s]);
        before = ",";
    }
}

// Writes what was composed. 0, or -errno; a file then ends with the row before.
static int emit(struct capture *capture)
{
    size_t done = 0;
    int rc = fflush(capture->out) != 0 || ferror(capture->out) ? -ENOMEM : 0;

    while (rc == 0 && done < capture->size) {
        ssize_t put = write(capture->fd, capture->text + done, capture->size - done);

        if (put < 0 && errno != EINTR)
            rc = -errno;
        done += put > 0 ? (size_t)put : 0;
    }
    if (rc == 0)
        capture->bytes += (int64_t)done;
    else if (capture->path)
        (void)!ftruncate(capture->fd, capture->bytes);
    rewind(capture->out);
    return rc;
}

static int take_row(struct capture *capture)
{
    const struct jp_plan *plan = &capture->plan;
    int64_t now_ns = capture->clock->mono_ns(capture->clock);
    int at = 0;

    if (capture->rows == 0)
        capture->start_ns = now_ns;
    for (int s = 0; s < plan->source_count; s++) {
        if (capture->count[s] > 0)
            read_source(capture, s, &capture->readings[at]);
        at += capture->count[s];
    }
    fprintf(capture->out, "%" PRId64, (now_ns - capture->start_ns) / 1000);
    put_costs(capture);
    at = 0;
    for (int s = 0; s < plan->source_count; s++)
        for (int i = 0; i < capture->count[s]; i++, at++) {
            putc(' ', capture->out);
            jp_trace_put_cell(capture->out, plan->sources[s].info[i].kind, &capture->readings[at]);
            capture->failed += capture->readings[at].state == JP_MISSING;
        }
    putc('\n', capture->out);
    return emit(capture);
}

static void show_progress(const struct capture *capture)
{
    int64_t passed_ns = capture->clock->mono_ns(capture->clock) - capture->start_ns;
    char line[100];

    snprintf(line, sizeof line, "%" PRId64 " of %" PRId64 " s, %" PRId64 " rows; Ctrl-C ends it",
             (int64_t)(passed_ns / JP_NS_PER_S), capture->seconds, capture->rows);
    if (capture->path || !isatty(STDOUT_FILENO))
        jp_look_progress(line);
}

// Until the time is over, a signal comes, or the trace is as long as one may be. 0, or -errno.
static int record(struct capture *capture)
{
    int64_t period_ns = capture->config.sampling.interval_ms * JP_NS_PER_MS, next_ns, end_ns;
    struct pollfd stop = {.fd = capture->stop_fd, .events = POLLIN};

    capture->start_ns = next_ns = capture->clock->mono_ns(capture->clock);
    end_ns = next_ns + capture->seconds * JP_NS_PER_S;
    while (next_ns < end_ns) {
        int ready = capture->clock->wait(capture->clock, &stop, 1, next_ns), rc;
        int64_t now_ns = capture->clock->mono_ns(capture->clock);

        if (ready > 0)
            return 0;
        if (ready < 0 || now_ns < next_ns)
            continue;
        rc = take_row(capture);
        if (rc)
            return rc;
        capture->rows++;
        next_ns += (now_ns - next_ns) / period_ns * period_ns + period_ns;
        show_progress(capture);
        if (capture->bytes > JP_TRACE_BYTES_MAX - ROW_MAX) {
            jp_look_clear();
            fprintf(stderr, VERB ": the trace is as long as one may be\n");
            return 0;
        }
    }
    return 0;
}

// The header is whole before an older trace goes: that one may be the root. 0, or -errno.
static int begin(struct capture *capture, const struct jp_site *site)
{
    capture->out = open_memstream(&capture->text, &capture->size);
    if (!capture->out)
        return -ENOMEM;
    put_header(capture, site);
    capture->fd = STDOUT_FILENO;
    if (capture->path)
        capture->fd = open(capture->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return capture->fd < 0 ? -errno : emit(capture);
}

static const char *plural(int64_t count)
{
    return count == 1 ? "" : "s";
}

static int end(struct capture *capture, int rc)
{
    if (capture->out)
        fclose(capture->out);
    free(capture->text);
    if (capture->path && capture->fd >= 0 && close(capture->fd) != 0 && rc == 0)
        rc = -errno;
    jp_look_clear();
    if (rc == 0 || rc == -EPIPE) {
        fprintf(stderr, VERB ": %" PRId64 " row%s of %d channel%s, %" PRId64 " failed reading%s\n", capture->rows,
                plural(capture->rows), capture->columns, plural(capture->columns), capture->failed,
                plural(capture->failed));
        return JP_EXIT_DONE;
    }
    fprintf(stderr, VERB ": %s: %s; %" PRId64 " rows were written\n", capture->path ? capture->path : "stdout",
            strerror(-rc), capture->rows);
    return JP_EXIT_FAILED;
}

static int run(struct capture *capture, const struct jp_site *site)
{
    const struct jp_discovery how = {.site = site, .config = &capture->config, .drivers = jp_drivers};
    char error[512];
    uint32_t roles;
    int rc = take_signals(capture);

    if (rc)
        return end(capture, rc);
    if (jp_discover_with(&how, &capture->plan, error, sizeof error) != 0) {
        fprintf(stderr, VERB ": %s\n", error);
        return JP_EXIT_CONFIG;
    }
    choose_sources(capture);
    if (capture->columns == 0) {
        fprintf(stderr, VERB ": no sensor answers here, `joulepost probe` tells what is missing\n");
        rc = JP_EXIT_FAILED;
    } else {
        if (jp_channels_measured(&capture->plan, &roles) == 0)
            fprintf(stderr, VERB ": nothing here measures power, only what stands beside it is recorded\n");
        rc = begin(capture, site);
        rc = end(capture, rc ? rc : record(capture));
    }
    jp_plan_close(&capture->plan);
    return rc;
}

int jp_cmd_capture(int argc, char **argv)
{
    static struct capture capture = {.clock = &jp_clock_real, .fd = -1};
    struct jp_options options;
    struct jp_site site;
    int rc = jp_options_read(argc, argv, JP_OPTION_CONFIG | JP_OPTION_ROOT | JP_OPTION_OUT | JP_OPTION_SECONDS, help,
                             &options);

    if (rc == JP_OPTIONS_GO)
        rc = read_seconds(&options, &capture.seconds);
    if (rc != JP_OPTIONS_GO)
        return rc;
    rc = jp_options_config(&options, &capture.config);
    if (rc)
        return rc;
    capture.path = options.out;
    site.root = options.root;
    return run(&capture, &site);
}
