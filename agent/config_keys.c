// SPDX-License-Identifier: Apache-2.0
// The table of keys and the forms of their texts.
#include "config_keys.h"

#include "name.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) .at = offsetof(struct jp_config, field), .size = sizeof(((struct jp_config *)0)->field)
#define IN(type, field) .at = offsetof(struct type, field), .size = sizeof(((struct type *)0)->field)
#define ITEMS(field, count)                                                                                            \
    .at = offsetof(struct jp_config, field), .size = sizeof(((struct jp_config *)0)->field[0]),                        \
    .limit = sizeof(((struct jp_config *)0)->field) / sizeof(((struct jp_config *)0)->field[0]),                       \
    .count_at = offsetof(struct jp_config, count)

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

static bool is_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static bool is_topic(const char *text)
{
    size_t size = strlen(text);

    if (size == 0 || text[0] == '/' || text[0] == '$' || text[size - 1] == '/' || strstr(text, "//"))
        return false;
    return is_line(text) && !strpbrk(text, "+#");
}

static bool is_port(const char *text, size_t size)
{
    char *end;
    long port;

    if (size == 0 || size > 5 || strspn(text, "0123456789") < size)
        return false;
    port = strtol(text, &end, 10);
    return end == text + size && port >= 1 && port <= 65535;
}

// SCHEME://HOST[:PORT][/PATH], a numeric IPv6 host in brackets; a path only over WebSocket, no user part.
static bool is_url(const char *text)
{
    static const char *const schemes[] = {"mqtt://", "mqtts://", "ws://", "wss://"};
    const char *host = NULL, *end, *path;
    bool web = false;

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0) {
            host = text + strlen(schemes[i]);
            web = schemes[i][0] == 'w';
        }
    if (!host || !is_line(host) || strpbrk(host, " @?#\"\\"))
        return false;
    path = host + strcspn(host, "/");
    if (*path && !web && path[1])
        return false;
    if (*host == '[') {
        end = host + strspn(host + 1, "0123456789abcdefABCDEF:.") + 1;
        if (*end != ']' || end == host + 1)
            return false;
        end++;
    } else {
        end = host + strcspn(host, ":/");
        if (end == host)
            return false;
    }
    return end == path || (*end == ':' && is_port(end + 1, (size_t)(path - end - 1)));
}

bool jp_form_ok(enum jp_key_form form, const char *text)
{
    size_t size = strlen(text);

    switch (form) {
    case JP_FORM_LINE:
        return is_line(text);
    case JP_FORM_NAME:
        return size > 0 && strspn(text, JP_NAME_LETTERS) == size;
    case JP_FORM_LABEL:
        return size > 0 && is_line(text) && !strpbrk(text, "\"\\");
    case JP_FORM_PATH:
        return text[0] == '/' && is_line(text);
    case JP_FORM_COUNTRY:
        return size == 3 && strspn(text, letters) == size;
    case JP_FORM_LEVEL:
        return is_topic(text) && !strchr(text, '/');
    case JP_FORM_TOPIC:
        return is_topic(text);
    case JP_FORM_URL:
        return is_url(text);
    }
    return false;
}

const char *jp_form_allowed(enum jp_key_form form)
{
    static const char *const allowed[] = {
        [JP_FORM_LINE] = "text without control characters",
        [JP_FORM_NAME] = "letters, digits and _ . -",
        [JP_FORM_LABEL] = "a number, or a name without quotes, backslashes and control characters",
        [JP_FORM_PATH] = "an absolute path",
        [JP_FORM_COUNTRY] = "three letters of ISO 3166 (FRA, DEU, USA, ...)",
        [JP_FORM_LEVEL] = "text without + # / and control characters",
        [JP_FORM_TOPIC] = "topic levels between slashes, without + and #, not beginning with $",
        [JP_FORM_URL] = "mqtt://HOST[:PORT], mqtts://HOST[:PORT], ws://HOST[:PORT][/PATH], wss://HOST[:PORT][/PATH]",
    };

    return allowed[form];
}

static const char *const column_words[] = {"mv", "ma", "peak_mw", NULL}; // the bits of enum jp_column
static const char *const keep_words[] = {"unsent", "all", NULL};
static const char *const format_words[] = {"cbor", "json", NULL};         // enum jp_records_format
static const char *const release_words[] = {"broker", "collector", NULL}; // enum jp_release
static const char *const command_words[] = {"task", NULL};
static const char *const use_words[] = {"marker", "alert", "led", NULL};
static const char *const level_words[] = {"error", "warning", "info", "debug", NULL}; // enum jp_log_level

static const struct jp_key calibration_fields[] = {
    {"channel", JP_KEY_TEXT, IN(jp_calibration, channel), .form = JP_FORM_NAME, .required = true},
    {"scale", JP_KEY_REAL, IN(jp_calibration, scale), .min = 0.001, .max = 1000, .number = 1},
    {"offset_mw", JP_KEY_MILLI, IN(jp_calibration, offset_uw), .min = -1e6, .max = 1e6},
    {.path = NULL},
};

static const struct jp_key mix_fields[] = {
    {"source", JP_KEY_TEXT, IN(jp_mix_part, source), .form = JP_FORM_NAME, .required = true},
    {"share", JP_KEY_REAL, IN(jp_mix_part, share), .min = 0, .max = 1, .required = true},
    {"g_per_kwh", JP_KEY_REAL, IN(jp_mix_part, g_per_kwh), .min = 0, .max = 10000, .number = -1, .unset = "table"},
    {.path = NULL},
};

static const struct jp_key gpio_fields[] = {
    {"chip", JP_KEY_ID, IN(jp_gpio, chip), .min = 0, .max = 1023, .form = JP_FORM_LABEL, .required = true},
    {"line", JP_KEY_ID, IN(jp_gpio, line), .min = 0, .max = 1023, .form = JP_FORM_LABEL, .required = true},
    {"use", JP_KEY_TEXT, IN(jp_gpio, use), .words = use_words, .required = true},
    {"task", JP_KEY_TEXT, IN(jp_gpio, task), .form = JP_FORM_NAME, .unset = "none"},
    {"active_low", JP_KEY_BOOL, IN(jp_gpio, active_low)},
    {.path = NULL},
};

const struct jp_key jp_keys[] = {
    {"device.name", JP_KEY_TEXT, AT(device_name), .form = JP_FORM_NAME, .unset = "hash of machine id and serial"},
    {"board.name", JP_KEY_TEXT, AT(board_name), .form = JP_FORM_NAME, .automatic = true, .unset = "auto"},
    {"board.dir", JP_KEY_TEXT, AT(board_dir), .form = JP_FORM_PATH, .text = "/etc/joulepost/boards.d"},
    {"drivers", JP_KEY_NAMES, ITEMS(drivers, driver_count), .form = JP_FORM_NAME, .automatic = true},
    {"user", JP_KEY_TEXT, AT(user), .form = JP_FORM_NAME, .text = "joulepost"},

    {"sampling.interval_ms", JP_KEY_INT, AT(sampling.interval_ms), JP_INTERVAL_MIN_MS, JP_INTERVAL_MAX_MS,
     .number = 200},
    {"sampling.window_ms", JP_KEY_INT, AT(sampling.window_ms), JP_WINDOW_MIN_MS, JP_WINDOW_MAX_MS, .number = 1000},
    {"sampling.block_windows", JP_KEY_INT, AT(sampling.block_windows), 1, JP_BLOCK_WINDOWS_MAX, .number = 30},
    {"sampling.hw_average", JP_KEY_BOOL, AT(sampling.hw_average)},
    {"sampling.columns", JP_KEY_BITS, AT(sampling.columns), .words = column_words},

    {"location.country", JP_KEY_TEXT, AT(location.country), .form = JP_FORM_COUNTRY, .unset = "none"},
    {"location.region", JP_KEY_TEXT, AT(location.region), .form = JP_FORM_LINE, .unset = "none"},
    {"location.intensity_g_per_kwh", JP_KEY_REAL, AT(location.intensity_g_per_kwh), 0, 10000, .number = -1,
     .unset = "none"},
    {"location.mix", JP_KEY_LIST, ITEMS(location.mix, location.mix_count), .fields = mix_fields, .pairs = true},
    {"location.zone", JP_KEY_TEXT, AT(location.zone), .form = JP_FORM_LEVEL, .unset = "none"},
    {"location.pue", JP_KEY_REAL, AT(location.pue), 1, 100, .number = 1},
    {"location.wue", JP_KEY_REAL, AT(location.wue), 0, 1000},
    {"location.latitude", JP_KEY_REAL, AT(location.latitude), -90, 90, .number = NAN, .unset = "none"},
    {"location.longitude", JP_KEY_REAL, AT(location.longitude), -180, 180, .number = NAN, .unset = "none"},

    {"calibration", JP_KEY_LIST, ITEMS(calibrations, calibration_count), .fields = calibration_fields},
    {"energy.adopt_retained", JP_KEY_BOOL, AT(adopt_retained)},

    {"paths.hot", JP_KEY_TEXT, AT(paths_hot), .form = JP_FORM_PATH, .text = "/run/joulepost"},
    {"paths.spool", JP_KEY_TEXT, AT(paths_spool), .form = JP_FORM_PATH, .text = "/var/lib/joulepost"},
    {"hot.max_bytes", JP_KEY_INT64, AT(hot_max_bytes), 65536, 1073741824, .number = 1048576},
    {"spool.max_bytes", JP_KEY_INT64, AT(spool.max_bytes), 1048576, 1099511627776, .number = 67108864},
    {"spool.keep", JP_KEY_SWITCH, AT(spool.keep_all), .words = keep_words},
    {"spool.keep_days", JP_KEY_INT, AT(spool.keep_days), 0, 36500},
    {"spool.checkpoint_s", JP_KEY_INT, AT(spool.checkpoint_s), 1, 86400, .number = 3600},

    {"mqtt.url", JP_KEY_TEXT, AT(mqtt.url), .form = JP_FORM_URL, .unset = "none: a logger"},
    {"mqtt.version", JP_KEY_VERSION, AT(mqtt.version), .number = 5},
    {"mqtt.client_id", JP_KEY_TEXT, AT(mqtt.client_id), .form = JP_FORM_LINE, .unset = "joulepost-<device>"},
    {"mqtt.keepalive_s", JP_KEY_INT, AT(mqtt.keepalive_s), 1, 65535, .number = 60},
    {"mqtt.username", JP_KEY_TEXT, AT(mqtt.username), .form = JP_FORM_LINE, .unset = "none"},
    {"mqtt.password_file", JP_KEY_TEXT, AT(mqtt.password_file), .form = JP_FORM_PATH, .unset = "none"},
    {"mqtt.ca_file", JP_KEY_TEXT, AT(mqtt.ca_file), .form = JP_FORM_PATH, .unset = "none"},
    {"mqtt.cert_file", JP_KEY_TEXT, AT(mqtt.cert_file), .form = JP_FORM_PATH, .unset = "none"},
    {"mqtt.key_file", JP_KEY_TEXT, AT(mqtt.key_file), .form = JP_FORM_PATH, .unset = "none"},
    {"mqtt.root", JP_KEY_TEXT, AT(mqtt.root), .form = JP_FORM_TOPIC, .text = "joulepost/1"},
    {"mqtt.format", JP_KEY_WORD, AT(mqtt.format), .words = format_words},
    {"mqtt.live_s", JP_KEY_INT, AT(mqtt.live_s), 1, 86400, .number = 10},
    {"mqtt.status_s", JP_KEY_INT, AT(mqtt.status_s), 1, 86400, .number = 300},
    {"mqtt.release", JP_KEY_WORD, AT(mqtt.release), .words = release_words},
    {"mqtt.ack_timeout_s", JP_KEY_INT, AT(mqtt.ack_timeout_s), 1, 3600, .number = 10},
    {"mqtt.retry_max_s", JP_KEY_INT, AT(mqtt.retry_max_s), 1, 86400, .number = 300},
    {"mqtt.backlog_blocks_per_s", JP_KEY_INT, AT(mqtt.backlog_blocks_per_s), 0, 1000000},
    {"mqtt.commands", JP_KEY_NAMES, ITEMS(mqtt.commands, mqtt.command_count), .words = command_words},

    {.path = "boamps", .type = JP_KEY_BOAMPS},
    {"prometheus.file", JP_KEY_TEXT, AT(prometheus_file), .form = JP_FORM_PATH, .unset = "none"},
    {"gpio", JP_KEY_LIST, ITEMS(gpio, gpio_count), .fields = gpio_fields},
    {"log.level", JP_KEY_WORD, AT(log_level), .words = level_words, .number = 2},
    {.path = NULL},
};

static_assert(sizeof(enum jp_release) == sizeof(int) && sizeof(enum jp_records_format) == sizeof(int),
              "a WORD is stored as an int");
