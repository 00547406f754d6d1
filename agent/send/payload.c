// SPDX-License-Identifier: Apache-2.0
// The lossless stream: windows as CBOR blocks under one map, or the same windows as JSON.
#include "payload.h"

#include "json.h"

#include <errno.h>
#include <string.h>

const int64_t jp_payload_build_s = JP_BUILD_S;

bool jp_records_t_ms(const struct jp_records_head *head, int64_t boot_ms, int64_t *t_ms)
{
    *t_ms = boot_ms + head->off_ms;
    return head->off_known && *t_ms >= jp_payload_build_s * 1000;
}

json_t *jp_json_time(const struct jp_records_head *head, int64_t boot_ms)
{
    int64_t t_ms;
    bool known = jp_records_t_ms(head, boot_ms, &t_ms);

    return jp_json_known(known, t_ms);
}

int jp_payload_head(const struct jp_records_head *head, void *buffer, size_t size)
{
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_map(&out, 8);
    jp_cbor_put_text(&out, "v");
    jp_cbor_put_uint(&out, 1);
    jp_cbor_put_text(&out, "device");
    jp_cbor_put_text(&out, head->device);
    jp_cbor_put_text(&out, "boot");
    jp_cbor_put_text(&out, head->boot);
    jp_cbor_put_text(&out, "off_ms");
    if (head->off_known)
        jp_cbor_put_int(&out, head->off_ms);
    else
        jp_cbor_put_null(&out);
    jp_cbor_put_text(&out, "clock");
    jp_cbor_put_text(&out, jp_clock_state_name(head->clock));
    jp_cbor_put_text(&out, "err_ms");
    if (head->err_ms >= 0)
        jp_cbor_put_int(&out, head->err_ms);
    else
        jp_cbor_put_null(&out);
    jp_cbor_put_text(&out, "g_per_kwh");
    if (head->factor.known)
        jp_cbor_put_double(&out, head->factor.g_per_kwh);
    else
        jp_cbor_put_null(&out);
    jp_cbor_put_text(&out, "pue");
    jp_cbor_put_double(&out, head->pue);
    return out.failed ? -EMSGSIZE : (int)out.used;
}

// The total of a window: the sum of its known members, covered as its least covered one.
struct total {
    bool known;
    int64_t mj;
    int32_t covered_ms;
    enum jp_cause cause;
};

static struct total total_of(const struct jp_block_reader *block, const struct jp_window *window)
{
    struct total total = {.covered_ms = INT32_MAX};

    for (int c = 0; c < window->channel_count; c++) {
        const struct jp_window_channel *channel = &window->channels[c];

        if (!block->in_total[c])
            continue;
        if (channel->known)
            total.mj += channel->mj;
        total.known |= channel->known;
        if (channel->covered_ms < total.covered_ms) {
            total.covered_ms = channel->covered_ms;
            total.cause = channel->cause;
        }
    }
    return total;
}

static void put_uncovered(json_t *covered, json_t *causes, const char *name, int32_t covered_ms, enum jp_cause cause)
{
    const char *text = jp_cause_name(cause);

    json_object_set_new(covered, name, json_integer(covered_ms));
    json_object_set_new(causes, name, text ? json_string(text) : json_null());
}

static void put_column(json_t *object, const struct jp_block_reader *block, const struct jp_window *window, int value)
{
    static const char *const names[] = {NULL, "mv", "ma", "peak_mw"};
    json_t *column = json_object();

    for (int c = 0; c < window->channel_count; c++) {
        const struct jp_window_channel *channel = &window->channels[c];
        int64_t values[] = {0, channel->mv == INT32_MIN ? INT64_MIN : channel->mv,
                            channel->ma == INT32_MIN ? INT64_MIN : channel->ma, channel->peak_mw};

        if (block->values[c][value].there)
            json_object_set_new(column, block->names[c], jp_json_known(values[value] != INT64_MIN, values[value]));
    }
    json_object_set_new(object, names[value], column);
}

static json_t *window_json(const struct jp_records_head *head, const struct jp_block_reader *block,
                           const struct jp_window *window)
{
    struct total total = total_of(block, window);
    json_t *object = json_object(), *energy = json_object(), *covered = json_object(), *causes = json_object();

    json_object_set_new(object, "t_ms", jp_json_time(head, window->t0_ms));
    json_object_set_new(object, "boot_ms", json_integer(window->t0_ms));
    json_object_set_new(object, "span_ms", json_integer(window->span_ms));
    json_object_set_new(object, "run", jp_json_u64(window->run));
    json_object_set_new(object, "seq", json_integer((json_int_t)window->seq));
    for (int c = 0; c < window->channel_count; c++) {
        const struct jp_window_channel *channel = &window->channels[c];

        json_object_set_new(energy, block->names[c], jp_json_known(channel->known, channel->mj));
        if (channel->covered_ms < window->span_ms)
            put_uncovered(covered, causes, block->names[c], channel->covered_ms, channel->cause);
    }
    json_object_set_new(energy, "total", jp_json_known(total.known, total.mj));
    if (total.covered_ms < window->span_ms && total.covered_ms != INT32_MAX)
        put_uncovered(covered, causes, "total", total.covered_ms, total.cause);
    json_object_set_new(object, "energy_mj", energy);
    json_object_set_new(object, "emissions_ug",
                        total.known && head->factor.known
                            ? json_integer(jp_emissions_ug(total.mj, head->pue, head->factor.g_per_kwh))
                            : json_null());
    json_object_set_new(object, "clock", json_string(jp_clock_state_name(head->clock)));
    json_object_set_new(object, "covered_ms", covered);
    json_object_set_new(object, "cause", causes);
    for (int v = 1; v < 4; v++)
        if (block->columns & (1U << (v - 1)))
            put_column(object, block, window, v);
    return object;
}

void jp_payload_windows_begin(struct jp_payload_windows *array, char *buffer, size_t size)
{
    *array = (struct jp_payload_windows){.buffer = buffer, .size = size, .used = 1};
    buffer[0] = '[';
}

int jp_payload_windows_add(struct jp_payload_windows *array, const struct jp_records_head *head, const void *block,
                           size_t size, int from)
{
    struct jp_block_reader reader;
    struct jp_window window;
    int i = 0, rc = jp_block_read(&reader, block, size);

    while (rc == 0 && (rc = jp_block_next(&reader, &window)) == 1) {
        size_t comma = array->count > 0, left = array->size - array->used;
        int n;

        rc = 0;
        if (i++ < from)
            continue;
        if (left < comma + 1)
            return i - 1;
        n = jp_json_dump(window_json(head, &reader, &window), array->buffer + array->used + comma, left - comma - 1);
        if (n == -EMSGSIZE)
            return i - 1;
        if (n < 0)
            return n;
        if (comma)
            array->buffer[array->used] = ',';
        array->used += comma + (size_t)n;
        array->count++;
    }
    return rc < 0 ? rc : reader.count;
}

int jp_payload_windows_end(struct jp_payload_windows *array)
{
    array->buffer[array->used++] = ']';
    return (int)array->used;
}
