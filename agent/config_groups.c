// SPDX-License-Identifier: Apache-2.0
// Walks the groups of a configuration file: known keys are read, others are named with what is allowed.
#include "config_keys.h"

#include <errno.h>
#include <string.h>

#define ALLOWED_MAX 512

void jp_config_defaults(const struct jp_key *keys, void *base)
{
    for (const struct jp_key *key = keys; key->path; key++) {
        void *out = (char *)base + key->at;

        switch (key->type) {
        case JP_KEY_TEXT:
        case JP_KEY_ID:
            snprintf(out, key->size, "%s", key->text ? key->text : "");
            break;
        case JP_KEY_INT:
        case JP_KEY_WORD:
        case JP_KEY_VERSION:
            *(int *)out = (int)key->number;
            break;
        case JP_KEY_INT64:
            *(int64_t *)out = (int64_t)key->number;
            break;
        case JP_KEY_MILLI:
            *(int64_t *)out = (int64_t)(key->number * 1000);
            break;
        case JP_KEY_REAL:
            *(double *)out = key->number;
            break;
        case JP_KEY_BOOL:
        case JP_KEY_SWITCH:
            *(bool *)out = key->number != 0;
            break;
        case JP_KEY_BITS:
            *(unsigned *)out = 0;
            break;
        case JP_KEY_NAMES:
        case JP_KEY_LIST:
            *(int *)(void *)((char *)base + key->count_at) = 0;
            break;
        case JP_KEY_BOAMPS:
            break;
        }
    }
}

static const struct jp_key *find_field(const struct jp_key *fields, const char *name)
{
    for (; fields->path; fields++)
        if (strcmp(fields->path, name) == 0)
            return fields;
    return NULL;
}

static void list_fields(const struct jp_key *fields, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (; fields->path && used < size; fields++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", fields->path);
}

// One group of a list: its fields, those that are required, and no other.
static int read_group(const struct jp_config_reader *reader, const struct jp_key *list, const config_setting_t *group,
                      void *base)
{
    char allowed[ALLOWED_MAX];
    int rc;

    list_fields(list->fields, allowed, sizeof allowed);
    if (config_setting_type(group) != CONFIG_TYPE_GROUP)
        return jp_config_wrong(reader, group, "an entry of %s is not a group, allowed: {...} with %s", list->path,
                               allowed);
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const struct jp_key *field = find_field(list->fields, config_setting_name(setting));

        if (!field)
            return jp_config_wrong(reader, setting, "unknown key %s in %s, allowed: %s", config_setting_name(setting),
                                   list->path, allowed);
        rc = jp_config_read_scalar(reader, field, setting, base);
        if (rc)
            return rc;
    }
    for (const struct jp_key *field = list->fields; field->path; field++)
        if (field->required && !config_setting_get_member(group, field->path))
            return jp_config_wrong(reader, group, "%s is missing in an entry of %s, allowed: %s", field->path,
                                   list->path, allowed);
    return 0;
}

// {FIRST = SECOND; ...}: a name of the group is the first field's text.
static int read_pair(const struct jp_config_reader *reader, const struct jp_key *list, const config_setting_t *setting,
                     void *base)
{
    const char *name = config_setting_name(setting);

    if (strlen(name) >= list->fields[0].size)
        return jp_config_wrong(reader, setting, "%s in %s is too long, allowed: %zu characters", name, list->path,
                               list->fields[0].size - 1);
    snprintf((char *)base + list->fields[0].at, list->fields[0].size, "%s", name);
    return jp_config_read_scalar(reader, &list->fields[1], setting, base);
}

static int read_list(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                     struct jp_config *config)
{
    int type = config_setting_type(setting), length, rc;
    bool pairs = key->pairs && type == CONFIG_TYPE_GROUP;
    int *count = (int *)(void *)((char *)config + key->count_at);

    if (!pairs && type != CONFIG_TYPE_LIST && !(type == CONFIG_TYPE_ARRAY && config_setting_length(setting) == 0))
        return jp_config_wrong(reader, setting, "%s is not a list, allowed: ( {...}, ... )", key->path);
    length = config_setting_length(setting);
    if (length > key->limit)
        return jp_config_wrong(reader, setting, "%s is too long, allowed: %d entries", key->path, key->limit);
    for (*count = 0; *count < length; ++*count) {
        const config_setting_t *entry = config_setting_get_elem(setting, (unsigned)*count);
        char *base = (char *)config + key->at + (size_t)*count * key->size;

        jp_config_defaults(key->fields, base);
        rc = pairs ? read_pair(reader, key, entry, base) : read_group(reader, key, entry, base);
        if (rc)
            return rc;
    }
    return 0;
}

static int read_key(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                    struct jp_config *config)
{
    if (key->type == JP_KEY_BOAMPS)
        return jp_config_read_boamps(reader, setting);
    if (key->type == JP_KEY_LIST)
        return read_list(reader, key, setting, config);
    return jp_config_read_scalar(reader, key, setting, config);
}

// The key GROUP.NAME, or NAME where group is NULL.
static const struct jp_key *find_key(const char *group, const char *name)
{
    size_t size = group ? strlen(group) : 0;

    for (const struct jp_key *key = jp_keys; key->path; key++) {
        const char *rest = key->path;

        if (group && (strncmp(rest, group, size) != 0 || rest[size] != '.'))
            continue;
        rest += group ? size + 1 : 0;
        if (strcmp(rest, name) == 0)
            return key;
    }
    return NULL;
}

// The names in a group (NULL: at the top, groups once), in the order of the table. Returns how many.
static int list_names(const char *group, char *out, size_t size)
{
    size_t used = 0, prefix = group ? strlen(group) : 0, last_size = 0;
    const char *last = "";
    int count = 0;

    out[0] = '\0';
    for (const struct jp_key *key = jp_keys; key->path && used < size; key++) {
        const char *name = key->path + (group ? prefix + 1 : 0);
        size_t length;

        if (group && (strncmp(key->path, group, prefix) != 0 || key->path[prefix] != '.'))
            continue;
        length = strcspn(name, ".");
        if (length == last_size && strncmp(name, last, length) == 0)
            continue;
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", count ? ", " : "", (int)length, name);
        last = name;
        last_size = length;
        count++;
    }
    return count;
}

static int read_members(const struct jp_config_reader *reader, const config_setting_t *group, const char *name,
                        struct jp_config *config)
{
    char allowed[ALLOWED_MAX];
    int rc;

    list_names(name, allowed, sizeof allowed);
    if (config_setting_type(group) != CONFIG_TYPE_GROUP)
        return jp_config_wrong(reader, group, "%s is not a group, allowed: {...} with %s", name, allowed);
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const struct jp_key *key = find_key(name, config_setting_name(setting));

        if (!key)
            return jp_config_wrong(reader, setting, "unknown key %s.%s, allowed: %s", name,
                                   config_setting_name(setting), allowed);
        rc = read_key(reader, key, setting, config);
        if (rc)
            return rc;
    }
    return 0;
}

int jp_config_read_keys(const struct jp_config_reader *reader, const config_setting_t *root, struct jp_config *config)
{
    char allowed[ALLOWED_MAX];
    int rc = 0;

    for (int i = 0; rc == 0 && i < config_setting_length(root); i++) {
        const config_setting_t *setting = config_setting_get_elem(root, (unsigned)i);
        const char *name = config_setting_name(setting);
        const struct jp_key *key = find_key(NULL, name);

        if (key) {
            rc = read_key(reader, key, setting, config);
        } else if (list_names(name, allowed, sizeof allowed) > 0) {
            rc = read_members(reader, setting, name, config);
        } else {
            list_names(NULL, allowed, sizeof allowed);
            rc = jp_config_wrong(reader, setting, "unknown key %s, allowed: %s", name, allowed);
        }
    }
    return rc;
}
