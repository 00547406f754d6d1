// SPDX-License-Identifier: Apache-2.0
// A BLOCK as entries: its windows, the whole of it, or its head alone.
#include "history_parts.h"

#include <stdint.h>

enum jp_entry_kind jp_history_next_of_block(struct jp_history *history)
{
    int rc = jp_block_next(&history->block, &history->window);

    history->in_block = rc == 1;
    if (rc < 0)
        return jp_history_senseless(history, "a BLOCK that cannot be understood to its end");
    if (rc == 0)
        return JP_ENTRY_END;
    history->names = &history->block_names;
    history->windows = 1;
    history->last_ms = history->window.t0_ms;
    jp_history_place(history, history->window.t0_ms);
    return JP_ENTRY_WINDOW;
}

static enum jp_entry_kind take_head(struct jp_history *history, const struct jp_frame *frame)
{
    struct jp_window *window = &history->window;
    struct jp_cbor_in in;
    int64_t dt_ms;

    jp_cbor_in_init(&in, frame->payload, frame->size);
    jp_cbor_get_array(&in);
    window->run = jp_cbor_get_uint(&in);
    window->seq = jp_cbor_get_uint(&in);
    history->windows = jp_cbor_get_uint(&in);
    window->t0_ms = jp_cbor_get_int(&in);
    dt_ms = jp_cbor_get_int(&in);
    if (in.failed || history->windows < 1 || history->windows > JP_BLOCK_WINDOWS_MAX || dt_ms < 0 ||
        dt_ms > INT32_MAX || window->t0_ms > JP_BOOT_MAX_MS || window->t0_ms < -JP_BOOT_MAX_MS)
        return jp_history_senseless(history, "a BLOCK that cannot be understood");
    history->last_ms = window->t0_ms + (int64_t)(history->windows - 1) * dt_ms;
    history->block_bytes = frame->payload;
    history->block_size = frame->size;
    jp_history_place(history, window->t0_ms);
    return JP_ENTRY_WINDOW;
}

enum jp_entry_kind jp_history_take_block(struct jp_history *history, const struct jp_frame *frame)
{
    int rc;

    if (history->in->brief)
        return take_head(history, frame);
    if (jp_block_read(&history->block, frame->payload, frame->size))
        return jp_history_senseless(history, "a BLOCK that cannot be understood");
    jp_window_names_of_block(&history->block_names, &history->block);
    if (!history->in->whole_blocks)
        return jp_history_next_of_block(history);
    while ((rc = jp_block_next(&history->block, &history->window)) == 1)
        continue;
    if (rc < 0)
        return jp_history_senseless(history, "a BLOCK that cannot be understood to its end");
    jp_history_place(history, history->block.t0_ms);
    return JP_ENTRY_BLOCK;
}
