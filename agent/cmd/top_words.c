// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them.
#include "top_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void jp_word_watts(int64_t mw, char *out)
{
    int64_t size = llabs(mw);
    int decimals = size < 100000 ? 3 : size < 1000000 ? 2 : size < 10000000 ? 1 : 0;

    snprintf(out, JP_WORD_MAX, "%.*f", decimals, (double)mw / 1e3);
}

// The value in the largest unit that leaves a digit before the point.
static void scale(double value, const char *const *units, int decimals, char *out)
{
    while (units[1] && (value >= 1000 || value <= -1000)) {
        value /= 1000;
        units++;
    }
    snprintf(out, JP_WORD_MAX, "%.*f %s", decimals, value, units[0]);
}

void jp_word_joules(int64_t mj, char *out)
{
    static const char *const units[] = {"J", "kJ", "MJ", "GJ", "TJ", NULL};

    scale((double)mj / 1e3, units, 3, out);
}

void jp_word_grams(int64_t ug, char *out)
{
    static const char *const units[] = {"mg", "g", "kg", "t", NULL};

    scale((double)ug / 1e3, units, 3, out);
}

void jp_word_bytes(int64_t bytes, char *out)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", NULL};

    if (bytes < 1000)
        snprintf(out, JP_WORD_MAX, "%" PRId64 " B", bytes);
    else
        scale((double)bytes / 1e3, units, 1, out);
}

void jp_word_time(int64_t ms, char *out)
{
    int64_t s = ms < 0 ? 0 : ms / 1000;
    char days[24] = "";

    if (s >= 86400)
        snprintf(days, sizeof days, "%" PRId64 " d ", s / 86400);
    snprintf(out, JP_WORD_MAX, "%s%d:%02d:%02d", days, (int)(s / 3600 % 24), (int)(s / 60 % 60), (int)(s % 60));
}

void jp_word_gauge(int64_t milli, const char *unit, char *out)
{
    if (strcmp(unit, "MHz") == 0)
        snprintf(out, JP_WORD_MAX, "%.0f MHz", (double)milli / 1e3);
    else if (strcmp(unit, "%") == 0)
        snprintf(out, JP_WORD_MAX, "%.0f %%", (double)milli / 1e3);
    else if (strcmp(unit, "C") == 0)
        snprintf(out, JP_WORD_MAX, "%.1f C", (double)milli / 1e3);
    else
        snprintf(out, JP_WORD_MAX, "%.6g%s%s", (double)milli / 1e3, unit[0] ? " " : "", unit);
}
