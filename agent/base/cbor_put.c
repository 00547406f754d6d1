// SPDX-License-Identifier: Apache-2.0
// Writing: libcbor's streaming encoder behind a sticky error.
#include "cbor.h"

#include <cbor/encoding.h>
#include <string.h>

void jp_cbor_out_init(struct jp_cbor_out *out, void *bytes, size_t size)
{
    *out = (struct jp_cbor_out){.bytes = bytes, .size = size};
}

// libcbor answers 0 for "does not fit".
static void took(struct jp_cbor_out *out, size_t n)
{
    if (n == 0)
        out->failed = true;
    else
        out->used += n;
}

#define PUT(out, call, ...)                                                                                            \
    do {                                                                                                               \
        if (!(out)->failed)                                                                                            \
            took(out, call(__VA_ARGS__, (out)->bytes + (out)->used, (out)->size - (out)->used));                       \
    } while (0)

void jp_cbor_put_uint(struct jp_cbor_out *out, uint64_t value)
{
    PUT(out, cbor_encode_uint, value);
}

void jp_cbor_put_int(struct jp_cbor_out *out, int64_t value)
{
    if (value >= 0)
        PUT(out, cbor_encode_uint, (uint64_t)value);
    else
        PUT(out, cbor_encode_negint, (uint64_t)(-(value + 1)));
}

void jp_cbor_put_raw(struct jp_cbor_out *out, const void *bytes, size_t size)
{
    if (out->failed || size > out->size - out->used) {
        out->failed = true;
        return;
    }
    if (size > 0)
        memcpy(out->bytes + out->used, bytes, size);
    out->used += size;
}

void jp_cbor_put_text(struct jp_cbor_out *out, const char *text)
{
    size_t size = strlen(text);

    PUT(out, cbor_encode_string_start, size);
    jp_cbor_put_raw(out, text, size);
}

void jp_cbor_put_bytes(struct jp_cbor_out *out, const void *bytes, size_t size)
{
    PUT(out, cbor_encode_bytestring_start, size);
    jp_cbor_put_raw(out, bytes, size);
}

void jp_cbor_put_array(struct jp_cbor_out *out, size_t count)
{
    PUT(out, cbor_encode_array_start, count);
}

void jp_cbor_put_map(struct jp_cbor_out *out, size_t pairs)
{
    PUT(out, cbor_encode_map_start, pairs);
}

void jp_cbor_put_tag(struct jp_cbor_out *out, uint64_t tag)
{
    PUT(out, cbor_encode_tag, tag);
}

void jp_cbor_put_bool(struct jp_cbor_out *out, bool value)
{
    PUT(out, cbor_encode_bool, value);
}

void jp_cbor_put_null(struct jp_cbor_out *out)
{
    if (!out->failed)
        took(out, cbor_encode_null(out->bytes + out->used, out->size - out->used));
}

void jp_cbor_put_double(struct jp_cbor_out *out, double value)
{
    PUT(out, cbor_encode_double, value);
}
