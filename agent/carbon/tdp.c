// SPDX-License-Identifier: Apache-2.0
// Matches a CPU's name against the table of thermal design powers.
#include "tdp.h"

#include "tables.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MODEL_MAX 192
#define WORDS_MAX 24

struct words {
    const char *at[WORDS_MAX];
    size_t length[WORDS_MAX];
    int count;
};

static int64_t exact(const char *model)
{
    for (int i = 0; i < jp_tdp_row_count; i++)
        if (strcasecmp(jp_tdp_rows[i].model, model) == 0)
            return jp_tdp_rows[i].mw;
    return 0;
}

// Takes every `what` out of text.
static void cut_all(char *text, const char *what)
{
    size_t size = strlen(what);
    char *at;

    while ((at = strstr(text, what)))
        memmove(at, at + size, strlen(at + size) + 1);
}

// Takes out " @ n.nnGHz": digits, a point, digits.
static void cut_clock(char *text)
{
    char *at = strstr(text, " @"), *end = at ? at + 2 : NULL;
    size_t digits;

    if (!at)
        return;
    end += strspn(end, " \t");
    digits = strspn(end, "0123456789");
    if (digits == 0 || end[digits] != '.')
        return;
    end += digits + 1;
    digits = strspn(end, "0123456789");
    if (digits == 0 || strncmp(end + digits, "GHz", 3) != 0)
        return;
    end += digits + 3;
    memmove(at, end, strlen(end) + 1);
}

static void simplify(const char *model, char *out)
{
    char *at;

    memcpy(out, model, strlen(model) + 1);
    cut_all(out, "(R)");
    at = strstr(out, " CPU @ ");
    if (at && at > out)
        *at = '\0';
    cut_all(out, " CPU");
    cut_clock(out);
}

// The distinct words of text; a text with more than WORDS_MAX matches nothing (count 0).
static void split(const char *text, struct words *words)
{
    words->count = 0;
    while (*(text += strspn(text, " \t"))) {
        size_t length = strcspn(text, " \t");
        bool seen = false;

        for (int i = 0; i < words->count && !seen; i++)
            seen = words->length[i] == length && strncasecmp(words->at[i], text, length) == 0;
        if (!seen && words->count == WORDS_MAX) {
            words->count = 0;
            return;
        }
        if (!seen) {
            words->at[words->count] = text;
            words->length[words->count++] = length;
        }
        text += length;
    }
}

static int common(const struct words *a, const struct words *b)
{
    int n = 0;

    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++)
            n += a->length[i] == b->length[j] && strncasecmp(a->at[i], b->at[j], a->length[i]) == 0;
    return n;
}

// The only row whose words contain, or are contained in, those of `model`.
static int64_t by_words(const char *model)
{
    struct words wanted, row;
    int64_t mw = 0;
    int found = 0, both;

    split(model, &wanted);
    for (int i = 0; i < jp_tdp_row_count && found < 2; i++) {
        split(jp_tdp_rows[i].model, &row);
        both = common(&wanted, &row);
        if (both == 0 || (both != wanted.count && both != row.count))
            continue;
        found++;
        mw = jp_tdp_rows[i].mw;
    }
    return found == 1 ? mw : 0;
}

int64_t jp_tdp_mw(const char *model)
{
    char simple[MODEL_MAX];
    int64_t mw = exact(model);

    if (mw || strlen(model) >= sizeof simple)
        return mw;
    simplify(model, simple);
    mw = exact(simple);
    return mw ? mw : by_words(simple);
}

int64_t jp_tdp_machine_mw(const char *model, int threads, int sockets)
{
    int64_t mw;

    if (sockets < 1)
        sockets = 1;
    mw = model ? jp_tdp_mw(model) : 0;
    if (mw)
        return mw * sockets;
    return threads > 0 ? (int64_t)4000 * threads * sockets : 85000;
}
