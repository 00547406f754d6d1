// SPDX-License-Identifier: Apache-2.0
// mqtt.release = "collector": only the collector's word frees what is kept.
#include "posting_parts.h"

#include "log.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool jp_post_has(const struct jp_post *post, uint64_t run, uint64_t last_seq)
{
    const struct jp_post_run_no *acked, *asked;

    if (!post->ack.known)
        return false;
    if (run == post->ack.run)
        return last_seq <= post->ack.upto;
    acked = jp_post_run_no(post, post->ack.run);
    asked = jp_post_run_no(post, run);
    return acked && asked && asked->run_no < acked->run_no;
}

// {"run": 16 hex digits, "upto": seq}
static bool parse(const struct jp_news *news, uint64_t *run, uint64_t *upto)
{
    json_t *object = json_loadb((const char *)news->payload, news->size, JSON_REJECT_DUPLICATES, NULL);
    const char *text = json_string_value(json_object_get(object, "run"));
    json_t *number = json_object_get(object, "upto");
    bool good = text && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16 && json_is_integer(number) &&
                json_integer_value(number) >= 0;

    if (good) {
        *run = strtoull(text, NULL, 16);
        *upto = (uint64_t)json_integer_value(number);
    }
    json_decref(object);
    return good;
}

void jp_post_take_ack(struct jp_post *post, const struct jp_news *news)
{
    uint64_t run = 0, upto = 0;

    if (news->size == 0)
        return; // how a retained message is cleared
    if (!parse(news, &run, &upto)) {
        jp_log_warning("%s: no {\"run\": 16 hex digits, \"upto\": number}, nothing is released", news->topic);
        return;
    }
    if (run == post->state.last_run && upto > post->state.last_seq) {
        jp_log_warning("%s: upto %llu of run %016llx was never sent, nothing is released", news->topic,
                       (unsigned long long)upto, (unsigned long long)run);
        return;
    }
    post->ack.known = true;
    post->ack.run = run;
    post->ack.upto = upto;
    jp_post_release(post);
}

int64_t jp_post_ack_at(const struct jp_post *post)
{
    if (post->in->config->mqtt.release == JP_RELEASE_BROKER || (post->mark_count == 0 && post->fresh.sent == 0))
        return INT64_MAX;
    return post->ack_since_ns + post->in->config->mqtt.retry_max_s * JP_NS_PER_S;
}
