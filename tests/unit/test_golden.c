// SPDX-License-Identifier: Apache-2.0
// The durable spool of format version 1 in tests/golden/v1 opens for ever. `test_golden write DIR` made it: two runs
// of two rails, the first half delivered, a gap, an event, and a power cut in the middle of the second segment.
#include "block.h"
#include "made_load.h"
#include "run.h"
#include "spool.h"
#include "window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN TESTS_DIR "/golden/v1"
#define RUN_ID 0x0123456789abcdefULL
#define BLOCKS 20 // of 30 windows in each of the two runs
#define DELIVERED 8

static struct jp_run run = {
    .boot = "11111111-2222-4333-8444-555555555555",
    .device = "bench",
    .window_ms = 1000,
    .block_windows = 30,
    .interval_ms = 200,
    .channel_count = 2,
    .channels = {{.name = "CPU", .in_total = true, .scale = 1}, {.name = "GPU", .in_total = true, .scale = 1}},
    .total_known = true,
};
static const struct made_prev *prev; // NULL before the first run
static uint64_t run_no, stored;      // windows
static uint8_t payload[JP_PAYLOAD_MAX];

// mJ of a window; GPU is unknown in each seventh.
static int64_t mj_of(uint64_t seq, int channel)
{
    return (int64_t)(channel == 0 ? 2000 + seq * 37 % 401 : 300 + seq * 11 % 97);
}

static bool is_known(uint64_t seq, int channel)
{
    return channel == 0 || seq % 7 != 3;
}

static void preface(void *context, struct jp_spool *spool)
{
    static const struct jp_anchor anchor = {5000, 1700000000000, 1, 12};
    int size = (int)made_durable_run(&run, run_no, prev, stored, payload, sizeof payload);

    (void)context;
    assert_int_equal(jp_spool_append(spool, JP_FRAME_RUN, payload, (size_t)size), 0);
    size = jp_anchor_encode(&anchor, payload, sizeof payload);
    assert_int_equal(jp_spool_append(spool, JP_FRAME_ANCHOR, payload, (size_t)size), 0);
}

static void append_block(struct jp_spool *spool, const struct jp_spool_now *now, int index, int64_t run_mj[2])
{
    struct jp_block block;
    int size;

    assert_int_equal(jp_block_begin(&block, &run, 0), 0);
    for (uint64_t seq = (uint64_t)index * 30; seq < (uint64_t)(index + 1) * 30; seq++) {
        struct jp_window window = {.run = run.id, .seq = seq, .span_ms = 1000, .channel_count = 2};

        window.t0_ms = 6000 + (int64_t)seq * 1000;
        for (int c = 0; c < 2; c++) {
            bool known = is_known(seq, c);

            run_mj[c] += known ? mj_of(seq, c) : 0;
            window.channels[c] = (struct jp_window_channel){
                .known = known,
                .mj = mj_of(seq, c),
                .run_mj = run_mj[c],
                .covered_ms = known ? 1000 : 0,
                .cause = known ? JP_CAUSE_NONE : JP_CAUSE_READ_ERROR,
                .raw_uj = -1,
                .mv = INT32_MIN,
                .ma = INT32_MIN,
                .peak_mw = INT64_MIN,
            };
        }
        assert_int_equal(jp_block_add(&block, &window), 0);
    }
    size = jp_block_encode(&block, payload, sizeof payload);
    jp_block_end(&block);
    assert_true(size > 0);
    assert_int_equal(jp_spool_append(spool, JP_FRAME_BLOCK, payload, (size_t)size), 0);
    assert_int_equal(jp_spool_commit(spool, now), 0);
    stored += 30;
}

static void append_rest(struct jp_spool *spool, const struct jp_spool_now *now)
{
    static const struct jp_gap gap = {
        .run = RUN_ID + 1,
        .first_seq = 600,
        .last_seq = 609,
        .windows = 10,
        .t0_ms = 606000,
        .span_ms = 10000,
        .reason = "hot_full",
        .mj = {21000, 0},
        .known = {true, false},
        .channel_count = 2,
        .named = true,
        .names = {"CPU", "GPU"},
        .total_known = true,
        .in_total = {true, true},
    };
    static const struct jp_event event = {RUN_ID + 1, 616000, "task", "", "{\"name\":\"train\"}"};
    int size = jp_gap_encode(&gap, payload, sizeof payload);

    assert_int_equal(jp_spool_append(spool, JP_FRAME_GAP, payload, (size_t)size), 0);
    size = jp_event_encode(&event, payload, sizeof payload);
    assert_int_equal(jp_spool_append(spool, JP_FRAME_EVENT, payload, (size_t)size), 0);
    assert_int_equal(jp_spool_commit(spool, now), 0);
}

static void write_run(const char *dir, uint64_t id, bool last)
{
    struct jp_spool_now now = {5000, 1700000005000, true};
    struct jp_spool_config config = {
        .fs = &jp_fs_real,
        .dir = dir,
        .max_bytes = 1 << 20,
        .segment_bytes = 4096,
        .header = {.spool_id = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                   .device = "bench",
                   .tool = "0.1.0"},
        .calls = {.preface = preface},
    };
    static struct jp_spool spool;
    struct jp_frame frame;
    int64_t run_mj[2] = {0, 0};
    int delivered = 0;

    run.id = id;
    memcpy(config.header.boot, run.boot, sizeof run.boot);
    assert_int_equal(jp_spool_open(&spool, &config, &now), 0);
    for (int i = 0; i < BLOCKS; i++)
        append_block(&spool, &now, i, run_mj);
    while (!last && delivered < DELIVERED && jp_spool_next(&spool, &frame) == JP_SPOOL_FRAME) {
        if (frame.type == JP_FRAME_BLOCK) {
            jp_spool_release(&spool, frame.next);
            delivered++;
        }
    }
    if (last) {
        append_rest(&spool, &now);
        jp_fs_pwrite_all(&jp_fs_real, spool.fd, "\x84\x1a\x01\x02\x03", 5, spool.offset); // cut here
        return;                                                                           // as a process that is killed
    }
    jp_spool_close(&spool, &now);
}

static void check_block(const struct jp_frame *frame, uint64_t *next_seq)
{
    struct jp_block_reader block;
    struct jp_window window;

    assert_int_equal(jp_block_read(&block, frame->payload, frame->size), 0);
    while (jp_block_next(&block, &window) == 1) {
        assert_int_equal(window.seq, (*next_seq)++);
        for (int c = 0; c < 2; c++) {
            assert_int_equal(window.channels[c].known, is_known(window.seq, c));
            if (window.channels[c].known)
                assert_int_equal(window.channels[c].mj, mj_of(window.seq, c));
        }
    }
}

static void every_frame_of_version_1_is_read(void **state)
{
    struct jp_spool_reader reader;
    struct jp_frame frame;
    struct jp_gap gap;
    struct jp_event event;
    struct jp_run read;
    uint64_t next_seq = DELIVERED * 30, runs = 0, torn = 0, gaps = 0, events = 0;
    struct jp_pos cursor;
    uint8_t id[16];
    int rc;

    (void)state;
    assert_int_equal(jp_spool_read_cursor(&jp_fs_real, GOLDEN, &cursor, id), 0);
    assert_int_equal(id[15], 15);
    assert_int_equal(jp_spool_reader_open(&reader, &jp_fs_real, GOLDEN, cursor), 0);
    while ((rc = jp_spool_reader_next(&reader, &frame)) != JP_SPOOL_END) {
        torn += rc == JP_SPOOL_TORN;
        if (rc == JP_SPOOL_TORN)
            continue;
        assert_int_equal(rc, JP_SPOOL_FRAME);
        assert_string_equal(reader.file.header.device, "bench");
        if (frame.type == JP_FRAME_RUN) {
            assert_int_equal(jp_run_decode(&read, frame.payload, frame.size), 0);
            if (runs == 0 || read.id != RUN_ID + runs - 1) {
                assert_int_equal(read.id, RUN_ID + runs++);
                next_seq = runs == 1 ? next_seq : 0;
            }
        } else if (frame.type == JP_FRAME_BLOCK) {
            check_block(&frame, &next_seq);
        } else if (frame.type == JP_FRAME_GAP) {
            assert_int_equal(jp_gap_decode(&gap, frame.payload, frame.size), 0);
            assert_int_equal(gap.windows, 10);
            assert_string_equal(gap.reason, "hot_full");
            assert_int_equal(gap.mj[0], 21000);
            gaps++;
        } else if (frame.type == JP_FRAME_EVENT) {
            assert_int_equal(jp_event_decode(&event, frame.payload, frame.size), 0);
            assert_string_equal(event.detail, "{\"name\":\"train\"}");
            events++;
        }
    }
    jp_spool_reader_close(&reader);
    assert_int_equal(runs, 2);
    assert_int_equal(next_seq, BLOCKS * 30);
    assert_int_equal(gaps, 1);
    assert_int_equal(events, 1);
    assert_int_equal(torn, 1);
}

int main(int argc, char **argv)
{
    static const struct made_prev first = {RUN_ID, BLOCKS * 30 - 1, true};
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_frame_of_version_1_is_read)};

    if (argc == 3 && strcmp(argv[1], "write") == 0) {
        run_no = 1;
        write_run(argv[2], RUN_ID, false);
        run_no = 2;
        prev = &first;
        write_run(argv[2], RUN_ID + 1, true);
        return 0;
    }
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
