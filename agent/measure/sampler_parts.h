// SPDX-License-Identifier: Apache-2.0
// What the parts of the sampler share.
#ifndef JP_SAMPLER_PARTS_H
#define JP_SAMPLER_PARTS_H

#include "sampler.h"

// After each read of a source: a chip whose reads cost more than a quarter of the period is read less often.
void jp_sampler_weigh(struct jp_sampler *sampler, struct jp_sampler_source *source, int64_t cost_ns);

static inline int64_t jp_later(int64_t a_ns, int64_t b_ns)
{
    return a_ns > b_ns ? a_ns : b_ns;
}

static inline int64_t jp_earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

#endif
