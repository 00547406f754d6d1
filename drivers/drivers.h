// SPDX-License-Identifier: Apache-2.0
// The drivers of this build: their list, and a name for each.
#ifndef JP_DRIVERS_H
#define JP_DRIVERS_H

#include "driver.h"

// A line each, in the order of `probe`. Explicit: a static linker drops what registers itself.
#define JP_DRIVERS(EACH)                                                                                               \
    EACH(replay)                                                                                                       \
    EACH(ina3221_hwmon)                                                                                                \
    EACH(ina3221_iio)                                                                                                  \
    EACH(ina3221_i2c)                                                                                                  \
    EACH(hwmon_power)                                                                                                  \
    EACH(rpi_pmic)                                                                                                     \
    EACH(rapl_powercap)                                                                                                \
    EACH(nvidia_gpu)                                                                                                   \
    EACH(power_supply)                                                                                                 \
    EACH(cpu_load)                                                                                                     \
    EACH(gpu_load)                                                                                                     \
    EACH(cpu_freq)                                                                                                     \
    EACH(gpu_freq)                                                                                                     \
    EACH(thermal)                                                                                                      \
    EACH(throttle)                                                                                                     \
    EACH(estimate_cpu)                                                                                                 \
    EACH(estimate_ram)

#define JP_DRIVER_DECLARE(name) extern const struct jp_driver jp_driver_##name;
JP_DRIVERS(JP_DRIVER_DECLARE)
#undef JP_DRIVER_DECLARE

#endif
