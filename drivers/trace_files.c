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

static int find(FILE *file, const char *path)
{
    char *line = NULL, *text = NULL;
    size_t size = 0;
    int64_t length;
    int rc = -ENOENT;

    while (!text && getline(&line, &size, file) > 0 && strcmp(line, "rows\n") != 0)
        text = text_of(line, path);
    if (text) {
        length = jp_trace_unescape(text);
        rc = length < 0 ? (int)length : hand_out(text, (size_t)length);
    }
    free(line);
    return rc;
}

int jp_trace_open(const char *trace, const char *path)
{
    int fd = open(trace, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;
    struct stat st;
    FILE *file;

    if (fd < 0)
        return -errno;
    if (strcmp(path, JP_REPLAY_PATH) == 0)
        return fd;
    rc = fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > JP_TRACE_BYTES_MAX ? -EMSGSIZE : 0;
    file = rc ? NULL : fdopen(fd, "r");
    if (!file) {
        close(fd);
        return rc ? rc : -ENOMEM;
    }
    rc = find(file, path);
    fclose(file);
    return rc;
}
