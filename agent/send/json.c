// SPDX-License-Identifier: Apache-2.0
// Small words on top of jansson.
#define _GNU_SOURCE
#include "json.h"

#include "utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *jp_json_known(bool known, int64_t value)
{
    return known ? json_integer(value) : json_null();
}

json_t *jp_json_u64(uint64_t value)
{
    char text[17];

    snprintf(text, sizeof text, "%016" PRIx64, value);
    return json_string(text);
}

// Texts of machines and brokers may hold anything, and what is cut may end inside a letter.
static json_t *mended(const char *text)
{
    char *copy = strdup(text);
    json_t *value;

    if (!copy)
        return NULL;
    for (char *at = copy; *at; at += jp_utf8_length(at))
        if (jp_utf8_length(at) == 0)
            *at = '?';
    value = json_string(copy);
    free(copy);
    return value;
}

json_t *jp_json_text(const char *text)
{
    json_t *value;

    if (!text || !text[0])
        return json_null();
    value = json_string(text);
    return value ? value : mended(text);
}

json_t *jp_json_milli(bool known, int64_t thousandths)
{
    return known ? json_real((double)thousandths / 1000.0) : json_null();
}

// 15 significant digits: every decimal fraction we write comes back as it was meant.
int jp_json_dump(json_t *object, char *buffer, size_t size)
{
    size_t n;

    if (!object)
        return -ENOMEM;
    n = json_dumpb(object, buffer, size, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(object);
    if (n == 0)
        return -ENOMEM;
    return n > size ? -EMSGSIZE : (int)n;
}
