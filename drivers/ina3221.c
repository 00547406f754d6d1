// SPDX-License-Identifier: Apache-2.0
// INA3221 arithmetic.
#include "ina3221.h"

#include "channel.h"

#include <errno.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

#define MODE_CONTINUOUS 4
#define MODE_BOTH 3

static const int samples_of[8] = {1, 4, 16, 64, 128, 256, 512, 1024};
static const int time_us[8] = {140, 204, 332, 588, 1100, 2116, 4156, 8244};

uint16_t jp_ina3221_swap(uint16_t word)
{
    return (uint16_t)(word << 8 | word >> 8);
}

void jp_ina3221_decode(uint16_t config, struct jp_ina3221_config *out)
{
    int mode = config & 7;

    out->channels = 0;
    for (int i = 0; i < JP_INA3221_CHANNELS; i++) {
        out->enabled[i] = config >> (14 - i) & 1;
        out->channels += out->enabled[i];
    }
    out->samples = samples_of[config >> 9 & 7];
    out->bus_us = time_us[config >> 6 & 7];
    out->shunt_us = time_us[config >> 3 & 7];
    out->powered_down = (mode & MODE_BOTH) == 0;
    out->converts = mode == (MODE_CONTINUOUS | MODE_BOTH);
}

uint16_t jp_ina3221_with_samples(uint16_t config, int samples)
{
    for (int i = 0; i < COUNT(samples_of); i++)
        if (samples_of[i] == samples)
            return (uint16_t)((config & ~(7 << 9)) | i << 9);
    return config;
}

int jp_ina3221_samples_for(int64_t round_us, int64_t period_us)
{
    for (int i = 0; i < COUNT(samples_of); i++)
        if (round_us * samples_of[i] >= period_us)
            return samples_of[i];
    return samples_of[COUNT(samples_of) - 1];
}

int64_t jp_ina3221_round_us(const struct jp_ina3221_config *config)
{
    return (int64_t)config->channels * (config->bus_us + config->shunt_us);
}

// The upper 13 bits, the sign among them.
static int32_t steps(uint16_t reg)
{
    return ((int32_t)(reg >> 3) ^ 0x1000) - 0x1000;
}

int32_t jp_ina3221_shunt_uv(uint16_t reg)
{
    return steps(reg) * JP_INA3221_SHUNT_STEP_UV;
}

int32_t jp_ina3221_bus_mv(uint16_t reg)
{
    return steps(reg) * JP_INA3221_BUS_STEP_MV;
}

int32_t jp_ina3221_ma(int32_t shunt_uv, int32_t shunt_uohm)
{
    int64_t nv = shunt_uv * 1000LL, half = shunt_uohm / 2;

    return (int32_t)((nv < 0 ? nv - half : nv + half) / shunt_uohm);
}

int64_t jp_ina3221_power_uw(int32_t mv, int32_t ma)
{
    return (int64_t)mv * ma;
}

static bool fits(int64_t value)
{
    return value > INT32_MIN && value <= INT32_MAX;
}

void jp_ina3221_reading(struct jp_reading *reading, int64_t mv, int64_t ma)
{
    if (!fits(mv) || !fits(ma)) {
        jp_reading_missing(reading, ERANGE);
        return;
    }
    jp_reading_good(reading, jp_ina3221_power_uw((int32_t)mv, (int32_t)ma));
    reading->mv = (int32_t)mv;
    reading->ma = (int32_t)ma;
}

int64_t jp_ina3221_step_ua(int32_t shunt_uohm)
{
    return shunt_uohm > 0 ? JP_INA3221_SHUNT_STEP_UV * 1000000LL / shunt_uohm : 0;
}

int64_t jp_ina3221_resolution_uw(int32_t shunt_uohm, int32_t mv)
{
    return mv > 0 ? jp_ina3221_step_ua(shunt_uohm) * mv / 1000 : 0;
}

int64_t jp_ina3221_max_uw(int32_t shunt_uohm)
{
    const int64_t full_mv = JP_INA3221_STEPS_MAX * JP_INA3221_BUS_STEP_MV;

    // One step more than full scale: a reading at full scale is still one the chip can give.
    return jp_ina3221_resolution_uw(shunt_uohm, (int32_t)full_mv) * (JP_INA3221_STEPS_MAX + 1);
}
