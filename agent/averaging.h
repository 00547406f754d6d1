// SPDX-License-Identifier: Apache-2.0
// `sampling.hw_average`: the chips' own averaging covers the period while meter runs, and is what it was afterwards.
//
// What it was stands in the file `averaging` of paths.hot before anything is changed, so that a run after one that was
// killed puts it back. A value that somebody else has set meanwhile stays. Speaks through log.h.
#ifndef JP_AVERAGING_H
#define JP_AVERAGING_H

#include "clock.h"
#include "config.h"
#include "discover.h"
#include "fs.h"
#include "ina3221_averaging.h"

struct jp_averaged {
    struct jp_ina3221_averaging chip;
    int before, set; // samples; set 0: unchanged
};

struct jp_averaging {
    // Set before jp_averaging_open; borrowed.
    const struct jp_clock *clock;
    const struct jp_fs *fs;
    const struct jp_config *config;
    // State.
    struct jp_averaged chips[JP_SOURCES_MAX];
    int count;
    char path[JP_PATH_MAX];
};

// While this process still has its rights: opens what may have to be changed. Changes nothing, and does nothing where
// neither the configuration asks for it nor a run before has left anything.
void jp_averaging_open(struct jp_averaging *self, const struct jp_site *site, const struct jp_plan *plan);

// Once no other meter runs on paths.hot: puts back what was left, then sets what covers the period at those chips whose
// reads were seen not to wait for a conversion. Blocks for some reads.
void jp_averaging_begin(struct jp_averaging *self);

// Puts back what was, and closes.
void jp_averaging_end(struct jp_averaging *self);

#endif
