// SPDX-License-Identifier: Apache-2.0
// The owner of spool_rig.h.
#include "spool_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GAP_MAGIC 0x67617021u
#define RUN_TEXT "what is in force"

static void make(uint8_t *payload, uint32_t i, size_t size)
{
    memcpy(payload, &i, 4);
    for (size_t k = 4; k < size; k++)
        payload[k] = k % 5 == 0 ? 0x84 : k % 5 == 1 ? 0x1a : (uint8_t)(i + k);
}

static void preface(void *context, struct jp_spool *spool)
{
    (void)context;
    assert_int_equal(jp_spool_append(spool, JP_FRAME_RUN, RUN_TEXT, sizeof RUN_TEXT), 0);
    assert_int_equal(jp_spool_append(spool, JP_FRAME_ANCHOR, "now", 3), 0);
}

static uint32_t number_of(const struct rig *rig, const struct jp_frame *frame)
{
    uint8_t expected[RIG_BIG];
    uint32_t i;

    assert_true(frame->size >= 4 && frame->size <= sizeof expected);
    memcpy(&i, frame->payload, 4);
    assert_true(i < rig->next && rig->fate[i] & RIG_APPENDED);
    make(expected, i, frame->size);
    assert_memory_equal(frame->payload, expected, frame->size);
    return i;
}

// A GAP's payload: magic, count, numbers.
static void append_gap(struct rig *rig, struct jp_spool *spool)
{
    uint32_t words[2 + 512] = {GAP_MAGIC, (uint32_t)rig->gone_count};

    memcpy(words + 2, rig->gone, sizeof rig->gone);
    if (rig->gone_count > 0)
        assert_int_equal(jp_spool_append(spool, JP_FRAME_GAP, words, 8 + 4 * (size_t)rig->gone_count), 0);
    rig->gone_count = 0;
}

static void weigh(void *context, struct jp_spool *spool, enum jp_spool_reason reason,
                  const struct jp_segment_header *header, const struct jp_frame *frame)
{
    struct rig *rig = context;

    if (!frame) {
        append_gap(rig, spool);
        return;
    }
    assert_true(header->version == 0 || strcmp(header->device, "bench") == 0);
    if (reason == JP_SPOOL_OLD)
        rig->dropped_old++;
    if (frame->type == JP_FRAME_GAP)
        assert_int_equal(jp_spool_append(spool, JP_FRAME_GAP, frame->payload, frame->size), 0);
    if (frame->type != JP_FRAME_BLOCK)
        return;
    assert_true(rig->gone_count < 512);
    rig->gone[rig->gone_count++] = number_of(rig, frame);
}

void rig_init(struct rig *rig, const struct jp_fs *fs, const char *dir)
{
    memset(rig, 0, sizeof *rig);
    rig->fs = fs;
    rig->dir = dir;
    rig->max_bytes = 4 << 20;
    rig->size = 300;
    rig->now = (struct jp_spool_now){.boot_ms = 1000, .real_ms = 1700000000000, .synced = true};
}

int rig_open(struct rig *rig)
{
    struct jp_spool_config config = {
        .fs = rig->fs,
        .dir = rig->dir,
        .max_bytes = rig->max_bytes,
        .segment_bytes = rig->segment_bytes,
        .keep_days = rig->keep_days,
        .keep_all = rig->keep_all,
        .header = {.spool_id = {7, 7, 7},
                   .device = "bench",
                   .boot = "11111111-2222-4333-8444-555555555555",
                   .tool = "test"},
        .calls = {rig, preface, weigh},
    };

    rig->gone_count = 0;
    return jp_spool_open(&rig->spool, &config, &rig->now);
}

void rig_close(struct rig *rig)
{
    jp_spool_close(&rig->spool, &rig->now);
}

void rig_kill(struct rig *rig)
{
    jp_spool_reader_close(&rig->spool.reader);
    jp_spool_reader_close(&rig->spool.weigher);
    free(rig->spool.held);
    free(rig->spool.front);
    if (rig->spool.slots_open)
        jp_slots_close(&rig->spool.slots);
    if (rig->spool.fd >= 0)
        rig->fs->close(rig->fs, rig->spool.fd);
    if (rig->spool.lock_fd >= 0)
        rig->fs->close(rig->fs, rig->spool.lock_fd);
    rig->spool.held = NULL;
}

static int append_one(struct rig *rig, uint32_t i)
{
    uint8_t payload[RIG_BIG];

    make(payload, i, rig->size);
    return jp_spool_append(&rig->spool, JP_FRAME_BLOCK, payload, rig->size);
}

static int commit(struct rig *rig)
{
    int rc;

    rig->now.boot_ms += 1000;
    rig->now.real_ms += 1000;
    rc = jp_spool_commit(&rig->spool, &rig->now);
    if (rc == 0)
        rig->durable = rig->next;
    return rc;
}

int rig_append(struct rig *rig, uint32_t count)
{
    int rc = 0;

    for (uint32_t i = 0; i < count && rc == 0; i++) {
        assert_true(rig->next < RIG_FRAMES);
        assert_int_equal(append_one(rig, rig->next), 0);
        rig->fate[rig->next++] |= RIG_APPENDED;
        rc = commit(rig);
    }
    return rc;
}

void rig_again(struct rig *rig)
{
    rig->repeats = true;
    jp_spool_forget(&rig->spool);
    for (uint32_t i = rig->durable; i < rig->next; i++)
        assert_int_equal(append_one(rig, i), 0);
}

static void take_gap(struct rig *rig, const struct jp_frame *frame)
{
    uint32_t words[2 + 512];

    assert_true(frame->size >= 8 && frame->size <= sizeof words);
    memcpy(words, frame->payload, frame->size);
    assert_int_equal(words[0], GAP_MAGIC);
    assert_int_equal(frame->size, 8 + 4 * words[1]);
    for (uint32_t i = 0; i < words[1]; i++) {
        assert_true(words[2 + i] < rig->next);
        rig->fate[words[2 + i]] |= RIG_GAP;
    }
    rig->gaps++;
}

uint32_t rig_read(struct rig *rig, uint32_t count, bool release)
{
    struct jp_frame frame;
    int64_t last = -1;
    uint32_t n = 0, i;
    int errors = 0;

    while (n < count) {
        int rc = jp_spool_next(&rig->spool, &frame);

        if (rc < 0 && errors++ < 3)
            continue;
        if (rc == JP_SPOOL_END || rc < 0)
            break;
        if (rc != JP_SPOOL_FRAME || frame.type == JP_FRAME_RUN || frame.type == JP_FRAME_ANCHOR ||
            frame.type == JP_FRAME_SEAL)
            continue;
        n++;
        if (frame.type == JP_FRAME_GAP) {
            take_gap(rig, &frame);
        } else {
            assert_int_equal(frame.type, JP_FRAME_BLOCK);
            i = number_of(rig, &frame);
            assert_true((int64_t)i > last || rig->spool.counts.failures > 0 || rig->repeats);
            last = i;
            rig->fate[i] |= RIG_READ | (release ? RIG_RELEASED : 0);
        }
        if (release)
            jp_spool_release(&rig->spool, frame.next);
    }
    return n;
}

void rig_forget_read(struct rig *rig)
{
    for (uint32_t i = 0; i < rig->next; i++)
        rig->fate[i] &= (uint8_t)~RIG_READ;
}

void rig_judge(struct rig *rig)
{
    rig_forget_read(rig);
    jp_spool_rewind(&rig->spool);
    rig_read(rig, UINT32_MAX, false);
    for (uint32_t i = 0; i < rig->durable; i++)
        if (!(rig->fate[i] & (RIG_READ | RIG_RELEASED | RIG_GAP)))
            fail_msg("frame %u of %u was durable and is missing", i, rig->durable);
}
