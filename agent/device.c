// SPDX-License-Identifier: Apache-2.0
// The device's name: what everybody may read and no two machines share.
#define _GNU_SOURCE
#include "discover.h"

#include <openssl/evp.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int hash_name(const char *text, size_t length, char *out, size_t size)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    if (size < 17 || EVP_Digest(text, length, digest, NULL, EVP_sha256(), NULL) != 1)
        return -EINVAL;
    for (int i = 0; i < 8; i++)
        snprintf(out + i * 2, size - (size_t)i * 2, "%02x", digest[i]);
    return 0;
}

struct card {
    const struct jp_site *site;
    char address[32];
};

// Cards with an address of their own, not those of software: the smallest address, names may change.
static int look_at_card(void *context, const char *name)
{
    struct card *card = context;
    char path[300], text[64], address[32];
    int64_t assigned;

    snprintf(path, sizeof path, "/sys/class/net/%s/device", name);
    if (jp_site_link(card->site, path, text, sizeof text) != 0)
        return 0;
    snprintf(path, sizeof path, "/sys/class/net/%s/addr_assign_type", name);
    if (jp_site_read_i64(card->site, path, &assigned) != 0 || assigned != 0)
        return 0;
    snprintf(path, sizeof path, "/sys/class/net/%s/address", name);
    if (jp_site_read(card->site, path, address, sizeof address) <= 0 || strspn(address, "0:") == strlen(address))
        return 0;
    if (!card->address[0] || strcmp(address, card->address) < 0)
        memcpy(card->address, address, sizeof address);
    return 0;
}

static void read_machine_id(const struct jp_site *site, char *out, size_t size)
{
    if (jp_site_read(site, "/etc/machine-id", out, size) < 0 || strcmp(out, "uninitialized") == 0)
        out[0] = '\0';
}

int jp_device_name(const struct jp_site *site, const struct jp_config *config, char *out, size_t size)
{
    char machine[128], serial[128], text[300];
    struct card card = {.site = site};
    int length, rc = 0;

    if (config->device_name[0]) {
        if (strlen(config->device_name) >= size)
            return -ENAMETOOLONG;
        memcpy(out, config->device_name, strlen(config->device_name) + 1);
        return 0;
    }
    read_machine_id(site, machine, sizeof machine);
    if (jp_site_read(site, "/proc/device-tree/serial-number", serial, sizeof serial) < 0)
        serial[0] = '\0';
    if (machine[0] == '\0' && serial[0] == '\0') {
        jp_site_list(site, "/sys/class/net", look_at_card, &card);
        memcpy(machine, card.address, sizeof card.address);
    }
    if (machine[0] == '\0' && serial[0] == '\0') {
        // A tree's machine is not this one.
        if (site->root[0] || gethostname(machine, sizeof machine - 1) != 0 || machine[0] == '\0' ||
            strcmp(machine, "localhost") == 0)
            return -ENOENT;
        rc = 1;
    }
    length = snprintf(text, sizeof text, "%s\n%s", machine, serial);
    length = hash_name(text, (size_t)length, out, size);
    return length ? length : rc;
}

void jp_boot_id(char out[37])
{
    static const struct jp_site here = {.root = ""};
    char text[64]; // the file ends with a newline, which an exact buffer would not hold

    if (jp_site_read(&here, "/proc/sys/kernel/random/boot_id", text, sizeof text) < 0)
        text[0] = '\0';
    snprintf(out, 37, "%.36s", text);
}
