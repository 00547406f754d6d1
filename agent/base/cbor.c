// SPDX-License-Identifier: Apache-2.0
// Reading: libcbor's streaming decoder behind a sticky error. Writing is in cbor_put.c.
#include "cbor.h"

#include <cbor/streaming.h>
#include <string.h>

enum item_kind {
    ITEM_NONE,
    ITEM_UINT,
    ITEM_NEGINT,
    ITEM_BYTES,
    ITEM_TEXT,
    ITEM_ARRAY,
    ITEM_MAP,
    ITEM_TAG,
    ITEM_BOOL,
    ITEM_NULL,
    ITEM_FLOAT,
    ITEM_OTHER
};

struct item {
    enum item_kind kind;
    uint64_t value; // number, length, tag or truth
    double number;
    const uint8_t *bytes;
};

static void set(void *context, enum item_kind kind, uint64_t value)
{
    struct item *item = context;

    item->kind = kind;
    item->value = value;
}

static void on_uint8(void *context, uint8_t value)
{
    set(context, ITEM_UINT, value);
}
static void on_uint16(void *context, uint16_t value)
{
    set(context, ITEM_UINT, value);
}
static void on_uint32(void *context, uint32_t value)
{
    set(context, ITEM_UINT, value);
}
static void on_uint64(void *context, uint64_t value)
{
    set(context, ITEM_UINT, value);
}
static void on_negint8(void *context, uint8_t value)
{
    set(context, ITEM_NEGINT, value);
}
static void on_negint16(void *context, uint16_t value)
{
    set(context, ITEM_NEGINT, value);
}
static void on_negint32(void *context, uint32_t value)
{
    set(context, ITEM_NEGINT, value);
}
static void on_negint64(void *context, uint64_t value)
{
    set(context, ITEM_NEGINT, value);
}
static void on_array(void *context, size_t size)
{
    set(context, ITEM_ARRAY, size);
}
static void on_map(void *context, size_t size)
{
    set(context, ITEM_MAP, size);
}
static void on_tag(void *context, uint64_t tag)
{
    set(context, ITEM_TAG, tag);
}
static void on_bool(void *context, bool value)
{
    set(context, ITEM_BOOL, value);
}
static void on_null(void *context)
{
    set(context, ITEM_NULL, 0);
}
static void on_other(void *context)
{
    set(context, ITEM_OTHER, 0);
}

static void on_bytes(void *context, cbor_data bytes, size_t size)
{
    set(context, ITEM_BYTES, size);
    ((struct item *)context)->bytes = bytes;
}

static void on_text(void *context, cbor_data bytes, size_t size)
{
    set(context, ITEM_TEXT, size);
    ((struct item *)context)->bytes = bytes;
}

static void on_float(void *context, float value)
{
    set(context, ITEM_FLOAT, 0);
    ((struct item *)context)->number = (double)value;
}

static void on_double(void *context, double value)
{
    set(context, ITEM_FLOAT, 0);
    ((struct item *)context)->number = value;
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negint8,
    .negint16 = on_negint16,
    .negint32 = on_negint32,
    .negint64 = on_negint64,
    .byte_string_start = on_other, // indefinite lengths are never written and not accepted
    .byte_string = on_bytes,
    .string_start = on_other,
    .string = on_text,
    .indef_array_start = on_other,
    .array_start = on_array,
    .indef_map_start = on_other,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = on_null,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_other,
};

void jp_cbor_in_init(struct jp_cbor_in *in, const void *bytes, size_t size)
{
    *in = (struct jp_cbor_in){.bytes = bytes, .size = size};
}

// The item at `at` and its encoded size (head and content); size 0 when there is none to be had.
static size_t peek(struct jp_cbor_in *in, struct item *item)
{
    struct cbor_decoder_result result;

    *item = (struct item){.kind = ITEM_NONE};
    if (in->failed || in->at >= in->size)
        return 0;
    result = cbor_stream_decode(in->bytes + in->at, in->size - in->at, &callbacks, item);
    if (result.status != CBOR_DECODER_FINISHED || item->kind == ITEM_NONE || item->kind == ITEM_OTHER)
        return 0;
    return result.read;
}

static struct item take(struct jp_cbor_in *in, enum item_kind kind)
{
    struct item item;
    size_t n = peek(in, &item);

    if (n == 0 || item.kind != kind) {
        in->failed = true;
        return (struct item){.kind = ITEM_NONE};
    }
    in->at += n;
    return item;
}

uint64_t jp_cbor_get_uint(struct jp_cbor_in *in)
{
    return take(in, ITEM_UINT).value;
}

int64_t jp_cbor_get_int(struct jp_cbor_in *in)
{
    struct item item;
    size_t n = peek(in, &item);

    if (n == 0 || (item.kind != ITEM_UINT && item.kind != ITEM_NEGINT) || item.value > INT64_MAX) {
        in->failed = true;
        return 0;
    }
    in->at += n;
    return item.kind == ITEM_UINT ? (int64_t)item.value : -1 - (int64_t)item.value;
}

// A count can be no larger than the bytes that are left: each item takes at least one.
static size_t get_count(struct jp_cbor_in *in, enum item_kind kind, size_t items_each)
{
    struct item item = take(in, kind);

    if (in->failed || item.value > (in->size - in->at) / items_each) {
        in->failed = true;
        return 0;
    }
    return (size_t)item.value;
}

size_t jp_cbor_get_array(struct jp_cbor_in *in)
{
    return get_count(in, ITEM_ARRAY, 1);
}

size_t jp_cbor_get_map(struct jp_cbor_in *in)
{
    return get_count(in, ITEM_MAP, 2);
}

uint64_t jp_cbor_get_tag(struct jp_cbor_in *in)
{
    return take(in, ITEM_TAG).value;
}

bool jp_cbor_get_bool(struct jp_cbor_in *in)
{
    return take(in, ITEM_BOOL).value != 0;
}

double jp_cbor_get_double(struct jp_cbor_in *in)
{
    struct item item;
    size_t n = peek(in, &item);

    if (n > 0 && item.kind == ITEM_FLOAT) {
        in->at += n;
        return item.number;
    }
    return (double)jp_cbor_get_int(in);
}

static const uint8_t *get_string(struct jp_cbor_in *in, enum item_kind kind, size_t *size)
{
    struct item item = take(in, kind);

    *size = (size_t)item.value;
    return item.bytes;
}

const uint8_t *jp_cbor_get_bytes(struct jp_cbor_in *in, size_t *size)
{
    return get_string(in, ITEM_BYTES, size);
}

const char *jp_cbor_get_text(struct jp_cbor_in *in, size_t *size)
{
    return (const char *)get_string(in, ITEM_TEXT, size);
}

void jp_cbor_copy_text(struct jp_cbor_in *in, char *buffer, size_t size)
{
    size_t length;
    const char *text = jp_cbor_get_text(in, &length);

    buffer[0] = '\0';
    if (in->failed || length >= size || memchr(text, '\0', length)) {
        in->failed = true;
        return;
    }
    memcpy(buffer, text, length);
    buffer[length] = '\0';
}

bool jp_cbor_get_null(struct jp_cbor_in *in)
{
    struct item item;
    size_t n = peek(in, &item);

    if (n == 0 || item.kind != ITEM_NULL)
        return false;
    in->at += n;
    return true;
}

// Iterative, so that hostile nesting costs no stack.
void jp_cbor_skip(struct jp_cbor_in *in)
{
    uint64_t left[9] = {1};
    int depth = 0;

    while (depth >= 0 && !in->failed) {
        struct item item;
        size_t n;

        if (left[depth] == 0) {
            depth--;
            continue;
        }
        left[depth]--;
        n = peek(in, &item);
        if (n == 0 || item.value > UINT64_MAX / 2)
            n = item.kind == ITEM_UINT || item.kind == ITEM_NEGINT ? n : 0;
        if (n == 0) {
            in->failed = true;
            break;
        }
        in->at += n;
        if (item.kind != ITEM_ARRAY && item.kind != ITEM_MAP && item.kind != ITEM_TAG)
            continue;
        if (depth == 8) {
            in->failed = true;
            break;
        }
        left[++depth] = item.kind == ITEM_TAG ? 1 : item.kind == ITEM_MAP ? item.value * 2 : item.value;
    }
}
