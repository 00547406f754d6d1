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

#define DRAIN_NS (5 * JP_NS_PER_S) // at the end, for what meter has sealed
#define GOODBYE_MS 3000            // for the last status: together under 10 s
#define IDLE_NS (60 * JP_NS_PER_S) // without a link nothing is due

static_assert((int)JP_BLOCK_MV == (int)JP_COLUMN_MV && (int)JP_BLOCK_MA == (int)JP_COLUMN_MA &&
                  (int)JP_BLOCK_PEAK == (int)JP_COLUMN_PEAK,
              "the configured columns are handed to the packer as they are");

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

static void sooner(int64_t *until, int64_t ns)
{
    if (ns < *until)
        *until = ns;
}

static int64_t deadline(const struct jp_post *post)
{
    int64_t until = jp_post_now_ns(post) + (post->watchdog_ns > 0 ? post->watchdog_ns : IDLE_NS);

    sooner(&until, jp_post_store_at(post));
    sooner(&until, jp_post_state_at(post));
    if (post->store.open && post->store.spool.cursor_moved && !post->store.spool.error)
        sooner(&until, post->store.tend_ns);
    if (post->wake_fd < 0) // nobody can call us
        sooner(&until, jp_post_now_ns(post) + post->in->config->mqtt.live_s * JP_NS_PER_S);
    if (!post->up)
        return until;
    if (jp_post_registers_wait(post) && post->head_run_known)
        sooner(&until, jp_post_registers_at(post));
    if (!jp_post_live_held(post))
        sooner(&until, post->next_live_ns);
    if (post->sending != JP_POST_IDLE)
        return until;
    sooner(&until, jp_post_ack_at(post));
    sooner(&until, post->next_status_ns);
    if (post->item_waits)
        sooner(&until, post->item.next_ns);
    if (post->meta_due && post->meta.next_ns > 0)
        sooner(&until, post->meta.next_ns);
    if (post->aside_count > 0)
        sooner(&until, post->beside.next_ns);
    return until;
}

// What is due whether or not the link is up.
static void upkeep(struct jp_post *post)
{
    int64_t now = jp_post_now_ns(post);

    if (now >= jp_post_store_at(post) && jp_post_store(post) == 0 && post->stalled)
        jp_post_read(post);
    jp_post_store_tend(post);
    if (now >= jp_post_state_at(post))
        jp_post_state_save(post, false);
    jp_post_registers_tend(post);
    if (post->up && post->sending == JP_POST_IDLE && now >= jp_post_ack_at(post))
        jp_post_again(post);
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
    else if ((post->up || post->wake_fd < 0) && jp_post_now_ns(post) >= post->next_live_ns)
        jp_post_read(post);
    jp_post_take_news(post);
    upkeep(post);
    jp_post_pump(post);
    jp_post_tell(post);
    return 0;
}

// Whether the end may still wait for the link: not for a backlog, which stays where it is.
static bool is_sending(struct jp_post *post)
{
    if (!post->up)
        return false;
    return post->sending != JP_POST_IDLE || (jp_post_front(post) == &post->fresh && !post->in->config->spool.keep_all);
}

// What is left goes to flash, as far as it is closed.
static void store_rest(struct jp_post *post)
{
    int before, lost;

    do {
        before = post->fresh.count;
        jp_post_read(post);
    } while (post->store.open && jp_post_store(post) == 0 && (post->stalled || post->fresh.count != before));
    if (post->fresh.count > 0)
        jp_log_error("%d blocks, events and gaps could not be stored: they wait in %s", post->fresh.count,
                     post->in->config->paths_hot);
    lost = jp_post_aside_store(post);
    if (lost > 0)
        jp_log_error("%d %s that the broker refused end with this process", lost,
                     lost == 1 ? "event or gap" : "events and gaps");
}

// Sends what meter has sealed, for a bounded time, and stores the rest.
static void finish(struct jp_post *post)
{
    int64_t end = jp_post_now_ns(post) + DRAIN_NS;

    jp_post_read(post);
    jp_post_pump(post);
    while (jp_post_now_ns(post) < end && is_sending(post)) {
        int64_t until = deadline(post);

        if (turn(post, until < end ? until : end))
            return;
    }
    store_rest(post);
    jp_post_state_save(post, true);
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

    if (rc < 0)
        return rc;
    jp_post_state_open(post);
    jp_registers_price(&post->registers, &post->factor, config->location.pue);
    rc = jp_post_store_open(post); // what is stored proves more of the registers' run
    if (rc == -EWOULDBLOCK)
        jp_log_error("%s is in use by another process: stop it, or name another folder in paths.spool",
                     config->paths_spool);
    if (rc == 0)
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
    jp_topic_leaf(post->live_topic, JP_TOPIC_MAX, config->mqtt.root, post->in->device, JP_LEAF_LIVE);
    jp_topic_leaf(post->ack_topic, JP_TOPIC_MAX, config->mqtt.root, post->in->device, JP_LEAF_ACK);
    if (!post->in->link)
        jp_log_info("no mqtt.url: nothing is published; history is kept in %s, bounded by spool.max_bytes (%lld)",
                    config->paths_spool, (long long)config->spool.max_bytes);
    jp_post_registers_open(post);
    jp_post_state_save(post, false);
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
    post->fresh.bytes = malloc(JP_POST_QUEUE_BYTES);
    post->fresh.run = &post->run;
    post->backlog.bytes = malloc(JP_POST_QUEUE_BYTES);
    post->backlog.run = &post->backlog_run;
    post->next_run = malloc(JP_POST_RECORD_MAX);
    post->message = malloc(JP_MESSAGE_MAX);
    post->live = malloc(JP_MESSAGE_MAX);
    post->run_payload = malloc(JP_POST_RECORD_MAX);
    post->run_before_payload = malloc(JP_POST_RECORD_MAX);
    post->limit = INT_MAX;
    post->newest_ns = jp_post_now_ns(post);
    post->status_as_sent.clock = JP_CLOCK_ESTIMATED; // of no status yet
    jp_config_factor(in->config, &post->factor);
    post->factor_fixed = in->config->location.intensity_g_per_kwh >= 0 || in->config->location.mix_count > 0;
    jp_registers_init(&post->registers, in->entropy->u64(in->entropy));
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
    jp_post_store_close(post);
    jp_post_state_close(post);
    free(post->fresh.bytes);
    free(post->backlog.bytes);
    free(post->next_run);
    free(post->run_payload);
    free(post->run_before_payload);
    free(post->live);
    if (post->sending != JP_POST_IDLE)
        return; // a thread left behind may still hold the message and its topic; the process ends
    free(post->message);
    free(post);
}

static bool is_whole(const struct jp_post *post)
{
    return post->fresh.bytes && post->backlog.bytes && post->next_run && post->message && post->live &&
           post->run_payload && post->run_before_payload;
}

int jp_posting_run(const struct jp_posting *posting)
{
    struct jp_post *post = create(posting);
    int rc = -ENOMEM;

    if (post && is_whole(post)) {
        jp_notify_state(post->notify_fd, "READY=1"); // a service's meter waits for it, and not for a slow disk
        rc = prepare(post);
    }
    if (rc == 0) {
        jp_post_read(post);
        jp_post_tell(post);
        while (rc == 0 && !*posting->stop)
            rc = turn(post, deadline(post));
        jp_notify_state(post->notify_fd, "STOPPING=1");
        if (rc == 0)
            finish(post);
        jp_post_tell_end(post);
    } else if (post && rc != -EWOULDBLOCK) {
        jp_log_error("cannot use %s: %s", posting->config->paths_hot, strerror(-rc));
    }
    if (post) {
        goodbye(post);
        destroy(post);
    }
    return rc;
}
