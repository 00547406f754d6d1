// SPDX-License-Identifier: Apache-2.0
// Finding the chips of a kernel driver in sysfs, and telling one from another.
#define _GNU_SOURCE
#define _LARGEFILE64_SOURCE
#include "chip.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct search {
    const struct jp_site *site;
    const struct jp_chip_kind *kind;
    struct jp_chip_list *list;
    char dir[256]; // being listed
};

// Whether `text` begins with an I2C client's name, "1-0040": its length, else 0.
static int device_name_length(const char *text)
{
    int digits = 0;

    while (isdigit((unsigned char)text[digits]))
        digits++;
    if (digits == 0 || text[digits] != '-')
        return 0;
    for (int i = 1; i <= 4; i++)
        if (!isxdigit((unsigned char)text[digits + i]))
            return 0;
    return text[digits + 5] == '\0' || text[digits + 5] == '/' ? digits + 5 : 0;
}

// The last part of a path that is a client's name, or NULL.
static const char *client_in(const char *path)
{
    const char *hit = NULL;

    for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/'))
        if (device_name_length(at + 1) > 0)
            hit = at + 1;
    return hit;
}

static bool take_client(const char *path, char *out, size_t size)
{
    const char *client = client_in(path);

    if (!client || (size_t)device_name_length(client) >= size)
        return false;
    snprintf(out, size, "%.*s", device_name_length(client), client);
    return true;
}

static void find_device(const struct jp_site *site, const char *dir, char *out, size_t size)
{
    char full[PATH_MAX], real[PATH_MAX], name[256];

    out[0] = '\0';
    if (take_client(dir, out, size))
        return;
    snprintf(full, sizeof full, "%.255s/device", dir);
    if (jp_site_link(site, full, name, sizeof name) == 0 && device_name_length(name) > 0 && strlen(name) < size) {
        memcpy(out, name, strlen(name) + 1);
        return;
    }
    if (jp_site_path(site, dir, full, sizeof full) == 0 && realpath(full, real))
        take_client(real, out, size);
}

// Takes ".../i2c@c240000/ina3221@41" apart.
static void take_node(const char *node, struct jp_chip *chip)
{
    const char *last = strrchr(node, '/');
    const char *bus = last;
    const char *at;
    char *end;
    long address;

    if (!last)
        return;
    while (bus > node && bus[-1] != '/')
        bus--;
    if (!chip->device[0] && strncmp(bus, "i2c", 3) != 0)
        return; // some other bus: what follows its '@' is no I2C address
    if (last > bus && (size_t)(last - bus) < sizeof chip->bus_node)
        snprintf(chip->bus_node, sizeof chip->bus_node, "%.*s", (int)(last - bus), bus);
    at = strchr(last, '@');
    if (!at || chip->address >= 0)
        return;
    address = strtol(at + 1, &end, 16);
    if (end > at + 1 && address > 0 && address < 0x80)
        chip->address = (int)address;
}

static bool node_from_uevent(const struct jp_site *site, const char *device_dir, struct jp_chip *chip)
{
    static const char key[] = "OF_FULLNAME=";
    char path[320], text[1024];
    char *line;

    snprintf(path, sizeof path, "%.255s/uevent", device_dir);
    if (jp_site_read(site, path, text, sizeof text) < 0)
        return false;
    line = strstr(text, key);
    if (!line)
        return false;
    line += sizeof key - 1;
    line[strcspn(line, "\r\n")] = '\0';
    take_node(line, chip);
    return chip->bus_node[0] != '\0';
}

static bool node_from_link(const struct jp_site *site, const char *device_dir, struct jp_chip *chip)
{
    char path[320], full[PATH_MAX], real[PATH_MAX];

    snprintf(path, sizeof path, "%.255s/of_node", device_dir);
    if (jp_site_path(site, path, full, sizeof full) < 0 || !realpath(full, real))
        return false;
    // A copied directory resolves to itself and tells nothing.
    if (strcmp(strrchr(real, '/'), "/of_node") == 0)
        return false;
    take_node(real, chip);
    return chip->bus_node[0] != '\0';
}

void jp_chip_identify(const struct jp_site *site, const char *dir, struct jp_chip *chip)
{
    const char *client = client_in(dir);
    char places[4][280];
    int count = 0;

    *chip = (struct jp_chip){.address = -1};
    find_device(site, dir, chip->device, sizeof chip->device);
    if (chip->device[0])
        chip->address = (int)strtol(strchr(chip->device, '-') + 1, NULL, 16);
    snprintf(places[count++], sizeof places[0], "%.255s/device", dir);
    if (client)
        snprintf(places[count++], sizeof places[0], "%.*s", (int)(client - dir) + device_name_length(client), dir);
    if (chip->device[0])
        snprintf(places[count++], sizeof places[0], "/sys/bus/i2c/devices/%s", chip->device);
    snprintf(places[count++], sizeof places[0], "%.255s", dir);
    for (int i = 0; i < count; i++)
        if (node_from_uevent(site, places[i], chip) || node_from_link(site, places[i], chip))
            return;
}

bool jp_chip_is(const struct jp_site *site, const char *dir, const char *name)
{
    char path[300], text[64];

    snprintf(path, sizeof path, "%.255s/name", dir);
    return jp_site_read(site, path, text, sizeof text) >= 0 && strcmp(text, name) == 0;
}

void jp_chip_place(const struct jp_chip *chip, int index, struct jp_channel *channel)
{
    memcpy(channel->bus_node, chip->bus_node, sizeof channel->bus_node);
    channel->address = chip->address;
    channel->index = index;
    if (chip->device[0])
        channel->bus = (int)strtol(chip->device, NULL, 10);
}

static const char *base_name(const char *path)
{
    const char *last = strrchr(path, '/');

    return last ? last + 1 : path;
}

// Known by the client's name; where a copied folder hides it, by the kernel's number, which it gives only once, or, for
// the folders of two kernel drivers, by the place.
static bool is_same(const struct search *search, const char *path, const char *other)
{
    struct jp_chip mine, theirs;

    jp_chip_identify(search->site, path, &mine);
    jp_chip_identify(search->site, other, &theirs);
    if (mine.device[0] && theirs.device[0])
        return strcmp(mine.device, theirs.device) == 0;
    if (strncmp(base_name(other), search->kind->prefix, strlen(search->kind->prefix)) == 0)
        return strcmp(base_name(path), base_name(other)) == 0;
    return mine.bus_node[0] && mine.address == theirs.address && strcmp(mine.bus_node, theirs.bus_node) == 0;
}

static int take_folder(void *context, const char *name)
{
    struct search *search = context;
    struct jp_chip_list *list = search->list;
    char path[256];

    if (strncmp(name, search->kind->prefix, strlen(search->kind->prefix)) != 0 ||
        strlen(search->dir) + strlen(name) + 2 > sizeof path)
        return 0;
    snprintf(path, sizeof path, "%.200s/%.50s", search->dir, name);
    if (list->count == list->max || !search->kind->wanted(search->site, path))
        return 0;
    for (int i = 0; i < list->count; i++)
        if (is_same(search, path, list->found[i].path))
            return 0;
    list->found[list->count] = (struct jp_found){.param = 0};
    memcpy(list->found[list->count++].path, path, sizeof path);
    return 0;
}

static int look_in_client(struct search *search, const char *clients, const char *name)
{
    if (device_name_length(name) == 0)
        return 0;
    snprintf(search->dir, sizeof search->dir, "%.100s/%.40s%s", clients, name, search->kind->inside);
    jp_site_list(search->site, search->dir, take_folder, search); // most clients have none
    return 0;
}

static int take_device(void *context, const char *name)
{
    return look_in_client(context, "/sys/bus/i2c/devices", name);
}

static int take_bound(void *context, const char *name)
{
    struct search *search = context;

    return look_in_client(search, search->kind->bound, name);
}

void jp_chip_find(const struct jp_site *site, const struct jp_chip_kind *kind, struct jp_chip_list *list)
{
    struct search search = {.site = site, .kind = kind, .list = list};

    // The client's own folder first: its path names the chip even where links are missing.
    jp_site_list(site, "/sys/bus/i2c/devices", take_device, &search);
    if (kind->bound)
        jp_site_list(site, kind->bound, take_bound, &search);
    snprintf(search.dir, sizeof search.dir, "%s", kind->all);
    jp_site_list(site, kind->all, take_folder, &search);
}

// Devices that hang from nothing lie there together.
static bool is_shared(const char *path)
{
    return strcmp(path, "/sys/class/hwmon") == 0 || strcmp(path, "/sys/devices/virtual/hwmon") == 0;
}

void jp_chip_remember(const struct jp_site *site, const char *dir, struct jp_chip_home *home)
{
    char full[PATH_MAX], real[PATH_MAX], top[PATH_MAX] = "", path[300];
    size_t below;

    *home = (struct jp_chip_home){.site = site};
    snprintf(path, sizeof path, "%.255s/name", dir);
    if (jp_site_read(site, path, home->name, sizeof home->name) <= 0 ||
        jp_site_path(site, dir, full, sizeof full) < 0 || !realpath(full, real) ||
        (site->root[0] && !realpath(site->root, top)))
        return;
    below = strlen(top);
    *strrchr(real, '/') = '\0';
    if (strncmp(real, top, below) == 0 && strlen(real + below) < sizeof home->path && !is_shared(real + below))
        memcpy(home->path, real + below, strlen(real + below) + 1);
}

static bool is_home(const struct jp_chip_home *home, const char *name, char *dir, size_t size)
{
    return strncmp(name, "hwmon", 5) == 0 && snprintf(dir, size, "%s/%s", home->path, name) < (int)size &&
           jp_chip_is(home->site, dir, home->name);
}

// Not jp_site_list: that one allocates.
int jp_chip_again(const struct jp_chip_home *home, char *dir, size_t size)
{
    _Alignas(struct dirent64) char entries[1024];
    char path[320];
    int fd = home->path[0] ? jp_site_open(home->site, home->path) : -ENODEV, count = 0;
    ssize_t got;

    if (fd < 0)
        return -ENODEV;
    while ((got = getdents64(fd, entries, sizeof entries)) > 0)
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const void *)(entries + at);

            if (is_home(home, entry->d_name, path, sizeof path) && ++count == 1)
                snprintf(dir, size, "%s", path);
            at += entry->d_reclen;
        }
    close(fd);
    return count == 1 ? 0 : -ENODEV;
}
