// SPDX-License-Identifier: Apache-2.0
// The small parts of reading a spool: moments people write, anchors, fields of a table.
#define _POSIX_C_SOURCE 200809L
#include "anchors.h"
#include "clock.h"
#include "csv.h"
#include "jsonl.h"
#include "when.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void moments_are_understood(void **state)
{
    static const struct {
        const char *text;
        int64_t t_ms;
    } good[] = {
        {"1970-01-01", 0},
        {"2026-11-20", 1795132800000},
        {"2024-02-29T23:59:59Z", 1709251199000},
        {"2000-02-29t00:00:00.5z", 951782400500},
        {"2026-11-20 12:00:00+01:00", 1795172400000},
        {"2026-11-20T12:00:00.123456-05:30", 1795195800123},
        {"2016-12-31T23:59:60Z", 1483228800000},
        {"0001-01-01", -62135596800000},
        {"1700000000", 1700000000000},
        {"1700000000.25", 1700000000250},
        {"1700000000123", 1700000000123},
        {"2026", 2026000},
        {"0", 0},
    };
    int64_t t_ms;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(jp_when(good[i].text, &t_ms), 0);
        assert_int_equal(t_ms, good[i].t_ms);
    }
}

static void what_is_no_moment_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "now",
                                      "2026-11",
                                      "2026-00-01",
                                      "2026-13-01",
                                      "2026-02-29",
                                      "1900-02-29",
                                      "2026-11-31",
                                      "2026-11-20T",
                                      "2026-11-20T12:00Z",
                                      "2026-11-20T12:00:00",
                                      "2026-11-20T24:00:00Z",
                                      "2026-11-20T12:60:00Z",
                                      "2026-11-20T12:00:61Z",
                                      "2026-11-20T12:00:00.Z",
                                      "2026-11-20T12:00:00Z ",
                                      "2026-11-20T12:00:00+1:00",
                                      "2026-11-20x",
                                      "0000-01-01",
                                      "-5",
                                      "1e9",
                                      "17000000001234567",
                                      "1700000000123.5",
                                      "5."};
    int64_t t_ms;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(jp_when(bad[i], &t_ms), -EINVAL);
}

static void add(struct jp_anchors *anchors, int boot, int64_t boot_ms, int64_t off_ms, int clock)
{
    struct jp_anchor anchor = {boot_ms, off_ms, clock, -1};

    assert_int_equal(jp_anchors_add(anchors, boot, &anchor, true), 0);
}

static void judge(const struct jp_anchors *anchors, int boot, int64_t boot_ms, int64_t off_ms, int clock)
{
    int64_t off;
    int how;

    assert_true(jp_anchors_find(anchors, boot, boot_ms, &off, &how));
    assert_int_equal(off, off_ms);
    assert_int_equal(how, clock);
}

static void the_nearest_anchor_of_the_boot_dates_a_moment(void **state)
{
    struct jp_anchors anchors = {.count = 0};
    struct jp_anchor header = {0, 77, JP_CLOCK_SYNCED, -1};
    int a = jp_anchors_boot(&anchors, "a"), b = jp_anchors_boot(&anchors, "b"), c = jp_anchors_boot(&anchors, "c");
    int64_t off;
    int how;

    (void)state;
    assert_int_equal(jp_anchors_boot(&anchors, "b"), b);
    add(&anchors, a, 0, 1, JP_CLOCK_UNSYNCED);
    add(&anchors, a, 100, 2, JP_CLOCK_SYNCED);
    add(&anchors, a, 200, 3, JP_CLOCK_SYNCED);
    add(&anchors, a, 300, 4, JP_CLOCK_UNSYNCED);
    add(&anchors, b, 0, 9, JP_CLOCK_UNSYNCED);
    assert_int_equal(jp_anchors_add(&anchors, a, &header, false), 0); // not asked where there are ANCHORs
    assert_int_equal(jp_anchors_add(&anchors, c, &header, false), 0);
    jp_anchors_ready(&anchors);
    judge(&anchors, a, -5, 2, JP_CLOCK_ESTIMATED);
    judge(&anchors, a, 99, 2, JP_CLOCK_ESTIMATED); // the kernel did not say so yet
    judge(&anchors, a, 100, 2, JP_CLOCK_SYNCED);
    judge(&anchors, a, 150, 2, JP_CLOCK_SYNCED);
    judge(&anchors, a, 151, 3, JP_CLOCK_SYNCED);
    judge(&anchors, a, 299, 3, JP_CLOCK_SYNCED);
    judge(&anchors, a, 300, 3, JP_CLOCK_ESTIMATED); // it takes its word back
    judge(&anchors, b, 500, 9, JP_CLOCK_UNSYNCED);
    judge(&anchors, c, 500, 77, JP_CLOCK_SYNCED);
    assert_false(jp_anchors_find(&anchors, 3, 0, &off, &how));
    jp_anchors_free(&anchors);
}

static void equal_anchors_take_the_room_of_two(void **state)
{
    struct jp_anchors anchors = {.count = 0};
    int a = jp_anchors_boot(&anchors, "a");

    (void)state;
    for (int i = 0; i < 10000; i++)
        add(&anchors, a, i * 1000, 5, JP_CLOCK_SYNCED);
    add(&anchors, a, 10000000, 6, JP_CLOCK_SYNCED);
    assert_int_equal(anchors.count, 3);
    jp_anchors_ready(&anchors);
    judge(&anchors, a, 5000000, 5, JP_CLOCK_SYNCED);
    judge(&anchors, a, 9999000, 5, JP_CLOCK_SYNCED);
    judge(&anchors, a, 9999999, 6, JP_CLOCK_SYNCED);
    jp_anchors_free(&anchors);
}

static void fields_are_quoted_where_they_must_be(void **state)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    jp_csv_put(out, "plain.name-1_2");
    putc('|', out);
    jp_csv_put(out, "a,b");
    putc('|', out);
    jp_csv_put(out, "say \"so\"");
    putc('|', out);
    jp_csv_put(out, "two\nlines");
    putc('|', out);
    jp_csv_put(out, "");
    fclose(out);
    assert_string_equal(text, "plain.name-1_2|\"a,b\"|\"say \"\"so\"\"\"|\"two\nlines\"|");
    free(text);
}

static void times_are_utc_with_milliseconds(void **state)
{
    char text[32];

    (void)state;
    jp_csv_time(1795180252706, text);
    assert_string_equal(text, "2026-11-20T13:10:52.706Z");
    jp_csv_time(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    jp_csv_time(INT64_MAX, text);
    assert_string_equal(text, "");
    jp_csv_time(INT64_MIN, text);
    assert_string_equal(text, "");
}

// A window as one line, written straight or by way of an object.
static char *line_of(const struct jp_history *history, bool typed, bool straight)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (straight)
        assert_int_equal(jp_jsonl_window_line(history, typed, out), 0);
    else
        assert_int_equal(
            jp_jsonl_write(typed ? jp_jsonl_entry(history, JP_ENTRY_WINDOW) : jp_jsonl_window(history), out), 0);
    fclose(out);
    return text;
}

static void assert_same_lines(const struct jp_history *history)
{
    for (int typed = 0; typed < 2; typed++) {
        char *straight = line_of(history, typed, true), *object = line_of(history, typed, false);

        assert_string_equal(straight, object);
        free(straight);
        free(object);
    }
}

static void window_lines_are_what_objects_say(void **state)
{
    static const char *const texts[] = {"VDD_IN",      "",        "total",    "b", "a", "q\"uote",
                                        "back\\slash", "\x1b[2J", "\xc3\xa9", "/"};
    static const int64_t values[] = {0, 1, -1, 9, 10, -10, 9000000000000000, -9000000000000000, INT64_MAX, INT64_MIN};
    static struct jp_history history; // large
    static struct jp_window_names names;
    uint64_t random = 20;

    (void)state;
    history.names = &names;
    history.head = (struct jp_records_head){.pue = 1.25, .factor = {.g_per_kwh = 301.5}, .since_s = 1, .err_ms = -1};
    for (int round = 0; round < 20000; round++) {
        struct jp_window *window = &history.window;
        uint64_t bits = random = random * 6364136223846793005 + 1442695040888963407;

        window->channel_count = (int)(bits >> 60) + (round % 50 == 0 ? 4 : 0);
        window->run = bits;
        window->seq = bits >> 40;
        window->t0_ms = values[bits >> 20 & 7];
        window->span_ms = 1000;
        history.device = texts[round % 10 > 1 ? 0 : bits >> 33 & 7];
        history.head.off_known = bits >> 34 & 3;
        history.head.off_ms = 1790000000000;
        history.head.clock = (enum jp_clock_state)(round % 3);
        history.head.factor.known = bits >> 36 & 1;
        for (int c = 0; c < window->channel_count; c++) {
            static char plain[JP_CHANNELS_MAX][8];

            bits = random = random * 6364136223846793005 + 1442695040888963407;
            snprintf(plain[c], sizeof plain[c], "r%d", c);
            names.names[c] = (bits >> 40 & 31) ? plain[c] : texts[(bits >> 50) % 10];
            names.in_total[c] = bits >> 35 & 1;
            names.columns = round % 7 ? 0 : JP_BLOCK_MV;
            names.has[c] = bits >> 36 & 3;
            window->channels[c].known = bits >> 41 & 15;
            window->channels[c].mj = values[(bits >> 45) % 10];
            window->channels[c].covered_ms = (bits >> 48 & 31) ? 1000 : 400;
            window->channels[c].cause = (bits >> 48 & 31) ? JP_CAUSE_NONE : JP_CAUSE_STALL;
            window->channels[c].mv = window->channels[c].ma = 5000;
        }
        assert_same_lines(&history);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_understood),
        cmocka_unit_test(what_is_no_moment_is_refused),
        cmocka_unit_test(the_nearest_anchor_of_the_boot_dates_a_moment),
        cmocka_unit_test(equal_anchors_take_the_room_of_two),
        cmocka_unit_test(fields_are_quoted_where_they_must_be),
        cmocka_unit_test(times_are_utc_with_milliseconds),
        cmocka_unit_test(window_lines_are_what_objects_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
