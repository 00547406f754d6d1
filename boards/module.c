// SPDX-License-Identifier: Apache-2.0
// Which of a board's modules this machine has: one device tree may serve several.
#define _GNU_SOURCE
#include "board.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

// The EEPROM of a module holds its number in ASCII at offset 20, "699-13701-0004-500 L.0": board and SKU make the
// part, p3701-0004. Source: jetson_stats jtop/core/jetson_variables.py.
#define NUMBER_OFFSET 20
#define NUMBER_LENGTH 29

struct search {
    const struct jp_board *board;
    const struct jp_site *site;
    int hit; // index into board->modules, -1 none yet
};

static int by_part(const struct jp_board *board, const char *part)
{
    for (int i = 0; i < board->module_count; i++)
        if (strcmp(board->modules[i].part, part) == 0)
            return i;
    return -1;
}

static int take_eeprom(void *context, const char *name)
{
    struct search *search = context;
    char path[300], number[NUMBER_LENGTH + 1] = "", part[16];
    size_t length = strlen(name);
    int fd;

    if (length < 5 || strcmp(name + length - 5, "-0050") != 0)
        return 0;
    snprintf(path, sizeof path, "/sys/bus/i2c/devices/%.200s/eeprom", name);
    fd = jp_site_open(search->site, path);
    if (fd < 0)
        return 0;
    if (pread(fd, number, NUMBER_LENGTH, NUMBER_OFFSET) == NUMBER_LENGTH && strncmp(number, "699-", 4) == 0 &&
        number[9] == '-') {
        snprintf(part, sizeof part, "p%.4s-%.4s", number + 5, number + 10);
        search->hit = by_part(search->board, part);
    }
    close(fd);
    return search->hit >= 0;
}

static int by_eeprom(const struct jp_board *board, const struct jp_site *site)
{
    struct search search = {.board = board, .site = site, .hit = -1};

    jp_site_list(site, "/sys/bus/i2c/devices", take_eeprom, &search);
    return search.hit;
}

// "nvidia,p3768-0000+p3767-0005-super" names p3767-0005: the last part of the entry, whatever follows after a dash.
static bool names_part(const char *entry, const char *part)
{
    const char *last = strrchr(entry, '+');
    size_t length = strlen(part);

    if (!last)
        last = strchr(entry, ',');
    if (!last || strncmp(last + 1, part, length) != 0)
        return false;
    return last[1 + length] == '\0' || last[1 + length] == '-';
}

static void find_named(const struct jp_board *board, const struct jp_site *site, bool *named)
{
    char compatible[2048];
    int length = jp_site_read(site, "/proc/device-tree/compatible", compatible, sizeof compatible);

    for (int at = 0; at < length; at += (int)strlen(compatible + at) + 1)
        for (int i = 0; i < board->module_count; i++)
            if (!strstr(compatible + at, "-as-") && names_part(compatible + at, board->modules[i].part))
                named[i] = true;
}

// The smallest size the board comes with that holds what the kernel has, which is a bit less. 0 unknown.
static int ram_size(const struct jp_board *board, int64_t ram_bytes)
{
    int size = 0;

    for (int i = 0; i < board->module_count; i++) {
        int gib = board->modules[i].ram_gib;

        if (ram_bytes > 0 && ((int64_t)gib << 30) >= ram_bytes && (size == 0 || gib < size))
            size = gib;
    }
    return size;
}

// The only module among those `wanted` (NULL: all) that this much memory fits. -1: none, or more than one name.
static int only(const struct jp_board *board, const bool *wanted, int size)
{
    int hit = -1;

    for (int i = 0; i < board->module_count; i++) {
        const struct jp_board_module *module = &board->modules[i];

        if ((wanted && !wanted[i]) || (size > 0 && module->ram_gib > 0 && module->ram_gib != size))
            continue;
        if (hit >= 0 && strcmp(board->modules[hit].name, module->name) != 0)
            return -1;
        hit = i;
    }
    return hit;
}

void jp_board_module(const struct jp_board *board, const struct jp_site *site, int64_t ram_bytes, char *out,
                     size_t size)
{
    bool named[JP_BOARD_LIST_MAX] = {false};
    int gib = ram_size(board, ram_bytes), hit = by_eeprom(board, site);
    const char *name = board->module;

    if (hit < 0) {
        find_named(board, site, named);
        hit = only(board, named, gib);
        if (hit < 0) // the tree names none, or one that has other memory: it serves several
            hit = only(board, NULL, gib);
    }
    if (hit >= 0)
        name = board->modules[hit].name;
    if (name[0] && gib > 0 && (hit < 0 || board->modules[hit].ram_gib == 0))
        snprintf(out, size, "%s (%d GB ram)", name, gib);
    else
        snprintf(out, size, "%s", name);
}
