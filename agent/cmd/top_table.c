// SPDX-License-Identifier: Apache-2.0
// The total and the channels as a tree, in columns that make the best of the width.
#include "top_parts.h"
#include "top_words.h"

#include <stdio.h>
#include <string.h>

#define NOW 9     // columns of a power and what parts it from the one before
#define ENERGY 12 // of an energy
#define MEANS (3 * 8)
#define SPARK_MIN 8
#define MINUTE_MS 60000

static int name_width(const struct jp_top *top)
{
    int width = (int)sizeof "channel" - 1;

    for (int i = 0; i < top->row_count; i++)
        width = jp_larger(width, 2 + 2 * top->rows[i].depth + jp_ink_width(top->rows[i].name));
    return width;
}

static int roles_width(const struct jp_top *top)
{
    int width = 0;

    for (int i = 0; i < top->row_count; i++)
        width = jp_larger(width, jp_ink_width(top->rows[i].roles));
    return jp_smaller(width, 20);
}

static int windows_in(const struct jp_top *top, int ms)
{
    return top->window_ms > 0 ? jp_larger(1, ms / top->window_ms) : 1;
}

void jp_top_table_lay_out(struct jp_top_page *page)
{
    const struct jp_top *top = page->top;
    struct jp_top_table *table = &page->table;
    int x = table->x = page->paper->screen ? 1 : 0;
    int room = page->ink.columns - x - NOW - ENERGY;
    int name = jp_smaller(name_width(top), jp_larger(room, 8)), roles = roles_width(top);
    bool wide = !page->paper->screen || page->ink.columns > 110;
    bool means = page->paper->screen || top->total.series.count > 1;

    room -= name;
    table->name = name;
    x += name;
    if (wide && roles > 0 && room > roles + 2) {
        table->roles = x + 2;
        x += roles + 2;
        room -= roles + 2;
    }
    table->now_end = x += NOW;
    means = means && room >= MEANS + (page->paper->screen ? SPARK_MIN + 2 : 0);
    room -= means ? MEANS + 2 : 2;
    if (page->paper->screen && room >= SPARK_MIN) {
        table->spark = x + 2;
        table->spark_width = jp_smaller(room, JP_TOP_SPARK_MAX);
        table->per = (windows_in(top, MINUTE_MS) + table->spark_width - 1) / table->spark_width;
        x += 2 + table->spark_width;
    }
    if (means) {
        table->means = x;
        x += MEANS;
    }
    table->end = x + ENERGY;
}

void jp_top_table_heading(struct jp_top_page *page)
{
    const struct jp_top_table *table = &page->table;
    struct jp_ink *ink = &page->ink;
    char text[64];

    jp_ink_to(ink, table->x);
    jp_ink_put(ink, JP_INK_DIM, "channel");
    jp_ink_before(ink, JP_INK_DIM, "now W", table->now_end);
    if (table->spark) {
        int seconds = (int)((int64_t)table->spark_width * table->per * page->top->window_ms / 1000);

        snprintf(text, sizeof text, seconds < 120 ? "last %d s" : "last %d min",
                 seconds < 120 ? seconds : seconds / 60);
        jp_ink_to(ink, table->spark);
        jp_ink_fit(ink, JP_INK_DIM, text, table->spark_width);
    }
    if (table->means) {
        jp_ink_before(ink, JP_INK_DIM, "min", table->means + 8);
        jp_ink_before(ink, JP_INK_DIM, "mean", table->means + 16);
        jp_ink_before(ink, JP_INK_DIM, "max", table->means + 24);
    }
    jp_ink_before(ink, JP_INK_DIM, "energy", table->end);
    jp_ink_end(ink);
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = strstr(words, word); at; at = strstr(at + 1, word))
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

// One of them alone has a colour of its own.
static enum jp_style style_of(const struct jp_top_row *row)
{
    bool cpu = has_word(row->roles, "cpu") || has_word(row->roles, "core") || has_word(row->roles, "package");
    bool gpu = has_word(row->roles, "gpu"), ram = has_word(row->roles, "ram") || has_word(row->roles, "dram");

    if (cpu + gpu + ram != 1)
        return JP_INK_DIM;
    return cpu ? JP_INK_CPU : gpu ? JP_INK_GPU : JP_INK_RAM;
}

// A cause is told where there is no power.
static bool has_cause(const struct jp_top_page *page, const struct jp_top_row *row)
{
    return !row->power_known && row->cause[0] && !page->top->away_ms;
}

static void put_spark(struct jp_top_page *page, const struct jp_top_row *row, bool total)
{
    static const char *const blocks[JP_TOP_LEVELS] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                                      "\u2585", "\u2586", "\u2587"};
    static const char *const ascii[JP_TOP_LEVELS] = {"_", ".", "-", "~", "=", "+", "#"};
    const struct jp_top_table *table = &page->table;
    bool told = has_cause(page, row);
    int width = table->spark_width - (told ? jp_ink_width(row->cause) + 1 : 0);
    int8_t levels[JP_TOP_SPARK_MAX];

    if (width > 0 && page->top->any) {
        jp_top_spark(&row->series, page->top->seq, table->per, width, levels);
        for (int i = 0; i < width; i++)
            jp_ink_put(&page->ink, total ? JP_INK_BOLD : style_of(row),
                       levels[i] < 0 ? " " : (page->ink.utf8 ? blocks : ascii)[levels[i]]);
    }
    if (told)
        jp_ink_before(&page->ink, JP_INK_BAD, row->cause, table->spark + table->spark_width);
}

static void put_mean(struct jp_top_page *page, const struct jp_top_series *series, int64_t mw, int end)
{
    char text[JP_WORD_MAX] = "-";

    if (series->count > 0)
        jp_word_watts(mw, text);
    jp_ink_before(&page->ink, JP_INK_DIM, text, end);
}

static void put_numbers(struct jp_top_page *page, const struct jp_top_row *row, bool total)
{
    const struct jp_top_table *table = &page->table;
    const struct jp_top_series *series = &row->series;
    enum jp_style style = total ? JP_INK_BOLD : JP_INK_PLAIN;
    char text[JP_WORD_MAX + 1] = "~-";

    if (row->power_known && !page->top->away_ms)
        jp_word_watts(row->mw, text + 1);
    else
        style = JP_INK_DIM;
    jp_ink_before(&page->ink, style, text + !row->modelled, table->now_end);
    if (table->spark) {
        jp_ink_to(&page->ink, table->spark);
        put_spark(page, row, total);
    }
    if (table->means) {
        put_mean(page, series, series->min_mw, table->means + 8);
        put_mean(page, series, series->count > 0 ? series->sum_mw / series->count : 0, table->means + 16);
        put_mean(page, series, series->max_mw, table->means + 24);
    }
    snprintf(text, sizeof text, "-");
    if (row->energy_known)
        jp_word_joules(row->mj, text);
    jp_ink_before(&page->ink, total ? JP_INK_BOLD : JP_INK_PLAIN, text, table->end);
    if (!table->spark && has_cause(page, row))
        jp_ink_say(&page->ink, JP_INK_BAD, "  %s", row->cause);
    jp_ink_end(&page->ink);
}

void jp_top_table_total(struct jp_top_page *page)
{
    const struct jp_top *top = page->top;
    char text[JP_WORD_MAX + 8] = "unknown grid";
    bool known = top->factor.known && top->total.energy_known;

    jp_ink_to(&page->ink, page->table.x);
    if (!top->total_known) {
        jp_ink_put(&page->ink, JP_INK_DIM, "no total: nobody has said which rails make it");
        jp_ink_end(&page->ink);
        return;
    }
    jp_ink_put(&page->ink, JP_INK_BOLD, "total");
    put_numbers(page, &top->total, true);
    if (page->plan.total < 2)
        return;
    if (known) {
        jp_word_grams(jp_emissions_ug(top->total.mj, top->pue, top->factor.g_per_kwh), text);
        memcpy(text + strlen(text), " CO2e", sizeof " CO2e");
    } else if (top->factor.known)
        snprintf(text, sizeof text, "-");
    jp_ink_to(&page->ink, page->table.x);
    jp_ink_fit(&page->ink, JP_INK_DIM, top->total_how, page->table.end - page->table.x - jp_ink_width(text) - 2);
    jp_ink_before(&page->ink, known ? JP_INK_BOLD : JP_INK_DIM, text, page->table.end);
    jp_ink_end(&page->ink);
}

static void put_row(struct jp_top_page *page, const struct jp_top_row *row)
{
    const struct jp_top_table *table = &page->table;
    int x = table->x + 2 + 2 * row->depth;

    jp_ink_to(&page->ink, table->x);
    jp_ink_put(&page->ink, JP_INK_PLAIN, row->in_total ? "+" : " ");
    jp_ink_to(&page->ink, x);
    jp_ink_fit(&page->ink, JP_INK_PLAIN, row->name, table->x + table->name - x);
    if (table->roles) {
        jp_ink_to(&page->ink, table->roles);
        jp_ink_fit(&page->ink, JP_INK_DIM, row->roles, table->now_end - NOW - table->roles);
    }
    put_numbers(page, row, false);
}

// What makes the total first, then by depth.
static void choose(const struct jp_top_page *page, bool *shown)
{
    const struct jp_top *top = page->top;
    int left =
        page->plan.channels < top->row_count ? page->plan.channels - 1 : top->row_count; // one line says the rest

    for (int i = 0; i < top->row_count && left > 0; i++)
        if (top->rows[i].in_total) {
            shown[i] = true;
            left--;
        }
    for (int depth = 0; depth < JP_CHANNELS_MAX && left > 0; depth++)
        for (int i = 0; i < top->row_count && left > 0; i++)
            if (top->rows[i].depth == depth && !shown[i]) {
                shown[i] = true;
                left--;
            }
}

void jp_top_table_channels(struct jp_top_page *page)
{
    bool shown[JP_CHANNELS_MAX] = {false};
    int count = 0;

    choose(page, shown);
    for (int i = 0; i < page->top->row_count; i++) {
        if (!shown[i])
            continue;
        put_row(page, &page->top->rows[i]);
        count++;
    }
    if (count < page->top->row_count && page->plan.channels > 0) {
        jp_ink_to(&page->ink, page->table.x + 2);
        jp_ink_say(&page->ink, JP_INK_DIM, "and %d more", page->top->row_count - count);
        jp_ink_end(&page->ink);
    }
}
