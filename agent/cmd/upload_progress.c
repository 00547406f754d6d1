// SPDX-License-Identifier: Apache-2.0
// How far an upload has come, kept on the machine that uploads.
#define _GNU_SOURCE
#include "upload.h"

#include "cmd.h"
#include "crc32c.h"
#include "spool.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_MAX 64
#define SLOT_BYTES (RECORD_MAX + 24)

// What tells a segment from one of the same number in a copied spool that went its own way; 0: not there.
static uint32_t mark_of(const struct jp_upload_progress *progress, uint64_t segment)
{
    struct jp_segment_header header;
    uint8_t bytes[JP_HEADER_MAX];
    char path[JP_PATH_MAX];
    ssize_t n = -1;
    int size, fd;

    if (segment == 0 || jp_segment_path(path, progress->dir, segment))
        return 0;
    fd = progress->fs->open(progress->fs, path, JP_FS_READ);
    if (fd < 0)
        return 0;
    n = progress->fs->pread(progress->fs, fd, bytes, sizeof bytes, 0);
    progress->fs->close(progress->fs, fd);
    size = n > 0 ? jp_segment_header_decode(&header, bytes, (size_t)n) : -EBADMSG;
    return size > 0 ? jp_crc32c(0, bytes, (size_t)size) : 0;
}

int jp_upload_progress_save(struct jp_upload_progress *progress, struct jp_pos done)
{
    uint8_t record[RECORD_MAX];
    struct jp_cbor_out out;
    int rc;

    if (jp_pos_compare(done, progress->saved) == 0)
        return 0;
    jp_cbor_out_init(&out, record, sizeof record);
    jp_cbor_put_array(&out, 5);
    jp_cbor_put_uint(&out, 1);
    jp_cbor_put_uint(&out, done.segment);
    jp_cbor_put_int(&out, done.offset);
    jp_cbor_put_bytes(&out, progress->spool_id, sizeof progress->spool_id);
    jp_cbor_put_uint(&out, mark_of(progress, done.segment));
    rc = out.failed ? -EMSGSIZE : jp_slots_put(&progress->slots, record, out.used, true);
    if (rc == 0)
        progress->saved = done;
    return rc;
}

// Whether a saved place lies in this copy: in the same segment, below all that are left, or where the device itself is.
static bool is_here(const struct jp_upload_progress *progress, struct jp_pos pos, uint32_t mark)
{
    uint32_t now = mark_of(progress, pos.segment);
    uint64_t lowest, highest;

    if (now != 0)
        return mark == now;
    return jp_pos_compare(pos, progress->cursor) <= 0 ||
           (jp_segment_find(progress->fs, progress->dir, 0, &lowest, &highest) == 0 && pos.segment < lowest);
}

// The place that was saved; the beginning where the record is not of this spool.
static struct jp_pos read_record(const struct jp_upload_progress *progress, const uint8_t *record, size_t size)
{
    const struct jp_pos none = {0, 0};
    struct jp_cbor_in in;
    struct jp_pos pos;
    uint32_t mark;

    jp_cbor_in_init(&in, record, size);
    if (size == 0 || jp_cbor_get_array(&in) < 5 || jp_cbor_get_uint(&in) != 1)
        return none;
    pos.segment = jp_cbor_get_uint(&in);
    pos.offset = jp_cbor_get_int(&in);
    jp_cbor_skip(&in);
    mark = (uint32_t)jp_cbor_get_uint(&in);
    if (in.failed || pos.offset < 0)
        return none;
    if (is_here(progress, pos, mark))
        return pos;
    fprintf(stderr, "%s: %s is of another copy of this spool: beginning anew\n", JP_UPLOAD_VERB, progress->path);
    return none;
}

// Folders of the spool are never written to, so neither may paths.spool be one of them or lie in one.
static bool lies_in(const char *path, const char *dir)
{
    char part[JP_PATH_MAX];
    struct stat a, b;

    if (stat(dir, &b))
        return false;
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part + strlen(part); slash; slash = strrchr(part, '/')) {
        *slash = '\0';
        if (stat(part[0] ? part : "/", &a) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
            return true;
    }
    return false;
}

// As the agent makes it: root must not leave a folder in which its user cannot work.
static int make_folder(const struct jp_config *config)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam(config->user) : NULL;
    int rc = jp_fs_make_dirs(&jp_fs_real, config->paths_spool, 0750);

    if (rc == 1 && user && chown(config->paths_spool, user->pw_uid, user->pw_gid))
        rc = -errno;
    return rc < 0 ? rc : 0;
}

static int fail(const struct jp_upload_progress *progress, const struct jp_config *config, int error)
{
    if (error == -EWOULDBLOCK)
        fprintf(stderr, "%s: %s is locked: another upload of this spool runs, wait for its end or stop it\n",
                JP_UPLOAD_VERB, progress->path);
    else
        fprintf(stderr,
                "%s: paths.spool %s cannot be written by user %u, and how far an upload has come is kept there: %s; "
                "open it to that user, or name another folder in the configuration\n",
                JP_UPLOAD_VERB, config->paths_spool, (unsigned)geteuid(), strerror(-error));
    return JP_EXIT_FAILED;
}

static int name_file(struct jp_upload_progress *progress, const char *dir)
{
    int n = snprintf(progress->path, sizeof progress->path, "%s/upload-", dir);

    if (n < 0 || (size_t)n + 32 >= sizeof progress->path)
        return -ENAMETOOLONG;
    for (int i = 0; i < 16; i++, n += 2)
        snprintf(progress->path + n, sizeof progress->path - (size_t)n, "%02x", progress->spool_id[i]);
    return 0;
}

static int open_file(struct jp_upload_progress *progress, const struct jp_config *config, struct jp_pos *from)
{
    uint8_t record[SLOT_BYTES];
    size_t size;
    int rc = make_folder(config);

    if (rc == 0)
        rc = name_file(progress, config->paths_spool);
    if (rc)
        return rc;
    progress->lock_fd = progress->fs->lock(progress->fs, progress->path);
    if (progress->lock_fd < 0)
        return progress->lock_fd;
    rc = jp_slots_open(&progress->slots, progress->fs, progress->path, SLOT_BYTES, record, &size, NULL);
    if (rc)
        progress->fs->close(progress->fs, progress->lock_fd);
    else
        *from = read_record(progress, record, size);
    return rc;
}

int jp_upload_progress_open(struct jp_upload_progress *progress, struct jp_look *look)
{
    uint8_t cursor_id[16];
    int rc;

    *progress = (struct jp_upload_progress){.fs = look->in.fs, .dir = look->dir, .lock_fd = -1};
    memcpy(progress->spool_id, look->history.spool_id, sizeof progress->spool_id);
    if (lies_in(look->config.paths_spool, look->dir)) {
        fprintf(stderr,
                "%s: %s is paths.spool of this configuration, which post itself delivers: name a spool of another "
                "machine, or another configuration\n",
                JP_UPLOAD_VERB, look->dir);
        return JP_EXIT_FAILED;
    }
    if (jp_spool_read_cursor(look->in.fs, look->dir, &progress->cursor, cursor_id) ||
        memcmp(cursor_id, progress->spool_id, sizeof cursor_id) != 0)
        progress->cursor = (struct jp_pos){0, 0};
    rc = open_file(progress, &look->config, &look->from);
    if (rc)
        return fail(progress, &look->config, rc);
    progress->saved = look->from;
    if (jp_pos_compare(progress->cursor, look->from) > 0) {
        look->from = progress->cursor;
        progress->from_cursor = true;
    }
    return JP_OPTIONS_GO;
}

void jp_upload_progress_close(struct jp_upload_progress *progress)
{
    jp_slots_close(&progress->slots);
    progress->fs->close(progress->fs, progress->lock_fd);
}
