// SPDX-License-Identifier: Apache-2.0
// Registers: lifetime counters of each channel, of the total and of the emissions.
//
// A register never goes down: a negative window is repaid before it moves again. A run counts from its own
// start, so what the runs before it brought is the base. Reading the same runs and windows again changes nothing.
// Pure arithmetic, no I/O.
#ifndef JP_REGISTERS_H
#define JP_REGISTERS_H

#include "block.h"
#include "grid.h"
#include "run.h"
#include "window.h"

#define JP_REGISTERS_MAX (2 * JP_CHANNELS_MAX)
// Runs before the present one whose frames are known again: a meter that dies at once begins 13 within the 40 s that
// the hot spool may lag behind.
#define JP_REGISTERS_RUNS 32
// 9e15 mJ at pue 100 and 10,000 g/kWh are 2.5e18 ug: below 2^63.
#define JP_EMISSIONS_MAX_UG 2500000000000000000LL

struct jp_register {
    char name[JP_NAME_MAX];
    int64_t base_mj;  // of the runs before
    int64_t run_mj;   // of the present run, as last told
    int64_t shown_mj; // what is published: the highest base + run so far
    int64_t begun_mj; // shown_mj when the present run began; after decoding, as decoded
    bool known;       // covered at least once since the register began
};

struct jp_registers {
    uint64_t id;    // register_id
    bool final;     // false: "provisional"
    bool published; // a `live` may have gone out under this id
    struct jp_register channels[JP_REGISTERS_MAX];
    int count;
    int of[JP_CHANNELS_MAX]; // channel of the run begun last to register, -1 none
    int of_count;
    bool in_total[JP_CHANNELS_MAX];
    struct jp_register total;
    uint64_t run, seq;                  // as of the close of this window; run 0: none yet
    bool any;                           // a window was counted
    uint64_t before[JP_REGISTERS_RUNS]; // the runs before, the oldest first
    int before_count;
    bool past; // the run begun last is one of them: its windows were counted
    double emissions_ug;
    int64_t unpriced_mj; // of the total's register, counted while no factor was known
    double g_per_kwh, pue;
    bool priced;
};

// All at zero under a new random id.
void jp_registers_init(struct jp_registers *registers, uint64_t id);
// A run begins: its channels take over the registers of their names, what they held becomes base. The run that goes
// on keeps its base; a run before it counts no more.
void jp_registers_begin(struct jp_registers *registers, const struct jp_run *run);
// Counts up to the end of `window`, which is of the run begun last; windows may be left out. One that is no later
// than the last counted changes nothing.
void jp_registers_count(struct jp_registers *registers, const struct jp_window *window);
// Counts what a stored block, just opened, has of the present run beyond the last window counted; blocks of other
// runs are passed over. Between jp_registers_decode() and jp_registers_begin(). The number of windows counted, or
// -EBADMSG.
int jp_registers_prove(struct jp_registers *registers, struct jp_block_reader *block);
// The factor from now on; energy counted before any was known is priced with the first one.
void jp_registers_price(struct jp_registers *registers, const struct jp_factor *factor, double pue);
// Micrograms of `mj` at the present factor, 0 while none is known.
double jp_registers_ug(const struct jp_registers *registers, int64_t mj);

// The register of a name, or -1.
int jp_registers_find(const struct jp_registers *registers, const char *name);
// The same, made if there is none; -1 when all are taken.
int jp_registers_add(struct jp_registers *registers, const char *name);
// A channel's name: 1 to 32 of A-Z a-z 0-9 _ . - and not "total".
bool jp_registers_is_name(const char *name);

// The record that a restart goes on from (docs/format.md) ------------------------------------------
// Written to the hot folder whenever it is written to flash, before each `live`, and before windows are released; to
// flash seldom, but always before the first `live` under an id. Then the one in the hot folder holds, if there is one.
struct jp_registers_stamp {
    // When it was written. Registers that are not final keep the times of the record they came from: what may be
    // missing in them dates from then.
    int64_t real_ms;
    bool real_synced;
    char boot[37];
    int64_t boot_ms;
    // Nothing was published beyond this record: always so in the hot folder, where one is written before each `live`,
    // and after a clean stop.
    bool closed;
    uint64_t run_no; // the caller's number of the run, 0 none
};

// Fixed parts 50, total 29, channels 2 + 128 x (text 34, three integers 27, array and truth 2), runs 2 + 32 x 9,
// stamp 68 bytes.
#define JP_REGISTERS_BYTES_MAX (50 + 29 + 2 + JP_REGISTERS_MAX * 63 + 2 + JP_REGISTERS_RUNS * 9 + 68)

// The size, or -EMSGSIZE (JP_REGISTERS_BYTES_MAX always suffices). Without the factor.
int jp_registers_encode(const struct jp_registers *registers, const struct jp_registers_stamp *stamp, void *buffer,
                        size_t size);
// 0, or -EBADMSG with everything at zero: damaged, or nothing that registers can be. Elements added later are passed
// over. `final` holds afterwards only if it was and the record is closed: then what was shown is known exactly.
// jp_registers_price() and jp_registers_begin() come next.
int jp_registers_decode(struct jp_registers *registers, struct jp_registers_stamp *stamp, const void *bytes,
                        size_t size);

#endif
