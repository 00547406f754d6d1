// SPDX-License-Identifier: Apache-2.0
// Finding the chips of a kernel driver in sysfs, and telling one from another.
//
// hwmon, iio and bus numbers change with kernel and boot; the address and the bus' device-tree node do not.
#ifndef JP_CHIP_H
#define JP_CHIP_H

#include "driver.h"

struct jp_chip {
    char device[32];   // the I2C client's name for this boot, "1-0040", or ""
    int address;       // -1 unknown
    char bus_node[64]; // "i2c@c240000", or ""
};

// Where a kernel driver shows its chips: a folder each, named prefix and number.
struct jp_chip_kind {
    const char *bound;  // clients bound to it, "/sys/bus/i2c/drivers/ina3221", or NULL: more than one driver
    const char *inside; // the folders lie here below the client's, "/hwmon", or ""
    const char *all;    // and all of them here, "/sys/class/hwmon"
    const char *prefix; // "hwmon"
    bool (*wanted)(const struct jp_site *site, const char *dir);
};

struct jp_chip_list {
    struct jp_found *found; // borrowed
    int count, max;
};

// Appends the folders that are wanted, each chip once and none that is in the list already, also in trees that lack
// the kernel's symbolic links.
void jp_chip_find(const struct jp_site *site, const struct jp_chip_kind *kind, struct jp_chip_list *list);

// Who sits behind such a folder. Always succeeds; what is unknown stays -1 or "".
void jp_chip_identify(const struct jp_site *site, const char *dir, struct jp_chip *chip);

// Whether the folder's `name` is this.
bool jp_chip_is(const struct jp_site *site, const char *dir, const char *name);

// Where a chip's folder lies. It goes when the kernel's driver is unbound, and comes back under another number.
struct jp_chip_home {
    const struct jp_site *site; // borrowed
    char path[256];             // below its root; "" where folders of other chips may lie as well
    char name[64];              // what the chip is called
};

// Remembers where `dir` lies.
void jp_chip_remember(const struct jp_site *site, const char *dir, struct jp_chip_home *home);

// The folder that the chip has now. Allocates nothing. 0, or -ENODEV: none, or nobody knows which.
int jp_chip_again(const struct jp_chip_home *home, char *dir, size_t size);

// Writes the chip's place into a channel of it.
void jp_chip_place(const struct jp_chip *chip, int index, struct jp_channel *channel);

#endif
