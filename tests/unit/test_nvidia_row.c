// SPDX-License-Identifier: Apache-2.0
// nvidia-smi's text: what is a row, what a field says, and that it does not matter how the stream is cut.
#define _GNU_SOURCE
#include "nvidia_row.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 64
#define UUID "GPU-8f1c2d3e-0000-1111-2222-333344445555"

struct rows {
    struct jp_nvidia_row row[ROWS];
    int count;
};

static void keep(void *context, const struct jp_nvidia_row *row)
{
    struct rows *rows = context;

    assert_true(rows->count < ROWS);
    rows->row[rows->count++] = *row;
}

static struct rows read_all(const char *text, size_t length)
{
    struct jp_nvidia_text state = {.used = 0};
    struct rows rows;

    memset(&rows, 0, sizeof rows); // compared byte by byte
    jp_nvidia_rows(&state, text, length, keep, &rows);
    return rows;
}

static struct rows read_text(const char *text)
{
    return read_all(text, strlen(text));
}

static void a_row_is_six_columns(void **state)
{
    struct rows rows = read_text("0, " UUID ", 35.21, 12, 45, 1410\n"
                                 "15," UUID ",0.004,0,-3,0\r\n");

    (void)state;
    assert_int_equal(rows.count, 2);
    assert_int_equal(rows.row[0].index, 0);
    assert_string_equal(rows.row[0].uuid, UUID);
    assert_int_equal(rows.row[0].value[JP_NVIDIA_POWER], 35210000);
    assert_int_equal(rows.row[0].value[JP_NVIDIA_LOAD], 12000);
    assert_int_equal(rows.row[0].value[JP_NVIDIA_TEMPERATURE], 45000);
    assert_int_equal(rows.row[0].value[JP_NVIDIA_CLOCK], 1410000);
    assert_int_equal(rows.row[1].index, 15);
    assert_int_equal(rows.row[1].value[JP_NVIDIA_POWER], 4000);
    assert_int_equal(rows.row[1].value[JP_NVIDIA_TEMPERATURE], -3000);
    for (int i = 0; i < JP_NVIDIA_FIELDS; i++)
        assert_int_equal(rows.row[1].error[i], 0);
    assert_int_equal(read_text("0, GPU-0123456789012345678901234567890123456789012, 1, 2, 3, 4\n").count, 1);
    assert_int_equal(read_text("0, GPU-01234567890123456789012345678901234567890123, 1, 2, 3, 4\n").count, 0);
}

static void a_field_without_a_number_says_why(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"[N/A]", ENODATA},
        {"N/A", ENODATA},
        {"[Not Supported]", ENODATA},
        {"[GPU is lost]", ENODEV},
        {"[Unknown Error]", EIO},
        {"[Something New]", EIO},
        {"[Insufficient Permissions]", EACCES},
        {"", EINVAL},
        {"35.21 W", EINVAL},
        {"35,21", -1},
        {"35.", EINVAL},
        {".5", EINVAL},
        {"-", EINVAL},
        {"nan", EINVAL},
        {"1e3", EINVAL},
        {"+3", EINVAL},
        {"0x10", EINVAL},
        {"1234567890", EINVAL},
        {"99999999999999999999", EINVAL},
        {"-0.01", ERANGE},
        {"1000000.01", ERANGE},
        {"1000000", 0},
        {"1.23456789012345678901234567890", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[200];
        struct rows rows;

        snprintf(line, sizeof line, "0, " UUID ", %s, 1, 2, 3\n", cases[i].text);
        rows = read_text(line);
        assert_int_equal(rows.count, cases[i].error >= 0);
        if (rows.count == 0)
            continue;
        assert_int_equal(rows.row[0].error[JP_NVIDIA_POWER], cases[i].error);
        assert_int_equal(rows.row[0].error[JP_NVIDIA_CLOCK], 0); // the others stand
        assert_int_equal(rows.row[0].value[JP_NVIDIA_CLOCK], 3000);
    }
    assert_int_equal(read_text("0, " UUID ", 1.23456789, 101, -300, 1\n").row[0].value[JP_NVIDIA_POWER], 1234567);
    assert_int_equal(read_text("0, " UUID ", 1, 101, -300, 1\n").row[0].error[JP_NVIDIA_LOAD], ERANGE);
    assert_int_equal(read_text("0, " UUID ", 1, 101, -300, 1\n").row[0].error[JP_NVIDIA_TEMPERATURE], ERANGE);
}

static void other_lines_are_passed_over(void **state)
{
    static const char *const lines[] = {
        "",
        "\n",
        "\r\n",
        ",,,,,\n",
        "No devices were found\n",
        "index, uuid, power.draw [W], utilization.gpu [%], temperature.gpu, clocks.current.sm [MHz]\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        "0, " UUID ", 1, 2, 3\n",            // one column less
        "0, " UUID ", 1, 2, 3, 4, 5\n",      // one more
        "0, Quadro, with, commas, in, it\n", // no uuid
        "x, " UUID ", 1, 2, 3, 4\n",         // no index
        ", " UUID ", 1, 2, 3, 4\n",
        "100, " UUID ", 1, 2, 3, 4\n",
        "-1, " UUID ", 1, 2, 3, 4\n",
        "0, GPU-, 1, 2, 3, 4\n",
        "0, GPU-\x80\xff, 1, 2, 3, 4\n",
        "0, GPU-00000000000000000000000000000000000000000000000000000000, 1, 2, 3, 4\n",
        "0, " UUID ", 1, 2, 3, 4", // not ended: more may follow
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(read_text(lines[i]).count, 0);
}

static void a_line_that_is_too_long_costs_only_itself(void **state)
{
    static const char row[] = "0, " UUID ", 1, 2, 3, 4\n";
    struct jp_nvidia_text text = {.used = 0};
    struct rows rows = {.count = 0};
    char bytes[1000];

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    for (int i = 0; i < 1000; i++) // a megabyte without an end
        jp_nvidia_rows(&text, bytes, sizeof bytes, keep, &rows);
    jp_nvidia_rows(&text, row, sizeof row - 1, keep, &rows); // only the rest of it looks like a row
    assert_int_equal(rows.count, 0);
    jp_nvidia_rows(&text, row, sizeof row - 1, keep, &rows);
    assert_int_equal(rows.count, 1);
    memset(bytes, ' ', sizeof bytes);
    memcpy(bytes, row, sizeof row - 2); // only its begin looks like one
    memcpy(bytes + sizeof bytes - 2, "5\n", 2);
    jp_nvidia_rows(&text, bytes, sizeof bytes, keep, &rows);
    assert_int_equal(rows.count, 1);
}

// A stream of rows, words and bytes of any kind.
static size_t make_stream(char *out, size_t size)
{
    static const char *const pieces[] = {
        "0, " UUID ", 35.21, 12, 45, 1410\n",
        "1, " UUID "x, [N/A], [Not Supported], 45, 1410\r\n",
        "\n",
        ",",
        "No devices were found\n",
        "GPU-",
        "[GPU is lost]",
        ", ",
        "-",
        "7",
        ".",
        "\r",
    };
    size_t used = 0;

    while (used + 80 < size) {
        int kind = rand() % 16;

        if (kind == 15)
            out[used++] = (char)rand();
        else if (kind == 14 && rand() % 16 == 0)
            for (int i = rand() % 600; i > 0 && used + 80 < size; i--)
                out[used++] = 'y';
        else
            used += (size_t)snprintf(out + used, size - used, "%s", pieces[kind % 12]);
    }
    return used;
}

static void it_does_not_matter_how_the_stream_is_cut(void **state)
{
    char stream[2000];
    int seen = 0;

    (void)state;
    srand(7);
    for (int round = 0; round < 3000; round++) {
        size_t length = make_stream(stream, sizeof stream);
        struct rows whole = read_all(stream, length), parts;
        struct jp_nvidia_text text = {.used = 0};

        memset(&parts, 0, sizeof parts);
        for (size_t at = 0, piece; at < length; at += piece) {
            char *copy; // of its own size: a sanitizer sees a byte too many

            piece = 1 + (size_t)rand() % (round % 2 ? 3 : 200);
            if (piece > length - at)
                piece = length - at;
            copy = malloc(piece);
            assert_non_null(copy);
            memcpy(copy, stream + at, piece);
            jp_nvidia_rows(&text, copy, piece, keep, &parts);
            free(copy);
        }
        assert_int_equal(parts.count, whole.count);
        assert_memory_equal(&parts, &whole, sizeof whole);
        seen += whole.count;
    }
    assert_true(seen > 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_six_columns),
        cmocka_unit_test(a_field_without_a_number_says_why),
        cmocka_unit_test(other_lines_are_passed_over),
        cmocka_unit_test(a_line_that_is_too_long_costs_only_itself),
        cmocka_unit_test(it_does_not_matter_how_the_stream_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
