// SPDX-License-Identifier: Apache-2.0
// A look through a spool: every frame in order, and all that is wrong, without writing a byte.
#include "walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES (4 * (JP_FRAME_HEAD + JP_PAYLOAD_MAX))
#define EFFORT (4LL * JP_SEGMENT_MAX)
#define TAIL_LOOKS 64

// The folder -------------------------------------------------------------------------------------
struct listing {
    uint64_t *numbers;
    size_t count, room;
};

static int add_number(void *context, const char *name)
{
    struct listing *list = context;
    uint64_t number;

    if (!jp_segment_number(name, &number))
        return 0;
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        uint64_t *more = realloc(list->numbers, room * sizeof *more);

        if (!more)
            return -ENOMEM;
        list->numbers = more;
        list->room = room;
    }
    list->numbers[list->count++] = number;
    return 0;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

int jp_walk_open(struct jp_walk *walk, const struct jp_fs *fs, const char *dir)
{
    struct listing list = {.count = 0};
    int rc;

    *walk = (struct jp_walk){.fs = fs, .fd = -1};
    if (strlen(dir) >= sizeof walk->dir)
        return -ENAMETOOLONG;
    memcpy(walk->dir, dir, strlen(dir) + 1);
    rc = fs->list(fs, dir, add_number, &list);
    walk->buffer = rc ? NULL : malloc(BUFFER_BYTES);
    if (!walk->buffer) {
        free(list.numbers);
        return rc ? rc : -ENOMEM;
    }
    if (list.count > 1)
        qsort(list.numbers, list.count, sizeof *list.numbers, ascending);
    walk->numbers = list.numbers;
    walk->count = list.count;
    return 0;
}

static void leave(struct jp_walk *walk)
{
    if (walk->fd >= 0)
        walk->fs->close(walk->fs, walk->fd);
    walk->fd = -1;
    walk->index++;
}

void jp_walk_close(struct jp_walk *walk)
{
    if (walk->fd >= 0)
        walk->fs->close(walk->fs, walk->fd);
    free(walk->numbers);
    free(walk->buffer);
    *walk = (struct jp_walk){.fd = -1};
}

// Bytes ------------------------------------------------------------------------------------------
static bool newest(const struct jp_walk *walk)
{
    return walk->index + 1 == walk->count;
}

// Fills the buffer from `offset` on. 0, or -errno.
static int load(struct jp_walk *walk, int64_t offset)
{
    walk->base = offset;
    walk->have = 0;
    walk->last = false;
    while (walk->have < BUFFER_BYTES && !walk->last) {
        ssize_t n = walk->fs->pread(walk->fs, walk->fd, walk->buffer + walk->have, BUFFER_BYTES - walk->have,
                                    offset + (int64_t)walk->have);

        if (n < 0)
            return (int)n;
        walk->last = n == 0;
        walk->have += (size_t)n;
    }
    return 0;
}

static enum jp_walk_next tell(struct jp_walk *walk, enum jp_flaw_kind kind, int64_t from, int64_t end)
{
    walk->flaw = (struct jp_flaw){kind, {walk->numbers[walk->index], from}, end, -1, 0};
    return JP_WALK_FLAW;
}

static enum jp_walk_next cannot_read(struct jp_walk *walk, int error)
{
    static const int foreign[] = {-ELOOP, -EISDIR, -ESPIPE, -ENXIO, -ENODEV};
    enum jp_flaw_kind kind = error == -ENOENT ? JP_FLAW_GONE : JP_FLAW_UNREAD;

    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (error == foreign[i])
            kind = JP_FLAW_FOREIGN;
    tell(walk, kind, walk->at.offset, walk->at.offset);
    walk->flaw.error = error;
    leave(walk);
    return JP_WALK_FLAW;
}

// A whole frame at `offset`, of a number not below the one expected. What was found; -errno.
static int look(struct jp_walk *walk, int64_t offset, struct jp_frame *frame)
{
    bool fresh = offset < walk->base || offset > walk->base + (int64_t)walk->have;
    int rc = fresh ? load(walk, offset) : 0, found;
    size_t skip = (size_t)(offset - walk->base);

    if (rc)
        return rc;
    found = (int)jp_frame_parse(frame, walk->buffer + skip, walk->have - skip);
    if (found == JP_FOUND_SHORT && !walk->last && skip > 0) {
        rc = load(walk, offset);
        if (rc)
            return rc;
        found = (int)jp_frame_parse(frame, walk->buffer, walk->have);
    }
    // A copy of an older frame inside a payload must not come alive.
    if (found == JP_FOUND_WHOLE && frame->number < walk->next_fno)
        found = JP_FOUND_BAD;
    return found;
}

// What a stretch of bad bytes is made of.
struct stretch {
    int64_t end, content_end; // where a frame or the file's end follows; after the last byte that is not zero
    bool frame;               // a frame follows
};

static void count_content(struct stretch *stretch, const struct jp_walk *walk, size_t from, size_t to)
{
    while (to > from && walk->buffer[to - 1] == 0)
        to--;
    if (to > from)
        stretch->content_end = walk->base + (int64_t)to;
}

// The first place in the buffer from `at` on where a frame stands, or where one may stand that reaches beyond it.
static size_t scan(struct jp_walk *walk, size_t at, bool *found)
{
    struct jp_frame frame;

    *found = false;
    while (at < walk->have && walk->effort > 0) {
        const uint8_t *next = memchr(walk->buffer + at, 0x84, walk->have - at);
        enum jp_frame_found what;

        if (!next)
            return walk->have;
        at = (size_t)(next - walk->buffer);
        what = jp_frame_parse(&frame, next, walk->have - at);
        *found = what == JP_FOUND_WHOLE && frame.number >= walk->next_fno;
        if (*found || (what == JP_FOUND_SHORT && !walk->last && at > 0))
            return at;
        // Only a place that looks like a head costs a CRC; crafted ones must not cost for ever.
        if (walk->have - at > JP_FRAME_HEAD && next[1] == 0x1a && next[6] == 0x1a && next[13] == 0x59)
            walk->effort -= JP_FRAME_HEAD + (next[14] << 8 | next[15]);
        at++;
    }
    return walk->have;
}

// Looks beyond the bad bytes at `from`. 0, or -errno.
static int stretch_of(struct jp_walk *walk, int64_t from, struct stretch *stretch)
{
    int64_t at = from;

    *stretch = (struct stretch){.content_end = from};
    while (at < JP_SEGMENT_MAX) {
        size_t n;
        int rc = load(walk, at);

        if (rc)
            return rc;
        // One byte on, so that what was refused at `from` is not found again.
        n = scan(walk, at == from ? 1 : 0, &stretch->frame);
        n = n > walk->have ? walk->have : n;
        count_content(stretch, walk, 0, n);
        at += (int64_t)n;
        if (stretch->frame || walk->last)
            break;
    }
    stretch->end = at;
    return 0;
}

// Whether the bytes from `from` on are the front of one frame whose rest was never written: the file ends
// within it, or, in a file filled with zeros beforehand, the rest of it reads as zeros.
static bool torn(struct jp_walk *walk, int64_t from, const struct stretch *stretch)
{
    const uint8_t *head = walk->buffer;
    size_t content = (size_t)(stretch->content_end - from), whole;
    struct jp_frame frame;

    if (stretch->frame || walk->sealed || content > JP_FRAME_HEAD + JP_PAYLOAD_MAX || load(walk, from))
        return false;
    if (jp_frame_parse(&frame, head, walk->have) == JP_FOUND_SHORT)
        return true;
    if (content > walk->have || jp_frame_parse(&frame, head, content) != JP_FOUND_SHORT)
        return false;
    whole = JP_FRAME_HEAD + ((size_t)head[14] << 8 | head[15]);
    return content < JP_FRAME_HEAD || walk->have > whole;
}

// Bad bytes end where a frame begins: how many frames they cost, by its number.
static int64_t frames_lost(struct jp_walk *walk, int64_t end)
{
    struct jp_frame frame;
    int64_t lost;

    if (look(walk, end, &frame) != JP_FOUND_WHOLE)
        return -1;
    lost = (int64_t)frame.number - walk->next_fno;
    walk->next_fno = frame.number;
    return lost;
}

// Something else than the next frame stands at walk->at.
static enum jp_walk_next pass_bad(struct jp_walk *walk)
{
    int64_t from = walk->at.offset;
    struct stretch stretch;
    int rc = stretch_of(walk, from, &stretch);

    if (rc)
        return cannot_read(walk, rc);
    if (!stretch.frame && stretch.content_end == from && stretch.end < JP_SEGMENT_MAX) { // zeros to the end
        leave(walk);
        return JP_WALK_END;
    }
    if (!stretch.frame && stretch.content_end == from) {
        tell(walk, JP_FLAW_OVERSIZE, stretch.end, stretch.end);
        leave(walk);
        return JP_WALK_FLAW;
    }
    tell(walk, torn(walk, from, &stretch) ? JP_FLAW_TORN : JP_FLAW_DAMAGED, from,
         stretch.frame ? stretch.end : stretch.content_end);
    walk->at.offset = stretch.end;
    if (stretch.frame)
        walk->flaw.frames = frames_lost(walk, stretch.end);
    else
        leave(walk);
    return JP_WALK_FLAW;
}

// The writer may be in the middle of the newest segment's last frame: a few looks more.
static int look_again(struct jp_walk *walk, struct jp_frame *frame)
{
    int found = JP_FOUND_SHORT;

    while (walk->looks > 0 && found >= 0 && found != JP_FOUND_WHOLE) {
        int rc = load(walk, walk->at.offset);

        if (rc)
            return rc;
        if (!walk->last || walk->have == 0 || walk->have > JP_FRAME_HEAD + JP_PAYLOAD_MAX)
            return JP_FOUND_BAD;
        walk->looks--;
        found = look(walk, walk->at.offset, frame);
    }
    return found;
}

// Segments ---------------------------------------------------------------------------------------
static enum jp_walk_next without_header(struct jp_walk *walk)
{
    struct stretch stretch = {.content_end = 0};

    if (walk->last && walk->have <= JP_HEADER_MAX)
        count_content(&stretch, walk, 0, walk->have);
    else if (stretch_of(walk, 0, &stretch))
        stretch.content_end = 1;
    if (stretch.content_end == 0 && !stretch.frame) {
        tell(walk, newest(walk) ? JP_FLAW_FRESH : JP_FLAW_EMPTY, 0, (int64_t)walk->have);
        leave(walk);
        return JP_WALK_FLAW;
    }
    walk->queued = (struct jp_flaw){JP_FLAW_HEADER, walk->at, stretch.end ? stretch.end : stretch.content_end, -1, 0};
    walk->at.offset = stretch.end;
    if (stretch.frame) {
        walk->queued.frames = frames_lost(walk, stretch.end);
        return JP_WALK_SEGMENT;
    }
    walk->flaw = walk->queued;
    walk->queued.kind = JP_FLAW_NONE;
    leave(walk);
    return JP_WALK_FLAW;
}

static enum jp_walk_next open_segment(struct jp_walk *walk)
{
    char path[JP_PATH_MAX];
    uint64_t number = walk->numbers[walk->index];
    int rc = jp_segment_path(path, walk->dir, number);
    int64_t size;

    walk->at = (struct jp_pos){number, 0};
    walk->header = (struct jp_segment_header){.number = number};
    walk->header_known = walk->sealed = false;
    walk->next_fno = 0;
    walk->effort = EFFORT;
    walk->looks = TAIL_LOOKS;
    walk->base = 0;
    walk->have = 0;
    if (rc == 0)
        rc = walk->fd = walk->fs->open(walk->fs, path, JP_FS_READ);
    if (rc >= 0)
        rc = load(walk, 0);
    if (rc < 0)
        return cannot_read(walk, rc);
    size = walk->fs->size(walk->fs, walk->fd);
    walk->bytes += size > 0 ? size : 0;
    rc = jp_segment_header_decode(&walk->header, walk->buffer, walk->have < JP_HEADER_MAX ? walk->have : JP_HEADER_MAX);
    if (rc == -EPROTONOSUPPORT) {
        tell(walk, JP_FLAW_VERSION, 0, (int64_t)walk->have);
        leave(walk);
        return JP_WALK_FLAW;
    }
    if (rc < 0)
        return without_header(walk);
    walk->header_known = true;
    walk->at.offset = rc;
    if (walk->header.number != number)
        walk->queued = (struct jp_flaw){JP_FLAW_NUMBER, {number, 0}, rc, -1, 0};
    return JP_WALK_SEGMENT;
}

static enum jp_walk_next hand_out(struct jp_walk *walk, struct jp_frame *frame)
{
    int64_t missing = (int64_t)frame->number - walk->next_fno;

    if (missing > 0) {
        tell(walk, JP_FLAW_MISSING, walk->at.offset, walk->at.offset);
        walk->flaw.frames = missing;
        walk->next_fno = frame->number;
        return JP_WALK_FLAW;
    }
    frame->at = walk->at;
    walk->at.offset += JP_FRAME_HEAD + (int64_t)frame->size;
    frame->next = walk->at;
    walk->next_fno = (int64_t)frame->number + 1;
    walk->sealed = frame->type == JP_FRAME_SEAL;
    return JP_WALK_FRAME;
}

enum jp_walk_next jp_walk_next(struct jp_walk *walk, struct jp_frame *frame)
{
    while (walk->index < walk->count) {
        enum jp_walk_next next;
        int found;

        if (walk->fd < 0)
            return open_segment(walk);
        if (walk->queued.kind != JP_FLAW_NONE) {
            walk->flaw = walk->queued;
            walk->queued.kind = JP_FLAW_NONE;
            return JP_WALK_FLAW;
        }
        found = walk->at.offset >= JP_SEGMENT_MAX ? JP_FOUND_BAD : look(walk, walk->at.offset, frame);
        if (found >= 0 && found != JP_FOUND_WHOLE && newest(walk))
            found = look_again(walk, frame);
        if (found < 0)
            return cannot_read(walk, found);
        next = found == JP_FOUND_WHOLE ? hand_out(walk, frame) : pass_bad(walk);
        if (next != JP_WALK_END)
            return next;
    }
    return JP_WALK_END;
}
