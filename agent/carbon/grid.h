// SPDX-License-Identifier: Apache-2.0
// Grams of CO2e for a kilowatt-hour: the grid factor, where it came from, and what is unknown.
//
// Tables are generated at build from agent/carbon/data/*.csv. Nothing here allocates or blocks.
#ifndef JP_GRID_H
#define JP_GRID_H

#include <stdbool.h>
#include <stdint.h>

struct jp_factor {
    bool known;          // false: emissions are null, never a silent default country
    double g_per_kwh;    // before PUE
    char source[64];     // "configured", "mix", "live:ZONE", "owid 2023", "usa2016 california", ...
    char valid_from[24]; // a year or an ISO time, "" unknown
};

struct jp_grid_row {
    const char *iso3, *region, *name; // region "" for the whole country
    double g_per_kwh;
    int year;
    const char *source;
};

// The row of a country (ISO 3166 alpha-3, any case) and region (any case, NULL or "" for the country).
// NULL when the table has no such row.
const struct jp_grid_row *jp_grid_find(const char *iso3, const char *region);
// Row i of the table, NULL beyond its end.
const struct jp_grid_row *jp_grid_row(int i);

// g/kWh of one source ("coal", "solar", ...), lifecycle, from the table's attribution. 0, or -ENOENT.
int jp_grid_source(const char *name, double *g_per_kwh);
// The name of source i, NULL beyond the last.
const char *jp_grid_source_name(int i);

struct jp_mix_part {
    char source[24];
    double share;     // 0..1
    double g_per_kwh; // own figure, or < 0: the table's
};

// The weighted sum. 0; -EINVAL when the shares do not add up to 1 within 0.001; -ENOENT for an unknown source.
int jp_grid_mix(const struct jp_mix_part *parts, int count, double *g_per_kwh);

// Micrograms for `mj` millijoules: mj x pue x g_per_kwh / 3600, rounded to nearest. (g/kWh = ug/3.6 J.)
int64_t jp_emissions_ug(int64_t mj, double pue, double g_per_kwh);

#endif
