// SPDX-License-Identifier: Apache-2.0
// Frames of a durable spool in order, out of files that no longer change below `end`.
#include "spool.h"

#include <errno.h>
#include <string.h>

int jp_spool_reader_open(struct jp_spool_reader *reader, const struct jp_fs *fs, const char *dir, struct jp_pos from)
{
    int rc;

    *reader = (struct jp_spool_reader){.fs = fs, .file = {.fd = -1}};
    if (strlen(dir) >= sizeof reader->dir)
        return -ENAMETOOLONG;
    memcpy(reader->dir, dir, strlen(dir) + 1);
    rc = jp_frames_init(&reader->file, fs);
    jp_spool_reader_seek(reader, from);
    return rc;
}

void jp_spool_reader_close(struct jp_spool_reader *reader)
{
    jp_frames_free(&reader->file);
}

void jp_spool_reader_seek(struct jp_spool_reader *reader, struct jp_pos from)
{
    jp_frames_close(&reader->file);
    if (from.offset < 0)
        from.offset = 0;
    reader->from = from;
    reader->at = (struct jp_pos){.segment = from.segment > 0 ? from.segment : 1};
}

void jp_spool_reader_skip(struct jp_spool_reader *reader)
{
    jp_frames_close(&reader->file);
    reader->at = (struct jp_pos){.segment = reader->at.segment + 1};
}

static bool is_beyond(const struct jp_spool_reader *reader)
{
    return reader->end.segment > 0 && jp_pos_compare(reader->at, reader->end) >= 0;
}

// The number at hand is not there: on to the next that is. 1, 0 none, or -errno.
static int next_present(struct jp_spool_reader *reader)
{
    uint64_t next, highest;
    int rc = jp_segment_find(reader->fs, reader->dir, reader->at.segment - 1, &next, &highest);

    if (rc == 0 && next == reader->at.segment) // a dead link, or it came this moment
        next++;
    if (rc == 0 && next > 0)
        reader->at = (struct jp_pos){.segment = next};
    return rc ? rc : next > 0;
}

// Opens the segment at hand or the next above. 1 open, 0 none, JP_SPOOL_FOREIGN, or -errno.
static int enter(struct jp_spool_reader *reader)
{
    while (!is_beyond(reader)) {
        int rc = jp_frames_open(&reader->file, reader->dir, reader->at.segment);

        if (rc == -EPROTONOSUPPORT || jp_frames_is_foreign(rc))
            return JP_SPOOL_FOREIGN;
        if (rc >= 0) {
            reader->at.offset = rc;
            reader->sealed = false;
            return 1;
        }
        if (rc == -ENOENT)
            rc = next_present(reader);
        if (rc <= 0)
            return rc;
    }
    return 0;
}

// A whole frame is at hand. Whether it is handed out.
static bool take(struct jp_spool_reader *reader, struct jp_frame *frame)
{
    frame->at = reader->at;
    frame->next = (struct jp_pos){reader->at.segment, reader->at.offset + JP_FRAME_HEAD + (int64_t)frame->size};
    reader->at = frame->next;
    reader->file.last_fno = frame->number;
    reader->sealed = frame->type == JP_FRAME_SEAL;
    return jp_pos_compare(frame->at, reader->from) >= 0 || frame->type == JP_FRAME_RUN ||
           frame->type == JP_FRAME_ANCHOR;
}

// No frame at hand. enum jp_spool_next: what was passed over; JP_SPOOL_END when only zeros were left; or -errno.
static int pass(struct jp_spool_reader *reader, struct jp_frame *frame)
{
    struct jp_pos at = reader->at;
    bool dirty, found;
    int64_t next = jp_frames_resync(&reader->file, at.offset, &dirty, &found);

    if (next < 0)
        return (int)next;
    if (at.segment == reader->end.segment && next > reader->end.offset)
        next = reader->end.offset;
    *frame = (struct jp_frame){.at = at, .next = {at.segment, next > at.offset ? next : at.offset}};
    reader->at = frame->next;
    if (at.offset == 0 && !found)
        return JP_SPOOL_FOREIGN;
    if (!dirty)
        return JP_SPOOL_END;
    return found || reader->sealed ? JP_SPOOL_DAMAGED : JP_SPOOL_TORN;
}

// One look into the open segment. enum jp_spool_next, -EAGAIN to go on, or -errno.
static int look(struct jp_spool_reader *reader, struct jp_frame *frame)
{
    bool empty = false, above = jp_pos_compare(reader->at, reader->from) >= 0;
    int rc = JP_FOUND_BAD;

    if (reader->at.offset > 0)
        rc = jp_frames_look(&reader->file, reader->at.offset, frame, &empty);
    if (rc == JP_FOUND_WHOLE)
        return take(reader, frame) ? JP_SPOOL_FRAME : -EAGAIN;
    if (rc < 0)
        return rc;
    rc = empty ? JP_SPOOL_END : pass(reader, frame);
    if (rc == JP_SPOOL_END || rc == JP_SPOOL_FOREIGN)
        jp_spool_reader_skip(reader);
    return rc == JP_SPOOL_END || (rc >= 0 && !above && rc != JP_SPOOL_FOREIGN) ? -EAGAIN : rc;
}

// Passes over the whole segment at hand.
static int pass_segment(struct jp_spool_reader *reader, struct jp_frame *frame, enum jp_spool_next what)
{
    *frame = (struct jp_frame){.at = {reader->at.segment, 0}, .next = {reader->at.segment, 0}};
    jp_spool_reader_skip(reader);
    return (int)what;
}

int jp_spool_reader_next(struct jp_spool_reader *reader, struct jp_frame *frame)
{
    for (;;) {
        int rc;

        if (is_beyond(reader)) {
            reader->file.have = 0; // what lies behind may change
            return JP_SPOOL_END;
        }
        if (reader->file.fd < 0 || reader->file.segment != reader->at.segment) {
            rc = enter(reader);
            if (rc == JP_SPOOL_FOREIGN)
                return pass_segment(reader, frame, JP_SPOOL_FOREIGN);
            if (rc <= 0)
                return rc < 0 ? rc : JP_SPOOL_END;
        }
        rc = look(reader, frame);
        if (rc != -EAGAIN)
            return rc;
    }
}

int jp_spool_reader_pass(struct jp_spool_reader *reader, struct jp_frame *frame)
{
    int rc = -EIO;

    if (reader->file.fd >= 0 && reader->file.segment == reader->at.segment)
        rc = pass(reader, frame);
    if (rc < 0)
        return pass_segment(reader, frame, JP_SPOOL_DAMAGED);
    return JP_SPOOL_DAMAGED;
}
