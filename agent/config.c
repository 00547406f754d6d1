// SPDX-License-Identifier: Apache-2.0
// Loads the configuration file, and answers what follows from the configuration alone.
#define _GNU_SOURCE
#include "config.h"

#include "config_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#define PASSWORD_KEY "mqtt.password"

// Parses the reader's file into the initialised `file`. 0, -ENOENT or -EINVAL with the error filled.
static int parse(struct jp_config_reader *reader, config_t *file)
{
    char place[3 * JP_PATH_MAX];
    int rc = jp_config_text_read(reader);

    if (rc || config_read_string(file, jp_config_text(reader)))
        return rc;
    jp_config_place(reader, (unsigned)config_error_line(file), place, sizeof place);
    snprintf(reader->error, reader->error_size, "%s: %s, allowed: NAME = VALUE; or NAME = { ... };", place,
             config_error_text(file));
    return -EINVAL;
}

void jp_config_default(struct jp_config *config)
{
    memset(config, 0, sizeof *config);
    jp_config_defaults(jp_keys, config);
}

// "/a//b/./" is "/a/b": paths are compared as texts from here on.
static void tidy_path(char *path)
{
    size_t used = 0;

    for (const char *at = path; *at;) {
        size_t size = strcspn(at, "/");

        if (size > 0 && !(size == 1 && *at == '.')) {
            path[used++] = '/';
            memmove(path + used, at, size);
            used += size;
        }
        at += size + (at[size] == '/');
    }
    if (used == 0)
        path[used++] = '/';
    path[used] = '\0';
}

int jp_config_load(const char *path, struct jp_config *config, char *error, size_t error_size)
{
    struct jp_config_reader reader = {path, error, error_size, NULL};
    config_t file;
    int rc;

    jp_config_default(config);
    config_init(&file);
    rc = parse(&reader, &file);
    if (rc == 0)
        rc = jp_config_read_keys(&reader, config_root_setting(&file), config);
    tidy_path(config->paths_hot);
    tidy_path(config->paths_spool);
    if (rc == 0)
        rc = jp_config_check(&reader, &file, config);
    if (rc == 0)
        snprintf(config->path, sizeof config->path, "%s", path);
    config_destroy(&file);
    jp_config_text_free(&reader);
    return rc;
}

void jp_config_where(const struct jp_config *config, const char *key, char *out, size_t size)
{
    char unused[8];
    struct jp_config_reader reader = {config->path, unused, sizeof unused, NULL};
    const config_setting_t *setting;
    config_t file;

    config_init(&file);
    setting = parse(&reader, &file) == 0 ? config_lookup(&file, key) : NULL;
    jp_config_place(&reader, setting ? config_setting_source_line(setting) : 0, out, size);
    config_destroy(&file);
    jp_config_text_free(&reader);
}

int jp_config_secrets(const struct jp_config *config, char *error, size_t error_size)
{
    const struct {
        const char *key, *path;
    } files[] = {
        {"mqtt.password_file", config->mqtt.password_file},
        {"mqtt.ca_file", config->mqtt.ca_file},
        {"mqtt.cert_file", config->mqtt.cert_file},
        {"mqtt.key_file", config->mqtt.key_file},
    };
    char place[3 * JP_PATH_MAX], password[256];
    const char *pem;
    int rc;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (!files[i].path[0])
            continue;
        rc = access(files[i].path, R_OK) ? -errno : 0;
        if (rc == 0 && i == 0)
            rc = jp_config_password(config, password, sizeof password);
        explicit_bzero(password, sizeof password);
        pem = rc ? NULL : jp_config_pem_problem(config, files[i].key);
        if (rc == 0 && !pem)
            continue;
        jp_config_where(config, files[i].key, place, sizeof place);
        if (pem)
            snprintf(error, error_size, "%s: %s: %s %s", place, files[i].key, files[i].path, pem);
        else
            snprintf(error, error_size, "%s: %s: %s %s, allowed: a file that user %u can read%s", place, files[i].key,
                     files[i].path, rc == -ENODATA ? "is empty" : strerror(-rc), (unsigned)geteuid(),
                     i == 0 ? ", the password in its first line" : "");
        return -EINVAL;
    }
    return 0;
}

int jp_config_password(const struct jp_config *config, char *out, size_t size)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    char path[2 * JP_PATH_MAX];
    size_t used;
    ssize_t n;
    int fd, rc = 0;

    if (config->mqtt.password_file[0])
        snprintf(path, sizeof path, "%s", config->mqtt.password_file);
    else if (!folder || snprintf(path, sizeof path, "%s/" PASSWORD_KEY, folder) >= (int)sizeof path)
        return -ENOENT;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, out, size);
    if (n < 0)
        rc = -errno;
    close(fd);
    if (rc)
        return rc;
    for (used = 0; used < (size_t)n && out[used] != '\n';)
        used++;
    if (used > 0 && out[used - 1] == '\r')
        used--;
    if (used >= size)
        return -EMSGSIZE;
    out[used] = '\0';
    return used ? 0 : -ENODATA;
}

double jp_config_loss_window_s(const struct jp_config *config)
{
    return config->sampling.block_windows * (config->sampling.window_ms / 1000.0) + config->mqtt.ack_timeout_s;
}

static void factor_from_row(struct jp_factor *factor, const struct jp_grid_row *row)
{
    factor->known = true;
    factor->g_per_kwh = row->g_per_kwh;
    snprintf(factor->source, sizeof factor->source, "%s %s", row->source, row->region[0] ? row->region : row->iso3);
    snprintf(factor->valid_from, sizeof factor->valid_from, "%d", row->year);
}

void jp_config_factor(const struct jp_config *config, struct jp_factor *factor)
{
    const struct jp_grid_row *row = NULL;

    memset(factor, 0, sizeof *factor);
    if (config->location.intensity_g_per_kwh >= 0) {
        factor->known = true;
        factor->g_per_kwh = config->location.intensity_g_per_kwh;
        snprintf(factor->source, sizeof factor->source, "configured");
        return;
    }
    if (config->location.mix_count > 0 &&
        jp_grid_mix(config->location.mix, config->location.mix_count, &factor->g_per_kwh) == 0) {
        factor->known = true;
        snprintf(factor->source, sizeof factor->source, "mix");
        return;
    }
    if (config->location.region[0])
        row = jp_grid_find(config->location.country, config->location.region);
    if (!row && config->location.country[0])
        row = jp_grid_find(config->location.country, NULL);
    if (row)
        factor_from_row(factor, row);
}
