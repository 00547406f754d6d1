// SPDX-License-Identifier: Apache-2.0
// The drawing of top: from numbers to lines. Pure.
#ifndef JP_TOP_DRAW_H
#define JP_TOP_DRAW_H

#include "top.h"

#define JP_TOP_DRAWING_MAX 131072 // 140 lines of 240 columns, three bytes and a style each

struct jp_top_paper {
    int columns;
    int rows;     // 0: as many as it takes
    bool utf8;    // else ASCII
    bool escapes; // bold and dim
    bool colour;  // with escapes
    bool screen;  // a view that goes on: sparklines, a margin, how to leave
};

// Lines with an end each, at most paper->rows of at most paper->columns; where rows are few, the important first.
// now_ms is BOOTTIME. `out` is NUL-terminated, JP_TOP_DRAWING_MAX bytes.
void jp_top_draw(const struct jp_top *top, const struct jp_top_paper *paper, int64_t now_ms, char *out);

#endif
