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

int jp_device_name(const struct jp_site *site, const struct jp_config *config, char *out, size_t size)
{
    char machine[128] = "", serial[128] = "", text[300];
    int length;

    if (config->device_name[0]) {
        if (strlen(config->device_name) >= size)
            return -ENAMETOOLONG;
        memcpy(out, config->device_name, strlen(config->device_name) + 1);
        return 0;
    }
    if (jp_site_read(site, "/etc/machine-id", machine, sizeof machine) < 0)
        machine[0] = '\0';
    if (jp_site_read(site, "/proc/device-tree/serial-number", serial, sizeof serial) < 0)
        serial[0] = '\0';
    if (machine[0] == '\0' && serial[0] == '\0') {
        if (gethostname(machine, sizeof machine - 1) != 0 || machine[0] == '\0')
            return -ENOENT;
    }
    length = snprintf(text, sizeof text, "%s\n%s", machine, serial);
    return hash_name(text, (size_t)length, out, size);
}
