// SPDX-License-Identifier: Apache-2.0
// Finding INA3221 chips under the kernel's hwmon driver, and telling one from another.
#define _GNU_SOURCE
#include "ina3221_chip.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct search {
    const struct jp_site *site;
    struct jp_found *found;
    char dir[256]; // being listed
    int count, max;
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

// The last part of a path that is a client's name.
static bool device_from_path(const char *path, char *out, size_t size)
{
    bool hit = false;

    for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
        int length = device_name_length(at + 1);

        if (length > 0 && (size_t)length < size) {
            snprintf(out, size, "%.*s", length, at + 1);
            hit = true;
        }
    }
    return hit;
}

static void find_device(const struct jp_site *site, const char *hwmon, char *out, size_t size)
{
    char full[PATH_MAX], real[PATH_MAX], name[256];

    out[0] = '\0';
    if (device_from_path(hwmon, out, size))
        return;
    snprintf(full, sizeof full, "%.255s/device", hwmon);
    if (jp_site_link(site, full, name, sizeof name) == 0 && device_name_length(name) > 0 && strlen(name) < size) {
        memcpy(out, name, strlen(name) + 1);
        return;
    }
    if (jp_site_path(site, hwmon, full, sizeof full) == 0 && realpath(full, real))
        device_from_path(real, out, size);
}

// Takes ".../i2c@c240000/ina3221@41" apart.
static void take_node(const char *node, struct jp_ina3221_chip *chip)
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
    if (last > bus && (size_t)(last - bus) < sizeof chip->bus_node)
        snprintf(chip->bus_node, sizeof chip->bus_node, "%.*s", (int)(last - bus), bus);
    at = strchr(last, '@');
    if (!at || chip->address >= 0)
        return;
    address = strtol(at + 1, &end, 16);
    if (end > at + 1 && address > 0 && address < 0x80)
        chip->address = (int)address;
}

static bool node_from_uevent(const struct jp_site *site, const char *device_dir, struct jp_ina3221_chip *chip)
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

static bool node_from_link(const struct jp_site *site, const char *device_dir, struct jp_ina3221_chip *chip)
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

// "/x/1-0040/hwmon/hwmon3" without its last two parts.
static bool above_hwmon(const char *hwmon, char *out, size_t size)
{
    const char *at = strstr(hwmon, "/hwmon/hwmon");

    if (!at || device_name_length(strrchr(hwmon, '/') + 1) > 0)
        return false;
    snprintf(out, size, "%.*s", (int)(at - hwmon), hwmon);
    return true;
}

void jp_ina3221_chip_identify(const struct jp_site *site, const char *hwmon, struct jp_ina3221_chip *chip)
{
    char dir[4][280];
    int dirs = 0;

    *chip = (struct jp_ina3221_chip){.address = -1};
    find_device(site, hwmon, chip->device, sizeof chip->device);
    if (chip->device[0])
        chip->address = (int)strtol(strchr(chip->device, '-') + 1, NULL, 16);
    snprintf(dir[dirs++], sizeof dir[0], "%.255s/device", hwmon);
    if (above_hwmon(hwmon, dir[dirs], sizeof dir[0]))
        dirs++;
    if (chip->device[0]) {
        snprintf(dir[dirs++], sizeof dir[0], "/sys/bus/i2c/devices/%s", chip->device);
        snprintf(dir[dirs++], sizeof dir[0], "/sys/bus/i2c/drivers/ina3221/%s", chip->device);
    }
    for (int i = 0; i < dirs; i++)
        if (node_from_uevent(site, dir[i], chip) || node_from_link(site, dir[i], chip))
            return;
}

static const char *base_name(const char *path)
{
    const char *last = strrchr(path, '/');

    return last ? last + 1 : path;
}

// Known by the client's name; where a copied folder hides it, by hwmonN, which a kernel gives only once.
static bool is_known(const struct search *search, const char *path)
{
    struct jp_ina3221_chip mine, theirs;

    jp_ina3221_chip_identify(search->site, path, &mine);
    for (int i = 0; i < search->count; i++) {
        const char *other = search->found[i].path;

        jp_ina3221_chip_identify(search->site, other, &theirs);
        if (mine.device[0] && theirs.device[0] ? strcmp(mine.device, theirs.device) == 0
                                               : strcmp(base_name(path), base_name(other)) == 0)
            return true;
    }
    return false;
}

static int take_hwmon(void *context, const char *name)
{
    struct search *search = context;
    char path[256], file[300], chip[32];

    if (strncmp(name, "hwmon", 5) != 0 || strlen(search->dir) + strlen(name) + 2 > sizeof path)
        return 0;
    snprintf(path, sizeof path, "%.200s/%.50s", search->dir, name);
    snprintf(file, sizeof file, "%s/name", path);
    if (jp_site_read(search->site, file, chip, sizeof chip) < 0 || strcmp(chip, "ina3221") != 0)
        return 0;
    if (is_known(search, path) || search->count == search->max)
        return 0;
    search->found[search->count] = (struct jp_found){.param = 0};
    memcpy(search->found[search->count++].path, path, sizeof path);
    return 0;
}

static int look_in_device(struct search *search, const char *bus, const char *name)
{
    if (device_name_length(name) == 0)
        return 0;
    snprintf(search->dir, sizeof search->dir, "%.100s/%.40s/hwmon", bus, name);
    jp_site_list(search->site, search->dir, take_hwmon, search); // most clients have none
    return 0;
}

static int take_device(void *context, const char *name)
{
    return look_in_device(context, "/sys/bus/i2c/devices", name);
}

static int take_bound(void *context, const char *name)
{
    return look_in_device(context, "/sys/bus/i2c/drivers/ina3221", name);
}

int jp_ina3221_chip_probe(const struct jp_site *site, struct jp_found *found, int max)
{
    struct search search = {.site = site, .found = found, .max = max};

    // The client's own folder first: its path names the chip even where links are missing.
    jp_site_list(site, "/sys/bus/i2c/devices", take_device, &search);
    jp_site_list(site, "/sys/bus/i2c/drivers/ina3221", take_bound, &search);
    snprintf(search.dir, sizeof search.dir, "/sys/class/hwmon");
    jp_site_list(site, "/sys/class/hwmon", take_hwmon, &search);
    return search.count;
}
