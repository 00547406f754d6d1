// SPDX-License-Identifier: Apache-2.0
// One message under way at a time, until all is sent.
#include "upload.h"

#include "clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SAVE_NS JP_NS_PER_S
#define GRACE_NS (2 * JP_NS_PER_S) // at a signal, for the acknowledgement under way
#define LOSSES_SPLIT 2             // under 3.1.1 a broker closes the connection upon what is too large
#define LOSSES_MAX 5

enum {
    REASON_TOO_LARGE = 0x95,
    // CONNACK reasons that no patience mends. MQTT 3.1.1: version, client id, user, not authorised.
    REFUSED_VERSION = 1,
    REFUSED_CLIENT = 2,
    REFUSED_USER = 4,
    REFUSED_RIGHTS = 5,
    // MQTT 5: version, client id, user, not authorised, banned, method.
    REFUSED_VERSION_5 = 0x84,
    REFUSED_RIGHTS_5 = 0x87,
    REFUSED_BANNED_5 = 0x8a,
    REFUSED_METHOD_5 = 0x8c,
};

static int64_t now_ns(void)
{
    return jp_clock_real.mono_ns(&jp_clock_real);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list args;

    jp_look_clear();
    fprintf(stderr, "%s: ", JP_UPLOAD_VERB);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static void complain(struct jp_upload *upload, const char *what, const char *text)
{
    if (strcmp(upload->said, text) == 0)
        return;
    snprintf(upload->said, sizeof upload->said, "%s", text);
    say("%s: %s; trying again", what, text);
}

static void save(struct jp_upload *upload)
{
    int rc = jp_upload_progress_save(upload->progress, upload->queue->done);

    upload->save_ns = now_ns() + SAVE_NS;
    if (rc && !upload->save_failed)
        say("how far it has come cannot be saved in %s: %s; going on", upload->progress->path, strerror(-rc));
    upload->save_failed = rc != 0;
}

static void show(const struct jp_upload *upload)
{
    const struct jp_upload_queue *queue = upload->queue;
    double seconds = (double)(now_ns() - upload->start_ns) / 1e9;
    char line[80];

    snprintf(line, sizeof line, "%" PRIu64 " of %" PRIu64 " blocks, %.0f/s", queue->skipped.blocks + queue->sent.blocks,
             queue->look->history.blocks, seconds > 0 ? (double)queue->sent.blocks / seconds : 0);
    jp_look_progress(line);
}

static void fail(struct jp_upload *upload)
{
    upload->ended = true;
    upload->sending = false;
}

static void too_large(struct jp_upload *upload, const char *why)
{
    static const char *const names[] = {
        [JP_ENTRY_BLOCK] = "a single block", [JP_ENTRY_EVENT] = "an event", [JP_ENTRY_GAP] = "a gap"};
    bool json = upload->config->mqtt.format == JP_RECORDS_JSON && upload->queue->sending == JP_ENTRY_BLOCK;

    say("%s for %s is larger than the broker takes (%s): raise its limit; the same command then goes on from here",
        json ? "a single window" : names[upload->queue->sending], upload->queue->topic, why);
    fail(upload);
}

// What is under way ------------------------------------------------------------------------------
static void on_delivered(struct jp_upload *upload)
{
    int rate = upload->config->mqtt.backlog_blocks_per_s;
    uint64_t before = upload->queue->sent.blocks;

    upload->sending = false;
    upload->losses = 0;
    upload->said[0] = '\0';
    jp_upload_queue_taken(upload->queue);
    if (rate > 0)
        upload->next_ns = now_ns() + (int64_t)(upload->queue->sent.blocks - before) * JP_NS_PER_S / rate;
    if (now_ns() >= upload->save_ns)
        save(upload);
    show(upload);
}

// Not known to have arrived.
static void on_lost(struct jp_upload *upload)
{
    bool smaller = ++upload->losses >= LOSSES_SPLIT && jp_upload_queue_split(upload->queue);

    if (smaller || upload->losses < LOSSES_MAX)
        return;
    say("the connection ended %d times while one message of %zu bytes for %s was under way: the broker may not take "
        "it; the same command goes on from here",
        upload->losses, upload->message.size, upload->queue->topic);
    fail(upload);
}

static void on_failed(struct jp_upload *upload, const struct jp_news *news)
{
    upload->sending = false;
    if (news->reason < 0x80) {
        on_lost(upload);
    } else if (news->reason != REASON_TOO_LARGE) {
        say("the broker refuses %s: %s (0x%02x); nothing more is sent, the same command goes on from here",
            upload->queue->topic, news->text, (unsigned)news->reason);
        fail(upload);
    } else if (!jp_upload_queue_split(upload->queue)) {
        too_large(upload, news->text);
    }
}

static bool is_final(int reason)
{
    return reason == REFUSED_VERSION || reason == REFUSED_CLIENT || reason == REFUSED_USER ||
           reason == REFUSED_RIGHTS || (reason >= REFUSED_VERSION_5 && reason <= REFUSED_RIGHTS_5) ||
           reason == REFUSED_BANNED_5 || reason == REFUSED_METHOD_5;
}

static void on_refused(struct jp_upload *upload, const struct jp_news *news)
{
    upload->up = false;
    if (!is_final(news->reason)) {
        complain(upload, "cannot connect", news->text);
        return;
    }
    say("%s does not let us in: %s; mend mqtt.* in %s", upload->config->mqtt.url, news->text,
        upload->config->path[0] ? upload->config->path : "the configuration");
    fail(upload);
}

static void on_news(struct jp_upload *upload, struct jp_news *news)
{
    switch (news->kind) {
    case JP_NEWS_UP:
        upload->up = true;
        upload->max_packet = news->max_packet ? news->max_packet : UINT32_MAX;
        break;
    case JP_NEWS_DOWN:
        upload->up = false;
        complain(upload, "connection lost", news->text);
        break;
    case JP_NEWS_REFUSED:
        on_refused(upload, news);
        break;
    case JP_NEWS_DELIVERED:
        on_delivered(upload);
        break;
    case JP_NEWS_FAILED:
        on_failed(upload, news);
        break;
    case JP_NEWS_INCOMING:
        break;
    }
    free(news->payload);
}

static void pump(struct jp_upload *upload)
{
    int rc;

    if (!upload->up || upload->sending || now_ns() < upload->next_ns)
        return;
    rc = jp_upload_queue_make(upload->queue, upload->max_packet, &upload->message);
    if (rc == 1) {
        upload->sending = upload->link->send(upload->link, &upload->message) == 0; // else DOWN follows
        upload->up = upload->sending;
    } else if (rc == 0) {
        upload->ended = true;
        upload->complete = !*upload->stop;
    } else if (rc == -EMSGSIZE) {
        too_large(upload, "its largest packet");
    } else {
        say("segment %" PRIu64 " at %" PRId64 ": cannot be made into a message: %s", upload->queue->done.segment,
            upload->queue->done.offset, strerror(-rc));
        fail(upload);
    }
}

static void wait(struct jp_upload *upload)
{
    struct pollfd fds[2] = {{upload->link->fd(upload->link), POLLIN, 0}, {upload->stop_fd, POLLIN, 0}};
    int64_t until = now_ns() + SAVE_NS;
    struct jp_news news;

    if (upload->up && !upload->sending && upload->next_ns < until)
        until = upload->next_ns;
    jp_clock_real.wait(&jp_clock_real, fds, *upload->stop ? 1 : 2, until);
    while (!upload->ended && upload->link->next(upload->link, &news))
        on_news(upload, &news);
}

// What was delivered meanwhile need not be sent again.
static void settle(struct jp_upload *upload)
{
    int64_t until = now_ns() + GRACE_NS;

    while (upload->sending && !upload->ended && now_ns() < until)
        wait(upload);
}

bool jp_upload_send(struct jp_upload *upload)
{
    upload->start_ns = now_ns();
    upload->save_ns = upload->start_ns + SAVE_NS;
    while (!upload->ended && !*upload->stop) {
        pump(upload);
        if (!upload->ended)
            wait(upload);
    }
    settle(upload);
    save(upload);
    jp_look_clear();
    return upload->complete;
}
