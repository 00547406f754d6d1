// SPDX-License-Identifier: Apache-2.0
// Small words on top of jansson.
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

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

json_t *jp_json_text(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
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
