// SPDX-License-Identifier: Apache-2.0
// Windows, events and gaps as JSON objects, the same wherever they are shown: `records`, `dump`, `export`.
//
// Each function returns a new reference, NULL when memory is short.
#ifndef JP_WINDOW_JSON_H
#define JP_WINDOW_JSON_H

#include "json.h"
#include "payload.h"

// What the numbers of a window are called, from its run or from its block.
struct jp_window_names {
    const char *names[JP_CHANNELS_MAX]; // borrowed
    bool in_total[JP_CHANNELS_MAX];
    unsigned columns;              // enum jp_block_column bits that are shown,
    unsigned has[JP_CHANNELS_MAX]; // and which of them this channel has
};

// Borrows the texts of the reader, or of the run. Of the run's columns a channel has those that it ever had, as far
// as `names` saw it: call jp_window_names_see() with each window before it is written.
void jp_window_names_of_block(struct jp_window_names *names, const struct jp_block_reader *block);
void jp_window_names_of_run(struct jp_window_names *names, const struct jp_run *run);
void jp_window_names_see(struct jp_window_names *names, const struct jp_window *window);

// The total of a window: the sum of its known members, covered as its least covered one.
struct jp_window_total {
    bool there; // the total has members
    bool known;
    int64_t mj;
    int32_t covered_ms;
    enum jp_cause cause;
};
struct jp_window_total jp_window_total_of(const struct jp_window_names *names, const struct jp_window *window);
// Micrograms of a total; false: unknown.
bool jp_window_emissions(const struct jp_records_head *head, const struct jp_window_total *total, int64_t *ug);

// A JSON window (docs/mqtt.md).
json_t *jp_window_json(const struct jp_records_head *head, const struct jp_window_names *names,
                       const struct jp_window *window);
json_t *jp_event_json(const struct jp_records_head *head, const struct jp_event *event);
// `run` names the channels of a gap that does not do it itself; one without channels names none.
json_t *jp_gap_json(const struct jp_records_head *head, const struct jp_run *run, const struct jp_gap *gap);

#endif
