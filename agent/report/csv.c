// SPDX-License-Identifier: Apache-2.0
// Windows as rows of a table.
#define _POSIX_C_SOURCE 200809L
#include "csv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

void jp_csv_put(FILE *out, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            putc('"', out);
        putc(*text, out);
    }
    putc('"', out);
}

void jp_csv_time(int64_t t_ms, char text[32])
{
    int64_t ms = (t_ms % 1000 + 1000) % 1000;
    time_t seconds = (time_t)(t_ms / 1000 - (t_ms % 1000 < 0));
    struct tm when;
    size_t n;

    text[0] = '\0';
    if (!gmtime_r(&seconds, &when) || when.tm_year < -1900 || when.tm_year > 8099)
        return;
    n = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &when);
    snprintf(text + n, 32 - n, ".%03dZ", (int)ms);
}

static int written(FILE *out)
{
    if (!ferror(out))
        return 0;
    return errno ? -errno : -EIO;
}

static void put_name(FILE *out, const char *name, const char *ending)
{
    char text[JP_NAME_MAX + 16];

    snprintf(text, sizeof text, "%s%s", name, ending);
    putc(',', out);
    jp_csv_put(out, text);
}

int jp_csv_header(const struct jp_history *history, FILE *out)
{
    errno = 0;
    fputs("time,t_ms,clock,boot_ms,span_ms,device,run,seq", out);
    for (int i = 0; i < history->name_count; i++)
        put_name(out, history->names_seen[i], "_mj");
    fputs(",total_mj,emissions_ug", out);
    for (int i = 0; i < history->name_count; i++)
        put_name(out, history->names_seen[i], "_covered_ms");
    fputs(",total_covered_ms\n", out);
    return written(out);
}

static void put_known(FILE *out, bool known, int64_t value)
{
    if (known)
        fprintf(out, ",%" PRId64, value);
    else
        putc(',', out);
}

// For each column the index of the window's channel, -1 none. -ENOENT when a channel has no column.
static int columns_of(const struct jp_history *history, int *channel_of)
{
    int c, i;

    for (i = 0; i < history->name_count; i++)
        channel_of[i] = -1;
    for (c = 0; c < history->window.channel_count; c++) {
        const char *name = history->names->names[c];

        // A window's channels stand in the order in which they were seen: mostly the first look finds it.
        for (i = 0; i < history->name_count; i++)
            if (strcmp(history->names_seen[(c + i) % history->name_count], name) == 0)
                break;
        if (i == history->name_count)
            return -ENOENT;
        channel_of[(c + i) % history->name_count] = c;
    }
    return 0;
}

static void put_identity(const struct jp_history *history, FILE *out)
{
    const struct jp_window *window = &history->window;
    char time[32] = "";
    int64_t t_ms;
    bool known = jp_records_t_ms(&history->head, window->t0_ms, &t_ms);

    if (known)
        jp_csv_time(t_ms, time);
    fputs(time, out);
    put_known(out, known, t_ms);
    fprintf(out, ",%s,%" PRId64 ",%" PRId64 ",", jp_clock_state_name(history->head.clock), window->t0_ms,
            window->span_ms);
    jp_csv_put(out, history->device);
    fprintf(out, ",%016" PRIx64 ",%" PRIu64, window->run, window->seq);
}

int jp_csv_row(const struct jp_history *history, FILE *out)
{
    const struct jp_window *window = &history->window;
    struct jp_window_total total = jp_window_total_of(history->names, window);
    int channel_of[JP_HISTORY_NAMES_MAX];
    int64_t ug = 0;
    bool priced = jp_window_emissions(&history->head, &total, &ug);

    if (columns_of(history, channel_of))
        return -ENOENT;
    errno = 0;
    put_identity(history, out);
    for (int i = 0; i < history->name_count; i++) {
        const struct jp_window_channel *channel = &window->channels[channel_of[i] < 0 ? 0 : channel_of[i]];

        put_known(out, channel_of[i] >= 0 && channel->known, channel->mj);
    }
    put_known(out, total.known, total.mj);
    put_known(out, priced, ug);
    for (int i = 0; i < history->name_count; i++)
        put_known(out, channel_of[i] >= 0, window->channels[channel_of[i] < 0 ? 0 : channel_of[i]].covered_ms);
    put_known(out, total.there, total.covered_ms);
    putc('\n', out);
    return written(out);
}
