// SPDX-License-Identifier: Apache-2.0
// One channel on its way from readings to windows: calibration, coverage, causes, back-off. Pure: told the time.
#ifndef JP_TRACK_H
#define JP_TRACK_H

#include "integrator.h"
#include "run.h"
#include "window.h"

#define JP_BACKOFF_MAX_NS (60LL * 1000000000LL)

// What a pass did to the channel.
enum jp_pass_state {
    JP_PASS_NOT_DUE, // left out on purpose
    JP_PASS_SKIPPED, // left out although due: backing off
    JP_PASS_LEFT,    // left out although due, for another's slow transfer
    JP_PASS_MISSING, // the read failed
    JP_PASS_GOOD,    // sample, mv and ma hold
};

// What only the top may say aloud.
enum jp_edge { JP_EDGE_NONE, JP_EDGE_FAILING, JP_EDGE_DENIED, JP_EDGE_BACK };

struct jp_track {
    struct jp_integrator integrator;
    int64_t scale_ppm, offset_uw; // POWER: calibration
    int64_t due_ns;               // how often it is read; what back-off doubles
    // The pass going on.
    enum jp_pass_state pass;
    struct jp_sample sample;
    int32_t mv, ma;
    // Failures.
    int fails, slows;       // in a row
    int64_t errors;         // of the run
    int64_t retry_ns;       // MONOTONIC: not read before
    bool slow;              // the transfer of this pass was
    bool left;              // since the last sample it was left out for another's slow transfer
    bool reported;          // FAILING or DENIED was said
    bool denied;            // DENIED was
    int64_t asleep_seen_ns; // suspend up to the last sample
    // The window going on. Times of coverage count suspend.
    int64_t start_ns; // its start
    int64_t upto_ns;  // ENERGY: accounted for up to here
    int64_t cut_ns;   // POWER, MONOTONIC: the line from the last sample may not add before this
    int64_t start_mj, covered_ns;
    int64_t raw_uj;
    enum jp_cause cause;
    int64_t sum_mv, sum_ma, peak_uw;
    int electric, samples; // how many gave mv and ma; how many there were
};

void jp_track_init(struct jp_track *track, const struct jp_run_channel *channel, int64_t range_uj, int64_t hole_ns);

// The first window begins.
void jp_track_begin(struct jp_track *track, int64_t start_ns);

// The reading of a pass: keeps it for border() and take(), counts failures, sets back-off. In `stamp`
// asleep_ns is the suspend of the run so far. What to report.
enum jp_edge jp_track_reading(struct jp_track *track, const struct jp_reading *reading, const struct jp_sample *stamp);

// How long what fails or is slow rests: the period, doubled so often, at most JP_BACKOFF_MAX_NS.
int64_t jp_track_backoff_ns(int64_t period_ns, int doublings);

// The transfer took longer than the period: not again before twice, four times ... the period.
void jp_track_slow(struct jp_track *track, int64_t now_ns, int64_t period_ns);

// Brings the energy to a border that this pass found passed, then fills `out` and begins the next window.
struct jp_border {
    int64_t at_ns;     // MONOTONIC
    int64_t asleep_ns; // suspend of the run so far
    int64_t span_ms;
    int64_t span_ns; // suspend included
};
void jp_track_border(struct jp_track *track, const struct jp_border *border, struct jp_window_channel *out);

// Takes the pass' sample into the window going on; a counter's that border() took already is passed over.
void jp_track_take(struct jp_track *track, int64_t asleep_ns);

#endif
