// SPDX-License-Identifier: Apache-2.0
// The post half as a loop: peek, pack, publish, acknowledged, release.
#define _GNU_SOURCE
#include "posting_parts.h"

#include "log.h"
#include "notify.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DRAIN_NS (5 * JP_NS_PER_S)    // at the end, for what meter has sealed
#define GOODBYE_MS 3000               // for the last status: together under 10 s
#define SETTLED_NS (30 * JP_NS_PER_S) // a connection this old holds
#define IDLE_NS (60 * JP_NS_PER_S)    // without a link nothing is due

static_assert((int)JP_BLOCK_MV == (int)JP_COLUMN_MV && (int)JP_BLOCK_MA == (int)JP_COLUMN_MA &&
                  (int)JP_BLOCK_PEAK == (int)JP_COLUMN_PEAK,
              "the configured columns are handed to the packer as they are");

static int64_t now_ns(const struct jp_post *post)
{
    return post->in->clock->mono_ns(post->in->clock);
}

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
    }
}

// A datagram socket of ours in paths.hot; one that a killed post left behind is replaced. -1: done without.
static int open_wake(const char *dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/wake", dir);
    struct stat st;
    mode_t mask;
    int fd, rc;

    if (n < 0 || (size_t)n >= sizeof address.sun_path)
        return -1;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (lstat(address.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(address.sun_path);
    mask = umask(0117); // not chmod: by then the name could stand for another file
    rc = bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(mask);
    if (rc) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool drain_wake(int fd)
{
    char byte[16];
    bool any = false;

    for (int i = 0; i < 64 && recv(fd, byte, sizeof byte, MSG_DONTWAIT) >= 0; i++)
        any = true;
    return any;
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
    if (!post->up || post->settled || now_ns(post) - post->up_ns < SETTLED_NS)
        return;
    post->settled = true;
    memset(post->said, 0, sizeof post->said);
    if (post->flapping)
        jp_log_info("the connection to %s holds again", post->in->config->mqtt.url);
    post->flapping = false;
}

static void on_up(struct jp_post *post, const struct jp_news *news)
{
    int64_t now = now_ns(post);

    if (!post->flapping)
        jp_log_info("connected to %s", post->in->config->mqtt.url);
    if (news->reason)
        complain(post, "subscription", news->text);
    post->up = true;
    post->up_ns = now;
    post->settled = false;
    post->max_packet = news->max_packet ? news->max_packet : UINT32_MAX;
    post->status_due = post->meta_due = true;
    post->live_sent = false;
    post->next_live_ns = post->item.next_ns = now;
    post->tries = 0;
    jp_post_read(post);
}

static void on_down(struct jp_post *post, const char *text)
{
    judge_connection(post);
    post->flapping = post->flapping || !post->settled;
    post->up = false;
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

static void take_news(struct jp_post *post)
{
    struct jp_news news = {.payload = NULL};

    while (post->in->link && post->in->link->next(post->in->link, &news)) {
        on_news(post, &news);
        news = (struct jp_news){.payload = NULL};
    }
}

static int64_t deadline(const struct jp_post *post)
{
    int64_t until = now_ns(post) + (post->watchdog_ns > 0 ? post->watchdog_ns : IDLE_NS);

    if (!post->up)
        return until;
    if (!jp_post_live_held(post) && post->next_live_ns < until)
        until = post->next_live_ns;
    if (post->sending != JP_POST_IDLE)
        return until;
    if (post->next_status_ns < until)
        until = post->next_status_ns;
    if (post->item_count > 0 && post->item.next_ns < until)
        until = post->item.next_ns;
    if (post->meta_due && post->meta.next_ns > 0 && post->meta.next_ns < until)
        until = post->meta.next_ns;
    if (post->aside_count > 0 && post->beside.next_ns < until)
        until = post->beside.next_ns;
    return until;
}

// One wait and what came of it. 0, or what the clock's wait says is wrong.
static int turn(struct jp_post *post, int64_t until)
{
    struct pollfd fds[2] = {{.fd = post->wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    int rc;

    if (post->in->link)
        fds[1].fd = post->in->link->fd(post->in->link);
    if (post->watchdog_ns > 0)
        jp_notify_state(post->notify_fd, "WATCHDOG=1");
    rc = post->in->clock->wait(post->in->clock, fds, 2, until);
    if (rc < 0 && rc != -EINTR)
        return rc;
    if (jp_post_cursor_gone(post)) {
        jp_log_error("%s was emptied or removed: beginning anew", post->in->config->paths_hot);
        return -ESTALE;
    }
    if ((fds[0].revents & POLLIN) && drain_wake(post->wake_fd))
        jp_post_read(post);
    else if (post->up && now_ns(post) >= post->next_live_ns)
        jp_post_read(post);
    judge_connection(post);
    take_news(post);
    jp_post_pump(post);
    return 0;
}

// Sends what meter has sealed, for a bounded time.
static void finish(struct jp_post *post)
{
    int64_t end = now_ns(post) + DRAIN_NS;

    jp_post_read(post);
    jp_post_pump(post);
    while (post->up && now_ns(post) < end && (post->item_count > 0 || post->sending != JP_POST_IDLE)) {
        int64_t until = deadline(post);

        if (turn(post, until < end ? until : end))
            break;
    }
}

static void goodbye(struct jp_post *post)
{
    struct jp_message last = {
        .topic = post->topic,
        .payload = JP_PAYLOAD_OFFLINE,
        .size = strlen(JP_PAYLOAD_OFFLINE),
        .qos = 1,
        .retained = true,
        .content_type = "application/json",
    };
    char topic[JP_TOPIC_MAX];

    if (!post->in->link)
        return;
    if (jp_topic_leaf(topic, sizeof topic, post->in->config->mqtt.root, post->in->device, JP_LEAF_STATUS) == 0)
        last.topic = topic; // post->topic may still be borrowed
    post->in->link->stop(post->in->link, &last, GOODBYE_MS);
}

static int prepare(struct jp_post *post)
{
    const struct jp_config *config = post->in->config;
    int rc = jp_fs_make_dirs(post->in->fs, config->paths_hot, 02770);

    if (rc >= 0)
        rc = jp_post_cursor_open(post);
    if (rc == 0)
        rc = jp_hot_reader_open(&post->tail, post->in->fs, config->paths_hot, post->released);
    if (rc)
        return rc;
    post->head = post->tail.at;
    post->wake_fd = open_wake(config->paths_hot);
    if (post->wake_fd < 0)
        jp_log_warning("no wake socket in %s: %s; new data is seen every %d s", config->paths_hot, strerror(errno),
                       config->mqtt.live_s);
    if (config->location.zone[0])
        jp_topic_grid(post->grid_topic, JP_TOPIC_MAX, config->mqtt.root, config->location.zone);
    jp_topic_leaf(post->cmd_topic, JP_TOPIC_MAX, config->mqtt.root, post->in->device, JP_LEAF_CMD);
    if (!post->in->link)
        jp_log_info("no mqtt.url: nothing is published; history is bounded by hot.max_bytes (%lld)",
                    (long long)config->hot_max_bytes);
    return 0;
}

// The service manager hears of every turn of the loop, at least twice in its watchdog's time.
static void open_notify(struct jp_post *post)
{
    const char *usec = getenv("WATCHDOG_USEC");
    int64_t period_us = usec ? strtoll(usec, NULL, 10) : 0;

    if (!jp_notify_wanted())
        return;
    post->notify_fd = jp_notify_open();
    if (period_us > 0 && period_us < IDLE_NS / 1000)
        post->watchdog_ns = period_us * 1000 / 2;
    else if (period_us > 0)
        post->watchdog_ns = IDLE_NS / 2;
}

static struct jp_post *create(const struct jp_posting *in)
{
    struct jp_post *post = calloc(1, sizeof *post);

    if (!post)
        return NULL;
    post->in = in;
    post->wake_fd = post->tail.file.fd = post->ahead.file.fd = post->notify_fd = -1;
    open_notify(post);
    post->bytes = malloc(JP_POST_QUEUE_BYTES);
    post->message = malloc(JP_MESSAGE_MAX);
    post->live = malloc(JP_MESSAGE_MAX);
    post->run_payload = malloc(JP_POST_RECORD_MAX);
    post->limit = INT_MAX;
    post->newest_ns = now_ns(post);
    post->status_as_sent.clock = JP_CLOCK_ESTIMATED; // of no status yet
    jp_config_factor(in->config, &post->factor);
    post->factor_fixed = in->config->location.intensity_g_per_kwh >= 0 || in->config->location.mix_count > 0;
    jp_registers_init(&post->registers, in->entropy->u64(in->entropy));
    jp_registers_price(&post->registers, &post->factor, in->config->location.pue);
    return post;
}

static void destroy(struct jp_post *post)
{
    if (post->wake_fd >= 0)
        close(post->wake_fd);
    if (post->notify_fd >= 0)
        close(post->notify_fd);
    if (post->tail.file.buffer)
        jp_hot_reader_close(&post->tail);
    if (post->ahead.file.buffer)
        jp_hot_reader_close(&post->ahead);
    if (post->cursor_open)
        jp_slots_close(&post->cursor);
    jp_block_end(&post->block);
    for (int i = 0; i < post->aside_count; i++)
        free(post->aside[i].bytes);
    free(post->bytes);
    free(post->run_payload);
    free(post->live);
    if (post->sending != JP_POST_IDLE)
        return; // a thread left behind may still hold the message and its topic; the process ends
    free(post->message);
    free(post);
}

int jp_posting_run(const struct jp_posting *posting)
{
    struct jp_post *post = create(posting);
    int rc = post && post->bytes && post->message && post->live && post->run_payload ? prepare(post) : -ENOMEM;

    if (rc == 0) {
        jp_post_read(post);
        jp_notify_state(post->notify_fd, "READY=1");
        while (rc == 0 && !*posting->stop)
            rc = turn(post, deadline(post));
        jp_notify_state(post->notify_fd, "STOPPING=1");
        if (rc == 0)
            finish(post);
        if (post->aside_count > 0)
            jp_log_error("%d %s that the broker refused end with this process", post->aside_count,
                         post->aside_count == 1 ? "event or gap" : "events and gaps");
    } else if (post) {
        jp_log_error("cannot use %s: %s", posting->config->paths_hot, strerror(-rc));
    }
    if (post) {
        goodbye(post);
        destroy(post);
    }
    return rc;
}
