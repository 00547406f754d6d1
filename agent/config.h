// SPDX-License-Identifier: Apache-2.0
// The configuration: one libconfig file, every key has a default, so an empty file works.
#ifndef JP_CONFIG_H
#define JP_CONFIG_H

#include "grid.h"
#include "limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JP_CONFIG_DEFAULT_PATH "/etc/joulepost/joulepost.conf"
#define JP_MIX_MAX 12
#define JP_CALIBRATIONS_MAX JP_CHANNELS_MAX
#define JP_GPIO_MAX 16

enum jp_release { JP_RELEASE_BROKER, JP_RELEASE_COLLECTOR };
enum jp_records_format { JP_RECORDS_CBOR, JP_RECORDS_JSON };

enum jp_column { JP_COLUMN_MV = 1, JP_COLUMN_MA = 2, JP_COLUMN_PEAK = 4 };

struct jp_calibration {
    char channel[JP_NAME_MAX];
    double scale;
    int64_t offset_uw;
};

struct jp_gpio {
    char chip[64], line[64]; // each a number or a name
    char use[8];             // "marker", "alert", "led"
    char task[JP_NAME_MAX];
    bool active_low;
};

// Texts are "" where the table says none. Durations carry their unit in the name.
struct jp_config {
    char path[JP_PATH_MAX]; // the file read, "" when the defaults alone apply
    char device_name[JP_DEVICE_MAX];
    char board_name[JP_NAME_MAX], board_dir[JP_PATH_MAX];
    char drivers[JP_SOURCES_MAX][24];
    int driver_count; // 0: auto
    char user[33];
    struct {
        int interval_ms, window_ms, block_windows;
        bool hw_average;
        unsigned columns; // enum jp_column bits
    } sampling;
    struct {
        char country[4], region[64], zone[64];
        double intensity_g_per_kwh; // < 0: not configured
        struct jp_mix_part mix[JP_MIX_MAX];
        int mix_count;
        double pue, wue;
        double latitude, longitude; // NaN: not configured
    } location;
    struct jp_calibration calibrations[JP_CALIBRATIONS_MAX];
    int calibration_count;
    bool adopt_retained;
    char paths_hot[JP_PATH_MAX], paths_spool[JP_PATH_MAX];
    int64_t hot_max_bytes;
    struct {
        int64_t max_bytes;
        bool keep_all;
        int keep_days, checkpoint_s;
    } spool;
    struct {
        char url[JP_PATH_MAX]; // "": logger
        int version;           // 5 or 4 (3.1.1); in the file 5 or "3.1.1"
        char client_id[JP_TOPIC_MAX], username[128];
        char password_file[JP_PATH_MAX], ca_file[JP_PATH_MAX], cert_file[JP_PATH_MAX], key_file[JP_PATH_MAX];
        char root[128];
        int keepalive_s, live_s, status_s, ack_timeout_s, retry_max_s, backlog_blocks_per_s;
        enum jp_records_format format;
        enum jp_release release;
        char commands[8][24];
        int command_count;
    } mqtt;
    char prometheus_file[JP_PATH_MAX];
    struct jp_gpio gpio[JP_GPIO_MAX];
    int gpio_count;
    int log_level; // enum jp_log_level
};

// Everything at its default.
void jp_config_default(struct jp_config *config);

// Reads `path` (with @include) over the defaults. 0; -EINVAL or -ENOENT with error filled:
// "FILE:LINE: what, and what is allowed". The files of mqtt are looked at (there, and secrets not for the
// world) but not opened; what this process may not look at is passed over. `config` is unusable after an error.
int jp_config_load(const char *path, struct jp_config *config, char *error, size_t error_size);

// "FILE:LINE" of a key of the file that was read, as far as it can still be told.
void jp_config_where(const struct jp_config *config, const char *key, char *out, size_t size);

// For whom they are meant (post, --check): whether this process can read the files of mqtt, and
// whether those of TLS hold what they should. 0, or -EINVAL with error filled as above.
int jp_config_secrets(const struct jp_config *config, char *error, size_t error_size);

// The password: mqtt.password_file's first line, or the systemd credential "mqtt.password".
// 0; -ENOENT when there is neither; -ENODATA when it is empty; -EMSGSIZE; other -errno.
int jp_config_password(const struct jp_config *config, char *out, size_t size);

// The effective configuration as a valid configuration file; secrets are file names only.
void jp_config_print(const struct jp_config *config, FILE *out);

// The seconds of data a power cut may take: block_windows x window_ms + ack_timeout_s.
double jp_config_loss_window_s(const struct jp_config *config);

#define JP_CONFIG_UNUSED_MAX 16
// Keys that are set to more than their default and that nothing in this version reads. Fills up to max
// (borrowed texts); their count.
int jp_config_unused(const struct jp_config *config, const char **keys, int max);

// The factor the configuration alone gives (configured value, mix, region, country; else unknown).
void jp_config_factor(const struct jp_config *config, struct jp_factor *factor);

#endif
