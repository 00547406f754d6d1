// SPDX-License-Identifier: Apache-2.0
// What programs of this machine may know of post: one line of JSON in paths.hot, replaced as a whole.
#define _GNU_SOURCE
#include "posting_parts.h"

#include "json.h"
#include "meta.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CALM_NS (55 * JP_NS_PER_S) // connected, and nothing is wrong: a line costs as much as some messages
#define BUSY_NS (10 * JP_NS_PER_S)
#define TEXT_MAX 4096 // a status is below 1 KB

static int64_t boot_ms(const struct jp_post *post)
{
    return post->in->clock->boot_ns(post->in->clock) / JP_NS_PER_MS;
}

static json_t *link_json(const struct jp_post *post)
{
    const char *state = !post->in->link ? "none" : post->up ? "connected" : "connecting";

    return json_pack("{s:s, s:I, s:o}", "state", state, "since_boot_ms", (json_int_t)post->told_here.since_ms, "error",
                     jp_json_text(post->down_why));
}

static json_t *registers_json(const struct jp_post *post)
{
    const struct jp_registers *registers = &post->registers;
    bool known = post->head_run_known && post->head_run.total_known && registers->total.known;

    if (!registers->final)
        return json_null();
    return json_pack("{s:o, s:{s:o}, s:o, s:o, s:o}", "id", jp_json_u64(registers->id), "energy_j", "total",
                     jp_json_milli(known, registers->total.shown_mj), "run", jp_json_u64(registers->run), "of_run_j",
                     jp_json_milli(known, registers->total.run_mj), "emissions_g",
                     known && registers->priced ? json_real(round(registers->emissions_ug) / 1e6) : json_null());
}

static int line(struct jp_post *post, char *text, size_t size)
{
    struct jp_status status;

    jp_post_status_now(post, &status);
    return jp_json_dump(json_pack("{s:I, s:i, s:o, s:o, s:o, s:o}", "boot_ms", (json_int_t)boot_ms(post), "pid",
                                  (int)getpid(), "link", link_json(post), "status", jp_status_json(&status), "factor",
                                  jp_factor_json(&post->factor, post->in->config->location.pue), "registers",
                                  registers_json(post)),
                        text, size);
}

static void place(const struct jp_post *post, char path[2][JP_PATH_MAX + 16])
{
    snprintf(path[0], JP_PATH_MAX + 16, "%s/post.json", post->in->config->paths_hot);
    snprintf(path[1], JP_PATH_MAX + 16, "%s/post.json.new", post->in->config->paths_hot);
}

// A reader sees the old line or the new one. Where it cannot be written, the old one grows old, and says so.
static void replace(const struct jp_post *post, char *text, int size)
{
    const struct jp_fs *fs = post->in->fs;
    char path[2][JP_PATH_MAX + 16];
    int fd, rc;

    place(post, path);
    fd = fs->open(fs, path[1], JP_FS_CREATE);
    if (fd == -EEXIST && fs->unlink(fs, path[1]) == 0) // a killed post's
        fd = fs->open(fs, path[1], JP_FS_CREATE);
    if (fd < 0)
        return;
    text[size] = '\n';
    rc = jp_fs_pwrite_all(fs, fd, text, (size_t)size + 1, 0);
    fs->close(fs, fd);
    if (rc == 0)
        fs->rename(fs, path[1], path[0]);
    else
        fs->unlink(fs, path[1]);
}

void jp_post_tell(struct jp_post *post)
{
    static char text[TEXT_MAX + 1];
    bool turned = post->told_here.ns == 0 || post->told_here.up != post->up;
    int64_t now = jp_post_now_ns(post), between_ns = post->up && !post->degraded ? CALM_NS : BUSY_NS;
    int size;

    if (!turned && post->told_here.degraded == post->degraded &&
        strcmp(post->told_here.down_why, post->down_why) == 0 && now - post->told_here.ns < between_ns)
        return;
    if (turned)
        post->told_here.since_ms = boot_ms(post);
    post->told_here.ns = now;
    post->told_here.up = post->up;
    memcpy(post->told_here.down_why, post->down_why, sizeof post->down_why);
    size = line(post, text, TEXT_MAX);
    post->told_here.degraded = post->degraded; // as judged for the line
    if (size > 0)
        replace(post, text, size);
}

void jp_post_tell_end(struct jp_post *post)
{
    char path[2][JP_PATH_MAX + 16];

    place(post, path);
    post->in->fs->unlink(post->in->fs, path[0]);
}
