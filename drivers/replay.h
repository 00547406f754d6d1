// SPDX-License-Identifier: Apache-2.0
// A trace as a sensor: /replay.trace under the site's root plays the part of the chips it names.
//
// The row at (time since the first pass) / period is read; after the last row the first follows, energy
// counters going on upward. The format is in trace.h.
#ifndef JP_REPLAY_H
#define JP_REPLAY_H

#include "site.h"

#define JP_REPLAY_PATH "/replay.trace"

// What the trace says of itself ("made from ..."), to be shown wherever its numbers are; "" when it says
// nothing. *line (may be NULL) gets the line of a wrong trace. 0, or -errno (-ENOENT: no trace, -EINVAL).
int jp_replay_note(const struct jp_site *site, char *note, size_t size, int *line);

#endif
