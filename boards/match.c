// SPDX-License-Identifier: Apache-2.0
// All profiles, and the one that fits a machine.
#define _GNU_SOURCE
#include "board.h"
#include "builtin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 65536 // a profile is 2 to 4 kB
#define FILES_MAX 64

// The list as it grows. `room` entries are allocated.
struct list {
    struct jp_board *boards;
    int count, room;
};

static struct jp_board *place(struct list *list, const char *id)
{
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->boards[i].id, id) == 0)
            return &list->boards[i];
    return list->count < list->room ? &list->boards[list->count++] : NULL;
}

static int builtin_count(void)
{
    int count = 0;

    while (jp_board_texts[count].id)
        count++;
    return count;
}

// What a machine calls itself: the entries of `compatible`, NUL after each, and the DMI product name.
struct names {
    char compatible[2048];
    int length;
    char product[128];
};

static void read_names(const struct jp_site *site, struct names *names)
{
    names->length = jp_site_read(site, "/proc/device-tree/compatible", names->compatible, sizeof names->compatible);
    if (jp_site_read(site, "/sys/class/dmi/id/product_name", names->product, sizeof names->product) < 0)
        names->product[0] = '\0';
}

// Whether a profile's text has an entry of the machine's own: it is the one that is worth reading.
static bool mentions(const char *text, const struct names *names)
{
    char quoted[128];

    snprintf(quoted, sizeof quoted, "\"dmi:%.100s\"", names->product);
    if (names->product[0] && strstr(text, quoted))
        return true;
    for (int at = 0; at < names->length; at += (int)strlen(names->compatible + at) + 1) {
        snprintf(quoted, sizeof quoted, "\"%.100s\"", names->compatible + at);
        if (strstr(text, quoted))
            return true;
    }
    return false;
}

// `names` NULL: all of them.
static int load_builtin(struct list *list, const struct names *names, char *error, size_t error_size)
{
    for (const struct jp_board_text *text = jp_board_texts; text->id; text++) {
        struct jp_board *board;
        int rc;

        if (names && strncmp(text->id, "generic-", 8) != 0 && !mentions(text->text, names))
            continue;
        board = place(list, text->id);
        rc = jp_board_parse(text->id, text->text, text->id, board, error, error_size);
        if (rc)
            return rc;
        board->builtin = true;
    }
    return 0;
}

static int read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t used = 0;
    ssize_t n = 0;

    if (fd < 0)
        return -errno;
    while (used < size - 1 && (n = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    if (n < 0)
        n = -errno;
    else if (n > 0)
        n = -EFBIG;
    close(fd);
    text[used] = '\0';
    return (int)n;
}

static int load_file(struct list *list, const char *path, char *error, size_t error_size)
{
    static char text[TEXT_MAX];
    struct jp_board board, *slot;
    const char *base = strrchr(path, '/') + 1;
    char id[256];
    int rc = read_file(path, text, sizeof text);

    if (rc < 0) {
        snprintf(error, error_size, "%s:1: %s, a readable board file of at most %d bytes is expected", path,
                 strerror(-rc), TEXT_MAX - 1);
        return -EINVAL;
    }
    snprintf(id, sizeof id, "%.*s", (int)(strlen(base) - strlen(".conf")), base);
    rc = jp_board_parse(id, text, path, &board, error, error_size);
    if (rc)
        return rc;
    slot = place(list, id);
    if (!slot) {
        snprintf(error, error_size, "%s:1: too many board files, at most %d are read", path, FILES_MAX);
        return -EINVAL;
    }
    *slot = board;
    return 0;
}

static int is_board_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int load_dir(struct list *list, const char *dir, char *error, size_t error_size)
{
    struct dirent **entries;
    int count = scandir(dir, &entries, is_board_file, alphasort);
    int rc = 0;

    if (count < 0 && errno == ENOENT)
        return 0;
    if (count < 0) {
        snprintf(error, error_size, "%s:1: %s, a readable folder of board files is expected", dir, strerror(errno));
        return -EINVAL;
    }
    for (int i = 0; i < count; i++) {
        char path[1024];

        snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (rc == 0)
            rc = load_file(list, path, error, error_size);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

struct jp_board *jp_board_load(const struct jp_site *site, const char *dir, int *count, char *error, size_t error_size)
{
    struct list list = {.room = builtin_count() + FILES_MAX};
    struct names names;
    int rc;

    list.boards = calloc((size_t)list.room, sizeof *list.boards);
    if (!list.boards) {
        snprintf(error, error_size, "out of memory for the board profiles");
        return NULL;
    }
    if (site)
        read_names(site, &names);
    rc = load_builtin(&list, site ? &names : NULL, error, error_size);
    if (rc == 0 && dir && dir[0])
        rc = load_dir(&list, dir, error, error_size);
    if (rc) {
        free(list.boards);
        return NULL;
    }
    *count = list.count;
    return list.boards;
}

static const struct jp_board *by_id(const struct jp_board *boards, int count, const char *id)
{
    for (int i = 0; i < count; i++)
        if (strcmp(boards[i].id, id) == 0)
            return &boards[i];
    return NULL;
}

static bool has_entry(const struct names *names, const char *wanted)
{
    if (strncmp(wanted, "dmi:", 4) == 0)
        return names->product[0] && strcmp(wanted + 4, names->product) == 0;
    for (int at = 0; at < names->length; at += (int)strlen(names->compatible + at) + 1) {
        const char *entry = names->compatible + at;

        if (!strstr(entry, "-as-") && strcmp(entry, wanted) == 0)
            return true;
    }
    return false;
}

static bool fits(const struct jp_board *board, const struct names *names)
{
    for (int i = 0; i < board->matches; i++)
        if (has_entry(names, board->match[i]))
            return true;
    return false;
}

// A device tree is ARM's; else /proc/cpuinfo says; else this program was built for the machine it looks at.
static const char *generic_id(const struct jp_site *site, const struct names *names)
{
    char cpuinfo[4096] = "";
    int fd = jp_site_open(site, "/proc/cpuinfo");

    if (names->length > 0)
        return "generic-arm";
    if (fd >= 0) {
        if (read(fd, cpuinfo, sizeof cpuinfo - 1) < 0)
            cpuinfo[0] = '\0';
        close(fd);
    }
    if (strstr(cpuinfo, "vendor_id"))
        return "generic-x86";
    if (strstr(cpuinfo, "CPU implementer"))
        return "generic-arm";
#if defined(__x86_64__) || defined(__i386__)
    return "generic-x86";
#else
    return "generic-arm";
#endif
}

const struct jp_board *jp_board_match(const struct jp_board *boards, int count, const struct jp_site *site,
                                      const char *forced)
{
    const struct jp_board *best = NULL;
    struct names names;

    if (forced && forced[0])
        return by_id(boards, count, forced);
    read_names(site, &names);
    for (int i = 0; i < count; i++)
        if (fits(&boards[i], &names) && (!best || boards[i].priority > best->priority))
            best = &boards[i];
    return best ? best : by_id(boards, count, generic_id(site, &names));
}

const struct jp_board *jp_board_rival(const struct jp_board *boards, int count, const struct jp_site *site,
                                      const struct jp_board *chosen)
{
    struct names names;

    read_names(site, &names);
    for (int i = 0; i < count && fits(chosen, &names); i++)
        if (&boards[i] != chosen && boards[i].priority == chosen->priority && fits(&boards[i], &names))
            return &boards[i];
    return NULL;
}
