// SPDX-License-Identifier: Apache-2.0
// A world for the post half: a clock that jumps, a meter that appends to a real hot spool, a link that does
// as it is told. Time moves only inside clock->wait: a second a wait, or exactly as far as is waited (lag_ms).
#ifndef POST_WORLD_H
#define POST_WORLD_H

#include "hot.h"
#include "payload.h"
#include "posting.h"

#include <stdio.h>

#define WORLD_MESSAGES 16384
#define WORLD_ARENA (16 << 20)

struct world_message {
    char leaf[12], device[32];
    bool retained, delivered;
    int qos, second; // when it was handed over
    size_t at, size; // in the arena
};

// What survives a killed post: shared between processes.
struct world_log {
    int count;
    size_t used;
    struct world_message messages[WORLD_MESSAGES];
    uint8_t arena[WORLD_ARENA];
};

struct world {
    char root[48], dir[64]; // paths.hot
    struct world_log *log;
    struct jp_config config;
    struct jp_hot_writer meter;
    struct jp_run run;
    struct jp_window window;
    uint64_t next_seq;
    bool metering; // append a window a second
    int seconds;   // of world time
    int64_t ns;    // beyond them
    int lag_ms;  // above 0: post is woken when it asked and at block borders; frames come up to so long after a window
    int wakes;   // then: how often it was
    int stop_at; // second at which *stop is set
    int kill_at; // messages handed over at which the process dies, 0 never
    // The link
    bool up;
    int refuse, refusals; // reason code for records, how many times; -1 for ever
    size_t too_large;     // records above this get 0x95
    size_t slam;          // records above this end the connection
    const char *deny;     // this leaf gets 0x87
    uint32_t max_packet;
    struct jp_news news[8];
    int news_count;
    const struct jp_message *under_way;
    int under_way_index;
    bool answer; // DELIVERED or FAILED comes by itself
    bool stopped, unsubscribed;
    bool forgetful;            // the broker keeps nothing retained
    const struct jp_fs *flash; // what lies below paths.spool; NULL: a folder of the machine
    int syncs;                 // of files below paths.spool
    int meter_fd;              // of the meter begun last
    int boots;
    int kill_second; // of a forked post, 0 never
    bool away;       // the disk below paths.spool is not there: every call on a name fails
    int disk_error;  // -errno of every write below paths.spool, 0 none
    char asked[64];  // the last request to meter's control socket
    void (*each_second)(struct world *world);
};

void world_begin(struct world *world, int channels, int block_windows);
void world_end(struct world *world);
// The same in shared memory, as world_post_forked() needs it.
struct world *world_new(int channels, int block_windows);
void world_delete(struct world *world);
// A new run of meter, its RUN and ANCHOR frames appended.
void world_start_meter(struct world *world, uint64_t run_id);
// It ends as it should, and metering with it.
void world_stop_meter(struct world *world);
void world_append_window(struct world *world);
void world_append(struct world *world, uint8_t type, const void *payload, int size);
void world_anchor(struct world *world, enum jp_clock_state clock, int64_t off_ms);
void world_event(struct world *world, const char *name);
void world_say(struct world *world, enum jp_news_kind kind, int reason);
// For each_second: the link comes up when it is down.
void world_go_up(struct world *world);
// A message on a subscription.
void world_incoming(struct world *world, const char *leaf, const void *payload, size_t size);
// The power is cut or the machine boots anew: paths.hot is gone, the boot is another.
void world_reboot(struct world *world);
// The last message of a leaf that was handed over, NULL none.
const struct world_message *world_last(const struct world *world, const char *leaf);
// Runs post for `seconds`, then stops it. Returns what it returned.
int world_post(struct world *world, int seconds, bool linked);
// The same in a process of its own, which dies at `kill_second` of world time (0: it does not); `world` has to lie in
// shared memory. The meter goes on. True when it died so.
bool world_post_forked(struct world *world, int seconds, int kill_second);
// The same in a process that dies when `kill_at` messages were handed over. True when it died so.
bool world_post_killed(struct world *world, int seconds, int kill_at);

#endif
