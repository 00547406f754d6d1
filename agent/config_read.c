// SPDX-License-Identifier: Apache-2.0
// Reads settings into the configuration as the table of keys says.
#include "config_keys.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define ALLOWED_MAX 512

int jp_config_wrong(const struct jp_config_reader *reader, const config_setting_t *setting, const char *format, ...)
{
    char place[3 * JP_PATH_MAX];
    va_list args;
    int used;

    jp_config_place(reader, setting ? config_setting_source_line(setting) : 0, place, sizeof place);
    used = snprintf(reader->error, reader->error_size, "%s: ", place);
    if (used < 0 || (size_t)used >= reader->error_size)
        return -EINVAL;
    va_start(args, format);
    vsnprintf(reader->error + used, reader->error_size - (size_t)used, format, args);
    va_end(args);
    return -EINVAL;
}

static const char *type_name(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "an integer";
    case CONFIG_TYPE_FLOAT:
        return "a number with a fraction";
    case CONFIG_TYPE_STRING:
        return "text";
    case CONFIG_TYPE_BOOL:
        return "a truth value";
    case CONFIG_TYPE_GROUP:
        return "a group";
    default:
        return "a list";
    }
}

static int wrong_type(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                      const char *allowed)
{
    return jp_config_wrong(reader, setting, "%s is %s, allowed: %s", key->path, type_name(setting), allowed);
}

static void list_words(const char *const *words, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (; *words && used < size; words++)
        used += (size_t)snprintf(out + used, size - used, "%s\"%s\"", used ? ", " : "", *words);
}

// The index of text in words, or -1.
static int find_word(const char *const *words, const char *text)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    return -1;
}

// A name and a password in an URL are nobody's business, and least of all a log's.
static int hidden(const struct jp_key *key, const char *text)
{
    const char *at = key->form == JP_FORM_URL ? strrchr(text, '@') : NULL;

    return at ? (int)(at - text) : 0;
}

static bool is_auto(const struct jp_key *key, const config_setting_t *setting)
{
    const char *text = config_setting_get_string(setting);

    return key->automatic && text && strcmp(text, "auto") == 0;
}

// The text of a setting if it is one that the key allows, else NULL with the error filled.
static const char *take_text(const struct jp_config_reader *reader, const struct jp_key *key,
                             const config_setting_t *setting)
{
    char allowed[ALLOWED_MAX];
    const char *text = config_setting_get_string(setting);

    if (key->words)
        list_words(key->words, allowed, sizeof allowed);
    else
        snprintf(allowed, sizeof allowed, "%s", jp_form_allowed(key->form));
    if (!text)
        wrong_type(reader, key, setting, allowed);
    else if (key->words ? find_word(key->words, text) < 0
                        : (*text || !key->unset || key->required) && !jp_form_ok(key->form, text))
        jp_config_wrong(reader, setting, "%s = \"%s%s\" is not possible, allowed: %s%s", key->path,
                        hidden(key, text) ? "***" : "", text + hidden(key, text), allowed,
                        hidden(key, text) ? "; the user goes to mqtt.username and mqtt.password_file" : "");
    else
        return text;
    return NULL;
}

static int read_text(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                     char *out)
{
    const char *text = key->type == JP_KEY_TEXT && is_auto(key, setting) ? "" : take_text(reader, key, setting);

    if (!text)
        return -EINVAL;
    if (strlen(text) >= key->size)
        return jp_config_wrong(reader, setting, "%s is too long, allowed: %zu characters", key->path, key->size - 1);
    snprintf(out, key->size, "%s", text);
    return 0;
}

static int read_integer(const struct jp_config_reader *reader, const struct jp_key *key,
                        const config_setting_t *setting, int64_t *out)
{
    int type = config_setting_type(setting);
    char allowed[64];

    snprintf(allowed, sizeof allowed, "an integer from %.0f to %.0f", key->min, key->max);
    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
        return wrong_type(reader, key, setting, allowed);
    *out = type == CONFIG_TYPE_INT ? config_setting_get_int(setting) : config_setting_get_int64(setting);
    if ((double)*out < key->min || (double)*out > key->max)
        return jp_config_wrong(reader, setting, "%s = %lld is out of range, allowed: %s", key->path, (long long)*out,
                               allowed);
    return 0;
}

static int read_id(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                   char *out)
{
    int type = config_setting_type(setting), rc;
    int64_t number;

    if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64)
        return read_text(reader, key, setting, out);
    rc = read_integer(reader, key, setting, &number);
    if (rc == 0)
        snprintf(out, key->size, "%lld", (long long)number);
    return rc;
}

static int read_real(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                     double *out)
{
    int type = config_setting_type(setting);
    char allowed[64];

    snprintf(allowed, sizeof allowed, "a number from %.10g to %.10g", key->min, key->max);
    if (type == CONFIG_TYPE_INT)
        *out = config_setting_get_int(setting);
    else if (type == CONFIG_TYPE_INT64)
        *out = (double)config_setting_get_int64(setting);
    else if (type == CONFIG_TYPE_FLOAT)
        *out = config_setting_get_float(setting);
    else
        return wrong_type(reader, key, setting, allowed);
    if (!(*out >= key->min && *out <= key->max))
        return jp_config_wrong(reader, setting, "%s = %.10g is out of range, allowed: %s", key->path, *out, allowed);
    return 0;
}

static int read_bool(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                     bool *out)
{
    if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
        return wrong_type(reader, key, setting, "true, false");
    *out = config_setting_get_bool(setting);
    return 0;
}

static int read_version(const struct jp_config_reader *reader, const struct jp_key *key,
                        const config_setting_t *setting, int *out)
{
    const char *text = config_setting_get_string(setting);

    if (text ? strcmp(text, "5") == 0
             : config_setting_type(setting) == CONFIG_TYPE_INT && config_setting_get_int(setting) == 5)
        *out = 5;
    else if (text && strcmp(text, "3.1.1") == 0)
        *out = 4;
    else
        return jp_config_wrong(reader, setting, "%s is not known, allowed: 5, \"3.1.1\"", key->path);
    return 0;
}

static bool is_list(const config_setting_t *setting)
{
    int type = config_setting_type(setting);

    return type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY;
}

static int read_bits(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                     unsigned *out)
{
    char allowed[ALLOWED_MAX];
    const char *text;
    int word;

    list_words(key->words, allowed, sizeof allowed);
    if (!is_list(setting))
        return wrong_type(reader, key, setting, allowed);
    *out = 0;
    for (int i = 0; i < config_setting_length(setting); i++) {
        text = take_text(reader, key, config_setting_get_elem(setting, (unsigned)i));
        if (!text)
            return -EINVAL;
        word = find_word(key->words, text);
        assert(word >= 0); // or take_text() would have refused it
        *out |= 1U << word;
    }
    return 0;
}

static int read_names(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                      void *base)
{
    char *names = (char *)base + key->at;
    int count = is_list(setting) ? config_setting_length(setting) : 0, rc;

    if (is_auto(key, setting) || (count == 1 && is_auto(key, config_setting_get_elem(setting, 0)))) {
        *(int *)(void *)((char *)base + key->count_at) = 0;
        return 0;
    }
    if (!is_list(setting))
        return wrong_type(reader, key, setting,
                          key->automatic ? "a list (\"NAME\", ...), \"auto\"" : "a list (\"NAME\", ...)");
    if (count > key->limit)
        return jp_config_wrong(reader, setting, "%s is too long, allowed: %d names", key->path, key->limit);
    for (int i = 0; i < count; i++) {
        rc = read_text(reader, key, config_setting_get_elem(setting, (unsigned)i), names + (size_t)i * key->size);
        if (rc)
            return rc;
    }
    *(int *)(void *)((char *)base + key->count_at) = count;
    return 0;
}

static int read_word(const struct jp_config_reader *reader, const struct jp_key *key, const config_setting_t *setting,
                     void *out)
{
    const char *text = take_text(reader, key, setting);

    if (!text)
        return -EINVAL;
    if (key->type == JP_KEY_WORD)
        *(int *)out = find_word(key->words, text);
    else
        *(bool *)out = find_word(key->words, text) == 1;
    return 0;
}

int jp_config_read_scalar(const struct jp_config_reader *reader, const struct jp_key *key,
                          const config_setting_t *setting, void *base)
{
    void *out = (char *)base + key->at;
    int64_t integer = 0;
    double real = 0;
    int rc;

    switch (key->type) {
    case JP_KEY_TEXT:
        return read_text(reader, key, setting, out);
    case JP_KEY_ID:
        return read_id(reader, key, setting, out);
    case JP_KEY_INT:
        rc = read_integer(reader, key, setting, &integer);
        if (rc == 0)
            *(int *)out = (int)integer;
        return rc;
    case JP_KEY_INT64:
        return read_integer(reader, key, setting, out);
    case JP_KEY_MILLI:
        rc = read_real(reader, key, setting, &real);
        if (rc == 0)
            *(int64_t *)out = llround(real * 1000);
        return rc;
    case JP_KEY_REAL:
        return read_real(reader, key, setting, out);
    case JP_KEY_BOOL:
        return read_bool(reader, key, setting, out);
    case JP_KEY_VERSION:
        return read_version(reader, key, setting, out);
    case JP_KEY_BITS:
        return read_bits(reader, key, setting, out);
    case JP_KEY_NAMES:
        return read_names(reader, key, setting, base);
    default: // WORD, SWITCH
        return read_word(reader, key, setting, out);
    }
}
