// SPDX-License-Identifier: Apache-2.0
// A table of anchors, sorted by boot and time.
#include "anchors.h"

#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int jp_anchors_boot(struct jp_anchors *anchors, const char *boot)
{
    // Boots follow each other: the one asked for is nearly always the last.
    for (size_t i = anchors->boot_count; i-- > 0;)
        if (strcmp(anchors->boots[i], boot) == 0)
            return (int)i;
    if (anchors->boot_count == anchors->boot_room) {
        size_t room = anchors->boot_room ? anchors->boot_room * 2 : 8;
        void *more = realloc(anchors->boots, room * sizeof *anchors->boots);

        if (!more)
            return -ENOMEM;
        anchors->boots = more;
        anchors->boot_room = room;
    }
    snprintf(anchors->boots[anchors->boot_count], sizeof *anchors->boots, "%s", boot);
    return (int)anchors->boot_count++;
}

static bool same(const struct jp_anchor_row *a, const struct jp_anchor_row *b)
{
    return a->boot == b->boot && a->off_ms == b->off_ms && a->clock == b->clock && a->stated == b->stated;
}

int jp_anchors_add(struct jp_anchors *anchors, int boot, const struct jp_anchor *anchor, bool stated)
{
    struct jp_anchor_row row = {anchor->boot_ms, anchor->off_ms, boot, (int8_t)anchor->clock, stated, -1, -1};
    size_t n = anchors->count;

    if (anchor->clock < JP_CLOCK_UNSYNCED || anchor->clock > JP_CLOCK_ESTIMATED)
        row.clock = JP_CLOCK_UNSYNCED;
    // Of equal ones in a row the first and the last say all.
    if (n >= 2 && same(&anchors->rows[n - 1], &row) && same(&anchors->rows[n - 2], &row) &&
        anchors->rows[n - 1].boot_ms <= row.boot_ms) {
        anchors->rows[n - 1].boot_ms = row.boot_ms;
        return 0;
    }
    if (n == JP_ANCHORS_MAX)
        return 0;
    if (n == anchors->room) {
        size_t room = n ? n * 2 : 64;
        struct jp_anchor_row *more = realloc(anchors->rows, room * sizeof *more);

        if (!more)
            return -ENOMEM;
        anchors->rows = more;
        anchors->room = room;
    }
    anchors->rows[anchors->count++] = row;
    return 0;
}

static int in_order(const void *a, const void *b)
{
    const struct jp_anchor_row *x = a, *y = b;

    if (x->boot != y->boot)
        return x->boot < y->boot ? -1 : 1;
    if (x->stated != y->stated)
        return x->stated ? -1 : 1;
    return x->boot_ms < y->boot_ms ? -1 : x->boot_ms > y->boot_ms;
}

// Within a boot stated rows come first: others of that boot go.
static size_t without_headers(struct jp_anchor_row *rows, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (rows[i].stated || kept == 0 || rows[kept - 1].boot != rows[i].boot || !rows[kept - 1].stated)
            rows[kept++] = rows[i];
    return kept;
}

void jp_anchors_ready(struct jp_anchors *anchors)
{
    struct jp_anchor_row *rows = anchors->rows;

    if (anchors->count == 0)
        return;
    qsort(rows, anchors->count, sizeof *rows, in_order);
    anchors->count = without_headers(rows, anchors->count);
    for (size_t i = 0; i < anchors->count; i++) {
        if (rows[i].clock != JP_CLOCK_UNSYNCED)
            rows[i].before = (int32_t)i;
        else
            rows[i].before = i > 0 && rows[i - 1].boot == rows[i].boot ? rows[i - 1].before : -1;
    }
    for (size_t i = anchors->count; i-- > 0;) {
        if (rows[i].clock != JP_CLOCK_UNSYNCED)
            rows[i].after = (int32_t)i;
        else
            rows[i].after = i + 1 < anchors->count && rows[i + 1].boot == rows[i].boot ? rows[i + 1].after : -1;
    }
}

static uint64_t distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

// The nearer of two rows, either of which may be -1.
static int32_t nearer(const struct jp_anchors *anchors, int32_t a, int32_t b, int64_t boot_ms)
{
    if (a < 0 || b < 0)
        return a < 0 ? b : a;
    return distance(anchors->rows[a].boot_ms, boot_ms) <= distance(anchors->rows[b].boot_ms, boot_ms) ? a : b;
}

bool jp_anchors_find(const struct jp_anchors *anchors, int boot, int64_t boot_ms, int64_t *off_ms, int *clock)
{
    const struct jp_anchor_row *rows = anchors->rows;
    size_t low = 0, high = anchors->count;
    int32_t own, next, best;

    // The first row above the moment.
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (rows[middle].boot < boot || (rows[middle].boot == boot && rows[middle].boot_ms <= boot_ms))
            low = middle + 1;
        else
            high = middle;
    }
    own = low > 0 && rows[low - 1].boot == boot ? (int32_t)low - 1 : -1;
    next = low < anchors->count && rows[low].boot == boot ? (int32_t)low : -1;
    if (own < 0 && next < 0)
        return false;
    best = nearer(anchors, own < 0 ? -1 : rows[own].before, next < 0 ? -1 : rows[next].after, boot_ms);
    if (own < 0)
        own = next;
    if (best < 0) {
        *off_ms = rows[nearer(anchors, own, next, boot_ms)].off_ms;
        *clock = JP_CLOCK_UNSYNCED;
        return true;
    }
    *off_ms = rows[best].off_ms;
    *clock = rows[own].clock == JP_CLOCK_SYNCED ? rows[best].clock : JP_CLOCK_ESTIMATED;
    return true;
}

void jp_anchors_free(struct jp_anchors *anchors)
{
    free(anchors->rows);
    free(anchors->boots);
    *anchors = (struct jp_anchors){.count = 0};
}
