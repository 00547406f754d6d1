// SPDX-License-Identifier: Apache-2.0
// Opens a spool for the verbs that only read it.
#include "look.h"

#include "clock.h"
#include "cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define QUIET_NS JP_NS_PER_S // work that is done by then needs no progress
#define BETWEEN_NS (JP_NS_PER_S / 4)

// Progress on a terminal; nothing where nobody looks, or where the output itself is on that terminal.
static struct {
    int64_t next_ns;
    bool watched, shown;
} progress;

static void show_progress(size_t done, size_t all)
{
    int64_t now = jp_clock_real.mono_ns(&jp_clock_real);

    if (progress.next_ns == 0) {
        progress.watched = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
        progress.next_ns = now + QUIET_NS;
    }
    if (!progress.watched || now < progress.next_ns)
        return;
    progress.next_ns = now + BETWEEN_NS;
    progress.shown = true;
    fprintf(stderr, "\r%zu of %zu segments ", done, all);
}

void jp_look_progress(const char *line)
{
    int64_t now = jp_clock_real.mono_ns(&jp_clock_real);

    if (now < progress.next_ns || !isatty(STDERR_FILENO))
        return;
    progress.next_ns = now + BETWEEN_NS;
    progress.shown = true;
    fprintf(stderr, "\r%-60s", line);
}

void jp_look_clear(void)
{
    if (progress.shown)
        fprintf(stderr, "\r%60s\r", "");
    progress.shown = false;
}

static int find_one(void *context, const char *name)
{
    uint64_t number;

    (void)context;
    return jp_segment_number(name, &number);
}

// `dir` itself when it has segments or nothing of that name below; else `dir/spool`.
static int choose(struct jp_look *look, const char *dir)
{
    const struct jp_fs *fs = look->in.fs;
    int below = snprintf(look->dir, sizeof look->dir, "%s/spool", dir);
    int rc = fs->list(fs, dir, find_one, NULL);

    if (rc < 0)
        return rc;
    if (below < 0 || (size_t)below >= sizeof look->dir)
        return -ENAMETOOLONG;
    if (rc > 0 || fs->list(fs, look->dir, find_one, NULL) < 0)
        look->dir[strlen(dir)] = '\0';
    return 0;
}

int jp_look_configure(struct jp_look *look, const char *verb, const struct jp_options *options)
{
    int rc;

    memset(look, 0, sizeof *look);
    look->verb = verb;
    rc = jp_options_config(options, &look->config);
    if (rc)
        return rc;
    look->in = (struct jp_history_in){
        .fs = &jp_fs_real, .dir = look->dir, .pue = look->config.location.pue, .progress = show_progress};
    jp_config_factor(&look->config, &look->in.factor);
    return JP_OPTIONS_GO;
}

// A spool that never held anything has its lock, or a cursor.
static bool is_spool(const struct jp_look *look)
{
    static const char *const names[] = {"lock", "cursor", "meter.lock", "post.lock"};
    const struct jp_fs *fs = look->in.fs;
    char path[JP_PATH_MAX + 16];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int fd;

        snprintf(path, sizeof path, "%s/%s", look->dir, names[i]);
        fd = fs->open(fs, path, JP_FS_READ);
        if (fd >= 0)
            fs->close(fs, fd);
        if (fd >= 0 || fd == -EACCES)
            return true;
    }
    return false;
}

int jp_look_at(struct jp_look *look, const char *dir)
{
    int rc = choose(look, dir);

    if (rc == 0)
        rc = jp_history_open(&look->history, &look->in);
    if (rc == 0 && look->history.walk.count == 0 && !is_spool(look)) {
        jp_history_close(&look->history);
        fprintf(stderr,
                "%s: %s: there are no segments in it; name the folder of segments, or one that holds it as spool\n",
                look->verb, dir);
        return JP_EXIT_FAILED;
    }
    if (rc == 0)
        return JP_OPTIONS_GO;
    jp_look_clear();
    fprintf(stderr, "%s: %s: %s\n", look->verb, dir, strerror(-rc));
    return JP_EXIT_FAILED;
}

int jp_look_open(struct jp_look *look, const char *verb, const struct jp_options *options, bool brief)
{
    int rc = jp_look_configure(look, verb, options);

    if (rc != JP_OPTIONS_GO)
        return rc;
    look->in.brief = brief;
    return jp_look_at(look, options->word ? options->word : look->config.paths_spool);
}

void jp_look_flaw(const struct jp_flaw *flaw, char *text, size_t size)
{
    int n = snprintf(text, size, "segment %" PRIu64 " at %" PRId64 ": %s", flaw->at.segment, flaw->at.offset,
                     jp_flaw_text(flaw->kind));

    if (flaw->kind == JP_FLAW_UNREAD && n > 0 && (size_t)n < size)
        n += snprintf(text + n, size - (size_t)n, ": %s", strerror(-flaw->error));
    if (flaw->end > flaw->at.offset && n > 0 && (size_t)n < size)
        n += snprintf(text + n, size - (size_t)n, ", %" PRId64 " bytes", flaw->end - flaw->at.offset);
    if (flaw->frames > 0 && n > 0 && (size_t)n < size)
        snprintf(text + n, size - (size_t)n, ", %" PRId64 " %s lost", flaw->frames,
                 flaw->frames == 1 ? "frame" : "frames");
}

enum jp_entry_kind jp_look_next(struct jp_look *look)
{
    struct jp_history *history = &look->history;
    enum jp_entry_kind kind;
    char text[256];

    while ((kind = jp_history_next(history)) == JP_ENTRY_FLAW || kind == JP_ENTRY_SENSELESS) {
        if (jp_pos_compare(history->at, look->from) < 0)
            continue;
        if (kind == JP_ENTRY_FLAW) {
            jp_look_flaw(&history->walk.flaw, text, sizeof text);
            look->flaws += jp_flaw_is_damage(history->walk.flaw.kind);
            look->torn += history->walk.flaw.kind == JP_FLAW_TORN;
            look->unread += history->walk.flaw.kind == JP_FLAW_UNREAD;
        } else {
            snprintf(text, sizeof text, "segment %" PRIu64 " at %" PRId64 ": %s", history->at.segment,
                     history->at.offset, history->what);
            look->senseless++;
        }
        jp_look_clear();
        fprintf(stderr, "%s: %s\n", look->verb, text);
    }
    return kind;
}

int jp_look_end(struct jp_look *look, FILE *out, int rc)
{
    jp_look_clear();
    jp_history_close(&look->history);
    errno = 0;
    if (rc == 0 && out && fflush(out))
        rc = errno ? -errno : -EIO;
    if (rc == 0 || rc == -EPIPE)
        return look->unread > 0 ? JP_EXIT_FAILED : JP_EXIT_DONE;
    fprintf(stderr, "%s: cannot write: %s\n", look->verb, strerror(-rc));
    return JP_EXIT_FAILED;
}
