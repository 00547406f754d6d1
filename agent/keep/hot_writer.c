// SPDX-License-Identifier: Apache-2.0
// The meter's side of the hot spool: one write a frame, one file after the other.
#include "hot.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS 16 // post frees whole segments, so this is the grain of max_bytes
#define SEGMENT_BYTES_MIN 4096
#define SEGMENT_BYTES_MAX (JP_SEGMENT_MAX / 8)
#define MAX_BYTES_MIN (4 * SEGMENT_BYTES_MIN)
#define OPEN_TRIES 8
// Kept free for the end of a segment and the header of the next.
#define RESERVE (JP_FRAME_HEAD + JP_HEADER_MAX)

static int64_t hard_limit(const struct jp_hot_writer *writer)
{
    int64_t limit = 4 * writer->segment_bytes;

    return limit < writer->max_bytes / 2 ? limit : writer->max_bytes / 2;
}

// A name that is taken is passed by: an old file is never written to.
static int create(struct jp_hot_writer *writer, char path[JP_PATH_MAX])
{
    int rc = -EEXIST;

    for (int i = 0; i < OPEN_TRIES && rc == -EEXIST; i++) {
        uint64_t next, highest;

        writer->header.number++;
        rc = jp_segment_path(path, writer->dir, writer->header.number);
        if (rc)
            return rc;
        rc = writer->fs->open(writer->fs, path, JP_FS_CREATE);
        if (rc != -EEXIST)
            break;
        if (jp_segment_find(writer->fs, writer->dir, 0, &next, &highest) == 0 && highest > writer->header.number)
            writer->header.number = highest;
    }
    return rc;
}

static int open_next(struct jp_hot_writer *writer)
{
    char path[JP_PATH_MAX];
    int fd = create(writer, path);
    ssize_t n;
    int size;

    if (fd < 0)
        return fd;
    size = jp_segment_header_encode(&writer->header, writer->buffer, JP_HEADER_MAX);
    n = size < 0 ? size : writer->fs->pwrite(writer->fs, fd, writer->buffer, (size_t)size, 0);
    if (n < 0 || n != size) {
        writer->fs->close(writer->fs, fd);
        writer->fs->unlink(writer->fs, path); // no reader keeps a file whose header is not whole
        return n < 0 ? (int)n : -ENOSPC;
    }
    writer->fd = fd;
    writer->offset = size;
    writer->used_bytes += size;
    writer->next_fno = 0;
    return 0;
}

static void leave(struct jp_hot_writer *writer)
{
    if (writer->fd >= 0)
        writer->fs->close(writer->fs, writer->fd);
    writer->fd = -1;
}

static int write_frame(struct jp_hot_writer *writer, uint8_t type, const void *payload, size_t size)
{
    size_t total = JP_FRAME_HEAD + size;
    ssize_t n;

    if (size > 0)
        memcpy(writer->buffer + JP_FRAME_HEAD, payload, size);
    jp_frame_head(writer->buffer, writer->next_fno, type, writer->buffer + JP_FRAME_HEAD, size);
    n = writer->fs->pwrite(writer->fs, writer->fd, writer->buffer, total, writer->offset);
    if (n > 0)
        writer->used_bytes += n;
    if (n < 0 || (size_t)n != total) {
        leave(writer);
        return n < 0 ? (int)n : -ENOSPC;
    }
    writer->offset += n;
    writer->next_fno++;
    return 0;
}

// A seal that cannot be written is no loss: a higher segment ends this one as well.
static void seal(struct jp_hot_writer *writer)
{
    if (writer->fd >= 0)
        write_frame(writer, JP_FRAME_SEAL, NULL, 0);
    leave(writer);
}

int jp_hot_open(struct jp_hot_writer *writer, const struct jp_fs *fs, const char *dir, int64_t max_bytes,
                const struct jp_segment_header *header)
{
    uint64_t next;
    int rc;

    *writer = (struct jp_hot_writer){.fs = fs, .header = *header, .fd = -1};
    if (strlen(dir) >= sizeof writer->dir)
        return -ENAMETOOLONG;
    memcpy(writer->dir, dir, strlen(dir) + 1);
    writer->header.version = JP_FORMAT_VERSION;
    writer->max_bytes = max_bytes > MAX_BYTES_MIN ? max_bytes : MAX_BYTES_MIN;
    writer->segment_bytes = writer->max_bytes / SEGMENTS;
    if (writer->segment_bytes < SEGMENT_BYTES_MIN)
        writer->segment_bytes = SEGMENT_BYTES_MIN;
    if (writer->segment_bytes > SEGMENT_BYTES_MAX)
        writer->segment_bytes = SEGMENT_BYTES_MAX;
    rc = jp_segment_find(fs, dir, 0, &next, &writer->header.number);
    if (rc)
        return rc;
    writer->used_bytes = jp_hot_bytes(fs, dir);
    if (writer->used_bytes < 0)
        return (int)writer->used_bytes;
    writer->buffer = malloc(JP_FRAME_HEAD + JP_PAYLOAD_MAX);
    if (!writer->buffer)
        return -ENOMEM;
    rc = open_next(writer);
    if (rc) {
        free(writer->buffer);
        writer->buffer = NULL;
    }
    return rc;
}

static int make_room(struct jp_hot_writer *writer, int64_t bytes)
{
    int64_t used;

    if (writer->used_bytes + bytes <= writer->max_bytes)
        return 0;
    used = jp_hot_bytes(writer->fs, writer->dir); // post may have unlinked some
    if (used < 0)
        return (int)used;
    writer->used_bytes = used;
    return used + bytes <= writer->max_bytes ? 0 : -ENOSPC;
}

int jp_hot_append(struct jp_hot_writer *writer, uint8_t type, const void *payload, size_t size)
{
    int64_t total = JP_FRAME_HEAD + (int64_t)size;
    int rc;

    assert(writer->buffer);
    if (size > JP_PAYLOAD_MAX)
        return -EMSGSIZE;
    rc = make_room(writer, total + RESERVE);
    if (rc)
        return rc;
    if (writer->next_fno > 0 && writer->offset + total > hard_limit(writer))
        seal(writer);
    if (writer->fd < 0) {
        rc = open_next(writer);
        if (rc)
            return rc;
    }
    return write_frame(writer, type, payload, size);
}

int jp_hot_border(struct jp_hot_writer *writer, int64_t boot_ms, int64_t real_ms)
{
    writer->header.boot_ms = boot_ms;
    writer->header.real_ms = real_ms;
    if (writer->fd < 0 || writer->offset < writer->segment_bytes)
        return 0;
    seal(writer);
    return open_next(writer);
}

void jp_hot_close(struct jp_hot_writer *writer)
{
    if (!writer->buffer)
        return;
    seal(writer);
    free(writer->buffer);
    writer->buffer = NULL;
}
