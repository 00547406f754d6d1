// SPDX-License-Identifier: Apache-2.0
// The file door: what the spools, cursors and state files do to a disk, and nothing else.
//
// Every call returns 0 or a count, or -errno, and may fail; callers handle each failure. No call
// follows a symbolic link in the last part of a path; descriptors are close-on-exec.
// A test replaces this table by one that fails, tears and reorders on command.
#ifndef JP_FS_H
#define JP_FS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum jp_fs_open {
    JP_FS_READ,   // must exist
    JP_FS_UPDATE, // read and write, must exist
    JP_FS_CREATE, // read and write, must not exist; mode 0640
};

struct jp_fs {
    // A descriptor of the door (not of the kernel, in a test), >= 0.
    int (*open)(const struct jp_fs *self, const char *path, enum jp_fs_open how);
    void (*close)(const struct jp_fs *self, int fd);
    // As pread(2) and pwrite(2), EINTR retried; fewer bytes than asked is possible for both.
    ssize_t (*pread)(const struct jp_fs *self, int fd, void *buffer, size_t size, int64_t offset);
    ssize_t (*pwrite)(const struct jp_fs *self, int fd, const void *bytes, size_t size, int64_t offset);
    // fdatasync(2): what was written to fd is durable. May block for seconds. After a failure the
    // file's unsynced content is unknown; do not retry on the same file.
    int (*sync)(const struct jp_fs *self, int fd);
    // fsync(2) of a directory: names created or removed in it are durable.
    int (*sync_dir)(const struct jp_fs *self, const char *dir);
    int64_t (*size)(const struct jp_fs *self, int fd);
    // Cuts the file to `size` bytes.
    int (*truncate)(const struct jp_fs *self, int fd, int64_t size);
    int (*unlink)(const struct jp_fs *self, const char *path);
    int (*rename)(const struct jp_fs *self, const char *from, const char *to);
    // Makes a directory with `mode` (whatever the umask); -EEXIST if the name is taken.
    int (*mkdir)(const struct jp_fs *self, const char *path, mode_t mode);
    // Calls each(context, name) for every entry but "." and "..", in no order; stops on a non-zero
    // return and hands it back.
    int (*list)(const struct jp_fs *self, const char *dir, int (*each)(void *context, const char *name), void *context);
    // Takes the lock file `path` for this process, made (0640) if need be: a descriptor that holds it until closed.
    // -EWOULDBLOCK when another has it.
    int (*lock)(const struct jp_fs *self, const char *path);
    // Whether the file system under `dir` writes anew what is overwritten (copy-on-write, log-structured), so that
    // zero bytes written ahead save nothing: 1, 0, or -errno.
    int (*appends)(const struct jp_fs *self, const char *dir);
};

// The machine's own files.
extern const struct jp_fs jp_fs_real;

// Writes all of `bytes` at `offset`, short writes continued. 0, or -errno with an unknown part written.
int jp_fs_pwrite_all(const struct jp_fs *fs, int fd, const void *bytes, size_t size, int64_t offset);

// Makes `path`, an absolute one, with `mode` and what is missing above it with 0755. 1 made, 0 there already, or
// -errno.
int jp_fs_make_dirs(const struct jp_fs *fs, const char *path, mode_t mode);

#endif
