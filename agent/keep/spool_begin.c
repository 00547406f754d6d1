// SPDX-License-Identifier: Apache-2.0
// Segments begin: header and what is in force first, then a name. And the spare, for the day the disk is full.
#include "spool_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME_TRIES 64

static const uint8_t zeros[4096];

int jp_spool_path(const struct jp_spool *spool, const char *name, char path[JP_PATH_MAX])
{
    int n = snprintf(path, JP_PATH_MAX, "%s/%s", spool->dir, name);

    return n < 0 || n >= JP_PATH_MAX ? -ENAMETOOLONG : 0;
}

int jp_spool_write(struct jp_spool *spool, int fd, const void *bytes, size_t size, int64_t offset)
{
    spool->counts.flash_bytes += size;
    return jp_fs_pwrite_all(spool->fs, fd, bytes, size, offset);
}

int jp_spool_write_zeros(struct jp_spool *spool, int fd, int64_t from, int64_t to)
{
    int rc = 0;

    while (from < to && rc == 0) {
        size_t size = sizeof zeros - (size_t)from % sizeof zeros;

        if ((int64_t)size > to - from)
            size = (size_t)(to - from);
        rc = jp_spool_write(spool, fd, zeros, size, from);
        from += (int64_t)size;
    }
    return rc;
}

int64_t jp_spool_extent_above(const struct jp_spool *spool, int64_t bytes)
{
    return (bytes + spool->extent - 1) / spool->extent * spool->extent;
}

// Beginning a segment ----------------------------------------------------------------------------
// Header and preface, ready in `front`. *start is where they begin there, *size their bytes; or -errno.
static int make_front(struct jp_spool *spool, size_t *start, size_t *size)
{
    uint8_t header[JP_HEADER_MAX];
    int n = jp_segment_header_encode(&spool->header, header, sizeof header);

    if (n < 0)
        return n;
    spool->front_bytes = JP_HEADER_MAX;
    spool->fronting = true;
    if (spool->calls.preface)
        spool->calls.preface(spool->calls.context, spool);
    spool->fronting = false;
    spool->next_fno = jp_spool_number_frames(spool->front + JP_HEADER_MAX, spool->front_bytes - JP_HEADER_MAX, 0);
    *start = (size_t)(JP_HEADER_MAX - n);
    *size = spool->front_bytes - *start;
    memcpy(spool->front + *start, header, (size_t)n);
    return 0;
}

// A number that no file has: what came there by other hands is never written to, nor replaced.
static int free_number(struct jp_spool *spool, char path[JP_PATH_MAX], uint64_t *number)
{
    *number = spool->highest + 1;
    for (int i = 0; i < NAME_TRIES; i++, ++*number) {
        int rc = jp_segment_path(path, spool->dir, *number);
        int fd;

        if (rc)
            return rc;
        fd = spool->fs->open(spool->fs, path, JP_FS_READ);
        if (fd == -ENOENT)
            return 0;
        if (fd >= 0)
            spool->fs->close(spool->fs, fd);
        else if (!jp_frames_is_foreign(fd))
            return fd;
    }
    return -EEXIST;
}

static int create(struct jp_spool *spool, const char *path)
{
    int fd = spool->fs->open(spool->fs, path, JP_FS_CREATE);
    int rc;

    if (fd != -EEXIST)
        return fd;
    rc = jp_spool_clear_name(spool, path);
    return rc ? rc : spool->fs->open(spool->fs, path, JP_FS_CREATE);
}

// A file of the given name with these bytes and zeros behind, durable but for its name. Its descriptor, or -errno.
static int make_file(struct jp_spool *spool, const char *path, const uint8_t *bytes, size_t size)
{
    int64_t filled = spool->appends ? (int64_t)size : jp_spool_extent_above(spool, (int64_t)size + JP_FRAME_HEAD);
    int fd = create(spool, path);
    int rc;

    if (fd < 0)
        return fd;
    rc = jp_spool_write(spool, fd, bytes, size, 0);
    if (rc == 0)
        rc = jp_spool_write_zeros(spool, fd, (int64_t)size, filled);
    if (rc == 0)
        rc = spool->fs->sync(spool->fs, fd);
    if (rc) {
        spool->fs->close(spool->fs, fd);
        spool->fs->unlink(spool->fs, path);
        return rc;
    }
    spool->filled = filled;
    return fd;
}

// Writes header and preface over the beginning of the spare, whose zeros are durable. Where nothing is overwritten
// in place the spare goes instead, and its room is taken.
static int open_spare(struct jp_spool *spool, const char *draft, const uint8_t *bytes, size_t size)
{
    char path[JP_PATH_MAX];
    int fd, rc = jp_spool_path(spool, "spare", path);

    if (rc)
        return rc;
    if ((int64_t)size + JP_FRAME_HEAD > spool->extent)
        return -EFBIG;
    spool->has_spare = false;
    spool->used_bytes -= spool->extent;
    if (spool->appends) {
        spool->fs->unlink(spool->fs, path);
        return make_file(spool, draft, bytes, size);
    }
    fd = spool->fs->open(spool->fs, path, JP_FS_UPDATE);
    if (fd < 0)
        return fd;
    rc = jp_spool_write(spool, fd, bytes, size, 0);
    if (rc == 0)
        rc = spool->fs->sync(spool->fs, fd);
    if (rc == 0)
        rc = spool->fs->rename(spool->fs, path, draft);
    if (rc) {
        spool->fs->close(spool->fs, fd);
        spool->fs->unlink(spool->fs, path);
        return rc;
    }
    spool->filled = spool->extent;
    return fd;
}

// Gives the draft its name. 0, or -errno and neither is there.
static int give_name(struct jp_spool *spool, int fd, const char *draft, const char *path)
{
    int rc = spool->fs->rename(spool->fs, draft, path);

    if (rc == 0)
        rc = spool->fs->sync_dir(spool->fs, spool->dir);
    if (rc == 0)
        return 0;
    spool->fs->close(spool->fs, fd);
    if (spool->fs->unlink(spool->fs, draft)) // the rename worked
        spool->fs->unlink(spool->fs, path);
    return rc;
}

static int try_begin(struct jp_spool *spool, bool with_spare)
{
    char path[JP_PATH_MAX], draft[JP_PATH_MAX];
    size_t start, size;
    uint64_t number;
    int fd, rc = free_number(spool, path, &number);

    if (rc == 0)
        rc = jp_spool_path(spool, "draft", draft);
    if (rc)
        return rc;
    spool->header.number = number;
    rc = make_front(spool, &start, &size);
    if (rc)
        return rc;
    if (with_spare)
        fd = open_spare(spool, draft, spool->front + start, size);
    else
        fd = make_file(spool, draft, spool->front + start, size);
    if (fd < 0)
        return fd;
    rc = give_name(spool, fd, draft, path);
    if (rc)
        return rc;
    spool->fd = fd;
    spool->offset = (int64_t)size;
    spool->bare = true;
    spool->gaps_only = with_spare;
    spool->highest = number;
    spool->used_bytes += spool->filled;
    if (spool->lowest == 0)
        spool->lowest = number;
    return 0;
}

// The open segment stays open while another is begun, so that a failure leaves it to the GAPs.
static int begin_after(struct jp_spool *spool, bool with_spare)
{
    struct {
        int fd;
        int64_t offset, filled;
        uint32_t next_fno;
    } before = {spool->fd, spool->offset, spool->filled, spool->next_fno};
    int rc = try_begin(spool, with_spare);

    if (rc) {
        spool->filled = before.filled;
        spool->next_fno = before.next_fno;
        spool->header.number = spool->highest;
    } else {
        jp_spool_seal(spool, before.fd, before.offset, before.next_fno);
    }
    jp_spool_set_end(spool);
    return rc;
}

bool jp_spool_is_full(int rc)
{
    return rc == -ENOSPC || rc == -EDQUOT;
}

int jp_spool_begin(struct jp_spool *spool)
{
    int rc = begin_after(spool, false);

    // A cursor that cannot be written yet is tried again by every tend.
    if (rc == 0 && !spool->slots_open)
        spool->cursor_moved = jp_spool_save(spool, true) != 0;
    if (rc == 0 && !spool->has_spare)
        jp_spool_make_spare(spool);
    return rc;
}

int jp_spool_begin_with_spare(struct jp_spool *spool)
{
    return spool->has_spare ? begin_after(spool, true) : -ENOSPC;
}

int jp_spool_make_spare(struct jp_spool *spool)
{
    char path[JP_PATH_MAX];
    int fd, rc = jp_spool_path(spool, "spare", path);

    if (rc)
        return rc;
    // It is zeros wherever it lies: what counts is that its bytes are taken.
    fd = create(spool, path);
    if (fd < 0)
        return fd;
    rc = jp_spool_write_zeros(spool, fd, 0, spool->extent);
    if (rc == 0)
        rc = spool->fs->sync(spool->fs, fd);
    spool->fs->close(spool->fs, fd);
    if (rc == 0)
        rc = spool->fs->sync_dir(spool->fs, spool->dir);
    if (rc)
        spool->fs->unlink(spool->fs, path);
    spool->has_spare = rc == 0;
    if (rc == 0)
        spool->used_bytes += spool->extent;
    return rc;
}
