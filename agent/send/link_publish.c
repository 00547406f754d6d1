// SPDX-License-Identifier: Apache-2.0
// One PUBLISH through Paho and the wait for its acknowledgement.
#include "clock.h"
#include "link_internal.h"

#include <MQTTClient.h>
#include <stdio.h>
#include <string.h>

static int64_t now_ns(void)
{
    return jp_clock_real.mono_ns(&jp_clock_real);
}

// Fixed header, topic, packet id, properties and payload of a PUBLISH, at most.
static size_t packet_size(const struct jp_message *message)
{
    size_t content_type = message->content_type ? strlen(message->content_type) : 0;

    return 5 + 2 + strlen(message->topic) + 2 + 4 + 3 + content_type + message->size;
}

static int publish(struct jp_link_session *session, const struct jp_message *message, int *token)
{
    MQTTClient_message out = MQTTClient_message_initializer;
    MQTTProperties properties = MQTTProperties_initializer;
    MQTTProperty type = {.identifier = MQTTPROPERTY_CODE_CONTENT_TYPE};
    MQTTResponse response;
    int rc;

    out.payload = (void *)message->payload;
    out.payloadlen = (int)message->size;
    out.qos = message->qos;
    out.retained = message->retained;
    out.struct_version = session->config->version == MQTTVERSION_5;
    if (!out.struct_version)
        return MQTTClient_publishMessage(session->handle, message->topic, &out, token);
    if (message->content_type) {
        type.value.data.data = (char *)message->content_type;
        type.value.data.len = (int)strlen(message->content_type);
        MQTTProperties_add(&properties, &type);
    }
    out.properties = properties;
    response = MQTTClient_publishMessage5(session->handle, message->topic, &out, token);
    rc = (int)response.reasonCode;
    MQTTResponse_free(response);
    MQTTProperties_free(&properties);
    return rc;
}

// Under 3.1.1 an acknowledgement shows only in the list of what is pending, which Paho also empties on loss.
static bool acknowledged(struct jp_link_session *session, int token)
{
    MQTTClient_deliveryToken *pending = NULL;

    if (session->config->version == MQTTVERSION_5)
        return session->acked == token;
    if (!jp_link_session_connected(session))
        return false;
    MQTTClient_getPendingDeliveryTokens(session->handle, &pending);
    if (!pending)
        return true;
    MQTTClient_free(pending);
    return false;
}

static void verdict(struct jp_news *news, int reason, const char *text)
{
    news->kind = text ? JP_NEWS_FAILED : JP_NEWS_DELIVERED;
    news->reason = reason;
    snprintf(news->text, sizeof news->text, "%s", text ? text : "");
}

static bool await(struct jp_link_session *session, int token, int64_t until_ns, struct jp_news *news)
{
    while (!acknowledged(session, token)) {
        int64_t stop_ns = jp_link_mailbox_stopping(session->box);
        int64_t end_ns = stop_ns && stop_ns < until_ns ? stop_ns : until_ns;

        if (!jp_link_session_connected(session)) {
            verdict(news, 0, "the connection ended before the acknowledgement");
            return false;
        }
        if (now_ns() >= end_ns) {
            verdict(news, 0, "no acknowledgement in time");
            return false;
        }
        jp_link_session_wait(session, end_ns);
    }
    return true;
}

void jp_link_session_publish(struct jp_link_session *session, const struct jp_message *message, int64_t until_ns,
                             struct jp_news *news)
{
    MQTTClient_deliveryToken token = 0;
    int rc;

    memset(news, 0, sizeof *news);
    if (message->size > JP_MESSAGE_MAX || packet_size(message) > session->max_packet) {
        verdict(news, MQTTREASONCODE_PACKET_TOO_LARGE, "larger than the broker takes");
        return;
    }
    session->acked = 0;
    session->ack_reason = 0;
    rc = publish(session, message, &token);
    if (rc != MQTTCLIENT_SUCCESS) {
        verdict(news, 0, "not sent");
        return;
    }
    if (message->qos > 0 && !await(session, token, until_ns, news))
        return;
    if (message->qos > 0 && session->ack_reason >= 0x80) {
        const char *text = MQTTReasonCode_toString((enum MQTTReasonCodes)session->ack_reason);

        verdict(news, session->ack_reason, text ? text : "refused by the broker");
        return;
    }
    verdict(news, 0, NULL);
}
