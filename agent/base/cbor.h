// SPDX-License-Identifier: Apache-2.0
// CBOR (RFC 8949) in and out of caller-owned buffers, on libcbor's streaming calls: no allocation.
//
// Both sides are sticky: after the first error every later call does nothing and the error stays, so a
// sequence of calls is checked once, at its end.
#ifndef JP_CBOR_H
#define JP_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Writing ----------------------------------------------------------------------------------------
struct jp_cbor_out {
    uint8_t *bytes; // borrowed
    size_t size;
    size_t used; // how much was written
    bool failed; // the buffer was too small
};

void jp_cbor_out_init(struct jp_cbor_out *out, void *bytes, size_t size);
void jp_cbor_put_uint(struct jp_cbor_out *out, uint64_t value);
void jp_cbor_put_int(struct jp_cbor_out *out, int64_t value);
void jp_cbor_put_text(struct jp_cbor_out *out, const char *text);
void jp_cbor_put_bytes(struct jp_cbor_out *out, const void *bytes, size_t size);
void jp_cbor_put_array(struct jp_cbor_out *out, size_t count);
void jp_cbor_put_map(struct jp_cbor_out *out, size_t pairs);
void jp_cbor_put_tag(struct jp_cbor_out *out, uint64_t tag);
void jp_cbor_put_bool(struct jp_cbor_out *out, bool value);
void jp_cbor_put_null(struct jp_cbor_out *out);
void jp_cbor_put_double(struct jp_cbor_out *out, double value);
// Bytes that are CBOR already.
void jp_cbor_put_raw(struct jp_cbor_out *out, const void *bytes, size_t size);

// Reading ----------------------------------------------------------------------------------------
// The reader is bounded: it never looks past `size`, never recurses deeper than 8 levels in skip().
struct jp_cbor_in {
    const uint8_t *bytes; // borrowed; texts and byte strings point into it
    size_t size;
    size_t at;
    bool failed; // truncated, malformed, of another type than asked for, or out of range
};

void jp_cbor_in_init(struct jp_cbor_in *in, const void *bytes, size_t size);
// Each returns the next item, or 0, NULL or false once failed.
uint64_t jp_cbor_get_uint(struct jp_cbor_in *in);
int64_t jp_cbor_get_int(struct jp_cbor_in *in);
size_t jp_cbor_get_array(struct jp_cbor_in *in); // definite length only
size_t jp_cbor_get_map(struct jp_cbor_in *in);   // definite length only; pairs
uint64_t jp_cbor_get_tag(struct jp_cbor_in *in);
bool jp_cbor_get_bool(struct jp_cbor_in *in);
double jp_cbor_get_double(struct jp_cbor_in *in); // any float width or an integer
const uint8_t *jp_cbor_get_bytes(struct jp_cbor_in *in, size_t *size);
const char *jp_cbor_get_text(struct jp_cbor_in *in, size_t *size); // not NUL-terminated
// Copies a text into buffer and terminates it; longer than size-1 is a failure.
void jp_cbor_copy_text(struct jp_cbor_in *in, char *buffer, size_t size);
// True and passed over when the next item is null; else false, nothing consumed.
bool jp_cbor_get_null(struct jp_cbor_in *in);
// Passes over one whole item.
void jp_cbor_skip(struct jp_cbor_in *in);

#endif
