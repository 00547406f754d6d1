// SPDX-License-Identifier: Apache-2.0
// A `live` back into numbers.
#include "retained.h"

#include "json.h"
#include "registers.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool get_u64(const json_t *value, uint64_t *out)
{
    const char *text = json_string_value(value);

    if (!text || strlen(text) != 16)
        return false;
    for (int i = 0; i < 16; i++)
        if (!isxdigit((unsigned char)text[i]))
            return false;
    *out = strtoull(text, NULL, 16);
    return true;
}

static bool get_count(const json_t *value, int64_t low, int64_t high)
{
    return json_is_integer(value) && json_integer_value(value) >= low && json_integer_value(value) <= high;
}

// A number times `scale`, to the nearest; not negative and no more than `most`.
static bool get_scaled(const json_t *value, double scale, int64_t most, int64_t *out)
{
    double scaled = json_number_value(value) * scale;

    if (!json_is_number(value) || !(scaled >= 0 && scaled <= (double)most))
        return false;
    *out = llround(scaled);
    return true;
}

static bool get_energy(struct jp_retained *out, const char *name, const json_t *value)
{
    struct jp_retained_register *one = &out->channels[out->count];

    if (strcmp(name, "total") == 0) {
        out->total_known = !json_is_null(value);
        return !out->total_known || get_scaled(value, 1e3, JP_ENERGY_MAX_MJ, &out->total_mj);
    }
    if (!jp_registers_is_name(name))
        return false;
    if (json_is_null(value))
        return true;
    if (out->count == JP_CHANNELS_MAX || !get_scaled(value, 1e3, JP_ENERGY_MAX_MJ, &one->mj))
        return false;
    memcpy(one->name, name, strlen(name) + 1);
    out->count++;
    return true;
}

static bool get_energies(struct jp_retained *out, json_t *energies)
{
    const char *name;
    json_t *value;

    if (!json_is_object(energies) || json_object_size(energies) > JP_CHANNELS_MAX + 1)
        return false;
    json_object_foreach(energies, name, value)
    {
        if (!get_energy(out, name, value))
            return false;
    }
    return true;
}

static bool get_live(struct jp_retained *out, const json_t *live)
{
    const json_t *seq = json_object_get(live, "seq"), *t_ms = json_object_get(live, "t_ms");
    const json_t *emissions = json_object_get(live, "emissions_g");

    out->t_known = t_ms && !json_is_null(t_ms);
    out->emissions_known = emissions && !json_is_null(emissions);
    if (!get_u64(json_object_get(live, "register_id"), &out->id) || !get_u64(json_object_get(live, "run"), &out->run) ||
        !get_count(seq, 0, INT64_MAX) || (out->t_known && !get_count(t_ms, -JP_REAL_MAX_MS, JP_REAL_MAX_MS)))
        return false;
    if (out->emissions_known && !get_scaled(emissions, 1e6, JP_EMISSIONS_MAX_UG, &out->emissions_ug))
        return false;
    out->seq = (uint64_t)json_integer_value(seq);
    out->t_ms = json_integer_value(t_ms);
    return get_energies(out, json_object_get(live, "energy_j"));
}

int jp_retained_parse(struct jp_retained *out, const void *json, size_t size)
{
    json_t *live = json_loadb(json, size, JSON_REJECT_DUPLICATES, NULL);
    bool good;

    memset(out, 0, sizeof *out);
    good = get_live(out, live);
    json_decref(live);
    if (good)
        return 0;
    memset(out, 0, sizeof *out);
    return -EBADMSG;
}
