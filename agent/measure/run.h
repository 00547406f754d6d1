// SPDX-License-Identifier: Apache-2.0
// A run: one start of meter. Its identity, its channels, its total, and the facts beside them.
//
// Made once at start by meter, carried to post in the RUN frame. Only facts.power_mode changes afterwards: RUN is said
// once more then.
#ifndef JP_RUN_H
#define JP_RUN_H

#include "cbor.h"
#include "driver.h"
#include "limits.h"

#include <stdbool.h>
#include <stdint.h>

struct jp_run_channel {
    char name[JP_NAME_MAX];
    char part_of[JP_NAME_MAX]; // "" at the top of the tree
    enum jp_kind kind;         // POWER or ENERGY
    enum jp_method method;
    enum jp_scope scope;
    uint32_t roles;
    int64_t resolution_uw; // 0 unknown
    int64_t max_uw;        // plausibility limit used, 0 none known
    bool in_total;
    bool unverified;
    double scale;      // calibration as applied; 1
    int64_t offset_uw; // calibration as applied; 0; of a counter always
};

struct jp_run_gauge {
    char name[JP_NAME_MAX];
    char unit[8];
};

// Facts for `meta`; "" or 0 or -1 where unknown, said so on the wire as null.
struct jp_facts {
    char board_id[JP_NAME_MAX];
    char board_name[JP_TEXT_MAX], module[JP_TEXT_MAX], soc[JP_NAME_MAX];
    bool board_verified;
    int gpu_count; // -1 unknown
    char gpu_name[JP_TEXT_MAX];
    int cpu_count;
    char cpu_model[JP_TEXT_MAX];
    int64_t ram_bytes;
    char os_name[JP_TEXT_MAX], l4t[JP_NAME_MAX], jetpack[JP_NAME_MAX];
    char power_mode[JP_NAME_MAX];
    char note[JP_TEXT_MAX]; // what a replayed trace says of itself; "" for a machine
};

struct jp_run {
    uint64_t id;   // random, new at each start of meter
    char boot[37]; // /proc/sys/kernel/random/boot_id
    char device[JP_DEVICE_MAX];
    int window_ms, block_windows, interval_ms;
    uint32_t columns; // which a block carries beside the energies: bit 0 mv, 1 ma, 2 peak_mw; fixed for the run
    struct jp_run_channel channels[JP_CHANNELS_MAX];
    int channel_count;
    struct jp_run_gauge gauges[JP_GAUGES_MAX];
    int gauge_count;
    // The total: the channels with in_total. total_known false: this board has none (never a sum of unknowns).
    bool total_known;
    enum jp_scope total_scope;
    enum jp_method total_method;
    struct jp_facts facts;
};

// The RUN frame's payload (docs/format.md). Encoding: the size, or -EMSGSIZE. Decoding: 0, or -EBADMSG;
// unknown keys are passed over.
int jp_run_encode(const struct jp_run *run, void *buffer, size_t size);
int jp_run_decode(struct jp_run *run, const void *bytes, size_t size);

// Whether its values are other than its sensor's.
static inline bool jp_run_calibrated(const struct jp_run_channel *channel)
{
    return channel->scale != 1 || channel->offset_uw != 0;
}

// Indices of the total's channels in order into out (JP_CHANNELS_MAX); their count, 0 if no total.
int jp_run_total(const struct jp_run *run, int *out);

#endif
