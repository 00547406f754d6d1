// SPDX-License-Identifier: Apache-2.0
// nvpmodel's status and table. Numbers differ between releases and module variants: the machine's own table goes first.
#include "power_mode.h"

#include "lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS "/var/lib/nvpmodel/status"
#define TABLE "/etc/nvpmodel.conf"

int jp_power_mode_id(const struct jp_site *site)
{
    static const char key[] = "pmode:";
    const size_t length = sizeof key - 1;
    char text[256];

    if (jp_site_read(site, STATUS, text, sizeof text) <= 0 || strncmp(text, key, length) != 0)
        return -1;
    if (strspn(text + length, "0123456789") - 1 > 5) // none, or more than any table has
        return -1;
    return (int)strtol(text + length, NULL, 10);
}

// "< POWER_MODEL ID=2 NAME=MODE_30W >"
struct mode {
    int id;
    char *name;
};

static void read_mode_line(void *context, char *line)
{
    struct mode *mode = context;
    char *at = strstr(line, "POWER_MODEL"), *id, *name;

    if (!at || line[strspn(line, " \t")] != '<')
        return;
    id = strstr(at, "ID=");
    name = strstr(at, "NAME=");
    if (!id || !name || strtol(id + 3, NULL, 10) != mode->id)
        return;
    name += 5;
    snprintf(mode->name, JP_NAME_MAX, "%.*s", (int)strcspn(name, " \t>"), name);
    for (char *letter = mode->name; *letter; letter++)
        if (*letter <= ' ' || *letter > '~' || *letter == '"' || *letter == '\\')
            *letter = '_';
}

// The table is a link to one of several. Below a root of its own an absolute one leads elsewhere.
static int read_table(const struct jp_site *site, struct mode *mode)
{
    char name[100], path[128];
    int rc = jp_lines(site, TABLE, read_mode_line, mode);

    if (rc != -ENOENT || jp_site_link(site, TABLE, name, sizeof name))
        return rc;
    snprintf(path, sizeof path, "/etc/nvpmodel/%s", name);
    return jp_lines(site, path, read_mode_line, mode);
}

void jp_power_mode_name(const struct jp_site *site, const struct jp_board *board, int id, char out[JP_NAME_MAX])
{
    struct mode mode = {.id = id, .name = out};

    out[0] = '\0';
    if (id < 0 || read_table(site, &mode) == 0)
        return;
    for (int i = 0; i < board->power_mode_count; i++)
        if (board->power_modes[i].id == id)
            snprintf(out, JP_NAME_MAX, "%s", board->power_modes[i].name);
}

bool jp_power_mode_here(const struct jp_site *site)
{
    char name[100];
    int fd;

    if (jp_power_mode_id(site) >= 0 || jp_site_link(site, TABLE, name, sizeof name) == 0)
        return true;
    fd = jp_site_open(site, TABLE);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}
