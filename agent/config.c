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

#define FILE_MAX 1048576 // a configuration larger than this is a mistake
#define LINE_MAX_SIZE 12 // ":", ten digits, NUL
#define INCLUDE_DEPTH 10 // libconfig's own limit
#define PASSWORD_KEY "mqtt.password"

static int wrong_file(const struct jp_config_reader *reader, const char *path, const char *what)
{
    snprintf(reader->error, reader->error_size, "%s: %s", path, what);
    return -EINVAL;
}

// The file's text to free(), or NULL with the error filled and *rc set.
static char *read_text(const struct jp_config_reader *reader, const char *path, int *rc)
{
    static const char allowed[] = "allowed: a text file that can be read";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = NULL, what[160];
    size_t used = 0;
    ssize_t n = 0;
    struct stat st;

    if (fd < 0 || fstat(fd, &st) || S_ISDIR(st.st_mode)) {
        *rc = fd < 0 && errno == ENOENT ? -ENOENT : -EINVAL;
        snprintf(what, sizeof what, "%s, %s", fd < 0 ? strerror(errno) : "is a folder", allowed);
        wrong_file(reader, path, what);
        goto out;
    }
    text = malloc(FILE_MAX + 1);
    while (text && used <= FILE_MAX && (n = read(fd, text + used, FILE_MAX + 1 - used)) > 0)
        used += (size_t)n;
    if (!text || n < 0 || used > FILE_MAX || memchr(text, '\0', used)) {
        *rc = wrong_file(reader, path, "cannot be read as text of at most 1 MiB, allowed: a configuration file");
        free(text);
        text = NULL;
        goto out;
    }
    text[used] = '\0';
    *rc = 0;
out:
    if (fd >= 0)
        close(fd);
    return text;
}

// The parser ends the whole program when it is made to read a folder, so every @include is looked at first.
// Files that are not there are left to its own message, which knows the line.
static int check_includes(const struct jp_config_reader *reader, const char *dir, const char *text, int depth)
{
    char name[JP_PATH_MAX], path[2 * JP_PATH_MAX];
    struct stat st;
    char *inner;
    int rc = 0;

    for (const char *line = text; rc == 0 && line && depth < INCLUDE_DEPTH;
         line = (line = strchr(line, '\n')) ? line + 1 : NULL) {
        if (line[strspn(line, " \t")] != '@' || sscanf(line, " @include \"%511[^\"\n]\"", name) != 1)
            continue;
        snprintf(path, sizeof path, "%s%s%s", name[0] == '/' ? "" : dir, name[0] == '/' ? "" : "/", name);
        if (stat(path, &st))
            continue;
        if (!S_ISREG(st.st_mode))
            return wrong_file(reader, path, "cannot be included, allowed: a configuration file");
        inner = read_text(reader, path, &rc);
        if (inner)
            rc = check_includes(reader, dir, inner, depth + 1);
        free(inner);
    }
    return rc;
}

// Parses `path` into the initialised `file`. 0, -ENOENT or -EINVAL with the error filled.
static int parse(const struct jp_config_reader *reader, config_t *file)
{
    char dir[JP_PATH_MAX], place[2 * JP_PATH_MAX], *slash, *text;
    int rc;

    if (strlen(reader->path) >= sizeof dir)
        return wrong_file(reader, reader->path, "the path is too long, allowed: 511 characters");
    snprintf(dir, sizeof dir, "%s", reader->path);
    slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir ? 1 : 0] = '\0';
    else
        snprintf(dir, sizeof dir, ".");
    text = read_text(reader, reader->path, &rc);
    if (!text)
        return rc;
    rc = check_includes(reader, dir, text, 0);
    config_set_include_dir(file, dir);
    if (rc == 0 && !config_read_string(file, text)) {
        jp_config_file(reader, config_error_file(file), place, sizeof place);
        snprintf(reader->error, reader->error_size, "%s:%d: %s, allowed: NAME = VALUE; or NAME = { ... };", place,
                 config_error_line(file), config_error_text(file));
        rc = -EINVAL;
    }
    free(text);
    return rc;
}

void jp_config_default(struct jp_config *config)
{
    memset(config, 0, sizeof *config);
    jp_config_defaults(jp_keys, config);
}

int jp_config_load(const char *path, struct jp_config *config, char *error, size_t error_size)
{
    const struct jp_config_reader reader = {path, error, error_size};
    config_t file;
    int rc;

    jp_config_default(config);
    config_init(&file);
    rc = parse(&reader, &file);
    if (rc == 0)
        rc = jp_config_read_keys(&reader, config_root_setting(&file), config);
    if (rc == 0)
        rc = jp_config_check(&reader, &file, config);
    if (rc == 0)
        snprintf(config->path, sizeof config->path, "%s", path);
    config_destroy(&file);
    return rc;
}

// "FILE:LINE" of a key, as far as it can still be told.
static void tell_place(const struct jp_config *config, const char *key, char *out, size_t size)
{
    char unused[8];
    const struct jp_config_reader reader = {config->path, unused, sizeof unused};
    const config_setting_t *setting;
    config_t file;
    size_t used;

    config_init(&file);
    setting = parse(&reader, &file) == 0 ? config_lookup(&file, key) : NULL;
    jp_config_file(&reader, setting ? config_setting_source_file(setting) : NULL, out, size - LINE_MAX_SIZE);
    used = strlen(out);
    snprintf(out + used, size - used, ":%u", setting ? config_setting_source_line(setting) : 1);
    config_destroy(&file);
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
    char place[2 * JP_PATH_MAX], password[256];
    int rc;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (!files[i].path[0])
            continue;
        rc = access(files[i].path, R_OK) ? -errno : 0;
        if (rc == 0 && i == 0)
            rc = jp_config_password(config, password, sizeof password);
        explicit_bzero(password, sizeof password);
        if (rc == 0)
            continue;
        tell_place(config, files[i].key, place, sizeof place);
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
