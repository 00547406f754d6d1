// SPDX-License-Identifier: Apache-2.0
// Registers: lifetime counters of each channel, of the total and of the emissions.
//
// A register never goes down: a negative window is repaid before it moves again. A run counts from its own
// start, so what the runs before it brought is the base. Pure arithmetic, no I/O.
#ifndef JP_REGISTERS_H
#define JP_REGISTERS_H

#include "grid.h"
#include "run.h"
#include "window.h"

#define JP_REGISTERS_MAX (2 * JP_CHANNELS_MAX)

struct jp_register {
    char name[JP_NAME_MAX];
    int64_t base_mj;  // of the runs before
    int64_t run_mj;   // of the present run, as last told
    int64_t shown_mj; // what is published: the highest base + run so far
    bool known;       // covered at least once since the register began
};

struct jp_registers {
    uint64_t id; // register_id
    bool final;  // false: "provisional"
    struct jp_register channels[JP_REGISTERS_MAX];
    int count;
    int of[JP_CHANNELS_MAX]; // channel of the present run to register, -1 none
    int of_count;
    bool in_total[JP_CHANNELS_MAX];
    struct jp_register total;
    uint64_t run, seq; // as of the close of this window
    bool any;          // a window was counted
    double emissions_ug;
    int64_t unpriced_mj; // of the total's register, counted while no factor was known
    double g_per_kwh, pue;
    bool priced;
};

// All at zero under a new random id.
void jp_registers_init(struct jp_registers *registers, uint64_t id);
// A run begins: its channels take over the registers of their names, what they held becomes base.
void jp_registers_begin(struct jp_registers *registers, const struct jp_run *run);
// Counts up to the end of `window`, which is of the run begun last; windows may be left out.
void jp_registers_count(struct jp_registers *registers, const struct jp_window *window);
// The factor from now on; energy counted before any was known is priced with the first one.
void jp_registers_price(struct jp_registers *registers, const struct jp_factor *factor, double pue);

#endif
