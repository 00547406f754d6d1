// SPDX-License-Identifier: Apache-2.0
// The hot cursor: what was released and told, and what a restart needs to read on from there.
//
// Record: [1, segment, offset, told segment, told offset, run, seq, anchor or null, RUN payload or null];
// the position is the first frame not yet released, run and seq are of the last released window, anchor
// [boot_ms, off_ms, clock, err_ms] and RUN are those in force at the position: their frames may be gone.
#include "posting_parts.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RECORD_MAX (JP_POST_RECORD_MAX + 256)

static void put_pos(struct jp_cbor_out *out, struct jp_pos pos)
{
    jp_cbor_put_uint(out, pos.segment);
    jp_cbor_put_int(out, pos.offset);
}

static struct jp_pos get_pos(struct jp_cbor_in *in)
{
    struct jp_pos pos = {.segment = jp_cbor_get_uint(in)};

    pos.offset = jp_cbor_get_int(in);
    return pos;
}

static void put_anchor(struct jp_cbor_out *out, const struct jp_post_anchor *anchor)
{
    if (!anchor->known) {
        jp_cbor_put_null(out);
        return;
    }
    jp_cbor_put_array(out, 4);
    jp_cbor_put_int(out, anchor->anchor.boot_ms);
    jp_cbor_put_int(out, anchor->anchor.off_ms);
    jp_cbor_put_int(out, anchor->anchor.clock);
    jp_cbor_put_int(out, anchor->anchor.err_ms);
}

static void get_anchor(struct jp_cbor_in *in, struct jp_post_anchor *anchor)
{
    *anchor = (struct jp_post_anchor){.known = false};
    if (jp_cbor_get_null(in))
        return;
    if (jp_cbor_get_array(in) != 4)
        in->failed = true;
    anchor->known = true;
    anchor->anchor.boot_ms = jp_cbor_get_int(in);
    anchor->anchor.off_ms = jp_cbor_get_int(in);
    anchor->anchor.clock = (int)jp_cbor_get_int(in);
    anchor->anchor.err_ms = jp_cbor_get_int(in);
}

// The oldest frame that is still needed, and the anchor in force there.
static struct jp_pos oldest(const struct jp_post *post, const struct jp_post_anchor **anchor)
{
    struct jp_pos pos = post->tail.at;

    *anchor = &post->anchor;
    if (post->block.count > 0) {
        pos = post->block_at;
        *anchor = &post->block_before;
    }
    for (int i = 0; i < post->fresh.count; i++) {
        const struct jp_post_item *item = &post->fresh.items[i];

        if (jp_pos_compare(item->at, pos) >= 0)
            continue;
        pos = item->at;
        *anchor = &item->before;
    }
    return pos;
}

static int cursor_path(const struct jp_post *post, char path[JP_PATH_MAX])
{
    int n = snprintf(path, JP_PATH_MAX, "%s/cursor", post->in->config->paths_hot);

    return n < 0 || n >= JP_PATH_MAX ? -ENAMETOOLONG : 0;
}

// Nobody but post removes or makes this file: without its name the folder is another one, whose segments were
// never read and must not be released.
bool jp_post_cursor_gone(struct jp_post *post)
{
    char path[JP_PATH_MAX];
    int fd = cursor_path(post, path);

    if (fd == 0)
        fd = post->in->fs->open(post->in->fs, path, JP_FS_READ);
    if (fd >= 0)
        post->in->fs->close(post->in->fs, fd);
    return fd == -ENOENT;
}

// The one in force at the position: where that is at the RUN itself, it is the one before.
static void put_run(const struct jp_post *post, struct jp_cbor_out *out)
{
    bool before = jp_pos_compare(post->released, post->run_at) <= 0;
    const uint8_t *payload = before ? post->run_before_payload : post->run_payload;
    size_t size = before ? post->run_before_size : post->run_size;

    if (post->run_known && size > 0)
        jp_cbor_put_bytes(out, payload, size);
    else
        jp_cbor_put_null(out);
}

void jp_post_cursor_store(struct jp_post *post)
{
    uint8_t record[RECORD_MAX];
    const struct jp_post_anchor *anchor;
    struct jp_cbor_out out;
    int rc;

    if (jp_post_cursor_gone(post))
        return;               // the loop sees it too, and ends
    jp_post_state_note(post); // it has what the released windows brought
    post->released = oldest(post, &anchor);
    jp_cbor_out_init(&out, record, sizeof record);
    jp_cbor_put_array(&out, 9);
    jp_cbor_put_uint(&out, 1);
    put_pos(&out, post->released);
    put_pos(&out, post->told);
    jp_cbor_put_uint(&out, post->released_run);
    jp_cbor_put_uint(&out, post->released_seq);
    put_anchor(&out, anchor);
    put_run(post, &out);
    rc = out.failed ? -EMSGSIZE : jp_slots_put(&post->cursor, record, out.used, true);
    if (rc) { // not released then: sent again after a restart, which the receiver can tell
        if (!(post->degraded & JP_POST_HOT_ERROR))
            jp_log_error("cannot store the cursor in %s: %s", post->in->config->paths_hot, strerror(-rc));
        post->degraded |= JP_POST_HOT_ERROR;
        return;
    }
    if (post->released.segment <= post->unlinked_below)
        return;
    rc = jp_hot_release(post->in->fs, post->in->config->paths_hot, post->released);
    if (rc < 0)
        jp_log_warning("cannot remove sent segments in %s: %s", post->in->config->paths_hot, strerror(-rc));
    else
        post->unlinked_below = post->released.segment;
}

static int parse(struct jp_post *post, const void *record, size_t size)
{
    struct jp_cbor_in in;
    const uint8_t *run = NULL;
    size_t run_size = 0;
    struct jp_post_run_no no;
    uint64_t stored;

    jp_cbor_in_init(&in, record, size);
    if (jp_cbor_get_array(&in) < 9 || jp_cbor_get_uint(&in) != 1)
        return -EBADMSG;
    post->released = get_pos(&in);
    post->told = get_pos(&in);
    post->released_run = jp_cbor_get_uint(&in);
    post->released_seq = jp_cbor_get_uint(&in);
    get_anchor(&in, &post->anchor);
    if (!jp_cbor_get_null(&in))
        run = jp_cbor_get_bytes(&in, &run_size);
    if (in.failed || run_size > JP_POST_RECORD_MAX)
        return -EBADMSG;
    post->latest = post->anchor;
    jp_post_seen_resume(post, post->released_run, post->released_seq);
    if (!run)
        return 0;
    if (jp_post_adopt_run(post, run, run_size))
        return -EBADMSG;
    if (jp_post_run_read(run, run_size, &no, &stored) && !jp_post_run_no(post, no.id))
        jp_post_keep_run(post, &no); // the state was lost
    post->head_run = post->run;
    post->head_run_known = post->meta_due = true;
    jp_registers_begin(&post->registers, &post->head_run);
    return 0;
}

int jp_post_cursor_open(struct jp_post *post)
{
    uint8_t record[RECORD_MAX];
    char path[JP_PATH_MAX];
    bool damaged = false;
    size_t size;
    int rc = cursor_path(post, path);

    if (rc)
        return rc;
    rc = jp_slots_open(&post->cursor, post->in->fs, path, RECORD_MAX + 24, record, &size, &damaged);
    if (rc)
        return rc;
    post->cursor_open = true;
    if (!damaged && size == 0)
        return 0;
    if (damaged || parse(post, record, size)) {
        jp_log_warning("the cursor in %s is damaged: everything kept is sent again", post->in->config->paths_hot);
        post->released = post->told = (struct jp_pos){0, 0};
        post->anchor.known = post->latest.known = false;
    }
    return 0;
}
