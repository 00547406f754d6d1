// SPDX-License-Identifier: Apache-2.0
// INA3221 arithmetic.
#include "ina3221.h"

#include "channel.h"

#include <errno.h>

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
