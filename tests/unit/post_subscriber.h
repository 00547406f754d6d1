// SPDX-License-Identifier: Apache-2.0
// What a subscriber makes of all that the post half handed over: windows by (run, seq), gaps, events, lives.
#ifndef POST_SUBSCRIBER_H
#define POST_SUBSCRIBER_H

#include "post_world.h"

#include <jansson.h>

#define SUBSCRIBER_RUNS 256
#define SUBSCRIBER_SEQ 4096

struct subscriber_run {
    uint64_t id;
    int windows, doubled;
    int64_t mj[2];
    uint64_t last_seq;
    bool seen[SUBSCRIBER_SEQ], in_gap[SUBSCRIBER_SEQ];
    int64_t gap_mj[2];
    int64_t run_no; // of its event, -1 none
    int64_t prev_seq;
    uint64_t prev_run;
    bool prev_known, prev_clean;
    int64_t off_ms; // of its last records
    char clock[16], first_clock[16], device[32];
};

struct subscriber {
    struct subscriber_run runs[SUBSCRIBER_RUNS]; // in the order of their first message
    int run_count;
    int blocks, gaps, events;
    bool ordered;   // windows of a run came rising, a run after the one before it; what came again aside
    bool differing; // one name had two contents
    struct {
        size_t at, size;
    } first[SUBSCRIBER_RUNS][SUBSCRIBER_SEQ]; // where a block that begins here came first
};

// Takes in messages `from` on, delivered or not: what was under way at a kill may have arrived.
void subscriber_take(struct subscriber *subscriber, const struct world *world, int from);
// Of a run; NULL: nothing of it came.
struct subscriber_run *subscriber_run(struct subscriber *subscriber, uint64_t id);
json_t *subscriber_json(const struct world *world, const struct world_message *message);
int subscriber_count(const struct world *world, const char *leaf); // delivered ones

#endif
