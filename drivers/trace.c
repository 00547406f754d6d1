// SPDX-License-Identifier: Apache-2.0
// Reader of the trace format.
#define _GNU_SOURCE
#include "trace.h"

#include "ina3221.h"
#include "trace_parts.h"
#include "trace_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The whole text, terminated and owned by the caller. Its length, or -errno.
static int64_t read_text(const struct jp_site *site, const char *path, char **out)
{
    size_t size = 65536, used = 0;
    char *text = malloc(size);
    int fd = jp_site_open(site, path);
    int64_t rc = text ? fd : -ENOMEM;

    while (rc >= 0) {
        ssize_t got = read(fd, text + used, size - used - 1);
        char *larger;

        rc = got < 0 ? -errno : 0;
        if (got <= 0)
            break;
        used += (size_t)got;
        if (used + 1 < size)
            continue;
        larger = size < JP_TRACE_BYTES_MAX ? realloc(text, size * 2) : NULL;
        rc = larger ? 0 : size < JP_TRACE_BYTES_MAX ? -ENOMEM : -EMSGSIZE;
        text = larger ? larger : text;
        size *= 2;
    }
    if (fd >= 0)
        close(fd);
    if (rc < 0) {
        free(text);
        return rc;
    }
    text[used] = '\0';
    *out = text;
    return (int64_t)used;
}

static int take_magic(struct jp_trace *trace, const char *line)
{
    if (strcmp(line, JP_TRACE_MAGIC "1") == 0)
        trace->version = 1;
    else if (strcmp(line, JP_TRACE_MAGIC "2") == 0)
        trace->version = 2;
    else
        return jp_trace_wrong(trace, "a trace begins with \"joulepost-trace 1\" or \"joulepost-trace 2\"");
    return 0;
}

// Kept for the site door (trace_files.h), which reads them itself.
static int take_file(struct jp_trace *trace, char *rest)
{
    char *path = strtok_r(NULL, JP_TRACE_BLANK, &rest);

    if (!path || path[0] != '/' || (rest && jp_trace_unescape(rest) < 0)) // behind the last word musl leaves NULL
        return jp_trace_wrong(trace, "a file has a path from / and a text with the escapes \\0 \\n \\t \\\\ \\xHH");
    return 0;
}

static int take_period(struct jp_trace *trace, char *rest)
{
    char *word = strtok_r(NULL, JP_TRACE_BLANK, &rest);
    int64_t ms;

    if (!word || jp_trace_number(word, &ms) < 0 || ms < 1 || ms > 3600000)
        return jp_trace_wrong(trace, "period_ms is 1 to 3600000");
    trace->period_ns = ms * 1000000;
    return 0;
}

// One header line. 0, 1 at `rows`, or -EINVAL.
static int take_header(struct jp_trace *trace, char *line)
{
    char *rest;
    char *word = strtok_r(line, JP_TRACE_BLANK, &rest);

    if (!word || word[0] == '#')
        return 0;
    if (strcmp(word, "note") == 0) {
        snprintf(trace->note, sizeof trace->note, "%s", rest ? rest : "");
        return 0;
    }
    if (strcmp(word, "file") == 0)
        return take_file(trace, rest);
    if (strcmp(word, "source") == 0) {
        trace->sources++;
        return 0;
    }
    if (strcmp(word, "channel") == 0)
        return jp_trace_take_channel(trace, rest);
    if (strcmp(word, "period_ms") == 0)
        return take_period(trace, rest);
    if (strcmp(word, "rows") != 0)
        return jp_trace_wrong(trace, "a line begins with note, period_ms, file, source, channel, rows or #");
    if (trace->count == 0 || trace->period_ns == 0)
        return jp_trace_wrong(trace, "period_ms and a channel come before the rows");
    return 1;
}

static int64_t count_lines(const char *text)
{
    int64_t count = 1;

    while ((text = strchr(text, '\n'))) {
        text++;
        count++;
    }
    return count;
}

// A cell and what ends it are two bytes: empty lines take no room.
static int start_rows(struct jp_trace *trace, const char *rest)
{
    int64_t lines = count_lines(rest), fit = (int64_t)strlen(rest) / (2 * trace->count) + 1;

    trace->room = lines < fit ? lines : fit;
    trace->times_ns = calloc((size_t)trace->room, sizeof *trace->times_ns);
    trace->cells = calloc((size_t)trace->room * (size_t)trace->count, sizeof *trace->cells);
    return trace->cells && trace->times_ns ? 0 : -ENOMEM;
}

static int parse(struct jp_trace *trace, char *text)
{
    char *next = text;
    int rc = 0;

    for (char *line = text; line && rc >= 0; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        trace->line++;
        line[strcspn(line, "\r")] = '\0';
        if (trace->line == 1)
            rc = take_magic(trace, line);
        else if (trace->cells)
            rc = jp_trace_take_row(trace, line);
        else if ((rc = take_header(trace, line)) == 1)
            rc = start_rows(trace, next ? next : "");
    }
    if (rc < 0)
        return rc;
    if (trace->rows == 0)
        return jp_trace_wrong(trace, trace->cells ? "there are no rows" : "the line \"rows\" and the rows are missing");
    trace->length_ns = trace->times_ns[trace->rows - 1] + trace->period_ns;
    return 0;
}

// A chip's smallest step follows from its shunt and the voltage, where the trace tells both.
static void fill_resolution(struct jp_trace *trace)
{
    for (int i = 0; i < trace->count; i++) {
        struct jp_channel *channel = &trace->channels[i];

        if (channel->shunt_uohm == 0 && trace->cells[i].mv > 0)
            channel->mv = trace->cells[i].mv;
        if (channel->resolution_uw == 0 && strcmp(channel->chip, "ina3221") == 0)
            channel->resolution_uw = jp_ina3221_resolution_uw(channel->shunt_uohm, trace->cells[i].mv);
    }
}

int jp_trace_load(const struct jp_site *site, const char *path, struct jp_trace *trace)
{
    char *text = NULL;
    int64_t length;
    int rc;

    *trace = (struct jp_trace){.what = ""};
    length = read_text(site, path, &text);
    if (length < 0)
        return (int)length;
    if (strlen(text) == (size_t)length) {
        rc = parse(trace, text);
    } else {
        trace->line = (int)count_lines(text);
        rc = jp_trace_wrong(trace, "there is no NUL byte in a trace");
    }
    free(text);
    if (rc < 0)
        jp_trace_free(trace);
    else
        fill_resolution(trace);
    return rc;
}

void jp_trace_free(struct jp_trace *trace)
{
    free(trace->cells);
    free(trace->times_ns);
    trace->cells = NULL;
    trace->times_ns = NULL;
}
