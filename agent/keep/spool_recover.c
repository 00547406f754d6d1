// SPDX-License-Identifier: Apache-2.0
// What a start finds: the lock, the names, the cursor. Nothing of it can keep the spool from starting.
#include "spool_parts.h"

#include "cbor.h"

#include <errno.h>
#include <string.h>

#define CURSOR_RECORD_MAX 64
#define CURSOR_SLOT (CURSOR_RECORD_MAX + 24)
#define CURSOR_VERSION 1
#define DIR_MODE 0750
// A name above this is left alone: it must not use up the numbers that can still be given.
#define NUMBER_MAX (JP_SEGMENT_NUMBER_MAX / 10)

// Cursor -----------------------------------------------------------------------------------------
static size_t encode_cursor(const struct jp_spool *spool, uint8_t record[CURSOR_RECORD_MAX])
{
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, record, CURSOR_RECORD_MAX);
    jp_cbor_put_array(&out, 4);
    jp_cbor_put_uint(&out, CURSOR_VERSION);
    jp_cbor_put_uint(&out, spool->cursor.segment);
    jp_cbor_put_uint(&out, (uint64_t)spool->cursor.offset);
    jp_cbor_put_bytes(&out, spool->header.spool_id, sizeof spool->header.spool_id);
    return out.used;
}

static int decode_cursor(const uint8_t *record, size_t size, struct jp_pos *cursor, uint8_t spool_id[16])
{
    struct jp_cbor_in in;
    size_t items, length;
    const uint8_t *id;
    uint64_t version, segment, offset;

    jp_cbor_in_init(&in, record, size);
    items = jp_cbor_get_array(&in);
    version = jp_cbor_get_uint(&in);
    segment = jp_cbor_get_uint(&in);
    offset = jp_cbor_get_uint(&in);
    id = jp_cbor_get_bytes(&in, &length);
    if (in.failed || items < 4 || version != CURSOR_VERSION || length != 16 || offset > INT64_MAX)
        return -EBADMSG;
    // Beyond every name a segment can have: not ours, and the next number must be one.
    if (segment > NUMBER_MAX)
        return -EBADMSG;
    *cursor = (struct jp_pos){segment, (int64_t)offset};
    memcpy(spool_id, id, 16);
    return 0;
}

int jp_spool_read_cursor(const struct jp_fs *fs, const char *dir, struct jp_pos *cursor, uint8_t spool_id[16])
{
    uint8_t record[CURSOR_SLOT];
    char path[JP_PATH_MAX];
    struct jp_spool at = {.fs = fs};
    int rc;

    if (strlen(dir) >= sizeof at.dir)
        return -ENAMETOOLONG;
    memcpy(at.dir, dir, strlen(dir) + 1);
    rc = jp_spool_path(&at, "cursor", path);
    if (rc == 0)
        rc = jp_slots_peek(fs, path, record, sizeof record);
    if (rc < 0)
        return rc;
    return rc > 0 ? decode_cursor(record, (size_t)rc, cursor, spool_id) : -ENOENT;
}

static int open_slots(struct jp_spool *spool, uint8_t *record, size_t *size, bool *damaged)
{
    char path[JP_PATH_MAX];
    int rc = jp_spool_path(spool, "cursor", path);

    if (rc == 0)
        rc = jp_slots_open(&spool->slots, spool->fs, path, CURSOR_SLOT, record, size, damaged);
    if (rc && jp_frames_is_foreign(rc)) {
        *damaged = true;
        rc = jp_spool_clear_name(spool, path);
        if (rc == 0)
            rc = jp_slots_open(&spool->slots, spool->fs, path, CURSOR_SLOT, record, size, NULL);
    }
    spool->slots_open = rc == 0;
    return rc;
}

int jp_spool_save(struct jp_spool *spool, bool always)
{
    uint8_t record[CURSOR_SLOT];
    bool damaged;
    size_t size;
    int rc = 0;

    if (!spool->cursor_moved && !always)
        return 0;
    if (!spool->slots_open)
        rc = open_slots(spool, record, &size, &damaged);
    if (rc)
        return rc;
    size = encode_cursor(spool, record);
    if (spool->slots.generation == 0) // a full disk must find both slots there
        rc = jp_slots_put(&spool->slots, record, size, false);
    if (rc == 0)
        rc = jp_slots_put(&spool->slots, record, size, true);
    spool->counts.flash_bytes += size + 24;
    if (rc == 0) {
        spool->saved = spool->cursor;
        spool->cursor_moved = false;
        return 0;
    }
    // Never trusted again after a failed sync: its slots are read anew.
    jp_slots_close(&spool->slots);
    spool->slots_open = false;
    return rc;
}

// Without a cursor file none is made: a spool that never held anything writes nothing.
static int load_cursor(struct jp_spool *spool)
{
    uint8_t record[CURSOR_SLOT];
    char path[JP_PATH_MAX];
    bool damaged = false;
    size_t size = 0;
    int fd, rc = jp_spool_path(spool, "cursor", path);

    if (rc)
        return rc;
    fd = spool->fs->open(spool->fs, path, JP_FS_READ);
    if (fd == -ENOENT)
        return 0;
    if (fd >= 0)
        spool->fs->close(spool->fs, fd);
    rc = open_slots(spool, record, &size, &damaged);
    if (rc == -EROFS) { // what is there can be read and sent all the same
        rc = jp_slots_peek(spool->fs, path, record, sizeof record);
        size = rc > 0 ? (size_t)rc : 0;
    }
    if (rc < 0)
        return rc;
    if (size > 0 && decode_cursor(record, size, &spool->cursor, spool->header.spool_id) == 0) {
        spool->saved = spool->cursor;
        spool->id_known = true;
    } else if (size > 0 || damaged) {
        spool->counts.cursor_lost++;
    }
    return 0;
}

// Names ------------------------------------------------------------------------------------------
int jp_spool_clear_name(struct jp_spool *spool, const char *path)
{
    char aside[JP_PATH_MAX];
    size_t size = strlen(path);
    int rc = spool->fs->unlink(spool->fs, path);

    if (rc == 0 || rc == -ENOENT)
        return 0;
    if (size + sizeof ".bad" > sizeof aside)
        return rc;
    memcpy(aside, path, size);
    memcpy(aside + size, ".bad", sizeof ".bad");
    return spool->fs->rename(spool->fs, path, aside);
}

struct listing {
    struct jp_spool *spool;
    bool draft, spare;
};

// Where the name ends so, else NULL.
static const char *suffix_of(const char *name, const char *suffix)
{
    size_t size = strlen(name), length = strlen(suffix);

    return size > length && strcmp(name + size - length, suffix) == 0 ? name + size - length : NULL;
}

static int take_name(void *context, const char *name)
{
    struct listing *listing = context;
    struct jp_spool *spool = listing->spool;
    char plain[32];
    uint64_t number;
    const char *bad = suffix_of(name, ".bad");

    listing->draft = listing->draft || strcmp(name, "draft") == 0;
    listing->spare = listing->spare || strcmp(name, "spare") == 0;
    bad = bad ? bad : suffix_of(name, ".other");
    if (bad && (size_t)(bad - name) >= sizeof plain)
        return 0;
    if (bad) { // its number is taken, too
        memcpy(plain, name, (size_t)(bad - name));
        plain[bad - name] = '\0';
    }
    if (!jp_segment_number(bad ? plain : name, &number) || number > NUMBER_MAX)
        return 0;
    if (number > spool->highest)
        spool->highest = number;
    if (bad)
        return 0;
    if (spool->lowest == 0 || number < spool->lowest)
        spool->lowest = number;
    spool->used_bytes += jp_segment_size(spool->fs, spool->dir, number);
    return 0;
}

// Whether the spare is what it should be: zeros, and enough of them.
static bool is_whole_spare(struct jp_spool *spool, const char *path)
{
    uint8_t bytes[4096];
    int fd = spool->fs->open(spool->fs, path, JP_FS_READ);
    int64_t at = 0;
    bool whole = fd >= 0 && spool->fs->size(spool->fs, fd) == spool->extent;

    while (whole && at < spool->extent) {
        ssize_t n = spool->fs->pread(spool->fs, fd, bytes, sizeof bytes, at);

        whole = n > 0;
        for (ssize_t i = 0; i < n && whole; i++)
            whole = bytes[i] == 0;
        at += n > 0 ? n : 0;
    }
    if (fd >= 0)
        spool->fs->close(spool->fs, fd);
    return whole;
}

static int find_names(struct jp_spool *spool)
{
    struct listing listing = {.spool = spool};
    char path[JP_PATH_MAX];
    int rc;

    spool->lowest = 0;
    spool->after_count = 0;
    spool->used_bytes = 0;
    spool->has_spare = false;
    rc = spool->fs->list(spool->fs, spool->dir, take_name, &listing);
    if (rc == 0 && listing.draft && (rc = jp_spool_path(spool, "draft", path)) == 0)
        spool->fs->unlink(spool->fs, path); // one that stays is met when the next is made
    if (rc == 0 && listing.spare && (rc = jp_spool_path(spool, "spare", path)) == 0) {
        spool->has_spare = is_whole_spare(spool, path);
        if (spool->has_spare)
            spool->used_bytes += spool->extent;
        else
            spool->fs->unlink(spool->fs, path);
    }
    return rc;
}

// The id of the newest segment that has a header; a new spool keeps the one its owner drew.
static void find_id(struct jp_spool *spool)
{
    int rc = spool->highest > 0 ? jp_frames_open(&spool->weigher.file, spool->dir, spool->highest) : 0;

    if (rc > 0)
        memcpy(spool->header.spool_id, spool->weigher.file.header.spool_id, sizeof spool->header.spool_id);
    jp_frames_close(&spool->weigher.file);
}

int jp_spool_attach(struct jp_spool *spool)
{
    char path[JP_PATH_MAX];
    int rc = jp_spool_path(spool, "lock", path);

    if (rc)
        return rc;
    if (spool->lock_fd < 0) {
        rc = spool->fs->mkdir(spool->fs, spool->dir, DIR_MODE);
        if (rc && rc != -EEXIST)
            return rc;
        rc = spool->fs->lock(spool->fs, path);
        if (jp_frames_is_foreign(rc)) { // nobody can hold it
            rc = jp_spool_clear_name(spool, path);
            rc = rc ? rc : spool->fs->lock(spool->fs, path);
        }
        if (rc < 0)
            return rc;
        spool->lock_fd = rc;
    }
    rc = spool->fs->appends(spool->fs, spool->dir);
    spool->appends = rc == 1;
    rc = find_names(spool);
    if (rc == 0 && !spool->slots_open)
        rc = load_cursor(spool);
    if (rc)
        return rc;
    // The next number is the furthest that a cursor of ours can name.
    if (spool->lowest > 0 && spool->cursor.segment > spool->highest + 1) {
        spool->counts.cursor_lost++;
        spool->cursor = spool->saved = (struct jp_pos){0, 0};
    }
    // Segments below may all be gone: their numbers are not given again.
    if (spool->cursor.segment > spool->highest + 1 || (spool->cursor.segment > spool->highest && spool->cursor.offset))
        spool->highest = spool->cursor.segment - (spool->cursor.offset == 0);
    if (!spool->id_known)
        find_id(spool);
    spool->attached = true;
    jp_spool_set_end(spool);
    jp_spool_rewind(spool);
    return 0;
}
