// SPDX-License-Identifier: Apache-2.0
// What the files of the drawing share: the page, its table (top_table.c), the lines below it (top_foot.c).
#ifndef JP_TOP_PARTS_H
#define JP_TOP_PARTS_H

#include "top_draw.h"
#include "top_ink.h"

// Where the columns of the table stand; 0: there is no such column.
struct jp_top_table {
    int x, name, roles, now_end, spark, spark_width, per, means, end;
};

// What stands below the table beside the gauges.
enum jp_top_note { JP_TOP_CARBON, JP_TOP_TASK, JP_TOP_LINK, JP_TOP_SPOOL, JP_TOP_NOTES };

// What is shown, in lines.
struct jp_top_plan {
    int blanks, banner, heading, total, channels, gauges, key;
    int notes[JP_TOP_NOTES];
};

struct jp_top_page {
    const struct jp_top *top;
    const struct jp_top_paper *paper;
    int64_t now_ms; // BOOTTIME
    struct jp_ink ink;
    struct jp_top_table table;
    struct jp_top_plan plan;
};

static inline int jp_larger(int a, int b)
{
    return a > b ? a : b;
}

static inline int jp_smaller(int a, int b)
{
    return a < b ? a : b;
}

// Works out the columns.
void jp_top_table_lay_out(struct jp_top_page *page);
void jp_top_table_heading(struct jp_top_page *page);
// plan.total lines: numbers, then what they are.
void jp_top_table_total(struct jp_top_page *page);
// plan.channels lines; where they are fewer than the channels, what makes the total comes first, then by depth.
void jp_top_table_channels(struct jp_top_page *page);

// Whether the note says more than that all is as it should be.
bool jp_top_note_matters(const struct jp_top *top, enum jp_top_note note);
void jp_top_note_put(struct jp_top_page *page, enum jp_top_note note);
// How many lines the gauges take; plan.gauges of them.
int jp_top_gauge_lines(const struct jp_top_page *page);
void jp_top_gauges_put(struct jp_top_page *page);

#endif
