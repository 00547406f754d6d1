// SPDX-License-Identifier: Apache-2.0
// The post's side of the hot spool: frames in order out of files that grow, end and appear meanwhile.
#include "hot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES (JP_FRAME_HEAD + JP_PAYLOAD_MAX)
#define RELEASE_BATCH 64

static void leave(struct jp_hot_reader *reader)
{
    if (reader->fd >= 0)
        reader->fs->close(reader->fs, reader->fd);
    reader->fd = -1;
    reader->have = 0;
}

int jp_hot_reader_open(struct jp_hot_reader *reader, const struct jp_fs *fs, const char *dir, struct jp_pos from)
{
    *reader = (struct jp_hot_reader){.fs = fs, .at = from, .fd = -1, .last_fno = -1};
    if (strlen(dir) >= sizeof reader->dir)
        return -ENAMETOOLONG;
    memcpy(reader->dir, dir, strlen(dir) + 1);
    if (reader->at.offset < 0)
        reader->at.offset = 0;
    reader->buffer = malloc(BUFFER_BYTES);
    return reader->buffer ? 0 : -ENOMEM;
}

void jp_hot_reader_close(struct jp_hot_reader *reader)
{
    leave(reader);
    free(reader->buffer);
    reader->buffer = NULL;
}

// A name of ours on something that is no regular file: a symbolic link, directory, pipe, socket.
static bool is_foreign(int error)
{
    return error == -ELOOP || error == -EISDIR || error == -ESPIPE || error == -ENXIO || error == -ENODEV;
}

// Fills the buffer from `offset` on; fewer bytes than it holds means the file's end. The count, or -errno.
static int load(struct jp_hot_reader *reader, int64_t offset)
{
    size_t have = 0;

    reader->have = 0;
    while (have < BUFFER_BYTES) {
        ssize_t n = reader->fs->pread(reader->fs, reader->fd, reader->buffer + have, BUFFER_BYTES - have,
                                      offset + (int64_t)have);

        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    reader->base = offset;
    reader->have = have;
    return (int)have;
}

// Opens the file of at.segment and its header. 1 open, 0 not (yet) there, or -errno.
static int open_segment(struct jp_hot_reader *reader)
{
    char path[JP_PATH_MAX];
    int rc = jp_segment_path(path, reader->dir, reader->at.segment);

    if (rc)
        return rc == -ERANGE ? 0 : rc; // a position of somebody's invention
    rc = reader->fs->open(reader->fs, path, JP_FS_READ);
    if (rc < 0)
        return rc == -ENOENT || is_foreign(rc) ? 0 : rc;
    leave(reader);
    reader->fd = rc;
    if (reader->open_segment != reader->at.segment)
        reader->final = false;
    reader->open_segment = reader->at.segment;
    reader->last_fno = -1;
    rc = load(reader, 0);
    if (rc < 0) {
        leave(reader);
        return is_foreign(rc) ? 0 : rc;
    }
    rc = jp_segment_header_decode(&reader->header, reader->buffer,
                                  reader->have < JP_HEADER_MAX ? reader->have : JP_HEADER_MAX);
    if (rc == -EBADMSG)
        reader->header = (struct jp_segment_header){.number = reader->at.segment};
    if (reader->at.offset == 0 && rc > 0)
        reader->at.offset = rc;
    return 1;
}

// Goes on with the next segment above, or from the oldest when nothing was ever handed out. 1, 0 none, -errno.
static int next_segment(struct jp_hot_reader *reader)
{
    uint64_t next, highest, lowest;
    int rc = jp_segment_find(reader->fs, reader->dir, reader->at.segment, &next, &highest);

    if (rc)
        return rc;
    if (next == 0 && !reader->started && highest > 0 && highest < reader->at.segment) {
        rc = jp_segment_find(reader->fs, reader->dir, 0, &lowest, &highest);
        next = lowest;
    }
    if (rc || next == 0)
        return rc;
    leave(reader);
    reader->at = (struct jp_pos){.segment = next};
    return 1;
}

// A whole frame of the right order at `offset`; *empty when the file ends there.
static int look(struct jp_hot_reader *reader, int64_t offset, struct jp_frame *frame, bool *empty)
{
    enum jp_frame_found found = JP_FOUND_SHORT;

    *empty = false;
    if (offset >= reader->base && offset - reader->base < (int64_t)reader->have) {
        size_t skip = (size_t)(offset - reader->base);

        found = jp_frame_parse(frame, reader->buffer + skip, reader->have - skip);
    }
    if (found == JP_FOUND_SHORT) {
        int n = load(reader, offset);

        if (n < 0)
            return n;
        *empty = n == 0;
        found = jp_frame_parse(frame, reader->buffer, (size_t)n);
    }
    // A copy of an older frame inside a payload must not come alive.
    if (found == JP_FOUND_WHOLE && frame->number <= reader->last_fno)
        found = JP_FOUND_BAD;
    return (int)found;
}

static void hand_out(struct jp_hot_reader *reader, struct jp_frame *frame)
{
    frame->at = reader->at;
    frame->next = (struct jp_pos){reader->at.segment, reader->at.offset + JP_FRAME_HEAD + (int64_t)frame->size};
    reader->at = frame->next;
    reader->last_fno = frame->number;
    reader->started = true;
}

static bool any_nonzero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return true;
    return false;
}

// The first place in the buffer where a frame stands, or where one may stand that reaches beyond it.
static size_t scan(const struct jp_hot_reader *reader, bool *found)
{
    struct jp_frame frame;
    bool more = reader->have == BUFFER_BYTES;
    const uint8_t *at = reader->buffer;
    const uint8_t *end = reader->buffer + reader->have;

    *found = false;
    while ((at = memchr(at, 0x84, (size_t)(end - at)))) {
        enum jp_frame_found what = jp_frame_parse(&frame, at, (size_t)(end - at));

        *found = what == JP_FOUND_WHOLE && frame.number > reader->last_fno;
        if (*found || (what == JP_FOUND_SHORT && more && at > reader->buffer))
            return (size_t)(at - reader->buffer);
        if (++at == end)
            break;
    }
    return reader->have;
}

// The next frame beyond bad bytes at `from`, else the file's end; *dirty when other bytes than zeros lie between.
static int64_t resync(struct jp_hot_reader *reader, int64_t from, bool *dirty)
{
    int64_t at = from;

    *dirty = false;
    if (reader->header.version > JP_FORMAT_VERSION) { // what its frames mean is not known here
        *dirty = true;
        return reader->fs->size(reader->fs, reader->fd);
    }
    // One byte on, so that what was refused at `from` is not found again.
    for (int64_t start = from + 1; start < JP_SEGMENT_MAX;) {
        bool found;
        size_t n;
        int rc;

        rc = load(reader, at);
        if (rc <= 0)
            return rc < 0 ? rc : at;
        if (at < start) {
            *dirty = *dirty || reader->buffer[0] != 0;
            at = start;
            continue;
        }
        n = scan(reader, &found);
        *dirty = *dirty || any_nonzero(reader->buffer, n);
        at += (int64_t)n;
        start = at;
        if (found) {
            *dirty = true;
            return at;
        }
    }
    *dirty = true;
    return reader->fs->size(reader->fs, reader->fd);
}

// Bad bytes in a segment that is no longer written. JP_HOT_DAMAGED; JP_HOT_NOT_YET when only zeros were left.
static int pass_damage(struct jp_hot_reader *reader, struct jp_frame *frame)
{
    bool dirty;
    int64_t next = resync(reader, reader->at.offset, &dirty);

    if (next < 0)
        return (int)next;
    *frame = (struct jp_frame){.at = reader->at, .next = {reader->at.segment, next}};
    reader->at.offset = next;
    return dirty ? JP_HOT_DAMAGED : JP_HOT_NOT_YET;
}

// After the last readable frame: whether the segment is final. 1 go on, 0 wait, or -errno.
static int end_of_data(struct jp_hot_reader *reader)
{
    uint64_t next, highest;
    int rc;

    // Frames may have come between our read and the moment the next segment appeared: read once more.
    rc = jp_segment_find(reader->fs, reader->dir, reader->at.segment, &next, &highest);
    reader->have = 0;
    if (rc == 0 && next == 0 && reader->at.offset == 0)
        leave(reader); // without a whole header the file may yet be replaced
    reader->final = rc == 0 && next > 0;
    return rc ? rc : reader->final;
}

// The segment for the next look is open. 1, 0 nothing there, or -errno.
static int ensure_open(struct jp_hot_reader *reader)
{
    int rc = 0;

    if (reader->fd >= 0 && reader->open_segment == reader->at.segment)
        return 1;
    while (rc == 0) {
        if (reader->at.segment > 0)
            rc = open_segment(reader);
        if (rc != 0)
            break;
        rc = next_segment(reader);
        if (rc <= 0)
            return rc;
        rc = 0;
    }
    return rc;
}

int jp_hot_reader_next(struct jp_hot_reader *reader, struct jp_frame *frame)
{
    for (;;) {
        bool empty;
        int rc = ensure_open(reader);

        if (rc <= 0)
            return rc < 0 ? rc : JP_HOT_NOT_YET;
        rc = reader->at.offset == 0 ? (int)JP_FOUND_BAD : look(reader, reader->at.offset, frame, &empty);
        if (rc == JP_FOUND_WHOLE) {
            hand_out(reader, frame);
            return JP_HOT_FRAME;
        }
        if (rc < 0)
            return rc;
        if (!reader->final) {
            rc = end_of_data(reader);
            if (rc <= 0)
                return rc < 0 ? rc : JP_HOT_NOT_YET;
            if (reader->at.offset == 0)
                leave(reader); // the header may be whole by now
            continue;
        }
        if (reader->at.offset == 0 || !empty) {
            rc = pass_damage(reader, frame);
            if (rc != JP_HOT_NOT_YET)
                return rc;
        }
        rc = next_segment(reader);
        if (rc <= 0)
            return rc < 0 ? rc : JP_HOT_NOT_YET;
    }
}

// Directory --------------------------------------------------------------------------------------
struct batch {
    uint64_t below;
    uint64_t numbers[RELEASE_BATCH];
    int count;
};

static int collect(void *context, const char *name)
{
    struct batch *batch = context;
    uint64_t number;

    if (batch->count < RELEASE_BATCH && jp_segment_number(name, &number) && number < batch->below)
        batch->numbers[batch->count++] = number;
    return 0;
}

int jp_hot_release(const struct jp_fs *fs, const char *dir, struct jp_pos pos)
{
    char path[JP_PATH_MAX];
    uint64_t next, highest;
    struct batch batch = {0};
    int released = 0;
    int rc = jp_segment_find(fs, dir, 0, &next, &highest);

    batch.below = pos.segment < highest ? pos.segment : highest;
    if (rc == 0)
        rc = fs->list(fs, dir, collect, &batch);
    for (int i = 0; i < batch.count && rc == 0; i++) {
        rc = jp_segment_path(path, dir, batch.numbers[i]);
        if (rc)
            break;
        rc = fs->unlink(fs, path);
        if (rc == 0)
            released++;
        else if (rc == -ENOENT || rc == -EISDIR || rc == -EPERM)
            rc = 0; // gone already, or nothing of ours
    }
    return rc ? rc : released;
}

struct total {
    const struct jp_fs *fs;
    const char *dir;
    int64_t bytes;
};

static int add_size(void *context, const char *name)
{
    struct total *total = context;
    char path[JP_PATH_MAX];
    uint64_t number;
    int64_t size;
    int fd;

    if (!jp_segment_number(name, &number) || jp_segment_path(path, total->dir, number))
        return 0;
    fd = total->fs->open(total->fs, path, JP_FS_READ);
    if (fd < 0)
        return 0; // unlinked meanwhile, or nothing of ours
    size = total->fs->size(total->fs, fd);
    total->fs->close(total->fs, fd);
    if (size > 0 && total->bytes < INT64_MAX / 2)
        total->bytes += size < INT64_MAX / 4 ? size : INT64_MAX / 4;
    return 0;
}

int64_t jp_hot_bytes(const struct jp_fs *fs, const char *dir)
{
    struct total total = {.fs = fs, .dir = dir};
    int rc = fs->list(fs, dir, add_size, &total);

    return rc ? rc : total.bytes;
}
