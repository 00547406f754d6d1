// SPDX-License-Identifier: Apache-2.0
// mqtt.release = "collector": only the collector's word frees what is kept.
#include "posting_parts.h"

#include "log.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool jp_post_has(const struct jp_post *post, const struct jp_post_mark *mark)
{
    if (!post->ack.known)
        return false;
    if (mark->run == post->ack.run)
        return mark->last_seq <= post->ack.upto;
    return mark->run_no > 0 && mark->run_no < post->ack.run_no;
}

void jp_post_met(struct jp_post *post, uint64_t run, uint64_t run_no)
{
    if (post->ack.known && run == post->ack.run)
        post->ack.run_no = run_no;
}

// Of the newest runs, or of one that waits for this word.
static uint64_t number_of(const struct jp_post *post, uint64_t run)
{
    const struct jp_post_run_no *known = jp_post_run_no(post, run);

    for (int i = 0; i < post->mark_count && !known; i++) {
        const struct jp_post_mark *mark = &post->marks[(post->mark_first + i) % JP_POST_MARKS];

        if (mark->block && mark->run == run)
            return mark->run_no;
    }
    if (!known && post->backlog_run_known && post->backlog_run.id == run)
        return post->backlog_run_no;
    return known ? known->run_no : 0;
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
    post->ack.run_no = number_of(post, run);
    post->ack.upto = upto;
    jp_post_release(post);
}

int64_t jp_post_ack_at(const struct jp_post *post)
{
    if (post->in->config->mqtt.release == JP_RELEASE_BROKER || (post->mark_count == 0 && post->fresh.sent == 0))
        return INT64_MAX;
    return post->ack_since_ns + post->in->config->mqtt.retry_max_s * JP_NS_PER_S;
}
