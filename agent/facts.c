// SPDX-License-Identifier: Apache-2.0
// Reads what /proc, /etc and the board profile say about the machine.
#include "facts.h"

#include "lines.h"
#include "power_mode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM_MAX_KIB (1LL << 40) // a pebibyte: no machine has it

static void read_memory_line(void *context, char *line)
{
    int64_t *bytes = context;
    static const char key[] = "MemTotal:";
    long long kib;

    if (strncmp(line, key, sizeof key - 1) != 0)
        return;
    kib = strtoll(line + sizeof key - 1, NULL, 10);
    *bytes = kib > 0 && kib <= RAM_MAX_KIB ? kib * 1024 : 0;
}

static void read_release_line(void *context, char *line)
{
    static const char key[] = "PRETTY_NAME=";
    struct jp_facts *facts = context;
    char *value = line + sizeof key - 1;
    size_t length;

    if (strncmp(line, key, sizeof key - 1) != 0)
        return;
    length = strlen(value);
    if (length >= 2 && (value[0] == '"' || value[0] == '\'') && value[length - 1] == value[0]) {
        value[length - 1] = '\0';
        value++;
    }
    snprintf(facts->os_name, sizeof facts->os_name, "%s", value);
}

// "# R36 (release), REVISION: 4.3, GCID: ..." is 36.4.3.
static void read_l4t(const struct jp_site *site, struct jp_facts *facts)
{
    char text[1024], *at;
    char major[8], minor[8], patch[8];

    if (jp_site_read(site, "/etc/nv_tegra_release", text, sizeof text) <= 0)
        return;
    at = strstr(text, "REVISION:");
    if (!at || sscanf(text, "# R%7[0-9]", major) != 1 || sscanf(at, "REVISION: %7[0-9].%7[0-9]", minor, patch) != 2)
        return;
    snprintf(facts->l4t, sizeof facts->l4t, "%s.%s.%s", major, minor, patch);
    snprintf(facts->jetpack, sizeof facts->jetpack, "%s", jp_facts_jetpack(facts->l4t));
}

#define NVIDIA "/proc/driver/nvidia/gpus"

struct gpus {
    const struct jp_site *site;
    struct jp_facts *facts;
    int count;
    char last[JP_TEXT_MAX];
};

// "Model: \t\t NVIDIA A2" (kernel-open/nvidia/nv-procfs.c of NVIDIA's open-gpu-kernel-modules). Of equal neighbours the
// count tells.
static void read_gpu_line(void *context, char *line)
{
    static const char key[] = "Model:";
    struct gpus *gpus = context;
    char *names = gpus->facts->gpu_name, *name = line + sizeof key - 1;
    size_t used = strlen(names);

    if (strncmp(line, key, sizeof key - 1) != 0)
        return;
    name += strspn(name, " \t");
    if (strcmp(gpus->last, name) != 0)
        snprintf(names + used, sizeof gpus->facts->gpu_name - used, "%s%s", used ? ", " : "", name);
    snprintf(gpus->last, sizeof gpus->last, "%s", name);
}

static int take_gpu(void *context, const char *entry)
{
    struct gpus *gpus = context;
    char path[128];

    snprintf(path, sizeof path, NVIDIA "/%.40s/information", entry);
    if (jp_lines(gpus->site, path, read_gpu_line, gpus) >= 0)
        gpus->count++;
    return 0;
}

// Cards in any machine; a board's profile knows what it has itself.
static void read_gpus(const struct jp_site *site, struct jp_facts *facts)
{
    struct gpus gpus = {.site = site, .facts = facts};

    if (facts->gpu_count >= 0)
        return;
    jp_site_list(site, NVIDIA, take_gpu, &gpus);
    if (gpus.count > 0)
        facts->gpu_count = gpus.count;
}

static void read_board(const struct jp_site *site, const struct jp_board *board, struct jp_facts *facts)
{
    char own[JP_TEXT_MAX];
    const char *name = board->name;

    // A profile that matches everything does not know the board's name; the machine may.
    if (board->matches == 0 && board->builtin &&
        (jp_site_read(site, "/proc/device-tree/model", own, sizeof own) > 0 ||
         jp_site_read(site, "/sys/class/dmi/id/product_name", own, sizeof own) > 0) &&
        own[0])
        name = own;
    snprintf(facts->board_id, sizeof facts->board_id, "%s", board->id);
    snprintf(facts->board_name, sizeof facts->board_name, "%s", name);
    jp_board_module(board, site, facts->ram_bytes, facts->module, sizeof facts->module);
    snprintf(facts->soc, sizeof facts->soc, "%s", board->soc);
    facts->board_verified = board->verified;
    facts->gpu_count = board->gpu.count;
    snprintf(facts->gpu_name, sizeof facts->gpu_name, "%s", board->gpu.name);
}

void jp_facts_read(const struct jp_site *site, struct jp_plan *plan)
{
    struct jp_facts *facts = &plan->run.facts;
    struct jp_cpus cpus;

    memset(facts, 0, sizeof *facts);
    jp_lines(site, "/proc/meminfo", read_memory_line, &facts->ram_bytes);
    read_board(site, &plan->board, facts);
    read_gpus(site, facts);
    jp_facts_cpus(site, &cpus);
    facts->cpu_count = cpus.present;
    memcpy(facts->cpu_model, cpus.cores[0] ? cpus.cores : cpus.model, sizeof facts->cpu_model);
    if (jp_lines(site, "/etc/os-release", read_release_line, facts) < 0)
        jp_lines(site, "/usr/lib/os-release", read_release_line, facts);
    read_l4t(site, facts);
    plan->power_mode = jp_power_mode_id(site);
    jp_power_mode_name(site, &plan->board, plan->power_mode, facts->power_mode);
}

// Source: jetson_stats jtop/core/jetson_variables.py. Left out is what it gives to more than one JetPack
// (28.2.1, 24.2.1, ...).
const char *jp_facts_jetpack(const char *l4t)
{
    static const struct {
        const char *l4t, *jetpack;
    } table[] = {
        {"39.2.0", "7.2"},        {"39.0.0", "7.2 EA"}, {"38.4.0", "7.1"},      {"38.2.2", "7.0"},
        {"38.2.1", "7.0"},        {"38.2.0", "7.0"},    {"36.5.0", "6.2.2"},    {"36.4.7", "6.2.1"},
        {"36.4.4", "6.2.1"},      {"36.4.3", "6.2"},    {"36.4.2", "6.1"},      {"36.4.0", "6.1"},
        {"36.3.0", "6.0"},        {"36.2.0", "6.0 DP"}, {"36.0.0", "6.0 EA"},   {"35.6.4", "5.1.6"},
        {"35.6.3", "5.1.5"},      {"35.6.2", "5.1.5"},  {"35.6.1", "5.1.5"},    {"35.6.0", "5.1.4"},
        {"35.5.0", "5.1.3"},      {"35.4.1", "5.1.2"},  {"35.3.1", "5.1.1"},    {"35.3.0", "5.1.1 PRE"},
        {"35.2.1", "5.1"},        {"35.1.0", "5.0.2"},  {"34.1.1", "5.0.1 DP"}, {"34.1.0", "5.0 DP"},
        {"34.0.1", "5.0 PRE-DP"}, {"32.7.6", "4.6.6"},  {"32.7.5", "4.6.5"},    {"32.7.4", "4.6.4"},
        {"32.7.3", "4.6.3"},      {"32.7.2", "4.6.2"},  {"32.7.1", "4.6.1"},    {"32.6.1", "4.6"},
        {"32.5.2", "4.5.1"},      {"32.5.1", "4.5.1"},  {"32.5.0", "4.5"},      {"32.4.4", "4.4.1"},
        {"32.4.3", "4.4"},        {"32.4.2", "4.4 DP"}, {"32.3.1", "4.3"},      {"32.2.3", "4.2.3"},
        {"32.2.1", "4.2.2"},      {"32.2.0", "4.2.1"},  {"32.1.0", "4.2"},      {"31.1.0", "4.1.1"},
        {"31.0.2", "4.1"},        {"31.0.1", "4.0"},    {"28.4.0", "3.3.3"},    {"28.2.0", "3.2"},
        {"28.1.0", "3.1"},        {"27.1.0", "3.0"},    {"24.2.0", "2.3"},      {"23.2.0", "2.1"},
        {"23.1.0", "2.0"},        {"21.3.0", "1.1 DP"}, {"21.2.0", "1.0 DP"},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].l4t, l4t) == 0)
            return table[i].jetpack;
    return "";
}
