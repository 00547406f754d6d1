// SPDX-License-Identifier: Apache-2.0
// What a frame of the hot spool tells at once, before its windows are packed: each frame once.
#include "posting_parts.h"

#include <string.h>

static void note_window(struct jp_post *post, const struct jp_frame *frame, const struct jp_window *window)
{
    struct jp_post_state *state = &post->state;

    post->pending_windows++;
    post->pending_bytes += frame->next.offset - frame->at.offset;
    if (!post->head_run_known || window->run != post->head_run.id)
        return;
    post->newest = *window;
    post->newest_known = true;
    post->newest_ns = jp_post_now_ns(post);
    jp_registers_count(&post->registers, window);
    if (state->last_run != window->run || !state->last_known || window->seq > state->last_seq) {
        state->last_seq = window->seq;
        state->last_known = true;
    }
    state->last_run = window->run;
    state->last_clean = false;
}

static void note_run(struct jp_post *post, const struct jp_frame *frame)
{
    static struct jp_run run; // large

    if (jp_run_decode(&run, frame->payload, frame->size))
        return;
    if (post->head_run_known &&
        run.id == post->head_run.id) { // said again: at the start of a segment, or as it changed
        if (strcmp(run.facts.power_mode, post->head_run.facts.power_mode) != 0)
            post->meta_due = true;
        post->head_run.facts = run.facts;
        return;
    }
    jp_post_number(post, run.id);
    post->head_run = run;
    post->head_run_known = post->meta_due = true;
    jp_registers_begin(&post->registers, &post->head_run);
    if (!post->registers.past) // else it was read once more
        jp_post_state_save(post, false);
}

bool jp_post_is_of_run(const struct jp_frame *frame, struct jp_event *event, bool *stop)
{
    static const char stopped[] = "{\"action\":\"stop\"";

    if (jp_event_decode(event, frame->payload, frame->size) || strcmp(event->kind, "run") != 0)
        return false;
    *stop = strncmp(event->detail, stopped, sizeof stopped - 1) == 0;
    return true;
}

static void note_event(struct jp_post *post, const struct jp_frame *frame)
{
    struct jp_event event;
    bool stop;

    if (jp_post_is_of_run(frame, &event, &stop) && stop && event.run == post->state.last_run)
        post->state.last_clean = true;
}

void jp_post_note(struct jp_post *post, const struct jp_frame *frame, const struct jp_window *window)
{
    struct jp_anchor anchor;
    static struct jp_gap gap;

    if (jp_pos_compare(frame->at, post->head) < 0)
        return;
    post->head = frame->next;
    if (frame->type == JP_FRAME_RUN)
        note_run(post, frame);
    else if (frame->type == JP_FRAME_WINDOW && window)
        note_window(post, frame, window);
    else if (frame->type == JP_FRAME_EVENT)
        note_event(post, frame);
    else if (frame->type == JP_FRAME_GAP && jp_gap_decode(&gap, frame->payload, frame->size) == 0)
        jp_post_lost(post, &gap);
    else if (frame->type == JP_FRAME_ANCHOR && jp_anchor_decode(&anchor, frame->payload, frame->size) == 0)
        post->latest = (struct jp_post_anchor){true, anchor};
}
