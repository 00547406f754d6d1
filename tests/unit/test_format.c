// SPDX-License-Identifier: Apache-2.0
// docs/format.md: the bytes it shows are the bytes this code writes. `test_format print` prints them as hex.
#include "block.h"
#include "run.h"
#include "segment.h"
#include "window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RUN_ID 0x0123456789abcdefULL
#define ZEROS 4

static uint8_t example[4096];
static size_t used;
static uint32_t frames;

static void add(uint8_t type, const void *payload, int size)
{
    assert_true(size >= 0 && used + JP_FRAME_HEAD + (size_t)size <= sizeof example);
    if (size > 0)
        memcpy(example + used + JP_FRAME_HEAD, payload, (size_t)size);
    jp_frame_head(example + used, frames++, type, example + used + JP_FRAME_HEAD, (size_t)size);
    used += JP_FRAME_HEAD + (size_t)size;
}

static void add_header(void)
{
    static const struct jp_segment_header header = {
        .version = JP_FORMAT_VERSION,
        .spool_id = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        .number = 1,
        .device = "bench",
        .boot = "11111111-2222-4333-8444-555555555555",
        .boot_ms = 5000,
        .real_ms = 1700000005000,
        .clock = "synced",
        .tool = "0.1.0",
    };
    int size = jp_segment_header_encode(&header, example, sizeof example);

    assert_true(size > 0);
    used = (size_t)size;
}

// Window k of two rails; GPU has no coverage in window 1.
static struct jp_window window_of(int k)
{
    static const int64_t cpu[] = {2001, 1999, 2500}, gpu[] = {300, 0, 310};
    struct jp_window window = {
        .run = RUN_ID,
        .seq = (uint64_t)k,
        .t0_ms = 6000 + 1000 * k,
        .span_ms = k == 2 ? 400 : 1000,
        .channel_count = 2,
        .gauge_count = 1,
        .gauges = {47500},
        .channels = {{.known = true, .mj = cpu[k], .covered_ms = k == 2 ? 400 : 1000, .raw_uj = -1},
                     {.known = k != 1,
                      .mj = gpu[k],
                      .covered_ms = k == 1   ? 0
                                    : k == 2 ? 400
                                             : 1000,
                      .raw_uj = -1}},
    };

    for (int i = 0; i <= k; i++) {
        window.channels[0].run_mj += cpu[i];
        window.channels[1].run_mj += gpu[i];
    }
    window.channels[0].mv = 5000;
    window.channels[0].ma = 400;
    window.channels[0].peak_mw = 2100;
    window.channels[1].mv = window.channels[1].ma = INT32_MIN;
    window.channels[1].peak_mw = INT64_MIN;
    window.channels[1].cause = k == 1 ? JP_CAUSE_READ_ERROR : JP_CAUSE_NONE;
    return window;
}

static void add_windows(void)
{
    static struct jp_run run = {
        .id = RUN_ID,
        .window_ms = 1000,
        .block_windows = 30,
        .channel_count = 2,
        .channels = {{.name = "CPU", .in_total = true}, {.name = "GPU", .in_total = true}},
        .total_known = true,
    };
    struct jp_window window = window_of(1);
    struct jp_block block;
    uint8_t payload[512];

    add(JP_FRAME_WINDOW, payload, jp_window_encode(&window, payload, sizeof payload));
    assert_int_equal(jp_block_begin(&block, &run, 0), 0);
    for (int k = 0; k < 3; k++) {
        window = window_of(k);
        assert_int_equal(jp_block_add(&block, &window), 0);
    }
    add(JP_FRAME_BLOCK, payload, jp_block_encode(&block, payload, sizeof payload));
    jp_block_end(&block);
}

static void build(void)
{
    static const struct jp_anchor anchor = {5000, 1700000000000, 1, 12};
    static const struct jp_gap gap = {.run = RUN_ID,
                                      .first_seq = 3,
                                      .last_seq = 4,
                                      .windows = 2,
                                      .t0_ms = 8400,
                                      .span_ms = 2000,
                                      .reason = "hot_full",
                                      .mj = {4000, 0},
                                      .known = {true, false},
                                      .channel_count = 2,
                                      .named = true,
                                      .names = {"CPU", "GPU"},
                                      .total_known = true,
                                      .in_total = {true, true}};
    static const struct jp_event event = {RUN_ID, 9000, "task", "", "{\"name\":\"train\"}"};
    uint8_t payload[512];

    frames = 0;
    add_header();
    add(JP_FRAME_ANCHOR, payload, jp_anchor_encode(&anchor, payload, sizeof payload));
    add_windows();
    add(JP_FRAME_GAP, payload, jp_gap_encode(&gap, payload, sizeof payload));
    add(JP_FRAME_EVENT, payload, jp_event_encode(&event, payload, sizeof payload));
    add(JP_FRAME_SEAL, NULL, 0);
    memset(example + used, 0, ZEROS);
    used += ZEROS;
}

// The bytes of the fenced block that begins with ```hex: each line up to its `;`.
static size_t read_hex(uint8_t *bytes, size_t size)
{
    FILE *file = fopen(TESTS_DIR "/../docs/format.md", "r");
    char line[256], *rest;
    bool inside = false;
    size_t n = 0;

    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "```", 3) == 0) {
            inside = !inside && strncmp(line, "```hex", 6) == 0;
            continue;
        }
        if (!inside)
            continue;
        line[strcspn(line, ";\n")] = '\0';
        for (char *at = line; n < size; at = rest) {
            unsigned long value = strtoul(at, &rest, 16);

            if (rest == at)
                break;
            assert_true(value <= 0xff);
            bytes[n++] = (uint8_t)value;
        }
    }
    fclose(file);
    return n;
}

static void the_bytes_in_the_document_are_the_bytes_we_write(void **state)
{
    uint8_t shown[sizeof example];
    size_t n;

    (void)state;
    build();
    n = read_hex(shown, sizeof shown);
    assert_int_equal(n, used);
    assert_memory_equal(shown, example, used);
}

static void the_bytes_in_the_document_are_read_back(void **state)
{
    struct jp_segment_header header;
    struct jp_frame frame;
    struct jp_block_reader block;
    struct jp_window window;
    uint8_t shown[sizeof example];
    size_t n, at;
    uint32_t count = 0;

    (void)state;
    n = read_hex(shown, sizeof shown);
    assert_true(jp_segment_header_decode(&header, shown, n) > 0);
    at = (size_t)jp_segment_header_decode(&header, shown, n);
    assert_string_equal(header.device, "bench");
    for (; jp_frame_parse(&frame, shown + at, n - at) == JP_FOUND_WHOLE; at += JP_FRAME_HEAD + frame.size) {
        assert_int_equal(frame.number, count++);
        if (frame.type != JP_FRAME_BLOCK)
            continue;
        assert_int_equal(jp_block_read(&block, frame.payload, frame.size), 0);
        for (int k = 0; k < 3; k++) {
            assert_int_equal(jp_block_next(&block, &window), 1);
            assert_int_equal(window.channels[0].mj, window_of(k).channels[0].mj);
            assert_int_equal(window.channels[1].known, k != 1);
            assert_int_equal(window.span_ms, window_of(k).span_ms);
        }
    }
    assert_int_equal(count, 6);
    assert_int_equal(n - at, ZEROS);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_in_the_document_are_the_bytes_we_write),
        cmocka_unit_test(the_bytes_in_the_document_are_read_back),
    };

    if (argc > 1 && strcmp(argv[1], "print") == 0) {
        build();
        for (size_t i = 0; i < used; i++)
            printf("%02x", example[i]);
        printf("\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
