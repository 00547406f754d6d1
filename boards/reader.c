// SPDX-License-Identifier: Apache-2.0
// Strict reading of libconfig settings.
#include "reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void jp_reader_fail(struct jp_reader *reader, const config_setting_t *at, const char *format, ...)
{
    int used = 0;
    va_list args;

    if (reader->failed)
        return;
    reader->failed = true;
    if (at)
        used = snprintf(reader->error, reader->size, "%s:%u: ", reader->origin, config_setting_source_line(at));
    else
        used = snprintf(reader->error, reader->size, "%s:1: ", reader->origin);
    if (used < 0 || (size_t)used >= reader->size)
        return;
    va_start(args, format);
    vsnprintf(reader->error + used, reader->size - (size_t)used, format, args);
    va_end(args);
}

static bool in_list(const char *key, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(key, *list) == 0)
            return true;
    return false;
}

void jp_reader_keys(struct jp_reader *reader, const config_setting_t *group, const char *const *allowed)
{
    char list[256] = "";

    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *member = config_setting_get_elem(group, (unsigned)i);

        if (in_list(config_setting_name(member), allowed))
            continue;
        for (const char *const *key = allowed; *key; key++) {
            size_t used = strlen(list);

            snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", *key);
        }
        jp_reader_fail(reader, member, "unknown key \"%s\", allowed here: %s", config_setting_name(member), list);
        return;
    }
}

static bool copy_text(struct jp_reader *reader, const config_setting_t *setting, char *out, size_t size)
{
    const char *text = config_setting_get_string(setting);
    const char *name = config_setting_name(setting);

    if (!name)
        name = config_setting_name(config_setting_parent(setting));
    if (!text || strlen(text) >= size) {
        jp_reader_fail(reader, setting, "\"%s\" must be a text of at most %zu characters", name, size - 1);
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

bool jp_reader_text(struct jp_reader *reader, const config_setting_t *group, const char *key, char *out, size_t size)
{
    const config_setting_t *setting = config_setting_get_member(group, key);

    return setting && copy_text(reader, setting, out, size);
}

bool jp_reader_bool(struct jp_reader *reader, const config_setting_t *group, const char *key, bool *out)
{
    const config_setting_t *setting = config_setting_get_member(group, key);

    if (!setting)
        return false;
    if (config_setting_type(setting) != CONFIG_TYPE_BOOL) {
        jp_reader_fail(reader, setting, "\"%s\" must be true or false", key);
        return false;
    }
    *out = config_setting_get_bool(setting) != 0;
    return true;
}

bool jp_reader_int(struct jp_reader *reader, const config_setting_t *group, const char *key, int *out,
                   struct jp_reader_range range)
{
    const config_setting_t *setting = config_setting_get_member(group, key);
    int value;

    if (!setting)
        return false;
    value = config_setting_get_int(setting);
    if (config_setting_type(setting) != CONFIG_TYPE_INT || value < range.min || value > range.max) {
        jp_reader_fail(reader, setting, "\"%s\" must be a whole number from %d to %d", key, range.min, range.max);
        return false;
    }
    *out = value;
    return true;
}

static bool is_sequence(const config_setting_t *setting)
{
    return config_setting_is_list(setting) || config_setting_is_array(setting);
}

int jp_reader_texts(struct jp_reader *reader, const config_setting_t *group, const char *key,
                    struct jp_reader_rows rows)
{
    const config_setting_t *list = config_setting_get_member(group, key);
    int count;

    if (!list)
        return 0;
    count = config_setting_length(list);
    if (!is_sequence(list) || count > rows.max) {
        jp_reader_fail(reader, list, "\"%s\" must be a list of at most %d texts", key, rows.max);
        return 0;
    }
    for (int i = 0; i < count; i++)
        if (!copy_text(reader, config_setting_get_elem(list, (unsigned)i), rows.rows + (size_t)i * rows.width,
                       rows.width))
            return 0;
    return count;
}

const config_setting_t *jp_reader_groups(struct jp_reader *reader, const config_setting_t *group, const char *key,
                                         int max)
{
    const config_setting_t *list = config_setting_get_member(group, key);
    bool good;

    if (!list)
        return NULL;
    good = is_sequence(list) && config_setting_length(list) <= max;
    for (int i = 0; good && i < config_setting_length(list); i++)
        good = config_setting_is_group(config_setting_get_elem(list, (unsigned)i));
    if (good)
        return list;
    jp_reader_fail(reader, list, "\"%s\" must be a list of at most %d groups, ( { ... }, { ... } )", key, max);
    return NULL;
}

const config_setting_t *jp_reader_group(struct jp_reader *reader, const config_setting_t *group, const char *key)
{
    const config_setting_t *setting = config_setting_get_member(group, key);

    if (!setting || config_setting_is_group(setting))
        return setting;
    jp_reader_fail(reader, setting, "\"%s\" must be a group, { ... }", key);
    return NULL;
}
