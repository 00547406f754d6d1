// SPDX-License-Identifier: Apache-2.0
// One Paho handle: dial, subscribe, publish, receive. docs/decisions/0001 says why it is used this way.
#include "clock.h"
#include "link_internal.h"

#include <MQTTClient.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CONNECT_TIMEOUT_S = 10,
    WILL_DELAY_S = 10,
    // MQTT 5.0 3.1.3.2.2: the will also comes when the session ends, so the session outlasts the delay.
    SESSION_EXPIRY_S = 15,
    // Bounds a publish into a full send buffer; ack_timeout_s rules where the buffer has room.
    SEND_TIMEOUT_S = 20,
    // Keep-alive and bytes that TLS has read ahead need a look now and then; without the socket, often.
    TICK_MS = 15000,
    TICK_BLIND_MS = 50,
};

static int64_t now_ns(void)
{
    return jp_clock_real.mono_ns(&jp_clock_real);
}

// Runs inside receive with Paho's lock held: notes, nothing more.
static void on_published(void *context, int token, int packet, MQTTProperties *properties, enum MQTTReasonCodes reason)
{
    struct jp_link_session *session = context;

    (void)packet;
    (void)properties;
    session->acked = token;
    session->ack_reason = (int)reason;
}

// OpenSSL's error queue, a line a call; the first says most.
static int on_tls_error(const char *text, size_t size, void *context)
{
    struct jp_link_session *session = context;

    if (session->tls_text[0] == '\0')
        snprintf(session->tls_text, sizeof session->tls_text, "%.*s", (int)strcspn(text, "\n"), text);
    (void)size;
    return 1;
}

int jp_link_session_create(struct jp_link_session *session, char *error, size_t error_size)
{
    MQTTClient_createOptions options = MQTTClient_createOptions_initializer;
    MQTTClient handle;
    int rc;

    session->fd = -1;
    session->keepalive_s = session->config->keepalive_s;
    options.MQTTVersion = session->config->version;
    rc = MQTTClient_createWithOptions(&handle, session->config->url, session->config->client_id,
                                      MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
    if (rc != MQTTCLIENT_SUCCESS) {
        const char *text = MQTTClient_strerror(rc);

        snprintf(error, error_size, "mqtt.url \"%s\": %s", session->config->url, text ? text : "not usable");
        return -EINVAL;
    }
    session->handle = handle;
    if (session->config->version == MQTTVERSION_5)
        MQTTClient_setPublished(handle, session, on_published);
    return 0;
}

void jp_link_session_destroy(struct jp_link_session *session)
{
    MQTTClient handle = session->handle;

    MQTTClient_destroy(&handle);
    session->handle = NULL;
}

bool jp_link_session_connected(const struct jp_link_session *session)
{
    return MQTTClient_isConnected(session->handle) != 0;
}

static const char *or_null(const char *text)
{
    return text && *text ? text : NULL;
}

static void fill_tls(struct jp_link_session *session, MQTTClient_SSLOptions *tls)
{
    const struct jp_link_config *config = session->config;

    // With OpenSSL 1.1 and later Paho negotiates by itself and ignores sslVersion; OpenSSL 3 refuses
    // TLS below 1.2 at the security level that Paho sets.
    tls->struct_version = 5;
    tls->verify = 1;
    tls->enableServerCertAuth = 1;
    tls->sslVersion = MQTT_SSL_VERSION_TLS_1_2;
    tls->trustStore = or_null(config->ca_file);
    tls->disableDefaultTrustStore = tls->trustStore != NULL;
    tls->keyStore = or_null(config->cert_file);
    tls->privateKey = or_null(config->key_file);
    tls->ssl_error_cb = on_tls_error;
    tls->ssl_error_context = session;
}

static MQTTClient_connectOptions connect_options(const struct jp_link_session *session)
{
    MQTTClient_connectOptions tcp5 = MQTTClient_connectOptions_initializer5;
    MQTTClient_connectOptions tcp4 = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions ws5 = MQTTClient_connectOptions_initializer5_ws;
    MQTTClient_connectOptions ws4 = MQTTClient_connectOptions_initializer_ws;
    bool five = session->config->version == MQTTVERSION_5;
    MQTTClient_connectOptions options;

    if (session->url.websocket)
        options = five ? ws5 : ws4;
    else
        options = five ? tcp5 : tcp4;
    options.MQTTVersion = session->config->version;
    options.keepAliveInterval = session->keepalive_s;
    options.connectTimeout = CONNECT_TIMEOUT_S;
    options.retryInterval = 0;
    options.reliable = 0;
    options.maxInflightMessages = 1;
    options.cleanstart = five;
    options.cleansession = !five;
    options.username = or_null(session->config->username);
    options.password = or_null(session->config->password);
    return options;
}

static uint32_t limit_of(MQTTProperties *properties, enum MQTTPropertyCodes code, uint32_t otherwise)
{
    if (!properties || !MQTTProperties_hasProperty(properties, code))
        return otherwise;
    return (uint32_t)MQTTProperties_getNumericValue(properties, code);
}

static int connect_five(struct jp_link_session *session, MQTTClient_connectOptions *options)
{
    MQTTProperties connect = MQTTProperties_initializer;
    MQTTProperties will = MQTTProperties_initializer;
    MQTTProperty delay = {.identifier = MQTTPROPERTY_CODE_WILL_DELAY_INTERVAL, .value.integer4 = WILL_DELAY_S};
    MQTTProperty largest = {.identifier = MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, .value.integer4 = JP_MESSAGE_MAX};
    MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = SESSION_EXPIRY_S};
    MQTTResponse response;
    int rc;

    MQTTProperties_add(&connect, &expiry);
    MQTTProperties_add(&connect, &largest);
    MQTTProperties_add(&will, &delay);
    response = MQTTClient_connect5(session->handle, options, &connect, options->will ? &will : NULL);
    rc = (int)response.reasonCode;
    session->max_packet = limit_of(response.properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, UINT32_MAX);
    session->keepalive_s =
        (int)limit_of(response.properties, MQTTPROPERTY_CODE_SERVER_KEEP_ALIVE, (uint32_t)session->keepalive_s);
    MQTTResponse_free(response);
    MQTTProperties_free(&connect);
    MQTTProperties_free(&will);
    return rc;
}

static int connect_once(struct jp_link_session *session)
{
    MQTTClient_connectOptions options = connect_options(session);
    MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
    MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
    struct jp_link_sockets before;
    int rc;

    if (session->url.tls) {
        fill_tls(session, &tls);
        options.ssl = &tls;
    }
    if (or_null(session->config->will_topic)) {
        will.topicName = session->config->will_topic;
        will.message = session->config->will_payload ? session->config->will_payload : "";
        will.retained = 1;
        will.qos = 1;
        options.will = &will;
    }
    session->tls_text[0] = '\0';
    session->max_packet = UINT32_MAX;
    jp_link_sockets_mark(&before);
    rc = session->config->version == MQTTVERSION_5 ? connect_five(session, &options)
                                                   : MQTTClient_connect(session->handle, &options);
    session->fd = rc == MQTTCLIENT_SUCCESS ? jp_link_sockets_find(&before) : -1;
    if (session->fd >= 0)
        jp_link_socket_tune(session->fd, SEND_TIMEOUT_S);
    return rc;
}

// 0, or the first refusing reason; *which names the filter. -1 when the link was lost.
static int subscribe(struct jp_link_session *session, const char **which)
{
    int qos[JP_LINK_SUBSCRIPTIONS_MAX] = {1, 1, 1, 1};
    char *filters[JP_LINK_SUBSCRIPTIONS_MAX];
    unsigned unwanted = jp_link_mailbox_unwanted(session->box);
    int count = 0, reason = 0;
    MQTTResponse response = MQTTResponse_initializer;

    session->subscribed = 0;
    for (int i = 0; i < JP_LINK_SUBSCRIPTIONS_MAX && or_null(session->config->subscriptions[i]); i++) {
        if (unwanted & 1U << i)
            continue;
        session->subscribed |= 1U << i;
        filters[count++] = (char *)session->config->subscriptions[i];
    }
    if (count == 0)
        return 0;
    if (session->config->version == MQTTVERSION_5) {
        response = MQTTClient_subscribeMany5(session->handle, count, filters, qos, NULL, NULL);
        for (int i = 0; i < count; i++)
            qos[i] = response.reasonCodes && i < response.reasonCodeCount ? (int)response.reasonCodes[i]
                                                                          : (int)response.reasonCode;
        MQTTResponse_free(response);
    } else {
        MQTTClient_subscribeMany(session->handle, count, filters, qos);
    }
    if (!jp_link_session_connected(session))
        return -1;
    for (int i = 0; i < count && !reason; i++) {
        if (qos[i] < 0x80)
            continue;
        reason = qos[i];
        *which = filters[i];
    }
    return reason;
}

static void unsubscribe(struct jp_link_session *session, const char *filter)
{
    MQTTResponse response;

    if (session->config->version == MQTTVERSION_5) {
        response = MQTTClient_unsubscribe5(session->handle, filter, NULL);
        MQTTResponse_free(response);
    } else {
        MQTTClient_unsubscribe(session->handle, filter);
    }
    session->looked_ns = 0; // what came before the answer lies with Paho, where poll cannot see it
}

void jp_link_session_unsubscribe(struct jp_link_session *session)
{
    unsigned leave = session->subscribed & jp_link_mailbox_unwanted(session->box);

    session->subscribed &= ~leave;
    for (int i = 0; i < JP_LINK_SUBSCRIPTIONS_MAX; i++)
        if (leave & 1U << i && jp_link_session_connected(session))
            unsubscribe(session, session->config->subscriptions[i]);
}

static bool refused(struct jp_link_session *session, int rc, struct jp_news *news)
{
    news->kind = JP_NEWS_REFUSED;
    if (rc > 0) {
        news->reason = rc;
        snprintf(news->text, sizeof news->text, "%s", jp_link_refusal(session->config->version, rc));
    } else {
        jp_link_explain(session->config, &session->url, news->text, sizeof news->text);
    }
    return false;
}

bool jp_link_session_dial(struct jp_link_session *session, struct jp_news *news)
{
    int wanted = session->keepalive_s;
    const char *which = "";
    int rc = connect_once(session);

    memset(news, 0, sizeof *news);
    if (rc == MQTTCLIENT_SUCCESS && session->keepalive_s < wanted) {
        // Paho keeps to its own interval whatever the broker says: dial again with the broker's.
        jp_link_session_hang_up(session, true);
        rc = connect_once(session);
    }
    if (rc != MQTTCLIENT_SUCCESS)
        return refused(session, rc, news);
    rc = subscribe(session, &which);
    session->looked_ns = 0; // what is retained may have come with the answer
    if (rc < 0) {
        session->fd = -1;
        news->kind = JP_NEWS_REFUSED;
        snprintf(news->text, sizeof news->text, "the broker ended the connection at our subscription");
        return false;
    }
    news->kind = JP_NEWS_UP;
    news->max_packet = session->max_packet;
    news->reason = rc;
    if (rc)
        snprintf(news->text, sizeof news->text, "connected, but the subscription to %.80s was refused", which);
    else
        snprintf(news->text, sizeof news->text, "connected");
    return true;
}

void jp_link_session_hang_up(struct jp_link_session *session, bool politely)
{
    if (!politely && session->fd >= 0 && jp_link_session_connected(session)) // else Paho closed it already
        shutdown(session->fd, SHUT_RDWR);
    session->fd = -1;
    if (session->config->version == MQTTVERSION_5)
        MQTTClient_disconnect5(session->handle, 0, MQTTREASONCODE_SUCCESS, NULL);
    else
        MQTTClient_disconnect(session->handle, 0);
}

static void post_incoming(struct jp_link_session *session, const char *topic, const MQTTClient_message *message)
{
    struct jp_news news = {.kind = JP_NEWS_INCOMING, .retained = message->retained != 0};
    size_t size = message->payloadlen > 0 ? (size_t)message->payloadlen : 0;

    if (strlen(topic) >= sizeof news.topic || size > JP_MESSAGE_MAX)
        return; // nothing we subscribe to is that long
    snprintf(news.topic, sizeof news.topic, "%s", topic);
    news.payload = malloc(size + 1);
    if (!news.payload)
        return;
    memcpy(news.payload, message->payload, size);
    news.payload[size] = '\0';
    news.size = size;
    jp_link_mailbox_post(session->box, &news);
}

// Handles one packet at most. True when something came.
static bool receive_one(struct jp_link_session *session)
{
    MQTTClient_message *message = NULL;
    char *topic = NULL;
    int length = 0, acked = session->acked;

    MQTTClient_receive(session->handle, &topic, &length, &message, 0);
    if (!message)
        return session->acked != acked;
    // With a NUL inside the topic Paho gives its length, else 0.
    if (length == 0 || strlen(topic) == (size_t)length)
        post_incoming(session, topic, message);
    MQTTClient_freeMessage(&message);
    MQTTClient_free(topic);
    return true;
}

// TLS and WebSocket read ahead where poll cannot see: there one empty look is not enough.
static void receive_all(struct jp_link_session *session)
{
    int enough = session->url.tls || session->url.websocket ? 2 : 1;

    for (int empty = 0; empty < enough && jp_link_session_connected(session);)
        empty = receive_one(session) ? 0 : empty + 1;
    session->looked_ns = now_ns();
}

void jp_link_session_wait(struct jp_link_session *session, int64_t until_ns)
{
    struct pollfd fds[2] = {{session->box->wake_fd, POLLIN, 0}, {session->fd, POLLIN, 0}};
    int64_t tick_ms = session->fd < 0 ? TICK_BLIND_MS : session->keepalive_s * 250;
    int64_t now = now_ns(), left_ms;

    tick_ms = tick_ms > TICK_MS || tick_ms == 0 ? TICK_MS : tick_ms;
    // Awake anyway, and the next look not far: now it costs no wake-up of its own.
    if (now - session->looked_ns >= tick_ms * JP_NS_PER_MS / 2) {
        receive_all(session);
        return;
    }
    if (session->looked_ns + tick_ms * JP_NS_PER_MS < until_ns)
        until_ns = session->looked_ns + tick_ms * JP_NS_PER_MS;
    left_ms = (until_ns - now + JP_NS_PER_MS - 1) / JP_NS_PER_MS;
    poll(fds, 2, left_ms < 0 ? 0 : (int)left_ms);
    if (fds[0].revents & POLLIN)
        jp_link_mailbox_awake(session->box);
    if (fds[1].revents)
        receive_all(session);
}
