// SPDX-License-Identifier: Apache-2.0
// A block back into its windows. What it reads may come from a disk or a stranger: every item is checked.
#include "block.h"

#include <errno.h>
#include <string.h>

#define SPAN_MAX_MS 1000000000000LL // 31 years: a sum of 300 stays far below 2^63

static const struct {
    const char *name;
    unsigned column;
} columns[4] = {[1] = {"mv", JP_BLOCK_MV}, [2] = {"ma", JP_BLOCK_MA}, [3] = {"peak_mw", JP_BLOCK_PEAK}};

static bool in_range(struct jp_cbor_in *in, int64_t value, int64_t low, int64_t high)
{
    if (in->failed || value < low || value > high)
        in->failed = true;
    return !in->failed;
}

static enum jp_cause cause_of(const char *text, size_t size)
{
    for (int cause = 1; cause < JP_CAUSE_COUNT; cause++) {
        const char *name = jp_cause_name((enum jp_cause)cause);

        if (strlen(name) == size && memcmp(name, text, size) == 0)
            return (enum jp_cause)cause;
    }
    return JP_CAUSE_NONE;
}

// Walks a column once so that reading it later cannot fail; *sum gets what its values add up to.
static void open_column(struct jp_block_reader *reader, struct jp_cbor_in *in, struct jp_block_column_reader *column,
                        int64_t *sum)
{
    int64_t last = 0, delta;

    if (jp_cbor_get_array(in) != (size_t)reader->count)
        in->failed = true;
    *column = (struct jp_block_column_reader){.in = *in, .there = true};
    *sum = 0;
    for (int i = 0; i < reader->count && !in->failed; i++) {
        if (jp_cbor_get_null(in))
            continue;
        delta = jp_cbor_get_int(in);
        if (__builtin_add_overflow(last, delta, &last) || __builtin_add_overflow(*sum, last, sum))
            in->failed = true;
    }
}

static void read_channels(struct jp_block_reader *reader, struct jp_cbor_in *in)
{
    if (jp_cbor_get_array(in) != (size_t)reader->channel_count)
        in->failed = true;
    for (int c = 0; c < reader->channel_count && !in->failed; c++) {
        int64_t end_mj, sum;

        if (jp_cbor_get_array(in) != 2)
            in->failed = true;
        end_mj = jp_cbor_get_int(in);
        open_column(reader, in, &reader->values[c][0], &sum);
        if (__builtin_sub_overflow(end_mj, sum, &reader->run_mj[c]))
            in->failed = true;
    }
}

static void read_cover(struct jp_block_reader *reader, struct jp_cbor_in *in)
{
    size_t pairs = jp_cbor_get_map(in);

    while (pairs-- > 0 && !in->failed) {
        int64_t channel = jp_cbor_get_int(in);
        size_t entries = jp_cbor_get_array(in);

        if (!in_range(in, channel, 0, reader->channel_count - 1))
            return;
        reader->cover[channel].in = *in;
        reader->cover[channel].left = entries;
        while (entries-- > 0 && !in->failed)
            jp_cbor_skip(in);
    }
}

static void read_columns(struct jp_block_reader *reader, struct jp_cbor_in *in, int value)
{
    size_t pairs = jp_cbor_get_map(in);

    reader->columns |= columns[value].column;
    while (pairs-- > 0 && !in->failed) {
        int64_t channel = jp_cbor_get_int(in), sum;

        if (in_range(in, channel, 0, reader->channel_count - 1))
            open_column(reader, in, &reader->values[channel][value], &sum);
    }
}

static void read_option(struct jp_block_reader *reader, struct jp_cbor_in *in)
{
    size_t size;
    const char *key = jp_cbor_get_text(in, &size);

    if (in->failed)
        return;
    if (size == 4 && memcmp(key, "span", 4) == 0) {
        reader->span.left = jp_cbor_get_map(in);
        reader->span.in = *in;
        for (size_t i = 0; i < reader->span.left * 2 && !in->failed; i++)
            jp_cbor_skip(in);
        return;
    }
    if (size == 3 && memcmp(key, "cov", 3) == 0) {
        read_cover(reader, in);
        return;
    }
    for (int v = 1; v < 4; v++) {
        if (strlen(columns[v].name) == size && memcmp(columns[v].name, key, size) == 0) {
            read_columns(reader, in, v);
            return;
        }
    }
    jp_cbor_skip(in);
}

static void read_names(struct jp_block_reader *reader, struct jp_cbor_in *in)
{
    size_t n = jp_cbor_get_array(in);

    if (!in_range(in, (int64_t)n, 0, JP_CHANNELS_MAX))
        return;
    reader->channel_count = (int)n;
    for (size_t c = 0; c < n; c++)
        jp_cbor_copy_text(in, reader->names[c], sizeof reader->names[c]);
    reader->total_known = !jp_cbor_get_null(in);
    if (!reader->total_known)
        return;
    n = jp_cbor_get_array(in);
    for (size_t i = 0; i < n && !in->failed; i++) {
        int64_t index = jp_cbor_get_int(in);

        if (in_range(in, index, 0, reader->channel_count - 1))
            reader->in_total[index] = true;
    }
}

int jp_block_peek(struct jp_block_head *head, const void *bytes, size_t size)
{
    struct jp_cbor_in in;
    int64_t count;

    jp_cbor_in_init(&in, bytes, size);
    if (jp_cbor_get_array(&in) != 9)
        return -EBADMSG;
    head->run = jp_cbor_get_uint(&in);
    head->seq = jp_cbor_get_uint(&in);
    count = jp_cbor_get_int(&in);
    head->t0_ms = jp_cbor_get_int(&in);
    if (!in_range(&in, count, 1, JP_BLOCK_WINDOWS_MAX) || head->seq > UINT64_MAX - JP_BLOCK_WINDOWS_MAX)
        return -EBADMSG;
    head->count = (int)count;
    return 0;
}

int jp_block_read(struct jp_block_reader *reader, const void *bytes, size_t size)
{
    struct jp_cbor_in in;
    int64_t count;

    memset(reader, 0, sizeof *reader);
    reader->span.at = -1;
    for (int c = 0; c < JP_CHANNELS_MAX; c++)
        reader->cover[c].at = -1;
    jp_cbor_in_init(&in, bytes, size);
    if (jp_cbor_get_array(&in) != 9)
        return -EBADMSG;
    reader->run = jp_cbor_get_uint(&in);
    reader->seq = jp_cbor_get_uint(&in);
    count = jp_cbor_get_int(&in);
    reader->next_ms = reader->t0_ms = jp_cbor_get_int(&in);
    reader->dt_ms = jp_cbor_get_int(&in);
    if (!in_range(&in, count, 1, JP_BLOCK_WINDOWS_MAX) || !in_range(&in, reader->dt_ms, 1, INT32_MAX))
        return -EBADMSG;
    reader->count = (int)count;
    read_names(reader, &in);
    read_channels(reader, &in);
    for (size_t pairs = jp_cbor_get_map(&in); pairs > 0 && !in.failed; pairs--)
        read_option(reader, &in);
    return in.failed || in.at != size ? -EBADMSG : 0;
}

// The value of the column in this window; INT64_MIN unknown.
static int64_t next_value(struct jp_block_column_reader *column)
{
    if (!column->there || jp_cbor_get_null(&column->in))
        return INT64_MIN;
    column->last += jp_cbor_get_int(&column->in);
    return column->last;
}

static int next_span(struct jp_block_reader *reader, struct jp_window *window)
{
    if (reader->span.at < reader->next && reader->span.left > 0) {
        reader->span.left--;
        reader->span.at = jp_cbor_get_int(&reader->span.in);
        reader->span.span_ms = jp_cbor_get_int(&reader->span.in);
        if (!in_range(&reader->span.in, reader->span.span_ms, 0, SPAN_MAX_MS))
            return -EBADMSG;
    }
    window->span_ms = reader->span.at == reader->next ? reader->span.span_ms : reader->dt_ms;
    return 0;
}

static int next_cover(struct jp_block_reader *reader, int c, struct jp_window *window)
{
    struct jp_window_channel *channel = &window->channels[c];

    if (reader->cover[c].at < reader->next && reader->cover[c].left > 0) {
        struct jp_cbor_in *in = &reader->cover[c].in;
        size_t size;
        const char *text;

        reader->cover[c].left--;
        if (jp_cbor_get_array(in) != 3)
            return -EBADMSG;
        reader->cover[c].at = jp_cbor_get_int(in);
        reader->cover[c].covered_ms = jp_cbor_get_int(in);
        reader->cover[c].cause = JP_CAUSE_NONE;
        if (!jp_cbor_get_null(in)) {
            text = jp_cbor_get_text(in, &size);
            reader->cover[c].cause = in->failed ? JP_CAUSE_NONE : cause_of(text, size);
        }
        if (!in_range(in, reader->cover[c].covered_ms, 0, INT32_MAX))
            return -EBADMSG;
    }
    channel->covered_ms = window->span_ms > INT32_MAX ? INT32_MAX : (int32_t)window->span_ms;
    if (reader->cover[c].at == reader->next) {
        channel->covered_ms = (int32_t)reader->cover[c].covered_ms;
        channel->cause = reader->cover[c].cause;
    }
    return 0;
}

static int32_t narrow(int64_t value)
{
    return value < INT32_MIN || value > INT32_MAX ? INT32_MIN : (int32_t)value;
}

int jp_block_next(struct jp_block_reader *reader, struct jp_window *window)
{
    if (reader->next >= reader->count)
        return 0;
    window->run = reader->run;
    window->seq = reader->seq + (uint64_t)reader->next;
    window->t0_ms = reader->next_ms;
    window->late_ticks = 0;
    window->gauge_count = 0;
    window->channel_count = reader->channel_count;
    if (next_span(reader, window))
        return -EBADMSG;
    for (int c = 0; c < reader->channel_count; c++) {
        struct jp_window_channel *channel = &window->channels[c];
        int64_t mj = next_value(&reader->values[c][0]);

        *channel = (struct jp_window_channel){.known = mj != INT64_MIN, .raw_uj = -1};
        if (channel->known)
            channel->mj = mj;
        reader->run_mj[c] += channel->mj;
        channel->run_mj = reader->run_mj[c];
        channel->mv = narrow(next_value(&reader->values[c][1]));
        channel->ma = narrow(next_value(&reader->values[c][2]));
        channel->peak_mw = next_value(&reader->values[c][3]);
        if (next_cover(reader, c, window))
            return -EBADMSG;
    }
    reader->next++;
    if (__builtin_add_overflow(reader->next_ms, window->span_ms, &reader->next_ms))
        return -EBADMSG;
    return 1;
}
