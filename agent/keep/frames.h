// SPDX-License-Identifier: Apache-2.0
// Frames out of one segment file: the buffer, the look at a place, and the way back to order behind damage.
#ifndef JP_FRAMES_H
#define JP_FRAMES_H

#include "segment.h"

struct jp_frames {
    const struct jp_fs *fs;
    int fd;                          // -1 no file
    uint64_t segment;                // that was opened last
    struct jp_segment_header header; // of it; version 0 when it is damaged
    int64_t last_fno;                // of the last frame taken, -1 none
    int64_t base;                    // the buffer holds `have` bytes of the file from here on
    size_t have;
    uint8_t *buffer; // JP_FRAME_HEAD + JP_PAYLOAD_MAX
};

// Allocates the buffer, the only time. 0, or -ENOMEM.
int jp_frames_init(struct jp_frames *frames, const struct jp_fs *fs);
void jp_frames_free(struct jp_frames *frames);

// A name of ours on something that is no regular file: a symbolic link, directory, pipe, socket.
bool jp_frames_is_foreign(int error);

// Opens a segment and reads its header. The header's size; 0 when it is damaged; -EPROTONOSUPPORT for another
// version (the file is open then, too); else -errno and the file of before is as it was, or closed.
int jp_frames_open(struct jp_frames *frames, const char *dir, uint64_t segment);
void jp_frames_close(struct jp_frames *frames);

// Looks for a frame at `offset`, with a number above last_fno. enum jp_frame_found, or -errno; *empty: the file
// ends there. The frame points into the buffer.
int jp_frames_look(struct jp_frames *frames, int64_t offset, struct jp_frame *frame, bool *empty);

// The next frame beyond bad bytes at `from`, else the file's end; *dirty when other bytes than zeros lie between,
// *found when a frame was found. Or -errno.
int64_t jp_frames_resync(struct jp_frames *frames, int64_t from, bool *dirty, bool *found);

#endif
