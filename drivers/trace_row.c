// SPDX-License-Identifier: Apache-2.0
// A row of a trace: its time, what it cost, and its cells.
#define _GNU_SOURCE
#include "ina3221.h"
#include "trace_parts.h"
#include "trace_words.h"

#include <string.h>

static bool fits(enum jp_kind kind, int64_t value)
{
    if (kind == JP_POWER)
        return value <= JP_TRACE_POWER_MAX_UW && value >= -JP_TRACE_POWER_MAX_UW;
    return kind != JP_ENERGY || value >= 0;
}

static int take_value(enum jp_kind kind, const char *text, int64_t *value)
{
    return jp_trace_number(text, value) == 0 && fits(kind, *value) ? 0 : -EINVAL;
}

// mV/mA, or mV/mA/uW.
static int take_electric(char *text, char *slash, struct jp_trace_cell *cell)
{
    char *second = strchr(slash + 1, '/');
    int64_t mv, ma;

    *slash = '\0';
    if (second)
        *second = '\0';
    if (jp_trace_number(text, &mv) < 0 || jp_trace_number(slash + 1, &ma) < 0)
        return -EINVAL;
    if (mv <= INT32_MIN || mv > INT32_MAX || ma <= INT32_MIN || ma > INT32_MAX)
        return -EINVAL;
    cell->mv = (int32_t)mv;
    cell->ma = (int32_t)ma;
    cell->value = jp_ina3221_power_uw(cell->mv, cell->ma);
    if (second)
        return take_value(JP_POWER, second + 1, &cell->value);
    return fits(JP_POWER, cell->value) ? 0 : -EINVAL;
}

static int take_cell(enum jp_kind kind, char *text, struct jp_trace_cell *cell)
{
    char *slash = strchr(text, '/');

    *cell = (struct jp_trace_cell){.mv = INT32_MIN, .ma = INT32_MIN};
    cell->error = jp_trace_error(text);
    if (cell->error)
        return 0;
    if (slash)
        return kind == JP_POWER ? take_electric(text, slash, cell) : -EINVAL;
    return take_value(kind, text, &cell->value);
}

// As in the row before; before the first there was nothing.
static void hold(const struct jp_trace *trace, struct jp_trace_cell *cell)
{
    if (trace->rows > 0)
        *cell = cell[-trace->count];
    else
        *cell = (struct jp_trace_cell){.mv = INT32_MIN, .ma = INT32_MIN, .error = ENODATA};
    cell->held = true;
}

// "312,41,-" or "-": people read it, nothing here does.
static bool costs_fit(char *text, int sources)
{
    int64_t us;
    int count = 0;
    char *rest;

    if (strcmp(text, "-") == 0)
        return true;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest), count++)
        if (strcmp(word, "-") != 0 && (jp_trace_number(word, &us) < 0 || us < 0))
            return false;
    return count == sources;
}

static int take_time(struct jp_trace *trace, const char *text, int64_t *first_us)
{
    int64_t us;

    if (jp_trace_number(text, &us) < 0 || us < 0 || us > JP_TRACE_TIME_MAX_US)
        return jp_trace_wrong(trace, "a row begins with its time in microseconds");
    if (trace->rows == 0)
        *first_us = us;
    us -= *first_us;
    if (trace->rows > 0 && us * 1000 <= trace->times_ns[trace->rows - 1])
        return jp_trace_wrong(trace, "the times of the rows rise");
    trace->times_ns[trace->rows] = us * 1000;
    return 0;
}

// The columns before the cells; what is left of the line in *rest.
static int take_head(struct jp_trace *trace, char *time, char **rest)
{
    char *costs = strtok_r(NULL, JP_TRACE_BLANK, rest);
    int rc = take_time(trace, time, &trace->first_us);

    if (rc == 0 && (!costs || !costs_fit(costs, trace->sources)))
        rc = jp_trace_wrong(trace, "behind its time a row says what each source cost, microseconds with commas, or -");
    return rc;
}

int jp_trace_take_row(struct jp_trace *trace, char *line)
{
    struct jp_trace_cell *row = &trace->cells[trace->rows * trace->count];
    char *rest, *text = strtok_r(line, JP_TRACE_BLANK, &rest);

    if (!text || text[0] == '#')
        return 0;
    if (trace->rows == trace->room)
        return jp_trace_wrong(trace, "a row has one cell for each channel");
    if (trace->version == 1 && trace->rows > JP_TRACE_TIME_MAX_US * 1000 / trace->period_ns)
        return jp_trace_wrong(trace, "a trace is at most 115 days long");
    if (trace->version == 1) {
        trace->times_ns[trace->rows] = trace->rows * trace->period_ns;
    } else {
        if (take_head(trace, text, &rest) < 0)
            return -EINVAL;
        text = strtok_r(NULL, JP_TRACE_BLANK, &rest);
    }
    for (int i = 0; i < trace->count; i++) {
        if (!text)
            return jp_trace_wrong(trace, "a row has one cell for each channel");
        if (strcmp(text, ".") == 0)
            hold(trace, &row[i]);
        else if (take_cell(trace->channels[i].kind, text, &row[i]) < 0)
            return jp_trace_wrong(trace, "a cell is a number of the channel's kind, the name of an error, - or .");
        text = strtok_r(NULL, JP_TRACE_BLANK, &rest);
    }
    if (text)
        return jp_trace_wrong(trace, "a row has one cell for each channel");
    trace->rows++;
    return 0;
}
