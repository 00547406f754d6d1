// SPDX-License-Identifier: Apache-2.0
// The mailbox between the owner of a link and its thread: one message in, news out, an eventfd each way.
#define _GNU_SOURCE
#include "clock.h"
#include "link_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void ring_bell(int fd)
{
    // Non-blocking: it could only fail at 2^64 - 1 unread rings, and is readable then anyway.
    (void)!eventfd_write(fd, 1);
}

// False when it was silent.
static bool silence(int fd)
{
    eventfd_t rings;

    return eventfd_read(fd, &rings) == 0;
}

int jp_link_mailbox_init(struct jp_link_mailbox *box)
{
    pthread_condattr_t attributes;

    memset(box, 0, sizeof *box);
    box->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->wake_fd < 0)
        return -errno;
    box->news_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->news_fd < 0) {
        int rc = -errno;

        close(box->wake_fd);
        return rc;
    }
    pthread_mutex_init(&box->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&box->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return 0;
}

void jp_link_mailbox_free(struct jp_link_mailbox *box)
{
    struct jp_news news;

    while (jp_link_mailbox_next(box, &news))
        free(news.payload);
    free((void *)box->apart.payload);
    close(box->wake_fd);
    close(box->news_fd);
    pthread_cond_destroy(&box->changed);
    pthread_mutex_destroy(&box->mutex);
}

// Payload and topic in one block.
static int copy_message(struct jp_message *copy, const struct jp_message *message)
{
    size_t topic = strlen(message->topic) + 1;
    uint8_t *block = malloc(message->size + topic);

    if (!block)
        return -ENOMEM;
    memcpy(block, message->payload, message->size);
    memcpy(block + message->size, message->topic, topic);
    *copy = *message;
    copy->payload = block;
    copy->topic = (const char *)block + message->size;
    return 0;
}

// A message lies here not taken: the thread was called for it already.
static bool pending(const struct jp_link_mailbox *box)
{
    return box->waiting || box->apart.payload;
}

// Bells are rung with the mutex free, as who hears them takes it at once.
static int send_aside(struct jp_link_mailbox *box, const struct jp_message *message)
{
    struct jp_message copy;
    const void *unused;
    bool up, ring;
    int rc = copy_message(&copy, message);

    if (rc)
        return rc;
    pthread_mutex_lock(&box->mutex);
    up = box->up && !box->stop_ns;
    unused = up ? box->apart.payload : copy.payload;
    ring = up && !pending(box);
    if (up)
        box->apart = copy;
    pthread_mutex_unlock(&box->mutex);
    if (ring)
        ring_bell(box->wake_fd);
    free((void *)unused);
    return up ? 0 : -ENOTCONN;
}

int jp_link_mailbox_send(struct jp_link_mailbox *box, const struct jp_message *message)
{
    bool ring = false;
    int rc = 0;

    if (message->aside)
        return send_aside(box, message);

    pthread_mutex_lock(&box->mutex);
    if (box->busy) {
        rc = -EBUSY;
    } else if (!box->up || box->stop_ns) {
        rc = -ENOTCONN;
    } else {
        ring = !pending(box);
        box->outgoing = *message;
        box->busy = box->waiting = true;
    }
    pthread_mutex_unlock(&box->mutex);
    if (ring)
        ring_bell(box->wake_fd);
    return rc;
}

bool jp_link_mailbox_next(struct jp_link_mailbox *box, struct jp_news *news)
{
    bool any;

    pthread_mutex_lock(&box->mutex);
    any = box->count > 0;
    if (any) {
        *news = box->ring[box->first];
        box->first = (box->first + 1) % JP_LINK_NEWS_MAX;
        box->count--;
        pthread_cond_broadcast(&box->changed);
    }
    // News are seen before their bell is heard where it rings late: then it is silenced next time.
    if (box->count == 0 && box->ringing)
        box->ringing = !silence(box->news_fd);
    pthread_mutex_unlock(&box->mutex);
    return any;
}

void jp_link_mailbox_unwant(struct jp_link_mailbox *box, int subscription)
{
    pthread_mutex_lock(&box->mutex);
    box->unwanted |= 1U << subscription;
    pthread_mutex_unlock(&box->mutex);
    ring_bell(box->wake_fd);
}

// Sooner than the deadline where waiting is useless: a dial cannot be interrupted and has nothing to send.
static int64_t patience(const struct jp_link_mailbox *box, int64_t start_ns, int64_t until_ns)
{
    int64_t soon = start_ns + JP_NS_PER_S;

    return box->dialing && soon < until_ns ? soon : until_ns;
}

bool jp_link_mailbox_stop(struct jp_link_mailbox *box, const struct jp_message *last, int timeout_ms)
{
    int64_t start = jp_clock_real.mono_ns(&jp_clock_real);
    int64_t until_ns;
    bool ended;

    pthread_mutex_lock(&box->mutex);
    box->has_last = last != NULL;
    if (last)
        box->last = *last;
    until_ns = start + timeout_ms * JP_NS_PER_MS;
    box->stop_ns = start + timeout_ms * JP_NS_PER_MS / 10 * 9; // leaves the thread time to end
    ring_bell(box->wake_fd);
    pthread_cond_broadcast(&box->changed);
    while (!box->ended) {
        int64_t until = patience(box, start, until_ns);
        struct timespec t = {(time_t)(until / JP_NS_PER_S), (long)(until % JP_NS_PER_S)};

        if (pthread_cond_timedwait(&box->changed, &box->mutex, &t) == ETIMEDOUT)
            break;
    }
    ended = box->ended;
    box->has_last = false;
    pthread_mutex_unlock(&box->mutex);
    return ended;
}

static void drop(const struct jp_news *news)
{
    free(news->payload);
}

void jp_link_mailbox_post(struct jp_link_mailbox *box, const struct jp_news *news)
{
    bool ring = false;

    pthread_mutex_lock(&box->mutex);
    while (box->count == JP_LINK_NEWS_MAX && !box->stop_ns)
        pthread_cond_wait(&box->changed, &box->mutex);
    if (news->kind == JP_NEWS_UP)
        box->up = true;
    if (news->kind == JP_NEWS_DELIVERED || news->kind == JP_NEWS_FAILED)
        box->busy = false;
    if (box->count == JP_LINK_NEWS_MAX) {
        drop(news); // stopping: nobody takes news any more
    } else {
        box->ring[(box->first + box->count) % JP_LINK_NEWS_MAX] = *news;
        box->count++;
        ring = !box->ringing;
        box->ringing = true;
    }
    pthread_mutex_unlock(&box->mutex);
    if (ring)
        ring_bell(box->news_fd);
}

void jp_link_mailbox_down(struct jp_link_mailbox *box, const char *text)
{
    struct jp_news news = {.kind = JP_NEWS_FAILED};
    bool waiting;

    snprintf(news.text, sizeof news.text, "%s", text);
    pthread_mutex_lock(&box->mutex);
    box->up = false;
    waiting = box->waiting;
    box->waiting = false;
    free((void *)box->apart.payload);
    box->apart.payload = NULL;
    pthread_mutex_unlock(&box->mutex);
    if (waiting)
        jp_link_mailbox_post(box, &news);
    news.kind = JP_NEWS_DOWN;
    jp_link_mailbox_post(box, &news);
}

bool jp_link_mailbox_take(struct jp_link_mailbox *box, struct jp_message *message)
{
    bool any = true;

    pthread_mutex_lock(&box->mutex);
    if (box->apart.payload) {
        *message = box->apart;
        box->apart.payload = NULL;
    } else if (box->waiting) {
        *message = box->outgoing;
        box->waiting = false;
    } else {
        any = false;
    }
    pthread_mutex_unlock(&box->mutex);
    return any;
}

bool jp_link_mailbox_last(struct jp_link_mailbox *box, struct jp_message *message)
{
    bool any;

    pthread_mutex_lock(&box->mutex);
    any = box->has_last;
    if (any)
        *message = box->last;
    pthread_mutex_unlock(&box->mutex);
    return any;
}

unsigned jp_link_mailbox_unwanted(struct jp_link_mailbox *box)
{
    unsigned unwanted;

    pthread_mutex_lock(&box->mutex);
    unwanted = box->unwanted;
    pthread_mutex_unlock(&box->mutex);
    return unwanted;
}

int64_t jp_link_mailbox_stopping(struct jp_link_mailbox *box)
{
    int64_t stop_ns;

    pthread_mutex_lock(&box->mutex);
    stop_ns = box->stop_ns;
    pthread_mutex_unlock(&box->mutex);
    return stop_ns;
}

void jp_link_mailbox_dialing(struct jp_link_mailbox *box, bool dialing)
{
    pthread_mutex_lock(&box->mutex);
    box->dialing = dialing;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->mutex);
}

void jp_link_mailbox_end(struct jp_link_mailbox *box)
{
    pthread_mutex_lock(&box->mutex);
    box->ended = true;
    pthread_cond_broadcast(&box->changed);
    pthread_mutex_unlock(&box->mutex);
}

void jp_link_mailbox_awake(struct jp_link_mailbox *box)
{
    silence(box->wake_fd);
}
