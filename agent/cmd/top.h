// SPDX-License-Identifier: Apache-2.0
// What top shows: numbers out of the agent's answers, kept until the agent begins another run.
//
// Pure: told the time, reads no clock, speaks to nobody.
#ifndef JP_TOP_H
#define JP_TOP_H

#include "grid.h"
#include "limits.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// Windows remembered: a minute of the shortest windows (100 ms) and one more for each column of the widest sparkline.
#define JP_TOP_SPARK_MAX 120
#define JP_TOP_LEVELS 7 // of eight: lines do not touch
#define JP_TOP_HISTORY (600 + JP_TOP_SPARK_MAX)
#define JP_TOP_UNKNOWN INT32_MIN
#define JP_TOP_WHY_MAX (JP_PATH_MAX + 128)

// The powers of one channel.
struct jp_top_series {
    int32_t mw[JP_TOP_HISTORY];            // of window seq at seq % JP_TOP_HISTORY; JP_TOP_UNKNOWN
    int64_t count, sum_mw, min_mw, max_mw; // of all that were seen
};

struct jp_top_row {
    char name[JP_NAME_MAX], part_of[JP_NAME_MAX];
    char roles[JP_TEXT_MAX]; // "cpu cv", "" none
    int depth;               // in the tree
    bool in_total, modelled;
    bool power_known, energy_known;
    int64_t mw, mj; // of the last window; of the run
    char cause[16]; // why it was not covered, "" it was
    struct jp_top_series series;
};

struct jp_top_gauge {
    char name[JP_NAME_MAX], unit[8];
    bool known;
    int64_t milli;
};

enum jp_top_link { JP_TOP_LINK_NONE, JP_TOP_LINK_CONNECTING, JP_TOP_LINK_CONNECTED };

// What post tells of itself.
struct jp_top_post {
    bool running; // else nothing below holds
    enum jp_top_link link;
    int64_t since_ms; // BOOTTIME
    char error[JP_TEXT_MAX];
    int64_t pending_windows, pending_bytes, lost_windows, refused;
    char lost_why[64], degraded[JP_TEXT_MAX]; // words with commas between them
    bool register_known, emissions_known;
    int64_t register_mj, register_ug; // when post told them, some time ago
    char register_run[17];            // of whose energy they hold so much
    int64_t register_run_mj;
};

// Large: static.
struct jp_top {
    // Of the run.
    char run[17]; // "" none was seen
    char device[JP_DEVICE_MAX], board[JP_TEXT_MAX], power_mode[JP_NAME_MAX];
    int window_ms, interval_ms;
    int64_t start_ms;                        // BOOTTIME
    struct jp_top_row rows[JP_CHANNELS_MAX]; // in the order of the tree
    int row_count;
    struct jp_top_row total;
    bool total_known;
    char total_how[32]; // "module, measured"
    struct jp_top_gauge gauges[JP_GAUGES_MAX];
    int gauge_count;
    // Of the last window.
    bool any; // one was closed
    uint64_t seq;
    int64_t boot_ms; // BOOTTIME of its end
    char task[JP_NAME_MAX];
    char degraded[JP_TEXT_MAX]; // of meter, words with commas between them
    // Of post, and what grams are computed with: its factor, while it runs, else the configuration's.
    struct jp_top_post post;
    struct jp_factor factor, configured;
    double pue, configured_pue;
    // Of the connection.
    int64_t away_ms;           // BOOTTIME since when the agent does not answer, 0 it does
    char away[JP_TOP_WHY_MAX]; // why
};

// A reply to `meta`: another run begins; the factor configured stays. 0, or -EBADMSG.
int jp_top_take_meta(struct jp_top *top, const json_t *meta);
// A reply to `live` of the run that meta described. 0; -ESTALE: it is of another run; -EBADMSG.
int jp_top_take_live(struct jp_top *top, const json_t *live);
// post.json, NULL when there is none.
void jp_top_take_post(struct jp_top *top, const json_t *post, int64_t now_ms);

// The sparkline of `width` columns, each the mean of `per` windows, the newest last: levels from 0, -1 unknown. It runs
// from the lowest to the highest, or over a fifth of the highest if that is more: what is steady looks steady.
void jp_top_spark(const struct jp_top_series *series, uint64_t seq, int per, int width, int8_t *levels);

#endif
