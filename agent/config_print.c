// SPDX-License-Identifier: Apache-2.0
// Prints the effective configuration as a configuration file.
#include "config_keys.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void print_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

// The shortest digits that read back as the same number, always with a point or an exponent.
static void print_real(FILE *out, double number)
{
    char text[40];
    double back;

    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        back = strtod(text, NULL);
        if (back == number)
            break;
    }
    fprintf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_bits(FILE *out, const struct jp_key *key, unsigned bits)
{
    const char *comma = "";

    fputc('(', out);
    for (int i = 0; key->words[i]; i++) {
        if (!(bits & 1U << i))
            continue;
        fputs(comma, out);
        print_text(out, key->words[i]);
        comma = ", ";
    }
    fputc(')', out);
}

static void print_names(FILE *out, const struct jp_key *key, const char *names, int count)
{
    fputc('(', out);
    for (int i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        print_text(out, names + (size_t)i * key->size);
    }
    fputc(')', out);
}

static bool is_unset(const struct jp_key *key, const void *at)
{
    double number;

    if (!key->unset)
        return false;
    if (key->type == JP_KEY_TEXT)
        return *(const char *)at == '\0';
    memcpy(&number, at, sizeof number);
    return isnan(number) || number < key->min;
}

static void print_scalar(FILE *out, const struct jp_key *key, const void *base)
{
    const char *at = (const char *)base + key->at;

    switch (key->type) {
    case JP_KEY_TEXT:
    case JP_KEY_ID:
        print_text(out, at);
        break;
    case JP_KEY_INT:
        fprintf(out, "%d", *(const int *)(const void *)at);
        break;
    case JP_KEY_INT64:
        // libconfig wants the L beyond 32 bits and takes it always
        fprintf(out, "%lldL", (long long)*(const int64_t *)(const void *)at);
        break;
    case JP_KEY_MILLI:
        print_real(out, (double)*(const int64_t *)(const void *)at / 1000);
        break;
    case JP_KEY_REAL:
        print_real(out, *(const double *)(const void *)at);
        break;
    case JP_KEY_BOOL:
        fputs(*(const bool *)at ? "true" : "false", out);
        break;
    case JP_KEY_WORD:
        print_text(out, key->words[*(const int *)(const void *)at]);
        break;
    case JP_KEY_SWITCH:
        print_text(out, key->words[*(const bool *)at ? 1 : 0]);
        break;
    case JP_KEY_VERSION:
        fputs(*(const int *)(const void *)at == 5 ? "5" : "\"3.1.1\"", out);
        break;
    case JP_KEY_BITS:
        print_bits(out, key, *(const unsigned *)(const void *)at);
        break;
    default: // NAMES
        print_names(out, key, at, *(const int *)(const void *)((const char *)base + key->count_at));
        break;
    }
}

static void print_list(FILE *out, const struct jp_key *key, const struct jp_config *config)
{
    int count = *(const int *)(const void *)((const char *)config + key->count_at);

    fputc('(', out);
    for (int i = 0; i < count; i++) {
        const char *base = (const char *)config + key->at + (size_t)i * key->size;

        fputs(i ? ",\n    { " : "\n    { ", out);
        for (const struct jp_key *field = key->fields; field->path; field++) {
            if (is_unset(field, base + field->at))
                continue;
            fprintf(out, "%s = ", field->path);
            print_scalar(out, field, base);
            fputs("; ", out);
        }
        fputc('}', out);
    }
    fputc(')', out);
}

static void print_key(FILE *out, const struct jp_key *key, const struct jp_config *config)
{
    const char *name = strchr(key->path, '.'), *indent = name ? "    " : "";

    name = name ? name + 1 : key->path;
    if (key->type != JP_KEY_LIST && is_unset(key, (const char *)config + key->at)) {
        fprintf(out, "%s# %s: %s\n", indent, name, key->unset);
        return;
    }
    fprintf(out, "%s%s = ", indent, name);
    if (key->type == JP_KEY_LIST)
        print_list(out, key, config);
    else
        print_scalar(out, key, config);
    fputs(";\n", out);
}

void jp_config_print(const struct jp_config *config, FILE *out)
{
    const char *group = "";
    size_t size, open = 0;

    for (const struct jp_key *key = jp_keys; key->path; key++) {
        if (key->type == JP_KEY_BOAMPS)
            continue;
        size = strchr(key->path, '.') ? strcspn(key->path, ".") : 0;
        if (open && (size != open || strncmp(group, key->path, open) != 0)) {
            fputs("};\n", out);
            open = 0;
        }
        if (size && !open) {
            fprintf(out, "%.*s = {\n", (int)size, key->path);
            group = key->path;
            open = size;
        }
        print_key(out, key, config);
    }
    if (open)
        fputs("};\n", out);
}
