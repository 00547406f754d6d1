// SPDX-License-Identifier: Apache-2.0
// Reads one board profile and checks that what it says holds together.
#include "board.h"

#include "reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS(array) ((struct jp_reader_rows){(char *)(array), sizeof *(array), (int)(sizeof(array) / sizeof *(array))})

static const char *const board_keys[] = {"name", "module",  "modules", "soc",         "match",   "priority", "verified",
                                         "gpu",  "sensors", "totals",  "power_modes", "sources", NULL};
static const char *const module_keys[] = {"part", "name", "ram_gib", NULL};
static const char *const gpu_keys[] = {"count", "name", "arch", "load", "frequency", NULL};
static const char *const sensor_keys[] = {"chip", "address", "bus_node", "scope", "verified", "channels", NULL};
static const char *const channel_keys[] = {"channel",    "label",           "aliases",  "roles", "part_of",
                                           "shunt_uohm", "shunt_tolerance", "verified", NULL};
static const char *const total_keys[] = {"board", "module", "outside", NULL};
static const char *const outside_keys[] = {"board", "module", "package", "system", NULL};
static const char *const mode_keys[] = {"id", "name", NULL};

static bool legal_name(const char *name)
{
    size_t length = strlen(name);

    return length >= 1 && length <= 32 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") == length;
}

static void check_label(struct jp_reader *reader, const config_setting_t *at, const char *label)
{
    if (!legal_name(label))
        jp_reader_fail(reader, at, "label \"%s\" must be 1 to 32 of A-Z a-z 0-9 _ . -", label);
    else if (strcmp(label, "total") == 0)
        jp_reader_fail(reader, at, "label \"total\" is reserved for the sum, choose another");
}

static uint32_t read_roles(struct jp_reader *reader, const config_setting_t *group)
{
    char words[JP_BOARD_LIST_MAX][17];
    int count = jp_reader_texts(reader, group, "roles", ROWS(words));
    uint32_t roles = 0;

    for (int i = 0; i < count; i++) {
        uint32_t bit = jp_role_by_name(words[i]);

        if (!bit)
            jp_reader_fail(reader, config_setting_get_member(group, "roles"),
                           "unknown role \"%s\", allowed: cpu, gpu, cv, soc, ram, io, wifi, module, board, package, "
                           "core, uncore, dram, psys",
                           words[i]);
        roles |= bit;
    }
    return roles;
}

static void read_channel(struct jp_reader *reader, const config_setting_t *group, struct jp_board *board)
{
    struct jp_board_channel *channel;
    bool verified = true;

    if (board->channel_count >= JP_BOARD_CHANNELS_MAX) {
        jp_reader_fail(reader, group, "too many channels, at most %d in a board", JP_BOARD_CHANNELS_MAX);
        return;
    }
    channel = &board->channels[board->channel_count++];
    channel->sensor = board->sensor_count - 1;
    jp_reader_keys(reader, group, channel_keys);
    jp_reader_int(reader, group, "channel", &channel->index, (struct jp_reader_range){1, 64});
    if (!jp_reader_text(reader, group, "label", channel->label, sizeof channel->label))
        jp_reader_fail(reader, group, "a channel needs a \"label\"");
    check_label(reader, group, channel->label);
    jp_reader_texts(reader, group, "aliases", ROWS(channel->aliases));
    channel->roles = read_roles(reader, group);
    jp_reader_text(reader, group, "part_of", channel->part_of, sizeof channel->part_of);
    jp_reader_int(reader, group, "shunt_uohm", &channel->shunt_uohm, (struct jp_reader_range){1, 10000000});
    jp_reader_int(reader, group, "shunt_tolerance", &channel->shunt_tolerance, (struct jp_reader_range){0, 1000});
    jp_reader_bool(reader, group, "verified", &verified);
    channel->unverified = !verified || board->sensors[channel->sensor].unverified;
}

static void read_scope(struct jp_reader *reader, const config_setting_t *group, enum jp_scope *scope)
{
    char word[17];

    *scope = JP_SCOPE_RAIL;
    if (jp_reader_text(reader, group, "scope", word, sizeof word) && jp_scope_by_name(word, scope) != 0)
        jp_reader_fail(reader, config_setting_get_member(group, "scope"),
                       "unknown scope \"%s\", allowed: rail, module, carrier, board, package, system", word);
}

static void read_sensor(struct jp_reader *reader, const config_setting_t *group, struct jp_board *board)
{
    struct jp_board_sensor *sensor = &board->sensors[board->sensor_count++];
    const config_setting_t *channels;
    bool verified = true;

    jp_reader_keys(reader, group, sensor_keys);
    if (!jp_reader_text(reader, group, "chip", sensor->chip, sizeof sensor->chip))
        jp_reader_fail(reader, group, "a sensor needs a \"chip\", such as \"ina3221\"");
    sensor->address = -1;
    jp_reader_int(reader, group, "address", &sensor->address, (struct jp_reader_range){0x03, 0x77});
    jp_reader_text(reader, group, "bus_node", sensor->bus_node, sizeof sensor->bus_node);
    read_scope(reader, group, &sensor->scope);
    jp_reader_bool(reader, group, "verified", &verified);
    sensor->unverified = !verified;
    channels = jp_reader_groups(reader, group, "channels", JP_BOARD_CHANNELS_MAX);
    if (!channels || config_setting_length(channels) == 0) {
        jp_reader_fail(reader, group, "a sensor needs \"channels\", a list of groups");
        return;
    }
    for (int i = 0; i < config_setting_length(channels); i++)
        read_channel(reader, config_setting_get_elem(channels, (unsigned)i), board);
}

static void read_modules(struct jp_reader *reader, const config_setting_t *root, struct jp_board *board)
{
    const config_setting_t *list = jp_reader_groups(reader, root, "modules", JP_BOARD_LIST_MAX);

    for (int i = 0; list && i < config_setting_length(list); i++) {
        const config_setting_t *group = config_setting_get_elem(list, (unsigned)i);
        struct jp_board_module *module = &board->modules[board->module_count++];

        jp_reader_keys(reader, group, module_keys);
        if (!jp_reader_text(reader, group, "part", module->part, sizeof module->part) ||
            !jp_reader_text(reader, group, "name", module->name, sizeof module->name))
            jp_reader_fail(reader, group, "a module needs \"part\", such as \"p3767-0005\", and \"name\"");
        jp_reader_int(reader, group, "ram_gib", &module->ram_gib, (struct jp_reader_range){1, 4096});
    }
}

static void read_gpu(struct jp_reader *reader, const config_setting_t *root, struct jp_board *board)
{
    const config_setting_t *group = jp_reader_group(reader, root, "gpu");

    board->gpu.count = -1;
    if (!group)
        return;
    jp_reader_keys(reader, group, gpu_keys);
    jp_reader_int(reader, group, "count", &board->gpu.count, (struct jp_reader_range){0, 64});
    jp_reader_text(reader, group, "name", board->gpu.name, sizeof board->gpu.name);
    jp_reader_text(reader, group, "arch", board->gpu.arch, sizeof board->gpu.arch);
    board->gpu.loads = jp_reader_texts(reader, group, "load", ROWS(board->gpu.load));
    board->gpu.frequencies = jp_reader_texts(reader, group, "frequency", ROWS(board->gpu.frequency));
}

static void read_modes(struct jp_reader *reader, const config_setting_t *root, struct jp_board *board)
{
    const config_setting_t *list = jp_reader_groups(reader, root, "power_modes", JP_BOARD_LIST_MAX);

    for (int i = 0; list && i < config_setting_length(list); i++) {
        const config_setting_t *group = config_setting_get_elem(list, (unsigned)i);
        int at = board->power_mode_count++;

        jp_reader_keys(reader, group, mode_keys);
        if (!jp_reader_int(reader, group, "id", &board->power_modes[at].id, (struct jp_reader_range){0, 255}) ||
            !jp_reader_text(reader, group, "name", board->power_modes[at].name, sizeof board->power_modes[at].name))
            jp_reader_fail(reader, group, "a power mode needs \"id\" and \"name\"");
    }
}

static const struct jp_board_channel *find_label(const struct jp_board *board, const char *label)
{
    for (int i = 0; i < board->channel_count; i++)
        if (strcmp(board->channels[i].label, label) == 0)
            return &board->channels[i];
    return NULL;
}

// Whether `outer` is among the rails that contain `channel`. Bounded: a circle ends it too.
static bool inside(const struct jp_board *board, const struct jp_board_channel *channel, const char *outer)
{
    for (int depth = 0; channel && channel->part_of[0] && depth < JP_BOARD_CHANNELS_MAX; depth++) {
        if (strcmp(channel->part_of, outer) == 0)
            return true;
        channel = find_label(board, channel->part_of);
    }
    return false;
}

static bool place_taken(const struct jp_board *board, const struct jp_board_channel *channel)
{
    for (const struct jp_board_channel *other = board->channels; other < channel; other++)
        if (channel->index > 0 && other->sensor == channel->sensor && other->index == channel->index)
            return true;
    return false;
}

static void check_channels(struct jp_reader *reader, const config_setting_t *root, const struct jp_board *board)
{
    const config_setting_t *at = config_setting_get_member(root, "sensors");

    for (int i = 0; i < board->channel_count; i++) {
        const struct jp_board_channel *channel = &board->channels[i];

        if (find_label(board, channel->label) != channel)
            jp_reader_fail(reader, at, "label \"%s\" stands twice, each must be its own", channel->label);
        if (place_taken(board, channel))
            jp_reader_fail(reader, at, "\"%s\" is channel %d of a sensor that has one already, each must be its own",
                           channel->label, channel->index);
        if (channel->part_of[0] && !find_label(board, channel->part_of))
            jp_reader_fail(reader, at, "\"%s\" is part of \"%s\", which is no channel of this board", channel->label,
                           channel->part_of);
        if (inside(board, channel, channel->label))
            jp_reader_fail(reader, at, "\"%s\" is part of itself", channel->label);
    }
}

static void check_total(struct jp_reader *reader, const config_setting_t *at, const struct jp_board *board,
                        struct jp_reader_rows labels)
{
    for (int i = 0; i < labels.max; i++) {
        const char *label = labels.rows + (size_t)i * labels.width;
        const struct jp_board_channel *channel = find_label(board, label);

        if (!channel)
            jp_reader_fail(reader, at, "the total names \"%s\", which is no channel of this board", label);
        for (int j = 0; j < labels.max; j++) {
            const char *other = labels.rows + (size_t)j * labels.width;

            if (channel && inside(board, channel, other))
                jp_reader_fail(reader, at, "the total counts \"%s\" twice: it is part of \"%s\"", label, other);
            if (i != j && strcmp(label, other) == 0)
                jp_reader_fail(reader, at, "the total names \"%s\" twice", label);
        }
    }
}

static void read_outside(struct jp_reader *reader, const config_setting_t *totals, struct jp_board *board)
{
    const config_setting_t *group = jp_reader_group(reader, totals, "outside");

    if (!group)
        return;
    jp_reader_keys(reader, group, outside_keys);
    for (int scope = 0; scope <= JP_SCOPE_SYSTEM; scope++)
        jp_reader_text(reader, group, jp_scope_name((enum jp_scope)scope), board->outside[scope],
                       sizeof board->outside[scope]);
}

static void read_totals(struct jp_reader *reader, const config_setting_t *root, struct jp_board *board)
{
    const config_setting_t *group = jp_reader_group(reader, root, "totals");
    struct jp_reader_rows labels;

    if (!group)
        return;
    jp_reader_keys(reader, group, total_keys);
    board->total_board_count = jp_reader_texts(reader, group, "board", ROWS(board->total_board));
    board->total_module_count = jp_reader_texts(reader, group, "module", ROWS(board->total_module));
    labels = ROWS(board->total_board);
    labels.max = board->total_board_count;
    check_total(reader, group, board, labels);
    labels = ROWS(board->total_module);
    labels.max = board->total_module_count;
    check_total(reader, group, board, labels);
    read_outside(reader, group, board);
}

static void read_board(struct jp_reader *reader, const config_setting_t *root, struct jp_board *board)
{
    char sources[JP_BOARD_LIST_MAX][256];
    const config_setting_t *sensors;

    jp_reader_keys(reader, root, board_keys);
    if (!jp_reader_text(reader, root, "name", board->name, sizeof board->name))
        jp_reader_fail(reader, NULL, "a board needs a \"name\"");
    jp_reader_text(reader, root, "module", board->module, sizeof board->module);
    read_modules(reader, root, board);
    jp_reader_text(reader, root, "soc", board->soc, sizeof board->soc);
    board->matches = jp_reader_texts(reader, root, "match", ROWS(board->match));
    jp_reader_int(reader, root, "priority", &board->priority, (struct jp_reader_range){0, 1000});
    jp_reader_bool(reader, root, "verified", &board->verified);
    jp_reader_texts(reader, root, "sources", ROWS(sources));
    read_gpu(reader, root, board);
    sensors = jp_reader_groups(reader, root, "sensors", JP_BOARD_SENSORS_MAX);
    for (int i = 0; sensors && i < config_setting_length(sensors); i++)
        read_sensor(reader, config_setting_get_elem(sensors, (unsigned)i), board);
    check_channels(reader, root, board);
    read_totals(reader, root, board);
    read_modes(reader, root, board);
}

// The parser ends the program over an include of a folder; a board is one file.
static int include_line(const char *text)
{
    int line = 1;

    for (; text; line++, text = (text = strchr(text, '\n')) ? text + 1 : NULL)
        if (text[strspn(text, " \t")] == '@')
            return line;
    return 0;
}

// A copy without a byte order mark and with an end of its last line: the parser wants both. To free(), or NULL.
static char *whole_lines(const char *text)
{
    static const char bom[] = "\xef\xbb\xbf";
    size_t skip = strncmp(text, bom, strlen(bom)) == 0 ? strlen(bom) : 0, size = strlen(text + skip);
    char *copy = malloc(size + 2);

    if (copy)
        snprintf(copy, size + 2, "%s\n", text + skip);
    return copy;
}

int jp_board_parse(const char *id, const char *text, const char *origin, struct jp_board *board, char *error,
                   size_t error_size)
{
    struct jp_reader reader = {.origin = origin, .error = error, .size = error_size};
    config_t config;
    char *lines;
    int line = include_line(text);

    memset(board, 0, sizeof *board);
    if (!legal_name(id)) {
        jp_reader_fail(&reader, NULL, "the file's name must be 1 to 32 of A-Z a-z 0-9 _ . - before .conf");
        return -EINVAL;
    }
    if (line) {
        snprintf(error, error_size, "%s:%d: a board file includes no other, one file a board is expected", origin,
                 line);
        return -EINVAL;
    }
    lines = whole_lines(text);
    if (!lines) {
        jp_reader_fail(&reader, NULL, "out of memory");
        return -EINVAL;
    }
    memcpy(board->id, id, strlen(id) + 1);
    config_init(&config);
    if (config_read_string(&config, lines))
        read_board(&reader, config_root_setting(&config), board);
    else {
        snprintf(error, error_size, "%s:%d: %s, libconfig syntax is expected: key = value;", origin,
                 config_error_line(&config), config_error_text(&config));
        reader.failed = true;
    }
    config_destroy(&config);
    free(lines);
    return reader.failed ? -EINVAL : 0;
}
