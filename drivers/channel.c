// SPDX-License-Identifier: Apache-2.0
// A channel's blank form, and the answers a reading can get.
#include "channel.h"

#include <stdio.h>

void jp_channel_init(struct jp_channel *channel, enum jp_kind kind, const char *chip, const char *name)
{
    *channel =
        (struct jp_channel){.kind = kind, .bus = -1, .address = -1, .method = JP_MEASURED, .scope = JP_SCOPE_RAIL};
    snprintf(channel->chip, sizeof channel->chip, "%s", chip);
    snprintf(channel->name, sizeof channel->name, "%.32s", name);
}

void jp_reading_good(struct jp_reading *reading, int64_t value)
{
    *reading = (struct jp_reading){.state = JP_GOOD, .value = value, .mv = INT32_MIN, .ma = INT32_MIN};
}

void jp_reading_missing(struct jp_reading *reading, int error)
{
    *reading = (struct jp_reading){.state = JP_MISSING, .error = error, .mv = INT32_MIN, .ma = INT32_MIN};
}

bool jp_pass_late(const struct jp_pass *pass)
{
    return pass->late && pass->late(pass->context);
}
