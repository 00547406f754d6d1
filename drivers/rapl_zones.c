// SPDX-License-Identifier: Apache-2.0
// The powercap zones of a machine, named and freed of duplicates.
#include "rapl_zones.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct walk {
    const struct jp_site *site;
    struct jp_rapl_zone *zones;
    char dir[120]; // being listed
    const char *type;
    const char *parent; // id of the zone looked into, NULL for top zones
    int count, max;
};

static const char *const types[] = {"intel-rapl", "intel-rapl-mmio"};

static int colons(const char *id)
{
    int count = 0;

    for (; *id; id++)
        count += *id == ':';
    return count;
}

static bool is_of(const char *id, const char *type)
{
    size_t length = strlen(type);

    return strncmp(id, type, length) == 0 && id[length] == ':';
}

static const struct jp_rapl_zone *by_id(const struct walk *walk, const char *id, size_t length)
{
    for (int i = 0; i < walk->count; i++)
        if (strlen(walk->zones[i].id) == length && strncmp(walk->zones[i].id, id, length) == 0)
            return &walk->zones[i];
    return NULL;
}

static const struct jp_rapl_zone *by_name(const struct walk *walk, const char *name)
{
    for (int i = 0; i < walk->count; i++)
        if (strcmp(walk->zones[i].name, name) == 0)
            return &walk->zones[i];
    return NULL;
}

// The zone a part hangs under, by its id.
static const struct jp_rapl_zone *parent_of(const struct walk *walk, const char *id)
{
    const char *last = strrchr(id, ':');

    return colons(id) > 1 ? by_id(walk, id, (size_t)(last - id)) : NULL;
}

// "core" under "package-0" is "core-0"; a top zone keeps the kernel's name, a nameless number its id's.
static void name_zone(struct jp_rapl_zone *zone, const struct jp_rapl_zone *parent)
{
    static const char package[] = "package-";

    if (colons(zone->id) == 1 && strcmp(zone->kind, "dram") != 0)
        snprintf(zone->name, sizeof zone->name, "%s", zone->kind);
    else if (parent && strncmp(parent->name, package, sizeof package - 1) == 0)
        snprintf(zone->name, sizeof zone->name, "%.15s-%.16s", zone->kind, parent->name + sizeof package - 1);
    else
        snprintf(zone->name, sizeof zone->name, "%.15s-%.16s", zone->kind, strchr(zone->id, ':') + 1);
    for (char *at = zone->name; *at; at++)
        if (*at == ':' || *at == ' ')
            *at = '.';
    if (parent && (strcmp(zone->kind, "core") == 0 || strcmp(zone->kind, "uncore") == 0))
        snprintf(zone->part_of, sizeof zone->part_of, "%s", parent->name);
}

// A second zone of one name in the same interface is another counter: it gets its number behind.
static void make_unique(const struct walk *walk, struct jp_rapl_zone *zone)
{
    char base[16];

    if (!by_name(walk, zone->name))
        return;
    snprintf(base, sizeof base, "%.15s", zone->name);
    snprintf(zone->name, sizeof zone->name, "%.15s.%.16s", base, strchr(zone->id, ':') + 1);
    for (char *at = zone->name; *at; at++)
        if (*at == ':')
            *at = '.';
    for (int i = 2; by_name(walk, zone->name); i++)
        snprintf(zone->name, sizeof zone->name, "%.15s..%d", base, i);
}

static int take_zone(void *context, const char *id)
{
    struct walk *walk = context;
    struct jp_rapl_zone zone = {.part_of = ""};
    const struct jp_rapl_zone *parent;
    const struct jp_rapl_zone *twin;
    char file[200];

    if (!is_of(id, walk->type) || strlen(id) >= sizeof zone.id || walk->count == walk->max)
        return 0;
    if (colons(id) != (walk->parent ? 2 : 1) || by_id(walk, id, strlen(id)))
        return 0;
    if (walk->parent && !(is_of(id, walk->parent)))
        return 0;
    snprintf(zone.id, sizeof zone.id, "%s", id);
    snprintf(zone.path, sizeof zone.path, "%s/%s", walk->dir, id);
    snprintf(file, sizeof file, "%s/name", zone.path);
    if (jp_site_read(walk->site, file, zone.kind, sizeof zone.kind) <= 0)
        return 0;
    parent = parent_of(walk, id);
    name_zone(&zone, parent);
    twin = by_name(walk, zone.name);
    if (twin && strcmp(walk->type, types[0]) != 0 && is_of(twin->id, types[0]))
        return 0;
    make_unique(walk, &zone);
    walk->zones[walk->count++] = zone;
    return 0;
}

static void list(struct walk *walk, const char *dir)
{
    snprintf(walk->dir, sizeof walk->dir, "%.119s", dir);
    jp_site_list(walk->site, dir, take_zone, walk); // a folder that is not there holds no zone
}

// Where the parts of the type's top zones may stand: beside them (class) or inside (devices).
static void list_parts(struct walk *walk)
{
    int tops = walk->count;

    for (int i = 0; i < tops; i++) {
        char id[40], dir[160];

        if (!is_of(walk->zones[i].id, walk->type))
            continue;
        snprintf(id, sizeof id, "%s", walk->zones[i].id);
        walk->parent = id;
        list(walk, "/sys/class/powercap");
        snprintf(dir, sizeof dir, "%s", walk->zones[i].path);
        list(walk, dir);
    }
    walk->parent = NULL;
}

int jp_rapl_zones(const struct jp_site *site, struct jp_rapl_zone *zones, int max)
{
    struct walk walk = {.site = site, .zones = zones, .max = max};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char dir[64];

        walk.type = types[i];
        list(&walk, "/sys/class/powercap");
        snprintf(dir, sizeof dir, "/sys/devices/virtual/powercap/%s", types[i]);
        list(&walk, dir);
        list_parts(&walk);
    }
    return walk.count;
}
