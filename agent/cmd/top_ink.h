// SPDX-License-Identifier: Apache-2.0
// Lines of a terminal: text by columns, cut where the line ends, with or without colour.
#ifndef JP_TOP_INK_H
#define JP_TOP_INK_H

#include <stdbool.h>
#include <stddef.h>

// Colour says what is measured or how it stands, never more than the words do.
enum jp_style {
    JP_INK_PLAIN,
    JP_INK_BOLD,
    JP_INK_DIM,
    JP_INK_GOOD,
    JP_INK_CARE,
    JP_INK_BAD,
    JP_INK_CPU,
    JP_INK_GPU,
    JP_INK_RAM,
};

struct jp_ink {
    // Set by the caller.
    char *bytes;
    size_t size;
    int columns;
    bool utf8;    // else ASCII
    bool escapes; // bold and dim
    bool colour;  // with escapes
    // State.
    size_t used; // bytes are NUL-terminated
    int column;  // of the line begun
    enum jp_style style;
};

// The columns a text takes: a character each.
int jp_ink_width(const char *text);
// Adds text; a character that a terminal would obey, or that is none, is a "?". What passes the end of the line
// is cut, and an ellipsis says so.
void jp_ink_put(struct jp_ink *ink, enum jp_style style, const char *text);
__attribute__((format(printf, 3, 4))) void jp_ink_say(struct jp_ink *ink, enum jp_style style, const char *format, ...);
// The same in at most `width` columns.
void jp_ink_fit(struct jp_ink *ink, enum jp_style style, const char *text, int width);
// Adds text so that it ends before `column`.
void jp_ink_before(struct jp_ink *ink, enum jp_style style, const char *text, int column);
// Blanks up to `column`.
void jp_ink_to(struct jp_ink *ink, int column);
// Ends the line.
void jp_ink_end(struct jp_ink *ink);

#endif
