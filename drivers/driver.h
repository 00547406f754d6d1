// SPDX-License-Identifier: Apache-2.0
// The contract between a sensor driver and the sampler, one screen.
//
// A driver knows hardware and nothing else: it never logs, never reads a clock, never retries, never
// sleeps on purpose, and after open() never allocates. Everything it can tell, it says in a channel.
#ifndef JP_DRIVER_H
#define JP_DRIVER_H

#include "site.h"

#include <stdbool.h>
#include <stdint.h>

enum jp_kind {
    JP_POWER,  // sampled, microwatts, signed: a rail may push back
    JP_ENERGY, // counter, microjoules, wraps at range_uj
    JP_GAUGE,  // a fact beside the numbers: load, temperature, frequency
};

enum jp_method { JP_MEASURED, JP_MODELLED };

// What a value covers (design: every value names its scope).
enum jp_scope { JP_SCOPE_RAIL, JP_SCOPE_MODULE, JP_SCOPE_CARRIER, JP_SCOPE_BOARD, JP_SCOPE_PACKAGE, JP_SCOPE_SYSTEM };

enum jp_role {
    JP_ROLE_CPU = 1 << 0,
    JP_ROLE_GPU = 1 << 1,
    JP_ROLE_CV = 1 << 2,
    JP_ROLE_SOC = 1 << 3,
    JP_ROLE_RAM = 1 << 4,
    JP_ROLE_IO = 1 << 5,
    JP_ROLE_WIFI = 1 << 6,
    JP_ROLE_MODULE = 1 << 7,
    JP_ROLE_BOARD = 1 << 8,
    JP_ROLE_PACKAGE = 1 << 9,
    JP_ROLE_CORE = 1 << 10,
    JP_ROLE_UNCORE = 1 << 11,
    JP_ROLE_DRAM = 1 << 12,
    JP_ROLE_PSYS = 1 << 13,
    JP_ROLE_BATTERY = 1 << 14, // a store: what it gives and takes is nobody's consumption
};

struct jp_channel {
    char name[33];     // the kernel's label, or "" when it has none
    char chip[16];     // "ina3221", "rapl", ...: with address and index the name of last resort
    char bus_node[64]; // the bus' stable device-tree name, "i2c@c240000", or ""
    int bus;           // the kernel's number of it for this boot, -1 unknown: what hangs with it
    int address;       // on the bus, -1 unknown
    int index;         // 1-based channel number on the chip
    enum jp_kind kind;
    enum jp_method method;
    enum jp_scope scope;
    uint32_t roles;        // enum jp_role bits
    char part_of[33];      // name of the channel of the same driver that contains this one, or ""
    char repeated_by[64];  // what tells the same physical counter once more and is left out: "package-1", or ""
    int64_t range_uj;      // ENERGY: the counter runs 0..range; 0 unknown, then no step back is a wrap
    int64_t max_uw;        // more power than this is implausible; 0 unknown
    int64_t resolution_uw; // smallest step at the present voltage, 0 unknown
    int32_t shunt_uohm;    // as the kernel has it, 0 not applicable
    int32_t mv;            // POWER: the bus voltage at open, where the kernel does not tell the shunt; 0 unknown
    char unit[8];          // GAUGE: "%", "C", "MHz"; "" for a state
    char event[16];        // GAUGE: the event that its edges raise ("over_current", "throttle"), or ""; 0 is quiet,
                           // and part_of names the channel of the same driver that it watches
};

// One thing a driver can open: a chip, a counter group, a model.
struct jp_found {
    char path[256]; // below the site's root, or the driver's own word for it
    int64_t param;  // estimate_cpu: TDP in mW; else 0
    // ina3221_i2c: the shunts of inputs 1..3 as the board has them; 0 it does not say, -1 nothing is connected there
    int32_t shunt_uohm[3];
};

enum jp_reading_state {
    JP_WANTED,  // in: read it
    JP_SKIPPED, // in: leave it out (backing off, or not due)
    JP_GOOD,    // out: value holds
    JP_MISSING, // out: error holds the errno of why; never 0 as a value, never a wrap
};

struct jp_reading {
    enum jp_reading_state state;
    int error;      // MISSING: positive errno
    int64_t value;  // uW, uJ, or the gauge in thousandths of its unit
    int32_t mv, ma; // POWER, where the chip tells both; else INT32_MIN
};

// What the sampler hands to read().
struct jp_pass {
    struct jp_reading *readings; // one a channel, in the order of open()
    int64_t t_ns;                // MONOTONIC before the pass: a driver is told the time
    // Asked after each transfer; true: the bus is slow, leave the channels that are still WANTED untouched.
    bool (*late)(void *context);
    void *context;
};

struct jp_driver {
    const char *name;
    size_t state_size;     // bytes of state the caller provides, zeroed
    int32_t min_period_ms; // reading powers and gauges more often makes no sense; 0 for none
    // Looks for what it can read. Fills up to max; returns the count found (may be 0), or -errno.
    int (*probe)(const struct jp_site *site, struct jp_found *found, int max);
    // Opens one and describes its channels. Returns their count, or -errno (-EACCES: permission) and
    // nothing stays open. May allocate and block.
    int (*open)(void *state, const struct jp_site *site, const struct jp_found *found, struct jp_channel *channels,
                int max);
    // Fills every WANTED reading with GOOD or MISSING, except those left after late(). One bad channel
    // never stops the others.
    void (*read)(void *state, struct jp_pass *pass);
    void (*close)(void *state);
};

// The drivers of this build (drivers.h), NULL at the end.
extern const struct jp_driver *const jp_drivers[];

// NULL for an unknown name.
const struct jp_driver *jp_driver_by_name(const char *name);

// "rail", "module", ...; "measured", "modelled"; a role bit's word ("cpu"), and the bit of a word (0 unknown).
const char *jp_scope_name(enum jp_scope scope);
const char *jp_method_name(enum jp_method method);
const char *jp_role_name(uint32_t role_bit);
uint32_t jp_role_by_name(const char *word);
// The scope of a word. 0, or -EINVAL.
int jp_scope_by_name(const char *word, enum jp_scope *scope);

#endif
