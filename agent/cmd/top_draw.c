// SPDX-License-Identifier: Apache-2.0
// The page from its title to its last line, and what goes where rows are few.
#include "top_parts.h"
#include "top_words.h"

#include <stdio.h>

#define COLUMNS_MAX 240
#define STALE_MS 3000 // late by three windows and this

static void put_title(struct jp_top_page *page)
{
    const struct jp_top *top = page->top;
    const char *board = top->board[0] ? top->board : "unknown board";
    struct jp_ink *ink = &page->ink;
    char up[JP_WORD_MAX], right[JP_WORD_MAX + JP_NAME_MAX + 16];
    int end = jp_larger(page->table.end, jp_smaller(ink->columns, 72)), room;

    jp_word_time((top->away_ms ? top->away_ms : page->now_ms) - top->start_ms, up);
    snprintf(right, sizeof right, "%s%sup %s", top->power_mode, top->power_mode[0] ? "  " : "", up);
    room = end - page->table.x - jp_ink_width(right) - 2;
    jp_ink_to(ink, page->table.x);
    jp_ink_fit(ink, JP_INK_BOLD, board, room);
    if (room > ink->column - page->table.x + 4) {
        jp_ink_put(ink, JP_INK_PLAIN, "  ");
        jp_ink_fit(ink, JP_INK_DIM, top->device, page->table.x + room - ink->column);
    }
    jp_ink_before(ink, JP_INK_DIM, right, end);
    jp_ink_end(ink);
}

static bool is_stale(const struct jp_top_page *page)
{
    return page->top->any && page->now_ms - page->top->boot_ms > 3LL * page->top->window_ms + STALE_MS;
}

static void put_banner(struct jp_top_page *page)
{
    const struct jp_top *top = page->top;
    char time[JP_WORD_MAX];

    jp_word_time(page->now_ms - (top->away_ms ? top->away_ms : top->boot_ms), time);
    jp_ink_to(&page->ink, page->table.x);
    if (top->away_ms)
        jp_ink_say(&page->ink, JP_INK_BAD, "waiting for %s: %s", time, top->away);
    else if (is_stale(page))
        jp_ink_say(&page->ink, JP_INK_BAD, "no window was closed for %s", time);
    else
        jp_ink_put(&page->ink, JP_INK_DIM, "no window was closed yet");
    jp_ink_end(&page->ink);
}

static void put_key(struct jp_top_page *page)
{
    bool modelled = page->top->total.modelled;

    for (int i = 0; i < page->top->row_count; i++)
        modelled = modelled || page->top->rows[i].modelled;
    jp_ink_to(&page->ink, page->table.x);
    jp_ink_put(&page->ink, JP_INK_DIM, "q quits");
    if (page->top->total_known)
        jp_ink_put(&page->ink, JP_INK_DIM, "   + makes the total");
    if (modelled)
        jp_ink_put(&page->ink, JP_INK_DIM, "   ~ modelled");
    jp_ink_end(&page->ink);
}

// The page ---------------------------------------------------------------------------------------
static int lines_of(const struct jp_top_plan *plan)
{
    int lines =
        1 + plan->blanks + plan->banner + plan->heading + plan->total + plan->channels + plan->gauges + plan->key;

    for (int i = 0; i < JP_TOP_NOTES; i++)
        lines += plan->notes[i];
    return lines;
}

static void make_plan(struct jp_top_page *page)
{
    const struct jp_top *top = page->top;
    struct jp_top_plan *plan = &page->plan;

    *plan = (struct jp_top_plan){.channels = top->row_count, .key = page->paper->screen, .heading = 1};
    plan->blanks = page->paper->screen ? 3 : 0; // below the title, the channels and what is below them
    plan->banner = top->away_ms || !top->any || is_stale(page);
    plan->total = top->total_known ? 2 : 1;
    plan->gauges = jp_top_gauge_lines(page);
    for (int i = 0; i < JP_TOP_NOTES; i++)
        plan->notes[i] = 1;
}

// Takes lines away until the rest fits, what is least missed first.
static void shorten(struct jp_top_page *page)
{
    struct jp_top_plan *plan = &page->plan;
    int *notes = plan->notes, rows = page->paper->rows;
    int matters[JP_TOP_NOTES];
    struct {
        int *lines, least;
    } steps[] = {
        {&plan->blanks, 0},
        {&plan->key, 0},
        {&plan->channels, jp_larger(rows / 2, 6)},
        {&plan->gauges, 0},
        {&notes[JP_TOP_CARBON], 0},
        {&plan->heading, 0},
        {&notes[JP_TOP_TASK], matters[JP_TOP_TASK] = jp_top_note_matters(page->top, JP_TOP_TASK)},
        {&notes[JP_TOP_SPOOL], matters[JP_TOP_SPOOL] = jp_top_note_matters(page->top, JP_TOP_SPOOL)},
        {&notes[JP_TOP_LINK], matters[JP_TOP_LINK] = jp_top_note_matters(page->top, JP_TOP_LINK)},
        {&plan->channels, 2},
        {&notes[JP_TOP_TASK], 0},
        {&notes[JP_TOP_SPOOL], 0},
        {&notes[JP_TOP_LINK], 0},
        {&plan->channels, 0},
        {&plan->total, 1},
        {&plan->banner, 0},
        {&plan->total, 0},
    };

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int excess = lines_of(plan) - rows;

        if (excess > 0 && *steps[i].lines > steps[i].least)
            *steps[i].lines = jp_larger(steps[i].least, *steps[i].lines - excess);
    }
}

static void put_blank(struct jp_top_page *page, int number)
{
    if (page->plan.blanks >= number)
        jp_ink_end(&page->ink);
}

void jp_top_draw(const struct jp_top *top, const struct jp_top_paper *paper, int64_t now_ms, char *out)
{
    struct jp_top_page page = {.top = top, .paper = paper, .now_ms = now_ms};
    int below;

    page.ink = (struct jp_ink){.bytes = out, .size = JP_TOP_DRAWING_MAX, .utf8 = paper->utf8};
    page.ink.escapes = paper->escapes;
    page.ink.colour = paper->colour;
    page.ink.columns =
        jp_larger(1, jp_smaller(paper->columns, COLUMNS_MAX) - (paper->screen ? 1 : 0)); // the last stays free
    out[0] = '\0';
    jp_top_table_lay_out(&page);
    make_plan(&page);
    if (paper->rows > 0)
        shorten(&page);
    put_title(&page);
    put_blank(&page, 1);
    if (page.plan.banner)
        put_banner(&page);
    if (page.plan.heading)
        jp_top_table_heading(&page);
    if (page.plan.total > 0)
        jp_top_table_total(&page);
    jp_top_table_channels(&page);
    put_blank(&page, 2);
    jp_top_gauges_put(&page);
    for (int i = 0; i < JP_TOP_NOTES; i++)
        if (page.plan.notes[i])
            jp_top_note_put(&page, (enum jp_top_note)i);
    below = paper->rows - lines_of(&page.plan); // the key is the last line of the screen
    if (page.plan.key && page.plan.blanks >= 3)
        for (int i = 0; i <= below; i++)
            jp_ink_end(&page.ink);
    if (page.plan.key)
        put_key(&page);
}
