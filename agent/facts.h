// SPDX-License-Identifier: Apache-2.0
// Facts about the machine beside its numbers: processor, memory, releases, power mode.
#ifndef JP_FACTS_H
#define JP_FACTS_H

#include "discover.h"

// Fills plan->run.facts and plan->power_mode from plan->board and the site; what cannot be told stays "", 0 or -1.
// The release in /etc/os-release is this machine's own; everything else is the site's.
void jp_facts_read(const struct jp_site *site, struct jp_plan *plan);

struct jp_cpus {
    int present;             // of this machine, whether or not they are online now
    int listed;              // in /proc/cpuinfo: those online
    int sockets;             // distinct physical ids there, 1 when it names none
    char model[JP_TEXT_MAX]; // the first "model name" there: on x86 the processor's; "" none
    char cores[JP_TEXT_MAX]; // ARM: the cores' names by implementer and part, "" when one is not known
};

void jp_facts_cpus(const struct jp_site *site, struct jp_cpus *cpus);

// JetPack's version for an L4T version such as "36.4.3", or "" when it is not known, or not one alone.
const char *jp_facts_jetpack(const char *l4t);

#endif
