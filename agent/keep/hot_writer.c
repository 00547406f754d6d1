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
#define OCCUPIED_MIN 4096 // a page of tmpfs: what the smallest file takes
#define SKIP_COUNTS 4     // appends that find no room between two looks through the folder
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

// What is half written goes again: bytes of ours that are no frame would be read as damage.
static int take_back(struct jp_hot_writer *writer, ssize_t n)
{
    bool clean = n == -ENOSPC || (n >= 0 && writer->fs->truncate(writer->fs, writer->fd, writer->offset) == 0);

    if (!clean) {
        writer->used_bytes += n > 0 ? n : 0;
        leave(writer);
    }
    return n < 0 ? (int)n : -ENOSPC;
}

static int write_frame(struct jp_hot_writer *writer, uint8_t type, const void *payload, size_t size)
{
    size_t total = JP_FRAME_HEAD + size;
    ssize_t n;

    if (size > 0)
        memcpy(writer->buffer + JP_FRAME_HEAD, payload, size);
    jp_frame_head(writer->buffer, writer->next_fno, type, writer->buffer + JP_FRAME_HEAD, size);
    n = writer->fs->pwrite(writer->fs, writer->fd, writer->buffer, total, writer->offset);
    if (n < 0 || (size_t)n != total)
        return take_back(writer, n);
    writer->used_bytes += n;
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

static int add_file(void *context, const char *name)
{
    struct jp_hot_writer *writer = context;
    char path[JP_PATH_MAX];
    uint64_t number;
    int64_t size;
    int fd;

    if (!jp_segment_number(name, &number) || jp_segment_path(path, writer->dir, number))
        return 0;
    if (writer->fd >= 0 && number == writer->header.number)
        return 0;
    fd = writer->fs->open(writer->fs, path, JP_FS_READ);
    if (fd < 0)
        return 0; // unlinked meanwhile, or nothing of ours
    size = writer->fs->size(writer->fs, fd);
    writer->fs->close(writer->fs, fd);
    if (size > INT64_MAX / 4)
        size = INT64_MAX / 4;
    if (writer->used_bytes < INT64_MAX / 2)
        writer->used_bytes += size > OCCUPIED_MIN ? size : OCCUPIED_MIN;
    return 0;
}

// What the folder holds: post may have unlinked some.
static int count(struct jp_hot_writer *writer)
{
    int64_t before = writer->used_bytes;
    int rc;

    writer->used_bytes = writer->fd >= 0 ? writer->offset : 0;
    rc = writer->fs->list(writer->fs, writer->dir, add_file, writer);
    if (rc)
        writer->used_bytes = before;
    return rc;
}

static int make_room(struct jp_hot_writer *writer, int64_t bytes)
{
    int rc;

    writer->limited = false;
    if (writer->used_bytes + bytes <= writer->max_bytes)
        return 0;
    writer->limited = true;
    if (writer->skip_counts > 0) {
        writer->skip_counts--;
        return -ENOSPC;
    }
    rc = count(writer);
    if (rc)
        return rc;
    writer->limited = writer->used_bytes + bytes > writer->max_bytes;
    writer->skip_counts = writer->limited ? SKIP_COUNTS : 0;
    return writer->limited ? -ENOSPC : 0;
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
    rc = count(writer);
    if (rc)
        return rc;
    writer->buffer = malloc(JP_FRAME_HEAD + JP_PAYLOAD_MAX);
    if (!writer->buffer)
        return -ENOMEM;
    if (writer->used_bytes + 2 * RESERVE <= writer->max_bytes)
        rc = open_next(writer); // else the first append that finds room does it
    if (rc) {
        free(writer->buffer);
        writer->buffer = NULL;
    }
    return rc;
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

// Whether the open segment still has its name: post never takes the newest away.
static bool is_gone(const struct jp_hot_writer *writer)
{
    char path[JP_PATH_MAX];
    int fd = jp_segment_path(path, writer->dir, writer->header.number);

    if (fd == 0)
        fd = writer->fs->open(writer->fs, path, JP_FS_READ);
    if (fd >= 0)
        writer->fs->close(writer->fs, fd);
    return fd == -ENOENT;
}

int jp_hot_border(struct jp_hot_writer *writer, int64_t boot_ms, int64_t real_ms)
{
    writer->header.boot_ms = boot_ms;
    writer->header.real_ms = real_ms;
    writer->skip_counts = 0;
    if (writer->fd >= 0 && is_gone(writer))
        return -ESTALE;
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
