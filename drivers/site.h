// SPDX-License-Identifier: Apache-2.0
// The site door: the machine that is measured, seen through a root directory.
//
// With root "" it is this machine; with `--root DIR` it is a tree that looks like one; with `--root FILE` it is a
// captured trace, which has the files that its header keeps (trace_files.h), itself as /replay.trace, and no link.
// Paths begin with "/" and get the root in front. Nothing here follows a symbolic link out of the root on purpose, but
// the kernel's own links inside /sys are followed as they are (they are relative).
#ifndef JP_SITE_H
#define JP_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jp_i2c;

struct jp_site {
    const char *root;         // "", a directory without a trailing slash, or a trace; absolute or relative; borrowed
    const struct jp_i2c *i2c; // a test's buses, or NULL (i2c.h)
};

// Writes root + path into out. 0, -ENAMETOOLONG, or -EINVAL for a path that does not begin with "/" or
// climbs with "..".
int jp_site_path(const struct jp_site *site, const char *path, char *out, size_t size);

// Whether the root is a captured trace: nothing in it changes, and opening a file of it allocates.
bool jp_site_is_trace(const struct jp_site *site);

// Opens a file for reading, close-on-exec. The descriptor, or -errno.
int jp_site_open(const struct jp_site *site, const char *path);

// The same for reading and writing: an attribute that is to be changed. -EROFS below a trace.
int jp_site_open_attribute(const struct jp_site *site, const char *path);

// Reads a whole small file into out and terminates it; trailing white space is cut, NUL bytes inside
// (device-tree lists) are kept. Its length, or -errno; -EMSGSIZE if it does not fit (size
// counts the terminator).
int jp_site_read(const struct jp_site *site, const char *path, char *out, size_t size);

// As jp_site_read, then a decimal integer and nothing else. 0, or -errno; -ENODATA for an
// empty file, -EINVAL for other text.
int jp_site_read_i64(const struct jp_site *site, const char *path, int64_t *value);

// The last part of where a symbolic link points ("1-0040" for .../hwmon3/device). 0, or -errno.
int jp_site_link(const struct jp_site *site, const char *path, char *out, size_t size);

// Calls each(context, name) for the entries of a directory in ascending order of their names, digits
// compared as numbers (hwmon2 before hwmon10), hidden ones left out. Stops on a non-zero return and hands it back, else
// 0 or -errno.
int jp_site_list(const struct jp_site *site, const char *path, int (*each)(void *context, const char *name),
                 void *context);

// How many entries a directory has; of a trace none. Allocates nothing. Their number, or -errno.
int jp_site_count(const struct jp_site *site, const char *path);

// Reads an open sysfs attribute from its start and parses one decimal integer: the sampling path.
// One pread(2), no allocation. 0, or -errno; -ENODATA for an empty (or blank) file, -EINVAL for other text.
int jp_site_pread_i64(int fd, int64_t *value);

// As jp_site_pread_i64, but the first `count` integers of a line, white space between them; what follows the last after
// white space is not looked at ("32760 ma"). On an error `values` may be changed.
int jp_site_pread_first(int fd, int64_t *values, int count);

// Writes one decimal integer into an open attribute, one pwrite(2). 0, or -errno.
int jp_site_pwrite_i64(int fd, int64_t value);

#endif
