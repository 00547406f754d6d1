// SPDX-License-Identifier: Apache-2.0
// One text from a configuration file and all that it includes, with the place of every line.
//
// libconfig has includes of its own, but it ends the program over one that is a folder, takes no absolute path,
// and cuts integers to 32 bits without a word. So it is given one text in which none of this is left.
#define _GNU_SOURCE
#include "config_keys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX 1048576 // a configuration larger than this is a mistake
#define DEPTH_MAX 10     // a file that includes itself ends here
#define MARKS_MAX 128    // two an include

#define ALLOWED_FILE "allowed: a text file of at most 1 MiB that can be read"

// From this line of the whole text on, the lines are those of a file.
struct mark {
    unsigned at, line;
    char path[2 * JP_PATH_MAX];
};

struct jp_config_text {
    char bytes[TEXT_MAX + 1];
    size_t used;
    unsigned line; // of the whole text, the one being written
    struct mark marks[MARKS_MAX];
    int mark_count;
};

struct scan {
    const struct jp_config_reader *reader;
    struct jp_config_text *text;
    const char *path, *at;
    unsigned line;
    int depth;
    bool fresh; // only blanks since the line began
};

static int wrong_at(const struct scan *scan, unsigned line, const char *what, const char *more)
{
    snprintf(scan->reader->error, scan->reader->error_size, "%s:%u: %s%s", scan->path, line, what, more);
    return -EINVAL;
}

static int mark(struct scan *scan)
{
    struct mark *mark = &scan->text->marks[scan->text->mark_count];

    if (scan->text->mark_count == MARKS_MAX)
        return wrong_at(scan, scan->line, "too many includes, allowed: 60 in all", "");
    scan->text->mark_count++;
    mark->at = scan->text->line;
    mark->line = scan->line;
    snprintf(mark->path, sizeof mark->path, "%s", scan->path);
    return 0;
}

static int put(struct scan *scan, const char *bytes, size_t size)
{
    struct jp_config_text *text = scan->text;

    if (size > TEXT_MAX - text->used)
        return wrong_at(scan, scan->line, "the configuration is too long here, allowed: 1 MiB with all includes", "");
    memcpy(text->bytes + text->used, bytes, size);
    text->used += size;
    for (size_t i = 0; i < size; i++)
        text->line += bytes[i] == '\n';
    return 0;
}

// Hands on the next `size` bytes as they are.
static int copy(struct scan *scan, size_t size)
{
    int rc = put(scan, scan->at, size);

    for (size_t i = 0; i < size; i++)
        scan->line += scan->at[i] == '\n';
    scan->at += size;
    return rc;
}

static int copy_quoted(struct scan *scan)
{
    const char *end = scan->at + 1;

    while (*end && *end != '"')
        end += *end == '\\' && end[1] ? 2 : 1;
    if (!*end)
        return wrong_at(scan, scan->line, "the text that begins here does not end, allowed: \"TEXT\"", "");
    return copy(scan, (size_t)(end - scan->at) + 1);
}

static int copy_comment(struct scan *scan)
{
    const char *end = strstr(scan->at + 2, "*/");

    if (scan->at[0] == '#' || scan->at[1] == '/')
        return copy(scan, strcspn(scan->at, "\n"));
    if (!end)
        return wrong_at(scan, scan->line, "the comment that begins here does not end, allowed: /* TEXT */", "");
    return copy(scan, (size_t)(end - scan->at) + 2);
}

// The characters of a number, an exponent's sign included.
static size_t number_size(const char *at)
{
    size_t size = *at == '+' || *at == '-';
    bool hex = at[size] == '0' && (at[size + 1] | 0x20) == 'x';

    while (isalnum((unsigned char)at[size]) || at[size] == '.' ||
           (!hex && size > 0 && (at[size] == '+' || at[size] == '-') && (at[size - 1] | 0x20) == 'e'))
        size++;
    return size;
}

// Digits alone, behind a sign or 0x.
static bool is_integer(const char *at, size_t size, bool hex)
{
    size_t head = hex ? 2 : *at == '+' || *at == '-';

    return size > head && strspn(at + head, hex ? "0123456789abcdefABCDEF" : "0123456789") >= size - head;
}

// An integer that needs 64 bits gets the L that libconfig wants; one that needs more is refused.
static int copy_number(struct scan *scan)
{
    size_t size = number_size(scan->at), digits = size;
    bool hex = scan->at[0] == '0' && (scan->at[1] | 0x20) == 'x';
    char text[48];
    long long value;
    int rc;

    while (digits > 0 && (scan->at[digits - 1] | 0x20) == 'l')
        digits--;
    if (!is_integer(scan->at, digits, hex))
        return copy(scan, size ? size : 1);
    snprintf(text, sizeof text, "%.*s", digits < sizeof text ? (int)digits : (int)sizeof text - 1, scan->at);
    errno = 0;
    value = strtoll(text, NULL, hex ? 16 : 10);
    if (errno)
        return wrong_at(scan, scan->line, text, " is too large, allowed: integers of 64 bits");
    rc = copy(scan, size);
    return rc == 0 && digits == size && (value > INT32_MAX || value < INT32_MIN) ? put(scan, "L", 1) : rc;
}

static size_t word_size(const char *at)
{
    size_t size = 0;

    while (isalnum((unsigned char)at[size]) || at[size] == '_' || at[size] == '-' || at[size] == '*')
        size++;
    return size;
}

static int add_file(struct scan *scan);

// @include "FILE" at the beginning of a line: that file's lines in its place.
static int include(struct scan *scan)
{
    const char *name = scan->at + strlen("@include"), *slash = strrchr(scan->reader->path, '/'), *end;
    char path[2 * JP_PATH_MAX];
    struct scan inner = {scan->reader, scan->text, path, NULL, 1, scan->depth + 1, true};
    int dir = slash ? (int)(slash - scan->reader->path) + 1 : 0, rc;

    name += strspn(name, " \t");
    end = *name == '"' ? name + 1 + strcspn(name + 1, "\"\n") : name;
    if (strncmp(scan->at, "@include", strlen("@include")) != 0 || *end != '"' || end == name + 1)
        return wrong_at(scan, scan->line, "this is no include, allowed: @include \"FILE\"", "");
    name++;
    if (end - name >= JP_PATH_MAX)
        return wrong_at(scan, scan->line, "the path is too long, allowed: 511 characters", "");
    if (scan->depth == DEPTH_MAX)
        return wrong_at(scan, scan->line, "includes nest too deep, allowed: 10 levels", "");
    snprintf(path, sizeof path, "%.*s%.*s", *name == '/' ? 0 : dir, scan->reader->path, (int)(end - name), name);
    if (access(path, F_OK))
        return wrong_at(scan, scan->line, "the included file is not there, " ALLOWED_FILE ": ", path);
    scan->at = end + 1;
    rc = add_file(&inner);
    return rc ? rc : mark(scan);
}

static int step(struct scan *scan)
{
    const char *at = scan->at;
    bool fresh = scan->fresh;

    scan->fresh = *at == '\n' || (fresh && (*at == ' ' || *at == '\t'));
    if (fresh && *at == '@')
        return include(scan);
    if (*at == '"')
        return copy_quoted(scan);
    if (*at == '#' || (*at == '/' && (at[1] == '/' || at[1] == '*')))
        return copy_comment(scan);
    if (isalpha((unsigned char)*at) || *at == '*')
        return copy(scan, word_size(at));
    return isdigit((unsigned char)*at) || strchr("+-.", *at) ? copy_number(scan) : copy(scan, 1);
}

static int wrong_file(const struct scan *scan, const char *what)
{
    snprintf(scan->reader->error, scan->reader->error_size, "%s: %s, " ALLOWED_FILE, scan->path, what);
    return -EINVAL;
}

// The file's text to free(), or NULL with the error filled and *rc set.
static char *read_file(const struct scan *scan, int *rc)
{
    int fd = open(scan->path, O_RDONLY | O_CLOEXEC);
    char *text = NULL;
    size_t used = 0;
    ssize_t n = 0;
    struct stat st;

    *rc = 0;
    if (fd < 0 || fstat(fd, &st)) {
        *rc = errno == ENOENT ? -ENOENT : -EINVAL;
        wrong_file(scan, strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        *rc = wrong_file(scan, "is a folder");
    } else {
        text = malloc(TEXT_MAX + 1);
        while (text && used <= TEXT_MAX && (n = read(fd, text + used, TEXT_MAX + 1 - used)) > 0)
            used += (size_t)n;
        if (!text || n < 0 || used > TEXT_MAX || memchr(text, '\0', used))
            *rc = wrong_file(scan, "cannot be read as text");
        else
            text[used] = '\0';
    }
    if (fd >= 0)
        close(fd);
    if (*rc) {
        free(text);
        return NULL;
    }
    return text;
}

static int add_file(struct scan *scan)
{
    static const char bom[] = "\xef\xbb\xbf";
    int rc;
    char *text = read_file(scan, &rc);

    if (!text)
        return rc;
    scan->at = text + (strncmp(text, bom, strlen(bom)) == 0 ? strlen(bom) : 0);
    rc = mark(scan);
    while (rc == 0 && *scan->at)
        rc = step(scan);
    free(text);
    return rc ? rc : put(scan, "\n", 1);
}

int jp_config_text_read(struct jp_config_reader *reader)
{
    struct scan scan = {reader, calloc(1, sizeof *scan.text), reader->path, NULL, 1, 0, true};
    int rc;

    if (strlen(reader->path) >= JP_PATH_MAX)
        rc = wrong_file(&scan, "the path is too long");
    else
        rc = scan.text ? 0 : wrong_file(&scan, strerror(ENOMEM));
    if (rc == 0) {
        scan.text->line = 1;
        rc = add_file(&scan);
    }
    if (rc == 0)
        reader->text = scan.text;
    else
        free(scan.text);
    return rc;
}

const char *jp_config_text(const struct jp_config_reader *reader)
{
    return reader->text->bytes;
}

void jp_config_text_free(struct jp_config_reader *reader)
{
    free(reader->text);
    reader->text = NULL;
}

void jp_config_place(const struct jp_config_reader *reader, unsigned line, char *out, size_t size)
{
    const struct mark *mark = NULL;

    for (int i = 0; reader->text && i < reader->text->mark_count; i++)
        if (reader->text->marks[i].at <= line)
            mark = &reader->text->marks[i];
    if (mark)
        snprintf(out, size, "%s:%u", mark->path, line - mark->at + mark->line);
    else
        snprintf(out, size, "%s:1", reader->path);
}
