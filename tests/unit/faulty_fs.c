// SPDX-License-Identifier: Apache-2.0
// A disk in memory behind fs.h.
#include "faulty_fs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct faulty_fs *of(const struct jp_fs *self)
{
    return (struct faulty_fs *)(uintptr_t)self;
}

static uint64_t draw(struct faulty_fs *faulty)
{
    faulty->random ^= faulty->random << 13;
    faulty->random ^= faulty->random >> 7;
    faulty->random ^= faulty->random << 17;
    return faulty->random >> 16;
}

// Counts the call and says whether it fails: 0, an error, or 1 for a short write.
static int enter(struct faulty_fs *faulty, enum faulty_call call)
{
    faulty->calls[FAULTY_ANY]++;
    faulty->calls[call]++;
    if (faulty->power_calls == 0)
        faulty->off = true;
    if (faulty->power_calls > 0)
        faulty->power_calls--;
    if (faulty->off)
        return -EIO;
    if (faulty->fail.at == 0 || (faulty->fail.call != FAULTY_ANY && faulty->fail.call != call))
        return 0;
    if (faulty->fail.at > 1) {
        faulty->fail.at--;
        return 0;
    }
    if (!faulty->fail.forever)
        faulty->fail.at = 0;
    return faulty->fail.error ? faulty->fail.error : call == FAULTY_PWRITE;
}

static struct faulty_name *find(struct faulty_fs *faulty, const char *path)
{
    for (int i = 0; i < faulty->name_count; i++)
        if (strcmp(faulty->names[i].path, path) == 0)
            return &faulty->names[i];
    return NULL;
}

static struct faulty_name *find_or_add(struct faulty_fs *faulty, const char *path)
{
    struct faulty_name *name = find(faulty, path);

    if (name)
        return name;
    assert(strlen(path) < JP_PATH_MAX);
    if (faulty->name_count == FAULTY_FILES)
        abort();
    name = &faulty->names[faulty->name_count++];
    strcpy(name->path, path);
    name->seen = name->durable = -1;
    return name;
}

static int open_file(const struct jp_fs *self, const char *path, enum jp_fs_open how)
{
    struct faulty_fs *faulty = of(self);
    struct faulty_name *name = find(faulty, path);
    bool there = name && name->seen >= 0;
    int rc = enter(faulty, FAULTY_OPENS);

    if (rc)
        return rc;
    if (how == JP_FS_CREATE ? there : !there)
        return there ? -EEXIST : -ENOENT;
    if (how == JP_FS_CREATE) {
        if (faulty->file_count == FAULTY_FILES || faulty->full)
            return -ENOSPC;
        name = find_or_add(faulty, path);
        name->seen = faulty->file_count++;
    }
    for (int fd = 0; fd < FAULTY_OPEN; fd++) {
        if (faulty->open[fd])
            continue;
        faulty->open[fd] = name->seen + 1;
        return fd;
    }
    return -EMFILE;
}

static struct faulty_file *by_fd(struct faulty_fs *faulty, int fd)
{
    if (fd < 0 || fd >= FAULTY_OPEN || faulty->open[fd] == 0)
        abort(); // a descriptor that is not open: a bug of the code under test
    return &faulty->files[faulty->open[fd] - 1];
}

static void close_file(const struct jp_fs *self, int fd)
{
    if (!of(self)->off)
        by_fd(of(self), fd);
    of(self)->open[fd] = 0;
}

static ssize_t pread_file(const struct jp_fs *self, int fd, void *buffer, size_t size, int64_t offset)
{
    int rc = enter(of(self), FAULTY_PREAD);
    struct faulty_file *file;

    if (rc)
        return rc;
    file = by_fd(of(self), fd);
    if (offset >= file->seen_size || size == 0)
        return 0;
    if ((int64_t)size > file->seen_size - offset)
        size = (size_t)(file->seen_size - offset);
    memcpy(buffer, file->seen + offset, size);
    return (ssize_t)size;
}

static void resize(uint8_t **bytes, int64_t *size, int64_t wanted)
{
    uint8_t *grown = realloc(*bytes, (size_t)wanted + 1);

    if (!grown)
        abort();
    if (wanted > *size)
        memset(grown + *size, 0, (size_t)(wanted - *size));
    *bytes = grown;
    *size = wanted;
}

static ssize_t pwrite_file(const struct jp_fs *self, int fd, const void *bytes, size_t size, int64_t offset)
{
    struct faulty_fs *faulty = of(self);
    int rc = enter(faulty, FAULTY_PWRITE);
    struct faulty_file *file;
    size_t n = rc == 1 ? size / 2 : size;

    if (rc < 0)
        return rc;
    file = by_fd(faulty, fd);
    if (faulty->full && offset + (int64_t)n > file->seen_size)
        return -ENOSPC;
    if (faulty->power_bytes >= 0 && faulty->power_bytes < (int64_t)n) {
        n = (size_t)faulty->power_bytes;
        faulty->off = true;
    }
    if (faulty->power_bytes >= 0)
        faulty->power_bytes -= (int64_t)n;
    if (n > 0) {
        if (offset + (int64_t)n > file->seen_size)
            resize(&file->seen, &file->seen_size, offset + (int64_t)n);
        memcpy(file->seen + offset, bytes, n);
        faulty->written += (int64_t)n;
    }
    return faulty->off ? -EIO : (ssize_t)n;
}

static int64_t dirty_bytes(const struct faulty_fs *faulty, const struct faulty_file *file)
{
    int64_t bytes = 0;

    for (int64_t at = 0; at < file->seen_size; at += faulty->sector) {
        int64_t size = at + faulty->sector < file->seen_size ? faulty->sector : file->seen_size - at;

        if (at + size > file->durable_size || memcmp(file->seen + at, file->durable + at, (size_t)size) != 0)
            bytes += faulty->sector;
    }
    return bytes;
}

static void harden(struct faulty_file *file)
{
    resize(&file->durable, &file->durable_size, file->seen_size);
    if (file->seen_size > 0)
        memcpy(file->durable, file->seen, (size_t)file->seen_size);
}

static int sync_file(const struct jp_fs *self, int fd)
{
    int rc = enter(of(self), FAULTY_SYNC);

    if (rc == 0) {
        of(self)->synced += dirty_bytes(of(self), by_fd(of(self), fd));
        harden(by_fd(of(self), fd));
    }
    return rc;
}

// The part of a path behind its folder, NULL when it lies elsewhere.
static const char *within(const char *path, const char *dir)
{
    size_t size = strlen(dir);

    if (strncmp(path, dir, size) != 0 || path[size] != '/' || strchr(path + size + 1, '/'))
        return NULL;
    return path + size + 1;
}

static int sync_dir(const struct jp_fs *self, const char *dir)
{
    struct faulty_fs *faulty = of(self);
    int rc = enter(faulty, FAULTY_SYNC_DIR);

    for (int i = 0; i < faulty->name_count && rc == 0; i++)
        if (within(faulty->names[i].path, dir))
            faulty->names[i].durable = faulty->names[i].seen;
    return rc;
}

static int64_t size_of(const struct jp_fs *self, int fd)
{
    int rc = enter(of(self), FAULTY_SIZE);

    return rc ? rc : by_fd(of(self), fd)->seen_size;
}

static int truncate_file(const struct jp_fs *self, int fd, int64_t size)
{
    int rc = enter(of(self), FAULTY_TRUNCATE);

    if (rc == 0)
        resize(&by_fd(of(self), fd)->seen, &by_fd(of(self), fd)->seen_size, size);
    return rc;
}

static int unlink_file(const struct jp_fs *self, const char *path)
{
    struct faulty_name *name = find(of(self), path);
    int rc = enter(of(self), FAULTY_UNLINK);

    if (rc == 0 && (!name || name->seen < 0))
        rc = -ENOENT;
    if (rc == 0)
        name->seen = -1;
    if (rc == 0 && of(self)->full_until_unlink)
        of(self)->full = false;
    return rc;
}

static int rename_file(const struct jp_fs *self, const char *from, const char *to)
{
    struct faulty_name *name = find(of(self), from);
    int rc = enter(of(self), FAULTY_RENAME);

    if (rc == 0 && (!name || name->seen < 0))
        rc = -ENOENT;
    if (rc == 0) {
        find_or_add(of(self), to)->seen = name->seen;
        name->seen = -1;
    }
    return rc;
}

static int make_dir(const struct jp_fs *self, const char *path, mode_t mode)
{
    (void)path;
    (void)mode;
    return enter(of(self), FAULTY_MKDIR);
}

static int list_dir(const struct jp_fs *self, const char *dir, int (*each)(void *context, const char *name),
                    void *context)
{
    struct faulty_fs *faulty = of(self);
    int rc = enter(faulty, FAULTY_LIST);

    for (int i = 0; i < faulty->name_count && rc == 0; i++) {
        const char *name = within(faulty->names[i].path, dir);

        if (name && faulty->names[i].seen >= 0)
            rc = each(context, name);
    }
    return rc;
}

static int lock_file(const struct jp_fs *self, const char *path)
{
    int rc = enter(of(self), FAULTY_LOCK);

    if (rc)
        return rc;
    if (of(self)->locked)
        return -EWOULDBLOCK;
    rc = open_file(self, path, JP_FS_UPDATE);
    return rc == -ENOENT ? open_file(self, path, JP_FS_CREATE) : rc;
}

static int appends(const struct jp_fs *self, const char *dir)
{
    int rc = enter(of(self), FAULTY_APPENDS);

    (void)dir;
    return rc ? rc : of(self)->appends;
}

void faulty_init(struct faulty_fs *faulty, int64_t sector)
{
    *faulty = (struct faulty_fs){
        .fs = {.open = open_file,
               .close = close_file,
               .pread = pread_file,
               .pwrite = pwrite_file,
               .sync = sync_file,
               .sync_dir = sync_dir,
               .size = size_of,
               .truncate = truncate_file,
               .unlink = unlink_file,
               .rename = rename_file,
               .mkdir = make_dir,
               .list = list_dir,
               .lock = lock_file,
               .appends = appends},
        .sector = sector,
        .power_bytes = -1,
        .power_calls = -1,
        .random = 88172645463325252ULL,
    };
}

void faulty_free(struct faulty_fs *faulty)
{
    for (int i = 0; i < faulty->file_count; i++) {
        free(faulty->files[i].seen);
        free(faulty->files[i].durable);
    }
    faulty->file_count = faulty->name_count = 0;
}

void faulty_fail(struct faulty_fs *faulty, enum faulty_call call, long at, int error, bool forever)
{
    faulty->fail.call = call;
    faulty->fail.at = at;
    faulty->fail.error = error;
    faulty->fail.forever = forever;
}

static void tear_sector(struct faulty_fs *faulty, struct faulty_file *file, int64_t from, int64_t to)
{
    uint64_t how = draw(faulty) % 4;
    int64_t size;

    while (faulty->powersafe && from < to && file->seen[from] == file->durable[from])
        from++;
    while (faulty->powersafe && from < to && file->seen[to - 1] == file->durable[to - 1])
        to--;
    size = to - from;
    if (size == 0)
        return;

    if (memcmp(file->seen + from, file->durable + from, (size_t)size) == 0)
        return; // not dirty: a disk does not touch it
    if (how == 0)
        memcpy(file->durable + from, file->seen + from, (size_t)size);
    else if (how == 1)
        memcpy(file->durable + from, file->seen + from, (size_t)(draw(faulty) % (uint64_t)size));
    else if (how == 2)
        for (int64_t i = from; i < to; i++)
            file->durable[i] = (uint8_t)draw(faulty);
}

static void tear(struct faulty_fs *faulty, struct faulty_file *file)
{
    if (file->seen_size > file->durable_size && draw(faulty) % 2)
        resize(&file->durable, &file->durable_size, file->seen_size);
    for (int64_t at = 0; at < file->durable_size; at += faulty->sector) {
        int64_t to = at + faulty->sector < file->durable_size ? at + faulty->sector : file->durable_size;

        if (to > file->seen_size)
            to = file->seen_size;
        if (to > at)
            tear_sector(faulty, file, at, to);
    }
}

void faulty_power_up(struct faulty_fs *faulty, enum faulty_loss loss, uint64_t seed)
{
    faulty->random ^= seed * 0x9e3779b97f4a7c15ULL + 1;
    for (int i = 0; i < faulty->file_count; i++) {
        struct faulty_file *file = &faulty->files[i];

        if (loss == FAULTY_KEEP)
            harden(file);
        else if (loss == FAULTY_TEAR)
            tear(faulty, file);
        resize(&file->seen, &file->seen_size, file->durable_size);
        if (file->durable_size > 0)
            memcpy(file->seen, file->durable, (size_t)file->durable_size);
    }
    for (int i = 0; i < faulty->name_count; i++) {
        struct faulty_name *name = &faulty->names[i];

        if (loss == FAULTY_KEEP || (loss == FAULTY_TEAR && draw(faulty) % 2))
            name->durable = name->seen;
        name->seen = name->durable;
    }
    memset(faulty->open, 0, sizeof faulty->open);
    faulty->fail.at = 0;
    faulty->power_bytes = faulty->power_calls = -1;
    faulty->off = false;
}

struct faulty_file *faulty_file(struct faulty_fs *faulty, const char *path)
{
    struct faulty_name *name = find(faulty, path);

    return name && name->seen >= 0 ? &faulty->files[name->seen] : NULL;
}
