// SPDX-License-Identifier: Apache-2.0
// The post's side of the hot spool: frames in order out of files that grow, end and appear meanwhile.
#include "hot.h"

#include <errno.h>
#include <string.h>

#define RELEASE_BATCH 64

int jp_hot_reader_open(struct jp_hot_reader *reader, const struct jp_fs *fs, const char *dir, struct jp_pos from)
{
    *reader = (struct jp_hot_reader){.fs = fs, .at = from, .file = {.fd = -1}};
    if (strlen(dir) >= sizeof reader->dir)
        return -ENAMETOOLONG;
    memcpy(reader->dir, dir, strlen(dir) + 1);
    if (reader->at.offset < 0)
        reader->at.offset = 0;
    return jp_frames_init(&reader->file, fs);
}

void jp_hot_reader_close(struct jp_hot_reader *reader)
{
    jp_frames_free(&reader->file);
}

// Opens the file of at.segment and its header. 1 open, 0 not (yet) there, or -errno.
static int open_segment(struct jp_hot_reader *reader)
{
    uint64_t before = reader->file.segment;
    int rc = jp_frames_open(&reader->file, reader->dir, reader->at.segment);

    if (rc < 0 && rc != -EPROTONOSUPPORT)
        return rc == -ENOENT || rc == -ERANGE || jp_frames_is_foreign(rc) ? 0 : rc; // ERANGE: somebody's invention
    if (before != reader->at.segment)
        reader->final = false;
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
    jp_frames_close(&reader->file);
    reader->at = (struct jp_pos){.segment = next};
    return 1;
}

static void hand_out(struct jp_hot_reader *reader, struct jp_frame *frame)
{
    frame->at = reader->at;
    frame->next = (struct jp_pos){reader->at.segment, reader->at.offset + JP_FRAME_HEAD + (int64_t)frame->size};
    reader->at = frame->next;
    reader->file.last_fno = frame->number;
    reader->started = true;
}

// Bad bytes in a segment that is no longer written. JP_HOT_DAMAGED; JP_HOT_NOT_YET when only zeros were left.
static int pass_damage(struct jp_hot_reader *reader, struct jp_frame *frame)
{
    bool dirty, found;
    int64_t next = jp_frames_resync(&reader->file, reader->at.offset, &dirty, &found);

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
    reader->file.have = 0;
    if (rc == 0 && next == 0 && reader->at.offset == 0)
        jp_frames_close(&reader->file); // without a whole header the file may yet be replaced
    reader->final = rc == 0 && next > 0;
    return rc ? rc : reader->final;
}

// The segment for the next look is open. 1, 0 nothing there, or -errno.
static int ensure_open(struct jp_hot_reader *reader)
{
    int rc = 0;

    if (reader->file.fd >= 0 && reader->file.segment == reader->at.segment)
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
        rc = reader->at.offset == 0 ? (int)JP_FOUND_BAD
                                    : jp_frames_look(&reader->file, reader->at.offset, frame, &empty);
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
                jp_frames_close(&reader->file); // the header may be whole by now
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
