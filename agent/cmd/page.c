// SPDX-License-Identifier: Apache-2.0
// Words, lines and colours on stdout.
#define _GNU_SOURCE
#include "page.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool colours;

void jp_page_paint(enum jp_page_paint paint)
{
    static const char *const codes[] = {[JP_PAGE_PLAIN] = "\033[0m",
                                        [JP_PAGE_BOLD] = "\033[1m",
                                        [JP_PAGE_DIM] = "\033[2m",
                                        [JP_PAGE_GOOD] = "\033[32m",
                                        [JP_PAGE_BAD] = "\033[31m"};

    if (colours)
        fputs(codes[paint], stdout);
}

void jp_page_begin(void)
{
    const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

    colours = isatty(STDOUT_FILENO) && !(no && no[0]) && term && term[0] && strcmp(term, "dumb") != 0;
}

// Texts of the machine (a model, a trace's note) may hold anything: nothing of them reaches the terminal as a command.
static int put_word(const char *word, size_t size)
{
    int columns = 0;

    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)word[i], next = i + 1 < size ? (unsigned char)word[i + 1] : 0;
        bool second = byte == 0xc2 && next >= 0x80 && next < 0xa0; // C1 controls in UTF-8

        putchar(byte < 0x20 || byte == 0x7f || second ? '?' : byte);
        i += second;
        columns += (byte & 0xc0) != 0x80; // not the further bytes of a UTF-8 letter
    }
    return columns;
}

void jp_page_put(const char *text)
{
    put_word(text, strlen(text));
}

void jp_page_wrapped(int at, int indent, const char *text)
{
    bool first = true;

    for (const char *word = text + strspn(text, " "); *word; word += strspn(word, " ")) {
        int size = (int)strcspn(word, " ");

        if (!first && at + 1 + size > JP_PAGE_WIDTH) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (!first) {
            putchar(' ');
            at++;
        }
        at += put_word(word, (size_t)size);
        word += size;
        first = false;
    }
    putchar('\n');
}

void jp_page_fact(const char *title, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    jp_page_paint(JP_PAGE_DIM);
    printf("  %-*s", JP_PAGE_TITLE - 2, title);
    jp_page_paint(JP_PAGE_PLAIN);
    jp_page_wrapped(JP_PAGE_TITLE, JP_PAGE_TITLE, text[0] ? text : "unknown");
}

void jp_page_add(char *list, size_t size, const char *format, ...)
{
    size_t used = strlen(list);
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (text[0])
        snprintf(list + used, size - used, "%s%s", used ? ", " : "", text);
}
