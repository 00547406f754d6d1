// SPDX-License-Identifier: Apache-2.0
// Finds the integrated GPU among the devices with a devfreq governor.
#include "gpu_node.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct search {
    const struct jp_site *site;
    const char *file;
    struct jp_found *found;
    int count;
};

// Source of the names: jetson_stats jtop/core/gpu.py.
bool jp_gpu_node_is_gpu(const char *name)
{
    static const char *const parts[] = {"gpu", "gp10b", "gv11b", "ga10b", "gb10b"};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(name, parts[i]))
            return true;
    return false;
}

static void take_file(struct search *search, const char *path)
{
    int fd = jp_site_open(search->site, path);

    if (fd < 0)
        return;
    close(fd);
    search->found[0] = (struct jp_found){.param = 0};
    snprintf(search->found[0].path, sizeof search->found[0].path, "%s", path);
    search->count = 1;
}

static int take_devfreq(void *context, const char *name)
{
    struct search *search = context;
    char path[200], node[64];

    snprintf(path, sizeof path, "/sys/class/devfreq/%.100s/device/of_node/name", name);
    if (jp_site_read(search->site, path, node, sizeof node) < 0)
        snprintf(node, sizeof node, "%.63s", name);
    if (!jp_gpu_node_is_gpu(node))
        return 0;
    snprintf(path, sizeof path, "/sys/class/devfreq/%.100s/%.40s", name, search->file);
    take_file(search, path);
    return search->count;
}

int jp_gpu_node_find(const struct jp_site *site, const char *file, const char *const *known, struct jp_found *found)
{
    struct search search = {.site = site, .file = file, .found = found};

    jp_site_list(site, "/sys/class/devfreq", take_devfreq, &search); // none: the known places remain
    for (int i = 0; known[i] && search.count == 0; i++)
        take_file(&search, known[i]);
    return search.count;
}
