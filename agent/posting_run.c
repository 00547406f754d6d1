// SPDX-License-Identifier: Apache-2.0
// A run at first sight: its number, which orders runs where clocks cannot, and which run was before it.
#include "posting_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct jp_post_run_no *jp_post_run_no(const struct jp_post *post, uint64_t run)
{
    const struct jp_post_state *state = &post->state;

    for (int i = 0; i < state->run_count; i++)
        if (state->runs[i].id == run)
            return &state->runs[i];
    return NULL;
}

const struct jp_post_run_no *jp_post_keep_run(struct jp_post *post, const struct jp_post_run_no *run)
{
    struct jp_post_state *state = &post->state;
    int at = state->run_count;

    if (at == JP_POST_RUNS) {
        memmove(state->runs, state->runs + 1, (JP_POST_RUNS - 1) * sizeof state->runs[0]);
        at--;
    }
    while (at > 0 && state->runs[at - 1].run_no > run->run_no) {
        state->runs[at] = state->runs[at - 1];
        at--;
    }
    state->runs[at] = *run;
    if (state->run_count < JP_POST_RUNS)
        state->run_count++;
    return &state->runs[at];
}

const struct jp_post_run_no *jp_post_number(struct jp_post *post, uint64_t run)
{
    const struct jp_post_state *state = &post->state;
    const struct jp_post_run_no *known = jp_post_run_no(post, run);
    struct jp_post_run_no next = {.id = run, .run_no = 1};

    if (known)
        return known;
    if (state->run_count > 0)
        next.run_no = state->runs[state->run_count - 1].run_no + 1;
    next.prev_known = state->last_known;
    next.prev_run = state->last_run;
    next.prev_seq = state->last_seq;
    next.prev_clean = state->last_clean;
    return jp_post_keep_run(post, &next);
}

// The RUN frame ----------------------------------------------------------------------------------
static void put_prev(struct jp_cbor_out *out, const struct jp_post_run_no *no)
{
    if (!no->prev_known) {
        jp_cbor_put_null(out);
        return;
    }
    jp_cbor_put_map(out, 3);
    jp_cbor_put_text(out, "run");
    jp_cbor_put_uint(out, no->prev_run);
    jp_cbor_put_text(out, "last_seq");
    jp_cbor_put_uint(out, no->prev_seq);
    jp_cbor_put_text(out, "clean");
    jp_cbor_put_bool(out, no->prev_clean);
}

// Copies a map and leaves room for `more` pairs behind it. 0, or -errno.
static int copy_map(struct jp_cbor_out *out, const void *map, size_t size, size_t more)
{
    struct jp_cbor_in in;
    size_t pairs;

    jp_cbor_in_init(&in, map, size);
    pairs = jp_cbor_get_map(&in);
    if (in.failed)
        return -EBADMSG;
    jp_cbor_put_map(out, pairs + more);
    jp_cbor_put_raw(out, in.bytes + in.at, size - in.at);
    return 0;
}

int jp_post_run_frame(const struct jp_post_run_no *no, const struct jp_frame *frame, uint8_t *bytes, size_t size)
{
    struct jp_cbor_out out;
    int rc;

    jp_cbor_out_init(&out, bytes, size);
    rc = copy_map(&out, frame->payload, frame->size, 2);
    if (rc)
        return rc;
    jp_cbor_put_text(&out, "run_no");
    jp_cbor_put_uint(&out, no->run_no);
    jp_cbor_put_text(&out, "prev");
    put_prev(&out, no);
    return out.failed ? -EMSGSIZE : (int)out.used;
}

int jp_post_run_stored(const struct jp_post *post, uint64_t windows, uint8_t *bytes, size_t size)
{
    struct jp_cbor_out out;
    int rc;

    jp_cbor_out_init(&out, bytes, size);
    rc = copy_map(&out, post->run_payload, post->run_size, 1);
    if (rc)
        return rc;
    jp_cbor_put_text(&out, "stored");
    jp_cbor_put_uint(&out, windows);
    return out.failed ? -EMSGSIZE : (int)out.used;
}

static bool is(const char *key, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(key, word, size) == 0;
}

static void get_prev(struct jp_cbor_in *in, struct jp_post_run_no *no)
{
    size_t pairs = jp_cbor_get_null(in) ? 0 : jp_cbor_get_map(in);

    no->prev_known = pairs > 0;
    while (pairs-- > 0 && !in->failed) {
        size_t size;
        const char *key = jp_cbor_get_text(in, &size);

        if (in->failed)
            break;
        if (is(key, size, "run"))
            no->prev_run = jp_cbor_get_uint(in);
        else if (is(key, size, "last_seq"))
            no->prev_seq = jp_cbor_get_uint(in);
        else if (is(key, size, "clean"))
            no->prev_clean = jp_cbor_get_bool(in);
        else
            jp_cbor_skip(in);
    }
}

bool jp_post_run_read(const void *payload, size_t size, struct jp_post_run_no *no, uint64_t *stored)
{
    struct jp_cbor_in in;
    bool numbered = false;
    size_t pairs;

    *no = (struct jp_post_run_no){.id = 0};
    *stored = 0;
    jp_cbor_in_init(&in, payload, size);
    pairs = jp_cbor_get_map(&in);
    while (pairs-- > 0 && !in.failed) {
        size_t length;
        const char *key = jp_cbor_get_text(&in, &length);

        if (in.failed)
            break;
        if (is(key, length, "run")) {
            no->id = jp_cbor_get_uint(&in);
        } else if (is(key, length, "run_no")) {
            no->run_no = jp_cbor_get_uint(&in);
            numbered = true;
        } else if (is(key, length, "prev")) {
            get_prev(&in, no);
        } else if (is(key, length, "stored")) {
            *stored = jp_cbor_get_uint(&in);
        } else {
            jp_cbor_skip(&in);
        }
    }
    return numbered && !in.failed;
}

// The event --------------------------------------------------------------------------------------
int jp_post_run_event(const struct jp_post *post, const struct jp_run *run, uint8_t *bytes, size_t size)
{
    const struct jp_post_run_no *no = jp_post_run_no(post, run->id);
    struct jp_event event = {.kind = "run", .run = run->id, .boot_ms = post->tail.file.header.boot_ms};
    char prev[96] = "null";

    if (no && no->prev_known)
        snprintf(prev, sizeof prev, "{\"run\":\"%016llx\",\"last_seq\":%llu,\"clean\":%s}",
                 (unsigned long long)no->prev_run, (unsigned long long)no->prev_seq, no->prev_clean ? "true" : "false");
    snprintf(event.detail, sizeof event.detail,
             "{\"action\":\"start\",\"run_no\":%llu,\"prev\":%s,\"version\":\"%s\",\"device\":\"%s\",\"boot\":\"%s\","
             "\"window_ms\":%d,\"block_windows\":%d}",
             no ? (unsigned long long)no->run_no : 0ULL, prev, post->tail.file.header.tool, post->in->device, run->boot,
             run->window_ms, run->block_windows);
    return jp_event_encode(&event, bytes, size);
}
