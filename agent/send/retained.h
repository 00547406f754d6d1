// SPDX-License-Identifier: Apache-2.0
// Our own `live` as the broker kept it: what subscribers saw last. Anybody may have written it.
#ifndef JP_RETAINED_H
#define JP_RETAINED_H

#include "limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jp_retained_register {
    char name[JP_NAME_MAX];
    int64_t mj;
};

struct jp_retained {
    uint64_t id; // register_id
    uint64_t run, seq;
    bool t_known;
    int64_t t_ms;
    struct jp_retained_register channels[JP_CHANNELS_MAX]; // those that were not null
    int count;
    bool total_known;
    int64_t total_mj;
    bool emissions_known;
    int64_t emissions_ug;
};

// Reads the JSON text of a `live` (docs/mqtt.md); energies up to 1e15 mJ come back exactly. Allocates while it runs.
// 0, or -EBADMSG with `out` at zero: not JSON, a field of another type, a value that no register can have, a name that
// no channel can have, more than JP_CHANNELS_MAX of them. t_ms and emissions_g may be null or missing; other fields
// are passed over.
int jp_retained_parse(struct jp_retained *out, const void *json, size_t size);

#endif
