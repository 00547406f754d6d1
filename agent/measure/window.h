// SPDX-License-Identifier: Apache-2.0
// A window: what each channel used between two borders. The unit of everything downstream.
#ifndef JP_WINDOW_H
#define JP_WINDOW_H

#include "limits.h"
#include "run.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Why part of a window is not covered.
enum jp_cause {
    JP_CAUSE_NONE,
    JP_CAUSE_STALL,
    JP_CAUSE_SUSPEND,
    JP_CAUSE_READ_ERROR,
    JP_CAUSE_RESET,
    JP_CAUSE_IMPLAUSIBLE,
    JP_CAUSE_COUNT
};

// "stall", "suspend", "read_error", "reset", "implausible"; NULL for NONE.
const char *jp_cause_name(enum jp_cause cause);

struct jp_window_channel {
    bool known;          // false: no coverage at all, mj is unknown (never 0)
    int64_t mj;          // floor(R(k)/1000) - floor(R(k-1)/1000), R the run's cumulative uJ
    int64_t run_mj;      // floor(R(k)/1000)
    int32_t covered_ms;  // 0..span_ms
    enum jp_cause cause; // the gravest reason of what is missing, when covered_ms < span_ms
    int64_t raw_uj;      // ENERGY: the counter as last read, to bridge a restart; -1 none
    int32_t mv, ma;      // POWER: means of the samples; INT32_MIN unknown
    int64_t peak_mw;     // highest sample, INT64_MIN unknown
};

struct jp_window {
    uint64_t run, seq;
    int64_t t0_ms;      // BOOTTIME of its start
    int64_t span_ms;    // its length in BOOTTIME; window_ms, more after a stall or suspend, less at a clean stop
    int64_t late_ticks; // of the run so far
    struct jp_window_channel channels[JP_CHANNELS_MAX]; // in the order of the run
    int channel_count;
    int64_t gauges[JP_GAUGES_MAX]; // thousandths of the unit at the last reading, INT64_MIN unknown
    int gauge_count;
};

// The WINDOW frame's payload (docs/format.md). The size, or -EMSGSIZE; 0, or -EBADMSG.
int jp_window_encode(const struct jp_window *window, void *buffer, size_t size);
int jp_window_decode(struct jp_window *window, const void *bytes, size_t size);

// Energy counted without its windows: what a full hot spool folded away. It tells by itself whose joules they are, as
// the run it names may be gone. More windows than first_seq to last_seq holds: later windows or runs were added.
struct jp_gap {
    uint64_t run, first_seq, last_seq, windows;
    int64_t t0_ms;   // BOOTTIME of the first window's start
    int64_t span_ms; // their lengths added
    char reason[16]; // "hot_full"
    int64_t mj[JP_CHANNELS_MAX];
    bool known[JP_CHANNELS_MAX]; // false: no coverage in any of them
    int channel_count;
    bool named; // the names hold; a frame of an early writer has none
    char names[JP_CHANNELS_MAX][JP_NAME_MAX];
    bool total_known; // the channels with in_total make the device's total
    bool in_total[JP_CHANNELS_MAX];
};

// Adds a window of `run` to a gap (windows 0 begins one).
void jp_gap_fold(struct jp_gap *gap, const struct jp_run *run, const struct jp_window *window, const char *reason);
// Adds a later gap, channel by name to channel; both are named. Run and sequences stay those of `gap`.
void jp_gap_merge(struct jp_gap *gap, const struct jp_gap *later);
int jp_gap_encode(const struct jp_gap *gap, void *buffer, size_t size);
int jp_gap_decode(struct jp_gap *gap, const void *bytes, size_t size);

// Something that happened: "task", "run", ... detail is a JSON object as text, "{}" when there is none.
struct jp_event {
    uint64_t run;
    int64_t boot_ms;
    char kind[24];
    char channel[JP_NAME_MAX]; // "" none
    char detail[512];
};

int jp_event_encode(const struct jp_event *event, void *buffer, size_t size);
int jp_event_decode(struct jp_event *event, const void *bytes, size_t size);

// What REALTIME was at a moment of BOOTTIME (the ANCHOR frame).
struct jp_anchor {
    int64_t boot_ms, off_ms; // off_ms = REALTIME - BOOTTIME
    int clock;               // enum jp_clock_state
    int64_t err_ms;          // -1 unknown
};

int jp_anchor_encode(const struct jp_anchor *anchor, void *buffer, size_t size);
int jp_anchor_decode(struct jp_anchor *anchor, const void *bytes, size_t size);

#endif
