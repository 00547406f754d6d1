// SPDX-License-Identifier: Apache-2.0
// Copies the small files that tell what a machine is, and of each only the lines that it needs.
#define _GNU_SOURCE
#include "capture_machine.h"

#include "trace_write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 65536 // 1,024 processors with implementer and part
#define WHOLE_MAX 4096 // a device tree's `compatible`
#define NVPMODEL "/etc/nvpmodel.conf"
// Where a module's EEPROM has its part number, "699-13701-0004-500 L.0"; what else is in it is left out, serial number
// and addresses of its network cards among it. Source: jetson_stats jtop/core/jetson_variables.py.
#define PART_OFFSET 20
#define PART_LENGTH 14 // board and SKU; the revision behind them does not matter
#define EEPROM_LENGTH 49

// A line that stays: it begins with this word. `once`: the first such line is enough. `ends_at`: cut there.
struct line {
    const char *begins;
    bool once;
    const char *ends_at;
};

struct file {
    const char *path;
    struct line lines[8]; // none: all of it
};

static const struct file files[] = {
    {.path = "/proc/device-tree/compatible"},
    {.path = "/proc/device-tree/model"},
    {.path = "/sys/class/dmi/id/product_name"},
    {.path = "/proc/sys/kernel/osrelease"},
    {.path = "/sys/devices/system/cpu/present"},
    {"/proc/cpuinfo",
     {{.begins = "processor"},
      {.begins = "physical id"},
      {.begins = "CPU implementer"},
      {.begins = "CPU part"},
      {.begins = "vendor_id", .once = true},
      {.begins = "model name", .once = true}}},
    {"/proc/stat", {{.begins = "cpu ", .once = true}}}, // for the model of the processors, where nothing is measured
    {"/proc/meminfo", {{.begins = "MemTotal", .once = true}}},
    {"/etc/os-release", {{.begins = "PRETTY_NAME=", .once = true}}},
    {"/etc/nv_tegra_release", {{.begins = "# R", .once = true}}},
    {NVPMODEL, {{.begins = "< POWER_MODEL"}, {.begins = "<POWER_MODEL"}}},
    {"/var/lib/nvpmodel/status", {{.begins = "pmode:", .once = true, .ends_at = " \t\n"}}},
};

// The line's rule in this file, or -1. `taken`: bits of the rules that applied once.
static int rule_of(const struct file *file, const char *line, unsigned taken)
{
    for (int i = 0; i < 8 && file->lines[i].begins; i++)
        if (strncmp(line, file->lines[i].begins, strlen(file->lines[i].begins)) == 0)
            return file->lines[i].once && (taken & (1U << i)) ? -1 : i;
    return -1;
}

// The lines that stay, at most TEXT_MAX bytes of whole ones. Their length.
static size_t cut_down(const struct file *file, FILE *in, char *text)
{
    char line[4096];
    unsigned taken = 0;
    size_t used = 0;

    while (fgets(line, sizeof line, in)) {
        const char *start = line + strspn(line, " \t");
        int rule = rule_of(file, start, taken);
        size_t length;

        if (rule < 0)
            continue;
        length = strcspn(start, file->lines[rule].ends_at ? file->lines[rule].ends_at : "\n");
        if (used + length + 1 > TEXT_MAX)
            break;
        memcpy(text + used, start, length);
        used += length;
        text[used++] = '\n';
        taken |= 1U << rule;
    }
    return used;
}

// The table of power modes may be a link to one of several; below a root of its own an absolute one leads elsewhere.
static int open_file(const struct jp_site *site, const char *path)
{
    char name[100], linked[128];
    int fd = jp_site_open(site, path);

    if (fd != -ENOENT || strcmp(path, NVPMODEL) != 0 || jp_site_link(site, path, name, sizeof name) != 0)
        return fd;
    snprintf(linked, sizeof linked, "/etc/nvpmodel/%s", name);
    return jp_site_open(site, linked);
}

static void put_lines(FILE *out, const struct jp_site *site, const struct file *file, char *text)
{
    int fd = open_file(site, file->path);
    FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
    size_t length;

    if (!in) {
        if (fd >= 0)
            close(fd);
        return;
    }
    length = cut_down(file, in, text);
    fclose(in);
    if (length > 0)
        jp_trace_put_file(out, file->path, text, length);
}

static void put_whole(FILE *out, const struct jp_site *site, const char *path)
{
    char text[WHOLE_MAX];
    int length = jp_site_read(site, path, text, sizeof text);

    if (length > 0)
        jp_trace_put_file(out, path, text, (size_t)length);
}

struct modules {
    FILE *out;
    const struct jp_site *site;
};

static int put_part(void *context, const char *name)
{
    const struct modules *modules = context;
    char path[300], bytes[EEPROM_LENGTH] = "";
    size_t length = strlen(name);
    int fd;

    if (length < 5 || strcmp(name + length - 5, "-0050") != 0)
        return 0;
    snprintf(path, sizeof path, "/sys/bus/i2c/devices/%.200s/eeprom", name);
    fd = jp_site_open(modules->site, path);
    if (fd < 0)
        return 0;
    if (pread(fd, bytes + PART_OFFSET, PART_LENGTH, PART_OFFSET) == PART_LENGTH &&
        strncmp(bytes + PART_OFFSET, "699-", 4) == 0) {
        bytes[PART_OFFSET + PART_LENGTH] = '-';
        jp_trace_put_file(modules->out, path, bytes, sizeof bytes);
    }
    close(fd);
    return 0;
}

void jp_capture_machine(FILE *out, const struct jp_site *site, const struct jp_entropy *entropy)
{
    static char text[TEXT_MAX];
    struct modules modules = {.out = out, .site = site};
    char id[34];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i].lines[0].begins)
            put_lines(out, site, &files[i], text);
        else
            put_whole(out, site, files[i].path);
    }
    jp_site_list(site, "/sys/bus/i2c/devices", put_part, &modules);
    fputs("# Not the machine's id: a random one, so that what replays the trace has a name.\n", out);
    snprintf(id, sizeof id, "%016" PRIx64 "%016" PRIx64 "\n", entropy->u64(entropy), entropy->u64(entropy));
    jp_trace_put_file(out, "/etc/machine-id", id, strlen(id));
}
