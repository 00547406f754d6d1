// SPDX-License-Identifier: Apache-2.0
// Board profiles: which rail is what, what contains what, and which rails make the total.
//
// A profile is a libconfig text (boards/*.conf, compiled in; more in board.dir). Reading allocates and
// happens only at start. docs/boards.md explains the format to people.
#ifndef JP_BOARD_H
#define JP_BOARD_H

#include "driver.h"

#include <stdbool.h>
#include <stdint.h>

#define JP_BOARD_SENSORS_MAX 8
#define JP_BOARD_CHANNELS_MAX 24
#define JP_BOARD_LIST_MAX 16

struct jp_board_channel {
    int sensor;     // index into sensors
    int index;      // 1-based on the chip
    char label[33]; // the channel's name
    char aliases[4][33];
    uint32_t roles;
    char part_of[33];        // label of the containing rail, or ""
    int32_t shunt_uohm;      // 0 unknown
    int32_t shunt_tolerance; // per mille, 0 unknown
    bool unverified;
};

struct jp_board_sensor {
    char chip[16]; // "ina3221"
    int address;
    char bus_node[64]; // "i2c@c240000", or ""
    enum jp_scope scope;
    bool unverified;
};

// One of the modules a board may carry.
struct jp_board_module {
    char part[33];  // "p3767-0005"
    char name[128]; // for people
    int ram_gib;    // 0 unknown
};

struct jp_board {
    char id[33];                          // file name without .conf: "jetson-agx-orin"
    char name[128], module[128], soc[33]; // module: the name for any of `modules`
    struct jp_board_module modules[JP_BOARD_LIST_MAX];
    int module_count;
    char match[JP_BOARD_LIST_MAX][96]; // exact entries of /proc/device-tree/compatible, or "dmi:TEXT" of product_name
    int matches;
    int priority;
    bool verified;
    struct {
        int count; // 0: none known; -1: the profile does not say
        char name[64], arch[33];
        char load[JP_BOARD_LIST_MAX][128]; // candidate load files, per mille, in order
        int loads;
        char frequency[JP_BOARD_LIST_MAX][128]; // candidate frequency files, Hz, in order
        int frequencies;
    } gpu;
    struct jp_board_sensor sensors[JP_BOARD_SENSORS_MAX];
    int sensor_count;
    struct jp_board_channel channels[JP_BOARD_CHANNELS_MAX];
    int channel_count;
    char total_board[JP_BOARD_LIST_MAX][33]; // labels; count 0: the profile makes no total
    int total_board_count;
    char total_module[JP_BOARD_LIST_MAX][33];
    int total_module_count;
    char outside[JP_SCOPE_SYSTEM + 1][256]; // by the total's scope: what such a total does not see, "" not said
    struct {
        int id;
        char name[33];
    } power_modes[JP_BOARD_LIST_MAX];
    int power_mode_count;
    bool builtin;
};

// Reads one profile from text. `origin` stands in error texts ("FILE:LINE: what, and what is allowed").
// 0, or -EINVAL with *error (caller's buffer) filled.
int jp_board_parse(const char *id, const char *text, const char *origin, struct jp_board *board, char *error,
                   size_t error_size);

// The profiles: the compiled-in ones, then *.conf of `dir` (may be missing or NULL); one of `dir` replaces a
// compiled-in one of the same id. With a `site`, of the compiled-in ones only those that have an entry of this machine,
// and the generic ones: reading all costs more than opening the sensors. Returns an array to free(), *count its length;
// NULL with error filled when a file of `dir` is wrong. Compiled-in texts are right: a test reads them all.
struct jp_board *jp_board_load(const struct jp_site *site, const char *dir, int *count, char *error, size_t error_size);

// The profile for this machine: `forced` (an id) if not NULL and not "", else the highest priority of
// those with an entry equal to one of /proc/device-tree/compatible or the DMI product name. An entry
// containing "-as-" (emulation tree) matches nothing. Falls back to "generic-x86" or "generic-arm" by the
// machine looked at. NULL when `forced` does not exist.
const struct jp_board *jp_board_match(const struct jp_board *boards, int count, const struct jp_site *site,
                                      const char *forced);

// Another profile that fits this machine as well as the chosen one does, with the same priority; NULL for none.
const struct jp_board *jp_board_rival(const struct jp_board *boards, int count, const struct jp_site *site,
                                      const struct jp_board *chosen);

// The name of the module this machine has, into out: the one whose part number its EEPROM tells (29 bytes of it are
// read, the serial number is not among them), else the only one that `compatible` names and that fits the memory,
// else the only one that fits the memory (`ram_bytes`, 0 unknown), else board->module. Where that name does not
// settle the memory's size and the profile knows sizes, the size is added.
void jp_board_module(const struct jp_board *board, const struct jp_site *site, int64_t ram_bytes, char *out,
                     size_t size);

#endif
