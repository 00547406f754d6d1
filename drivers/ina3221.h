// SPDX-License-Identifier: Apache-2.0
// The INA3221 chip: what its registers and the kernel's units mean. Pure arithmetic.
//
// Register scale as the Linux driver has it (drivers/hwmon/ina3221.c): shunt voltage 40 uV a step, bus
// voltage 8 mV a step, both signed and left-aligned by 3 bits; full scale 4095 steps. Addresses, identities and the
// fields of the configuration: TI SBOS576 ("Register Maps"); times and averages as in the same Linux driver.
#ifndef JP_INA3221_H
#define JP_INA3221_H

#include "driver.h"

#include <stdint.h>

#define JP_INA3221_CHANNELS 3
#define JP_INA3221_SHUNT_STEP_UV 40
#define JP_INA3221_BUS_STEP_MV 8
#define JP_INA3221_STEPS_MAX 4095

// Registers. 0x0f (mask/enable) is left out on purpose: reading it clears the flags that others wait for.
#define JP_INA3221_CONFIG 0x00
#define JP_INA3221_SHUNT(channel) (2 * (channel)-1) // channel 1..3
#define JP_INA3221_BUS(channel) (2 * (channel))
#define JP_INA3221_MANUFACTURER 0xfe
#define JP_INA3221_DIE 0xff

#define JP_INA3221_MANUFACTURER_ID 0x5449 // "TI"
#define JP_INA3221_DIE_ID 0x3220

struct jp_ina3221_config {
    bool enabled[JP_INA3221_CHANNELS];
    int channels;         // enabled ones
    int samples;          // conversions that one value is the mean of
    int bus_us, shunt_us; // one conversion
    bool powered_down;    // the values are those of some time ago
    bool converts;        // voltage and current of all enabled channels, again and again
};

// A register out of an SMBus word, and back: SMBus has the low byte first, the chip the high one.
uint16_t jp_ina3221_swap(uint16_t word);

// What the configuration register says.
void jp_ina3221_decode(uint16_t config, struct jp_ina3221_config *out);

// The same register with another averaging: 1, 4, 16, 64, 128, 256, 512 or 1024; what is no such number leaves it.
uint16_t jp_ina3221_with_samples(uint16_t config, int samples);

// The least averaging whose mean covers the period, given the time of one conversion of all channels; 1024 where none
// does.
int jp_ina3221_samples_for(int64_t round_us, int64_t period_us);

// One conversion of all enabled channels, without averaging.
int64_t jp_ina3221_round_us(const struct jp_ina3221_config *config);

// The registers of a channel in uV and mV, signed.
int32_t jp_ina3221_shunt_uv(uint16_t reg);
int32_t jp_ina3221_bus_mv(uint16_t reg);

// Milliamperes of a shunt voltage, rounded to nearest as the kernel's driver does. The shunt is above 0.
int32_t jp_ina3221_ma(int32_t shunt_uv, int32_t shunt_uohm);

// Microwatts of millivolts times milliamperes; signed, as a rail may push back.
int64_t jp_ina3221_power_uw(int32_t mv, int32_t ma);

// Answers a reading with both values and their power; MISSING with ERANGE when they are more than 31 bits.
void jp_ina3221_reading(struct jp_reading *reading, int64_t mv, int64_t ma);

// The current of one step of the shunt register in microamperes; 0 for a shunt of 0 or less.
int64_t jp_ina3221_step_ua(int32_t shunt_uohm);

// The power of one such step at a bus voltage: the resolution. 0 where the shunt or the voltage is unknown (<= 0).
int64_t jp_ina3221_resolution_uw(int32_t shunt_uohm, int32_t mv);

// More than the chip can say with this shunt: full scale of both registers. 0 for an unknown shunt.
int64_t jp_ina3221_max_uw(int32_t shunt_uohm);

#endif
