// SPDX-License-Identifier: Apache-2.0
// The walk through a spool: every whole frame once and in order, all that is wrong named, nothing written.
#define _GNU_SOURCE
#include "hot_rig.h"
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
    int frames, segments, flaws;
    enum jp_flaw_kind first, last;
    int64_t lost;
};

// Every frame must be genuine and later than the one before.
static struct seen look(void)
{
    struct jp_walk walk;
    struct jp_frame frame;
    struct seen seen = {0};
    enum jp_walk_next next;
    int64_t newest = -1;

    assert_int_equal(jp_walk_open(&walk, &jp_fs_real, hot_dir), 0);
    while ((next = jp_walk_next(&walk, &frame)) != JP_WALK_END) {
        seen.segments += next == JP_WALK_SEGMENT;
        if (next == JP_WALK_FRAME && frame.type != JP_FRAME_SEAL) {
            int64_t i = hot_number_of(&frame);

            assert_true(i > newest);
            newest = i;
            seen.frames++;
        }
        if (next == JP_WALK_FLAW) {
            seen.last = walk.flaw.kind;
            seen.first = seen.flaws++ ? seen.first : walk.flaw.kind;
            seen.lost += walk.flaw.frames > 0 ? walk.flaw.frames : 0;
        }
    }
    jp_walk_close(&walk);
    return seen;
}

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

// The ends of the header and of each frame.
static int borders(const uint8_t *bytes, size_t have, size_t *ends)
{
    struct jp_segment_header header;
    struct jp_frame frame;
    int at = jp_segment_header_decode(&header, bytes, have), count = 0;

    assert_true(at > 0);
    ends[count++] = (size_t)at;
    while (jp_frame_parse(&frame, bytes + at, have - (size_t)at) == JP_FOUND_WHOLE) {
        at += JP_FRAME_HEAD + (int)frame.size;
        ends[count++] = (size_t)at;
    }
    return count;
}

static void a_whole_spool_has_no_flaw(void **state)
{
    struct seen seen;

    (void)state;
    hot_write_some(0, 20);
    hot_write_some(20, 40);
    seen = look();
    assert_int_equal(seen.frames, 40);
    assert_int_equal(seen.segments, 2);
    assert_int_equal(seen.flaws, 0);
}

static void a_cut_at_any_byte_is_a_torn_tail_or_a_border(void **state)
{
    uint8_t bytes[4096];
    size_t have, ends[32];
    int count;

    (void)state;
    hot_write_some(0, 12);
    have = slurp(1, bytes, sizeof bytes);
    count = borders(bytes, have, ends);
    for (int newest = 0; newest < 2; newest++) {
        if (newest == 0)
            hot_write_some(12, 13);
        else
            assert_int_equal(unlink(hot_file(2)), 0);
        for (size_t cut = 1; cut < have; cut++) {
            struct seen seen;
            int whole = 0;

            put_file(1, bytes, cut);
            while (whole < count && ends[whole] <= cut)
                whole++;
            seen = look();
            assert_int_equal(seen.frames, (whole > 0 ? whole - 1 : 0) + (newest == 0));
            assert_int_equal(seen.flaws, whole == 0 || ends[whole - 1] != cut);
            if (seen.flaws)
                assert_int_equal(seen.first, whole == 0 ? JP_FLAW_HEADER : JP_FLAW_TORN);
        }
        put_file(1, bytes, have);
    }
}

static void a_flipped_bit_anywhere_is_told_once_and_costs_one_frame(void **state)
{
    uint8_t bytes[4096];
    size_t have, ends[32];

    (void)state;
    hot_write_some(0, 12);
    have = slurp(1, bytes, sizeof bytes);
    borders(bytes, have, ends);
    for (size_t bit = 0; bit < have * 8; bit += 5) {
        struct seen seen;

        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        put_file(1, bytes, have);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        seen = look();
        assert_int_equal(seen.flaws, 1);
        assert_true(seen.frames >= 11);
        if (bit / 8 < ends[0]) {
            assert_true(seen.first == JP_FLAW_HEADER || seen.first == JP_FLAW_VERSION);
            assert_int_equal(seen.frames, 12);
        }
    }
}

// A file filled with zeros before use: a write that stopped leaves zeros behind it.
static void zeros_behind_the_data_are_its_end(void **state)
{
    uint8_t bytes[8192] = {0};
    size_t have, ends[32];
    int count;

    (void)state;
    hot_write_some(0, 12);
    have = slurp(1, bytes, 4096);
    count = borders(bytes, have, ends);
    put_file(1, bytes, sizeof bytes);
    assert_int_equal(look().flaws, 0);
    memset(bytes + ends[count - 2], 0, sizeof bytes - ends[count - 2]); // without SEAL
    put_file(1, bytes, sizeof bytes);
    assert_int_equal(look().flaws, 0);
    memset(bytes + ends[count - 3] + 9, 0, sizeof bytes - ends[count - 3] - 9); // within a head
    put_file(1, bytes, sizeof bytes);
    assert_int_equal(look().first, JP_FLAW_TORN);
    bytes[6000] = 1;
    put_file(1, bytes, sizeof bytes);
    assert_int_equal(look().first, JP_FLAW_DAMAGED);
}

static void frames_cut_out_are_counted(void **state)
{
    uint8_t bytes[4096];
    size_t have, ends[32];
    struct seen seen;

    (void)state;
    hot_write_some(0, 12);
    have = slurp(1, bytes, sizeof bytes);
    borders(bytes, have, ends);
    memmove(bytes + ends[3], bytes + ends[5], have - ends[5]);
    put_file(1, bytes, have - (ends[5] - ends[3]));
    seen = look();
    assert_int_equal(seen.frames, 10);
    assert_int_equal(seen.flaws, 1);
    assert_int_equal(seen.first, JP_FLAW_MISSING);
    assert_int_equal(seen.lost, 2);
}

static void what_is_none_of_ours_is_named_and_not_followed(void **state)
{
    struct seen seen;

    (void)state;
    hot_write_some(0, 3);
    assert_int_equal(symlink("00000001.jps", hot_file(2)) + mkdir(hot_file(4), 0700) + mkfifo(hot_file(5), 0600), 0);
    close(open(hot_file(6), O_CREAT | O_WRONLY, 0600));
    close(open(hot_file(7), O_CREAT | O_WRONLY, 0600));
    seen = look();
    assert_int_equal(seen.frames, 3);
    assert_int_equal(seen.flaws, 5);
    assert_int_equal(seen.first, JP_FLAW_FOREIGN);
    assert_int_equal(seen.last, JP_FLAW_FRESH);
    assert_int_equal(rmdir(hot_file(4)), 0);
}

static void segments_that_vanish_are_told_as_gone(void **state)
{
    struct jp_walk walk;
    struct jp_frame frame;
    enum jp_walk_next next;
    int gone = 0, frames = 0;

    (void)state;
    hot_write_some(0, 5);
    hot_write_some(5, 10);
    hot_write_some(10, 15);
    assert_int_equal(jp_walk_open(&walk, &jp_fs_real, hot_dir), 0);
    assert_int_equal(jp_walk_next(&walk, &frame), JP_WALK_SEGMENT);
    assert_int_equal(unlink(hot_file(1)) + unlink(hot_file(2)), 0); // the open one stays readable
    while ((next = jp_walk_next(&walk, &frame)) != JP_WALK_END) {
        frames += next == JP_WALK_FRAME && frame.type != JP_FRAME_SEAL;
        gone += next == JP_WALK_FLAW && walk.flaw.kind == JP_FLAW_GONE;
    }
    jp_walk_close(&walk);
    assert_int_equal(frames, 10);
    assert_int_equal(gone, 1);
    assert_false(jp_flaw_is_damage(JP_FLAW_GONE));
}

// Heads of frames that never hold cost a CRC each: enough of them and the rest of the segment is given up.
static void crafted_heads_do_not_cost_for_ever(void **state)
{
    static uint8_t bytes[1 << 20];
    static const uint8_t head[] = {0x84, 0x1a, 1, 2, 3, 4, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x18, 2, 0x59, 0xbf, 0xff};
    struct seen seen;

    (void)state;
    hot_write_some(0, 3);
    for (size_t i = 0; i < sizeof bytes; i += sizeof head)
        memcpy(bytes + i, head, sizeof head);
    put_file(2, bytes, sizeof bytes);
    seen = look();
    assert_int_equal(seen.frames, 3);
    assert_int_equal(seen.flaws, 1);
    assert_int_equal(seen.first, JP_FLAW_HEADER);
}

static void a_folder_that_is_none_is_an_error(void **state)
{
    struct jp_walk walk;

    (void)state;
    assert_int_equal(jp_walk_open(&walk, &jp_fs_real, "/nowhere/at/all"), -ENOENT);
    hot_write_some(0, 1);
    assert_int_equal(jp_walk_open(&walk, &jp_fs_real, hot_file(1)), -ENOTDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_spool_has_no_flaw, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_cut_at_any_byte_is_a_torn_tail_or_a_border, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_flipped_bit_anywhere_is_told_once_and_costs_one_frame, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(zeros_behind_the_data_are_its_end, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(frames_cut_out_are_counted, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(what_is_none_of_ours_is_named_and_not_followed, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(segments_that_vanish_are_told_as_gone, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(crafted_heads_do_not_cost_for_ever, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_folder_that_is_none_is_an_error, hot_fresh, hot_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
