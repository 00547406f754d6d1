// SPDX-License-Identifier: Apache-2.0
// What no key alone can tell: combinations that cannot work, and files that must be there and private.
#include "config_keys.h"

#include "driver.h"
#include "grid.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

// A socket's address holds 107 characters; the longest name in paths.hot is "/control".
#define HOT_PATH_MAX 96

struct check {
    const struct jp_config_reader *reader;
    const config_t *file;
    const struct jp_config *config;
};

static const config_setting_t *at(const struct check *check, const char *path)
{
    return config_lookup(check->file, path);
}

static bool is_tls(const char *url)
{
    return strncmp(url, "mqtts:", 6) == 0 || strncmp(url, "wss:", 4) == 0;
}

static int check_drivers(const struct check *check)
{
    const struct jp_config *config = check->config;
    char names[256] = "";
    size_t used = 0;

    for (int i = 0; jp_drivers[i] && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", jp_drivers[i]->name);
    for (int i = 0; i < config->driver_count; i++)
        if (!jp_driver_by_name(config->drivers[i]))
            return jp_config_wrong(check->reader, at(check, "drivers"),
                                   "drivers: no driver %s in this build, allowed: %s", config->drivers[i], names);
    return 0;
}

static int check_sampling(const struct check *check)
{
    int interval = check->config->sampling.interval_ms, window = check->config->sampling.window_ms;
    const config_setting_t *setting = at(check, "sampling.interval_ms");

    if (interval > window)
        return jp_config_wrong(check->reader, setting ? setting : at(check, "sampling.window_ms"),
                               "sampling.interval_ms = %d leaves windows of %d ms without a sample, allowed: at most "
                               "sampling.window_ms",
                               interval, window);
    return 0;
}

static int check_location(const struct check *check)
{
    const struct jp_config *config = check->config;
    char names[256] = "";
    size_t used = 0;
    double g;
    int rc;

    if (config->location.region[0] && !config->location.country[0])
        return jp_config_wrong(check->reader, at(check, "location.region"),
                               "location.region without its country, allowed: set location.country too");
    if (isnan(config->location.latitude) != isnan(config->location.longitude))
        return jp_config_wrong(
            check->reader, at(check, isnan(config->location.latitude) ? "location.longitude" : "location.latitude"),
            "half of a position, allowed: both location.latitude and location.longitude, or neither");
    if (config->location.mix_count == 0)
        return 0;
    rc = jp_grid_mix(config->location.mix, config->location.mix_count, &g);
    if (rc == -EINVAL)
        return jp_config_wrong(check->reader, at(check, "location.mix"),
                               "the shares of location.mix do not add up to 1, allowed: a sum of 1 within 0.001");
    for (int i = 0; jp_grid_source_name(i) && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", jp_grid_source_name(i));
    if (rc)
        return jp_config_wrong(check->reader, at(check, "location.mix"),
                               "an unknown source in location.mix, allowed: %s, or any with its own g_per_kwh", names);
    return 0;
}

static bool is_inside(const char *path, const char *folder)
{
    size_t size = strlen(folder);

    return strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static bool climbs(const char *path)
{
    for (; *path; path += strcspn(path, "/")) {
        path += *path == '/';
        if (strncmp(path, "..", 2) == 0 && (path[2] == '/' || path[2] == '\0'))
            return true;
    }
    return false;
}

static bool same_folder(const char *one, const char *other)
{
    struct stat a, b;

    return is_inside(one, other) || is_inside(other, one) ||
           (stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

static int check_paths(const struct check *check)
{
    const struct {
        const char *key, *path;
    } paths[] = {{"paths.hot", check->config->paths_hot}, {"paths.spool", check->config->paths_spool}};
    const struct jp_config *config = check->config;

    for (size_t i = 0; i < 2; i++)
        if (paths[i].path[1] == '\0' || climbs(paths[i].path))
            return jp_config_wrong(check->reader, at(check, paths[i].key),
                                   "%s = \"%s\" is not possible, allowed: a folder of its own, without ..",
                                   paths[i].key, paths[i].path);

    if (strlen(config->paths_hot) > HOT_PATH_MAX)
        return jp_config_wrong(check->reader, at(check, "paths.hot"),
                               "paths.hot is too long for the sockets in it, allowed: %d characters", HOT_PATH_MAX);
    if (same_folder(config->paths_hot, config->paths_spool))
        return jp_config_wrong(
            check->reader, at(check, at(check, "paths.spool") ? "paths.spool" : "paths.hot"),
            "paths.hot and paths.spool are the same, or one is inside the other, allowed: two folders");
    return 0;
}

static int check_mqtt(const struct check *check)
{
    static const char *const tls_keys[] = {"mqtt.ca_file", "mqtt.cert_file", "mqtt.key_file"};
    const struct jp_config *config = check->config;
    const char *tls_files[] = {config->mqtt.ca_file, config->mqtt.cert_file, config->mqtt.key_file};

    if (config->mqtt.url[0] && !JOULEPOST_HAS_MQTT)
        return jp_config_wrong(check->reader, at(check, "mqtt.url"),
                               "this joulepost was built without MQTT, allowed: no mqtt.url");
    if (config->mqtt.password_file[0] && !config->mqtt.username[0])
        return jp_config_wrong(check->reader, at(check, "mqtt.password_file"),
                               "mqtt.password_file without a user, allowed: set mqtt.username too");
    if (!config->mqtt.cert_file[0] != !config->mqtt.key_file[0])
        return jp_config_wrong(
            check->reader, at(check, config->mqtt.cert_file[0] ? "mqtt.cert_file" : "mqtt.key_file"),
            "half of a client's identity, allowed: both mqtt.cert_file and mqtt.key_file, or neither");
    for (size_t i = 0; i < 3 && config->mqtt.url[0] && !is_tls(config->mqtt.url); i++)
        if (tls_files[i][0])
            return jp_config_wrong(check->reader, at(check, tls_keys[i]),
                                   "%s with a mqtt.url that is not encrypted, allowed: mqtts:// or wss://",
                                   tls_keys[i]);
    return 0;
}

static int check_calibration(const struct check *check)
{
    const struct jp_config *config = check->config;

    for (int i = 0; i < config->calibration_count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(config->calibrations[i].channel, config->calibrations[j].channel) == 0)
                return jp_config_wrong(check->reader, at(check, "calibration"),
                                       "calibration names %s twice, allowed: one entry a channel",
                                       config->calibrations[i].channel);
    return 0;
}

static int check_gpio(const struct check *check)
{
    const struct jp_config *config = check->config;

    for (int i = 0; i < config->gpio_count; i++) {
        const struct jp_gpio *gpio = &config->gpio[i];

        if (strcmp(gpio->use, "marker") == 0 && !gpio->task[0])
            return jp_config_wrong(check->reader, at(check, "gpio"),
                                   "a marker of gpio has no task, allowed: task = \"NAME\"");
        if (strcmp(gpio->use, "marker") != 0 && gpio->task[0])
            return jp_config_wrong(check->reader, at(check, "gpio"), "a gpio of use %s has a task, allowed: no task",
                                   gpio->use);
        for (int j = 0; j < i; j++)
            if (strcmp(gpio->line, config->gpio[j].line) == 0 && strcmp(gpio->chip, config->gpio[j].chip) == 0)
                return jp_config_wrong(check->reader, at(check, "gpio"),
                                       "gpio names line %s of %s twice, allowed: one use a line", gpio->line,
                                       gpio->chip);
            else if (gpio->task[0] && strcmp(gpio->task, config->gpio[j].task) == 0)
                return jp_config_wrong(check->reader, at(check, "gpio"),
                                       "two lines of gpio mark the task %s, allowed: one line a task", gpio->task);
    }
    return 0;
}

static const char *file_problem(const char *path, bool secret)
{
    struct stat st;

    // Who may not even look there is not the half that will read it (meter, probe): no verdict.
    if (stat(path, &st))
        return errno == EACCES ? NULL : "is not there, allowed: a file that can be read";
    if (!S_ISREG(st.st_mode))
        return "is not a file, allowed: a file that can be read";
    if (secret && (st.st_mode & (S_IROTH | S_IWOTH)))
        return "is open to everybody, allowed: mode 0640 or less (chmod o= FILE)";
    return NULL;
}

static int check_files(const struct check *check)
{
    const struct {
        const char *key, *path;
        bool secret;
    } files[] = {
        {"mqtt.password_file", check->config->mqtt.password_file, true},
        {"mqtt.ca_file", check->config->mqtt.ca_file, false},
        {"mqtt.cert_file", check->config->mqtt.cert_file, false},
        {"mqtt.key_file", check->config->mqtt.key_file, true},
    };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *problem = files[i].path[0] ? file_problem(files[i].path, files[i].secret) : NULL;

        if (problem)
            return jp_config_wrong(check->reader, at(check, files[i].key), "%s: %s %s", files[i].key, files[i].path,
                                   problem);
    }
    return 0;
}

int jp_config_check(const struct jp_config_reader *reader, const config_t *file, const struct jp_config *config)
{
    static int (*const checks[])(const struct check *check) = {check_drivers, check_sampling, check_location,
                                                               check_paths,   check_mqtt,     check_calibration,
                                                               check_gpio,    check_files};
    const struct check check = {reader, file, config};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof checks / sizeof checks[0]; i++)
        rc = checks[i](&check);
    return rc;
}
