// SPDX-License-Identifier: Apache-2.0
// The hot spool: segments on tmpfs, written by meter, read and unlinked by post. One writer a file.
#ifndef JP_HOT_H
#define JP_HOT_H

#include "frames.h"

// Writer (meter) ---------------------------------------------------------------------------------
struct jp_hot_writer {
    const struct jp_fs *fs;
    char dir[JP_PATH_MAX];
    struct jp_segment_header header; // of the segment that is open, and the template of the next
    int64_t max_bytes;
    int64_t segment_bytes; // a segment is ended at the first border at or beyond this, max_bytes / 16
    int64_t used_bytes;    // of all segments in dir as last counted, each taken for 4,096 at least
    int fd;
    int64_t offset;  // where the next frame goes
    bool limited;    // the last append found max_bytes reached
    int skip_counts; // appends without room until the folder is counted again
    uint32_t next_fno;
    uint8_t *buffer; // JP_FRAME_HEAD + JP_PAYLOAD_MAX
};

// Opens a new segment, one above the highest number in dir (never an old file), and writes its header; where
// max_bytes is reached already, the first append that finds room does.
// `header` gives device, boot, clock, tool, a spool id and the times; the number is found. max_bytes under
// 16,384 is taken as that. Allocates once, the only time. 0, or -errno.
int jp_hot_open(struct jp_hot_writer *writer, const struct jp_fs *fs, const char *dir, int64_t max_bytes,
                const struct jp_segment_header *header);

// Appends one frame with one write. 0; -ENOSPC when it would take the spool beyond max_bytes (counted
// again from the directory first, but in one of five such appends and the first after a border; `limited` is
// set) or the file system is full; other -errno. What was written
// in part is cut off again; where that is not possible, and after other errors, the segment is abandoned and the
// next append opens a new one. A segment of four times segment_bytes (or
// half of max_bytes) is ended without a border, so a changed header.number tells of a new segment.
int jp_hot_append(struct jp_hot_writer *writer, uint8_t type, const void *payload, size_t size);

// At a block border: ends the segment with SEAL and opens the next when it has grown to segment_bytes;
// else does nothing. boot_ms and real_ms are for the next header. 0; -ESTALE: somebody removed the
// open segment, what is appended to it reaches nobody; other -errno.
int jp_hot_border(struct jp_hot_writer *writer, int64_t boot_ms, int64_t real_ms);

// Clean stop: SEAL and close.
void jp_hot_close(struct jp_hot_writer *writer);

// Reader (post, and meter once at start) ---------------------------------------------------------
enum jp_hot_next {
    JP_HOT_FRAME,   // frame holds
    JP_HOT_NOT_YET, // nothing more now; what is there may be half written
    JP_HOT_DAMAGED, // bad bytes in a segment that is no longer written: passed over, frame.at .. frame.next
};

struct jp_hot_reader {
    const struct jp_fs *fs;
    char dir[JP_PATH_MAX];
    struct jp_pos at;      // the next frame to look at
    struct jp_frames file; // the open segment; file.header is its header, file.buffer NULL when closed
    bool final;            // a higher segment was seen: nothing more is written to this one
    bool started;          // a frame was handed out
};

// Begins at `from` (zero: the oldest segment present; also when `from` lies above all that are present).
// Allocates its buffer once. 0, or -errno.
int jp_hot_reader_open(struct jp_hot_reader *reader, const struct jp_fs *fs, const char *dir, struct jp_pos from);
// The next frame in order, segments without end included: a bad frame at the end of the newest segment is
// NOT_YET, in an older one (a higher number exists) DAMAGED. SEAL is handed out like any frame. Names that
// are not regular files of ours are passed over. Or -errno.
int jp_hot_reader_next(struct jp_hot_reader *reader, struct jp_frame *frame);
void jp_hot_reader_close(struct jp_hot_reader *reader);

// Unlinks the segments below pos.segment, whose frames all lie below `pos`, but never the newest of all: a
// restart of meter finds its raw counters there. The number unlinked, or -errno.
int jp_hot_release(const struct jp_fs *fs, const char *dir, struct jp_pos pos);

// Bytes of all segments in dir, or -errno.
int64_t jp_hot_bytes(const struct jp_fs *fs, const char *dir);

#endif
