// SPDX-License-Identifier: Apache-2.0
// The hot spool: nothing whole is lost, nothing is invented, whatever is cut, flipped, killed or put beside it.
#define _GNU_SOURCE
#include "hot.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static const struct jp_segment_header template = {
    .spool_id = {1, 2, 3},
    .device = "bench",
    .boot = "11111111-2222-4333-8444-555555555555",
    .boot_ms = 1000,
    .real_ms = 1700000000000,
    .clock = "synced",
    .tool = "test",
};

static int clean(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return dir[0] ? system(command) : 0;
}

static int fresh(void **state)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)state;
    snprintf(dir, sizeof dir, "%s/jp_hot_XXXXXX", base);
    return mkdtemp(dir) ? 0 : -1;
}

static const char *file(uint64_t number)
{
    static char path[JP_PATH_MAX];

    assert_int_equal(jp_segment_path(path, dir, number), 0);
    return path;
}

// Frame i: its number, then bytes that depend on it and look like frame heads now and then.
static size_t make(uint8_t *payload, uint32_t i)
{
    size_t size = 4 + i * 7 % 300;

    memcpy(payload, &i, 4);
    for (size_t k = 4; k < size; k++)
        payload[k] = k % 5 == 0 ? 0x84 : k % 5 == 1 ? 0x1a : (uint8_t)(i + k);
    return size;
}

static uint32_t number_of(const struct jp_frame *frame)
{
    uint8_t expected[512];
    uint32_t i;

    assert_true(frame->size >= 4);
    memcpy(&i, frame->payload, 4);
    assert_int_equal(frame->size, make(expected, i));
    assert_memory_equal(frame->payload, expected, frame->size);
    return i;
}

static void append(struct jp_hot_writer *writer, uint32_t i)
{
    uint8_t payload[512];

    assert_int_equal(jp_hot_append(writer, JP_FRAME_WINDOW, payload, make(payload, i)), 0);
}

struct tally {
    int frames, damaged, seals;
    uint32_t last;
    int64_t bad_bytes;
};

// Reads to the end; every frame must be genuine and later than the one before.
static struct tally drain(struct jp_hot_reader *reader)
{
    struct tally tally = {0};
    struct jp_frame frame;
    int rc;

    while ((rc = jp_hot_reader_next(reader, &frame)) != JP_HOT_NOT_YET) {
        assert_true(rc >= 0);
        if (rc == JP_HOT_DAMAGED) {
            assert_true(jp_pos_compare(frame.at, frame.next) < 0);
            tally.damaged++;
            tally.bad_bytes += frame.next.offset - frame.at.offset;
        } else if (frame.type == JP_FRAME_SEAL) {
            tally.seals++;
        } else {
            uint32_t i = number_of(&frame);

            assert_true(tally.frames == 0 || i > tally.last);
            tally.last = i;
            tally.frames++;
        }
    }
    return tally;
}

static struct tally read_all(void)
{
    struct jp_hot_reader reader;
    struct tally tally;

    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){0}), 0);
    tally = drain(&reader);
    jp_hot_reader_close(&reader);
    return tally;
}

static void write_some(uint32_t from, uint32_t to)
{
    struct jp_hot_writer writer;

    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, dir, 1 << 20, &template), 0);
    for (uint32_t i = from; i < to; i++)
        append(&writer, i);
    jp_hot_close(&writer);
}

static void what_is_appended_is_read_while_it_grows(void **state)
{
    struct jp_hot_writer writer;
    struct jp_hot_reader reader;
    struct jp_frame frame;
    uint32_t expect = 0;

    (void)state;
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){0}), 0);
    assert_int_equal(jp_hot_reader_next(&reader, &frame), JP_HOT_NOT_YET);
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, dir, 1 << 20, &template), 0);
    assert_int_equal(jp_hot_reader_next(&reader, &frame), JP_HOT_NOT_YET);
    for (uint32_t i = 0; i < 3000; i++) {
        append(&writer, i);
        if (i % 30 == 29)
            assert_int_equal(jp_hot_border(&writer, i, i), 0);
        if (i % 7 != 0)
            continue;
        while (jp_hot_reader_next(&reader, &frame) == JP_HOT_FRAME) {
            assert_string_equal(reader.header.device, "bench");
            if (frame.type == JP_FRAME_WINDOW)
                assert_int_equal(number_of(&frame), expect++);
        }
        assert_int_equal(expect, i + 1);
        assert_true(jp_hot_release(&jp_fs_real, dir, reader.at) >= 0);
    }
    assert_true(writer.header.number > 5);
    assert_true(jp_hot_bytes(&jp_fs_real, dir) < 200000);
    jp_hot_close(&writer);
    jp_hot_reader_close(&reader);
}

static void every_start_begins_a_new_segment_above_all(void **state)
{
    struct tally tally;

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        write_some(i * 10, i * 10 + 10);
        assert_int_equal(access(file(i + 1), F_OK), 0);
    }
    tally = read_all();
    assert_int_equal(tally.frames, 40);
    assert_int_equal(tally.seals, 4);
    assert_int_equal(tally.damaged, 0);
    assert_int_equal(jp_hot_release(&jp_fs_real, dir, (struct jp_pos){99, 0}), 3);
    assert_int_equal(access(file(4), F_OK), 0);
}

static void a_full_spool_says_so_and_goes_on_after_release(void **state)
{
    struct jp_hot_writer writer;
    uint8_t payload[512] = {0};
    int rc = 0, written = 0;

    (void)state;
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, dir, 65536, &template), 0);
    while (rc == 0) {
        rc = jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload);
        written += rc == 0;
        assert_true(jp_hot_bytes(&jp_fs_real, dir) <= 65536);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_true(written > 65536 / 528 * 9 / 10);
    // No border ever came, and yet all but the newest can go.
    assert_true(jp_hot_release(&jp_fs_real, dir, (struct jp_pos){99, 0}) >= 3);
    assert_int_equal(jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload), 0);
    jp_hot_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_appended_is_read_while_it_grows, fresh, clean),
        cmocka_unit_test_setup_teardown(every_start_begins_a_new_segment_above_all, fresh, clean),
        cmocka_unit_test_setup_teardown(a_full_spool_says_so_and_goes_on_after_release, fresh, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
