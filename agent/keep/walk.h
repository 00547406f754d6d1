// SPDX-License-Identifier: Apache-2.0
// A look through a spool that somebody else may be writing: every frame in order, and all that is wrong.
//
// Reads only, takes no lock, works on any folder of segments. What it sees is what lay there when it began;
// segments that vanish meanwhile are told and passed over. Memory: a buffer and eight bytes a segment.
#ifndef JP_WALK_H
#define JP_WALK_H

#include "segment.h"

enum jp_walk_next {
    JP_WALK_END,
    JP_WALK_SEGMENT, // a segment begins: header and header_known hold
    JP_WALK_FRAME,   // frame holds
    JP_WALK_FLAW,    // flaw holds
};

enum jp_flaw_kind {
    JP_FLAW_NONE,
    JP_FLAW_GONE,     // removed while we looked: no damage
    JP_FLAW_FRESH,    // the newest segment has no header yet: no damage
    JP_FLAW_EMPTY,    // an older one holds nothing, or zeros only
    JP_FLAW_FOREIGN,  // the name of a segment on a link, a folder, a pipe
    JP_FLAW_UNREAD,   // cannot be opened or read; error says why
    JP_FLAW_HEADER,   // the header is cut or damaged
    JP_FLAW_NUMBER,   // the header carries another number than the name
    JP_FLAW_VERSION,  // written by another version of the format: passed over
    JP_FLAW_DAMAGED,  // bytes that are no frame: passed over
    JP_FLAW_TORN,     // the last frame of a segment is not all there: a write that was cut short
    JP_FLAW_MISSING,  // numbers of frames left out, with no bad bytes between
    JP_FLAW_OVERSIZE, // goes on beyond JP_SEGMENT_MAX
    JP_FLAW_COUNT
};

struct jp_flaw {
    enum jp_flaw_kind kind;
    struct jp_pos at;
    int64_t end;    // the byte after it
    int64_t frames; // how many frames are gone by the numbers around, -1 unknown
    int error;      // -errno of UNREAD
};

struct jp_walk {
    const struct jp_fs *fs;
    char dir[JP_PATH_MAX];
    uint64_t *numbers; // of the segments, ascending
    size_t count, index;
    int64_t bytes; // of the segments opened so far
    int fd;        // of segment numbers[index], -1 not open
    struct jp_segment_header header;
    bool header_known;
    bool sealed; // the last frame handed out was a SEAL
    struct jp_pos at;
    int64_t next_fno; // that the next frame should have
    struct jp_flaw flaw;
    struct jp_flaw queued; // to be told before the next frame
    int64_t effort;        // bytes that candidates for a frame may still cost in this segment
    int looks;             // left for the tail of the newest segment
    uint8_t *buffer;
    int64_t base; // offset of the buffer's first byte
    size_t have;
    bool last; // the buffer reaches the file's end
};

// Lists the folder. 0; -ENOENT, -ENOTDIR and others of the folder; -ENOMEM.
int jp_walk_open(struct jp_walk *walk, const struct jp_fs *fs, const char *dir);
// The next thing. Never fails: what cannot be read is a flaw.
enum jp_walk_next jp_walk_next(struct jp_walk *walk, struct jp_frame *frame);
void jp_walk_close(struct jp_walk *walk);

// Whether the kind means that something is not whole.
bool jp_flaw_is_damage(enum jp_flaw_kind kind);
// A word for programs, "damaged", and a sentence for people.
const char *jp_flaw_name(enum jp_flaw_kind kind);
const char *jp_flaw_text(enum jp_flaw_kind kind);

#endif
