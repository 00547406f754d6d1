// SPDX-License-Identifier: Apache-2.0
// Windows, gaps, events and anchors as CBOR arrays: what stands where is the order below.
#include "window.h"

#include "cbor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *jp_cause_name(enum jp_cause cause)
{
    static const char *const names[JP_CAUSE_COUNT] = {
        [JP_CAUSE_STALL] = "stall", [JP_CAUSE_SUSPEND] = "suspend",         [JP_CAUSE_READ_ERROR] = "read_error",
        [JP_CAUSE_RESET] = "reset", [JP_CAUSE_IMPLAUSIBLE] = "implausible",
    };

    return cause > JP_CAUSE_NONE && cause < JP_CAUSE_COUNT ? names[cause] : NULL;
}

// A value, or null where the struct says unknown.
static void put_known(struct jp_cbor_out *out, int64_t value, int64_t unknown)
{
    if (value == unknown)
        jp_cbor_put_null(out);
    else
        jp_cbor_put_int(out, value);
}

static int64_t get_known(struct jp_cbor_in *in, int64_t unknown)
{
    return jp_cbor_get_null(in) ? unknown : jp_cbor_get_int(in);
}

static int64_t get_range(struct jp_cbor_in *in, int64_t min, int64_t max)
{
    int64_t value = jp_cbor_get_int(in);

    if (value >= min && value <= max)
        return value;
    in->failed = true;
    return min;
}

// Energies and their sums and differences stay far from overflow.
static int64_t get_mj(struct jp_cbor_in *in)
{
    return get_range(in, -JP_ENERGY_MAX_MJ, JP_ENERGY_MAX_MJ);
}

static int64_t get_known_range(struct jp_cbor_in *in, int64_t unknown, int64_t min, int64_t max)
{
    return jp_cbor_get_null(in) ? unknown : get_range(in, min, max);
}

static int32_t get_i32(struct jp_cbor_in *in)
{
    return jp_cbor_get_null(in) ? INT32_MIN : (int32_t)get_range(in, INT32_MIN + 1, INT32_MAX);
}

// An array of at least `count` items; how many follow those this version knows.
static size_t get_array(struct jp_cbor_in *in, size_t count)
{
    size_t got = jp_cbor_get_array(in);

    if (got < count)
        in->failed = true;
    return in->failed ? 0 : got - count;
}

static void skip_items(struct jp_cbor_in *in, size_t count)
{
    while (count-- > 0 && !in->failed)
        jp_cbor_skip(in);
}

static int get_list(struct jp_cbor_in *in, size_t max)
{
    size_t count = jp_cbor_get_array(in);

    if (count > max)
        in->failed = true;
    return in->failed ? 0 : (int)count;
}

static int written(const struct jp_cbor_out *out)
{
    return out->failed ? -EMSGSIZE : (int)out->used;
}

// WINDOW: [run, seq, t0_ms, span_ms, late_ticks, [channel, ...], [gauge or null, ...]] -------------
// channel: [mj or null, run_mj, covered_ms, cause, raw_uj or null, mv or null, ma or null, peak_mw or null]
static void put_channel(struct jp_cbor_out *out, const struct jp_window_channel *channel)
{
    jp_cbor_put_array(out, 8);
    if (channel->known)
        jp_cbor_put_int(out, channel->mj);
    else
        jp_cbor_put_null(out);
    jp_cbor_put_int(out, channel->run_mj);
    jp_cbor_put_int(out, channel->covered_ms);
    jp_cbor_put_uint(out, channel->cause);
    put_known(out, channel->raw_uj, -1);
    put_known(out, channel->mv, INT32_MIN);
    put_known(out, channel->ma, INT32_MIN);
    put_known(out, channel->peak_mw, INT64_MIN);
}

static void get_channel(struct jp_cbor_in *in, struct jp_window_channel *channel)
{
    size_t more = get_array(in, 8);

    channel->known = !jp_cbor_get_null(in);
    channel->mj = channel->known ? get_mj(in) : 0;
    channel->run_mj = get_mj(in);
    channel->covered_ms = (int32_t)get_range(in, 0, INT32_MAX);
    channel->cause = (enum jp_cause)get_range(in, JP_CAUSE_NONE, JP_CAUSE_COUNT - 1);
    channel->raw_uj = get_known_range(in, -1, 0, INT64_MAX);
    channel->mv = get_i32(in);
    channel->ma = get_i32(in);
    channel->peak_mw = get_known_range(in, INT64_MIN, -JP_ENERGY_MAX_MJ, JP_ENERGY_MAX_MJ);
    skip_items(in, more);
}

int jp_window_encode(const struct jp_window *window, void *buffer, size_t size)
{
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_array(&out, 7);
    jp_cbor_put_uint(&out, window->run);
    jp_cbor_put_uint(&out, window->seq);
    jp_cbor_put_int(&out, window->t0_ms);
    jp_cbor_put_int(&out, window->span_ms);
    jp_cbor_put_int(&out, window->late_ticks);
    jp_cbor_put_array(&out, (size_t)window->channel_count);
    for (int i = 0; i < window->channel_count; i++)
        put_channel(&out, &window->channels[i]);
    jp_cbor_put_array(&out, (size_t)window->gauge_count);
    for (int i = 0; i < window->gauge_count; i++)
        put_known(&out, window->gauges[i], INT64_MIN);
    return written(&out);
}

int jp_window_decode(struct jp_window *window, const void *bytes, size_t size)
{
    struct jp_cbor_in in;

    memset(window, 0, sizeof *window);
    jp_cbor_in_init(&in, bytes, size);
    get_array(&in, 7);
    window->run = jp_cbor_get_uint(&in);
    window->seq = jp_cbor_get_uint(&in);
    window->t0_ms = get_range(&in, -JP_BOOT_MAX_MS, JP_BOOT_MAX_MS);
    window->span_ms = get_range(&in, 0, JP_BOOT_MAX_MS);
    window->late_ticks = get_range(&in, 0, INT64_MAX);
    window->channel_count = get_list(&in, JP_CHANNELS_MAX);
    for (int i = 0; i < window->channel_count && !in.failed; i++)
        get_channel(&in, &window->channels[i]);
    window->gauge_count = get_list(&in, JP_GAUGES_MAX);
    for (int i = 0; i < window->gauge_count && !in.failed; i++)
        window->gauges[i] = get_known(&in, INT64_MIN);
    return in.failed ? -EBADMSG : 0;
}

// GAP: [run, first_seq, last_seq, windows, t0_ms, span_ms, reason, [mj or null, ...], [name, ...],
// [indices of the total] or null] -----------------------------------------------------------------
static void begin_gap(struct jp_gap *gap, const struct jp_run *run, const struct jp_window *window)
{
    memset(gap, 0, sizeof *gap);
    gap->run = window->run;
    gap->first_seq = window->seq;
    gap->t0_ms = window->t0_ms;
    gap->channel_count = window->channel_count;
    gap->named = true;
    gap->total_known = run->total_known;
    for (int i = 0; i < gap->channel_count && i < run->channel_count; i++) {
        memcpy(gap->names[i], run->channels[i].name, sizeof gap->names[i]);
        gap->in_total[i] = run->total_known && run->channels[i].in_total;
    }
}

void jp_gap_fold(struct jp_gap *gap, const struct jp_run *run, const struct jp_window *window, const char *reason)
{
    if (gap->windows == 0) {
        begin_gap(gap, run, window);
        snprintf(gap->reason, sizeof gap->reason, "%s", reason);
    }
    gap->windows++;
    gap->last_seq = window->seq;
    gap->span_ms += window->span_ms;
    for (int i = 0; i < gap->channel_count && i < window->channel_count; i++) {
        if (!window->channels[i].known)
            continue;
        gap->known[i] = true;
        gap->mj[i] += window->channels[i].mj;
    }
}

// The channel of that name, made if it is not there; -1 when there is no place left.
static int named_channel(struct jp_gap *gap, const char *name)
{
    for (int i = 0; i < gap->channel_count; i++)
        if (strcmp(gap->names[i], name) == 0)
            return i;
    if (gap->channel_count == JP_CHANNELS_MAX)
        return -1;
    snprintf(gap->names[gap->channel_count], sizeof gap->names[0], "%s", name);
    return gap->channel_count++;
}

void jp_gap_merge(struct jp_gap *gap, const struct jp_gap *later)
{
    gap->windows += later->windows;
    gap->span_ms += later->span_ms;
    gap->total_known = gap->total_known && later->total_known;
    for (int i = 0; i < later->channel_count; i++) {
        int at = named_channel(gap, later->names[i]);

        if (at < 0)
            continue;
        gap->in_total[at] = gap->in_total[at] || later->in_total[i];
        gap->known[at] = gap->known[at] || later->known[i];
        gap->mj[at] += later->mj[i];
    }
}

static void put_names(struct jp_cbor_out *out, const struct jp_gap *gap)
{
    int names = gap->named ? gap->channel_count : 0, total = 0;

    jp_cbor_put_array(out, (size_t)names);
    for (int i = 0; i < names; i++)
        jp_cbor_put_text(out, gap->names[i]);
    for (int i = 0; i < gap->channel_count; i++)
        total += gap->in_total[i];
    if (!gap->total_known) {
        jp_cbor_put_null(out);
        return;
    }
    jp_cbor_put_array(out, (size_t)total);
    for (int i = 0; i < gap->channel_count; i++)
        if (gap->in_total[i])
            jp_cbor_put_int(out, i);
}

int jp_gap_encode(const struct jp_gap *gap, void *buffer, size_t size)
{
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_array(&out, 10);
    jp_cbor_put_uint(&out, gap->run);
    jp_cbor_put_uint(&out, gap->first_seq);
    jp_cbor_put_uint(&out, gap->last_seq);
    jp_cbor_put_uint(&out, gap->windows);
    jp_cbor_put_int(&out, gap->t0_ms);
    jp_cbor_put_int(&out, gap->span_ms);
    jp_cbor_put_text(&out, gap->reason);
    jp_cbor_put_array(&out, (size_t)gap->channel_count);
    for (int i = 0; i < gap->channel_count; i++) {
        if (gap->known[i])
            jp_cbor_put_int(&out, gap->mj[i]);
        else
            jp_cbor_put_null(&out);
    }
    put_names(&out, gap);
    return written(&out);
}

static void get_names(struct jp_cbor_in *in, struct jp_gap *gap)
{
    int names = get_list(in, JP_CHANNELS_MAX);

    gap->named = names == gap->channel_count;
    for (int i = 0; i < names && !in->failed; i++)
        jp_cbor_copy_text(in, gap->names[i], sizeof gap->names[i]);
}

static void get_total(struct jp_cbor_in *in, struct jp_gap *gap)
{
    int total;

    gap->total_known = !jp_cbor_get_null(in);
    total = gap->total_known ? get_list(in, JP_CHANNELS_MAX) : 0;
    for (int i = 0; i < total && !in->failed; i++)
        gap->in_total[get_range(in, 0, gap->channel_count - 1)] = true;
}

int jp_gap_decode(struct jp_gap *gap, const void *bytes, size_t size)
{
    struct jp_cbor_in in;
    size_t more;

    memset(gap, 0, sizeof *gap);
    jp_cbor_in_init(&in, bytes, size);
    more = get_array(&in, 8);
    gap->run = jp_cbor_get_uint(&in);
    gap->first_seq = jp_cbor_get_uint(&in);
    gap->last_seq = jp_cbor_get_uint(&in);
    gap->windows = jp_cbor_get_uint(&in);
    gap->t0_ms = get_range(&in, -JP_BOOT_MAX_MS, JP_BOOT_MAX_MS);
    gap->span_ms = get_range(&in, 0, JP_BOOT_MAX_MS);
    jp_cbor_copy_text(&in, gap->reason, sizeof gap->reason);
    gap->channel_count = get_list(&in, JP_CHANNELS_MAX);
    for (int i = 0; i < gap->channel_count && !in.failed; i++) {
        gap->known[i] = !jp_cbor_get_null(&in);
        gap->mj[i] = gap->known[i] ? get_mj(&in) : 0;
    }
    if (more > 0)
        get_names(&in, gap);
    if (more > 1)
        get_total(&in, gap);
    return in.failed ? -EBADMSG : 0;
}

// EVENT: [run, boot_ms, kind, channel, detail] ---------------------------------------------------
int jp_event_encode(const struct jp_event *event, void *buffer, size_t size)
{
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_array(&out, 5);
    jp_cbor_put_uint(&out, event->run);
    jp_cbor_put_int(&out, event->boot_ms);
    jp_cbor_put_text(&out, event->kind);
    jp_cbor_put_text(&out, event->channel);
    jp_cbor_put_text(&out, event->detail);
    return written(&out);
}

int jp_event_decode(struct jp_event *event, const void *bytes, size_t size)
{
    struct jp_cbor_in in;

    memset(event, 0, sizeof *event);
    jp_cbor_in_init(&in, bytes, size);
    get_array(&in, 5);
    event->run = jp_cbor_get_uint(&in);
    event->boot_ms = get_range(&in, -JP_BOOT_MAX_MS, JP_BOOT_MAX_MS);
    jp_cbor_copy_text(&in, event->kind, sizeof event->kind);
    jp_cbor_copy_text(&in, event->channel, sizeof event->channel);
    jp_cbor_copy_text(&in, event->detail, sizeof event->detail);
    return in.failed ? -EBADMSG : 0;
}

// ANCHOR: [boot_ms, off_ms, clock, err_ms or null] -----------------------------------------------
int jp_anchor_encode(const struct jp_anchor *anchor, void *buffer, size_t size)
{
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_array(&out, 4);
    jp_cbor_put_int(&out, anchor->boot_ms);
    jp_cbor_put_int(&out, anchor->off_ms);
    jp_cbor_put_int(&out, anchor->clock);
    put_known(&out, anchor->err_ms, -1);
    return written(&out);
}

int jp_anchor_decode(struct jp_anchor *anchor, const void *bytes, size_t size)
{
    struct jp_cbor_in in;

    memset(anchor, 0, sizeof *anchor);
    jp_cbor_in_init(&in, bytes, size);
    get_array(&in, 4);
    anchor->boot_ms = get_range(&in, -JP_BOOT_MAX_MS, JP_BOOT_MAX_MS);
    anchor->off_ms = get_range(&in, -JP_REAL_MAX_MS, JP_REAL_MAX_MS);
    anchor->clock = (int)get_range(&in, 0, 2);
    anchor->err_ms = get_known(&in, -1);
    return in.failed ? -EBADMSG : 0;
}
