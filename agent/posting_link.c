// SPDX-License-Identifier: Apache-2.0
// The post half's connection: what it is made of, and what it tells.
#include "posting_parts.h"

#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTLED_NS (30 * JP_NS_PER_S) // a connection this old holds

void jp_posting_link_config(const struct jp_config *config, const char *device, struct jp_posting_topics *store,
                            struct jp_link_config *out)
{
    int n = 0;

    memset(store, 0, sizeof *store);
    if (jp_config_password(config, store->password, sizeof store->password) < 0)
        store->password[0] = '\0'; // checked when the configuration was read
    snprintf(store->client_id, sizeof store->client_id, "%s%s", config->mqtt.client_id[0] ? "" : "joulepost-",
             config->mqtt.client_id[0] ? config->mqtt.client_id : device);
    *out = (struct jp_link_config){
        .url = config->mqtt.url,
        .version = config->mqtt.version,
        .client_id = store->client_id,
        .username = config->mqtt.username,
        .password = store->password,
        .ca_file = config->mqtt.ca_file,
        .cert_file = config->mqtt.cert_file,
        .key_file = config->mqtt.key_file,
        .keepalive_s = config->mqtt.keepalive_s,
        .retry_max_s = config->mqtt.retry_max_s,
        .ack_timeout_s = config->mqtt.ack_timeout_s,
        .will_topic = store->will_topic,
        .will_payload = JP_PAYLOAD_OFFLINE,
    };
    jp_topic_leaf(store->will_topic, sizeof store->will_topic, config->mqtt.root, device, JP_LEAF_STATUS);
    if (config->location.zone[0]) {
        jp_topic_grid(store->subscriptions[n], JP_TOPIC_MAX, config->mqtt.root, config->location.zone);
        out->subscriptions[n] = store->subscriptions[n];
        n++;
    }
    if (config->mqtt.command_count > 0) {
        jp_topic_leaf(store->subscriptions[n], JP_TOPIC_MAX, config->mqtt.root, device, JP_LEAF_CMD);
        out->subscriptions[n] = store->subscriptions[n];
        n++;
    }
    if (config->mqtt.release == JP_RELEASE_COLLECTOR) {
        jp_topic_leaf(store->subscriptions[n], JP_TOPIC_MAX, config->mqtt.root, device, JP_LEAF_ACK);
        out->subscriptions[n] = store->subscriptions[n];
        n++;
    }
    // Our own last word, until the registers are known to be beyond it.
    jp_topic_leaf(store->subscriptions[n], JP_TOPIC_MAX, config->mqtt.root, device, JP_LEAF_LIVE);
    out->subscriptions[n] = store->subscriptions[n];
}

// Says a complaint once, until a connection has held.
static void complain(struct jp_post *post, const char *what, const char *text)
{
    const int most = (int)(sizeof post->said / sizeof post->said[0]);

    if (!text[0])
        text = "no reason given";
    for (int i = 0; i < most; i++)
        if (strcmp(post->said[i], text) == 0)
            return;
    snprintf(post->said[post->said_count++ % most], sizeof post->said[0], "%s", text);
    jp_log_warning("%s: %s", what, text);
}

static void judge_connection(struct jp_post *post)
{
    if (!post->up || post->settled || jp_post_now_ns(post) - post->up_ns < SETTLED_NS)
        return;
    post->settled = true;
    memset(post->said, 0, sizeof post->said);
    if (post->flapping)
        jp_log_info("the connection to %s holds again", post->in->config->mqtt.url);
    post->flapping = false;
}

static void on_up(struct jp_post *post, const struct jp_news *news)
{
    int64_t now = jp_post_now_ns(post);

    if (!post->flapping)
        jp_log_info("connected to %s", post->in->config->mqtt.url);
    if (news->reason)
        complain(post, "subscription", news->text);
    post->up = true;
    post->down_why[0] = '\0';
    post->up_ns = now;
    post->settled = false;
    post->max_packet = news->max_packet ? news->max_packet : UINT32_MAX;
    post->status_due = post->meta_due = true;
    post->live_sent = false;
    post->next_live_ns = post->item.next_ns = now;
    post->tries = 0;
    post->retained.fenced = false;
    jp_post_again(post);
    jp_post_read(post);
}

static void on_down(struct jp_post *post, const char *text)
{
    judge_connection(post);
    post->flapping = post->flapping || !post->settled;
    post->up = false;
    snprintf(post->down_why, sizeof post->down_why, "%s", text);
    complain(post, "connection lost", text);
}

static void on_news(struct jp_post *post, struct jp_news *news)
{
    switch (news->kind) {
    case JP_NEWS_UP:
        on_up(post, news);
        break;
    case JP_NEWS_DOWN:
        on_down(post, news->text);
        break;
    case JP_NEWS_REFUSED:
        post->up = false;
        memcpy(post->down_why, news->text, sizeof post->down_why);
        complain(post, "cannot connect", news->text);
        break;
    case JP_NEWS_DELIVERED:
        jp_post_delivered(post);
        break;
    case JP_NEWS_FAILED:
        jp_post_failed(post, news->reason, news->text);
        break;
    case JP_NEWS_INCOMING:
        jp_post_incoming(post, news);
        break;
    }
    free(news->payload);
    news->payload = NULL;
}

void jp_post_take_news(struct jp_post *post)
{
    struct jp_news news = {.payload = NULL};

    judge_connection(post);
    while (post->in->link && post->in->link->next(post->in->link, &news)) {
        on_news(post, &news);
        news = (struct jp_news){.payload = NULL};
    }
}
