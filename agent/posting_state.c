// SPDX-License-Identifier: Apache-2.0
// What a power cut must not take beside the spool: the registers, the numbers of runs, the spool's name.
//
// Record: [1, serial, spool_id, last_run, last_seq, last_known, last_clean, [[run, run_no, prev_known, prev_run,
// prev_seq, prev_clean], ...], registers]; the registers' bytes are theirs, with the time of writing. The file `state`
// of paths.hot has it as of the last `live`, that of paths.spool as of the last checkpoint.
#include "posting_parts.h"

#include "log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RUN_BYTES 48 // three 64-bit numbers of 9 bytes each, a sequence of 9, heads
#define RECORD_MAX (256 + JP_POST_RUNS * RUN_BYTES + JP_REGISTERS_BYTES_MAX)
#define SLOT_HEAD 24
#define RETRY_NS (60 * JP_NS_PER_S)
#define ITEMS 9

// The record -------------------------------------------------------------------------------------
static void put_runs(struct jp_cbor_out *out, const struct jp_post_state *state)
{
    jp_cbor_put_array(out, (size_t)state->run_count);
    for (int i = 0; i < state->run_count; i++) {
        const struct jp_post_run_no *run = &state->runs[i];

        jp_cbor_put_array(out, 6);
        jp_cbor_put_uint(out, run->id);
        jp_cbor_put_uint(out, run->run_no);
        jp_cbor_put_bool(out, run->prev_known);
        jp_cbor_put_uint(out, run->prev_run);
        jp_cbor_put_uint(out, run->prev_seq);
        jp_cbor_put_bool(out, run->prev_clean);
    }
}

static size_t encode(const struct jp_post *post, bool closed, uint8_t record[RECORD_MAX])
{
    static uint8_t registers[JP_REGISTERS_BYTES_MAX];
    const struct jp_post_state *state = &post->state;
    struct jp_spool_now now = jp_post_spool_now(post);
    struct jp_registers_stamp stamp = {.real_ms = now.real_ms, .real_synced = now.synced, .boot_ms = now.boot_ms};
    struct jp_cbor_out out;
    int size;

    snprintf(stamp.boot, sizeof stamp.boot, "%s", post->in->boot);
    if (state->loaded && !post->registers.final) // how long it is since is what decides over what may be adopted
        stamp = state->stamp;
    stamp.closed = closed;
    size = jp_registers_encode(&post->registers, &stamp, registers, sizeof registers);
    assert(size > 0);
    jp_cbor_out_init(&out, record, RECORD_MAX);
    jp_cbor_put_array(&out, ITEMS);
    jp_cbor_put_uint(&out, 1);
    jp_cbor_put_uint(&out, state->serial);
    jp_cbor_put_bytes(&out, state->spool_id, sizeof state->spool_id);
    jp_cbor_put_uint(&out, state->last_run);
    jp_cbor_put_uint(&out, state->last_seq);
    jp_cbor_put_bool(&out, state->last_known);
    jp_cbor_put_bool(&out, state->last_clean);
    put_runs(&out, state);
    jp_cbor_put_bytes(&out, registers, (size_t)size);
    assert(!out.failed);
    return out.used;
}

static void get_runs(struct jp_cbor_in *in, struct jp_post_state *state)
{
    size_t count = jp_cbor_get_array(in);

    if (count > JP_POST_RUNS)
        in->failed = true;
    for (size_t i = 0; i < count && !in->failed; i++) {
        struct jp_post_run_no *run = &state->runs[i];

        if (jp_cbor_get_array(in) != 6)
            in->failed = true;
        run->id = jp_cbor_get_uint(in);
        run->run_no = jp_cbor_get_uint(in);
        run->prev_known = jp_cbor_get_bool(in);
        run->prev_run = jp_cbor_get_uint(in);
        run->prev_seq = jp_cbor_get_uint(in);
        run->prev_clean = jp_cbor_get_bool(in);
    }
    state->run_count = in->failed ? 0 : (int)count;
}

// What a file says.
struct reading {
    bool there;
    struct jp_post_state state;
    struct jp_registers registers;
    struct jp_registers_stamp stamp;
};

static int decode(struct reading *reading, const uint8_t *record, size_t size)
{
    struct jp_post_state *state = &reading->state;
    const uint8_t *bytes;
    struct jp_cbor_in in;
    size_t length;

    memset(reading, 0, sizeof *reading);
    jp_cbor_in_init(&in, record, size);
    if (jp_cbor_get_array(&in) < ITEMS || jp_cbor_get_uint(&in) != 1)
        return -EBADMSG;
    state->serial = jp_cbor_get_uint(&in);
    bytes = jp_cbor_get_bytes(&in, &length);
    if (in.failed || length != sizeof state->spool_id)
        return -EBADMSG;
    memcpy(state->spool_id, bytes, length);
    state->last_run = jp_cbor_get_uint(&in);
    state->last_seq = jp_cbor_get_uint(&in);
    state->last_known = jp_cbor_get_bool(&in);
    state->last_clean = jp_cbor_get_bool(&in);
    get_runs(&in, state);
    bytes = jp_cbor_get_bytes(&in, &length);
    return in.failed ? -EBADMSG : jp_registers_decode(&reading->registers, &reading->stamp, bytes, length);
}

// Files ------------------------------------------------------------------------------------------
// A link, pipe or folder of the file's name goes. 0, or -errno.
static int clear_name(const struct jp_post *post, const char *path)
{
    const struct jp_fs *fs = post->in->fs;
    char aside[JP_PATH_MAX];
    int n = snprintf(aside, sizeof aside, "%s.bad", path);
    int rc = fs->unlink(fs, path);

    if (rc && n > 0 && (size_t)n < sizeof aside)
        rc = fs->rename(fs, path, aside);
    if (rc == 0)
        jp_log_warning("%s was no file: removed, or set aside as state.bad", path);
    return rc;
}

// Opens a file of the record and reads what it has, also where it cannot be written. 0, or -errno.
static int open_file(struct jp_post *post, struct jp_slots *slots, const char *dir, struct reading *reading)
{
    static uint8_t record[RECORD_MAX + SLOT_HEAD];
    const struct jp_fs *fs = post->in->fs;
    char path[JP_PATH_MAX];
    bool damaged = false;
    size_t size = 0;
    int rc, n = snprintf(path, sizeof path, "%s/state", dir);

    reading->there = false;
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    rc = jp_slots_open(slots, fs, path, RECORD_MAX + SLOT_HEAD, record, &size, &damaged);
    if (jp_frames_is_foreign(rc) && clear_name(post, path) == 0)
        rc = jp_slots_open(slots, fs, path, RECORD_MAX + SLOT_HEAD, record, &size, &damaged);
    if (rc) {
        n = jp_slots_peek(fs, path, record, sizeof record);
        size = n > 0 ? (size_t)n : 0;
    }
    if (damaged || (size > 0 && decode(reading, record, size)))
        jp_log_warning("%s is damaged: its registers and numbers are lost", path);
    else
        reading->there = size > 0;
    return rc;
}

static void take(struct jp_post *post, const struct reading *reading, bool from_hot)
{
    struct jp_post_state *state = &post->state;
    const struct jp_post_state *of = &reading->state;

    state->serial = of->serial;
    memcpy(state->spool_id, of->spool_id, sizeof state->spool_id);
    memcpy(state->runs, of->runs, sizeof state->runs);
    state->run_count = of->run_count;
    state->last_run = of->last_run;
    state->last_seq = of->last_seq;
    state->last_known = of->last_known;
    state->last_clean = of->last_clean;
    state->loaded = true;
    state->stamp = reading->stamp;
    post->registers = reading->registers;
    // A hot folder that outlives the boot is on a disk, where the power may have cut what was written last.
    if (from_hot && strcmp(reading->stamp.boot, post->in->boot) != 0)
        post->registers.final = false;
}

static int open_flash(struct jp_post *post, struct reading *reading)
{
    struct jp_post_state *state = &post->state;
    int rc = jp_fs_make_dirs(post->in->fs, post->in->config->paths_spool, 0750);

    reading->there = false;
    if (rc >= 0)
        rc = open_file(post, &state->flash, post->in->config->paths_spool, reading);
    state->flash_open = rc == 0;
    return rc;
}

static void note_error(struct jp_post *post, int rc)
{
    struct jp_post_state *state = &post->state;

    if (rc && !state->error)
        jp_log_error("%s/state cannot be written: %s; tried again each minute", post->in->config->paths_spool,
                     strerror(-rc));
    state->error = rc;
}

void jp_post_state_open(struct jp_post *post)
{
    static struct reading hot, flash; // large
    struct jp_post_state *state = &post->state;
    uint64_t id[2] = {post->in->entropy->u64(post->in->entropy), post->in->entropy->u64(post->in->entropy)};

    state->hot_open = open_file(post, &state->hot, post->in->config->paths_hot, &hot) == 0;
    note_error(post, open_flash(post, &flash));
    memcpy(state->spool_id, id, sizeof state->spool_id);
    if (hot.there && (!flash.there || hot.state.serial >= flash.state.serial))
        take(post, &hot, true);
    else if (flash.there)
        take(post, &flash, false);
    jp_post_state_note(post); // both places of the file are taken now, whatever fills the disk later
    jp_post_state_note(post);
}

// The disk was away at the start. Registers have begun anew; numbers of runs still go on from those before.
static void learn_late(struct jp_post *post, const struct reading *late)
{
    jp_log_warning("%s/state could be read late only: its registers end there", post->in->config->paths_spool);
    for (int i = 0; i < late->state.run_count; i++)
        if (!jp_post_run_no(post, late->state.runs[i].id))
            jp_post_keep_run(post, &late->state.runs[i]);
    post->state.late = true;
}

void jp_post_state_note(struct jp_post *post)
{
    static uint8_t record[RECORD_MAX];
    struct jp_post_state *state = &post->state;

    state->serial++;
    // It overwrites what it took at the start, so that a full tmpfs cannot keep it from being written.
    if (state->hot_open && jp_slots_put(&state->hot, record, encode(post, true, record), false))
        post->degraded |= JP_POST_HOT_ERROR;
}

void jp_post_state_save(struct jp_post *post, bool closed)
{
    static struct reading late; // large
    static uint8_t record[RECORD_MAX];
    struct jp_post_state *state = &post->state;
    size_t size;
    int rc = 0;

    jp_post_state_note(post);
    state->saved_ns = jp_post_now_ns(post);
    state->try_ns = state->saved_ns + RETRY_NS;
    if (!state->flash_open)
        rc = open_flash(post, &late);
    if (late.there && !state->loaded && !state->late)
        learn_late(post, &late);
    if (rc == 0) {
        size = encode(post, closed, record);
        rc = jp_slots_put(&state->flash, record, size, true);
        state->bytes += size + SLOT_HEAD;
    }
    if (rc && state->flash_open) { // never trusted again after a failed sync: read anew
        jp_slots_close(&state->flash);
        state->flash_open = false;
    }
    note_error(post, rc);
}

int64_t jp_post_state_at(const struct jp_post *post)
{
    const struct jp_post_state *state = &post->state;

    if (state->error)
        return state->try_ns;
    return state->saved_ns + post->in->config->spool.checkpoint_s * JP_NS_PER_S;
}

void jp_post_state_close(struct jp_post *post)
{
    struct jp_post_state *state = &post->state;

    if (state->flash_open)
        jp_slots_close(&state->flash);
    if (state->hot_open)
        jp_slots_close(&state->hot);
    state->flash_open = state->hot_open = false;
}
