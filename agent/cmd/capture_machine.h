// SPDX-License-Identifier: Apache-2.0
// What a captured trace says of its machine: enough to be taken for it, nothing that tells it from its sisters.
#ifndef JP_CAPTURE_MACHINE_H
#define JP_CAPTURE_MACHINE_H

#include "entropy.h"
#include "site.h"

#include <stdio.h>

// Writes the trace's `file` lines: the device tree's compatible and model, DMI's product name, processors, memory,
// releases, power modes, each file cut down to the lines that are known to be harmless. The machine's id is replaced by
// a random one of the trace's own.
void jp_capture_machine(FILE *out, const struct jp_site *site, const struct jp_entropy *entropy);

#endif
