// SPDX-License-Identifier: Apache-2.0
// A trace as a sensor: /replay.trace under the site's root plays the part of the chips it names.
//
// The last row whose time has come since the first pass is read; after the last row the first follows, energy counters
// going on upward. What a read cost in the captured machine is not played. The format is in trace.h.
#ifndef JP_REPLAY_H
#define JP_REPLAY_H

#include "trace.h"

#define JP_REPLAY_PATH "/replay.trace"

struct jp_replay_told {
    char note[JP_TRACE_NOTE_MAX]; // what the trace says of itself, to be shown wherever its numbers are; "" nothing
    int line;                     // after -EINVAL: the wrong line, from 1
    const char *what;             // and what is expected there; static
};

// Reads the trace for what it says of itself. 0, or -errno (-ENOENT: no trace, -EINVAL: a wrong one).
int jp_replay_tell(const struct jp_site *site, struct jp_replay_told *told);

#endif
