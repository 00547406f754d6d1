// SPDX-License-Identifier: Apache-2.0
// The hot spool: nothing whole is lost, nothing is invented, whatever is cut, flipped or put beside it.
#define _GNU_SOURCE
#include "hot_rig.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static size_t slurp(uint64_t number, uint8_t *bytes, size_t size)
{
    int fd = open(hot_file(number), O_RDONLY);
    ssize_t n = read(fd, bytes, size);

    assert_true(n > 0);
    close(fd);
    return (size_t)n;
}

static void put_file(uint64_t number, const uint8_t *bytes, size_t size)
{
    int fd = open(hot_file(number), O_WRONLY | O_CREAT | O_TRUNC, 0640);

    assert_true(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

// Frames that end at or before `size` in the bytes of a segment.
static int whole_before(const uint8_t *bytes, size_t have, size_t size)
{
    struct jp_segment_header header;
    struct jp_frame frame;
    int at = jp_segment_header_decode(&header, bytes, have);
    int count = 0;

    assert_true(at > 0);
    while (jp_frame_parse(&frame, bytes + at, have - (size_t)at) == JP_FOUND_WHOLE) {
        at += JP_FRAME_HEAD + (int)frame.size;
        if ((size_t)at > size)
            break;
        count++;
    }
    return count;
}

static void a_cut_at_any_byte_loses_only_the_frame_it_hits(void **state)
{
    uint8_t bytes[4096];
    size_t have;

    (void)state;
    hot_write_some(0, 12);
    have = slurp(1, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= have; cut++) {
        struct tally tally;
        int expect;

        put_file(1, bytes, cut);
        expect = whole_before(bytes, have, cut);
        tally = hot_read_all();
        assert_int_equal(tally.damaged, 0);
        assert_int_equal(tally.frames + tally.seals, expect);
        // With a newer segment the same tail is damage, and what comes after it is read.
        hot_write_some(12, 14);
        tally = hot_read_all();
        assert_int_equal(tally.frames + tally.seals, expect + 3);
        assert_true(tally.damaged <= 1);
        assert_int_equal(unlink(hot_file(2)), 0);
    }
}

static void a_flipped_bit_costs_one_frame_and_invents_none(void **state)
{
    uint8_t bytes[4096];
    size_t have;
    int header;

    (void)state;
    hot_write_some(0, 8);
    have = slurp(1, bytes, sizeof bytes);
    header = jp_segment_header_decode(&(struct jp_segment_header){0}, bytes, have);
    hot_write_some(8, 9);
    for (size_t bit = 0; bit < have * 8; bit++) {
        struct tally tally;

        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        put_file(1, bytes, have);
        tally = hot_read_all();
        assert_int_equal(tally.damaged, 1);
        assert_int_equal(tally.frames + tally.seals, bit / 8 < (size_t)header ? 11 : 10);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void trailing_zeros_are_no_damage_and_rubbish_is_told_once(void **state)
{
    uint8_t bytes[200000] = {0};
    struct tally tally;
    size_t have;

    (void)state;
    hot_write_some(0, 5);
    have = slurp(1, bytes, 4096);
    put_file(1, bytes, sizeof bytes);
    hot_write_some(5, 10);
    tally = hot_read_all();
    assert_int_equal(tally.frames, 10);
    assert_int_equal(tally.damaged, 0);
    // Rubbish longer than any frame, made of beginnings of frames; a whole frame ends it.
    for (size_t i = have; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) "\x84\x1a\1\2\3\4\x1a\0\0\1\0\x18\x02\x59\x3f\xff"[(i - have) % 16];
    jp_frame_head(bytes + sizeof bytes - JP_FRAME_HEAD, 77, JP_FRAME_SEAL, NULL, 0);
    put_file(1, bytes, sizeof bytes);
    tally = hot_read_all();
    assert_int_equal(tally.frames, 10);
    assert_int_equal(tally.seals, 3);
    assert_int_equal(tally.damaged, 1);
    assert_int_equal(tally.bad_bytes, sizeof bytes - JP_FRAME_HEAD - have);
}

static void a_frame_across_the_edge_of_the_buffer_is_found(void **state)
{
    static uint8_t bytes[3 * (JP_FRAME_HEAD + JP_PAYLOAD_MAX)];
    size_t have, at;

    (void)state;
    hot_write_some(0, 1);
    have = slurp(1, bytes, 4096);
    hot_write_some(1, 2);
    for (size_t shift = 0; shift < 80; shift++) {
        struct tally tally;

        memset(bytes + have, 1, sizeof bytes - have);
        at = have + JP_FRAME_HEAD + JP_PAYLOAD_MAX - 60 + shift;
        jp_frame_head(bytes + at, 9, JP_FRAME_SEAL, bytes + at + JP_FRAME_HEAD, 40);
        put_file(1, bytes, at + JP_FRAME_HEAD + 40);
        tally = hot_read_all();
        assert_int_equal(tally.frames, 2);
        assert_int_equal(tally.seals, 3);
        assert_int_equal(tally.damaged, 1);
    }
}

static void a_copy_of_an_old_frame_in_a_damaged_payload_stays_dead(void **state)
{
    struct jp_hot_writer writer;
    uint8_t bytes[8192], old[512];
    size_t have, old_size;
    struct tally tally;

    (void)state;
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, hot_dir, 1 << 20, &hot_template), 0);
    hot_append(&writer, 0);
    hot_append(&writer, 1);
    have = slurp(1, bytes, sizeof bytes);
    old_size = JP_FRAME_HEAD + hot_make(old, 1);
    assert_int_equal(jp_hot_append(&writer, JP_FRAME_EVENT, bytes + have - old_size, old_size), 0);
    hot_append(&writer, 3);
    jp_hot_close(&writer);
    bytes[0] = 0;
    have = slurp(1, bytes, sizeof bytes);
    // The event's own CRC breaks.
    bytes[have - JP_FRAME_HEAD - (JP_FRAME_HEAD + hot_make(old, 3)) - old_size - JP_FRAME_HEAD + 2] ^= 1;
    put_file(1, bytes, have);
    hot_write_some(4, 5);
    tally = hot_read_all();
    assert_int_equal(tally.frames, 4);
    assert_int_equal(tally.damaged, 1);
}

static void foreign_things_in_the_folder_do_no_harm(void **state)
{
    struct jp_hot_reader reader;
    char path[JP_PATH_MAX];
    struct tally tally;
    int fd;

    (void)state;
    hot_write_some(0, 5);
    snprintf(path, sizeof path, "%s", hot_file(1));
    assert_int_equal(rename(path, hot_file(10)), 0);
    snprintf(path, sizeof path, "%s/cursor", hot_dir);
    put_file(20, (const uint8_t *)"x", 1);
    assert_int_equal(rename(hot_file(20), path), 0);
    assert_int_equal(symlink(path, hot_file(3)), 0);
    assert_int_equal(mkdir(hot_file(4), 0750), 0);
    assert_int_equal(mkfifo(hot_file(5), 0640), 0);
    put_file(6, (const uint8_t *)"", 0);
    fd = open(hot_file(7), O_WRONLY | O_CREAT, 0640);
    assert_int_equal(ftruncate(fd, 300000), 0);
    close(fd);
    hot_write_some(5, 10);
    tally = hot_read_all();
    assert_int_equal(tally.frames, 10);
    assert_int_equal(tally.damaged, 0);
    // A cursor above everything, or inside a frame, finds its way.
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, hot_dir, (struct jp_pos){500, 12}), 0);
    assert_int_equal(hot_drain(&reader).frames, 10);
    jp_hot_reader_close(&reader);
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, hot_dir, (struct jp_pos){10, 3}), 0);
    assert_int_equal(hot_drain(&reader).frames, 10);
    jp_hot_reader_close(&reader);
    assert_true(jp_hot_release(&jp_fs_real, hot_dir, (struct jp_pos){500, 0}) >= 4);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(hot_file(11), F_OK), 0);
    rmdir(hot_file(4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_cut_at_any_byte_loses_only_the_frame_it_hits, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_flipped_bit_costs_one_frame_and_invents_none, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(trailing_zeros_are_no_damage_and_rubbish_is_told_once, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_copy_of_an_old_frame_in_a_damaged_payload_stays_dead, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(foreign_things_in_the_folder_do_no_harm, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_frame_across_the_edge_of_the_buffer_is_found, hot_fresh, hot_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
