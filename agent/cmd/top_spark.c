// SPDX-License-Identifier: Apache-2.0
// Powers as bars.
#include "top.h"

#define STEADY 5 // a fifth of the highest

// The mean of the windows from first to last, as far as they are remembered and known.
static bool mean(const struct jp_top_series *series, uint64_t first, uint64_t last, int64_t *mw)
{
    int64_t sum = 0, count = 0;

    for (uint64_t i = 0; i <= last - first; i++) {
        int32_t one = series->mw[(first + i) % JP_TOP_HISTORY];

        if (one == JP_TOP_UNKNOWN)
            continue;
        sum += one;
        count++;
    }
    *mw = count > 0 ? sum / count : 0;
    return count > 0;
}

void jp_top_spark(const struct jp_top_series *series, uint64_t seq, int per, int width, int8_t *levels)
{
    uint64_t cell = seq / (uint64_t)per; // a column keeps its windows until it leaves on the left
    int64_t mw[JP_TOP_SPARK_MAX], low = INT64_MAX, high = INT64_MIN, span, most;
    bool known[JP_TOP_SPARK_MAX];

    for (int i = 0; i < width; i++) {
        uint64_t back = (uint64_t)(width - 1 - i), first = (cell - back) * (uint64_t)per;

        known[i] = back <= cell && mean(series, first, back == 0 ? seq : first + (uint64_t)per - 1, &mw[i]);
        if (!known[i])
            continue;
        low = mw[i] < low ? mw[i] : low;
        high = mw[i] > high ? mw[i] : high;
    }
    span = low <= high ? high - low : 0;
    most = high > 0 ? high : -low;
    if (span > 0 && span < most / STEADY)
        span = most / STEADY;
    for (int i = 0; i < width; i++)
        levels[i] = (int8_t)(!known[i] ? -1 : span <= 0 ? 0 : ((mw[i] - low) * (JP_TOP_LEVELS - 1) + span / 2) / span);
}
