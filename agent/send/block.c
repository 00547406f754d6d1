// SPDX-License-Identifier: Apache-2.0
// Windows into a block: columns of differences, so that a steady rail costs one or two bytes a window.
#include "block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// The head of a block: run 9, seq 9, n 3, t0 9, dt 9, array heads, option names and map heads, and the
// two optional item counts of a channel; names and run_mj are added per channel.
#define HEAD_BYTES 128
#define CHANNEL_BYTES 64 // index in the total 2, run_mj 9, column heads 5 x 4, map keys 2 x 4, pair heads
#define SPAN_BYTES 12    // window index 3, span 9
#define COVER_BYTES 28   // array head 1, window index 3, covered_ms 5, the longest cause 12 and its head

enum value { VALUE_MJ, VALUE_MV, VALUE_MA, VALUE_PEAK, VALUE_COUNT };

struct jp_block_cell {
    int64_t values[VALUE_COUNT]; // INT64_MIN unknown
    int32_t covered_ms;
    enum jp_cause cause;
};

static const struct {
    const char *name;
    unsigned column;
} options[VALUE_COUNT] = {
    [VALUE_MV] = {"mv", JP_BLOCK_MV},
    [VALUE_MA] = {"ma", JP_BLOCK_MA},
    [VALUE_PEAK] = {"peak_mw", JP_BLOCK_PEAK},
};

static size_t int_bytes(int64_t value)
{
    uint64_t magnitude = value >= 0 ? (uint64_t)value : (uint64_t)(-(value + 1));

    if (magnitude < 24)
        return 1;
    if (magnitude <= UINT8_MAX)
        return 2;
    if (magnitude <= UINT16_MAX)
        return 3;
    return magnitude <= UINT32_MAX ? 5 : 9;
}

int jp_block_begin(struct jp_block *block, const struct jp_run *run, unsigned columns)
{
    size_t rows = (size_t)run->block_windows, channels = (size_t)run->channel_count;

    *block = (struct jp_block){.run = run, .columns = columns, .capacity = run->block_windows};
    if (run->block_windows < 1 || run->block_windows > JP_BLOCK_WINDOWS_MAX || run->channel_count < 0 ||
        run->channel_count > JP_CHANNELS_MAX || run->window_ms < 1)
        return -EINVAL;
    block->spans = calloc(rows, sizeof *block->spans);
    block->cells = calloc(rows * (channels + 1), sizeof *block->cells);
    block->last = calloc(channels + 1, sizeof *block->last);
    block->run_mj = calloc(channels + 1, sizeof *block->run_mj);
    if (!block->spans || !block->cells || !block->last || !block->run_mj) {
        jp_block_end(block);
        return -ENOMEM;
    }
    jp_block_clear(block);
    return 0;
}

void jp_block_end(struct jp_block *block)
{
    free(block->spans);
    free(block->cells);
    free(block->last);
    free(block->run_mj);
    *block = (struct jp_block){.run = NULL};
}

void jp_block_clear(struct jp_block *block)
{
    block->count = 0;
    block->bytes = HEAD_BYTES;
    for (int c = 0; c < block->run->channel_count; c++) {
        block->bytes += CHANNEL_BYTES + strlen(block->run->channels[c].name);
        memset(block->last[c], 0, sizeof block->last[c]);
    }
}

bool jp_block_full(const struct jp_block *block)
{
    return block->count > 0 && (block->seq + (uint64_t)block->count) % (uint64_t)block->capacity == 0;
}

static struct jp_block_cell *cell_at(const struct jp_block *block, int window, int channel)
{
    return &block->cells[(size_t)window * (size_t)block->run->channel_count + (size_t)channel];
}

static struct jp_block_cell cell_of(const struct jp_window_channel *channel)
{
    return (struct jp_block_cell){
        .values = {channel->known ? channel->mj : INT64_MIN, channel->mv == INT32_MIN ? INT64_MIN : channel->mv,
                   channel->ma == INT32_MIN ? INT64_MIN : channel->ma, channel->peak_mw},
        .covered_ms = channel->covered_ms,
        .cause = channel->cause,
    };
}

static bool wanted(const struct jp_block *block, int value)
{
    return value == VALUE_MJ || (block->columns & options[value].column);
}

// What the window in row `count` adds to the encoding at most.
static size_t row_bytes(const struct jp_block *block, const struct jp_window *window)
{
    size_t bytes = window->span_ms == block->run->window_ms ? 0 : SPAN_BYTES;

    for (int c = 0; c < window->channel_count; c++) {
        const struct jp_block_cell *cell = cell_at(block, block->count, c);

        if (cell->covered_ms < window->span_ms)
            bytes += COVER_BYTES;
        for (int v = 0; v < VALUE_COUNT; v++)
            if (wanted(block, v))
                bytes += cell->values[v] == INT64_MIN ? 1 : int_bytes(cell->values[v] - block->last[c][v]);
    }
    return bytes;
}

static bool belongs(const struct jp_block *block, const struct jp_window *window)
{
    if (block->count == 0)
        return true;
    return !jp_block_full(block) && window->seq == block->seq + (uint64_t)block->count &&
           window->t0_ms == block->end_ms;
}

int jp_block_add(struct jp_block *block, const struct jp_window *window)
{
    size_t bytes;

    if (window->run != block->run->id || window->channel_count != block->run->channel_count)
        return -EBADMSG;
    if (!belongs(block, window))
        return -EXDEV;
    for (int c = 0; c < window->channel_count; c++)
        *cell_at(block, block->count, c) = cell_of(&window->channels[c]);
    bytes = row_bytes(block, window);
    if (block->count > 0 && block->bytes + bytes > JP_BLOCK_BYTES_MAX)
        return -EXDEV;
    if (block->count == 0) {
        block->seq = window->seq;
        block->t0_ms = window->t0_ms;
    }
    for (int c = 0; c < window->channel_count; c++) {
        const struct jp_block_cell *cell = cell_at(block, block->count, c);

        block->run_mj[c] = window->channels[c].run_mj;
        for (int v = 0; v < VALUE_COUNT; v++)
            if (cell->values[v] != INT64_MIN)
                block->last[c][v] = cell->values[v];
    }
    block->spans[block->count++] = window->span_ms;
    block->end_ms = window->t0_ms + window->span_ms;
    block->bytes += bytes;
    return 0;
}

static void put_column(const struct jp_block *block, struct jp_cbor_out *out, int channel, int value)
{
    int64_t last = 0;

    jp_cbor_put_array(out, (size_t)block->count);
    for (int i = 0; i < block->count; i++) {
        int64_t now = cell_at(block, i, channel)->values[value];

        if (now == INT64_MIN) {
            jp_cbor_put_null(out);
            continue;
        }
        jp_cbor_put_int(out, now - last);
        last = now;
    }
}

static bool column_known(const struct jp_block *block, int channel, int value)
{
    for (int i = 0; i < block->count; i++)
        if (cell_at(block, i, channel)->values[value] != INT64_MIN)
            return true;
    return false;
}

static int uncovered(const struct jp_block *block, int channel)
{
    int n = 0;

    for (int i = 0; i < block->count; i++)
        n += cell_at(block, i, channel)->covered_ms < block->spans[i];
    return n;
}

static void put_spans(const struct jp_block *block, struct jp_cbor_out *out)
{
    size_t n = 0;

    for (int i = 0; i < block->count; i++)
        n += block->spans[i] != block->run->window_ms;
    if (n == 0)
        return;
    jp_cbor_put_text(out, "span");
    jp_cbor_put_map(out, n);
    for (int i = 0; i < block->count; i++) {
        if (block->spans[i] == block->run->window_ms)
            continue;
        jp_cbor_put_int(out, i);
        jp_cbor_put_int(out, block->spans[i]);
    }
}

static void put_cover(const struct jp_block *block, struct jp_cbor_out *out, int channels)
{
    jp_cbor_put_text(out, "cov");
    jp_cbor_put_map(out, (size_t)channels);
    for (int c = 0; c < block->run->channel_count; c++) {
        int n = uncovered(block, c);

        if (n == 0)
            continue;
        jp_cbor_put_int(out, c);
        jp_cbor_put_array(out, (size_t)n);
        for (int i = 0; i < block->count; i++) {
            const struct jp_block_cell *cell = cell_at(block, i, c);
            const char *cause = jp_cause_name(cell->cause);

            if (cell->covered_ms >= block->spans[i])
                continue;
            jp_cbor_put_array(out, 3);
            jp_cbor_put_int(out, i);
            jp_cbor_put_int(out, cell->covered_ms);
            if (cause)
                jp_cbor_put_text(out, cause);
            else
                jp_cbor_put_null(out);
        }
    }
}

static void put_options(const struct jp_block *block, struct jp_cbor_out *out)
{
    int cover = 0, known[VALUE_COUNT] = {0};
    bool spans = false;
    size_t pairs = 0;

    for (int i = 0; i < block->count; i++)
        spans |= block->spans[i] != block->run->window_ms;
    for (int c = 0; c < block->run->channel_count; c++) {
        cover += uncovered(block, c) > 0;
        for (int v = VALUE_MV; v < VALUE_COUNT; v++)
            known[v] += wanted(block, v) && column_known(block, c, v);
    }
    pairs = (size_t)spans + (cover > 0);
    for (int v = VALUE_MV; v < VALUE_COUNT; v++)
        pairs += known[v] > 0;
    jp_cbor_put_map(out, pairs);
    put_spans(block, out);
    if (cover > 0)
        put_cover(block, out, cover);
    for (int v = VALUE_MV; v < VALUE_COUNT; v++) {
        if (known[v] == 0)
            continue;
        jp_cbor_put_text(out, options[v].name);
        jp_cbor_put_map(out, (size_t)known[v]);
        for (int c = 0; c < block->run->channel_count; c++) {
            if (!column_known(block, c, v))
                continue;
            jp_cbor_put_int(out, c);
            put_column(block, out, c, v);
        }
    }
}

int jp_block_encode(const struct jp_block *block, void *buffer, size_t size)
{
    const struct jp_run *run = block->run;
    int total[JP_CHANNELS_MAX], totals = 0;
    struct jp_cbor_out out;

    if (block->count == 0)
        return -ENODATA;
    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_array(&out, 9);
    jp_cbor_put_uint(&out, run->id);
    jp_cbor_put_uint(&out, block->seq);
    jp_cbor_put_int(&out, block->count);
    jp_cbor_put_int(&out, block->t0_ms);
    jp_cbor_put_int(&out, run->window_ms);
    jp_cbor_put_array(&out, (size_t)run->channel_count);
    for (int c = 0; c < run->channel_count; c++) {
        jp_cbor_put_text(&out, run->channels[c].name);
        if (run->channels[c].in_total)
            total[totals++] = c;
    }
    if (run->total_known) {
        jp_cbor_put_array(&out, (size_t)totals);
        for (int i = 0; i < totals; i++)
            jp_cbor_put_int(&out, total[i]);
    } else {
        jp_cbor_put_null(&out);
    }
    jp_cbor_put_array(&out, (size_t)run->channel_count);
    for (int c = 0; c < run->channel_count; c++) {
        jp_cbor_put_array(&out, 2);
        jp_cbor_put_int(&out, block->run_mj[c]);
        put_column(block, &out, c, VALUE_MJ);
    }
    put_options(block, &out);
    return out.failed ? -EMSGSIZE : (int)out.used;
}
