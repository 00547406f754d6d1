// SPDX-License-Identifier: Apache-2.0
// The inside of the post half, shared by posting*.c only: the state and what the parts do with it.
//
// Frames go from the hot spool into a queue of items, `fresh` (posting_read.c). What is not released in time goes on
// to the durable spool (posting_store.c), and from there, as soon as the link is up, into a second queue, `backlog`
// (posting_backlog.c), which is always the older one. The items of either, and beside them status, meta and live, go
// one message at a time to the link (posting_publish.c, posting_report.c); what is released moves a cursor
// (posting_queue.c, posting_cursor.c). posting.c is the loop.
#ifndef JP_POSTING_PARTS_H
#define JP_POSTING_PARTS_H

#include "block.h"
#include "hot.h"
#include "payload.h"
#include "posting.h"
#include "registers_resolve.h"
#include "slots.h"
#include "spool.h"
#include "topics.h"

#define JP_POST_ITEMS 64
#define JP_POST_ASIDE_MAX 16
#define JP_POST_RECORD_MAX 16384 // largest RUN, EVENT or GAP payload; a worst RUN has about 11 KB
// Two blocks and what may end the second: a run and its event.
#define JP_POST_QUEUE_BYTES (2 * JP_BLOCK_BYTES_MAX + 2 * JP_POST_RECORD_MAX)

enum jp_post_kind { JP_POST_BLOCK, JP_POST_RUN, JP_POST_EVENT, JP_POST_GAP };

struct jp_post_anchor {
    bool known;
    struct jp_anchor anchor;
};

struct jp_post_item {
    enum jp_post_kind kind;
    // Its first frame, and the byte after its last; in the hot spool a block has no `next`.
    struct jp_pos at, next;
    struct jp_post_anchor before, anchor; // in force at `at`; in force at its end
    int64_t born_ns;                      // MONOTONIC
    size_t size;                          // in the queue's bytes: an encoded block, or the frame's payload
    uint64_t run, run_no, last_seq;       // of a block; run_no 0 unknown
    int windows;
    int64_t frame_bytes; // what its windows take in the hot spool
};

// Oldest first. A RUN is no message: what stands before it has to leave before what comes after is packed.
struct jp_post_queue {
    struct jp_post_item items[JP_POST_ITEMS];
    int count;
    int sent; // at the front: delivered, and not released yet
    uint8_t *bytes;
    size_t used, sent_bytes;
    const struct jp_run *run; // whose they are
};

// Messages out of the durable spool that were delivered and are not released yet, oldest first.
#define JP_POST_MARKS 256
struct jp_post_mark {
    bool block;
    uint64_t run, run_no, last_seq; // of a block
    uint64_t windows;
    struct jp_pos end;
};

enum jp_post_sending {
    JP_POST_IDLE,
    JP_POST_STATUS,
    JP_POST_META,
    JP_POST_RECORDS,
    JP_POST_OF_ITEM, // event or gap
    JP_POST_ASIDE,   // an event or gap that was refused before
};

// When to try again what failed.
struct jp_post_retry {
    int64_t delay_s, next_ns;
};

// An event or gap that the broker refuses: records do not wait for it.
struct jp_post_aside {
    struct jp_post_item item;
    uint8_t *bytes;
    bool stored; // its frame stays unreleased in the durable spool until it is delivered
    char boot[37], device[JP_DEVICE_MAX];
};

enum jp_post_degraded {
    JP_POST_REFUSED = 1,   // the broker does not take something
    JP_POST_DAMAGED = 2,   // bad bytes in the hot spool
    JP_POST_HOT_FULL = 4,  // meter folds windows into gaps
    JP_POST_HOT_ERROR = 8, // the hot spool cannot be read or the cursor not written
    JP_POST_SILENT = 16,   // meter closes no windows
    JP_POST_DISK_FULL = 32,
    JP_POST_DISK_ERROR = 64, // the durable spool or the state cannot be written
};

// A run as post numbered it at first sight.
#define JP_POST_RUNS 64 // more than meter begins while post is away
struct jp_post_run_no {
    uint64_t id, run_no;
    bool prev_known, prev_clean;
    uint64_t prev_run, prev_seq;
};

// What survives a power cut beside the spool (posting_state.c).
struct jp_post_state {
    struct jp_slots flash, hot; // the same record, in paths.spool now and then and in paths.hot at each live
    bool flash_open, hot_open;
    uint64_t serial;
    uint8_t spool_id[16];
    struct jp_post_run_no runs[JP_POST_RUNS]; // newest last
    int run_count;
    uint64_t last_run, last_seq;     // the newest window seen
    bool last_known, last_clean;     // its run has ended as it should
    bool loaded, late;               // a record was there; or only later
    struct jp_registers_stamp stamp; // and when it was written
    int64_t saved_ns, try_ns;        // MONOTONIC: when flash was written last, when to try again
    int error;                       // of the last write to flash
    uint64_t bytes;                  // written to flash
};

// The durable spool, seen from the end that writes (posting_store.c).
#define JP_POST_WEIGHED 4 // gaps of one segment; of more, the last ones are one in `lost`
// What one segment's weighing hands on: of more gaps, or channels in them, the oldest of one reason become one. With
// names of 32 characters these are some 25 KB, of a segment's 64.
#define JP_POST_CARRIED 32
#define JP_POST_CARRIED_CHANNELS 512
#define JP_POST_EVENT_MAX 1024 // EVENT's payload
struct jp_post_store {
    struct jp_spool spool;
    bool open;
    bool anew;    // it could be used later than its owner: all is sent from its cursor on
    uint64_t run; // that its frames say is in force
    struct jp_post_anchor anchor, anchor_written; // of what is being put there; in force there
    uint64_t windows;                             // ever put into it
    uint64_t pending;                             // of them not released
    uint64_t last_run, last_seq;                  // of the last block put into it
    bool last_known;
    int64_t tend_ns;
    int error;            // of the last commit
    bool said, said_full; // that it fails; that something had to go
    uint64_t removed;     // segments by others, as last told
    int unread;           // -errno of the last look for what is next to be sent
    int told;             // places of damage
    // Weighing what has to go
    bool weighing;
    struct jp_gap gap, weighed[JP_POST_WEIGHED];
    int weighed_count;
    struct jp_gap carried[JP_POST_CARRIED]; // oldest first: those of windows that go, and those that were there
    int carried_count;
    uint8_t event[JP_POST_EVENT_MAX]; // the last run's: it is handed on where the run goes on in the next segment
    size_t event_size;
    uint64_t event_run, weighed_run; // whose it is; the run in force so far
    uint64_t dropped;                // segments, as last counted
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

// How far the blocks out of the durable spool are accounted for.
struct jp_post_past {
    bool known;             // the last block:
    uint64_t run, next_seq; // it goes up to here,
    struct jp_pos at;       // its frame
    bool damaged;           // bad bytes, or a block that cannot be read, since
    struct jp_pos sure;     // windows above it went nowhere but through the spool
    struct jp_pos counted;  // gaps before the block here, and earlier ones, are counted as lost
    uint64_t dropped;       // segments, as last counted
};

struct jp_post {
    const struct jp_posting *in;
    int wake_fd, notify_fd;
    int64_t watchdog_ns; // longest wait that keeps the service manager content, 0 none
    // Reading
    struct jp_hot_reader tail;  // packs
    struct jp_hot_reader ahead; // only looks, while the queue has no room; buffer NULL when closed
    struct jp_pos head;         // frames below were looked at
    bool barred;                // a RUN waits in the queue
    bool stalled;               // the last read stopped before the end of the data
    bool run_known, head_run_known;
    struct jp_run run, head_run;               // of the windows packed; of the newest window
    struct jp_run run_before;                  // a killed meter's last gap is written by the next one
    uint8_t *run_payload, *run_before_payload; // as the durable spool has it
    size_t run_size, run_before_size;
    struct jp_pos run_at;                 // RUN's frame
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
    struct {
        bool due, fenced; // to be asked for; the broker has answered since the connection began
        bool there;       // our own retained live came
        struct jp_retained live;
    } retained;
    struct jp_factor factor;
    bool factor_fixed; // configured: no live value replaces it
    uint64_t pending_windows;
    int64_t pending_bytes;
    struct jp_lost lost[JP_LOST_MAX];
    unsigned degraded; // enum jp_post_degraded bits
    struct jp_post_queue fresh;
    struct jp_post_state state;
    struct jp_post_store store;
    // Out of the durable spool
    struct jp_post_queue backlog;
    struct jp_run backlog_run;
    bool backlog_run_known;
    uint64_t backlog_run_no; // 0 unknown
    struct jp_post_anchor backlog_anchor;
    uint64_t backlog_anchor_in; // the segment that it stands in
    bool backlog_apart;         // a block of another run, without a RUN, waits until `backlog` is empty
    struct jp_post_past past;
    uint8_t *next_run; // payload of a RUN that waits until `backlog` is empty
    size_t next_run_size;
    struct {
        char boot[37]; // looked for last
        struct jp_post_anchor anchor;
    } repair;
    struct jp_post_mark marks[JP_POST_MARKS];
    int mark_first, mark_count;
    // What the collector has: everything up to this window
    struct {
        bool known;
        uint64_t run, run_no, upto; // run_no 0: that run was not met yet
    } ack;
    int64_t ack_since_ns; // since when something waits for it without progress
    // Cursor
    struct jp_slots cursor;
    bool cursor_open;
    struct jp_pos released, told;
    uint64_t released_run, released_seq, unlinked_below;
    // Sending
    bool up;
    uint32_t max_packet;
    enum jp_post_sending sending;
    const char *speaker;                 // the device part of the next message's topic
    struct jp_post_queue *from;          // whose items are under way
    int sending_items;                   // of them, whole
    bool moved;                          // they went to the durable spool meanwhile
    struct jp_post_mark moved_mark;      // and end there
    int sending_blocks, sending_windows; // whole blocks; JSON: windows of the one after them
    int part;                            // JSON: windows of the oldest block that were delivered
    struct jp_post_queue *part_of;
    uint8_t *message, *live;
    char topic[JP_TOPIC_MAX], grid_topic[JP_TOPIC_MAX], cmd_topic[JP_TOPIC_MAX];
    char live_topic[JP_TOPIC_MAX], ack_topic[JP_TOPIC_MAX];
    bool status_due, meta_due;
    int64_t next_live_ns; // when the window of the next live should be there
    int live_misses;      // how often it was not
    int64_t next_status_ns;
    struct jp_post_retry item, meta, beside;
    bool item_waits; // for item.next_ns, and for nothing else
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
    char down_why[160]; // the last complaint, while down
    struct {
        int64_t ns; // MONOTONIC, 0 never
        bool up;
        char down_why[160];
        unsigned degraded;
        int64_t since_ms; // BOOTTIME of the link's state
    } told_here;
    struct {
        unsigned degraded;
        uint64_t refused, lost;
        enum jp_clock_state clock;
    } status_as_sent;
};

// posting_queue.c --------------------------------------------------------------------------------
int64_t jp_post_now_ns(const struct jp_post *post);
// Whether fresh has room for the block at hand and what may end it.
bool jp_post_has_room(const struct jp_post *post);
// Whether there is room for a block of so many bytes, and for what may end it.
bool jp_post_queue_room(const struct jp_post_queue *queue, size_t block_bytes);
// Puts a copy at the queue's end; size is of the item's bytes.
void jp_post_queue_put(struct jp_post_queue *queue, const struct jp_post_item *item, const void *bytes);
// Takes `count` items off the front.
void jp_post_queue_drop(struct jp_post_queue *queue, int count);
// The oldest item that was not delivered and its bytes; NULL none.
struct jp_post_item *jp_post_first(struct jp_post_queue *queue, const uint8_t **bytes);
// The queue whose first item is the next message. NULL: none is to be sent now.
struct jp_post_queue *jp_post_front(struct jp_post *post);
// Under whose name what `run` measured goes out: the spool may have been another device's, or this one was renamed.
const char *jp_post_device(const struct jp_post *post, const struct jp_run *run);
// `count` items of the queue were delivered, or stand aside.
void jp_post_sent(struct jp_post *post, struct jp_post_queue *queue, int count);
// What was under way was delivered after it had gone to the durable spool.
void jp_post_moved_sent(struct jp_post *post);
void jp_post_mark(struct jp_post *post, const struct jp_post_mark *mark);
// Lets go of what was delivered and is released: all of it, or what the collector has.
void jp_post_release(struct jp_post *post);
// What waits for the collector is sent once more, from the oldest on.
void jp_post_again(struct jp_post *post);
bool jp_post_same_anchor(const struct jp_post_anchor *a, const struct jp_post_anchor *b);

// posting_read.c: takes new frames until there are none or the queue has no room, then only looks ahead.
void jp_post_read(struct jp_post *post);
// A RUN whose windows may be packed from now on.
int jp_post_adopt_run(struct jp_post *post, const void *payload, size_t size);
void jp_post_enqueue(struct jp_post *post, enum jp_post_kind kind, const struct jp_frame *frame);

// posting_note.c: what live, status, the registers and the clock's repair need of a frame that the tail or the look
// ahead meets first. `window` is the one it holds, NULL none.
void jp_post_note(struct jp_post *post, const struct jp_frame *frame, const struct jp_window *window);
// An event about a run: its start, or with *stop its end as it should be.
bool jp_post_is_of_run(const struct jp_frame *frame, struct jp_event *event, bool *stop);

// posting_lost.c: counts what a gap says is lost.
void jp_post_lost(struct jp_post *post, const struct jp_gap *gap);
uint64_t jp_post_lost_windows(const struct jp_post *post);
// Adds the windows of an encoded block from index `from` on; windows 0 begins a gap. 0; -EXDEV: of another run or with
// other channels, nothing was added; -EBADMSG.
int jp_post_gap_add(struct jp_gap *gap, const void *block, size_t size, int from);

// posting_damage.c: bad bytes at `frame`; a GAP, or the window in post->window, was read; the last window released.
void jp_post_damaged(struct jp_post *post, const struct jp_frame *frame);
void jp_post_seen_gap(struct jp_post *post, const struct jp_gap *gap);
void jp_post_seen_window(struct jp_post *post, const struct jp_frame *frame);
void jp_post_seen_resume(struct jp_post *post, uint64_t run, uint64_t seq);

// posting_cursor.c
int jp_post_cursor_open(struct jp_post *post);
void jp_post_cursor_store(struct jp_post *post);
bool jp_post_cursor_gone(struct jp_post *post);

// posting_run.c: a run at first sight.
// Gives it a number and says which run was before, unless it has one.
const struct jp_post_run_no *jp_post_number(struct jp_post *post, uint64_t run);
// NULL when it is not one of the newest runs.
const struct jp_post_run_no *jp_post_run_no(const struct jp_post *post, uint64_t run);
// Takes one in as it was numbered before.
const struct jp_post_run_no *jp_post_keep_run(struct jp_post *post, const struct jp_post_run_no *run);
// RUN as the durable spool has it, out of meter's: with its number and `prev`. The size, or -errno.
int jp_post_run_frame(const struct jp_post_run_no *no, const struct jp_frame *frame, uint8_t *bytes, size_t size);
// post->run_payload as a segment begins with it: with the windows that the spool's earlier frames hold.
int jp_post_run_stored(const struct jp_post *post, uint64_t windows, uint8_t *bytes, size_t size);
// What these two added. False: it has no number.
bool jp_post_run_read(const void *payload, size_t size, struct jp_post_run_no *no, uint64_t *stored);
// Its event, as an EVENT's payload. The size, or -errno.
int jp_post_run_event(const struct jp_post *post, const struct jp_run *run, uint8_t *bytes, size_t size);

// posting_state.c: the state of paths.spool and its twin in paths.hot.
void jp_post_state_open(struct jp_post *post);
// To paths.hot, before anything is published that it proves. What keeps it from that shows as degraded.
void jp_post_state_note(struct jp_post *post);
// To flash, durable; `closed`: nothing will be published after it.
void jp_post_state_save(struct jp_post *post, bool closed);
int64_t jp_post_state_at(const struct jp_post *post); // when the next checkpoint is due, MONOTONIC
void jp_post_state_close(struct jp_post *post);

// posting_registers.c: are the registers the last that were published?
void jp_post_registers_open(struct jp_post *post);
int64_t jp_post_registers_at(const struct jp_post *post); // when to look again, MONOTONIC
bool jp_post_registers_wait(const struct jp_post *post);  // live must not be sent yet
void jp_post_registers_tend(struct jp_post *post);
void jp_post_take_retained(struct jp_post *post, const struct jp_news *news);

// posting_store.c: the durable spool.
int jp_post_store_open(struct jp_post *post);
// When what is fresh has to be there, MONOTONIC; INT64_MAX: no need.
int64_t jp_post_store_at(const struct jp_post *post);
// Moves what is fresh into it. 0, or -errno and the rest stays where it is.
int jp_post_store(struct jp_post *post);
void jp_post_store_tend(struct jp_post *post);
void jp_post_store_close(struct jp_post *post);
struct jp_spool_now jp_post_spool_now(const struct jp_post *post);
uint64_t jp_post_backlog_windows(const struct jp_post *post);

// posting_weigh.c: jp_spool_calls.weigh; and what came of it after a call that may have dropped segments.
void jp_post_weigh(void *context, struct jp_spool *spool, enum jp_spool_reason reason,
                   const struct jp_segment_header *header, const struct jp_frame *frame);
void jp_post_weighed(struct jp_post *post);

// posting_backlog.c: fills `backlog` out of the durable spool. False: it cannot be read now.
bool jp_post_load(struct jp_post *post);

// posting_backlog_survey.c: what the spool holds when it is opened: windows, the last of them, and what its run came
// to.
void jp_post_survey(struct jp_post *post);

// posting_backlog_damage.c: bad bytes since the last block out of it; a whole block, before it is queued: what is
// missing before it becomes a gap in the queue; all is released, and what comes at or above `sure` stands alone.
void jp_post_past_damaged(struct jp_post *post);
void jp_post_past_block(struct jp_post *post, const struct jp_frame *frame, const struct jp_block_head *head);
void jp_post_past_forget(struct jp_post *post, struct jp_pos sure);

// posting_repair.c: the first anchor of `boot` in the durable spool, from its cursor on, that was not unsynced.
const struct jp_post_anchor *jp_post_repair(struct jp_post *post, const char *boot);

// posting_ack.c: mqtt.release = "collector".
// The collector has what `mark` stands for.
bool jp_post_has(const struct jp_post *post, const struct jp_post_mark *mark);
// A run's number, which an ack may have waited for.
void jp_post_met(struct jp_post *post, uint64_t run, uint64_t run_no);
void jp_post_take_ack(struct jp_post *post, const struct jp_news *news);
int64_t jp_post_ack_at(const struct jp_post *post); // when to send once more what it did not confirm

// posting_link.c: what the connection tells.
void jp_post_take_news(struct jp_post *post);

// posting_publish.c: hands the next message to the link when it is up and free.
void jp_post_pump(struct jp_post *post);
void jp_post_delivered(struct jp_post *post);
void jp_post_failed(struct jp_post *post, int reason, const char *text);
int jp_post_send(struct jp_post *post, enum jp_post_sending what, enum jp_leaf leaf, int size);
size_t jp_post_room(const struct jp_post *post); // of a message's payload
void jp_post_head(struct jp_post *post, const struct jp_run *run, const struct jp_post_anchor *anchor,
                  struct jp_records_head *head);

// posting_records.c: the blocks at the queue's front.
void jp_post_send_records(struct jp_post *post, struct jp_post_queue *queue);
void jp_post_records_delivered(struct jp_post *post);
void jp_post_records_failed(struct jp_post *post, int reason, const char *text);

// posting_items.c: what a queue holds beside blocks, as messages. The size, -EMSGSIZE, or -EBADMSG.
int jp_post_item_message(struct jp_post *post, const struct jp_post_item *item, const uint8_t *bytes,
                         const struct jp_run *run);

// posting_refused.c: what the broker refuses, and when it is tried again.
// Waits longer after each failure, from 1 s to retry_max_s; quick: 1 s.
void jp_post_back_off(const struct jp_post *post, struct jp_post_retry *retry, bool quick);
// `leaf` is refused: said once until it is taken again.
void jp_post_refused(struct jp_post *post, enum jp_leaf leaf, const char *why);
void jp_post_taken(struct jp_post *post, enum jp_leaf leaf);
// The queue's first item, an event or gap, stands aside; it stays in the queue as well.
void jp_post_put_aside(struct jp_post *post, struct jp_post_queue *queue);
void jp_post_send_aside(struct jp_post *post);
void jp_post_aside_delivered(struct jp_post *post);
// Those that still stand aside go to the durable spool. The number that could not.
int jp_post_aside_store(struct jp_post *post);
// Forgets those that the durable spool hands out again.
void jp_post_aside_again(struct jp_post *post);
// The backlog's item that ends at `end` stands aside.
bool jp_post_is_aside(const struct jp_post *post, struct jp_pos end);
// posting_park.c: the queue's first block goes to the folder `refused`, a gap takes its place.
int jp_post_park(struct jp_post *post, struct jp_post_queue *queue);

// posting_live.c: sends live where a window for it was closed since the last one, and says when to look again.
void jp_post_live(struct jp_post *post);
// On a new connection live follows what explains it: status and, where it can be sent at once, meta.
bool jp_post_live_held(const struct jp_post *post);
bool jp_post_meta_ready(const struct jp_post *post); // due, and it can be sent

// posting_report.c: writes into post->message. The size, or -errno.
int jp_post_status(struct jp_post *post);
void jp_post_status_now(struct jp_post *post, struct jp_status *status);
int jp_post_meta(struct jp_post *post);
bool jp_post_status_changed(struct jp_post *post);

// posting_told.c: paths.hot/post.json, what programs of this machine may know of post; written anew when the link or
// what is degraded changes, and now and then. Its end says that no post runs.
void jp_post_tell(struct jp_post *post);
void jp_post_tell_end(struct jp_post *post);

// posting_incoming.c: a message on a subscription.
void jp_post_incoming(struct jp_post *post, const struct jp_news *news);

#endif
