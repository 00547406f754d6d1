// SPDX-License-Identifier: Apache-2.0
// A channel's line of a trace.
#define _GNU_SOURCE
#include "channel.h"
#include "trace_parts.h"
#include "trace_words.h"

#include <string.h>

static const char *const kinds[] = {[JP_POWER] = "power", [JP_ENERGY] = "energy", [JP_GAUGE] = "gauge"};

static int copy_text(char *out, size_t size, char *text)
{
    int64_t length = jp_trace_unescape(text);

    if (length < 0 || (size_t)length >= size || strlen(text) != (size_t)length)
        return -EINVAL;
    memcpy(out, text, (size_t)length + 1);
    return 0;
}

static int take_roles(struct jp_channel *channel, char *words)
{
    char *rest;

    for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        uint32_t bit = jp_role_by_name(word);

        if (bit == 0)
            return -EINVAL;
        channel->roles |= bit;
    }
    return 0;
}

static int take_text_key(struct jp_channel *channel, const char *key, char *text)
{
    if (strcmp(key, "chip") == 0)
        return copy_text(channel->chip, sizeof channel->chip, text);
    if (strcmp(key, "bus") == 0)
        return copy_text(channel->bus_node, sizeof channel->bus_node, text);
    if (strcmp(key, "part_of") == 0)
        return copy_text(channel->part_of, sizeof channel->part_of, text);
    if (strcmp(key, "unit") == 0)
        return copy_text(channel->unit, sizeof channel->unit, text);
    if (strcmp(key, "event") == 0)
        return copy_text(channel->event, sizeof channel->event, text);
    if (strcmp(key, "scope") == 0)
        return jp_scope_by_name(text, &channel->scope);
    if (strcmp(key, "roles") == 0)
        return take_roles(channel, text);
    return -ENOENT;
}

static int take_number_key(struct jp_channel *channel, const char *key, const char *text)
{
    int64_t value;

    if (jp_trace_number(text, &value) < 0 || value < 0)
        return -EINVAL;
    if (strcmp(key, "range") == 0)
        channel->range_uj = value;
    else if (value > JP_TRACE_POWER_MAX_UW)
        return -EINVAL;
    else if (strcmp(key, "max") == 0)
        channel->max_uw = value;
    else if (strcmp(key, "resolution") == 0)
        channel->resolution_uw = value;
    else if (value > INT32_MAX)
        return -EINVAL;
    else if (strcmp(key, "address") == 0)
        channel->address = (int)value;
    else if (strcmp(key, "index") == 0)
        channel->index = (int)value;
    else if (strcmp(key, "shunt") == 0)
        channel->shunt_uohm = (int32_t)value;
    else
        return -EINVAL;
    return 0;
}

static int take_pair(struct jp_channel *channel, char *pair)
{
    char *text = strchr(pair, '=');
    int rc;

    if (!text)
        return -EINVAL;
    *text++ = '\0';
    rc = take_text_key(channel, pair, text);
    return rc == -ENOENT ? take_number_key(channel, pair, text) : rc;
}

int jp_trace_take_channel(struct jp_trace *trace, char *rest)
{
    char *name = strtok_r(NULL, JP_TRACE_BLANK, &rest);
    char *kind = name ? strtok_r(NULL, JP_TRACE_BLANK, &rest) : NULL;
    struct jp_channel *channel = &trace->channels[trace->count];
    char label[sizeof channel->name] = "";
    int which = 0;

    if (trace->count == JP_TRACE_CHANNELS_MAX)
        return jp_trace_wrong(trace, "more than 64 channels");
    if (!kind || (strcmp(name, "-") != 0 && copy_text(label, sizeof label, name) < 0))
        return jp_trace_wrong(trace, "a channel has a name of at most 32 characters and a kind");
    while (which <= JP_GAUGE && strcmp(kinds[which], kind) != 0)
        which++;
    if (which > JP_GAUGE)
        return jp_trace_wrong(trace, "a channel's kind is power, energy or gauge");
    jp_channel_init(channel, (enum jp_kind)which, "", label);
    channel->index = ++trace->count;
    for (char *pair = strtok_r(NULL, JP_TRACE_BLANK, &rest); pair; pair = strtok_r(NULL, JP_TRACE_BLANK, &rest))
        if (take_pair(channel, pair) < 0)
            return jp_trace_wrong(trace, "a key of the channel is unknown, or its value wrong");
    return 0;
}
