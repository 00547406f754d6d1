// SPDX-License-Identifier: Apache-2.0
// The powercap zones of a machine, named and freed of duplicates. Start-up only.
//
// Kernel documentation: Documentation/power/powercap/powercap.rst. "intel-rapl:P" is a top zone,
// "intel-rapl:P:S" a part of it; AMD processors use the same names.
#ifndef JP_RAPL_ZONES_H
#define JP_RAPL_ZONES_H

#include "site.h"

#include <stdbool.h>

#define JP_RAPL_ZONES_MAX 64

struct jp_rapl_zone {
    char id[40];      // "intel-rapl:0:1"
    char path[160];   // its folder below the site's root
    char kind[33];    // the kernel's name: "package-0", "core", "psys"
    char name[33];    // ours, unique: "package-0", "core-0", "psys"
    char part_of[33]; // name of the zone whose energy contains this one's, or ""
};

// Top zones first, then their parts, an interface after the other. Zones of intel-rapl-mmio whose name an MSR zone has
// too are the same counter and left out. Returns the count, 0 where there are none.
int jp_rapl_zones(const struct jp_site *site, struct jp_rapl_zone *zones, int max);

#endif
