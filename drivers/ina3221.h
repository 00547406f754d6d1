// SPDX-License-Identifier: Apache-2.0
// The INA3221 chip: what its registers and the kernel's units mean. Pure arithmetic.
//
// Register scale as the Linux driver has it (drivers/hwmon/ina3221.c): shunt voltage 40 uV a step, bus
// voltage 8 mV a step, both signed and left-aligned by 3 bits; full scale 4095 steps.
#ifndef JP_INA3221_H
#define JP_INA3221_H

#include "driver.h"

#include <stdint.h>

#define JP_INA3221_CHANNELS 3
#define JP_INA3221_SHUNT_STEP_UV 40
#define JP_INA3221_BUS_STEP_MV 8
#define JP_INA3221_STEPS_MAX 4095

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
