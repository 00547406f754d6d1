// SPDX-License-Identifier: Apache-2.0
// Arrivals: sensors that come after the start, as a kernel driver that is loaded late in the boot brings them.
//
// A look counts the entries of the few directories in which every driver's sensors show. Only when one of them has more
// than ever before in this run, and has kept them until the next look, are the drivers asked what they find. More than
// at the start is an arrival; what went away and came back, under another number too, is none, nor is a device that no
// driver knows.
#ifndef JP_ARRIVALS_H
#define JP_ARRIVALS_H

#include "discover.h"

#define JP_ARRIVALS_DIRS 6

struct jp_arrivals {
    const struct jp_site *site; // borrowed
    int most[JP_ARRIVALS_DIRS]; // entries, the most that were seen
    bool pending;               // more came at the last look
};

// Before discovery, so that what comes while it looks is not missed.
void jp_arrivals_begin(struct jp_arrivals *arrivals, const struct jp_site *site);

// Every few seconds. True: a discovery now would find more sensors than the one that made `plan`. Allocates nothing,
// unless drivers are asked.
bool jp_arrivals_look(struct jp_arrivals *arrivals, const struct jp_plan *plan);

#endif
