// SPDX-License-Identifier: Apache-2.0
// What the post half says about itself and the present moment: status, meta, live.
#include "posting_parts.h"

#include "json.h"
#include "meta.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// The clock was set later in that boot: what it was then tells what it should have been.
static const struct jp_post_anchor *repaired(struct jp_post *post, const struct jp_run *run,
                                             const struct jp_post_anchor *anchor)
{
    const struct jp_post_anchor *latest = &post->latest;

    if (!post->head_run_known || strcmp(run->boot, post->head_run.boot) != 0)
        latest = jp_post_repair(post, run->boot);
    else if (latest->anchor.clock != JP_CLOCK_SYNCED)
        return NULL;
    return latest->known && latest->anchor.boot_ms >= anchor->anchor.boot_ms ? latest : NULL;
}

void jp_post_head(struct jp_post *post, const struct jp_run *run, const struct jp_post_anchor *anchor,
                  struct jp_records_head *head)
{
    const struct jp_post_anchor *better;

    *head = (struct jp_records_head){
        .device = jp_post_device(post, run),
        .boot = run->boot,
        .err_ms = -1,
        .factor = post->factor,
        .pue = post->in->config->location.pue,
    };
    if (!anchor->known)
        return;
    head->clock = (enum jp_clock_state)anchor->anchor.clock;
    better = head->clock == JP_CLOCK_UNSYNCED ? repaired(post, run, anchor) : NULL;
    if (better) {
        anchor = better;
        head->clock = JP_CLOCK_ESTIMATED;
    }
    head->off_known = true;
    head->off_ms = anchor->anchor.off_ms;
    head->err_ms = anchor->anchor.err_ms;
}

static int64_t rss_kb(const struct jp_post *post)
{
    const struct jp_fs *fs = post->in->fs;
    long long pages = 0;
    char text[64] = "";
    int fd = fs->open(fs, "/proc/self/statm", JP_FS_READ);

    if (fd < 0)
        return 0;
    if (fs->pread(fs, fd, text, sizeof text - 1, 0) <= 0 || !strchr(text, ' '))
        text[0] = '\0';
    if (text[0]) // the second word: what is resident
        pages = strtoll(strchr(text, ' '), NULL, 10);
    fs->close(fs, fd);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static double cpu_s(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage))
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void judge_silence(struct jp_post *post)
{
    const struct jp_config *config = post->in->config;
    int64_t limit_ms = 3000LL * config->mqtt.live_s + 3LL * config->sampling.window_ms;
    int64_t quiet_ns = post->in->clock->mono_ns(post->in->clock) - post->newest_ns;

    post->degraded &= ~(unsigned)JP_POST_SILENT;
    if (quiet_ns > limit_ms * JP_NS_PER_MS)
        post->degraded |= JP_POST_SILENT;
}

bool jp_post_status_changed(struct jp_post *post)
{
    judge_silence(post);
    return post->status_as_sent.degraded != post->degraded || post->status_as_sent.refused != post->refused ||
           post->status_as_sent.lost != jp_post_lost_windows(post) ||
           post->status_as_sent.clock != post->in->clock->sync(post->in->clock, NULL);
}

// Nearly full is when the oldest unsent windows keep meter from opening another segment.
static void judge_room(struct jp_post *post)
{
    int64_t bytes = jp_hot_bytes(post->in->fs, post->in->config->paths_hot);

    post->degraded &= ~(unsigned)JP_POST_HOT_FULL;
    if (bytes > post->in->config->hot_max_bytes / 8 * 7)
        post->degraded |= JP_POST_HOT_FULL;
}

void jp_post_status_now(struct jp_post *post, struct jp_status *status)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {
        {JP_POST_REFUSED, "refused"},       {JP_POST_DAMAGED, "damaged"},     {JP_POST_HOT_FULL, "hot_full"},
        {JP_POST_HOT_ERROR, "io_error"},    {JP_POST_SILENT, "meter_silent"}, {JP_POST_DISK_FULL, "disk_full"},
        {JP_POST_DISK_ERROR, "disk_error"},
    };
    int n = 0;

    *status = (struct jp_status){
        .clock = jp_clock_state_name(post->in->clock->sync(post->in->clock, NULL)),
        .pending_windows = post->pending_windows + jp_post_backlog_windows(post),
        .pending_bytes = post->pending_bytes,
        .loss_window_s = jp_config_loss_window_s(post->in->config),
        .refused = post->refused,
        .cpu_s = cpu_s(),
        .rss_kb = rss_kb(post),
        .flash_bytes = (int64_t)post->state.bytes,
    };
    if (post->store.open) {
        status->pending_bytes += jp_spool_pending_bytes(&post->store.spool);
        status->flash_bytes += (int64_t)post->store.spool.counts.flash_bytes;
    }
    judge_silence(post);
    judge_room(post);
    if (post->degraded & JP_POST_HOT_FULL) // meter folds its windows
        post->degraded &= ~(unsigned)JP_POST_SILENT;
    memcpy(status->lost, post->lost, sizeof status->lost);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (post->degraded & words[i].bit)
            status->degraded[n++] = words[i].word;
}

int jp_post_status(struct jp_post *post)
{
    struct jp_status status;

    jp_post_status_now(post, &status);
    post->status_as_sent.degraded = post->degraded;
    post->status_as_sent.refused = post->refused;
    post->status_as_sent.lost = jp_post_lost_windows(post);
    post->status_as_sent.clock = post->in->clock->sync(post->in->clock, NULL);
    return jp_payload_status(&status, (char *)post->message, JP_MESSAGE_MAX);
}

static void spool_id(const struct jp_post *post, char text[33])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", post->state.spool_id[i]);
}

int jp_post_meta(struct jp_post *post)
{
    char id[33];

    spool_id(post, id);
    return jp_json_dump(jp_meta_json(&post->head_run, &post->factor, post->in->config->location.pue, id),
                        (char *)post->message, jp_post_room(post));
}
