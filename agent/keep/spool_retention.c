// SPDX-License-Identifier: Apache-2.0
// Letting go, oldest first: what was released, what is too much, what is too old. GAPs before the unlink.
#include "spool_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DAYS_EVERY_MS 3600000 // a day's border may be met an hour late
#define TRIM_MAX 20000        // segments in one call; the rest goes with the next
#define SACRIFICE_MAX 8       // of them unreleased: more than a commit fills, and each has to be read first
#define BARREN_MAX 2          // in a row that brought no room, their GAPs having taken it

// Quarantine -------------------------------------------------------------------------------------
struct bad {
    uint64_t lowest;
    int count;
};

static int count_bad(void *context, const char *name)
{
    struct bad *bad = context;
    char plain[32];
    size_t size = strlen(name);
    uint64_t number;

    if (size <= 4 || size - 4 >= sizeof plain || strcmp(name + size - 4, ".bad") != 0)
        return 0;
    memcpy(plain, name, size - 4);
    plain[size - 4] = '\0';
    if (!jp_segment_number(plain, &number))
        return 0;
    bad->count++;
    if (bad->lowest == 0 || number < bad->lowest)
        bad->lowest = number;
    return 0;
}

static int aside_path(const struct jp_spool *spool, uint64_t number, const char *suffix, char path[JP_PATH_MAX])
{
    size_t size, more = strlen(suffix) + 1;
    int rc = jp_segment_path(path, spool->dir, number);

    size = rc ? 0 : strlen(path);
    if (rc == 0 && size + more > JP_PATH_MAX)
        rc = -ENAMETOOLONG;
    if (rc == 0)
        memcpy(path + size, suffix, more);
    return rc;
}

static int bad_path(const struct jp_spool *spool, uint64_t number, char path[JP_PATH_MAX])
{
    return aside_path(spool, number, ".bad", path);
}

// One round more than can be needed: a name that cannot be removed is left.
static void thin_out(struct jp_spool *spool)
{
    char path[JP_PATH_MAX];

    for (int i = 0; i < 2; i++) {
        struct bad bad = {0};

        if (spool->fs->list(spool->fs, spool->dir, count_bad, &bad) || bad.count <= JP_SPOOL_BAD_MAX ||
            bad_path(spool, bad.lowest, path) || spool->fs->unlink(spool->fs, path))
            return;
    }
}

// Keeps the lowest numbers above `lowest`, rising.
static int take_after(void *context, const char *name)
{
    struct jp_spool *spool = context;
    uint64_t number;
    int i;

    if (!jp_segment_number(name, &number) || number <= spool->lowest || number > spool->highest)
        return 0;
    if (spool->after_count == JP_SPOOL_AFTER && number > spool->after[JP_SPOOL_AFTER - 1])
        return 0;
    if (spool->after_count < JP_SPOOL_AFTER)
        spool->after_count++;
    for (i = spool->after_count - 1; i > 0 && spool->after[i - 1] > number; i--)
        spool->after[i] = spool->after[i - 1];
    spool->after[i] = number;
    return 0;
}

// Takes a segment out of the books once its name is gone.
static void strike(struct jp_spool *spool, uint64_t number, int64_t bytes)
{
    spool->used_bytes -= bytes;
    if (number == spool->weighed) {
        spool->counts.dropped++;
        spool->weighed = 0;
    }
    if (number != spool->lowest)
        return;
    if (spool->after_count == 0 && spool->fs->list(spool->fs, spool->dir, take_after, spool)) {
        spool->after_count = 0;
        spool->lowest++; // not known: looked at again when its turn comes
        return;
    }
    spool->lowest = spool->after_count > 0 ? spool->after[0] : 0;
    if (spool->after_count > 0)
        memmove(spool->after, spool->after + 1, sizeof spool->after[0] * (size_t)--spool->after_count);
}

// Of thousands only the first few need a look at the folder.
static void keep_newest(struct jp_spool *spool, uint64_t number)
{
    char path[JP_PATH_MAX];

    if (spool->bad_count < JP_SPOOL_BAD_MAX) {
        spool->bad[spool->bad_count++] = number;
        thin_out(spool);
        return;
    }
    if (bad_path(spool, spool->bad[0], path) == 0)
        spool->fs->unlink(spool->fs, path);
    memmove(spool->bad, spool->bad + 1, sizeof spool->bad[0] * (JP_SPOOL_BAD_MAX - 1));
    spool->bad[JP_SPOOL_BAD_MAX - 1] = number;
}

// Written by a joulepost of another format: not for us to judge, nor to let go.
static bool is_of_other_format(struct jp_spool *spool, uint64_t number)
{
    bool other = jp_frames_open(&spool->weigher.file, spool->dir, number) == -EPROTONOSUPPORT;

    jp_frames_close(&spool->weigher.file);
    return other;
}

int jp_spool_quarantine(struct jp_spool *spool, uint64_t number)
{
    char path[JP_PATH_MAX], aside[JP_PATH_MAX];
    int64_t bytes = jp_segment_size(spool->fs, spool->dir, number);
    bool other = is_of_other_format(spool, number);
    int rc = jp_segment_path(path, spool->dir, number);

    if (rc == 0)
        rc = aside_path(spool, number, other ? ".other" : ".bad", aside);
    if (rc == 0)
        rc = spool->fs->rename(spool->fs, path, aside);
    if (rc)
        return rc;
    spool->counts.quarantined++;
    strike(spool, number, bytes);
    if (!other)
        keep_newest(spool, number);
    return 0;
}

void jp_spool_keep_evidence(struct jp_spool *spool, uint64_t number)
{
    for (int i = 0; i < spool->evidence_count; i++)
        if (spool->evidence[i] == number)
            return;
    if (spool->evidence_count == JP_SPOOL_BAD_MAX) // the newest stay
        memmove(spool->evidence, spool->evidence + 1, sizeof spool->evidence[0] * (JP_SPOOL_BAD_MAX - 1));
    else
        spool->evidence_count++;
    spool->evidence[spool->evidence_count - 1] = number;
}

static bool is_evidence(const struct jp_spool *spool, uint64_t number)
{
    for (int i = 0; i < spool->evidence_count; i++)
        if (spool->evidence[i] == number)
            return true;
    return false;
}

// Going ------------------------------------------------------------------------------------------
static bool is_open(const struct jp_spool *spool, uint64_t number)
{
    return spool->fd >= 0 && number == spool->highest;
}

// The oldest segment goes; nothing above the saved cursor may lie in it. 0, or -errno.
static int drop_lowest(struct jp_spool *spool)
{
    char path[JP_PATH_MAX];
    uint64_t number = spool->lowest;
    int64_t bytes = jp_segment_size(spool->fs, spool->dir, number);
    int rc = 0;

    if (spool->saved.segment <= number) // durable before any unlink
        rc = jp_spool_save(spool, true);
    if (rc == 0 && is_evidence(spool, number))
        return jp_spool_quarantine(spool, number);
    if (rc == 0)
        rc = jp_segment_path(path, spool->dir, number);
    if (rc == 0)
        rc = spool->fs->unlink(spool->fs, path);
    if (rc == -EISDIR || rc == -EPERM) { // nothing of ours
        rc = jp_spool_quarantine(spool, number);
        if (rc == -EPERM || rc == -EISDIR || rc == -ENOTEMPTY || rc == -EEXIST)
            strike(spool, number, 0); // it stays, and is passed by
        return 0;
    }
    if (rc && rc != -ENOENT)
        return rc;
    strike(spool, number, rc == 0 ? bytes : 0);
    return 0;
}

int jp_spool_give_up_released(struct jp_spool *spool)
{
    int rc;

    if (spool->lowest == 0 || spool->lowest >= spool->cursor.segment || is_open(spool, spool->lowest))
        return 0;
    rc = drop_lowest(spool);
    return rc ? rc : 1;
}

// Whether the oldest segment has resisted for so long that what cannot be read of it counts as damage.
static bool is_hopeless(struct jp_spool *spool)
{
    if (spool->unweighed != spool->lowest) {
        spool->unweighed = spool->lowest;
        spool->unweighed_ms = spool->header.boot_ms;
    }
    return spool->header.boot_ms - spool->unweighed_ms >= JP_SPOOL_RETRY_MS;
}

// The next frame to weigh. enum jp_spool_next, or -errno.
static int next_to_weigh(struct jp_spool *spool, struct jp_frame *frame)
{
    int rc = jp_spool_reader_next(&spool->weigher, frame);

    if (rc < 0)
        rc = jp_spool_reader_next(&spool->weigher, frame);
    if (rc < 0 && is_hopeless(spool)) {
        jp_spool_keep_evidence(spool, spool->lowest);
        rc = jp_spool_reader_pass(&spool->weigher, frame);
    }
    return rc;
}

// Shows the unreleased frames of the oldest segment to the owner, who appends what is to be remembered. 0, or
// -errno and nothing is held.
static int weigh(struct jp_spool *spool, enum jp_spool_reason reason)
{
    struct jp_spool_reader *reader = &spool->weigher;
    struct jp_pos from = {spool->lowest, 0};
    struct jp_frame frame;
    int rc;

    if (!spool->calls.weigh)
        return 0;
    reader->file.header = (struct jp_segment_header){0};
    if (spool->cursor.segment == spool->lowest)
        from = spool->cursor;
    jp_spool_reader_seek(reader, from);
    reader->end = (struct jp_pos){spool->lowest + 1, 0};
    while ((rc = next_to_weigh(spool, &frame)) >= 0 && rc != JP_SPOOL_END) {
        if (rc == JP_SPOOL_FRAME && frame.type != JP_FRAME_SEAL)
            spool->calls.weigh(spool->calls.context, spool, reason, &reader->file.header, &frame);
        if (spool->held_bytes > JP_SPOOL_HELD_MAX / 2)
            jp_spool_flush(spool); // that it failed shows again at the end
    }
    jp_frames_close(&reader->file);
    spool->calls.weigh(spool->calls.context, spool, reason, &reader->file.header, NULL);
    if (rc < 0)
        jp_spool_forget(spool);
    return rc < 0 ? rc : 0;
}

// The oldest segment goes although nobody has released it: first what goes is made durable, then the cursor.
static int sacrifice_lowest(struct jp_spool *spool, enum jp_spool_reason reason)
{
    uint64_t number = spool->lowest;
    struct jp_pos above = {number + 1, 0};
    int rc = spool->weighed == number ? 0 : weigh(spool, reason);

    if (rc)
        return rc;
    spool->weighed = number;
    rc = jp_spool_flush(spool);
    if (rc)
        return rc;
    if (jp_pos_compare(spool->cursor, above) < 0)
        spool->cursor = above;
    if (jp_pos_compare(spool->handed, above) < 0)
        spool->handed = above;
    if (jp_pos_compare(spool->reader.at, above) < 0)
        jp_spool_reader_seek(&spool->reader, above);
    spool->cursor_moved = true;
    return drop_lowest(spool);
}

// Bytes that will be taken when the open segment has grown and another has followed it.
static int64_t bytes_ahead(const struct jp_spool *spool)
{
    int64_t growth = spool->fd >= 0 && !spool->appends ? spool->segment_bytes - spool->filled : 0;

    return spool->used_bytes + (growth > 0 ? growth : 0) + spool->segment_bytes +
           (spool->has_spare ? 0 : spool->extent);
}

// A segment is as old as its end, which is where the next begins. Only clocks that were right count.
static bool is_old(struct jp_spool *spool, const struct jp_spool_now *now)
{
    struct jp_segment_header header = spool->header;
    uint64_t next, highest;
    int rc;

    if (jp_segment_find(spool->fs, spool->dir, spool->lowest, &next, &highest) || next == 0)
        return false;
    rc = jp_frames_open(&spool->weigher.file, spool->dir, next);
    if (rc > 0)
        header = spool->weigher.file.header;
    jp_frames_close(&spool->weigher.file);
    return rc > 0 && strcmp(header.clock, "synced") == 0 && now->real_ms - header.real_ms > spool->keep_days_ms;
}

static bool is_ended(const struct jp_spool *spool)
{
    return spool->lowest > 0 && spool->lowest <= spool->highest && !is_open(spool, spool->lowest);
}

// What may still be sacrificed in this call.
struct budget {
    int left, barren;
    int64_t least_bytes; // taken so far
};

static int let_go(struct jp_spool *spool, enum jp_spool_reason reason, struct budget *budget)
{
    int rc;

    if (spool->lowest < spool->cursor.segment)
        return drop_lowest(spool);
    rc = sacrifice_lowest(spool, reason);
    budget->left--;
    budget->barren++;
    if (spool->used_bytes < budget->least_bytes) {
        budget->least_bytes = spool->used_bytes;
        budget->barren = 0;
    }
    return rc;
}

int jp_spool_trim(struct jp_spool *spool, const struct jp_spool_now *now)
{
    struct budget budget = {.left = SACRIFICE_MAX, .least_bytes = spool->used_bytes};
    bool look = spool->keep_days_ms > 0 && now->synced && now->boot_ms >= spool->days_at_ms;
    int rc = 0;

    for (int i = 0; i < TRIM_MAX && rc == 0 && is_ended(spool); i++) {
        if (budget.left == 0 || budget.barren == BARREN_MAX)
            return 0;                        // keep_days too is looked at again with the next call
        if (spool->weighed == spool->lowest) // its GAPs are durable
            rc = let_go(spool, JP_SPOOL_FULL, &budget);
        else if (spool->lowest < spool->cursor.segment && !spool->keep_all)
            rc = drop_lowest(spool);
        else if (bytes_ahead(spool) > spool->max_bytes)
            rc = let_go(spool, JP_SPOOL_FULL, &budget);
        else if (look && is_old(spool, now))
            rc = let_go(spool, JP_SPOOL_OLD, &budget);
        else
            break;
    }
    if (look)
        spool->days_at_ms = now->boot_ms + DAYS_EVERY_MS;
    return rc;
}
