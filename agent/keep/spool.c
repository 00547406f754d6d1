// SPDX-License-Identifier: Apache-2.0
// The durable spool as its owner sees it.
#include "spool.h"

#include "spool_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS 64 // retention frees whole segments, so this is the grain of max_bytes
#define FRONT_BYTES (JP_HEADER_MAX + JP_SPOOL_EXTENT)
#define MS_PER_DAY 86400000LL

static void note_time(struct jp_spool *spool, const struct jp_spool_now *now)
{
    spool->header.boot_ms = now->boot_ms;
    spool->header.real_ms = now->real_ms;
    memcpy(spool->header.clock, now->synced ? "synced" : "unsynced", now->synced ? 7 : 9);
}

static int64_t segment_bytes(int64_t max_bytes)
{
    int64_t bytes = max_bytes / SEGMENTS;

    if (bytes < JP_SPOOL_SEGMENT_MIN)
        return JP_SPOOL_SEGMENT_MIN;
    return bytes < JP_SPOOL_SEGMENT_MAX ? bytes : JP_SPOOL_SEGMENT_MAX;
}

static void release_memory(struct jp_spool *spool)
{
    jp_spool_reader_close(&spool->reader);
    jp_spool_reader_close(&spool->weigher);
    free(spool->held);
    free(spool->front);
    spool->held = spool->front = NULL;
    if (spool->slots_open)
        jp_slots_close(&spool->slots);
    spool->slots_open = false;
    if (spool->lock_fd >= 0)
        spool->fs->close(spool->fs, spool->lock_fd);
    spool->lock_fd = -1;
}

static int allocate(struct jp_spool *spool, const char *dir)
{
    int rc = jp_spool_reader_open(&spool->reader, spool->fs, dir, (struct jp_pos){0});

    if (rc == 0)
        rc = jp_spool_reader_open(&spool->weigher, spool->fs, dir, (struct jp_pos){0});
    if (rc)
        return rc;
    spool->held = malloc(JP_SPOOL_HELD_MAX);
    spool->front = malloc(FRONT_BYTES);
    return spool->held && spool->front ? 0 : -ENOMEM;
}

// Remembers how an attempt to write went.
static int note(struct jp_spool *spool, int rc, const struct jp_spool_now *now)
{
    spool->error = rc;
    spool->retry_waits = rc != 0;
    if (rc) {
        spool->counts.failures++;
        spool->retry_at_ms = now->boot_ms + JP_SPOOL_RETRY_MS;
    }
    return rc;
}

static bool must_wait(const struct jp_spool *spool, const struct jp_spool_now *now)
{
    return spool->retry_waits && now->boot_ms < spool->retry_at_ms;
}

// That letting go failed does not keep frames from being written, unless it was a write that failed.
static int trim(struct jp_spool *spool, const struct jp_spool_now *now)
{
    int rc = jp_spool_trim(spool, now);

    if (rc == 0 || spool->held_bytes > 0)
        return note(spool, rc, now);
    spool->error = rc;
    return rc;
}

int jp_spool_open(struct jp_spool *spool, const struct jp_spool_config *config, const struct jp_spool_now *now)
{
    int rc;

    *spool = (struct jp_spool){.fs = config->fs, .header = config->header, .lock_fd = -1, .fd = -1};
    spool->reader.file.fd = spool->weigher.file.fd = -1;
    if (strlen(config->dir) >= sizeof spool->dir)
        return -ENAMETOOLONG;
    memcpy(spool->dir, config->dir, strlen(config->dir) + 1);
    spool->header.version = JP_FORMAT_VERSION;
    spool->max_bytes = config->max_bytes > JP_SPOOL_MAX_BYTES_MIN ? config->max_bytes : JP_SPOOL_MAX_BYTES_MIN;
    spool->segment_bytes = segment_bytes(spool->max_bytes);
    if (config->segment_bytes > 0) {
        spool->max_bytes = config->max_bytes;
        spool->segment_bytes = config->segment_bytes;
    }
    spool->extent = spool->segment_bytes < JP_SPOOL_EXTENT ? spool->segment_bytes : JP_SPOOL_EXTENT;
    spool->keep_days_ms = config->keep_days * MS_PER_DAY;
    spool->keep_all = config->keep_all;
    spool->calls = config->calls;
    note_time(spool, now);
    rc = allocate(spool, config->dir);
    if (rc == 0)
        rc = jp_spool_attach(spool);
    if (rc == -EWOULDBLOCK || rc == -ENAMETOOLONG || rc == -ENOMEM) {
        release_memory(spool);
        return rc;
    }
    jp_spool_set_end(spool);
    note(spool, rc, now);
    return 0;
}

int jp_spool_append(struct jp_spool *spool, uint8_t type, const void *payload, size_t size)
{
    uint8_t *buffer = spool->fronting ? spool->front : spool->held;
    size_t *used = spool->fronting ? &spool->front_bytes : &spool->held_bytes;
    size_t room = spool->fronting ? FRONT_BYTES : JP_SPOOL_HELD_MAX;

    assert(buffer);
    if (size > JP_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (JP_FRAME_HEAD + size > room - *used)
        return -ENOBUFS;
    if (size > 0)
        memcpy(buffer + *used + JP_FRAME_HEAD, payload, size);
    // The number is given when it is known where the frame goes.
    jp_frame_head(buffer + *used, 0, type, buffer + *used + JP_FRAME_HEAD, size);
    *used += JP_FRAME_HEAD + size;
    if (!spool->fronting)
        spool->held_frames++;
    return 0;
}

int jp_spool_commit(struct jp_spool *spool, const struct jp_spool_now *now)
{
    int rc;

    note_time(spool, now);
    if (spool->held_bytes == 0)
        return 0;
    if (must_wait(spool, now))
        return spool->error;
    rc = note(spool, jp_spool_flush(spool), now);
    if (rc)
        return rc;
    spool->committed = spool->reader.end;
    trim(spool, now);
    return 0;
}

void jp_spool_forget(struct jp_spool *spool)
{
    spool->held_bytes = spool->held_frames = 0;
    spool->weighed = 0;
}

// Reading ----------------------------------------------------------------------------------------
// A segment that failed is read up to where it was durable: what lies behind was written again elsewhere.
static bool is_fenced(const struct jp_spool *spool, struct jp_pos at)
{
    for (int i = 0; i < JP_SPOOL_FENCES; i++)
        if (spool->fences[i].segment == at.segment && at.offset >= spool->fences[i].end)
            return at.segment > 0;
    return false;
}

// The frames that only frame others need no delivery: with nothing else between, the cursor passes them.
static void pass_furniture(struct jp_spool *spool)
{
    if (spool->lowest == 0 || jp_pos_compare(spool->cursor, spool->handed) < 0 ||
        jp_pos_compare(spool->reader.at, spool->cursor) <= 0)
        return;
    spool->cursor = spool->handed = spool->reader.at;
    spool->cursor_moved = true;
}

static bool is_furniture(uint8_t type)
{
    return type == JP_FRAME_RUN || type == JP_FRAME_ANCHOR || type == JP_FRAME_SEAL;
}

static void note_damage(struct jp_spool *spool, int what, const struct jp_frame *frame)
{
    if (what == JP_SPOOL_FOREIGN) {
        spool->counts.foreign++;
        jp_spool_quarantine(spool, frame->at.segment);
        return;
    }
    spool->counts.damaged++;
    if (what == JP_SPOOL_TORN)
        spool->counts.torn++;
    else
        jp_spool_keep_evidence(spool, frame->at.segment);
}

// The frame at hand cannot be read. A disk that is away comes back; a sector that is gone does not, nor does a file
// that somebody else owns.
static int bear_unread(struct jp_spool *spool, struct jp_frame *frame, int error)
{
    if (jp_pos_compare(spool->unread, spool->reader.at) != 0) {
        spool->unread = spool->reader.at;
        spool->unread_ms = spool->header.boot_ms;
    }
    if (spool->header.boot_ms - spool->unread_ms < JP_SPOOL_RETRY_MS)
        return error;
    return jp_spool_reader_pass(&spool->reader, frame);
}

int jp_spool_next(struct jp_spool *spool, struct jp_frame *frame)
{
    bool fenced;
    int rc;

    if (!spool->attached)
        return JP_SPOOL_END;
    do {
        rc = jp_spool_reader_next(&spool->reader, frame);
        if (rc < 0)
            rc = bear_unread(spool, frame, rc);
        fenced = rc >= 0 && rc != JP_SPOOL_END && is_fenced(spool, frame->at);
        if (fenced)
            jp_spool_reader_skip(&spool->reader);
    } while (fenced);
    if (rc == JP_SPOOL_FRAME && !is_furniture(frame->type)) {
        spool->handed = frame->next;
        spool->behind_damage = false;
        return rc;
    }
    spool->behind_damage = (spool->behind_damage || rc == JP_SPOOL_DAMAGED) && rc != JP_SPOOL_END;
    if (rc >= 0 && !spool->behind_damage)
        pass_furniture(spool);
    if (rc == JP_SPOOL_DAMAGED || rc == JP_SPOOL_TORN || rc == JP_SPOOL_FOREIGN)
        note_damage(spool, rc, frame);
    return rc;
}

void jp_spool_rewind(struct jp_spool *spool)
{
    spool->handed = spool->cursor;
    spool->behind_damage = false;
    jp_spool_reader_seek(&spool->reader, spool->cursor);
}

void jp_spool_skip(struct jp_spool *spool, struct jp_pos pos)
{
    if (jp_pos_compare(spool->handed, pos) < 0)
        spool->handed = pos;
    jp_spool_reader_seek(&spool->reader, pos);
}

void jp_spool_release(struct jp_spool *spool, struct jp_pos pos)
{
    if (jp_pos_compare(pos, spool->cursor) <= 0)
        return;
    spool->cursor = pos;
    spool->cursor_moved = true;
    pass_furniture(spool);
}

bool jp_spool_pending(const struct jp_spool *spool)
{
    return spool->attached && spool->lowest > 0 && jp_pos_compare(spool->cursor, spool->reader.end) < 0;
}

struct jp_pos jp_spool_end(const struct jp_spool *spool)
{
    return spool->reader.end;
}

struct pending {
    const struct jp_spool *spool;
    int64_t bytes;
};

static int add_pending(void *context, const char *name)
{
    struct pending *pending = context;
    const struct jp_spool *spool = pending->spool;
    uint64_t number;

    if (!jp_segment_number(name, &number) || number < spool->cursor.segment)
        return 0;
    if (spool->fd >= 0 && number == spool->highest)
        pending->bytes += spool->offset;
    else
        pending->bytes += jp_segment_size(spool->fs, spool->dir, number);
    return 0;
}

int64_t jp_spool_pending_bytes(const struct jp_spool *spool)
{
    struct pending pending = {.spool = spool};

    if (jp_spool_pending(spool)) {
        spool->fs->list(spool->fs, spool->dir, add_pending, &pending);
        pending.bytes -= spool->cursor.offset;
    }
    return (int64_t)spool->held_bytes + (pending.bytes > 0 ? pending.bytes : 0);
}

// Upkeep -----------------------------------------------------------------------------------------
int jp_spool_tend(struct jp_spool *spool, const struct jp_spool_now *now)
{
    bool due = !spool->cursor_moved || now->boot_ms >= spool->save_at_ms;
    int rc = 0;

    note_time(spool, now);
    if (must_wait(spool, now))
        return spool->error;
    if (!spool->attached) {
        rc = note(spool, jp_spool_attach(spool), now);
        jp_spool_set_end(spool);
    }
    if (rc == 0 && spool->held_bytes > 0 && spool->error)
        rc = jp_spool_commit(spool, now);
    if (rc == 0 && spool->cursor_moved && due) {
        spool->save_at_ms = now->boot_ms + JP_SPOOL_SAVE_MS;
        rc = note(spool, jp_spool_save(spool, false), now);
    }
    if (rc == 0 && spool->held_bytes == 0 && spool->attached)
        rc = trim(spool, now);
    if (rc == 0 && spool->fd >= 0 && !spool->has_spare)
        jp_spool_make_spare(spool); // until it can be made there is none: nothing else depends on it
    return rc;
}

void jp_spool_close(struct jp_spool *spool, const struct jp_spool_now *now)
{
    if (!spool->held)
        return;
    spool->retry_waits = false;
    jp_spool_commit(spool, now);
    if (spool->fd >= 0 && !jp_spool_pending(spool)) {
        spool->cursor = (struct jp_pos){spool->highest + 1, 0};
        spool->cursor_moved = true;
    }
    jp_spool_end_segment(spool);
    if (spool->attached && jp_spool_save(spool, false) == 0 && spool->held_bytes == 0)
        jp_spool_trim(spool, now);
    release_memory(spool);
}
