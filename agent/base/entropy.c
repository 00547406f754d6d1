// SPDX-License-Identifier: Apache-2.0
// getrandom(2) behind entropy.h, and the jitter generator.
#include "entropy.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>

static uint64_t kernel_u64(const struct jp_entropy *self)
{
    uint64_t value;
    ssize_t n;

    (void)self;
    do
        n = getrandom(&value, sizeof value, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof value)
        abort();
    return value;
}

void jp_jitter_seed(struct jp_jitter *jitter, uint64_t seed)
{
    jitter->state = seed ? seed : 0x9e3779b97f4a7c15ULL; // the generator's one forbidden state is 0
}

uint64_t jp_jitter_next(struct jp_jitter *jitter, uint64_t below)
{
    uint64_t x = jitter->state;

    assert(below > 0);
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    jitter->state = x;
    return (x * 0x2545f4914f6cdd1dULL >> 11) % below;
}

const struct jp_entropy jp_entropy_real = {.u64 = kernel_u64};
