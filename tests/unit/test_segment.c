// SPDX-License-Identifier: Apache-2.0
// Segment headers, frames and names: every damaged byte is noticed, every foreign name is left alone.
#include "cbor.h"
#include "crc32c.h"
#include "segment.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct jp_segment_header full = {
    .version = JP_FORMAT_VERSION,
    .spool_id = {0xde, 0xad, 0xbe, 0xef},
    .number = UINT64_MAX,
    .device = "0123456789012345678901234567890123456789012345678901234567890123",
    .boot = "11111111-2222-4333-8444-555555555555",
    .boot_ms = INT64_MAX,
    .real_ms = INT64_MIN,
    .clock = "unsynced123",
    .tool = "01234567890123456789012",
};

static void the_largest_header_fits_and_comes_back(void **state)
{
    struct jp_segment_header back;
    uint8_t bytes[JP_HEADER_MAX];
    int size;

    (void)state;
    size = jp_segment_header_encode(&full, bytes, sizeof bytes);
    assert_true(size > 0);
    assert_memory_equal(bytes, "\xd9\xd9\xf7", 3);
    assert_int_equal(jp_segment_header_decode(&back, bytes, (size_t)size), size);
    assert_true(back.number == full.number && back.boot_ms == full.boot_ms && back.real_ms == full.real_ms);
    assert_memory_equal(back.spool_id, full.spool_id, sizeof full.spool_id);
    assert_string_equal(back.device, full.device);
    assert_string_equal(back.boot, full.boot);
    assert_string_equal(back.clock, full.clock);
    assert_string_equal(back.tool, full.tool);
    assert_int_equal(jp_segment_header_encode(&full, bytes, (size_t)size - 1), -EMSGSIZE);
}

static void a_header_cut_or_flipped_anywhere_is_refused(void **state)
{
    struct jp_segment_header back;
    uint8_t bytes[JP_HEADER_MAX];
    int size;

    (void)state;
    size = jp_segment_header_encode(&full, bytes, sizeof bytes);
    for (int cut = 0; cut < size; cut++)
        assert_int_equal(jp_segment_header_decode(&back, bytes, (size_t)cut), -EBADMSG);
    for (int bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(jp_segment_header_decode(&back, bytes, (size_t)size) < 0);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

// A header as a later version may write it: `format` and one key nobody knows yet.
static size_t later_header(uint8_t *bytes, size_t size, uint64_t format)
{
    struct jp_cbor_out out;
    uint8_t crc[5] = {0x1a};

    jp_cbor_out_init(&out, bytes, size);
    jp_cbor_put_tag(&out, 55799);
    jp_cbor_put_map(&out, 3);
    jp_cbor_put_text(&out, "format");
    jp_cbor_put_uint(&out, format);
    jp_cbor_put_text(&out, "colour");
    jp_cbor_put_array(&out, 1);
    jp_cbor_put_text(&out, "green");
    jp_cbor_put_text(&out, "crc");
    for (int i = 0; i < 4; i++)
        crc[1 + i] = (uint8_t)(jp_crc32c(0, bytes, out.used) >> (24 - 8 * i));
    jp_cbor_put_raw(&out, crc, sizeof crc);
    assert_false(out.failed);
    return out.used;
}

static void unknown_keys_are_passed_over_and_other_versions_refused(void **state)
{
    struct jp_segment_header back;
    uint8_t bytes[64];
    size_t size;

    (void)state;
    size = later_header(bytes, sizeof bytes, JP_FORMAT_VERSION);
    assert_int_equal(jp_segment_header_decode(&back, bytes, size), size);
    size = later_header(bytes, sizeof bytes, JP_FORMAT_VERSION + 1);
    assert_int_equal(jp_segment_header_decode(&back, bytes, size), -EPROTONOSUPPORT);
}

static void a_frame_is_whole_short_or_bad_and_never_wrong(void **state)
{
    uint8_t bytes[JP_FRAME_HEAD + 40];
    struct jp_frame frame;

    (void)state;
    for (int i = 0; i < 40; i++)
        bytes[JP_FRAME_HEAD + i] = (uint8_t)(i * 37);
    jp_frame_head(bytes, 0x01020304, 200, bytes + JP_FRAME_HEAD, 40);
    assert_int_equal(jp_frame_parse(&frame, bytes, sizeof bytes), JP_FOUND_WHOLE);
    assert_int_equal(frame.number, 0x01020304);
    assert_int_equal(frame.type, 200);
    assert_int_equal(frame.size, 40);
    assert_ptr_equal(frame.payload, bytes + JP_FRAME_HEAD);
    for (size_t cut = 0; cut < sizeof bytes; cut++)
        assert_int_equal(jp_frame_parse(&frame, bytes, cut), JP_FOUND_SHORT);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(jp_frame_parse(&frame, bytes, sizeof bytes), JP_FOUND_WHOLE);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(jp_frame_parse(&frame, bytes, sizeof bytes), JP_FOUND_BAD);
}

static void only_our_names_are_segments(void **state)
{
    static const char *const foreign[] = {"",
                                          "1.jps",
                                          "0000001.jps",
                                          "000000001.jps",
                                          "00000000.jps",
                                          "00000001.jps~",
                                          "00000001",
                                          "0000000a.jps",
                                          "cursor",
                                          "-0000001.jps",
                                          "1234567890123456789.jps",
                                          "999999999999999999.jps",
                                          "1000000000000.jps"};
    char path[JP_PATH_MAX], longest[JP_PATH_MAX];
    uint64_t number;

    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        assert_false(jp_segment_number(foreign[i], &number));
    assert_true(jp_segment_number("00000042.jps", &number));
    assert_int_equal(number, 42);
    assert_true(jp_segment_number("100000000.jps", &number));
    assert_int_equal(number, 100000000);
    assert_true(jp_segment_number("999999999999.jps", &number));
    assert_int_equal(number, JP_SEGMENT_NUMBER_MAX);
    assert_int_equal(jp_segment_path(path, "/run/x", JP_SEGMENT_NUMBER_MAX), 0);
    assert_int_equal(jp_segment_path(path, "/run/x", JP_SEGMENT_NUMBER_MAX + 1), -ERANGE);
    assert_int_equal(jp_segment_path(path, "/run/x", 7), 0);
    assert_string_equal(path, "/run/x/00000007.jps");
    memset(longest, 'd', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(jp_segment_path(path, longest, 7), -ENAMETOOLONG);
}

static void positions_are_ordered_by_segment_then_offset(void **state)
{
    (void)state;
    assert_true(jp_pos_compare((struct jp_pos){1, 900}, (struct jp_pos){2, 0}) < 0);
    assert_true(jp_pos_compare((struct jp_pos){2, 1}, (struct jp_pos){2, 0}) > 0);
    assert_true(jp_pos_compare((struct jp_pos){2, 1}, (struct jp_pos){2, 1}) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_header_fits_and_comes_back),
        cmocka_unit_test(a_header_cut_or_flipped_anywhere_is_refused),
        cmocka_unit_test(unknown_keys_are_passed_over_and_other_versions_refused),
        cmocka_unit_test(a_frame_is_whole_short_or_bad_and_never_wrong),
        cmocka_unit_test(only_our_names_are_segments),
        cmocka_unit_test(positions_are_ordered_by_segment_then_offset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
