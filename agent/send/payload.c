// SPDX-License-Identifier: Apache-2.0
// The lossless stream: windows as CBOR blocks under one map, or the same windows as JSON.
#include "payload.h"

#include "window_json.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

const int64_t jp_payload_build_s = JP_BUILD_S;

bool jp_records_t_ms(const struct jp_records_head *head, int64_t boot_ms, int64_t *t_ms)
{
    bool sane = !__builtin_add_overflow(boot_ms, head->off_ms, t_ms);

    return head->off_known && sane && *t_ms >= (head->since_s ? head->since_s : jp_payload_build_s) * 1000;
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

void jp_payload_windows_begin(struct jp_payload_windows *array, char *buffer, size_t size)
{
    *array = (struct jp_payload_windows){.buffer = buffer, .size = size, .used = 1, .most = INT_MAX};
    buffer[0] = '[';
}

int jp_payload_windows_add(struct jp_payload_windows *array, const struct jp_records_head *head, const void *block,
                           size_t size, int from)
{
    struct jp_block_reader reader;
    struct jp_window_names names;
    struct jp_window window;
    int i = 0, rc = jp_block_read(&reader, block, size);

    if (rc == 0)
        jp_window_names_of_block(&names, &reader);
    while (rc == 0 && (rc = jp_block_next(&reader, &window)) == 1) {
        size_t comma = array->count > 0, left = array->size - array->used;
        int n;

        rc = 0;
        if (i++ < from)
            continue;
        if (left < comma + 1 || array->count >= array->most)
            return i - 1;
        n = jp_json_dump(jp_window_json(head, &names, &window), array->buffer + array->used + comma, left - comma - 1);
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
