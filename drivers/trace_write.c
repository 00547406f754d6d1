// SPDX-License-Identifier: Apache-2.0
// Writer of the trace format.
#include "trace_write.h"

#include "ina3221.h"
#include "trace_words.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const kinds[] = {[JP_POWER] = "power", [JP_ENERGY] = "energy", [JP_GAUGE] = "gauge"};

void jp_trace_put_file(FILE *out, const char *path, const char *bytes, size_t length)
{
    fprintf(out, "file %s ", path);
    jp_trace_put_escaped(out, bytes, length, 0);
    putc('\n', out);
}

static void put_text(FILE *out, const char *key, const char *text)
{
    if (!text[0])
        return;
    fprintf(out, " %s=", key);
    jp_trace_put_escaped(out, text, strlen(text), 1);
}

static void put_number(FILE *out, const char *key, int64_t value, int64_t most)
{
    if (value > 0 && value <= most)
        fprintf(out, " %s=%" PRId64, key, value);
}

static void put_roles(FILE *out, uint32_t roles)
{
    const char *before = " roles=";

    for (int bit = 0; bit < 32; bit++)
        if ((roles & (UINT32_C(1) << bit)) && jp_role_name(UINT32_C(1) << bit)[0]) {
            fprintf(out, "%s%s", before, jp_role_name(UINT32_C(1) << bit));
            before = ",";
        }
}

void jp_trace_put_channel(FILE *out, const struct jp_channel *channel)
{
    fputs("channel ", out);
    if (strcmp(channel->name, "-") == 0)
        fputs("\\x2d", out);
    else if (channel->name[0])
        jp_trace_put_escaped(out, channel->name, strlen(channel->name), 1);
    else
        putc('-', out);
    fprintf(out, " %s", kinds[channel->kind]);
    put_text(out, "chip", channel->chip);
    if (channel->address >= 0)
        fprintf(out, " address=%#x", (unsigned)channel->address);
    if (channel->index >= 0)
        fprintf(out, " index=%d", channel->index);
    put_text(out, "bus", channel->bus_node);
    put_number(out, "shunt", channel->shunt_uohm, INT32_MAX);
    if (channel->scope != JP_SCOPE_RAIL)
        put_text(out, "scope", jp_scope_name(channel->scope));
    put_roles(out, channel->roles);
    put_text(out, "part_of", channel->part_of);
    put_number(out, "range", channel->range_uj, JP_TRACE_NUMBER_MAX);
    put_number(out, "max", channel->max_uw, JP_TRACE_POWER_MAX_UW);
    put_number(out, "resolution", channel->resolution_uw, JP_TRACE_POWER_MAX_UW);
    put_text(out, "unit", channel->unit);
    put_text(out, "event", channel->event);
    putc('\n', out);
}

static int64_t bound(enum jp_kind kind)
{
    return kind == JP_POWER ? JP_TRACE_POWER_MAX_UW : JP_TRACE_NUMBER_MAX;
}

void jp_trace_put_cell(FILE *out, enum jp_kind kind, const struct jp_reading *reading)
{
    char word[JP_TRACE_ERROR_MAX];

    if (reading->state == JP_MISSING) {
        jp_trace_error_word(reading->error, word);
        fputs(word, out);
    } else if (reading->state != JP_GOOD) {
        putc('.', out);
    } else if (reading->value > bound(kind) || reading->value < -bound(kind) ||
               (kind == JP_ENERGY && reading->value < 0)) {
        fputs("ERANGE", out);
    } else if (kind == JP_POWER && reading->mv != INT32_MIN && reading->ma != INT32_MIN) {
        fprintf(out, "%" PRId32 "/%" PRId32, reading->mv, reading->ma);
        if (reading->value != jp_ina3221_power_uw(reading->mv, reading->ma))
            fprintf(out, "/%" PRId64, reading->value);
    } else {
        fprintf(out, "%" PRId64, reading->value);
    }
}
