// SPDX-License-Identifier: Apache-2.0
// The machine's own files behind fs.h.
#define _GNU_SOURCE
#include "fs.h"

#include "limits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LIST_BYTES 4096

static int open_file(const struct jp_fs *self, const char *path, enum jp_fs_open how)
{
    static const int flags[] = {
        [JP_FS_READ] = O_RDONLY,
        [JP_FS_UPDATE] = O_RDWR,
        [JP_FS_CREATE] = O_RDWR | O_CREAT | O_EXCL,
    };
    struct stat st;
    int fd;

    (void)self;
    do
        fd = open(path, flags[how] | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    if (how == JP_FS_UPDATE && (fstat(fd, &st) || !S_ISREG(st.st_mode))) { // a pipe opens, and takes no offset
        close(fd);
        return -ESPIPE;
    }
    return fd;
}

static void close_file(const struct jp_fs *self, int fd)
{
    (void)self;
    close(fd);
}

static ssize_t pread_file(const struct jp_fs *self, int fd, void *buffer, size_t size, int64_t offset)
{
    ssize_t n;

    (void)self;
    do
        n = pread(fd, buffer, size, offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t pwrite_file(const struct jp_fs *self, int fd, const void *bytes, size_t size, int64_t offset)
{
    ssize_t n;

    (void)self;
    do
        n = pwrite(fd, bytes, size, offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static int sync_file(const struct jp_fs *self, int fd)
{
    (void)self;
    return fdatasync(fd) ? -errno : 0;
}

static int sync_dir(const struct jp_fs *self, const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    (void)self;
    if (fd < 0)
        return -errno;
    if (fsync(fd))
        rc = -errno;
    close(fd);
    return rc;
}

static int64_t size_of(const struct jp_fs *self, int fd)
{
    struct stat st;

    (void)self;
    return fstat(fd, &st) ? -errno : st.st_size;
}

static int truncate_file(const struct jp_fs *self, int fd, int64_t size)
{
    (void)self;
    return ftruncate(fd, size) ? -errno : 0;
}

static int unlink_file(const struct jp_fs *self, const char *path)
{
    (void)self;
    return unlink(path) ? -errno : 0;
}

static int rename_file(const struct jp_fs *self, const char *from, const char *to)
{
    (void)self;
    return rename(from, to) ? -errno : 0;
}

static int make_dir(const struct jp_fs *self, const char *path, mode_t mode)
{
    (void)self;
    return mkdir(path, 0700) || chmod(path, mode) ? -errno : 0;
}

// As the kernel lays it out for getdents64(2).
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

// opendir(3) allocates, and meter lists a folder when its spool is full.
static int list_dir(const struct jp_fs *self, const char *dir, int (*each)(void *context, const char *name),
                    void *context)
{
    alignas(struct entry) char bytes[LIST_BYTES];
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    long n = 1;

    (void)self;
    if (fd < 0)
        return -errno;
    while (rc == 0 && n > 0) {
        n = syscall(SYS_getdents64, fd, bytes, sizeof bytes);
        if (n < 0)
            rc = -errno;
        for (long at = 0; rc == 0 && at < n;) {
            const struct entry *entry = (const void *)(bytes + at); // the kernel keeps entries aligned

            if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
                rc = each(context, entry->name);
            at += entry->size;
        }
    }
    close(fd);
    return rc;
}

static int lock_file(const struct jp_fs *self, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
    int rc;

    (void)self;
    if (fd < 0 && errno == EROFS) // it may turn writable while we hold it
        fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

// An overlay says nothing of what lies below it: it counts as ext4 would.
static int appends(const struct jp_fs *self, const char *dir)
{
    static const unsigned long magics[] = {BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, NILFS_SUPER_MAGIC};
    struct statfs st;

    (void)self;
    if (statfs(dir, &st))
        return -errno;
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
        if (((unsigned long)st.f_type & 0xffffffffUL) == magics[i])
            return 1;
    return 0;
}

int jp_fs_pwrite_all(const struct jp_fs *fs, int fd, const void *bytes, size_t size, int64_t offset)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t n = fs->pwrite(fs, fd, at, size, offset);

        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO;
        at += n;
        size -= (size_t)n;
        offset += n;
    }
    return 0;
}

int jp_fs_make_dirs(const struct jp_fs *fs, const char *path, mode_t mode)
{
    char part[JP_PATH_MAX];
    size_t size = strlen(path);
    int rc;

    if (size >= sizeof part)
        return -ENAMETOOLONG;
    rc = fs->mkdir(fs, path, mode);
    if (rc != -ENOENT)
        return rc == 0 ? 1 : rc == -EEXIST ? 0 : rc;
    rc = -EEXIST;
    for (size_t i = 1; i <= size && (rc == 0 || rc == -EEXIST); i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        rc = fs->mkdir(fs, part, i == size ? mode : 0755);
    }
    return rc == 0 ? 1 : rc == -EEXIST ? 0 : rc;
}

const struct jp_fs jp_fs_real = {
    .open = open_file,
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
    .appends = appends,
};
