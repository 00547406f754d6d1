// SPDX-License-Identifier: Apache-2.0
// Finds a file in a trace's header and hands it out as a descriptor.
#define _GNU_SOURCE
#include "trace_files.h"

#include "replay.h"
#include "trace.h"
#include "trace_words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX 64 // of one folder; a trace keeps a dozen files in all

bool jp_trace_begins(const char *trace)
{
    char text[sizeof JP_TRACE_MAGIC] = "";
    struct stat st;
    FILE *file = stat(trace, &st) == 0 && S_ISREG(st.st_mode) ? fopen(trace, "re") : NULL;
    bool begins = file && fgets(text, sizeof text, file) && strcmp(text, JP_TRACE_MAGIC) == 0;

    if (file)
        fclose(file);
    return begins;
}

// The text of "file PATH TEXT" when the line has this path, else NULL.
static char *text_of(char *line, const char *path)
{
    size_t word = strlen("file "), length = strlen(path);

    line[strcspn(line, "\r\n")] = '\0';
    if (strncmp(line, "file ", word) != 0 || strncmp(line + word, path, length) != 0)
        return NULL;
    line += word + length;
    return *line == ' ' ? line + 1 : *line == '\0' ? line : NULL;
}

static int hand_out(const char *bytes, size_t length)
{
    int fd = memfd_create("joulepost-trace", MFD_CLOEXEC);
    int rc;

    if (fd < 0)
        return -errno;
    while (length > 0) {
        ssize_t put = write(fd, bytes, length);

        if (put < 0)
            break;
        bytes += put;
        length -= (size_t)put;
    }
    if (length == 0 && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

// Opens the trace to look at its header. NULL with *rc; what is too large is no trace.
static FILE *open_header(const char *trace, int *rc)
{
    int fd = open(trace, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    FILE *file = NULL;

    if (fd < 0)
        *rc = -errno;
    else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > JP_TRACE_BYTES_MAX)
        *rc = -EMSGSIZE;
    else
        *rc = (file = fdopen(fd, "r")) ? 0 : -ENOMEM;
    if (fd >= 0 && !file)
        close(fd);
    return file;
}

static bool next_line(FILE *file, char **line, size_t *size)
{
    return getline(line, size, file) > 0 && strcmp(*line, "rows\n") != 0;
}

int jp_trace_open(const char *trace, const char *path)
{
    char *line = NULL, *text = NULL;
    size_t size = 0;
    FILE *file;
    int rc;

    if (strcmp(path, JP_REPLAY_PATH) == 0) {
        rc = open(trace, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        return rc < 0 ? -errno : rc;
    }
    file = open_header(trace, &rc);
    if (!file)
        return rc;
    while (!text && next_line(file, &line, &size))
        text = text_of(line, path);
    rc = -ENOENT;
    if (text) {
        int64_t length = jp_trace_unescape(text);

        rc = length < 0 ? (int)length : hand_out(text, (size_t)length);
    }
    free(line);
    fclose(file);
    return rc;
}

// The name directly below `path` that the line's file lies at or under, else NULL.
static char *name_below(char *line, const char *path)
{
    size_t word = strlen("file "), length = strlen(path);

    if (strncmp(line, "file ", word) != 0 || strncmp(line + word, path, length) != 0 || line[word + length] != '/')
        return NULL;
    line += word + length + 1;
    line[strcspn(line, "/ \r\n")] = '\0';
    return line[0] && line[0] != '.' ? line : NULL;
}

struct names {
    char *name[NAMES_MAX];
    int count;
};

static void add_name(struct names *names, const char *name)
{
    char *copy;
    int at = 0;

    while (at < names->count && strverscmp(names->name[at], name) < 0)
        at++;
    if (names->count == NAMES_MAX || (at < names->count && strcmp(names->name[at], name) == 0))
        return;
    copy = strdup(name);
    if (!copy)
        return;
    memmove(&names->name[at + 1], &names->name[at], (size_t)(names->count - at) * sizeof names->name[0]);
    names->name[at] = copy;
    names->count++;
}

int jp_trace_list(const char *trace, const char *path, int (*each)(void *context, const char *name), void *context)
{
    struct names names = {.count = 0};
    char *line = NULL, *name;
    size_t size = 0;
    int rc;
    FILE *file = open_header(trace, &rc);

    if (!file)
        return rc;
    while (next_line(file, &line, &size))
        if ((name = name_below(line, path)))
            add_name(&names, name);
    free(line);
    fclose(file);
    rc = names.count > 0 ? 0 : -ENOENT;
    for (int i = 0; i < names.count; i++) {
        if (rc == 0)
            rc = each(context, names.name[i]);
        free(names.name[i]);
    }
    return rc;
}
