// SPDX-License-Identifier: Apache-2.0
// The durable spool: what could not be sent yet, in segments on flash. One process writes and reads it (post);
// anybody may read it (the reader at the end). The folder is described in docs/format.md.
//
// Frames are appended to RAM and made durable by commit with one sync; until then RAM alone holds them. Nothing is
// made on flash before the first commit but the folder and its lock. An error never stops the spool: frames stay
// held, and every JP_SPOOL_RETRY_MS a commit or tend tries again with a new segment; an old file is never written.
#ifndef JP_SPOOL_H
#define JP_SPOOL_H

#include "frames.h"
#include "segment.h"
#include "slots.h"

// Hours of blocks of a small board while a disk is full or failing; the hot spool keeps what is beyond.
#define JP_SPOOL_HELD_MAX 262144
#define JP_SPOOL_RETRY_MS 60000
#define JP_SPOOL_SAVE_MS 5000 // tend saves a moved cursor at most this often
#define JP_SPOOL_EXTENT 65536 // a file grows by so many zero bytes at a time where a disk overwrites in place
#define JP_SPOOL_BAD_MAX 4    // quarantined files kept, the newest; they come on top of max_bytes
#define JP_SPOOL_FENCES 8     // segments that failed in this process and whose end is remembered
#define JP_SPOOL_AFTER 128    // so many segments go for one listing of the folder
#define JP_SPOOL_SEGMENT_MIN 65536
#define JP_SPOOL_SEGMENT_MAX 1048576
#define JP_SPOOL_MAX_BYTES_MIN 524288 // less is taken as this: spare, the open segment, and some history

enum jp_spool_next {
    JP_SPOOL_FRAME,   // frame holds
    JP_SPOOL_END,     // nothing more now
    JP_SPOOL_DAMAGED, // bad bytes were passed over: frame.at .. frame.next
    JP_SPOOL_TORN,    // the same behind the last frame of a segment without SEAL: what a power cut leaves, no loss
    JP_SPOOL_FOREIGN, // a segment's name on something else, another version or no segment at all: passed over
};

// Reader -----------------------------------------------------------------------------------------
struct jp_spool_reader {
    const struct jp_fs *fs;
    char dir[JP_PATH_MAX];
    struct jp_pos at;      // the next frame to look at
    struct jp_pos from;    // below it only RUN and ANCHOR are handed out
    struct jp_pos end;     // nothing at or above is looked at; segment 0: no such end
    struct jp_frames file; // the open segment; file.header is its header
    bool sealed;           // the last frame of the open segment was a SEAL
};

// Reads the spool in dir from `from` (zero: from its beginning) and writes nothing; needs no lock, bears files that
// vanish. The frames in force at `from` come first: RUN and ANCHOR of its segment that lie below. Allocates once
// (constant memory, whatever the spool holds). 0, or -errno.
int jp_spool_reader_open(struct jp_spool_reader *reader, const struct jp_fs *fs, const char *dir, struct jp_pos from);
// The next frame in order over all segments, SEAL included. enum jp_spool_next, or -errno: the call may be repeated;
// where it cannot be read for good, _pass() passes over the bytes (JP_SPOOL_DAMAGED) and _skip() leaves the segment.
int jp_spool_reader_next(struct jp_spool_reader *reader, struct jp_frame *frame);
int jp_spool_reader_pass(struct jp_spool_reader *reader, struct jp_frame *frame);
void jp_spool_reader_skip(struct jp_spool_reader *reader);
// Back (or on) to `from`, as after opening.
void jp_spool_reader_seek(struct jp_spool_reader *reader, struct jp_pos from);
void jp_spool_reader_close(struct jp_spool_reader *reader);

// Reads the saved cursor and spool id of a spool without writing. 0, -ENOENT when there is none (yet), or -errno.
int jp_spool_read_cursor(const struct jp_fs *fs, const char *dir, struct jp_pos *cursor, uint8_t spool_id[16]);

// Owner ------------------------------------------------------------------------------------------
struct jp_spool;

enum jp_spool_reason {
    JP_SPOOL_FULL, // max_bytes
    JP_SPOOL_OLD,  // keep_days
};

struct jp_spool_now {
    int64_t boot_ms; // BOOTTIME: retries and saves go by it
    int64_t real_ms; // REALTIME: headers, keep_days
    bool synced;     // the kernel's verdict on it; keep_days waits for true
};

struct jp_spool_calls {
    void *context;
    // A new segment begins: append what is in force (RUN, ANCHOR) with jp_spool_append(), so that the segment stands
    // alone. At most 64 KiB. May be NULL.
    void (*preface)(void *context, struct jp_spool *spool);
    // A segment with unreleased frames must go: called for each of them that is not released, in order (RUN and
    // ANCHOR of the segment also when they are), then once with frame NULL: append the GAPs that say what goes now,
    // with jp_spool_append(), unreleased GAPs of the segment among them (at an earlier call is as well; what does not
    // fit into JP_SPOOL_HELD_MAX is not recorded). They are durable before the segment goes.
    // What they take must be less than what goes, or the spool stays beyond max_bytes.
    // `header` has version 0 when it could not be read. Damage is passed over. May be NULL: nothing is recorded.
    void (*weigh)(void *context, struct jp_spool *spool, enum jp_spool_reason reason,
                  const struct jp_segment_header *header, const struct jp_frame *frame);
};

struct jp_spool_config {
    const struct jp_fs *fs; // kept
    const char *dir;        // copied
    int64_t max_bytes;      // of all segments and the spare
    int64_t segment_bytes;  // 0: max_bytes / 64, within the bounds above
    int keep_days;          // 0: for ever
    bool keep_all;          // released segments stay until max_bytes or keep_days
    // device, boot, tool; spool_id is a fresh random one, used when the folder has none yet.
    struct jp_segment_header header;
    struct jp_spool_calls calls;
};

struct jp_spool_counts {
    uint64_t damaged;     // places of bad bytes the reader has passed over
    uint64_t torn;        // of them such that a power cut leaves
    uint64_t foreign;     // files that were no segments of ours
    uint64_t quarantined; // of these and of damaged ones, renamed to *.bad, or *.other when of another format
    uint64_t dropped;     // segments that went with unreleased frames
    uint64_t failures;    // failed attempts to write
    uint64_t removed;     // open segments whose name somebody removed; another was begun
    uint64_t cursor_lost; // both slots were damaged: everything is handed out again
    uint64_t flash_bytes; // written since opening: frames, headers, zero bytes, cursors
    uint64_t frames;      // made durable since opening
};

struct jp_spool {
    // To be read by the owner.
    int error;            // 0, or the -errno of the last attempt to write: the spool is degraded, frames are held
    struct jp_pos cursor; // everything below is released
    // Behind the last frame that the last commit was given; GAPs of what had to go may follow at once.
    struct jp_pos committed;
    int64_t used_bytes;              // of all segments and the spare
    uint64_t lowest;                 // number of the oldest segment, 0 none
    uint64_t highest;                // the highest number ever seen
    struct jp_segment_header header; // of the open segment and template of the next; spool_id is the spool's own
    struct jp_spool_counts counts;
    struct jp_spool_reader reader; // reader.file.header: of the segment the last frame came from
    size_t held_bytes;             // frames not durable yet, heads included
    uint32_t held_frames;

    // Its own.
    struct jp_spool_reader weigher;
    struct jp_pos saved; // the cursor on flash
    bool id_known;
    struct jp_pos handed; // behind the last frame handed out that wants a release
    bool behind_damage;   // bad bytes since: what comes of them is told with the next such frame
    uint64_t weighed;     // the segment whose GAPs were appended and which has not gone yet
    const struct jp_fs *fs;
    char dir[JP_PATH_MAX];
    int64_t max_bytes, segment_bytes, extent, keep_days_ms;
    bool keep_all;
    struct jp_spool_calls calls;
    bool attached; // lock, listing and cursor are done
    int appends;   // the file system does not overwrite in place: no zero bytes
    bool has_spare;
    int lock_fd, fd;
    int64_t offset; // durable end of the open segment
    int64_t filled; // bytes of it that exist
    uint32_t next_fno;
    bool gaps_only;       // the open segment was the spare
    bool bare;            // the open segment holds its preface only
    struct jp_pos unread; // could not be read since
    int64_t unread_ms;
    uint64_t unweighed; // a segment that could not be weighed since
    int64_t unweighed_ms;
    int64_t retry_at_ms, save_at_ms;
    bool retry_waits, cursor_moved;
    int64_t days_at_ms; // when keep_days is looked at again
    struct jp_slots slots;
    bool slots_open;
    uint8_t *held;  // JP_SPOOL_HELD_MAX
    uint8_t *front; // where a preface is collected
    size_t front_bytes;
    bool fronting;
    struct {
        uint64_t segment;
        int64_t end;
    } fences[JP_SPOOL_FENCES];
    int fence_next;
    uint64_t after[JP_SPOOL_AFTER]; // segments above `lowest` as last listed, rising
    int after_count;
    uint64_t evidence[JP_SPOOL_BAD_MAX]; // damaged segments that are kept as *.bad when they go
    int evidence_count;
    uint64_t bad[JP_SPOOL_BAD_MAX]; // quarantined by this process, the newest
    int bad_count;
};

// Makes the folder (0750; not its parents) if need be, takes its lock, finds the cursor and what is there, and puts
// the reader at the cursor. Allocates, the only time. 0 also when the disk fails (error is set, tend goes on
// trying); -EWOULDBLOCK when another process has the lock, -ENAMETOOLONG, -ENOMEM.
int jp_spool_open(struct jp_spool *spool, const struct jp_spool_config *config, const struct jp_spool_now *now);

// Takes a copy of a frame, in RAM. 0; -EMSGSIZE; -ENOBUFS when the held frames would exceed JP_SPOOL_HELD_MAX (the
// frame is not taken: keep it where it is).
int jp_spool_append(struct jp_spool *spool, uint8_t type, const void *payload, size_t size);

// Makes every held frame durable: one write and one sync (more when a segment begins). 0 (also with nothing held);
// else -errno, the frames stay held, and until JP_SPOOL_RETRY_MS later every commit answers the same at once. While
// the disk is full, held GAP frames go to the spare segment ahead of the others. Blocks.
// Then, when the spool has grown beyond max_bytes, the oldest segments go (weigh): a few a call, fewer where their GAPs
// take the room they leave; the rest with the next commit or tend.
int jp_spool_commit(struct jp_spool *spool, const struct jp_spool_now *now);

// Forgets what is held: its owner has delivered it by other means.
void jp_spool_forget(struct jp_spool *spool);

// The next durable frame from the cursor on; as jp_spool_reader_next(). Never a frame that is only held. Files
// that are foreign are quarantined. -errno: reader.at cannot be read, ask again later; what stays unreadable for
// JP_SPOOL_RETRY_MS is damage, and its segment becomes *.bad when it goes. A frame may come twice after a failed sync.
int jp_spool_next(struct jp_spool *spool, struct jp_frame *frame);
// The next frame is again the first that is not released.
void jp_spool_rewind(struct jp_spool *spool);
// The next frame is the first at or above `pos`, which no frame handed out lies above; nothing is released.
void jp_spool_skip(struct jp_spool *spool, struct jp_pos pos);
// Everything below `pos` (frame.next of the last released frame) is released; lower than the cursor: nothing
// happens. RUN, ANCHOR and SEAL need no release of their own. Writes nothing: tend, close and every unlink save
// the cursor.
void jp_spool_release(struct jp_spool *spool, struct jp_pos pos);
// Whether a durable frame may lie at or above the cursor; true also for zero bytes not looked at yet.
bool jp_spool_pending(const struct jp_spool *spool);
// The place behind the last durable frame.
struct jp_pos jp_spool_end(const struct jp_spool *spool);
// An upper bound of the bytes at or above the cursor, held ones included. Looks at the folder.
int64_t jp_spool_pending_bytes(const struct jp_spool *spool);

// To be called now and then (each second while there is a backlog): retries what failed, saves a moved cursor,
// unlinks released segments, applies keep_days. 0, or -errno (also in spool->error when it is about writing).
int jp_spool_tend(struct jp_spool *spool, const struct jp_spool_now *now);

// Commits, saves the cursor, writes SEAL, frees. What is still held is lost to the spool.
void jp_spool_close(struct jp_spool *spool, const struct jp_spool_now *now);

#endif
