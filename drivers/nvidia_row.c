// SPDX-License-Identifier: Apache-2.0
// Cuts nvidia-smi's text into lines, and a line into a GPU's values or the reasons why there are none.
#include "nvidia_row.h"

#include <errno.h>
#include <string.h>

#define COLUMNS (2 + JP_NVIDIA_FIELDS)
#define MILLION 1000000

// A piece of the line, without the white space around it.
struct word {
    const char *at;
    size_t length;
};

static const struct {
    int64_t divisor; // of millionths
    int64_t min, max;
} fields[] = {
    [JP_NVIDIA_POWER] = {1, 0, 1000000000000},
    [JP_NVIDIA_LOAD] = {1000, 0, 100000},
    [JP_NVIDIA_TEMPERATURE] = {1000, -273150, 1000000},
    [JP_NVIDIA_CLOCK] = {1000, 0, 100000000},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_word(const struct word *word, const char *text)
{
    return word->length == strlen(text) && memcmp(word->at, text, word->length) == 0;
}

// "35.21" in millionths. 0, or -EINVAL for other text.
static int read_number(const struct word *word, int64_t *millionths)
{
    size_t i = word->length > 0 && word->at[0] == '-', first = i;
    int64_t value = 0, weight = MILLION;

    for (; i < word->length && is_digit(word->at[i]); i++) {
        if (i - first >= 9)
            return -EINVAL;
        value = value * 10 + (word->at[i] - '0');
    }
    if (i == first)
        return -EINVAL;
    value *= MILLION;
    if (i < word->length && word->at[i] == '.') {
        if (++i == word->length)
            return -EINVAL;
        for (; i < word->length && is_digit(word->at[i]); i++) {
            weight /= 10;
            value += weight * (word->at[i] - '0');
        }
    }
    *millionths = first ? -value : value;
    return i == word->length ? 0 : -EINVAL;
}

// What stands in the place of a number.
static int reason_of(const struct word *word)
{
    static const struct {
        const char *text;
        int error;
    } reasons[] = {
        {"[N/A]", ENODATA},        {"N/A", ENODATA},         {"[Not Supported]", ENODATA},
        {"[GPU is lost]", ENODEV}, {"[Unknown Error]", EIO}, {"[Insufficient Permissions]", EACCES},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (is_word(word, reasons[i].text))
            return reasons[i].error;
    return word->length > 0 && word->at[0] == '[' ? EIO : EINVAL;
}

static void read_field(const struct word *word, enum jp_nvidia_field field, struct jp_nvidia_row *row)
{
    int64_t millionths = 0;

    row->error[field] = read_number(word, &millionths) == 0 ? 0 : reason_of(word);
    if (row->error[field])
        return;
    row->value[field] = millionths / fields[field].divisor;
    if (row->value[field] < fields[field].min || row->value[field] > fields[field].max)
        row->error[field] = ERANGE;
}

static bool read_index(const struct word *word, int *index)
{
    *index = 0;
    for (size_t i = 0; i < word->length; i++) {
        if (!is_digit(word->at[i]))
            return false;
        *index = *index * 10 + (word->at[i] - '0');
    }
    return word->length == 1 || word->length == 2;
}

static bool read_uuid(const struct word *word, char *uuid, size_t size)
{
    if (word->length < 5 || word->length >= size || memcmp(word->at, "GPU-", 4) != 0)
        return false;
    for (size_t i = 0; i < word->length; i++) {
        char c = word->at[i];

        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '-')
            return false;
    }
    memcpy(uuid, word->at, word->length);
    uuid[word->length] = '\0';
    return true;
}

// The words of a line; their number, one more than COLUMNS where there are too many.
static int split(const char *line, size_t length, struct word *words)
{
    int count = 0;

    for (size_t begin = 0; count < COLUMNS; count++) {
        const char *comma = memchr(line + begin, ',', length - begin);
        size_t end = comma ? (size_t)(comma - line) : length, next = end + 1;

        while (begin < end && is_space(line[begin]))
            begin++;
        while (end > begin && is_space(line[end - 1]))
            end--;
        words[count] = (struct word){line + begin, end - begin};
        if (!comma)
            return count + 1;
        begin = next;
    }
    return COLUMNS + 1;
}

static bool read_row(const char *line, size_t length, struct jp_nvidia_row *row)
{
    struct word words[COLUMNS];

    memset(row, 0, sizeof *row);
    if (split(line, length, words) != COLUMNS || !read_index(&words[0], &row->index) ||
        !read_uuid(&words[1], row->uuid, sizeof row->uuid))
        return false;
    for (int i = 0; i < JP_NVIDIA_FIELDS; i++)
        read_field(&words[2 + i], (enum jp_nvidia_field)i, row);
    return true;
}

void jp_nvidia_rows(struct jp_nvidia_text *text, const char *bytes, size_t count,
                    void (*each)(void *context, const struct jp_nvidia_row *row), void *context)
{
    struct jp_nvidia_row row;

    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n') {
            if (!text->skip && read_row(text->line, text->used, &row))
                each(context, &row);
            text->used = 0;
            text->skip = false;
        } else if (text->used == sizeof text->line) {
            text->skip = true;
        } else {
            text->line[text->used++] = bytes[i];
        }
    }
}
