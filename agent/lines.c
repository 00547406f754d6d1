// SPDX-License-Identifier: Apache-2.0
// Lines out of one buffer, without stdio: meter reads such a file while it samples.
#include "lines.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define BYTES_MAX (16 << 20) // the /proc/cpuinfo of 8,192 processors

struct buffer {
    char bytes[JP_LINE_MAX];
    size_t used, total;
    bool skipping; // the rest of a line that was too long
};

// Hands on the whole lines; at the end also the last, unended one. Keeps what is left at the buffer's front.
static void take(struct buffer *buffer, bool at_end, void (*each)(void *context, char *line), void *context)
{
    char *line = buffer->bytes, *end = buffer->bytes + buffer->used;

    while (line < end) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        bool full = line == buffer->bytes && buffer->used == JP_LINE_MAX - 1;

        if (!stop && !full && !at_end)
            break;
        if (stop)
            *stop = '\0';
        else
            *end = '\0';
        if (!buffer->skipping)
            each(context, line);
        buffer->skipping = !stop;
        line = stop ? stop + 1 : end;
    }
    buffer->used = (size_t)(end - line);
    memmove(buffer->bytes, line, buffer->used);
}

int jp_lines(const struct jp_site *site, const char *path, void (*each)(void *context, char *line), void *context)
{
    struct buffer buffer = {.used = 0};
    int fd = jp_site_open(site, path), rc = 0;
    ssize_t got;

    if (fd < 0)
        return fd;
    do {
        got = read(fd, buffer.bytes + buffer.used, JP_LINE_MAX - 1 - buffer.used);
        if (got < 0 && errno != EINTR)
            rc = -errno;
        buffer.used += got > 0 ? (size_t)got : 0;
        buffer.total += got > 0 ? (size_t)got : 0;
        if (buffer.total > BYTES_MAX)
            rc = -EFBIG;
        take(&buffer, got == 0, each, context);
    } while (rc == 0 && got != 0);
    close(fd);
    return rc;
}
