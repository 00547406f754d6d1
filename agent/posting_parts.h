// SPDX-License-Identifier: Apache-2.0
// The inside of the post half, shared by posting*.c only: the state and what the parts do with it.
//
// Frames go from the hot spool into a queue of items (posting_read.c); the items, and beside them status,
// meta and live, go one message at a time to the link (posting_publish.c, posting_report.c); what was
// acknowledged moves the cursor (posting_cursor.c). posting.c is the loop.
#ifndef JP_POSTING_PARTS_H
#define JP_POSTING_PARTS_H

#include "block.h"
#include "hot.h"
#include "payload.h"
#include "posting.h"
#include "slots.h"
#include "topics.h"

#define JP_POST_ITEMS 64
#define JP_POST_ASIDE_MAX 16
#define JP_POST_RECORD_MAX 16384 // largest RUN, EVENT or GAP payload; a worst RUN has about 11 KB
// Two blocks and the record that may end the second.
#define JP_POST_QUEUE_BYTES (2 * JP_BLOCK_BYTES_MAX + JP_POST_RECORD_MAX)

enum jp_post_kind { JP_POST_BLOCK, JP_POST_RUN, JP_POST_EVENT, JP_POST_GAP };

struct jp_post_anchor {
    bool known;
    struct jp_anchor anchor;
};

struct jp_post_item {
    enum jp_post_kind kind;
    struct jp_pos at, next;               // its first frame; RUN, EVENT, GAP: the byte after it
    struct jp_post_anchor before, anchor; // in force at `at`; in force at its end
    int64_t began_ms;                     // RUN: BOOTTIME of its start
    size_t size;                          // in the queue's bytes: an encoded block, or the frame's payload
    uint64_t last_seq;
    int windows;
    int64_t frame_bytes; // what its windows take in the hot spool
};

enum jp_post_sending {
    JP_POST_IDLE,
    JP_POST_STATUS,
    JP_POST_META,
    JP_POST_RECORDS,
    JP_POST_OF_ITEM, // event or gap
    JP_POST_RUN_META,
    JP_POST_ASIDE, // an event or gap that was refused before
};

// When to try again what failed.
struct jp_post_retry {
    int64_t delay_s, next_ns;
};

// An event or gap that the broker refuses: records do not wait for it.
struct jp_post_aside {
    struct jp_post_item item;
    uint8_t *bytes;
};

enum jp_post_degraded {
    JP_POST_REFUSED = 1,   // the broker does not take something
    JP_POST_DAMAGED = 2,   // bad bytes in the hot spool
    JP_POST_HOT_FULL = 4,  // meter folds windows into gaps
    JP_POST_HOT_ERROR = 8, // the hot spool cannot be read or the cursor not written
    JP_POST_SILENT = 16,   // meter closes no windows
};

// How far the windows at the tail are accounted for.
struct jp_post_seen {
    uint64_t run, next_seq;
    bool end_known, mj_known;
    int64_t end_ms;                  // BOOTTIME
    int64_t run_mj[JP_CHANNELS_MAX]; // the run's, with that of gaps since
    // Gaps beyond a hole
    uint64_t told_windows, told_first, told_last;
    int64_t told_ms;
    bool damaged; // bad bytes since the last window,
    struct jp_pos damage_at;
};

struct jp_post {
    const struct jp_posting *in;
    int wake_fd, notify_fd;
    int64_t watchdog_ns; // longest wait that keeps the service manager content, 0 none
    // Reading
    struct jp_hot_reader tail;  // packs
    struct jp_hot_reader ahead; // only looks, while the queue has no room; buffer NULL when closed
    struct jp_pos head;         // frames below were looked at
    bool barred;                // a RUN item waits at the queue's end
    bool stalled;               // the last read stopped before the end of the data
    bool run_known, head_run_known;
    struct jp_run run, head_run; // of the windows packed; of the newest window
    struct jp_run run_before;    // a killed meter's last gap is written by the next one
    uint8_t *run_payload;        // of `run`
    size_t run_size;
    char spool_id[33];
    struct jp_post_anchor anchor, latest; // at the tail; the newest of all
    struct jp_block block;
    struct jp_pos block_at;
    struct jp_post_anchor block_before;
    int64_t block_frame_bytes;
    struct jp_post_seen seen;
    struct jp_window window, newest; // scratch; the last closed
    bool newest_known;
    int64_t newest_ns; // MONOTONIC when it was seen
    struct jp_registers registers;
    struct jp_factor factor;
    bool factor_fixed; // configured: no live value replaces it
    uint64_t pending_windows;
    int64_t pending_bytes;
    struct jp_lost lost[JP_LOST_MAX];
    unsigned degraded; // enum jp_post_degraded bits
    // Queue, oldest first
    struct jp_post_item items[JP_POST_ITEMS];
    int item_count;
    uint8_t *bytes;
    size_t used;
    // Cursor
    struct jp_slots cursor;
    bool cursor_open;
    struct jp_pos released, told;
    uint64_t released_run, released_seq, unlinked_below;
    // Sending
    bool up;
    uint32_t max_packet;
    enum jp_post_sending sending;
    int sending_blocks, sending_windows; // whole blocks; JSON: windows of the one after them
    int part;                            // JSON: windows of the oldest block that were delivered
    bool run_event_sent;
    uint8_t *message, *live;
    char topic[JP_TOPIC_MAX], grid_topic[JP_TOPIC_MAX], cmd_topic[JP_TOPIC_MAX];
    bool status_due, meta_due;
    int64_t next_live_ns; // when the window of the next live should be there
    int live_misses;      // how often it was not
    int64_t next_status_ns;
    struct jp_post_retry item, meta, beside;
    uint64_t live_run, live_seq;
    bool live_sent;
    // What one records message may hold: blocks, or windows in JSON. Kept over connections.
    int limit, sending_count;
    int losses;   // of records in a row
    int at_limit; // records messages of that size since it was set
    int item_losses, tries;
    struct jp_post_aside aside[JP_POST_ASIDE_MAX]; // oldest first
    int aside_count;
    enum jp_leaf leaf;       // of the message under way
    unsigned refused_leaves; // bits by enum jp_leaf
    uint64_t refused_blocks, refused;
    // The connection: complaints said since it last held, and whether it ends again and again
    char said[4][160];
    int said_count;
    int64_t up_ns;
    bool settled, flapping;
    struct {
        unsigned degraded;
        uint64_t refused, lost;
        enum jp_clock_state clock;
    } status_as_sent;
};

// posting_read.c: takes new frames until there are none or the queue has no room, then only looks ahead.
void jp_post_read(struct jp_post *post);
// A RUN item was delivered: its windows may be packed.
int jp_post_adopt_run(struct jp_post *post, const void *payload, size_t size);
int jp_post_queue_room(const struct jp_post *post);
// Takes `count` items off the queue's front.
void jp_post_drop(struct jp_post *post, int count);

void jp_post_enqueue(struct jp_post *post, enum jp_post_kind kind, const struct jp_frame *frame);
// Counts what a gap says is lost.
void jp_post_lost(struct jp_post *post, const struct jp_gap *gap);

// posting_damage.c: bad bytes at `frame`; a GAP, or the window in post->window, was read; the last window released.
void jp_post_damaged(struct jp_post *post, const struct jp_frame *frame);
void jp_post_seen_gap(struct jp_post *post, const struct jp_gap *gap);
void jp_post_seen_window(struct jp_post *post, const struct jp_frame *frame);
void jp_post_seen_resume(struct jp_post *post, uint64_t run, uint64_t seq);

// posting_cursor.c
int jp_post_cursor_open(struct jp_post *post);
void jp_post_cursor_store(struct jp_post *post);
bool jp_post_cursor_gone(struct jp_post *post);

// posting_publish.c: hands the next message to the link when it is up and free.
void jp_post_pump(struct jp_post *post);
void jp_post_delivered(struct jp_post *post);
void jp_post_failed(struct jp_post *post, int reason, const char *text);
int jp_post_send(struct jp_post *post, enum jp_post_sending what, enum jp_leaf leaf, int size);
size_t jp_post_room(const struct jp_post *post); // of a message's payload
void jp_post_head(const struct jp_post *post, const struct jp_post_anchor *anchor, struct jp_records_head *head);

// posting_records.c: the blocks at the queue's front.
void jp_post_send_records(struct jp_post *post);
void jp_post_records_delivered(struct jp_post *post);
void jp_post_records_failed(struct jp_post *post, int reason, const char *text);

// posting_items.c: what the queue holds beside blocks, as messages. The size, -EMSGSIZE, or -EBADMSG.
int jp_post_item_message(struct jp_post *post, const struct jp_post_item *item, const uint8_t *bytes);

// posting_refused.c: what the broker refuses, and when it is tried again.
// Waits longer after each failure, from 1 s to retry_max_s; quick: 1 s.
void jp_post_back_off(const struct jp_post *post, struct jp_post_retry *retry, bool quick);
// `leaf` is refused: said once until it is taken again.
void jp_post_refused(struct jp_post *post, enum jp_leaf leaf, const char *why);
void jp_post_taken(struct jp_post *post, enum jp_leaf leaf);
void jp_post_recount(struct jp_post *post);
// The queue's first item, an event, gap or run, stands aside; it stays in the queue as well.
void jp_post_put_aside(struct jp_post *post);
void jp_post_send_aside(struct jp_post *post);
void jp_post_aside_delivered(struct jp_post *post);

// posting_live.c: sends live where a window for it was closed since the last one, and says when to look again.
void jp_post_live(struct jp_post *post);
// On a new connection live follows what explains it: status and, where it can be sent at once, meta.
bool jp_post_live_held(const struct jp_post *post);
bool jp_post_meta_ready(const struct jp_post *post); // due, and not coming with the run

// posting_report.c: writes into post->message. The size, or -errno.
int jp_post_status(struct jp_post *post);
int jp_post_meta(struct jp_post *post, const struct jp_run *run);
bool jp_post_status_changed(struct jp_post *post);

// posting_incoming.c: a message on a subscription.
void jp_post_incoming(struct jp_post *post, const struct jp_news *news);

#endif
