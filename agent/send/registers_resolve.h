// SPDX-License-Identifier: Apache-2.0
// Whether the registers may go on under their id: what the record and the broker's retained `live` prove together.
//
// Nothing is published before this was asked. Pure arithmetic, no I/O.
#ifndef JP_REGISTERS_RESOLVE_H
#define JP_REGISTERS_RESOLVE_H

#include "registers.h"
#include "retained.h"

// More grams a kilowatt-hour than any grid has; the same bound as in the configuration.
#define JP_FACTOR_MAX_G_PER_KWH 10000.0

struct jp_resolve_rules {
    bool have_record;         // false: none, or one whose id was never published: nobody knows it
    bool may_adopt;           // the broker is verified, or energy.adopt_retained
    uint64_t new_id;          // random
    const struct jp_run *run; // the present one, for each channel's max_uw
    // For how long energy may have been used that the registers do not have: since the record was written; without
    // a record since such a device can exist. -1 unknown: nothing is adopted.
    int64_t missing_ms;
};

enum jp_resolution {
    JP_RESOLUTION_CONFIRMED,    // goes on: nobody can have seen more
    JP_RESOLUTION_ADOPTED,      // goes on from the retained values
    JP_RESOLUTION_ADOPTED_ID,   // no record: the retained register goes on
    JP_RESOLUTION_FRESH,        // neither record nor retained: the id is new already
    JP_RESOLUTION_KEPT,         // the retained one is of another id, and ours is exact
    JP_RESOLUTION_NEW_UNPROVED, // new id: no retained one tells what was published after the record
    JP_RESOLUTION_NEW_HIGHER,   // new id: a retained value is higher and may not be adopted
    JP_RESOLUTION_NEW_FOREIGN,  // new id: the retained one is of another id, and ours is not exact
    JP_RESOLUTION_NEW_LOST,     // new id: no record, and the retained register may not be adopted
    JP_RESOLUTION_COUNT
};

// Once a start of post, before its first `live`, after jp_registers_price() and jp_registers_begin(), when the windows
// at hand were counted. `retained` is NULL when the broker has none that can be read; whether one is needed tells
// registers->final: true when the record is exact. A value is adopted when it exceeds ours by no more than the
// channel's max_uw can bring in missing_ms (JP_PACKAGE_MAX_UW where none is known; the total: the sum of its members;
// emissions: the total's at the highest factor). A new id leaves the values as they are. Afterwards registers are final
// and count as published: the record is durable before the first `live`.
enum jp_resolution jp_registers_resolve(struct jp_registers *registers, const struct jp_retained *retained,
                                        const struct jp_resolve_rules *rules);
// A few words for the log.
const char *jp_resolution_text(enum jp_resolution resolution);
// True when it is worth the event "register_conflict".
bool jp_resolution_is_conflict(enum jp_resolution resolution);

#endif
