// SPDX-License-Identifier: Apache-2.0
// The sampler: when to read what, and windows out of it. Reads clocks and drivers, writes nothing.
//
// One absolute schedule on MONOTONIC. Measured powers are read once a period, all in one pass, at a random instant
// inside it; counters and gauges in the first pass at or after a window's border, counters more often where
// half their wrap time is shorter, gauges no more often than their driver's min_period_ms: a window between has the
// value of the last reading. A gauge that is due and not read is unknown. After a transfer longer than the period the
// other sources of its bus wait for the next pass, and that bus comes last from then on: one that hangs holds all
// others up once a pass. After jp_sampler_init nothing allocates.
#ifndef JP_SAMPLER_H
#define JP_SAMPLER_H

#include "clock.h"
#include "entropy.h"
#include "track.h"

#define JP_POLL_MIN_NS (10 * JP_NS_PER_MS) // no counter is polled faster

// What the top may want to say; all on edges.
struct jp_sampler_note {
    enum { JP_NOTE_FAILING, JP_NOTE_DENIED, JP_NOTE_BACK, JP_NOTE_SLOWED } what;
    int channel;      // FAILING, DENIED, BACK: index into run.channels
    int error;        // FAILING: errno
    int source;       // SLOWED: its reads cost more than a quarter of the period
    int64_t cost_ns;  // SLOWED: of one read of all its channels
    int64_t every_ns; // SLOWED: how often it is read now
};

struct jp_sampler_source {
    const struct jp_driver *driver; // borrowed, as state
    void *state;
    int bus;   // sources of one bus share it; 0: on none that is known
    int count; // channels of the driver, gauges included; at most JP_CHANNELS_MAX
    int channel[JP_CHANNELS_MAX], gauge[JP_CHANNELS_MAX]; // as in jp_source: indices, -1 none
    int64_t every_ns;                                     // powers are read no more often
    int64_t last_ns, cost_ns;                             // begin of the last read of powers; the cheapest read so far
    int64_t slack_ns;                                     // length of the last read
    int64_t gauges_ns;                                    // the border at which its gauges were read last
    int64_t gauges_retry_ns;                              // MONOTONIC: they are not read before
    int gauges_slow;                                      // reads in a row that took longer than the period
    int reads;
};

struct jp_sampler {
    // Set before jp_sampler_init; borrowed.
    const struct jp_clock *clock;
    const struct jp_run *run;
    int64_t range_uj[JP_CHANNELS_MAX];
    struct jp_sampler_source sources[JP_SOURCES_MAX];
    int source_count;
    uint64_t seed;
    void (*note)(void *context, const struct jp_sampler_note *note); // called from a pass, may be NULL
    void *context;
    // Set by jp_sampler_init.
    struct jp_track tracks[JP_CHANNELS_MAX];
    int64_t tick_ns, window_ns;
    int64_t poll_ns;     // the counters' period: window_ns, or less where a wrap asks for it
    bool poll_reachable; // false: a counter may wrap faster than it can be told
    bool jitters;        // there are measured powers
    struct jp_jitter jitter;
    // State.
    int64_t origin_ns, tick, next_ns; // of the schedule; the tick to come and its instant
    int64_t border_ns;                // MONOTONIC start of the window going on
    int64_t sleep_base_ns, asleep_ns; // BOOTTIME - MONOTONIC at the start; suspend since
    int64_t told_sleep_ns;            // suspend that closed windows hold
    int64_t late_ticks;
    uint64_t seq;
    int64_t t0_ms;
    int64_t gauges[JP_GAUGES_MAX];
    int64_t pass_ns, limit_ns;    // begin of the pass; no sample of it is dated later
    int64_t passed_ns;            // the border that this pass goes by, when border_due
    int64_t read_ns, transfer_ns; // begin of the source being read, and of its transfer
    bool border_due, first, slow;
    int hung_bus;               // of the source that hung in this pass, 0 none
    int last_bus, first_source; // the bus that hung last is read last, and there the source after that one first
    struct jp_reading readings[JP_CHANNELS_MAX];
};

// Works out the schedule. Nothing is read.
void jp_sampler_init(struct jp_sampler *sampler);

// The counter goes on where another run of this boot left it: raw_uj as of boot_ms. Between init and start.
void jp_sampler_bridge(struct jp_sampler *sampler, int channel, int64_t raw_uj, int64_t boot_ms);

// The first pass, at the start of window 0.
void jp_sampler_start(struct jp_sampler *sampler);

// MONOTONIC instant of the next pass.
static inline int64_t jp_sampler_next(const struct jp_sampler *sampler)
{
    return sampler->next_ns;
}

// Reads what is due. True when a border was passed: `window` holds the window that ended there. After a
// stall over several borders it is one window that ends at the last of them.
bool jp_sampler_pass(struct jp_sampler *sampler, struct jp_window *window);

// The final pass: the window going on ends now. False when it had not begun (less than 1 ms).
bool jp_sampler_stop(struct jp_sampler *sampler, struct jp_window *window);

#endif
