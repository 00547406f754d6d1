// SPDX-License-Identifier: Apache-2.0
// The run's facts and channels as JSON.
#include "meta.h"

#include "json.h"

static json_t *count_or_null(int64_t count, int64_t least)
{
    return count >= least ? json_integer(count) : json_null();
}

static json_t *role_words(uint32_t roles)
{
    json_t *words = json_array();

    for (int bit = 0; bit < 32; bit++)
        if (roles & (UINT32_C(1) << bit)) {
            const char *word = jp_role_name(UINT32_C(1) << bit);

            if (word)
                json_array_append_new(words, json_string(word));
        }
    return words;
}

static json_t *channel_json(const struct jp_run_channel *channel)
{
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:s, s:s, s:o}", "name", channel->name, "roles", role_words(channel->roles),
                  "part_of", jp_json_text(channel->part_of), "scope", jp_scope_name(channel->scope), "method",
                  jp_method_name(channel->method), "resolution_mw",
                  channel->resolution_uw > 0 ? json_real((double)channel->resolution_uw / 1000.0) : json_null());

    if (channel->unverified)
        json_object_set_new(object, "verified", json_false());
    if (jp_run_calibrated(channel))
        json_object_set_new(
            object, "calibration",
            json_pack("{s:f, s:f}", "scale", channel->scale, "offset_mw", (double)channel->offset_uw / 1000.0));
    return object;
}

static json_t *channels_json(const struct jp_run *run)
{
    json_t *list = json_array();

    for (int i = 0; i < run->channel_count; i++)
        json_array_append_new(list, channel_json(&run->channels[i]));
    return list;
}

static json_t *total_json(const struct jp_run *run)
{
    json_t *names;

    if (!run->total_known)
        return json_null();
    names = json_array();
    for (int i = 0; i < run->channel_count; i++)
        if (run->channels[i].in_total)
            json_array_append_new(names, json_string(run->channels[i].name));
    return json_pack("{s:s, s:s, s:o}", "scope", jp_scope_name(run->total_scope), "method",
                     jp_method_name(run->total_method), "channels", names);
}

json_t *jp_factor_json(const struct jp_factor *factor, double pue)
{
    if (!factor || !factor->known)
        return json_null();
    return json_pack("{s:f, s:o, s:o, s:f}", "g_per_kwh", factor->g_per_kwh, "source", jp_json_text(factor->source),
                     "valid_from", jp_json_text(factor->valid_from), "pue", pue);
}

static json_t *board_json(const struct jp_facts *facts)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:b}", "id", jp_json_text(facts->board_id), "name",
                     jp_json_text(facts->board_name), "module", jp_json_text(facts->module), "soc",
                     jp_json_text(facts->soc), "verified", facts->board_verified);
}

json_t *jp_meta_json(const struct jp_run *run, const struct jp_factor *factor, double pue, const char *spool_id)
{
    const struct jp_facts *facts = &run->facts;
    json_t *meta = json_pack("{s:s, s:o, s:{s:o, s:o}, s:{s:o, s:o}, s:o, s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o}",
                             "device", run->device, "board", board_json(facts), "gpu", "count",
                             count_or_null(facts->gpu_count, 0), "name", jp_json_text(facts->gpu_name), "cpu", "count",
                             count_or_null(facts->cpu_count, 1), "model", jp_json_text(facts->cpu_model), "ram_bytes",
                             count_or_null(facts->ram_bytes, 1), "os", "name", jp_json_text(facts->os_name), "l4t",
                             jp_json_text(facts->l4t), "jetpack", jp_json_text(facts->jetpack), "power_mode",
                             jp_json_text(facts->power_mode), "channels", channels_json(run), "total", total_json(run),
                             "factor", jp_factor_json(factor, pue), "spool_id", jp_json_text(spool_id));

    if (meta && facts->note[0])
        json_object_set_new(meta, "note", jp_json_text(facts->note));
    return meta;
}
