// SPDX-License-Identifier: Apache-2.0
// The `meta` message: what this device is and what it measures.
#ifndef JP_META_H
#define JP_META_H

#include "grid.h"
#include "run.h"

#include <jansson.h>

// A new object to json_decref() (NULL: out of memory): device, board, gpu, cpu, ram_bytes, os, power_mode, channels,
// total, factor, spool_id. Unknown facts are null. `spool_id` "" or NULL: null. The factor is null when
// not known.
json_t *jp_meta_json(const struct jp_run *run, const struct jp_factor *factor, double pue, const char *spool_id);
// Its `factor` alone: {g_per_kwh, ...} or null.
json_t *jp_factor_json(const struct jp_factor *factor, double pue);

#endif
