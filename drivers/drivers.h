// SPDX-License-Identifier: Apache-2.0
// One name for each driver of this folder; the others go by jp_drivers[] and jp_driver_by_name().
#ifndef JP_DRIVERS_H
#define JP_DRIVERS_H

#include "driver.h"

extern const struct jp_driver jp_driver_ina3221_hwmon;
extern const struct jp_driver jp_driver_ina3221_iio;
extern const struct jp_driver jp_driver_ina3221_i2c;
extern const struct jp_driver jp_driver_hwmon_power;
extern const struct jp_driver jp_driver_rapl_powercap;
extern const struct jp_driver jp_driver_nvidia_gpu;
extern const struct jp_driver jp_driver_power_supply;
extern const struct jp_driver jp_driver_rpi_pmic;
extern const struct jp_driver jp_driver_estimate_cpu;
extern const struct jp_driver jp_driver_estimate_ram;
extern const struct jp_driver jp_driver_replay;
extern const struct jp_driver jp_driver_cpu_load;
extern const struct jp_driver jp_driver_gpu_load;
extern const struct jp_driver jp_driver_cpu_freq;
extern const struct jp_driver jp_driver_gpu_freq;
extern const struct jp_driver jp_driver_thermal;
extern const struct jp_driver jp_driver_throttle;

#endif
