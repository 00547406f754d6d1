// SPDX-License-Identifier: Apache-2.0
// Reader of the trace format.
#define _GNU_SOURCE
#include "trace.h"
#include "channel.h"
#include "ina3221.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLANK " \t\r"
#define NUMBER_MAX 9000000000000000000LL // what is added to it fits
#define POWER_MAX_UW 1000000000000LL     // a megawatt

static const struct {
    const char *word;
    int error;
} errors[] = {
    {"-", ENODATA},           {"ENODATA", ENODATA},     {"EIO", EIO},       {"EAGAIN", EAGAIN},
    {"ETIMEDOUT", ETIMEDOUT}, {"EACCES", EACCES},       {"ENOENT", ENOENT}, {"ENODEV", ENODEV},
    {"ENXIO", ENXIO},         {"EREMOTEIO", EREMOTEIO}, {"EINVAL", EINVAL},
};

static const char *const kinds[] = {[JP_POWER] = "power", [JP_ENERGY] = "energy", [JP_GAUGE] = "gauge"};

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

static int parse_number(const char *text, int64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, 0);
    return end == text || *end || errno || *value > NUMBER_MAX || *value < -NUMBER_MAX ? -EINVAL : 0;
}

static int copy_text(char *out, size_t size, const char *text)
{
    if (strlen(text) >= size)
        return -EINVAL;
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int take_roles(struct jp_channel *channel, char *words)
{
    char *rest;

    for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        uint32_t bit = jp_role_by_name(word);

        if (bit == 0)
            return -EINVAL;
        channel->roles |= bit;
    }
    return 0;
}

static int take_text_key(struct jp_channel *channel, const char *key, char *text)
{
    if (strcmp(key, "chip") == 0)
        return copy_text(channel->chip, sizeof channel->chip, text);
    if (strcmp(key, "bus") == 0)
        return copy_text(channel->bus_node, sizeof channel->bus_node, text);
    if (strcmp(key, "part_of") == 0)
        return copy_text(channel->part_of, sizeof channel->part_of, text);
    if (strcmp(key, "unit") == 0)
        return copy_text(channel->unit, sizeof channel->unit, text);
    if (strcmp(key, "scope") == 0)
        return jp_scope_by_name(text, &channel->scope);
    if (strcmp(key, "roles") == 0)
        return take_roles(channel, text);
    return -ENOENT;
}

static int take_number_key(struct jp_channel *channel, const char *key, const char *text)
{
    int64_t value;

    if (parse_number(text, &value) < 0 || value < 0)
        return -EINVAL;
    if (strcmp(key, "range") == 0)
        channel->range_uj = value;
    else if (value > POWER_MAX_UW)
        return -EINVAL;
    else if (strcmp(key, "max") == 0)
        channel->max_uw = value;
    else if (strcmp(key, "resolution") == 0)
        channel->resolution_uw = value;
    else if (value > INT32_MAX)
        return -EINVAL;
    else if (strcmp(key, "address") == 0)
        channel->address = (int)value;
    else if (strcmp(key, "index") == 0)
        channel->index = (int)value;
    else if (strcmp(key, "shunt") == 0)
        channel->shunt_uohm = (int32_t)value;
    else
        return -EINVAL;
    return 0;
}

static int take_channel(struct jp_trace *trace, char *rest)
{
    char *name = strtok_r(NULL, BLANK, &rest);
    char *kind = name ? strtok_r(NULL, BLANK, &rest) : NULL;
    struct jp_channel *channel = &trace->channels[trace->count];
    int which = 0;

    if (!kind || strlen(name) >= sizeof channel->name || trace->count == JP_TRACE_CHANNELS_MAX)
        return -EINVAL;
    while (which <= JP_GAUGE && strcmp(kinds[which], kind) != 0)
        which++;
    if (which > JP_GAUGE)
        return -EINVAL;
    jp_channel_init(channel, (enum jp_kind)which, "replay", strcmp(name, "-") == 0 ? "" : name);
    channel->index = ++trace->count;
    for (char *pair = strtok_r(NULL, BLANK, &rest); pair; pair = strtok_r(NULL, BLANK, &rest)) {
        char *text = strchr(pair, '=');
        int rc;

        if (!text)
            return -EINVAL;
        *text++ = '\0';
        rc = take_text_key(channel, pair, text);
        if (rc == -ENOENT)
            rc = take_number_key(channel, pair, text);
        if (rc < 0)
            return rc;
    }
    return 0;
}

// One header line. 0, 1 at `rows`, or -EINVAL.
static int take_header(struct jp_trace *trace, char *line)
{
    char *rest;
    char *word = strtok_r(line, BLANK, &rest);
    int64_t ms;

    if (!word || word[0] == '#')
        return 0;
    if (strcmp(word, "note") == 0) {
        snprintf(trace->note, sizeof trace->note, "%s", rest);
        return 0;
    }
    if (strcmp(word, "channel") == 0)
        return take_channel(trace, rest);
    if (strcmp(word, "rows") == 0)
        return trace->count > 0 && trace->period_ns > 0 ? 1 : -EINVAL;
    word = strcmp(word, "period_ms") == 0 ? strtok_r(NULL, BLANK, &rest) : NULL;
    if (!word || parse_number(word, &ms) < 0 || ms < 1 || ms > 3600000)
        return -EINVAL;
    trace->period_ns = ms * 1000000;
    return 0;
}

static int take_pair(char *text, char *slash, struct jp_trace_cell *cell)
{
    int64_t mv, ma;

    *slash = '\0';
    if (parse_number(text, &mv) < 0 || parse_number(slash + 1, &ma) < 0)
        return -EINVAL;
    if (mv <= INT32_MIN || mv > INT32_MAX || ma <= INT32_MIN || ma > INT32_MAX)
        return -EINVAL;
    cell->mv = (int32_t)mv;
    cell->ma = (int32_t)ma;
    cell->value = jp_ina3221_power_uw(cell->mv, cell->ma);
    return 0;
}

static int take_cell(enum jp_kind kind, char *text, struct jp_trace_cell *cell)
{
    char *slash = strchr(text, '/');

    *cell = (struct jp_trace_cell){.mv = INT32_MIN, .ma = INT32_MIN};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (strcmp(errors[i].word, text) == 0) {
            cell->error = errors[i].error;
            return 0;
        }
    }
    if (slash)
        return kind == JP_POWER ? take_pair(text, slash, cell) : -EINVAL;
    if (parse_number(text, &cell->value) < 0 || (kind == JP_ENERGY && cell->value < 0))
        return -EINVAL;
    if (kind == JP_POWER && (cell->value > POWER_MAX_UW || cell->value < -POWER_MAX_UW))
        return -EINVAL;
    return 0;
}

static int take_row(struct jp_trace *trace, char *line)
{
    struct jp_trace_cell *row = &trace->cells[trace->rows * trace->count];
    char *rest;
    char *text = strtok_r(line, BLANK, &rest);

    if (!text || text[0] == '#')
        return 0;
    for (int i = 0; i < trace->count; i++) {
        if (!text || take_cell(trace->channels[i].kind, text, &row[i]) < 0)
            return -EINVAL;
        text = strtok_r(NULL, BLANK, &rest);
    }
    if (text)
        return -EINVAL;
    trace->rows++;
    return 0;
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

static int start_rows(struct jp_trace *trace, const char *rest)
{
    trace->cells = calloc((size_t)count_lines(rest) * (size_t)trace->count, sizeof *trace->cells);
    return trace->cells ? 0 : -ENOMEM;
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
            rc = strcmp(line, "joulepost-trace 1") == 0 ? 0 : -EINVAL;
        else if (trace->cells)
            rc = take_row(trace, line);
        else if ((rc = take_header(trace, line)) == 1)
            rc = start_rows(trace, next ? next : "");
    }
    return rc < 0 ? rc : trace->rows > 0 ? 0 : -EINVAL;
}

// A chip's smallest step follows from its shunt and the voltage, where the trace tells both.
static void fill_resolution(struct jp_trace *trace)
{
    for (int i = 0; i < trace->count; i++) {
        struct jp_channel *channel = &trace->channels[i];

        if (channel->resolution_uw == 0 && strcmp(channel->chip, "ina3221") == 0)
            channel->resolution_uw = jp_ina3221_resolution_uw(channel->shunt_uohm, trace->cells[i].mv);
    }
}

int jp_trace_load(const struct jp_site *site, const char *path, struct jp_trace *trace)
{
    char *text = NULL;
    int64_t length;
    int rc;

    *trace = (struct jp_trace){.cells = NULL};
    length = read_text(site, path, &text);
    if (length < 0)
        return (int)length;
    if (strlen(text) == (size_t)length) {
        rc = parse(trace, text);
    } else { // no NUL in a text
        trace->line = (int)count_lines(text);
        rc = -EINVAL;
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
    trace->cells = NULL;
}
