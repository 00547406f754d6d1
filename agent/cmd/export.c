// SPDX-License-Identifier: Apache-2.0
// `joulepost export`: a spool's windows in other programs' forms.
#define _POSIX_C_SOURCE 200809L
#include "cmd.h"
#include "csv.h"
#include "jsonl.h"
#include "look.h"
#include "when.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "joulepost export --as csv|jsonl [--from TIME] [--to TIME] [-o PATH] [-c FILE] [SPOOL]\n"
    "\n"
    "Writes the windows of a spool, each once, in order.\n"
    "  --as FORMAT   csv: a header and a row a window; jsonl: a JSON object a line\n"
    "  --from TIME   windows that begin then or later; windows without wall time are left out\n"
    "  --to TIME     windows that begin before it\n"
    "  -o PATH       a file instead of stdout\n"
    "  -c FILE       configuration (default /etc/joulepost/joulepost.conf): paths.spool, the grid's factor\n"
    "  SPOOL         a folder of segments, or one that holds it as `spool` (default paths.spool)\n"
    "\n"
    "TIME is RFC 3339 (2026-11-20T12:00:00Z), a date (its first moment in UTC), or seconds or milliseconds since "
    "1970.\n";

struct job {
    bool csv;
    int64_t from_ms, to_ms;
    bool bounded;
    const char *path; // NULL: stdout
    uint64_t timeless, columnless;
    bool any;
    uint64_t run, seq; // of the last window
};

static int wrong(const char *what, const char *argument, const char *allowed)
{
    fprintf(stderr, "joulepost export: %s '%s', allowed: %s\n", what, argument, allowed);
    return JP_EXIT_USAGE;
}

static int read_job(const struct jp_options *options, struct job *job)
{
    static const char times[] = "2026-11-20T12:00:00Z, 2026-11-20, seconds or milliseconds since 1970";

    *job = (struct job){.from_ms = INT64_MIN, .to_ms = INT64_MAX, .path = options->out};
    if (!options->as)
        return wrong("a format is missing", "--as", "--as csv, --as jsonl");
    job->csv = strcmp(options->as, "csv") == 0;
    if (!job->csv && strcmp(options->as, "jsonl") != 0)
        return wrong("unknown format", options->as, "csv, jsonl");
    if (options->from && jp_when(options->from, &job->from_ms))
        return wrong("--from is no time:", options->from, times);
    if (options->to && jp_when(options->to, &job->to_ms))
        return wrong("--to is no time:", options->to, times);
    job->bounded = options->from || options->to;
    if (job->from_ms >= job->to_ms)
        return wrong("nothing lies before --to", options->to, "a time after --from");
    return JP_OPTIONS_GO;
}

static bool in_time(struct job *job, const struct jp_history *history)
{
    int64_t t_ms;

    if (!job->bounded)
        return true;
    if (!jp_records_t_ms(&history->head, history->window.t0_ms, &t_ms)) {
        job->timeless++;
        return false;
    }
    return t_ms >= job->from_ms && t_ms < job->to_ms;
}

// What was written again after a failed write is the same window twice.
static bool again(struct job *job, const struct jp_window *window)
{
    if (job->any && window->run == job->run && window->seq <= job->seq)
        return true;
    job->any = true;
    job->run = window->run;
    job->seq = window->seq;
    return false;
}

static int export(struct jp_look *look, struct job *job, FILE *out)
{
    const struct jp_history *history = &look->history;
    enum jp_entry_kind kind;
    int rc = job->csv ? jp_csv_header(history, out) : 0;

    while (rc == 0 && (kind = jp_look_next(look)) != JP_ENTRY_END) {
        if (kind != JP_ENTRY_WINDOW || again(job, &history->window) || !in_time(job, history))
            continue;
        rc = job->csv ? jp_csv_row(history, out) : jp_jsonl_window_line(history, false, out);
        if (rc == -ENOENT && job->csv) {
            job->columnless++;
            rc = 0;
        }
    }
    if (job->timeless)
        fprintf(stderr, "%s: %llu windows without wall time are left out\n", look->verb,
                (unsigned long long)job->timeless);
    if (job->columnless)
        fprintf(stderr, "%s: %llu windows are left out: their channels are not among the columns (too many, or new)\n",
                look->verb, (unsigned long long)job->columnless);
    return rc;
}

// The output must not fall into the spool.
static bool inside(const char *path, const char *dir)
{
    char folder[JP_PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    struct stat a, b;

    if (slash && slash - path < JP_PATH_MAX - 1)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash == path ? 1 : slash - path), path);
    return stat(folder, &a) == 0 && stat(dir, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int to_file(struct jp_look *look, struct job *job)
{
    FILE *out;
    int rc;

    if (inside(job->path, look->dir)) {
        jp_look_end(look, NULL, 0);
        return wrong("-o lies in the spool:", job->path, "another folder");
    }
    out = fopen(job->path, "we");
    if (!out) {
        fprintf(stderr, "%s: %s: %s\n", look->verb, job->path, strerror(errno));
        jp_look_end(look, NULL, 0);
        return JP_EXIT_FAILED;
    }
    rc = jp_look_end(look, out, export(look, job, out));
    if (fclose(out) && rc == JP_EXIT_DONE) {
        fprintf(stderr, "%s: %s: %s\n", look->verb, job->path, strerror(errno));
        rc = JP_EXIT_FAILED;
    }
    return rc;
}

int jp_cmd_export(int argc, char **argv)
{
    static struct jp_look look; // large
    struct jp_options options;
    struct job job;
    int rc = jp_options_read(
        argc, argv, JP_OPTION_CONFIG | JP_OPTION_AS | JP_OPTION_FROM | JP_OPTION_TO | JP_OPTION_OUT | JP_OPTION_WORD,
        help, &options);

    if (rc == JP_OPTIONS_GO)
        rc = read_job(&options, &job);
    if (rc == JP_OPTIONS_GO)
        rc = jp_look_open(&look, "joulepost export", &options, false);
    if (rc != JP_OPTIONS_GO)
        return rc;
    if (job.path)
        return to_file(&look, &job);
    return jp_look_end(&look, stdout, export(&look, &job, stdout));
}
