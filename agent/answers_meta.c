// SPDX-License-Identifier: Apache-2.0
// meta: what this run measures, with the keys of the MQTT leaf of that name where they say the same.
#include "answers_parts.h"

#include <inttypes.h>

static void put_count(struct jp_text *text, const char *name, int64_t count, int64_t least)
{
    jp_text_name(text, name);
    if (count >= least)
        jp_text_put(text, "%" PRId64, count);
    else
        jp_text_put(text, "null");
}

static void put_facts(struct jp_text *text, const struct jp_facts *facts)
{
    jp_text_put(text, ", \"board\": {");
    jp_text_string(text, "id", facts->board_id);
    jp_text_string(text, "name", facts->board_name);
    jp_text_string(text, "module", facts->module);
    jp_text_string(text, "soc", facts->soc);
    jp_text_put(text, ", \"verified\": %s}, \"gpu\": {", facts->board_verified ? "true" : "false");
    put_count(text, "count", facts->gpu_count, 0);
    jp_text_string(text, "name", facts->gpu_name);
    jp_text_put(text, "}, \"cpu\": {");
    put_count(text, "count", facts->cpu_count, 1);
    jp_text_string(text, "model", facts->cpu_model);
    jp_text_put(text, "}");
    put_count(text, "ram_bytes", facts->ram_bytes, 1);
    jp_text_put(text, ", \"os\": {");
    jp_text_string(text, "name", facts->os_name);
    jp_text_string(text, "l4t", facts->l4t);
    jp_text_string(text, "jetpack", facts->jetpack);
    jp_text_put(text, "}");
    jp_text_string(text, "power_mode", facts->power_mode);
    if (facts->note[0])
        jp_text_string(text, "note", facts->note);
}

static void put_roles(struct jp_text *text, uint32_t roles)
{
    bool separate = false;

    jp_text_put(text, ", \"roles\": [");
    for (int bit = 0; bit < 32; bit++) {
        const char *word = roles & (UINT32_C(1) << bit) ? jp_role_name(UINT32_C(1) << bit) : "";

        if (!word[0])
            continue;
        jp_text_put(text, "%s\"%s\"", separate ? ", " : "", word);
        separate = true;
    }
    jp_text_put(text, "]");
}

static void put_channel(struct jp_text *text, const struct jp_run_channel *channel)
{
    jp_text_put(text, "{\"name\": \"%s\"", channel->name);
    put_roles(text, channel->roles);
    jp_text_string(text, "part_of", channel->part_of);
    jp_text_put(text, ", \"scope\": \"%s\", \"method\": \"%s\"", jp_scope_name(channel->scope),
                jp_method_name(channel->method));
    jp_text_milli(text, "resolution_mw", channel->resolution_uw > 0, channel->resolution_uw);
    jp_text_put(text, "%s}", channel->unverified ? ", \"verified\": false" : "");
}

static void put_total(struct jp_text *text, const struct jp_run *run)
{
    bool separate = false;

    if (!run->total_known) {
        jp_text_put(text, "], \"total\": null");
        return;
    }
    jp_text_put(text, "], \"total\": {\"scope\": \"%s\", \"method\": \"%s\", \"channels\": [",
                jp_scope_name(run->total_scope), jp_method_name(run->total_method));
    for (int i = 0; i < run->channel_count; i++) {
        if (!run->channels[i].in_total)
            continue;
        jp_text_put(text, "%s\"%s\"", separate ? ", " : "", run->channels[i].name);
        separate = true;
    }
    jp_text_put(text, "]}");
}

void jp_answers_meta(const struct jp_answers *answers, struct jp_text *text)
{
    const struct jp_run *run = answers->run;
    const struct jp_sampler *sampler = answers->sampler;

    jp_text_put(text,
                "{\"ok\": true, \"version\": \"" JOULEPOST_VERSION "\", \"run\": \"%016" PRIx64
                "\", \"start_boot_ms\": %lld, \"interval_ms\": %d, \"window_ms\": %d",
                run->id, (long long)((sampler->origin_ns + sampler->sleep_base_ns) / JP_NS_PER_MS), run->interval_ms,
                run->window_ms);
    jp_text_string(text, "device", run->device);
    put_facts(text, &run->facts);
    jp_text_put(text, ", \"channels\": [");
    for (int i = 0; i < run->channel_count; i++) {
        jp_text_put(text, "%s", i > 0 ? ", " : "");
        put_channel(text, &run->channels[i]);
    }
    put_total(text, run);
    jp_text_put(text, ", \"gauges\": [");
    for (int i = 0; i < run->gauge_count; i++) {
        jp_text_put(text, "%s{\"name\": \"%s\"", i > 0 ? ", " : "", run->gauges[i].name);
        jp_text_string(text, "unit", run->gauges[i].unit);
        jp_text_put(text, "}");
    }
    jp_text_put(text, "]}");
}
