// SPDX-License-Identifier: Apache-2.0
// The RUN frame: a map of text keys, written and read through one table a struct.
#include "run.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum field_type { TEXT, INT, ENUM, I64, U32, U64, BOOL, DOUBLE };

struct field {
    const char *key;
    enum field_type type;
    size_t at;
    int64_t limit; // TEXT: the buffer's size; ENUM: the first value that is none
};

#define TEXT_FIELD(type, name, member)                                                                                 \
    {                                                                                                                  \
        name, TEXT, offsetof(struct type, member), sizeof((struct type *)0)->member                                    \
    }
#define FIELD(type, name, kind, member, limit)                                                                         \
    {                                                                                                                  \
        name, kind, offsetof(struct type, member), limit                                                               \
    }
#define COUNT(fields) ((int)(sizeof(fields) / sizeof *(fields)))

static const struct field channel_fields[] = {
    TEXT_FIELD(jp_run_channel, "name", name),
    TEXT_FIELD(jp_run_channel, "part_of", part_of),
    FIELD(jp_run_channel, "kind", ENUM, kind, JP_GAUGE),
    FIELD(jp_run_channel, "method", ENUM, method, JP_MODELLED + 1),
    FIELD(jp_run_channel, "scope", ENUM, scope, JP_SCOPE_SYSTEM + 1),
    FIELD(jp_run_channel, "roles", U32, roles, 0),
    FIELD(jp_run_channel, "resolution_uw", I64, resolution_uw, 0),
    FIELD(jp_run_channel, "max_uw", I64, max_uw, 0),
    FIELD(jp_run_channel, "in_total", BOOL, in_total, 0),
    FIELD(jp_run_channel, "unverified", BOOL, unverified, 0),
    FIELD(jp_run_channel, "scale", DOUBLE, scale, 0),
    FIELD(jp_run_channel, "offset_uw", I64, offset_uw, 0),
};

static const struct field gauge_fields[] = {
    TEXT_FIELD(jp_run_gauge, "name", name),
    TEXT_FIELD(jp_run_gauge, "unit", unit),
};

static const struct field facts_fields[] = {
    TEXT_FIELD(jp_facts, "board_id", board_id),
    TEXT_FIELD(jp_facts, "board_name", board_name),
    TEXT_FIELD(jp_facts, "module", module),
    TEXT_FIELD(jp_facts, "soc", soc),
    FIELD(jp_facts, "board_verified", BOOL, board_verified, 0),
    FIELD(jp_facts, "gpu_count", INT, gpu_count, 0),
    TEXT_FIELD(jp_facts, "gpu_name", gpu_name),
    FIELD(jp_facts, "cpu_count", INT, cpu_count, 0),
    TEXT_FIELD(jp_facts, "cpu_model", cpu_model),
    FIELD(jp_facts, "ram_bytes", I64, ram_bytes, 0),
    TEXT_FIELD(jp_facts, "os_name", os_name),
    TEXT_FIELD(jp_facts, "l4t", l4t),
    TEXT_FIELD(jp_facts, "jetpack", jetpack),
    TEXT_FIELD(jp_facts, "power_mode", power_mode),
    TEXT_FIELD(jp_facts, "note", note),
};

static const struct field run_fields[] = {
    FIELD(jp_run, "run", U64, id, 0),
    TEXT_FIELD(jp_run, "boot", boot),
    TEXT_FIELD(jp_run, "device", device),
    FIELD(jp_run, "window_ms", INT, window_ms, 0),
    FIELD(jp_run, "block_windows", INT, block_windows, 0),
    FIELD(jp_run, "interval_ms", INT, interval_ms, 0),
    FIELD(jp_run, "columns", U32, columns, 0),
    FIELD(jp_run, "total_known", BOOL, total_known, 0),
    FIELD(jp_run, "total_scope", ENUM, total_scope, JP_SCOPE_SYSTEM + 1),
    FIELD(jp_run, "total_method", ENUM, total_method, JP_MODELLED + 1),
};

// Writing ----------------------------------------------------------------------------------------
static void put_field(struct jp_cbor_out *out, const struct field *field, const void *base)
{
    const void *at = (const char *)base + field->at;

    jp_cbor_put_text(out, field->key);
    switch (field->type) {
    case TEXT:
        jp_cbor_put_text(out, at);
        break;
    case INT:
    case ENUM:
        jp_cbor_put_int(out, *(const int *)at);
        break;
    case I64:
        jp_cbor_put_int(out, *(const int64_t *)at);
        break;
    case U32:
        jp_cbor_put_uint(out, *(const uint32_t *)at);
        break;
    case U64:
        jp_cbor_put_uint(out, *(const uint64_t *)at);
        break;
    case BOOL:
        jp_cbor_put_bool(out, *(const bool *)at);
        break;
    case DOUBLE:
        jp_cbor_put_double(out, *(const double *)at);
        break;
    }
}

static void put_fields(struct jp_cbor_out *out, const struct field *fields, int count, const void *base)
{
    for (int i = 0; i < count; i++)
        put_field(out, &fields[i], base);
}

static void put_map(struct jp_cbor_out *out, const struct field *fields, int count, const void *base)
{
    jp_cbor_put_map(out, (size_t)count);
    put_fields(out, fields, count, base);
}

int jp_run_encode(const struct jp_run *run, void *buffer, size_t size)
{
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_map(&out, (size_t)COUNT(run_fields) + 3);
    put_fields(&out, run_fields, COUNT(run_fields), run);
    jp_cbor_put_text(&out, "channels");
    jp_cbor_put_array(&out, (size_t)run->channel_count);
    for (int i = 0; i < run->channel_count; i++)
        put_map(&out, channel_fields, COUNT(channel_fields), &run->channels[i]);
    jp_cbor_put_text(&out, "gauges");
    jp_cbor_put_array(&out, (size_t)run->gauge_count);
    for (int i = 0; i < run->gauge_count; i++)
        put_map(&out, gauge_fields, COUNT(gauge_fields), &run->gauges[i]);
    jp_cbor_put_text(&out, "facts");
    put_map(&out, facts_fields, COUNT(facts_fields), &run->facts);
    return out.failed ? -EMSGSIZE : (int)out.used;
}

// Reading ----------------------------------------------------------------------------------------
static void get_int(struct jp_cbor_in *in, const struct field *field, int *at)
{
    int64_t value = jp_cbor_get_int(in);
    bool is_enum = field->type == ENUM;

    if (value < (is_enum ? 0 : INT32_MIN) || value > (is_enum ? field->limit - 1 : INT32_MAX))
        in->failed = true;
    else
        *at = (int)value;
}

static void get_u32(struct jp_cbor_in *in, uint32_t *at)
{
    uint64_t value = jp_cbor_get_uint(in);

    if (value > UINT32_MAX)
        in->failed = true;
    else
        *at = (uint32_t)value;
}

static void get_field(struct jp_cbor_in *in, const struct field *field, void *base)
{
    void *at = (char *)base + field->at;

    switch (field->type) {
    case TEXT:
        jp_cbor_copy_text(in, at, (size_t)field->limit);
        break;
    case INT:
    case ENUM:
        get_int(in, field, at);
        break;
    case I64:
        *(int64_t *)at = jp_cbor_get_int(in);
        break;
    case U32:
        get_u32(in, at);
        break;
    case U64:
        *(uint64_t *)at = jp_cbor_get_uint(in);
        break;
    case BOOL:
        *(bool *)at = jp_cbor_get_bool(in);
        break;
    case DOUBLE:
        *(double *)at = jp_cbor_get_double(in);
        break;
    }
}

struct key {
    const char *text;
    size_t size;
};

static bool is_key(struct key key, const char *text)
{
    return key.size == strlen(text) && memcmp(key.text, text, key.size) == 0;
}

static bool get_keyed(struct jp_cbor_in *in, const struct field *fields, int count, struct key key, void *base)
{
    for (int i = 0; i < count; i++) {
        if (!is_key(key, fields[i].key))
            continue;
        get_field(in, &fields[i], base);
        return true;
    }
    return false;
}

static void get_map(struct jp_cbor_in *in, const struct field *fields, int count, void *base)
{
    size_t pairs = jp_cbor_get_map(in);

    for (size_t i = 0; i < pairs && !in->failed; i++) {
        struct key key;

        key.text = jp_cbor_get_text(in, &key.size);
        if (!in->failed && !get_keyed(in, fields, count, key, base))
            jp_cbor_skip(in);
    }
}

static int get_list_count(struct jp_cbor_in *in, size_t max)
{
    size_t count = jp_cbor_get_array(in);

    if (count > max)
        in->failed = true;
    return in->failed ? 0 : (int)count;
}

static void get_run_pair(struct jp_cbor_in *in, struct jp_run *run)
{
    struct key key;

    key.text = jp_cbor_get_text(in, &key.size);
    if (in->failed)
        return;
    if (is_key(key, "channels")) {
        run->channel_count = get_list_count(in, JP_CHANNELS_MAX);
        for (int i = 0; i < run->channel_count; i++) {
            run->channels[i] = (struct jp_run_channel){.scale = 1};
            get_map(in, channel_fields, COUNT(channel_fields), &run->channels[i]);
        }
    } else if (is_key(key, "gauges")) {
        run->gauge_count = get_list_count(in, JP_GAUGES_MAX);
        for (int i = 0; i < run->gauge_count; i++)
            get_map(in, gauge_fields, COUNT(gauge_fields), &run->gauges[i]);
    } else if (is_key(key, "facts")) {
        get_map(in, facts_fields, COUNT(facts_fields), &run->facts);
    } else if (!get_keyed(in, run_fields, COUNT(run_fields), key, run)) {
        jp_cbor_skip(in);
    }
}

int jp_run_decode(struct jp_run *run, const void *bytes, size_t size)
{
    struct jp_cbor_in in;
    size_t pairs;

    memset(run, 0, sizeof *run);
    run->facts.gpu_count = -1;
    jp_cbor_in_init(&in, bytes, size);
    pairs = jp_cbor_get_map(&in);
    for (size_t i = 0; i < pairs && !in.failed; i++)
        get_run_pair(&in, run);
    return in.failed || run->window_ms < 1 || run->block_windows < 1 ? -EBADMSG : 0;
}

int jp_run_total(const struct jp_run *run, int *out)
{
    int count = 0;

    for (int i = 0; run->total_known && i < run->channel_count; i++)
        if (run->channels[i].in_total)
            out[count++] = i;
    return count;
}

_Static_assert(sizeof(enum jp_kind) == sizeof(int), "ENUM fields are read and written as int");
