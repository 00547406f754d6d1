// SPDX-License-Identifier: Apache-2.0
// A page of text on stdout for people: lines of 80 columns, few colours, nothing of the machine's that a terminal
// obeys.
#ifndef JP_PAGE_H
#define JP_PAGE_H

#include <stddef.h>

#define JP_PAGE_WIDTH 80
#define JP_PAGE_TITLE 11 // the column behind a fact's name

enum jp_page_paint { JP_PAGE_PLAIN, JP_PAGE_BOLD, JP_PAGE_DIM, JP_PAGE_GOOD, JP_PAGE_BAD };

// Decides about colours: only on a terminal, and neither with NO_COLOR nor with TERM=dumb.
void jp_page_begin(void);
void jp_page_paint(enum jp_page_paint paint);

// Puts a text as it is, but for control characters, which become "?".
void jp_page_put(const char *text);

// Puts words, the first at column `at`, and goes on at column `indent` of the next line where they do not fit; ends
// the line. Control characters become "?".
void jp_page_wrapped(int at, int indent, const char *text);

// "  title    text", wrapped; "unknown" for an empty one.
void jp_page_fact(const char *title, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Adds ", text" to a list; nothing for an empty one.
void jp_page_add(char *list, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
