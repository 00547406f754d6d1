// SPDX-License-Identifier: Apache-2.0
// What is asked about an INA3221 that is read directly, beside the driver's contract.
//
// Such a chip goes by the path of its I2C client, "/sys/bus/i2c/devices/1-0040", also where the kernel has none.
#ifndef JP_INA3221_I2C_H
#define JP_INA3221_I2C_H

#include "driver.h"
#include "ina3221.h"

#include <errno.h>

#define JP_INA3221_OTHER_CHIP EMEDIUMTYPE // open: what answers there says that it is something else
#define JP_INA3221_NO_SHUNT EDOM          // a reading: nobody knows the channel's shunt
#define JP_INA3221_POWERED_DOWN EHOSTDOWN // a reading: the chip does not convert

// Where a chip would be that somebody names: by its bus (jp_i2c_bus) and address. Nothing is said on the bus. 0, or
// -ENOENT, -ENOTUNIQ: no such bus, more than one; -ENODEV: the site has no buses.
int jp_ina3221_i2c_place(const struct jp_site *site, const char *bus, int address, struct jp_found *found);

// "/sys/bus/i2c/devices/1-0040" taken apart. False: it is no such path.
bool jp_ina3221_i2c_parse(const char *path, int *bus, int *address);

struct jp_ina3221_look {
    int manufacturer, die; // -1: not answered
    struct jp_ina3221_config config;
};

// Reads who the chip at that path says it is and how it is set, not the numbers. 0, or -errno. Blocks.
int jp_ina3221_i2c_look(const struct jp_site *site, const char *path, struct jp_ina3221_look *look);

#endif
