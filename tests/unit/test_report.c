// SPDX-License-Identifier: Apache-2.0
// The small parts of reading a spool: moments people write, anchors, fields of a table.
#define _POSIX_C_SOURCE 200809L
#include "anchors.h"
#include "clock.h"
#include "csv.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_understood),
        cmocka_unit_test(what_is_no_moment_is_refused),
        cmocka_unit_test(the_nearest_anchor_of_the_boot_dates_a_moment),
        cmocka_unit_test(equal_anchors_take_the_room_of_two),
        cmocka_unit_test(fields_are_quoted_where_they_must_be),
        cmocka_unit_test(times_are_utc_with_milliseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
