// SPDX-License-Identifier: Apache-2.0
// The drivers of this build, and the words for what they say.
#include "drivers.h"

#include <errno.h>
#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

#define ENTRY(name) &jp_driver_##name,
const struct jp_driver *const jp_drivers[] = {JP_DRIVERS(ENTRY) NULL};

static const char *const scopes[] = {
    [JP_SCOPE_RAIL] = "rail",   [JP_SCOPE_MODULE] = "module",   [JP_SCOPE_CARRIER] = "carrier",
    [JP_SCOPE_BOARD] = "board", [JP_SCOPE_PACKAGE] = "package", [JP_SCOPE_SYSTEM] = "system",
};

static const char *const methods[] = {[JP_MEASURED] = "measured", [JP_MODELLED] = "modelled"};

static const struct {
    uint32_t bit;
    const char *word;
} roles[] = {
    {JP_ROLE_CPU, "cpu"},     {JP_ROLE_GPU, "gpu"},         {JP_ROLE_CV, "cv"},           {JP_ROLE_SOC, "soc"},
    {JP_ROLE_RAM, "ram"},     {JP_ROLE_IO, "io"},           {JP_ROLE_WIFI, "wifi"},       {JP_ROLE_MODULE, "module"},
    {JP_ROLE_BOARD, "board"}, {JP_ROLE_PACKAGE, "package"}, {JP_ROLE_CORE, "core"},       {JP_ROLE_UNCORE, "uncore"},
    {JP_ROLE_DRAM, "dram"},   {JP_ROLE_PSYS, "psys"},       {JP_ROLE_BATTERY, "battery"},
};

const struct jp_driver *jp_driver_by_name(const char *name)
{
    for (int i = 0; jp_drivers[i]; i++)
        if (strcmp(jp_drivers[i]->name, name) == 0)
            return jp_drivers[i];
    return NULL;
}

const char *jp_scope_name(enum jp_scope scope)
{
    return scopes[scope];
}

const char *jp_method_name(enum jp_method method)
{
    return methods[method];
}

const char *jp_role_name(uint32_t role_bit)
{
    for (int i = 0; i < COUNT(roles); i++)
        if (roles[i].bit == role_bit)
            return roles[i].word;
    return "";
}

uint32_t jp_role_by_name(const char *word)
{
    for (int i = 0; i < COUNT(roles); i++)
        if (strcmp(roles[i].word, word) == 0)
            return roles[i].bit;
    return 0;
}

int jp_scope_by_name(const char *word, enum jp_scope *scope)
{
    for (int i = 0; i < COUNT(scopes); i++) {
        if (strcmp(scopes[i], word) == 0) {
            *scope = (enum jp_scope)i;
            return 0;
        }
    }
    return -EINVAL;
}
