// SPDX-License-Identifier: Apache-2.0
// Live: the newest window, now. Its windows are chosen by number, so that they fall together with a block's last.
#include "posting_parts.h"

#include "log.h"

#include <errno.h>

#define APPEND_NS (50 * JP_NS_PER_MS) // from a window's last sample to its frame

// Every so many windows: live_s in windows, at least one.
static uint64_t every(const struct jp_post *post)
{
    int64_t window_ms = post->head_run.window_ms > 0 ? post->head_run.window_ms : 1;
    int64_t count = (1000LL * post->in->config->mqtt.live_s + window_ms / 2) / window_ms;

    return count > 0 ? (uint64_t)count : 1;
}

// A window is closed by the first sample after its end.
static int64_t grace_ns(const struct jp_post *post)
{
    return post->in->config->sampling.interval_ms * JP_NS_PER_MS + APPEND_NS;
}

static bool ready(const struct jp_post *post)
{
    uint64_t count = every(post);

    if (!post->newest_known || post->newest.run != post->head_run.id)
        return false;
    if (!post->live_sent || post->live_run != post->newest.run)
        return true;
    return (post->newest.seq + 1) / count > (post->live_seq + 1) / count;
}

// When the window that the next live is for should be in the hot spool.
static void expect_next(struct jp_post *post)
{
    const struct jp_clock *clock = post->in->clock;
    const struct jp_window *newest = &post->newest;
    uint64_t count = every(post);
    uint64_t windows = count - (newest->seq + 1) % count;
    int64_t closes_ms = newest->t0_ms + newest->span_ms + (int64_t)windows * post->head_run.window_ms;
    int64_t wait_ns = closes_ms * JP_NS_PER_MS - clock->boot_ns(clock) + grace_ns(post);
    int64_t most_ns = (int64_t)windows * post->head_run.window_ms * JP_NS_PER_MS + grace_ns(post);

    if (wait_ns > most_ns)
        wait_ns = most_ns; // a window of another boot's clock
    post->live_misses = 0;
    post->next_live_ns = clock->mono_ns(clock) + (wait_ns > grace_ns(post) ? wait_ns : grace_ns(post));
}

// Soon at first, for meter may only be late, at last every live_s, for it may be gone.
static void expect_again(struct jp_post *post)
{
    int64_t most_ns = post->in->config->mqtt.live_s * JP_NS_PER_S;
    int64_t wait_ns = grace_ns(post);

    for (int i = 0; i < post->live_misses && wait_ns < most_ns; i++)
        wait_ns *= 2;
    post->live_misses += wait_ns < most_ns;
    post->next_live_ns = post->in->clock->mono_ns(post->in->clock) + (wait_ns < most_ns ? wait_ns : most_ns);
}

static int message(struct jp_post *post)
{
    struct jp_records_head head;
    const struct jp_live live = {
        .head = &head,
        .run = &post->head_run,
        .window = &post->newest,
        .registers = &post->registers,
    };

    jp_post_head(post, &post->head_run, &post->latest, &head);
    return jp_payload_live(&live, (char *)post->live, jp_post_room(post));
}

// Neither a kill nor a power cut takes that subscribers saw them; a kill not even what they saw.
static void note_registers(struct jp_post *post)
{
    bool first = !post->registers.published;

    post->registers.published = true;
    if (first)
        jp_post_state_save(post, false);
    else
        jp_post_state_note(post);
}

static void publish(struct jp_post *post)
{
    char topic[JP_TOPIC_MAX];
    int size = message(post);
    struct jp_message out = {
        .topic = topic,
        .payload = post->live,
        .size = (size_t)(size > 0 ? size : 0),
        .qos = 0,
        .retained = true,
        .content_type = "application/json",
        .aside = true,
    };
    int rc;

    if (size > 0)
        note_registers(post);
    rc = size < 0 ? size
                  : jp_topic_leaf(topic, sizeof topic, post->in->config->mqtt.root, post->in->device, JP_LEAF_LIVE);

    if (rc == 0)
        rc = post->in->link->send(post->in->link, &out);
    if (rc == -EMSGSIZE && !post->live_sent)
        jp_log_warning("live is larger than the broker's largest packet and is left out");
    post->live_sent = true;
    post->live_run = post->newest.run;
    post->live_seq = post->newest.seq;
}

bool jp_post_live_held(const struct jp_post *post)
{
    if (jp_post_registers_wait(post))
        return true;
    return !post->live_sent && (post->status_due || jp_post_meta_ready(post) || post->sending == JP_POST_STATUS ||
                                post->sending == JP_POST_META);
}

void jp_post_live(struct jp_post *post)
{
    bool is_ready = ready(post);

    if (!post->up || jp_post_live_held(post))
        return;
    if (!is_ready && post->in->clock->mono_ns(post->in->clock) < post->next_live_ns)
        return;
    post->status_due |= jp_post_status_changed(post);
    if (!is_ready) {
        expect_again(post);
        return;
    }
    publish(post);
    expect_next(post);
}
