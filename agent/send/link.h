// SPDX-License-Identifier: Apache-2.0
// The link door: one MQTT connection in a thread of its own, met only through a mailbox.
//
// No call here waits for the network (stop() within its deadline excepted). One message is under way at a
// time: send() the next after DELIVERED or FAILED. A message `aside` goes beside it and costs no news. The thread
// connects by itself, with jitter from 1 s up to retry_max_s between tries, and never stops trying.
#ifndef JP_LINK_H
#define JP_LINK_H

#include "limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JP_LINK_SUBSCRIPTIONS_MAX 4

// Texts are borrowed for the life of the link; "" or NULL where not configured.
struct jp_link_config {
    const char *url; // mqtt://, mqtts://, ws://, wss://HOST[:PORT][/PATH]
    int version;     // 5, or 4 for MQTT 3.1.1
    const char *client_id, *username, *password;
    const char *ca_file, *cert_file, *key_file; // with TLS the host name is always verified
    int keepalive_s, retry_max_s, ack_timeout_s;
    const char *will_topic, *will_payload;                // retained, QoS 1, delay 10 s under MQTT 5
    const char *subscriptions[JP_LINK_SUBSCRIPTIONS_MAX]; // topic filters, QoS 1, at every connect; NULL ends
};

struct jp_message {
    const char *topic;
    const void *payload; // borrowed until DELIVERED or FAILED, as is the topic
    size_t size;
    int qos; // 0 or 1
    bool retained;
    const char *content_type; // MQTT 5; NULL for none; a constant
    bool proof;               // its delivery shows that the connection is good for what it is made for
    // QoS 0 only: taken whether or not a message is under way, topic and payload are copied, nothing is told of
    // it, and a newer one replaces one that has not left yet.
    bool aside;
};

enum jp_news_kind {
    JP_NEWS_UP,        // connected (and subscribed); max_packet holds
    JP_NEWS_DOWN,      // was up, is not any more; text says why. A message under way gets its FAILED as well
    JP_NEWS_REFUSED,   // a try to connect failed: text says why (host unknown, bad password, wrong CA, ...)
    JP_NEWS_DELIVERED, // QoS 1: acknowledged with a reason below 0x80. QoS 0: handed to the kernel
    JP_NEWS_FAILED,    // not known to have arrived; reason >= 0x80 when the broker said so, else 0
    JP_NEWS_INCOMING,  // a message on a subscription
};

struct jp_news {
    enum jp_news_kind kind;
    int reason;               // MQTT 5 reason code, 0 when there is none
    char text[160];           // for people, one line
    uint32_t max_packet;      // UP: largest packet the broker takes, UINT32_MAX unknown
    char topic[JP_TOPIC_MAX]; // INCOMING
    uint8_t *payload;         // INCOMING: free() it
    size_t size;
    bool retained; // INCOMING: the broker kept it from before
};

struct jp_link {
    // 0; -EBUSY while a message is under way; -ENOTCONN when not up (nothing is queued); aside: -ENOMEM.
    int (*send)(struct jp_link *self, const struct jp_message *message);
    // Ends the subscription to one of the configured filters, named by the same text: now, when up, and none is made at
    // later connects. Nothing is told of it; what was on its way may still come in. 0, -ENOENT no such filter.
    int (*unsubscribe)(struct jp_link *self, const char *filter);
    // Readable while news wait. The same descriptor for life.
    int (*fd)(const struct jp_link *self);
    // Takes the oldest news; false when there is none.
    bool (*next)(struct jp_link *self, struct jp_news *news);
    // Publishes `last` (may be NULL) if up, disconnects, ends the thread and frees the link. Returns within
    // timeout_ms in any case: a thread stuck in the network or DNS is left behind, the process must exit.
    void (*stop)(struct jp_link *self, const struct jp_message *last, int timeout_ms);
};

// The link over Eclipse Paho C. Starts its thread. NULL with error filled when the configuration cannot
// work (bad URL, unreadable CA, ...).
struct jp_link *jp_link_paho(const struct jp_link_config *config, char *error, size_t error_size);

#endif
