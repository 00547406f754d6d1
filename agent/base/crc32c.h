// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli), RFC 3720 B.4: reflected polynomial 0x82f63b78, check("123456789") = 0xe3069283.
#ifndef JP_CRC32C_H
#define JP_CRC32C_H

#include <stddef.h>
#include <stdint.h>

// The CRC of `size` bytes. To continue over a second piece hand the first result in as `crc`; begin with 0.
uint32_t jp_crc32c(uint32_t crc, const void *bytes, size_t size);

#endif
