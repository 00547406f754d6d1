// SPDX-License-Identifier: Apache-2.0
// Thermal design power of CPU models, for the modelled CPU where nothing is measured.
#ifndef JP_TDP_H
#define JP_TDP_H

#include <stdint.h>

// Milliwatts of one socket of `model` (as /proc/cpuinfo names it), matched as CodeCarbon 3.3 does: exact
// without case; then without "(R)", "CPU", "@ n.nnGHz"; then the only row whose words contain, or are
// contained in, the model's. 0 when unknown.
int64_t jp_tdp_mw(const char *model);

// What the CPU model shall use: known model x sockets, else 4 W a thread x sockets, else 85 W when nothing
// about the CPU can be told (threads <= 0). Source: CodeCarbon 3.3 core/cpu.py, core/resource_tracker.py.
int64_t jp_tdp_machine_mw(const char *model, int threads, int sockets);

#endif
