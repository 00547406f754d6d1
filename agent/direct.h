// SPDX-License-Identifier: Apache-2.0
// Which chips are read directly over I2C, and what stands in the way: the profile's wiring meets the kernel's buses.
#ifndef JP_DIRECT_H
#define JP_DIRECT_H

#include "discover.h"

// From the chips that the kernel knows (`count` in found) to those to be opened: the profile's are added, all get its
// shunts, and what another source reads is left out unless ina3221_i2c is asked for by name. Their number, at most
// JP_SOURCES_MAX.
int jp_direct_find(const struct jp_discovery *how, struct jp_plan *plan, struct jp_found *found, int count);

// How many chips could be read directly now, as far as the kernel shows: known or named, on a bus that has its device
// file, and held by no kernel driver. Nothing is said on the bus.
int jp_direct_count(const struct jp_site *site, const struct jp_plan *plan);

// Adds the problem of a chip that could not be opened; `error` is a positive errno.
void jp_direct_failed(struct jp_plan *plan, const struct jp_site *site, const char *path, int error);

// After all is open: channels without a shunt, chips that convert slower than they are asked.
void jp_direct_diagnose(struct jp_plan *plan, const struct jp_site *site, const struct jp_config *config);

// Whether an open source reads the chip with this I2C client's name ("1-0040").
bool jp_direct_is_read(const struct jp_plan *plan, const struct jp_site *site, const char *client);

#endif
