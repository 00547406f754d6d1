// SPDX-License-Identifier: Apache-2.0
// The power mode of a Jetson, from the files that NVIDIA's nvpmodel leaves: no binary is run.
#ifndef JP_POWER_MODE_H
#define JP_POWER_MODE_H

#include "board.h"
#include "limits.h"

// The number of the mode in /var/lib/nvpmodel/status ("pmode:0002 ..."), which is its place in this machine's own
// table and nothing more. -1: not told. One open, one read.
int jp_power_mode_id(const struct jp_site *site);

// The mode's name: as /etc/nvpmodel.conf has it, else the profile's; "" unknown. Letters that JSON would have to escape
// become `_`. Allocates nothing.
void jp_power_mode_name(const struct jp_site *site, const struct jp_board *board, int id, char out[JP_NAME_MAX]);

// Whether this machine has modes at all.
bool jp_power_mode_here(const struct jp_site *site);

#endif
