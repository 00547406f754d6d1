// SPDX-License-Identifier: Apache-2.0
// Windows, events and gaps as JSON objects.
#include "window_json.h"

#include <string.h>

#define COLUMNS 3

static const struct {
    const char *name;
    unsigned column;
} columns[COLUMNS] = {{"mv", JP_BLOCK_MV}, {"ma", JP_BLOCK_MA}, {"peak_mw", JP_BLOCK_PEAK}};

void jp_window_names_of_block(struct jp_window_names *names, const struct jp_block_reader *block)
{
    memset(names, 0, sizeof *names);
    names->columns = block->columns;
    for (int c = 0; c < block->channel_count; c++) {
        names->names[c] = block->names[c];
        names->in_total[c] = block->in_total[c];
        for (int v = 0; v < COLUMNS; v++)
            if (block->values[c][v + 1].there)
                names->has[c] |= columns[v].column;
    }
}

void jp_window_names_of_run(struct jp_window_names *names, const struct jp_run *run)
{
    memset(names, 0, sizeof *names);
    names->columns = run->columns;
    for (int c = 0; c < run->channel_count; c++) {
        names->names[c] = run->channels[c].name;
        names->in_total[c] = run->total_known && run->channels[c].in_total;
    }
}

// The value of a column, INT64_MIN unknown.
static int64_t value_of(const struct jp_window_channel *channel, unsigned column)
{
    if (column == JP_BLOCK_PEAK)
        return channel->peak_mw;
    if (column == JP_BLOCK_MV)
        return channel->mv == INT32_MIN ? INT64_MIN : channel->mv;
    return channel->ma == INT32_MIN ? INT64_MIN : channel->ma;
}

void jp_window_names_see(struct jp_window_names *names, const struct jp_window *window)
{
    for (int c = 0; c < window->channel_count; c++)
        for (int v = 0; v < COLUMNS; v++)
            if (value_of(&window->channels[c], columns[v].column) != INT64_MIN)
                names->has[c] |= columns[v].column & names->columns;
}

struct jp_window_total jp_window_total_of(const struct jp_window_names *names, const struct jp_window *window)
{
    struct jp_window_total total = {.covered_ms = INT32_MAX};
    bool sane = true;

    for (int c = 0; c < window->channel_count; c++) {
        const struct jp_window_channel *channel = &window->channels[c];

        if (!names->in_total[c])
            continue;
        total.there = true;
        if (channel->known) // what is read may be a stranger's
            sane = !__builtin_add_overflow(total.mj, channel->mj, &total.mj) && sane;
        total.known |= channel->known;
        if (channel->covered_ms < total.covered_ms) {
            total.covered_ms = channel->covered_ms;
            total.cause = channel->cause;
        }
    }
    total.known = total.known && sane;
    return total;
}

bool jp_window_emissions(const struct jp_records_head *head, const struct jp_window_total *total, int64_t *ug)
{
    if (!total->known || !head->factor.known)
        return false;
    *ug = jp_emissions_ug(total->mj, head->pue, head->factor.g_per_kwh);
    return true;
}

static void put_uncovered(json_t *covered, json_t *causes, const char *name, int32_t covered_ms, enum jp_cause cause)
{
    const char *text = jp_cause_name(cause);

    json_object_set_new(covered, name, json_integer(covered_ms));
    json_object_set_new(causes, name, text ? json_string(text) : json_null());
}

static void put_column(json_t *object, const struct jp_window_names *names, const struct jp_window *window, int v)
{
    json_t *column = json_object();

    for (int c = 0; c < window->channel_count; c++) {
        int64_t value = value_of(&window->channels[c], columns[v].column);

        if (names->has[c] & columns[v].column)
            json_object_set_new(column, names->names[c], jp_json_known(value != INT64_MIN, value));
    }
    json_object_set_new(object, columns[v].name, column);
}

// A block without a single value of a column does not have the column.
static bool has_column(const struct jp_window_names *names, const struct jp_window *window, int v)
{
    unsigned has = 0;

    for (int c = 0; c < window->channel_count; c++)
        has |= names->has[c];
    return has & names->columns & columns[v].column;
}

json_t *jp_window_json(const struct jp_records_head *head, const struct jp_window_names *names,
                       const struct jp_window *window)
{
    struct jp_window_total total = jp_window_total_of(names, window);
    json_t *object = json_object(), *energy = json_object(), *covered = json_object(), *causes = json_object();
    int64_t ug = 0;
    bool priced = jp_window_emissions(head, &total, &ug);

    json_object_set_new(object, "t_ms", jp_json_time(head, window->t0_ms));
    json_object_set_new(object, "boot_ms", json_integer(window->t0_ms));
    json_object_set_new(object, "span_ms", json_integer(window->span_ms));
    json_object_set_new(object, "run", jp_json_u64(window->run));
    json_object_set_new(object, "seq", json_integer((json_int_t)window->seq));
    for (int c = 0; c < window->channel_count; c++) {
        const struct jp_window_channel *channel = &window->channels[c];

        json_object_set_new(energy, names->names[c], jp_json_known(channel->known, channel->mj));
        if (channel->covered_ms < window->span_ms)
            put_uncovered(covered, causes, names->names[c], channel->covered_ms, channel->cause);
    }
    json_object_set_new(energy, "total", jp_json_known(total.known, total.mj));
    if (total.there && total.covered_ms < window->span_ms)
        put_uncovered(covered, causes, "total", total.covered_ms, total.cause);
    json_object_set_new(object, "energy_mj", energy);
    json_object_set_new(object, "emissions_ug", jp_json_known(priced, ug));
    json_object_set_new(object, "clock", json_string(jp_clock_state_name(head->clock)));
    json_object_set_new(object, "covered_ms", covered);
    json_object_set_new(object, "cause", causes);
    for (int v = 0; v < COLUMNS; v++)
        if (has_column(names, window, v))
            put_column(object, names, window, v);
    return object;
}

json_t *jp_event_json(const struct jp_records_head *head, const struct jp_event *event)
{
    json_t *object = json_object(), *detail = json_loads(event->detail, JSON_REJECT_DUPLICATES, NULL);

    json_object_set_new(object, "kind", json_string(event->kind));
    json_object_set_new(object, "t_ms", jp_json_time(head, event->boot_ms));
    json_object_set_new(object, "boot_ms", json_integer(event->boot_ms));
    json_object_set_new(object, "run", jp_json_u64(event->run));
    json_object_set_new(object, "channel", jp_json_text(event->channel));
    json_object_set_new(object, "detail", json_is_object(detail) ? detail : json_object());
    if (!json_is_object(detail))
        json_decref(detail);
    return object;
}

json_t *jp_gap_json(const struct jp_records_head *head, const struct jp_run *run, const struct jp_gap *gap)
{
    json_t *object = json_object(), *energy = json_object();
    int named = gap->named || run->channel_count > gap->channel_count ? gap->channel_count : run->channel_count;

    for (int c = 0; c < named; c++)
        json_object_set_new(energy, gap->named ? gap->names[c] : run->channels[c].name,
                            jp_json_known(gap->known[c], gap->mj[c]));
    json_object_set_new(object, "run", jp_json_u64(gap->run));
    json_object_set_new(object, "first_seq", json_integer((json_int_t)gap->first_seq));
    json_object_set_new(object, "last_seq", json_integer((json_int_t)gap->last_seq));
    json_object_set_new(object, "windows", json_integer((json_int_t)gap->windows));
    json_object_set_new(object, "seconds", jp_json_milli(true, gap->span_ms));
    json_object_set_new(object, "energy_mj", energy);
    json_object_set_new(object, "reason", json_string(gap->reason));
    json_object_set_new(object, "t_ms", jp_json_time(head, gap->t0_ms));
    return object;
}
