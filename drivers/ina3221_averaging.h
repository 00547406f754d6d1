// SPDX-License-Identifier: Apache-2.0
// How many conversions an INA3221 makes one value of, and another number, beside the driver that reads the chip.
//
// Through `samples` of the kernel's hwmon driver, or the configuration of a chip that no driver holds. Opening needs
// the right to write; nothing is written but by jp_ina3221_averaging_set.
#ifndef JP_INA3221_AVERAGING_H
#define JP_INA3221_AVERAGING_H

#include "driver.h"

struct jp_ina3221_averaging {
    const struct jp_i2c *i2c; // NULL: through hwmon
    int fd;                   // `samples`, or of the I2C door
    int round_fd, value_fd;   // hwmon: `update_interval`, an input that answers
    int address;
    char device[32]; // the I2C client's name, "1-0040"
};

// Opens it for a chip that ina3221_hwmon or ina3221_i2c has found. 0, or -errno (-EACCES: the right to write, -ENOENT:
// a kernel without `samples`) and nothing stays open; -ENOTSUP for another driver.
int jp_ina3221_averaging_open(struct jp_ina3221_averaging *self, const struct jp_site *site, const char *driver,
                              const struct jp_found *found);

// The present number, or -errno.
int jp_ina3221_averaging_get(const struct jp_ina3221_averaging *self);

// Sets 1, 4, 16, 64, 128, 256, 512 or 1024. 0, or -errno. What was measured before is gone with the next conversion.
int jp_ina3221_averaging_set(const struct jp_ina3221_averaging *self, int samples);

// One conversion of all channels, in microseconds; exact only while `samples` is 1: some kernels count the averaging
// in. Or -errno.
int jp_ina3221_averaging_round_us(const struct jp_ina3221_averaging *self);

// Reads a value as the driver does and drops it, to see how long that takes. 1; 0 where nothing can wait; or -errno.
int jp_ina3221_averaging_try(const struct jp_ina3221_averaging *self);

void jp_ina3221_averaging_close(struct jp_ina3221_averaging *self);

#endif
