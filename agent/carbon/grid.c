// SPDX-License-Identifier: Apache-2.0
// Looks up the grid's factor and turns millijoules into micrograms.
#include "grid.h"

#include "tables.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct source {
    const char *name;
    double g_per_kwh;
};

// Lifecycle g/kWh: the figures of CodeCarbon 3.3, carbon_intensity_per_source.json.
static const struct source sources[] = {
    {"coal", 995},   {"petroleum", 816}, {"natural_gas", 743},
    {"fossil", 635}, {"geothermal", 38}, {"hydroelectricity", 26},
    {"nuclear", 29}, {"solar", 48},      {"wind", 26},
};

const struct jp_grid_row *jp_grid_find(const char *iso3, const char *region)
{
    if (!region)
        region = "";
    for (int i = 0; i < jp_grid_row_count; i++)
        if (strcasecmp(jp_grid_rows[i].iso3, iso3) == 0 && strcasecmp(jp_grid_rows[i].region, region) == 0)
            return &jp_grid_rows[i];
    return NULL;
}

const struct jp_grid_row *jp_grid_row(int i)
{
    return i >= 0 && i < jp_grid_row_count ? &jp_grid_rows[i] : NULL;
}

const char *jp_grid_source_name(int i)
{
    return i >= 0 && (size_t)i < sizeof sources / sizeof sources[0] ? sources[i].name : NULL;
}

int jp_grid_source(const char *name, double *g_per_kwh)
{
    for (int i = 0; jp_grid_source_name(i); i++) {
        if (strcmp(sources[i].name, name) == 0) {
            *g_per_kwh = sources[i].g_per_kwh;
            return 0;
        }
    }
    return -ENOENT;
}

int jp_grid_mix(const struct jp_mix_part *parts, int count, double *g_per_kwh)
{
    double shares = 0, sum = 0, g;

    for (int i = 0; i < count; i++) {
        g = parts[i].g_per_kwh;
        if (!(g >= 0) && jp_grid_source(parts[i].source, &g))
            return -ENOENT;
        if (!(parts[i].share >= 0))
            return -EINVAL;
        shares += parts[i].share;
        sum += parts[i].share * g;
    }
    if (!(fabs(shares - 1) <= 0.001))
        return -EINVAL;
    *g_per_kwh = sum / shares; // so that 0.333 + 0.333 + 0.333 is not a cleaner grid than thirds
    return 0;
}

int64_t jp_emissions_ug(int64_t mj, double pue, double g_per_kwh)
{
    // A double would be off by whole micrograms above 2^53; the targets' long double holds any int64.
    long double ug = (long double)mj * pue * g_per_kwh / 3600;

    if (ug >= 0x1p63L)
        return INT64_MAX;
    if (ug <= -0x1p63L)
        return INT64_MIN;
    return llroundl(ug);
}
