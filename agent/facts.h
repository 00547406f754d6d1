// SPDX-License-Identifier: Apache-2.0
// Facts about the machine beside its numbers: processor, memory, releases, power mode.
#ifndef JP_FACTS_H
#define JP_FACTS_H

#include "discover.h"

// Fills plan->run.facts from plan->board and the site; what cannot be told stays "", 0 or -1.
// The release in /etc/os-release is this machine's own; everything else is the site's.
void jp_facts_read(const struct jp_site *site, struct jp_plan *plan);

// Processor packages: distinct physical ids of /proc/cpuinfo, 1 when it names none.
int jp_facts_sockets(const struct jp_site *site);

// JetPack's version for an L4T version such as "36.4.3", or "" when not surely known.
const char *jp_facts_jetpack(const char *l4t);

#endif
