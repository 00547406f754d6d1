// SPDX-License-Identifier: Apache-2.0
// The entropy door: random identities and the jitter of sample instants and reconnects.
#ifndef JP_ENTROPY_H
#define JP_ENTROPY_H

#include <stdint.h>

struct jp_entropy {
    // 64 random bits. Does not fail: without the kernel's source it aborts, as nothing can be named.
    uint64_t (*u64)(const struct jp_entropy *self);
};

// getrandom(2). May block only in the first moments of a boot.
extern const struct jp_entropy jp_entropy_real;

// A cheap seeded generator (xorshift64*, Vigna 2016) for jitter: no system call a tick.
struct jp_jitter {
    uint64_t state;
};

void jp_jitter_seed(struct jp_jitter *jitter, uint64_t seed);
// Uniform in [0, below); `below` > 0.
uint64_t jp_jitter_next(struct jp_jitter *jitter, uint64_t below);

#endif
