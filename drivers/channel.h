// SPDX-License-Identifier: Apache-2.0
// Small helpers the drivers share: a channel's blank form, and the answers a reading can get.
#ifndef JP_CHANNEL_H
#define JP_CHANNEL_H

#include "driver.h"

// A channel that says nothing yet: chip and name set, bus and address -1, measured.
void jp_channel_init(struct jp_channel *channel, enum jp_kind kind, const char *chip, const char *name);

// Answers a reading. `error` is a positive errno.
void jp_reading_good(struct jp_reading *reading, int64_t value);
void jp_reading_missing(struct jp_reading *reading, int error);

// Whether the sampler wants the rest of the chip left alone (late may be NULL).
bool jp_pass_late(const struct jp_pass *pass);

#endif
