// SPDX-License-Identifier: Apache-2.0
// CRC-32C, CBOR in and out, the jitter generator, UTF-8.
#define _GNU_SOURCE
#include "cbor.h"
#include "crc32c.h"
#include "entropy.h"
#include "fs.h"
#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void crc32c_has_the_published_check_value(void **state)
{
    (void)state;
    assert_int_equal(jp_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(jp_crc32c(jp_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
    assert_int_equal(jp_crc32c(0, "", 0), 0);
}

static void crc32c_of_a_whole_is_that_of_its_pieces(void **state)
{
    uint8_t bytes[4099];
    uint32_t crc = 0;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i >> 3);
    for (size_t at = 0; at < sizeof bytes; at++)
        crc = jp_crc32c(crc, bytes + at, 1);
    assert_int_equal(jp_crc32c(0, bytes, sizeof bytes), crc);
}

static void cbor_round_trip(void **state)
{
    uint8_t bytes[128];
    struct jp_cbor_out out;
    struct jp_cbor_in in;
    char text[8];
    size_t size;

    (void)state;
    jp_cbor_out_init(&out, bytes, sizeof bytes);
    jp_cbor_put_array(&out, 8);
    jp_cbor_put_uint(&out, UINT64_MAX);
    jp_cbor_put_int(&out, INT64_MIN);
    jp_cbor_put_int(&out, -1);
    jp_cbor_put_text(&out, "rail");
    jp_cbor_put_bytes(&out, "\0\1", 2);
    jp_cbor_put_bool(&out, true);
    jp_cbor_put_null(&out);
    jp_cbor_put_double(&out, 0.25);
    assert_false(out.failed);

    jp_cbor_in_init(&in, bytes, out.used);
    assert_int_equal(jp_cbor_get_array(&in), 8);
    assert_true(jp_cbor_get_uint(&in) == UINT64_MAX);
    assert_true(jp_cbor_get_int(&in) == INT64_MIN);
    assert_true(jp_cbor_get_int(&in) == -1);
    jp_cbor_copy_text(&in, text, sizeof text);
    assert_string_equal(text, "rail");
    assert_memory_equal(jp_cbor_get_bytes(&in, &size), "\0\1", 2);
    assert_true(jp_cbor_get_bool(&in));
    assert_true(jp_cbor_get_null(&in));
    assert_true(jp_cbor_get_double(&in) == 0.25);
    assert_false(in.failed);
    assert_int_equal(in.at, out.used);
}

static void cbor_writer_never_passes_its_buffer(void **state)
{
    uint8_t bytes[16];
    struct jp_cbor_out out;

    (void)state;
    for (size_t size = 0; size < 12; size++) {
        memset(bytes, 0xaa, sizeof bytes);
        jp_cbor_out_init(&out, bytes, size);
        jp_cbor_put_array(&out, 2);
        jp_cbor_put_text(&out, "joules");
        jp_cbor_put_uint(&out, 70000);
        assert_true(out.failed == (size < 13));
        for (size_t i = size; i < sizeof bytes; i++)
            assert_int_equal(bytes[i], 0xaa);
    }
}

static void cbor_reader_refuses_what_is_cut_or_of_another_type(void **state)
{
    static const uint8_t huge_array[] = {0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t long_text[] = {0x7a, 0x00, 0x10, 0x00, 0x00, 'a'};
    static const uint8_t text[] = {0x62, 'a', 'b'};
    struct jp_cbor_in in;

    (void)state;
    jp_cbor_in_init(&in, huge_array, sizeof huge_array);
    assert_int_equal(jp_cbor_get_array(&in), 0);
    assert_true(in.failed);
    jp_cbor_in_init(&in, long_text, sizeof long_text);
    jp_cbor_skip(&in);
    assert_true(in.failed);
    jp_cbor_in_init(&in, text, sizeof text);
    assert_int_equal(jp_cbor_get_uint(&in), 0);
    assert_true(in.failed);
    jp_cbor_in_init(&in, text, 2);
    jp_cbor_skip(&in);
    assert_true(in.failed);
}

static void cbor_skip_is_bounded_in_depth(void **state)
{
    uint8_t deep[64];
    struct jp_cbor_in in;

    (void)state;
    memset(deep, 0x81, sizeof deep);
    deep[63] = 0x00;
    jp_cbor_in_init(&in, deep, sizeof deep);
    jp_cbor_skip(&in);
    assert_true(in.failed);
    jp_cbor_in_init(&in, deep + 56, 8);
    jp_cbor_skip(&in);
    assert_false(in.failed);
    assert_int_equal(in.at, 8);
}

static void jitter_stays_below_and_moves(void **state)
{
    struct jp_jitter jitter;
    uint64_t seen = 0;

    (void)state;
    jp_jitter_seed(&jitter, 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t value = jp_jitter_next(&jitter, 64);

        assert_true(value < 64);
        seen |= 1ULL << value;
    }
    assert_true(seen == UINT64_MAX);
}

static void folders_are_made_with_their_modes_whatever_the_umask(void **state)
{
    char dir[] = "/tmp/jp-base-XXXXXX", path[64];
    mode_t mask = umask(0077);
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a/b", dir);
    assert_int_equal(jp_fs_make_dirs(&jp_fs_real, path, 02770), 1);
    umask(mask);
    assert_int_equal(jp_fs_make_dirs(&jp_fs_real, path, 0700), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770);
    assert_int_equal(rmdir(path), 0);
    path[strlen(path) - 2] = '\0';
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_true(jp_fs_make_dirs(&jp_fs_real, "/dev/null/x", 0700) < 0);
}

static void utf8_takes_what_the_rfc_takes(void **state)
{
    static const struct {
        const char *text;
        size_t length;
    } cases[] = {
        {"", 0},
        {"a", 1},
        {"\x7f", 1},
        {"\xc3\xa4", 2},
        {"\xe2\x96\x88", 3},
        {"\xef\xbf\xbd", 3},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0},
        {"\xc1\xbf", 0},
        {"\xc3", 0},
        {"\xc3"
         "a",
         0},
        {"\xe2\x96", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xed\xa0\x80", 0},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(jp_utf8_length(cases[i].text), cases[i].length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_has_the_published_check_value),
        cmocka_unit_test(crc32c_of_a_whole_is_that_of_its_pieces),
        cmocka_unit_test(cbor_round_trip),
        cmocka_unit_test(cbor_writer_never_passes_its_buffer),
        cmocka_unit_test(cbor_reader_refuses_what_is_cut_or_of_another_type),
        cmocka_unit_test(cbor_skip_is_bounded_in_depth),
        cmocka_unit_test(jitter_stays_below_and_moves),
        cmocka_unit_test(utf8_takes_what_the_rfc_takes),
        cmocka_unit_test(folders_are_made_with_their_modes_whatever_the_umask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
