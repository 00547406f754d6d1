// SPDX-License-Identifier: Apache-2.0
// Characters counted, styles as the escapes of ECMA-48 (SGR) in the terminal's own 8 colours.
#include "top_ink.h"

#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CUT "\u2026" // the ellipsis

static const struct {
    const char *escape;
    bool colour;
} styles[] = {
    [JP_INK_PLAIN] = {"", false},       [JP_INK_BOLD] = {"\033[1m", false}, [JP_INK_DIM] = {"\033[2m", false},
    [JP_INK_GOOD] = {"\033[32m", true}, [JP_INK_CARE] = {"\033[33m", true}, [JP_INK_BAD] = {"\033[1;31m", true},
    [JP_INK_CPU] = {"\033[36m", true},  [JP_INK_GPU] = {"\033[32m", true},  [JP_INK_RAM] = {"\033[35m", true},
};

static void add(struct jp_ink *ink, const char *bytes, size_t size)
{
    if (size >= ink->size - ink->used)
        return;
    memcpy(ink->bytes + ink->used, bytes, size);
    ink->used += size;
    ink->bytes[ink->used] = '\0';
}

static void set_style(struct jp_ink *ink, enum jp_style style)
{
    if (!ink->escapes || (styles[style].colour && !ink->colour))
        style = JP_INK_PLAIN;
    if (style == ink->style)
        return;
    if (ink->style != JP_INK_PLAIN)
        add(ink, "\033[0m", 4);
    add(ink, styles[style].escape, strlen(styles[style].escape));
    ink->style = style;
}

// The bytes of the character at `at`; *good: it can be shown as it is.
static size_t character(const char *at, bool *good)
{
    size_t length = jp_utf8_length(at);
    const unsigned char *byte = (const unsigned char *)at;

    // C0, DEL, and the C1 controls, which some terminals obey.
    *good = length > 0 && byte[0] >= ' ' && byte[0] != 0x7f && !(byte[0] == 0xc2 && byte[1] < 0xa0);
    return length > 0 ? length : 1;
}

int jp_ink_width(const char *text)
{
    int width = 0;
    bool good;

    for (; *text; text += character(text, &good))
        width++;
    return width;
}

static void put(struct jp_ink *ink, enum jp_style style, const char *text, int until)
{
    bool good;

    until = until < ink->columns ? until : ink->columns;
    for (size_t length; *text && ink->column < until; text += length) {
        length = character(text, &good);
        set_style(ink, style);
        if (text[length] && ink->column == until - 1)
            add(ink, ink->utf8 ? CUT : ".", ink->utf8 ? sizeof CUT - 1 : 1);
        else if (good && (length == 1 || ink->utf8))
            add(ink, text, length);
        else
            add(ink, "?", 1);
        ink->column++;
    }
}

void jp_ink_put(struct jp_ink *ink, enum jp_style style, const char *text)
{
    put(ink, style, text, ink->columns);
}

void jp_ink_say(struct jp_ink *ink, enum jp_style style, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    jp_ink_put(ink, style, text);
}

void jp_ink_fit(struct jp_ink *ink, enum jp_style style, const char *text, int width)
{
    put(ink, style, text, ink->column + width);
}

void jp_ink_before(struct jp_ink *ink, enum jp_style style, const char *text, int column)
{
    jp_ink_to(ink, column - jp_ink_width(text));
    jp_ink_put(ink, style, text);
}

void jp_ink_to(struct jp_ink *ink, int column)
{
    while (ink->column < column && ink->column < ink->columns) {
        set_style(ink, JP_INK_PLAIN);
        add(ink, " ", 1);
        ink->column++;
    }
}

// Blanks at the end of a line say nothing.
void jp_ink_end(struct jp_ink *ink)
{
    set_style(ink, JP_INK_PLAIN);
    while (ink->used > 0 && ink->bytes[ink->used - 1] == ' ')
        ink->used--;
    add(ink, "\n", 1);
    ink->column = 0;
}
