// SPDX-License-Identifier: Apache-2.0
// Keys that are accepted and checked, but that nothing in this version reads: people are told, once.
#include "config.h"

#include <math.h>

int jp_config_unused(const struct jp_config *config, const char **keys, int max)
{
    const struct {
        const char *key;
        bool set;
    } all[] = {
        {"location.wue", config->location.wue > 0},
        {"location.latitude, .longitude", !isnan(config->location.latitude)},
        {"prometheus.file", config->prometheus_file[0] != '\0'},
    };
    int count = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].set && count < max)
            keys[count++] = all[i].key;
    return count;
}
