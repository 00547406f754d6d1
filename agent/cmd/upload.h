// SPDX-License-Identifier: Apache-2.0
// The parts of `joulepost upload`: what goes next, how far it has come, and the sending.
#ifndef JP_UPLOAD_H
#define JP_UPLOAD_H

#include "link.h"
#include "look.h"
#include "slots.h"

#include <signal.h>

#define JP_UPLOAD_VERB "joulepost upload"
#define JP_UPLOAD_ITEMS 1024

struct jp_upload_sum {
    uint64_t blocks, windows, events, gaps;
};

// What goes next ---------------------------------------------------------------------------------
// Blocks of one head wait here, byte for byte as they are stored; events and gaps are sent out of the look.
struct jp_upload_queue {
    struct jp_look *look;
    const volatile sig_atomic_t *stop;
    enum jp_entry_kind hand; // BLOCK, EVENT or GAP that is not in the queue; END: there is no more, or *stop
    bool hot;                // END because this is no durable spool
    bool durable;            // it is one
    struct jp_pos ownerless; // the segment told last for having no device
    struct jp_pos windowed;  // the same for a window in it
    struct jp_records_head head;
    char device[JP_DEVICE_MAX], boot[37]; // of head
    struct {
        size_t size;
        int windows;
        struct jp_pos next;
    } items[JP_UPLOAD_ITEMS];
    int count;
    int part; // JSON: windows of the first that were delivered
    size_t used;
    uint8_t bytes[JP_MESSAGE_MAX];

    int limit; // most blocks (JSON: windows) of a message
    int sending_blocks, sending_count, sending_part;
    enum jp_entry_kind sending; // BLOCK, EVENT or GAP
    uint8_t message[JP_MESSAGE_MAX];
    char topic[JP_TOPIC_MAX];

    struct jp_upload_sum sent, skipped; // skipped: below the start
    struct jp_pos done;                 // everything below was sent, or passed over
};

// Goes to the first entry at or above look->from that can be sent. Large: static.
void jp_upload_queue_begin(struct jp_upload_queue *queue, struct jp_look *look, const volatile sig_atomic_t *stop);
// Makes the next message, as large as may be; again the same entries until jp_upload_queue_taken(). 1; 0: nothing is
// left; -EMSGSIZE: a single block (JSON: window), event or gap is too large; -ENOMEM.
int jp_upload_queue_make(struct jp_upload_queue *queue, uint32_t max_packet, struct jp_message *message);
// The message was delivered.
void jp_upload_queue_taken(struct jp_upload_queue *queue);
// The next messages hold fewer blocks (JSON: windows) than the last. False: that cannot be.
bool jp_upload_queue_split(struct jp_upload_queue *queue);

// How far it has come ----------------------------------------------------------------------------
// Two slots in paths.spool, `upload-` and the spool id; locked while an upload of that spool runs.
struct jp_upload_progress {
    const struct jp_fs *fs;
    const char *dir; // the spool
    uint8_t spool_id[16];
    char path[JP_PATH_MAX];
    int lock_fd;
    struct jp_slots slots;
    struct jp_pos saved, cursor; // cursor: the spool's own, zero where there is none
    bool from_cursor;            // the start is the spool's own cursor
};

// Makes paths.spool if need be and puts the start into look->from: the progress saved, or the spool's own cursor if
// that is larger. A place saved in another copy of the spool, or beyond its end, does not count, which is said.
// JP_OPTIONS_GO, or the exit status, all having been said.
int jp_upload_progress_open(struct jp_upload_progress *progress, struct jp_look *look);
// Durable when it returns. 0, or -errno.
int jp_upload_progress_save(struct jp_upload_progress *progress, struct jp_pos done);
void jp_upload_progress_close(struct jp_upload_progress *progress);

// The sending ------------------------------------------------------------------------------------
struct jp_upload {
    const struct jp_config *config;
    struct jp_upload_queue *queue;
    struct jp_upload_progress *progress;
    struct jp_link *link;
    const volatile sig_atomic_t *stop;
    int stop_fd; // readable once *stop is set

    bool up, sending, ended, complete;
    struct jp_message message;
    uint32_t max_packet;
    int losses; // of the connection during this message
    int64_t start_ns, next_ns, save_ns, stop_ns;
    char said[160];   // the last complaint about the connection
    bool save_failed; // and was said
};

// Sends all that the queue gives, until it is done, *stop, or the broker refuses. Saves the progress each second and at
// the end, says what goes wrong. True: all is sent.
bool jp_upload_send(struct jp_upload *upload);

#endif
