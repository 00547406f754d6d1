// SPDX-License-Identifier: Apache-2.0
// From what drivers describe to the run's channels: identity by the board profile, names, tree and total.
#ifndef JP_CHANNELS_H
#define JP_CHANNELS_H

#include "discover.h"

// Gives every channel and gauge of source `index` its place and name in the run. A channel is a profile's
// when chip, address, bus node and number agree where both sides know them, and the kernel's label (if any)
// is the profile's label or an alias; where a place is not known, by label alone. What does not fit is left out
// with a problem.
void jp_channels_add(struct jp_plan *plan, int index);

// After the last source: part_of, calibration and the total.
void jp_channels_finish(struct jp_plan *plan, const struct jp_config *config);

// How many channels of the run are measured, batteries left out, and the roles they have together.
int jp_channels_measured(const struct jp_plan *plan, uint32_t *roles);

// Whether one of them is a battery's.
bool jp_channels_battery(const struct jp_plan *plan);

#endif
