// SPDX-License-Identifier: Apache-2.0
// One segment file, read front to back through a buffer that holds the largest frame.
#include "frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES (JP_FRAME_HEAD + JP_PAYLOAD_MAX)
// Places that look like a frame's head, each with up to a payload under a CRC, before a file is given up.
#define CANDIDATES_MAX 65536
#define SECTOR 4096 // what a disk loses at once

int jp_frames_init(struct jp_frames *frames, const struct jp_fs *fs)
{
    *frames = (struct jp_frames){.fs = fs, .fd = -1, .last_fno = -1};
    frames->buffer = malloc(BUFFER_BYTES);
    return frames->buffer ? 0 : -ENOMEM;
}

void jp_frames_free(struct jp_frames *frames)
{
    jp_frames_close(frames);
    free(frames->buffer);
    frames->buffer = NULL;
}

bool jp_frames_is_foreign(int error)
{
    return error == -ELOOP || error == -EISDIR || error == -ESPIPE || error == -ENXIO || error == -ENODEV;
}

void jp_frames_close(struct jp_frames *frames)
{
    if (frames->fd >= 0)
        frames->fs->close(frames->fs, frames->fd);
    frames->fd = -1;
    frames->have = 0;
}

// Fills the buffer from `offset` on; fewer bytes than it holds means the file's end, or a place behind them that
// cannot be read. The count, or -errno.
static int load(struct jp_frames *frames, int64_t offset)
{
    size_t have = 0;
    bool again = false;

    frames->have = 0;
    while (have < BUFFER_BYTES) {
        ssize_t n = frames->fs->pread(frames->fs, frames->fd, frames->buffer + have, BUFFER_BYTES - have,
                                      offset + (int64_t)have);

        if (n < 0 && !again) {
            again = true;
            continue;
        }
        if (n < 0 && have == 0)
            return (int)n;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    frames->base = offset;
    frames->have = have;
    return (int)have;
}

int jp_frames_open(struct jp_frames *frames, const char *dir, uint64_t segment)
{
    char path[JP_PATH_MAX];
    int rc = jp_segment_path(path, dir, segment);

    if (rc)
        return rc;
    rc = frames->fs->open(frames->fs, path, JP_FS_READ);
    if (rc < 0)
        return rc;
    jp_frames_close(frames);
    frames->fd = rc;
    frames->segment = segment;
    frames->last_fno = -1;
    rc = load(frames, 0);
    if (rc < 0) {
        jp_frames_close(frames);
        return rc;
    }
    rc = jp_segment_header_decode(&frames->header, frames->buffer,
                                  frames->have < JP_HEADER_MAX ? frames->have : JP_HEADER_MAX);
    if (rc != -EBADMSG)
        return rc;
    frames->header = (struct jp_segment_header){.number = segment};
    return 0;
}

int jp_frames_look(struct jp_frames *frames, int64_t offset, struct jp_frame *frame, bool *empty)
{
    enum jp_frame_found found = JP_FOUND_SHORT;

    *empty = false;
    if (offset >= frames->base && offset - frames->base < (int64_t)frames->have) {
        size_t skip = (size_t)(offset - frames->base);

        found = jp_frame_parse(frame, frames->buffer + skip, frames->have - skip);
    }
    if (found == JP_FOUND_SHORT) {
        int n = load(frames, offset);

        if (n < 0)
            return n;
        *empty = n == 0;
        found = jp_frame_parse(frame, frames->buffer, (size_t)n);
    }
    // A copy of an older frame inside a payload must not come alive.
    if (found == JP_FOUND_WHOLE && frame->number <= frames->last_fno)
        found = JP_FOUND_BAD;
    return (int)found;
}

static bool any_nonzero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return true;
    return false;
}

// The first place in the buffer where a frame stands, or where one may stand that reaches beyond it.
static size_t scan(const struct jp_frames *frames, int *candidates, bool *found)
{
    struct jp_frame frame;
    bool more = frames->have == BUFFER_BYTES;
    const uint8_t *at = frames->buffer;
    const uint8_t *end = frames->buffer + frames->have;

    *found = false;
    while (*candidates > 0 && (at = memchr(at, 0x84, (size_t)(end - at)))) {
        enum jp_frame_found what = jp_frame_parse(&frame, at, (size_t)(end - at));

        *found = what == JP_FOUND_WHOLE && frame.number > frames->last_fno;
        if (*found || (what == JP_FOUND_SHORT && more && at > frames->buffer))
            return (size_t)(at - frames->buffer);
        if (at + 1 == end)
            break;
        *candidates -= at[1] == 0x1a;
        at++;
    }
    return frames->have;
}

int64_t jp_frames_resync(struct jp_frames *frames, int64_t from, bool *dirty, bool *found)
{
    int candidates = CANDIDATES_MAX;
    int64_t at = from;

    *dirty = *found = false;
    if (frames->header.version > JP_FORMAT_VERSION) { // what its frames mean is not known here
        *dirty = true;
        return frames->fs->size(frames->fs, frames->fd);
    }
    // One byte on, so that what was refused at `from` is not found again.
    for (int64_t start = from + 1; start < JP_SEGMENT_MAX && candidates > 0;) {
        size_t n;
        int rc = load(frames, at);

        if (rc == -EIO && at < frames->fs->size(frames->fs, frames->fd)) {
            at = start = (at / SECTOR + 1) * SECTOR;
            *dirty = true;
            continue;
        }
        if (rc <= 0)
            return rc < 0 && rc != -EIO ? rc : at;
        if (at < start) {
            *dirty = *dirty || frames->buffer[0] != 0;
            at = start;
            continue;
        }
        n = scan(frames, &candidates, found);
        *dirty = *dirty || any_nonzero(frames->buffer, n);
        at += (int64_t)n;
        start = at;
        if (*found) {
            *dirty = true;
            return at;
        }
    }
    *dirty = true;
    return frames->fs->size(frames->fs, frames->fd);
}
