// SPDX-License-Identifier: Apache-2.0
// May the registers go on under their id? After a power cut the broker's retained `live` is asked for what subscribers
// saw last, before another replaces it.
#include "posting_parts.h"

#include "log.h"

#include <stdio.h>
#include <string.h>

// Brokers send what they retain before they acknowledge a later message; some let it follow a little later.
#define GRACE_NS JP_NS_PER_S
#define BIRTH_MS 1767225600000 // 2026-01-01: no register is older

static bool is_verified(const struct jp_config *config)
{
    return strncmp(config->mqtt.url, "mqtts://", 8) == 0 || strncmp(config->mqtt.url, "wss://", 6) == 0;
}

static bool may_adopt(const struct jp_post *post)
{
    return post->in->config->adopt_retained || is_verified(post->in->config);
}

static void end_subscription(struct jp_post *post)
{
    if (post->in->link)
        post->in->link->unsubscribe(post->in->link, post->live_topic);
}

void jp_post_registers_open(struct jp_post *post)
{
    const struct jp_registers *registers = &post->registers;
    // Without a register that was published a retained one can only be taken over, where that is allowed.
    bool useful = !registers->final && (registers->published || may_adopt(post));

    post->retained.due = post->in->link && useful;
    if (post->retained.due)
        return;
    end_subscription(post);
    if (!post->in->link)
        return; // nothing is published, and what was is not known
    post->registers.final = true;
}

bool jp_post_registers_wait(const struct jp_post *post)
{
    return post->retained.due;
}

int64_t jp_post_registers_at(const struct jp_post *post)
{
    return post->retained.fenced ? post->up_ns + GRACE_NS : INT64_MAX;
}

void jp_post_take_retained(struct jp_post *post, const struct jp_news *news)
{
    if (!post->retained.due || !news->retained)
        return;
    post->retained.there = jp_retained_parse(&post->retained.live, news->payload, news->size) == 0;
    if (!post->retained.there)
        jp_log_warning("%s: the retained message is no live of ours, it is not used", news->topic);
}

// Since the record was written, which says nothing of what was used after it. Without clocks: it was due again then.
static int64_t missing_ms(const struct jp_post *post)
{
    const struct jp_registers_stamp *stamp = &post->state.stamp;
    struct jp_spool_now now = jp_post_spool_now(post);
    int64_t newest = now.real_ms > jp_payload_build_s * 1000 ? now.real_ms : jp_payload_build_s * 1000;
    int64_t ms = -1;

    if (!post->registers.published)
        return newest - BIRTH_MS;
    if (strcmp(stamp->boot, post->in->boot) == 0)
        ms = now.boot_ms - stamp->boot_ms;
    else if (stamp->real_synced && now.synced)
        ms = now.real_ms - stamp->real_ms;
    return ms >= 0 ? ms : 2000LL * post->in->config->spool.checkpoint_s;
}

static void tell_conflict(struct jp_post *post, enum jp_resolution resolution, uint64_t before)
{
    static uint8_t bytes[JP_POST_RECORD_MAX];
    struct jp_event event = {
        .kind = "register_conflict", .run = post->head_run.id, .boot_ms = jp_post_spool_now(post).boot_ms};
    struct jp_frame made = {.at = post->tail.at, .next = post->tail.at, .payload = bytes};
    int size;

    snprintf(event.detail, sizeof event.detail,
             "{\"reason\":\"%s\",\"register_id\":\"%016llx\",\"register_id_before\":\"%016llx\"}",
             jp_resolution_text(resolution), (unsigned long long)post->registers.id, (unsigned long long)before);
    size = jp_event_encode(&event, bytes, sizeof bytes);
    made.size = size > 0 ? (size_t)size : 0;
    // Without room the log alone has it: live does not wait for records.
    if (size > 0 && jp_post_queue_room(&post->fresh, post->block.count > 0 ? post->block.bytes : 0))
        jp_post_enqueue(post, JP_POST_EVENT, &made);
}

static void resolve(struct jp_post *post)
{
    struct jp_resolve_rules rules = {
        .have_record = post->state.loaded && post->registers.published,
        .may_adopt = may_adopt(post),
        .new_id = post->in->entropy->u64(post->in->entropy),
        .run = &post->head_run,
        .missing_ms = missing_ms(post),
    };
    uint64_t before = post->registers.id;
    enum jp_resolution resolution =
        jp_registers_resolve(&post->registers, post->retained.there ? &post->retained.live : NULL, &rules);

    post->retained.due = false;
    end_subscription(post);
    jp_log_info("registers: %s", jp_resolution_text(resolution));
    if (jp_resolution_is_conflict(resolution))
        tell_conflict(post, resolution, before);
    jp_post_state_save(post, false);
}

void jp_post_registers_tend(struct jp_post *post)
{
    if (post->retained.due && post->up && post->head_run_known && jp_post_now_ns(post) >= jp_post_registers_at(post))
        resolve(post);
}
