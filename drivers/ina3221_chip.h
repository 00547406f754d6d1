// SPDX-License-Identifier: Apache-2.0
// Finding INA3221 chips under the kernel's hwmon driver, and telling one from another.
//
// hwmon and bus numbers change with kernel and boot; the address and the bus' device-tree node do not.
#ifndef JP_INA3221_CHIP_H
#define JP_INA3221_CHIP_H

#include "driver.h"

struct jp_ina3221_chip {
    char device[32];   // the kernel's name for this boot, "1-0040", or ""
    int address;       // -1 unknown
    char bus_node[64]; // "i2c@c240000", or ""
};

// The hwmon directories of all chips, each once, also in trees that lack the kernel's symbolic links.
// A jp_driver probe().
int jp_ina3221_chip_probe(const struct jp_site *site, struct jp_found *found, int max);

// Who sits behind a hwmon directory. Always succeeds; what is unknown stays -1 or "".
void jp_ina3221_chip_identify(const struct jp_site *site, const char *hwmon, struct jp_ina3221_chip *chip);

#endif
