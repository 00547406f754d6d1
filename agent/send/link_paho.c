// SPDX-License-Identifier: Apache-2.0
// The link over Eclipse Paho C: a thread that dials, serves, waits and dials again.
#define _GNU_SOURCE
#include "clock.h"
#include "link_internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STACK_BYTES = 512 * 1024, // name lookup and TLS; only touched pages count
    LAST_MESSAGE_S = 3,
    BRIEF_S = 5, // twice in a row: somebody else may use our client id
};

struct paho_link {
    struct jp_link link;
    struct jp_link_config config;
    struct jp_link_mailbox box;
    struct jp_link_session session;
    struct jp_link_backoff backoff;
    pthread_t thread;
    int brief; // connections in a row that ended soon
};

static int64_t now_ns(void)
{
    return jp_clock_real.mono_ns(&jp_clock_real);
}

static void sleep_until(struct paho_link *self, int64_t until_ns)
{
    while (!jp_link_mailbox_stopping(&self->box) && now_ns() < until_ns) {
        struct pollfd bell = {self->box.wake_fd, POLLIN, 0};

        if (jp_clock_real.wait(&jp_clock_real, &bell, 1, until_ns) > 0)
            jp_link_mailbox_awake(&self->box);
    }
}

// True when it was delivered.
static bool publish_one(struct paho_link *self, const struct jp_message *message)
{
    int64_t until = now_ns() + self->config.ack_timeout_s * JP_NS_PER_S;
    struct jp_news news;

    jp_link_session_publish(&self->session, message, until, &news);
    // Whatever is unacknowledged now stays so: nothing more may follow it on this connection.
    if (news.kind == JP_NEWS_FAILED && news.reason == 0)
        jp_link_session_hang_up(&self->session, false);
    if (message->aside)
        free((void *)message->payload);
    else
        jp_link_mailbox_post(&self->box, &news);
    return news.kind == JP_NEWS_DELIVERED;
}

static void report_down(struct paho_link *self, int64_t lived_ns)
{
    const char *text = "the broker or the network ended the connection";

    self->brief = lived_ns < BRIEF_S * JP_NS_PER_S ? self->brief + 1 : 0;
    if (self->brief >= 2)
        text =
            "the broker or the network ended the connection, again at once (does another device use this client id?)";
    jp_link_mailbox_down(&self->box, text);
}

// From UP until the connection or the link ends.
static void serve(struct paho_link *self)
{
    int64_t start = now_ns();
    bool proven = false;

    while (jp_link_session_connected(&self->session) && !jp_link_mailbox_stopping(&self->box)) {
        struct jp_message message;

        jp_link_session_unsubscribe(&self->session);
        if (jp_link_mailbox_take(&self->box, &message)) {
            proven = (publish_one(self, &message) && message.proof) || proven;
            continue;
        }
        jp_link_session_wait(&self->session, now_ns() + JP_NS_PER_S * 3600);
    }
    if (jp_link_backoff_proven(now_ns() - start, proven))
        jp_link_backoff_reset(&self->backoff);
    if (!jp_link_session_connected(&self->session))
        report_down(self, now_ns() - start);
}

// The goodbye. Without it the broker is to publish the will, so the connection then ends without DISCONNECT.
static void part(struct paho_link *self)
{
    int64_t until = now_ns() + LAST_MESSAGE_S * JP_NS_PER_S;
    struct jp_news news = {.kind = JP_NEWS_DELIVERED};
    struct jp_message last;

    if (!jp_link_session_connected(&self->session))
        return;
    if (jp_link_mailbox_last(&self->box, &last))
        jp_link_session_publish(&self->session, &last, until, &news);
    jp_link_session_hang_up(&self->session, news.kind == JP_NEWS_DELIVERED);
}

static void *run(void *context)
{
    struct paho_link *self = context;

    while (!jp_link_mailbox_stopping(&self->box)) {
        struct jp_news news;
        bool up;

        jp_link_mailbox_dialing(&self->box, true);
        up = jp_link_session_dial(&self->session, &news);
        jp_link_mailbox_dialing(&self->box, false);
        jp_link_mailbox_post(&self->box, &news);
        if (up)
            serve(self);
        if (jp_link_mailbox_stopping(&self->box))
            break;
        jp_link_session_hang_up(&self->session, false);
        sleep_until(self, now_ns() + jp_link_backoff_next_ms(&self->backoff, self->config.retry_max_s) * JP_NS_PER_MS);
    }
    part(self);
    jp_link_session_destroy(&self->session);
    jp_link_mailbox_end(&self->box);
    return NULL;
}

static int send_message(struct jp_link *link, const struct jp_message *message)
{
    return jp_link_mailbox_send(&((struct paho_link *)link)->box, message);
}

static int unsubscribe_filter(struct jp_link *link, const char *filter)
{
    struct paho_link *self = (struct paho_link *)link;

    for (int i = 0; i < JP_LINK_SUBSCRIPTIONS_MAX && self->config.subscriptions[i]; i++) {
        if (strcmp(self->config.subscriptions[i], filter) != 0)
            continue;
        jp_link_mailbox_unwant(&self->box, i);
        return 0;
    }
    return -ENOENT;
}

static int news_fd(const struct jp_link *link)
{
    return ((const struct paho_link *)link)->box.news_fd;
}

static bool next_news(struct jp_link *link, struct jp_news *news)
{
    return jp_link_mailbox_next(&((struct paho_link *)link)->box, news);
}

static void stop_link(struct jp_link *link, const struct jp_message *last, int timeout_ms)
{
    struct paho_link *self = (struct paho_link *)link;

    if (!jp_link_mailbox_stop(&self->box, last, timeout_ms)) {
        pthread_detach(self->thread); // it may still use all of self
        return;
    }
    pthread_join(self->thread, NULL);
    jp_link_mailbox_free(&self->box);
    free(self);
}

static int start_thread(struct paho_link *self)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int rc;

    // Signals are the owner's; a broken pipe is an error code here.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    rc = pthread_create(&self->thread, &attributes, run, self);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

static bool given(const char *text)
{
    return text && *text;
}

static int check(struct paho_link *self, char *error, size_t size)
{
    const struct jp_link_config *config = &self->config;

    if (jp_link_url_parse(config->url, &self->session.url, error, size))
        return -1;
    if (self->session.url.tls)
        return jp_link_tls_check(config, error, size);
    if (given(config->ca_file) || given(config->cert_file) || given(config->key_file)) {
        snprintf(error, size, "mqtt.ca_file, cert_file and key_file need mqtts:// or wss://");
        return -1;
    }
    return 0;
}

struct jp_link *jp_link_paho(const struct jp_link_config *config, char *error, size_t error_size)
{
    struct paho_link *self = calloc(1, sizeof *self);

    if (!self || jp_link_mailbox_init(&self->box)) {
        snprintf(error, error_size, "no memory or descriptors for the MQTT link");
        free(self);
        return NULL;
    }
    // A thread left behind in stop() must not find OpenSSL torn down at exit. Paho would send plain MQTT
    // through an HTTP proxy of the environment.
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    self->link = (struct jp_link){
        .send = send_message, .unsubscribe = unsubscribe_filter, .fd = news_fd, .next = next_news, .stop = stop_link};
    self->config = *config;
    self->session.config = &self->config;
    self->session.box = &self->box;
    jp_jitter_seed(&self->backoff.jitter, jp_entropy_real.u64(&jp_entropy_real));
    if (check(self, error, error_size) || jp_link_session_create(&self->session, error, error_size))
        goto fail;
    if (start_thread(self)) {
        snprintf(error, error_size, "the MQTT link's thread did not start");
        jp_link_session_destroy(&self->session);
        goto fail;
    }
    return &self->link;
fail:
    jp_link_mailbox_free(&self->box);
    free(self);
    return NULL;
}
