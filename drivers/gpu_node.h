// SPDX-License-Identifier: Apache-2.0
// Where the integrated GPU of this machine is: its device below devfreq, under any kernel's name.
#ifndef JP_GPU_NODE_H
#define JP_GPU_NODE_H

#include "driver.h"

// Whether a device's name is that of an integrated GPU: "17000000.ga10b", "gpu", "gpu-gpc-0".
bool jp_gpu_node_is_gpu(const char *name);

// The first GPU below /sys/class/devfreq that has a readable `file` ("cur_freq", "device/load"), else the first
// readable one of the NULL-terminated `known`. Fills found[0]. 1, or 0 for none.
int jp_gpu_node_find(const struct jp_site *site, const char *file, const char *const *known, struct jp_found *found);

#endif
