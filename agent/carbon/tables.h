// SPDX-License-Identifier: Apache-2.0
// The tables that tables.awk makes of agent/carbon/data/*.csv.
#ifndef JP_TABLES_H
#define JP_TABLES_H

#include "grid.h"

#include <stdint.h>

struct jp_tdp_row {
    const char *model;
    int32_t mw;
};

extern const struct jp_grid_row jp_grid_rows[];
extern const int jp_grid_row_count;
extern const struct jp_tdp_row jp_tdp_rows[];
extern const int jp_tdp_row_count;

#endif
