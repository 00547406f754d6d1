// SPDX-License-Identifier: Apache-2.0
// A moment as people write it.
#ifndef JP_WHEN_H
#define JP_WHEN_H

#include <stdint.h>

// "2026-11-20T12:00:00Z" (RFC 3339: also with a fraction, with an offset), "2026-11-20" (its first moment in UTC), or
// seconds since 1970 ("1700000000", "1700000000.5"), milliseconds from 100,000,000,000 on. 0 and ms since 1970;
// -EINVAL.
int jp_when(const char *text, int64_t *t_ms);

#endif
