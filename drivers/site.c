// SPDX-License-Identifier: Apache-2.0
// The site door on the kernel's file calls.
#define _GNU_SOURCE
#include "site.h"

#include "trace_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// A number of 20 characters, its line end, and room to notice what is longer.
#define NUMBER_TEXT_MAX 40

static bool climbs(const char *path)
{
    for (const char *at = path; (at = strstr(at, "/..")); at += 3)
        if (at[3] == '/' || at[3] == '\0')
            return true;
    return false;
}

int jp_site_path(const struct jp_site *site, const char *path, char *out, size_t size)
{
    int length;

    if (path[0] != '/' || climbs(path))
        return -EINVAL;
    length = snprintf(out, size, "%s%s", site->root, path);
    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

bool jp_site_is_trace(const struct jp_site *site)
{
    struct stat st;

    return site->root[0] && stat(site->root, &st) == 0 && S_ISREG(st.st_mode);
}

// Below a file there is no path: such a root is a trace, or the tree is strange.
static bool is_below_trace(const struct jp_site *site, int error)
{
    return error == ENOTDIR && jp_site_is_trace(site);
}

int jp_site_open(const struct jp_site *site, const char *path)
{
    char full[PATH_MAX];
    int rc = jp_site_path(site, path, full, sizeof full);
    int fd;

    if (rc < 0)
        return rc;
    // A FIFO in a foreign tree must not hold the program up.
    fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0)
        return fd;
    rc = -errno;
    return is_below_trace(site, -rc) ? jp_trace_open(site->root, path) : rc;
}

int jp_site_open_attribute(const struct jp_site *site, const char *path)
{
    char full[PATH_MAX];
    int rc = jp_site_path(site, path, full, sizeof full), fd;

    if (rc < 0)
        return rc;
    fd = open(full, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0)
        return fd;
    rc = -errno;
    return is_below_trace(site, -rc) ? -EROFS : rc;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int read_all(int fd, char *out, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t got = read(fd, out + used, size - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return (int)used;
        used += (size_t)got;
    }
    return -EMSGSIZE;
}

int jp_site_read(const struct jp_site *site, const char *path, char *out, size_t size)
{
    int fd = jp_site_open(site, path);
    int length;

    if (fd < 0)
        return fd;
    length = read_all(fd, out, size > INT_MAX ? INT_MAX : size);
    close(fd);
    if (length < 0)
        return length;
    while (length > 0 && is_space(out[length - 1]))
        length--;
    out[length] = '\0';
    return length;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Digits up to `end`, counted below zero, where there is one more. Where they end, NULL when they do not fit.
static const char *take_digits(const char *at, const char *end, int64_t *below)
{
    for (*below = 0; at < end && is_digit(*at); at++) {
        int digit = *at - '0';

        if (*below < (INT64_MIN + digit) / 10)
            return NULL;
        *below = *below * 10 - digit;
    }
    return at;
}

// One decimal integer with white space around it; *at moves behind it. Not strtoll: once a period its code and its
// locale are cold, and it was a tenth of the meter's time.
static int take_i64(const char **text, const char *end, int64_t *value)
{
    const char *at = *text;
    bool negative;
    int64_t below;

    while (at < end && is_space(*at))
        at++;
    if (at == end)
        return -ENODATA;
    negative = *at == '-';
    at += negative || *at == '+';
    if (at == end || !is_digit(*at))
        return -EINVAL;
    at = take_digits(at, end, &below);
    if (!at || (!negative && below == INT64_MIN))
        return -ERANGE;
    if (at < end && !is_space(*at))
        return -EINVAL;
    while (at < end && is_space(*at))
        at++;
    *text = at;
    *value = negative ? below : -below;
    return 0;
}

// One integer and nothing else.
static int parse_i64(const char *text, size_t size, int64_t *value)
{
    const char *end = text + size;
    int64_t found;
    int rc = take_i64(&text, end, &found);

    if (rc < 0)
        return rc;
    if (text < end)
        return -EINVAL;
    *value = found;
    return 0;
}

int jp_site_read_i64(const struct jp_site *site, const char *path, int64_t *value)
{
    char text[NUMBER_TEXT_MAX];
    int length = jp_site_read(site, path, text, sizeof text);

    if (length < 0)
        return length;
    return parse_i64(text, (size_t)length, value);
}

int jp_site_link(const struct jp_site *site, const char *path, char *out, size_t size)
{
    char full[PATH_MAX], target[PATH_MAX];
    int rc = jp_site_path(site, path, full, sizeof full);
    ssize_t length;
    const char *last;

    if (rc < 0)
        return rc;
    length = readlink(full, target, sizeof target - 1);
    if (length < 0) {
        rc = -errno;
        return is_below_trace(site, -rc) ? -ENOENT : rc;
    }
    while (length > 1 && target[length - 1] == '/')
        length--;
    target[length] = '\0';
    last = strrchr(target, '/');
    last = last ? last + 1 : target;
    if (strlen(last) >= size)
        return -ENAMETOOLONG;
    memcpy(out, last, strlen(last) + 1);
    return 0;
}

static int natural_order(const struct dirent **a, const struct dirent **b)
{
    return strverscmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int jp_site_list(const struct jp_site *site, const char *path, int (*each)(void *context, const char *name),
                 void *context)
{
    char full[PATH_MAX];
    struct dirent **entries;
    int rc = jp_site_path(site, path, full, sizeof full);
    int count;

    if (rc < 0)
        return rc;
    count = scandir(full, &entries, not_hidden, natural_order);
    if (count < 0) {
        rc = -errno;
        return is_below_trace(site, -rc) ? jp_trace_list(site->root, path, each, context) : rc;
    }
    for (int i = 0; i < count; i++) {
        if (rc == 0)
            rc = each(context, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

// readdir(3) allocates.
int jp_site_count(const struct jp_site *site, const char *path)
{
    char full[PATH_MAX], entries[2048] __attribute__((aligned(8)));
    int rc = jp_site_path(site, path, full, sizeof full), fd, count = 0;
    long got;

    if (rc < 0)
        return rc;
    fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while ((got = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
        for (long at = 0; at < got; at += ((const struct dirent64 *)(const void *)(entries + at))->d_reclen)
            count++;
    rc = got < 0 ? -errno : count - 2; // without itself and its parent
    close(fd);
    return rc;
}

int jp_site_pread_i64(int fd, int64_t *value)
{
    char text[NUMBER_TEXT_MAX];
    ssize_t length = pread(fd, text, sizeof text, 0);

    return length < 0 ? -errno : parse_i64(text, (size_t)length, value);
}

int jp_site_pread_first(int fd, int64_t *values, int count)
{
    char text[NUMBER_TEXT_MAX * 2];
    ssize_t length = pread(fd, text, sizeof text, 0);
    const char *at = text;
    int rc = length < 0 ? -errno : 0;

    for (int i = 0; i < count && rc == 0; i++) {
        rc = take_i64(&at, text + length, &values[i]);
        if (rc == -ENODATA && i > 0)
            rc = -EINVAL; // the others are there
    }
    return rc;
}

int jp_site_pwrite_i64(int fd, int64_t value)
{
    char text[NUMBER_TEXT_MAX];
    int length = snprintf(text, sizeof text, "%lld\n", (long long)value);

    // A plain file of a tree would keep the rest of a longer number; the kernel's attributes have no length.
    (void)!ftruncate(fd, 0);
    return pwrite(fd, text, (size_t)length, 0) < 0 ? -errno : 0;
}
