// SPDX-License-Identifier: Apache-2.0
// Which channels make the total, and whether the board is the one its profile describes.
#ifndef JP_TOTAL_H
#define JP_TOTAL_H

#include "discover.h"

// Sets in_total of the channels and the run's total_* fields; board_verified falls when a rail is missing.
// The profile's board total if all its channels are here, else its module total; a board that names no total
// and has packages: the packages and their dram; where nothing is measured, the modelled CPU and RAM; else none.
void jp_total_decide(struct jp_plan *plan);

// Why the total is what it is, or why there is none, in a few words.
void jp_total_reason(const struct jp_plan *plan, char *out, size_t size);

#endif
