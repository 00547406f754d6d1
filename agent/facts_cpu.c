// SPDX-License-Identifier: Apache-2.0
// Processors: how many, and which. ARM's /proc/cpuinfo has numbers where x86's has a name.
#include "facts.h"

#include "lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KINDS_MAX 4 // of processors in one machine

// Sources: Linux arch/arm64/include/asm/cputype.h, util-linux sys-utils/lscpu-arm.c.
static const struct {
    unsigned implementer, part;
    const char *name;
} cores[] = {
    {0x41, 0xc07, "Arm Cortex-A7"},     {0x41, 0xc09, "Arm Cortex-A9"},   {0x41, 0xc0f, "Arm Cortex-A15"},
    {0x41, 0xb76, "Arm ARM1176"},       {0x41, 0xd03, "Arm Cortex-A53"},  {0x41, 0xd04, "Arm Cortex-A35"},
    {0x41, 0xd05, "Arm Cortex-A55"},    {0x41, 0xd07, "Arm Cortex-A57"},  {0x41, 0xd08, "Arm Cortex-A72"},
    {0x41, 0xd09, "Arm Cortex-A73"},    {0x41, 0xd0a, "Arm Cortex-A75"},  {0x41, 0xd0b, "Arm Cortex-A76"},
    {0x41, 0xd0c, "Arm Neoverse-N1"},   {0x41, 0xd0d, "Arm Cortex-A77"},  {0x41, 0xd0e, "Arm Cortex-A76AE"},
    {0x41, 0xd40, "Arm Neoverse-V1"},   {0x41, 0xd41, "Arm Cortex-A78"},  {0x41, 0xd42, "Arm Cortex-A78AE"},
    {0x41, 0xd49, "Arm Neoverse-N2"},   {0x41, 0xd4b, "Arm Cortex-A78C"}, {0x41, 0xd4f, "Arm Neoverse-V2"},
    {0x41, 0xd83, "Arm Neoverse-V3AE"}, {0x41, 0xd84, "Arm Neoverse-V3"}, {0x4e, 0x000, "NVIDIA Denver"},
    {0x4e, 0x003, "NVIDIA Denver 2"},   {0x4e, 0x004, "NVIDIA Carmel"},
};

struct kind {
    int core; // index of the table, -1 none
    int count;
};

struct reading {
    struct jp_cpus *cpus;
    int ids[64]; // of the sockets
    unsigned implementer;
    struct kind kinds[KINDS_MAX];
    int kind_count;
    bool too_many;
};

// The value of "key : value" or NULL; the key may be followed by white space.
static char *value_of(char *line, const char *key)
{
    size_t length = strlen(key);
    char *at;

    if (strncmp(line, key, length) != 0)
        return NULL;
    at = line + length + strspn(line + length, " \t");
    if (*at != ':')
        return NULL;
    at++;
    return at + strspn(at, " \t");
}

static void add_socket(struct reading *reading, int id)
{
    struct jp_cpus *cpus = reading->cpus;

    for (int i = 0; i < cpus->sockets; i++)
        if (reading->ids[i] == id)
            return;
    if (cpus->sockets < (int)(sizeof reading->ids / sizeof reading->ids[0]))
        reading->ids[cpus->sockets++] = id;
}

static int core_of(unsigned implementer, unsigned part)
{
    for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++)
        if (cores[i].implementer == implementer && cores[i].part == part)
            return (int)i;
    return -1;
}

// Kept in the order of the table from its end: on big.LITTLE the big ones come first.
static void add_core(struct reading *reading, int core)
{
    struct kind *kinds = reading->kinds;
    int at = 0;

    while (at < reading->kind_count && kinds[at].core > core)
        at++;
    if (at == reading->kind_count || kinds[at].core != core) {
        if (reading->kind_count == KINDS_MAX) {
            reading->too_many = true;
            return;
        }
        memmove(&kinds[at + 1], &kinds[at], (size_t)(reading->kind_count - at) * sizeof kinds[0]);
        kinds[at] = (struct kind){.core = core};
        reading->kind_count++;
    }
    kinds[at].count++;
}

static void read_line(void *context, char *line)
{
    struct reading *reading = context;
    struct jp_cpus *cpus = reading->cpus;
    char *value;

    if (value_of(line, "processor"))
        cpus->listed++;
    else if ((value = value_of(line, "physical id")))
        add_socket(reading, (int)strtol(value, NULL, 10));
    else if ((value = value_of(line, "CPU implementer")))
        reading->implementer = (unsigned)strtoul(value, NULL, 16);
    else if ((value = value_of(line, "CPU part")))
        add_core(reading, core_of(reading->implementer, (unsigned)strtoul(value, NULL, 16)));
    else if (cpus->model[0] == '\0' && (value = value_of(line, "model name")))
        snprintf(cpus->model, sizeof cpus->model, "%s", value);
}

// "NVIDIA Carmel", or "2 x NVIDIA Denver 2 + 4 x Arm Cortex-A57".
static void name_cores(const struct reading *reading, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < reading->kind_count; i++)
        if (reading->kinds[i].core < 0 || reading->too_many)
            return;
    if (reading->kind_count == 1)
        snprintf(out, size, "%s", cores[reading->kinds[0].core].name);
    for (int i = 0; reading->kind_count > 1 && i < reading->kind_count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%d x %s", i ? " + " : "", reading->kinds[i].count,
                                 cores[reading->kinds[i].core].name);
}

// "0-3,6": those that a power mode or hot-plug took offline are among them. 0 unknown.
static int count_present(const struct jp_site *site)
{
    char text[256], *at = text;
    int count = 0;

    if (jp_site_read(site, "/sys/devices/system/cpu/present", text, sizeof text) <= 0)
        return 0;
    while (*at >= '0' && *at <= '9') {
        long first = strtol(at, &at, 10), last = first;

        if (*at == '-')
            last = strtol(at + 1, &at, 10);
        if (last < first || last > 1000000)
            return 0;
        count += (int)(last - first) + 1;
        at += *at == ',';
    }
    return count;
}

void jp_facts_cpus(const struct jp_site *site, struct jp_cpus *cpus)
{
    struct reading reading = {.cpus = cpus};

    memset(cpus, 0, sizeof *cpus);
    jp_lines(site, "/proc/cpuinfo", read_line, &reading);
    name_cores(&reading, cpus->cores, sizeof cpus->cores);
    cpus->present = count_present(site);
    if (cpus->present == 0)
        cpus->present = cpus->listed;
    if (cpus->sockets == 0)
        cpus->sockets = 1;
}
