// SPDX-License-Identifier: Apache-2.0
// From RAM to flash: what is held goes into segments, and what failed goes again into another.
#include "spool_parts.h"

#include <errno.h>
#include <string.h>

#define TYPE_AT 12 // a frame's type in its head, and the two bytes of its size
#define SIZE_AT 14
#define GIVE_UPS 4 // released segments given up for room in one attempt

void jp_spool_set_end(struct jp_spool *spool)
{
    struct jp_pos end = {spool->highest + 1, 0};

    if (spool->fd >= 0)
        end = (struct jp_pos){spool->highest, spool->offset};
    spool->reader.end = end;
    spool->reader.file.have = 0;
}

size_t jp_spool_frame_bytes(const uint8_t *head)
{
    return JP_FRAME_HEAD + ((size_t)head[SIZE_AT] << 8 | head[SIZE_AT + 1]);
}

uint32_t jp_spool_number_frames(uint8_t *bytes, size_t size, uint32_t from)
{
    uint32_t number = from;

    for (size_t at = 0; at < size; at += jp_spool_frame_bytes(bytes + at), number++)
        jp_frame_head(bytes + at, number, bytes[at + TYPE_AT], bytes + at + JP_FRAME_HEAD,
                      jp_spool_frame_bytes(bytes + at) - JP_FRAME_HEAD);
    return number - from;
}

// Writing ----------------------------------------------------------------------------------------
// Never written to again: what of it was not durable is still held.
static void abandon(struct jp_spool *spool)
{
    spool->fences[spool->fence_next].segment = spool->highest;
    spool->fences[spool->fence_next].end = spool->offset;
    spool->fence_next = (spool->fence_next + 1) % JP_SPOOL_FENCES;
    spool->fs->close(spool->fs, spool->fd);
    spool->fd = -1;
    jp_spool_set_end(spool);
}

// Zeros behind a SEAL are room that nobody will use.
static void cut_zeros(struct jp_spool *spool, int fd, int64_t end)
{
    int64_t size = spool->fs->size(spool->fs, fd);

    if (size > end && spool->fs->truncate(spool->fs, fd, end) == 0)
        spool->used_bytes -= size - end;
}

void jp_spool_seal(struct jp_spool *spool, int fd, int64_t offset, uint32_t number)
{
    uint8_t head[JP_FRAME_HEAD];

    if (fd < 0)
        return;
    // A SEAL that cannot be written is no loss: the next segment ends this one as well.
    jp_frame_head(head, number, JP_FRAME_SEAL, NULL, 0);
    if (jp_spool_write(spool, fd, head, sizeof head, offset) == 0) {
        cut_zeros(spool, fd, offset + (int64_t)sizeof head);
        spool->fs->sync(spool->fs, fd);
    }
    spool->fs->close(spool->fs, fd);
}

void jp_spool_end_segment(struct jp_spool *spool)
{
    jp_spool_seal(spool, spool->fd, spool->offset, spool->next_fno);
    spool->fd = -1;
    jp_spool_set_end(spool);
}

// Of the first `size` held bytes the whole frames that end below `end` of the open segment.
static size_t frames_below(const struct jp_spool *spool, size_t size, int64_t end)
{
    size_t at = 0;

    while (at < size) {
        size_t next = at + jp_spool_frame_bytes(spool->held + at);

        if (spool->offset + (int64_t)next + JP_FRAME_HEAD > end)
            break;
        at = next;
    }
    return at;
}

// How many held bytes go into the open segment; an empty one takes any first frame.
static size_t fitting(const struct jp_spool *spool)
{
    size_t size;

    if (spool->fd < 0 || spool->gaps_only)
        return 0;
    size = frames_below(spool, spool->held_bytes, spool->segment_bytes);
    return size > 0 || !spool->bare ? size : jp_spool_frame_bytes(spool->held);
}

// Gives the open segment zeros for `size` bytes more. A full disk costs it nothing. 0, or -errno.
static int grow(struct jp_spool *spool, size_t size)
{
    int64_t end = spool->offset + (int64_t)size + JP_FRAME_HEAD, filled = jp_spool_extent_above(spool, end);
    int rc;

    if (end <= spool->filled || spool->appends)
        return 0;
    rc = jp_spool_write_zeros(spool, spool->fd, spool->filled, filled);
    if (rc == 0) {
        spool->used_bytes += filled - spool->filled;
        spool->filled = filled;
    } else if (!jp_spool_is_full(rc)) {
        abandon(spool);
    }
    return rc;
}

// Makes the first `size` bytes of what is held durable in the open segment and forgets them.
static int write_held(struct jp_spool *spool, size_t size)
{
    int64_t end = spool->offset + (int64_t)size;
    uint32_t frames = jp_spool_number_frames(spool->held, size, spool->next_fno);
    int rc = jp_spool_write(spool, spool->fd, spool->held, size, spool->offset);

    if (rc == 0)
        rc = spool->fs->sync(spool->fs, spool->fd);
    if (rc) {
        abandon(spool);
        return rc;
    }
    if (spool->appends) {
        spool->used_bytes += end - spool->filled;
        spool->filled = end;
    }
    memmove(spool->held, spool->held + size, spool->held_bytes - size);
    spool->held_bytes -= size;
    spool->held_frames -= frames;
    spool->offset = end;
    spool->next_fno += frames;
    spool->bare = false;
    spool->counts.frames += frames;
    jp_spool_set_end(spool);
    return 0;
}

// Moves the held GAPs to the front. Their bytes.
static size_t gaps_first(struct jp_spool *spool)
{
    size_t gaps = 0;

    for (size_t at = 0; at < spool->held_bytes;) {
        size_t size = jp_spool_frame_bytes(spool->held + at);

        if (spool->held[at + TYPE_AT] == JP_FRAME_GAP) {
            // `front` is free between segments and takes any frame.
            memcpy(spool->front, spool->held + at, size);
            memmove(spool->held + gaps + size, spool->held + gaps, at - gaps);
            memcpy(spool->held + gaps, spool->front, size);
            gaps += size;
        }
        at += size;
    }
    return gaps;
}

// The disk is full: what was lost is still told, in the open segment's last room or in the spare.
static void write_gaps(struct jp_spool *spool)
{
    size_t gaps = gaps_first(spool);
    size_t size = spool->fd >= 0 ? frames_below(spool, gaps, spool->filled) : 0;

    if (size > 0 && write_held(spool, size) == 0)
        gaps -= size;
    if (gaps == 0 || jp_spool_begin_with_spare(spool))
        return;
    size = frames_below(spool, gaps, spool->appends ? spool->extent : spool->filled);
    if (size > 0)
        write_held(spool, size);
}

// One pass: all that is held into segments.
static int flush_once(struct jp_spool *spool)
{
    int rc = 0;

    while (spool->held_bytes > 0 && rc == 0) {
        size_t size = fitting(spool);
        int grown;

        if (size == 0) {
            rc = jp_spool_begin(spool);
            size = rc == 0 ? fitting(spool) : 0;
        }
        if (rc)
            break;
        grown = grow(spool, size);
        if (jp_spool_is_full(grown)) // its last room
            size = frames_below(spool, size, spool->filled);
        rc = grown && (size == 0 || !jp_spool_is_full(grown)) ? grown : write_held(spool, size);
    }
    return rc;
}

// Somebody removed the open segment: what is written to it reaches nobody.
static bool is_removed(const struct jp_spool *spool)
{
    char path[JP_PATH_MAX];
    int fd;

    if (spool->fd < 0 || jp_segment_path(path, spool->dir, spool->highest))
        return false;
    fd = spool->fs->open(spool->fs, path, JP_FS_READ);
    if (fd >= 0)
        spool->fs->close(spool->fs, fd);
    return fd == -ENOENT;
}

// Its folder may be gone, too: then it is made and locked again.
static void begin_anew(struct jp_spool *spool)
{
    abandon(spool);
    spool->counts.removed++;
    if (spool->lock_fd >= 0)
        spool->fs->close(spool->fs, spool->lock_fd);
    if (spool->slots_open)
        jp_slots_close(&spool->slots);
    spool->lock_fd = -1;
    spool->slots_open = spool->attached = false;
}

int jp_spool_flush(struct jp_spool *spool)
{
    int rc = 0;

    if (is_removed(spool))
        begin_anew(spool);
    if (!spool->attached)
        rc = jp_spool_attach(spool);
    if (rc)
        return rc;
    rc = flush_once(spool);
    if (rc && !jp_spool_is_full(rc))
        rc = flush_once(spool); // on a new segment
    for (int i = 0; i < GIVE_UPS && jp_spool_is_full(rc) && jp_spool_give_up_released(spool) == 1; i++)
        rc = flush_once(spool);
    if (jp_spool_is_full(rc))
        write_gaps(spool);
    return rc;
}
