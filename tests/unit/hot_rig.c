// SPDX-License-Identifier: Apache-2.0
// Helpers of the hot spool's tests: a folder on tmpfs, frames that can be told apart, a judge of what is read.
#define _GNU_SOURCE
#include "hot_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

char hot_dir[64];
const struct jp_segment_header hot_template = {
    .spool_id = {1, 2, 3},
    .device = "bench",
    .boot = "11111111-2222-4333-8444-555555555555",
    .boot_ms = 1000,
    .real_ms = 1700000000000,
    .clock = "synced",
    .tool = "test",
};

int hot_clean(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", hot_dir);
    return hot_dir[0] ? system(command) : 0;
}

int hot_fresh(void **state)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)state;
    snprintf(hot_dir, sizeof hot_dir, "%s/jp_hot_XXXXXX", base);
    return mkdtemp(hot_dir) ? 0 : -1;
}

const char *hot_file(uint64_t number)
{
    static char path[JP_PATH_MAX];

    assert_int_equal(jp_segment_path(path, hot_dir, number), 0);
    return path;
}

// Frame i: its number, then bytes that depend on it and look like frame heads now and then.
size_t hot_make(uint8_t *payload, uint32_t i)
{
    size_t size = 4 + i * 7 % 300;

    memcpy(payload, &i, 4);
    for (size_t k = 4; k < size; k++)
        payload[k] = k % 5 == 0 ? 0x84 : k % 5 == 1 ? 0x1a : (uint8_t)(i + k);
    return size;
}

uint32_t hot_number_of(const struct jp_frame *frame)
{
    uint8_t expected[512];
    uint32_t i;

    assert_true(frame->size >= 4);
    memcpy(&i, frame->payload, 4);
    assert_int_equal(frame->size, hot_make(expected, i));
    assert_memory_equal(frame->payload, expected, frame->size);
    return i;
}

void hot_append(struct jp_hot_writer *writer, uint32_t i)
{
    uint8_t payload[512];

    assert_int_equal(jp_hot_append(writer, JP_FRAME_WINDOW, payload, hot_make(payload, i)), 0);
}

// Reads to the end; every frame must be genuine and later than the one before.
struct tally hot_drain(struct jp_hot_reader *reader)
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
            uint32_t i = hot_number_of(&frame);

            assert_true(tally.frames == 0 || i > tally.last);
            tally.last = i;
            tally.frames++;
        }
    }
    return tally;
}

struct tally hot_read_all(void)
{
    struct jp_hot_reader reader;
    struct tally tally;

    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, hot_dir, (struct jp_pos){0}), 0);
    tally = hot_drain(&reader);
    jp_hot_reader_close(&reader);
    return tally;
}

void hot_write_some(uint32_t from, uint32_t to)
{
    struct jp_hot_writer writer;

    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, hot_dir, 1 << 20, &hot_template), 0);
    for (uint32_t i = from; i < to; i++)
        hot_append(&writer, i);
    jp_hot_close(&writer);
}
