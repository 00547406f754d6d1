// SPDX-License-Identifier: Apache-2.0
// The inside of the durable spool, shared by spool*.c only.
//
// spool.c holds the promises of spool.h, spool_write.c and spool_begin.c bring held frames to disk, spool_recover.c
// finds what is there, spool_retention.c lets go of it, spool_reader.c reads.
#ifndef JP_SPOOL_PARTS_H
#define JP_SPOOL_PARTS_H

#include "spool.h"

// spool_begin.c ----------------------------------------------------------------------------------
// A new segment becomes the open one (what was open is sealed). 0, or -errno and everything is as before.
int jp_spool_begin(struct jp_spool *spool);
// The same, in place of the spare, for GAPs only.
int jp_spool_begin_with_spare(struct jp_spool *spool);
// Makes the spare when there is none. 0, or -errno.
int jp_spool_make_spare(struct jp_spool *spool);
bool jp_spool_is_full(int rc);
int jp_spool_path(const struct jp_spool *spool, const char *name, char path[JP_PATH_MAX]);
// Counted for flash_bytes. 0, or -errno.
int jp_spool_write(struct jp_spool *spool, int fd, const void *bytes, size_t size, int64_t offset);
int jp_spool_write_zeros(struct jp_spool *spool, int fd, int64_t from, int64_t to);
int64_t jp_spool_extent_above(const struct jp_spool *spool, int64_t bytes);

// spool_write.c ----------------------------------------------------------------------------------
// Writes every held frame, beginning segments as needed. 0, or -errno with the rest still held.
int jp_spool_flush(struct jp_spool *spool);
// Writes SEAL and closes.
void jp_spool_seal(struct jp_spool *spool, int fd, int64_t offset, uint32_t number);
// Ends the open segment.
void jp_spool_end_segment(struct jp_spool *spool);
// Where the reader must stop.
void jp_spool_set_end(struct jp_spool *spool);
size_t jp_spool_frame_bytes(const uint8_t *head);
// Gives the frames of a buffer their numbers. Their count.
uint32_t jp_spool_number_frames(uint8_t *bytes, size_t size, uint32_t from);

// spool_recover.c --------------------------------------------------------------------------------
// Folder, lock, listing, cursor. 0, or -errno; may be called again after an error.
int jp_spool_attach(struct jp_spool *spool);
// Makes the cursor durable when it has moved (or `always`). 0, or -errno.
int jp_spool_save(struct jp_spool *spool, bool always);
// Gets a name that is in the way out of it. 0, or -errno.
int jp_spool_clear_name(struct jp_spool *spool, const char *path);

// spool_retention.c ------------------------------------------------------------------------------
// Lets go of segments: released ones (unless all are kept), the oldest while there are too many bytes, and old ones.
// Nothing may be held. 0, or -errno.
int jp_spool_trim(struct jp_spool *spool, const struct jp_spool_now *now);
// Makes room on a full disk: the oldest segment when it is released. 1 gone, 0 none, or -errno.
int jp_spool_give_up_released(struct jp_spool *spool);
// Renames a segment to *.bad, of which the oldest go when there are more than JP_SPOOL_BAD_MAX; one of another format
// to *.other, and these stay. 0, or -errno.
int jp_spool_quarantine(struct jp_spool *spool, uint64_t number);
// Keeps a damaged segment's name for the time when it goes.
void jp_spool_keep_evidence(struct jp_spool *spool, uint64_t number);

#endif
