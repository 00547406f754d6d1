// SPDX-License-Identifier: Apache-2.0
// What comes from the broker: the grid's factor and, where allowed, commands. All of it is a stranger's word.
#include "posting_parts.h"

#include "control.h"
#include "log.h"
#include "name.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COMMAND_TIMEOUT_MS 500
// Above every table: the dirtiest grids lie near 1,000 g/kWh; a larger number is a mistake in its unit.
#define FACTOR_MAX 10000.0

static void copy(char *out, size_t size, const char *prefix, const json_t *text)
{
    snprintf(out, size, "%s%s", prefix, json_is_string(text) ? json_string_value(text) : "");
}

static void take_grid(struct jp_post *post, const json_t *object)
{
    const json_t *g = json_object_get(object, "g_per_kwh");
    double value = json_is_number(g) ? json_number_value(g) : -1;
    struct jp_factor factor = {.known = true, .g_per_kwh = value};

    if (post->factor_fixed)
        return;
    if (!isfinite(value) || value < 0 || value > FACTOR_MAX) {
        jp_log_warning("%s: no usable g_per_kwh, the factor stays as it is", post->grid_topic);
        return;
    }
    snprintf(factor.source, sizeof factor.source, "live:%.40s", post->in->config->location.zone);
    copy(factor.valid_from, sizeof factor.valid_from, "", json_object_get(object, "valid_from"));
    post->meta_due |= !post->factor.known || post->factor.g_per_kwh != value;
    post->factor = factor;
    jp_registers_price(&post->registers, &post->factor, post->in->config->location.pue);
}

// mqtt.commands names the family: "task" allows "task start" and "task stop".
static bool allowed(const struct jp_post *post, const char *command)
{
    const struct jp_config *config = post->in->config;
    size_t n = strcspn(command, " ");

    for (int i = 0; i < config->mqtt.command_count; i++)
        if (strlen(config->mqtt.commands[i]) == n && memcmp(config->mqtt.commands[i], command, n) == 0)
            return true;
    return false;
}

// {"command": "task start", "name": NAME} or {"command": "task stop", "name": NAME}
static void take_command(struct jp_post *post, const json_t *object)
{
    const char *command = json_string_value(json_object_get(object, "command"));
    const char *name = json_string_value(json_object_get(object, "name"));
    char request[64], reply[512];
    int rc;

    if (!command || !name || !jp_name_is_good(name, JP_NAME_MAX) ||
        (strcmp(command, "task start") != 0 && strcmp(command, "task stop") != 0)) {
        jp_log_warning("a command over MQTT is not understood");
        return;
    }
    if (!allowed(post, command)) {
        jp_log_warning("\"%s\" over MQTT is not allowed by mqtt.commands", command);
        return;
    }
    snprintf(request, sizeof request, "%s %s", command, name);
    rc = jp_control_ask(post->in->config->paths_hot, request, reply, sizeof reply, COMMAND_TIMEOUT_MS);
    if (rc < 0)
        jp_log_warning("\"%s\" over MQTT did not reach meter: %s", request, strerror(-rc));
}

void jp_post_incoming(struct jp_post *post, const struct jp_news *news)
{
    json_t *object;

    if (strcmp(news->topic, post->live_topic) == 0) {
        jp_post_take_retained(post, news);
        return;
    }
    if (strcmp(news->topic, post->ack_topic) == 0) {
        jp_post_take_ack(post, news);
        return;
    }
    object = json_loadb((const char *)news->payload, news->size, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(object)) {
        if (news->size > 0) // an empty payload is how a retained message is cleared
            jp_log_warning("a message on %s is not a JSON object", news->topic);
    } else if (strcmp(news->topic, post->grid_topic) == 0) {
        take_grid(post, object);
    } else if (strcmp(news->topic, post->cmd_topic) == 0 && news->retained) {
        jp_log_warning("a retained message on %s is not carried out: it would be again at each connection",
                       news->topic);
    } else if (strcmp(news->topic, post->cmd_topic) == 0) {
        take_command(post, object);
    }
    json_decref(object);
}
