// SPDX-License-Identifier: Apache-2.0
// Copies the small files that tell what a machine is, and of each only the lines that it needs.
#define _GNU_SOURCE
#include "capture_machine.h"

#include "trace_write.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 65536 // 1,024 processors with implementer and part
#define WHOLE_MAX 4096 // a device tree's `compatible`

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
    {"/proc/cpuinfo",
     {{.begins = "processor"},
      {.begins = "physical id"},
      {.begins = "CPU implementer"},
      {.begins = "CPU part"},
      {.begins = "vendor_id", .once = true},
      {.begins = "model name", .once = true}}},
    {"/proc/meminfo", {{.begins = "MemTotal", .once = true}}},
    {"/etc/os-release", {{.begins = "PRETTY_NAME=", .once = true}}},
    {"/etc/nv_tegra_release", {{.begins = "# R", .once = true}}},
    {"/etc/nvpmodel.conf", {{.begins = "< POWER_MODEL"}, {.begins = "<POWER_MODEL"}}},
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

static void put_lines(FILE *out, const struct jp_site *site, const struct file *file, char *text)
{
    int fd = jp_site_open(site, file->path);
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

void jp_capture_machine(FILE *out, const struct jp_site *site, const struct jp_entropy *entropy)
{
    static char text[TEXT_MAX];
    char id[34];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i].lines[0].begins)
            put_lines(out, site, &files[i], text);
        else
            put_whole(out, site, files[i].path);
    }
    fputs("# Not the machine's id: a random one, so that what replays the trace has a name.\n", out);
    snprintf(id, sizeof id, "%016" PRIx64 "%016" PRIx64 "\n", entropy->u64(entropy), entropy->u64(entropy));
    jp_trace_put_file(out, "/etc/machine-id", id, strlen(id));
}
