// SPDX-License-Identifier: Apache-2.0
// Two slots in one file. A slot: magic, CRC-32C of the rest, generation, size, flags, record; big-endian.
//
// The second slot begins on a page of its own, so that a torn sector never holds bytes of both.
#include "slots.h"

#include "crc32c.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 24
#define COVERED 8 // the first byte under the CRC
#define PAGE 4096
#define PEEK_BYTES (64 * PAGE)
#define FLAG_DURABLE 1u

static const uint8_t magic[4] = {'J', 'P', 'S', '1'};

static void put_be(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, value >>= 8)
        at[i] = (uint8_t)value;
}

static uint64_t get_be(const uint8_t *at, int bytes)
{
    uint64_t value = 0;

    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static int64_t slot_offset(const struct jp_slots *slots, int slot)
{
    return slot * (int64_t)((slots->slot_size + PAGE - 1) / PAGE * PAGE);
}

// What a slot holds, after it was read into slots->buffer.
struct content {
    bool whole, durable, dirty; // dirty: neither whole nor never written
    uint64_t generation;
    size_t size;
};

static int read_at(const struct jp_slots *slots, int64_t offset, struct content *content)
{
    const uint8_t *bytes = slots->buffer;
    size_t have = 0;

    *content = (struct content){.whole = false};
    while (have < slots->slot_size) {
        ssize_t n = slots->fs->pread(slots->fs, slots->fd, slots->buffer + have, slots->slot_size - have,
                                     offset + (int64_t)have);

        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    for (size_t i = 0; i < have; i++)
        content->dirty = content->dirty || bytes[i] != 0;
    if (have < HEAD || memcmp(bytes, magic, sizeof magic) != 0)
        return 0;
    content->generation = get_be(bytes + 8, 8);
    content->size = (size_t)get_be(bytes + 16, 4);
    if (content->generation == 0 || content->size > have - HEAD)
        return 0;
    content->whole = get_be(bytes + 4, 4) == jp_crc32c(0, bytes + COVERED, HEAD - COVERED + content->size);
    content->durable = get_be(bytes + 20, 4) & FLAG_DURABLE;
    content->dirty = content->dirty && !content->whole;
    return 0;
}

static int read_slot(const struct jp_slots *slots, int slot, struct content *content)
{
    return read_at(slots, slot_offset(slots, slot), content);
}

static int sync_parent(const struct jp_fs *fs, const char *path)
{
    char dir[JP_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;

    if (size >= sizeof dir)
        return -ENAMETOOLONG;
    memcpy(dir, path, size);
    dir[size] = '\0';
    return fs->sync_dir(fs, slash ? (size > 0 ? dir : "/") : ".");
}

// A name that is there may not be durable yet: a crash can lie between making it and syncing its folder.
static int open_file(struct jp_slots *slots, const char *path)
{
    int fd = slots->fs->open(slots->fs, path, JP_FS_UPDATE);

    if (fd == -ENOENT)
        fd = slots->fs->open(slots->fs, path, JP_FS_CREATE);
    if (fd < 0)
        return fd;
    slots->fd = fd;
    return sync_parent(slots->fs, path);
}

static int load(struct jp_slots *slots, void *buffer, size_t *size, bool *damaged)
{
    bool dirty = false, durable = false;

    for (int slot = 0; slot < 2; slot++) {
        struct content content;
        int rc = read_slot(slots, slot, &content);

        if (rc)
            return rc;
        dirty = dirty || content.dirty;
        durable = durable || (content.whole && content.durable);
        if (!content.whole || content.generation <= slots->generation)
            continue;
        slots->generation = content.generation;
        slots->newest = slot;
        *size = content.size;
        memcpy(buffer, slots->buffer + HEAD, content.size);
    }
    if (damaged)
        *damaged = slots->newest < 0 && dirty;
    slots->kept = durable ? slots->newest : -1;
    return 0;
}

int jp_slots_open(struct jp_slots *slots, const struct jp_fs *fs, const char *path, size_t slot_size, void *buffer,
                  size_t *size, bool *damaged)
{
    int rc;

    assert(slot_size > HEAD);
    *slots = (struct jp_slots){.fs = fs, .fd = -1, .slot_size = slot_size, .newest = -1, .kept = -1};
    *size = 0;
    slots->buffer = malloc(slot_size);
    if (!slots->buffer)
        return -ENOMEM;
    rc = open_file(slots, path);
    if (rc == 0)
        rc = fs->sync(fs, slots->fd);
    if (rc == 0)
        rc = load(slots, buffer, size, damaged);
    if (rc)
        jp_slots_close(slots);
    return rc;
}

int jp_slots_put(struct jp_slots *slots, const void *record, size_t size, bool durable)
{
    int rest = slots->kept >= 0 ? slots->kept : slots->newest;
    int slot = rest == 0 ? 1 : 0;
    uint8_t *bytes = slots->buffer;
    int rc;

    assert(bytes && size <= slots->slot_size - HEAD);
    memcpy(bytes, magic, sizeof magic);
    put_be(bytes + 8, slots->generation + 1, 8);
    put_be(bytes + 16, size, 4);
    put_be(bytes + 20, durable ? FLAG_DURABLE : 0, 4);
    memcpy(bytes + HEAD, record, size);
    put_be(bytes + 4, jp_crc32c(0, bytes + COVERED, HEAD - COVERED + size), 4);
    rc = jp_fs_pwrite_all(slots->fs, slots->fd, bytes, HEAD + size, slot_offset(slots, slot));
    if (rc == 0 && durable)
        rc = slots->fs->sync(slots->fs, slots->fd);
    if (rc)
        return rc;
    slots->generation++;
    slots->newest = slot;
    if (durable)
        slots->kept = slot;
    return 0;
}

void jp_slots_close(struct jp_slots *slots)
{
    if (slots->fd >= 0)
        slots->fs->close(slots->fs, slots->fd);
    slots->fd = -1;
    free(slots->buffer);
    slots->buffer = NULL;
}

int jp_slots_peek(const struct jp_fs *fs, const char *path, void *buffer, size_t size)
{
    struct jp_slots slots = {.fs = fs, .fd = fs->open(fs, path, JP_FS_READ), .slot_size = PEEK_BYTES};
    uint64_t newest = 0;
    int rc = slots.fd < 0 ? slots.fd : 0, found = 0;

    if (rc)
        return rc;
    slots.buffer = malloc(PEEK_BYTES);
    if (!slots.buffer)
        rc = -ENOMEM;
    // Where the second slot begins depends on the slots' size: it is looked for page by page.
    for (int64_t page = 0; rc == 0 && page < PEEK_BYTES / PAGE; page++) {
        struct content content;

        rc = read_at(&slots, page * PAGE, &content);
        if (rc || !content.whole || content.generation <= newest)
            continue;
        newest = content.generation;
        found = content.size > size ? -EMSGSIZE : (int)content.size;
        if (found > 0)
            memcpy(buffer, slots.buffer + HEAD, content.size);
    }
    free(slots.buffer);
    fs->close(fs, slots.fd);
    return rc ? rc : found;
}
