// SPDX-License-Identifier: Apache-2.0
// The site door's I2C: the words of one chip on a bus.
//
// A chip that a kernel driver holds is never touched: the kernel is asked for the address (I2C_SLAVE) and refuses it.
// A test replaces this table by a chip of its own.
#ifndef JP_I2C_H
#define JP_I2C_H

#include "site.h"

#include <stdint.h>

struct jp_i2c {
    // A descriptor of the door for the chip at `address` of bus `bus` (/dev/i2c-N); nothing is said on the bus. -EBUSY:
    // a kernel driver holds the chip; -EACCES: permission; -ENOENT: no such bus, or i2c-dev is not loaded.
    int (*open)(const struct jp_i2c *self, int bus, int address);
    // Asks for the address again: 0, or -EBUSY when a kernel driver has taken the chip since. Nothing on the bus.
    int (*claim)(const struct jp_i2c *self, int fd, int address);
    // One SMBus word: 0 to 65535, the byte that came first in the low half; or -errno. Blocks for the transfer, on a
    // stuck bus for the adapter's timeout (1 s as a rule).
    int (*read_word)(const struct jp_i2c *self, int fd, uint8_t reg);
    int (*write_word)(const struct jp_i2c *self, int fd, uint8_t reg, uint16_t word);
    void (*close)(const struct jp_i2c *self, int fd);
};

// This machine's buses, through libi2c.
extern const struct jp_i2c jp_i2c_real;

// The buses of a site: its own where a test brings them, this machine's for root "", NULL for a tree or a trace.
const struct jp_i2c *jp_site_i2c(const struct jp_site *site);

// The number of the bus called `name`: its device-tree node ("i2c@c240000"), or where it has none the adapter's name as
// sysfs has it. -ENOENT: none; -ENOTUNIQ: more than one.
int jp_i2c_bus(const struct jp_site *site, const char *name);

#endif
