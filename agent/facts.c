// SPDX-License-Identifier: Apache-2.0
// Reads what /proc, /etc and the board profile say about the machine.
#define _GNU_SOURCE
#include "facts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOCKETS_MAX 64

// Calls each(context, line) for the lines of a file, cut at 4,095 bytes. 0, or -errno.
static int each_line(const struct jp_site *site, const char *path, void (*each)(void *context, char *line),
                     void *context)
{
    int fd = jp_site_open(site, path);
    char line[4096];
    FILE *file;

    if (fd < 0)
        return fd;
    file = fdopen(fd, "r");
    if (!file) {
        close(fd);
        return -ENOMEM;
    }
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        each(context, line);
    }
    fclose(file);
    return 0;
}

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

struct cpus {
    int count, sockets;
    int ids[SOCKETS_MAX];
    char model[JP_TEXT_MAX];
};

static void add_socket(struct cpus *cpus, int id)
{
    for (int i = 0; i < cpus->sockets; i++)
        if (cpus->ids[i] == id)
            return;
    if (cpus->sockets < SOCKETS_MAX)
        cpus->ids[cpus->sockets++] = id;
}

static void read_cpu_line(void *context, char *line)
{
    struct cpus *cpus = context;
    char *value;

    if (value_of(line, "processor"))
        cpus->count++;
    else if ((value = value_of(line, "physical id")))
        add_socket(cpus, (int)strtol(value, NULL, 10));
    else if (cpus->model[0] == '\0' && (value = value_of(line, "model name")))
        snprintf(cpus->model, sizeof cpus->model, "%s", value);
}

static void read_cpus(const struct jp_site *site, struct cpus *cpus)
{
    memset(cpus, 0, sizeof *cpus);
    each_line(site, "/proc/cpuinfo", read_cpu_line, cpus);
}

int jp_facts_sockets(const struct jp_site *site)
{
    struct cpus cpus;

    read_cpus(site, &cpus);
    return cpus.sockets > 0 ? cpus.sockets : 1;
}

static void read_memory_line(void *context, char *line)
{
    int64_t *bytes = context;
    char *value = value_of(line, "MemTotal");

    if (value)
        *bytes = strtoll(value, NULL, 10) * 1024;
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

// "< POWER_MODEL ID=2 NAME=MODE_30W >"
struct mode {
    int id;
    char name[JP_NAME_MAX];
};

static void read_mode_line(void *context, char *line)
{
    struct mode *mode = context;
    char *at = strstr(line, "POWER_MODEL"), *id, *name;
    size_t length;

    if (!at || line[strspn(line, " \t")] != '<')
        return;
    id = strstr(at, "ID=");
    name = strstr(at, "NAME=");
    if (!id || !name || strtol(id + 3, NULL, 10) != mode->id)
        return;
    name += 5;
    length = strcspn(name, " \t>");
    snprintf(mode->name, sizeof mode->name, "%.*s", (int)length, name);
}

static void read_power_mode(const struct jp_site *site, const struct jp_board *board, struct jp_facts *facts)
{
    struct mode mode = {.name = ""};
    char text[256];

    if (jp_site_read(site, "/var/lib/nvpmodel/status", text, sizeof text) <= 0)
        return;
    if (strncmp(text, "pmode:", strlen("pmode:")) != 0 || !isdigit((unsigned char)text[strlen("pmode:")]))
        return;
    mode.id = (int)strtol(text + strlen("pmode:"), NULL, 10);
    // The machine's own table goes first: numbers differ between releases and module variants.
    if (each_line(site, "/etc/nvpmodel.conf", read_mode_line, &mode) < 0)
        for (int i = 0; i < board->power_mode_count; i++)
            if (board->power_modes[i].id == mode.id)
                snprintf(mode.name, sizeof mode.name, "%s", board->power_modes[i].name);
    snprintf(facts->power_mode, sizeof facts->power_mode, "%s", mode.name);
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
    struct cpus cpus;

    memset(facts, 0, sizeof *facts);
    each_line(site, "/proc/meminfo", read_memory_line, &facts->ram_bytes);
    read_board(site, &plan->board, facts);
    read_cpus(site, &cpus);
    facts->cpu_count = cpus.count;
    memcpy(facts->cpu_model, cpus.model, sizeof facts->cpu_model);
    if (each_line(site, "/etc/os-release", read_release_line, facts) < 0)
        each_line(site, "/usr/lib/os-release", read_release_line, facts);
    read_l4t(site, facts);
    read_power_mode(site, &plan->board, facts);
}

// Source: jetson_stats jtop/core/jetson_variables.py.
const char *jp_facts_jetpack(const char *l4t)
{
    static const struct {
        const char *l4t, *jetpack;
    } table[] = {
        {"39.2.0", "7.2"},   {"38.4.0", "7.1"},   {"38.2.0", "7.0"},   {"38.2.1", "7.0"},   {"38.2.2", "7.0"},
        {"36.5.0", "6.2.2"}, {"36.4.7", "6.2.1"}, {"36.4.4", "6.2.1"}, {"36.4.3", "6.2"},   {"36.4.0", "6.1"},
        {"36.3.0", "6.0"},   {"35.6.4", "5.1.6"}, {"35.4.1", "5.1.2"}, {"35.1.0", "5.0.2"}, {"32.7.6", "4.6.6"},
        {"32.7.1", "4.6.1"}, {"32.4.4", "4.4.1"},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].l4t, l4t) == 0)
            return table[i].jetpack;
    return "";
}
