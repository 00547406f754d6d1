// SPDX-License-Identifier: Apache-2.0
// The file `gap`: [boot, off_ms, [names], window, gap, ...], the last ones as byte strings; zeros may follow.
#include "pending.h"

#include "cbor.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SLOT_HEAD 24
#define FIXED_ITEMS 4

static int64_t off_ms(const struct jp_pending *pending)
{
    const struct jp_clock *clock = pending->clock;

    return (clock->real_ns(clock) - clock->boot_ns(clock)) / JP_NS_PER_MS;
}

// Writing ----------------------------------------------------------------------------------------
static void put_window(struct jp_cbor_out *out, const struct jp_window *window)
{
    uint8_t bytes[JP_WINDOW_BYTES_MAX];
    int size = window ? jp_window_encode(window, bytes, sizeof bytes) : 0;

    jp_cbor_put_bytes(out, bytes, size < 0 ? 0 : (size_t)size);
}

static void put_gap(struct jp_cbor_out *out, const struct jp_gap *gap)
{
    uint8_t bytes[JP_PENDING_MAX / JP_PENDING_GAPS_MAX];
    int size = jp_gap_encode(gap, bytes, sizeof bytes);

    assert(size > 0);
    jp_cbor_put_bytes(out, bytes, (size_t)size);
}

static size_t build(struct jp_pending *pending, const struct jp_run *run, const struct jp_window *window)
{
    int names = window ? run->channel_count : 0;
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, pending->bytes, sizeof pending->bytes);
    jp_cbor_put_array(&out, (size_t)pending->gap_count + FIXED_ITEMS);
    jp_cbor_put_text(&out, pending->run->boot);
    jp_cbor_put_int(&out, off_ms(pending));
    jp_cbor_put_array(&out, (size_t)names);
    for (int i = 0; i < names; i++)
        jp_cbor_put_text(&out, run->channels[i].name);
    put_window(&out, window);
    for (int i = 0; i < pending->gap_count; i++)
        put_gap(&out, &pending->gaps[i]);
    assert(!out.failed);
    return out.used;
}

void jp_pending_save(struct jp_pending *pending, const struct jp_run *run, const struct jp_window *window)
{
    size_t size = build(pending, run, window);

    pending->stale = jp_slots_put(&pending->slots, pending->bytes, size, false) != 0;
}

void jp_pending_fold(struct jp_pending *pending, const struct jp_window *window, const char *reason)
{
    struct jp_gap *last = pending->gap_count > 0 ? &pending->gaps[pending->gap_count - 1] : NULL;

    if (!last || last->run != window->run) {
        if (pending->gap_count == JP_PENDING_GAPS_MAX) {
            jp_gap_merge(&pending->gaps[0], &pending->gaps[1]);
            memmove(&pending->gaps[1], &pending->gaps[2], (JP_PENDING_GAPS_MAX - 2) * sizeof pending->gaps[0]);
            pending->gap_count--;
        }
        last = &pending->gaps[pending->gap_count++];
        last->windows = 0;
    }
    jp_gap_fold(last, pending->run, window, reason);
    jp_pending_save(pending, pending->run, window);
}

void jp_pending_drop(struct jp_pending *pending)
{
    pending->gap_count--;
    pending->stale = true;
    memmove(pending->gaps, pending->gaps + 1, (size_t)pending->gap_count * sizeof pending->gaps[0]);
}

void jp_pending_forget(struct jp_pending *pending, const struct jp_gap *written)
{
    const struct jp_gap *first = &pending->gaps[0];

    if (pending->gap_count > 0 && written->run == first->run && written->first_seq == first->first_seq)
        jp_pending_drop(pending);
}

// Reading ----------------------------------------------------------------------------------------
static void take_bridge(struct jp_cbor_in *in, struct jp_bridge *bridge)
{
    size_t count = jp_cbor_get_array(in), length;
    const uint8_t *window;

    if (count > JP_CHANNELS_MAX)
        in->failed = true;
    for (size_t i = 0; i < count && !in->failed; i++)
        jp_cbor_copy_text(in, bridge->run.channels[i].name, sizeof bridge->run.channels[i].name);
    window = jp_cbor_get_bytes(in, &length);
    if (in->failed || jp_window_decode(&bridge->window, window, length))
        return;
    bridge->run.id = bridge->window.run;
    bridge->run.channel_count = (int)count;
    bridge->known = true;
}

// A time of another boot, as this boot's BOOTTIME: before its start, and the same moment of the calendar.
static void turn(struct jp_gap *gap, int64_t by_ms)
{
    if (gap->t0_ms + by_ms >= -JP_BOOT_MAX_MS && gap->t0_ms + by_ms <= JP_BOOT_MAX_MS)
        gap->t0_ms += by_ms;
}

static void take_gaps(struct jp_pending *pending, struct jp_cbor_in *in, size_t count, int64_t by_ms)
{
    while (count-- > 0 && pending->gap_count < JP_PENDING_GAPS_MAX) {
        struct jp_gap *gap = &pending->gaps[pending->gap_count];
        size_t length;
        const uint8_t *bytes = jp_cbor_get_bytes(in, &length);

        if (in->failed)
            return;
        if (jp_gap_decode(gap, bytes, length))
            continue;
        turn(gap, by_ms);
        pending->gap_count++;
    }
}

static void take(struct jp_pending *pending, struct jp_bridge *bridge, size_t size)
{
    char boot[sizeof pending->run->boot];
    struct jp_cbor_in in;
    size_t count;
    int64_t off;
    bool same;

    jp_cbor_in_init(&in, pending->bytes, size);
    count = jp_cbor_get_array(&in);
    jp_cbor_copy_text(&in, boot, sizeof boot);
    off = jp_cbor_get_int(&in);
    if (in.failed || count < FIXED_ITEMS || off > JP_REAL_MAX_MS || off < -JP_REAL_MAX_MS)
        return;
    same = strcmp(boot, pending->run->boot) == 0;
    take_bridge(&in, bridge);
    bridge->known = bridge->known && same;
    take_gaps(pending, &in, count - FIXED_ITEMS, same ? 0 : off - off_ms(pending));
}

// Takes the room of the largest record this run can write, in both slots.
static void reserve(struct jp_pending *pending, const struct jp_bridge *bridge)
{
    size_t channels = (size_t)(pending->run->channel_count > 0 ? pending->run->channel_count : 1);
    size_t largest = sizeof pending->bytes / JP_CHANNELS_MAX * channels + 1024, size;

    size = build(pending, &bridge->run, bridge->known ? &bridge->window : NULL);
    largest = largest < sizeof pending->bytes ? largest : sizeof pending->bytes;
    if (size < largest) {
        memset(pending->bytes + size, 0, largest - size);
        size = largest;
    }
    pending->stale = jp_slots_put(&pending->slots, pending->bytes, size, false) != 0;
    if (!pending->stale)
        jp_slots_put(&pending->slots, pending->bytes, size, false);
}

int jp_pending_open(struct jp_pending *pending, const char *dir, struct jp_bridge *bridge)
{
    char path[JP_PATH_MAX];
    size_t size;
    int rc, n = snprintf(path, sizeof path, "%s/gap", dir);

    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    rc = jp_slots_open(&pending->slots, pending->fs, path, sizeof pending->bytes + SLOT_HEAD, pending->bytes, &size,
                       NULL);
    if (rc)
        return rc;
    if (size > 0)
        take(pending, bridge, size);
    reserve(pending, bridge);
    return 0;
}

void jp_pending_close(struct jp_pending *pending)
{
    jp_slots_close(&pending->slots);
}
