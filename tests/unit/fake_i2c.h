// SPDX-License-Identifier: Apache-2.0
// Buses of a test's own behind the I2C door: chips of 256 registers that fail, fall silent and get taken on command.
#ifndef FAKE_I2C_H
#define FAKE_I2C_H

#include "i2c.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define FAKE_CHIPS 3

static struct fake_chip {
    int bus, address;
    uint8_t bytes[256][2]; // each register as it goes over the wire, the high byte first
    int fails[256];        // errno that reading it gives
    int open_error;        // errno of open
    int write_error;       // of write
    bool held;             // by a kernel driver
    int opened, reads[256], writes;
} fake_chips[FAKE_CHIPS];

static inline void fake_set(struct fake_chip *chip, int reg, int value)
{
    chip->bytes[reg][0] = (uint8_t)(value >> 8);
    chip->bytes[reg][1] = (uint8_t)value;
}

static inline int fake_get(const struct fake_chip *chip, int reg)
{
    return chip->bytes[reg][0] << 8 | chip->bytes[reg][1];
}

static inline int fake_open(const struct jp_i2c *self, int bus, int address)
{
    (void)self;
    for (int i = 0; i < FAKE_CHIPS; i++) {
        struct fake_chip *chip = &fake_chips[i];

        if (chip->address != address || chip->bus != bus)
            continue;
        if (chip->held || chip->open_error)
            return chip->held ? -EBUSY : -chip->open_error;
        chip->opened++;
        return i;
    }
    return FAKE_CHIPS; // the bus is there, and nobody at that address
}

static inline int fake_claim(const struct jp_i2c *self, int fd, int address)
{
    (void)self;
    return fake_chips[fd].held && fake_chips[fd].address == address ? -EBUSY : 0;
}

static inline int fake_read(const struct jp_i2c *self, int fd, uint8_t reg)
{
    (void)self;
    if (fd == FAKE_CHIPS)
        return -ENXIO;
    fake_chips[fd].reads[reg]++;
    if (fake_chips[fd].fails[reg])
        return -fake_chips[fd].fails[reg];
    return fake_chips[fd].bytes[reg][0] | fake_chips[fd].bytes[reg][1] << 8; // SMBus: the first byte is the low one
}

static inline int fake_write(const struct jp_i2c *self, int fd, uint8_t reg, uint16_t word)
{
    (void)self;
    if (fd == FAKE_CHIPS)
        return -ENXIO;
    if (fake_chips[fd].write_error)
        return -fake_chips[fd].write_error;
    fake_chips[fd].writes++;
    fake_chips[fd].bytes[reg][0] = (uint8_t)word;
    fake_chips[fd].bytes[reg][1] = (uint8_t)(word >> 8);
    return 0;
}

static inline void fake_close(const struct jp_i2c *self, int fd)
{
    (void)self;
    if (fd < FAKE_CHIPS)
        fake_chips[fd].opened--;
}

static const struct jp_i2c fake_i2c = {fake_open, fake_claim, fake_read, fake_write, fake_close};

// A chip as it comes: 3 channels, 1 sample, 1.1 ms each, continuous; 800, 400 and -100 mA through 10 mOhm.
static inline struct fake_chip *fake_ina3221(int nth, int bus, int address)
{
    static const int values[] = {0x7127, 0x0640, 0x12c0, 0x0320, 0x1388, 0xff38, 0x4e20};
    struct fake_chip *chip = &fake_chips[nth];

    memset(chip, 0, sizeof *chip);
    chip->bus = bus;
    chip->address = address;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        fake_set(chip, (int)i, values[i]);
    fake_set(chip, 0xfe, 0x5449);
    fake_set(chip, 0xff, 0x3220);
    return chip;
}

static inline int fake_reads(const struct fake_chip *chip)
{
    int count = 0;

    for (int i = 0; i < 256; i++)
        count += chip->reads[i];
    return count;
}

#endif
