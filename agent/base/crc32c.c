// SPDX-License-Identifier: Apache-2.0
// Slicing by eight: eight tables, made at first use, one lookup a byte and no chain between the eight.
// What is short takes the first table alone: once a second the tables are cold, and all eight are 128 cache lines.
#include "crc32c.h"

#include <stdbool.h>

#define SHORT_BYTES 1024

static uint32_t table[8][256];
static bool made;

static void make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1u)));
        table[0][i] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t i = 0; i < 256; i++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
    made = true;
}

uint32_t jp_crc32c(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;

    if (!made)
        make_tables();
    crc = ~crc;
    for (bool sliced = size >= SHORT_BYTES; sliced && size >= 8; size -= 8, p += 8) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = table[7][crc & 0xff] ^ table[6][crc >> 8 & 0xff] ^ table[5][crc >> 16 & 0xff] ^ table[4][crc >> 24] ^
              table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    while (size-- > 0)
        crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
    return ~crc;
}
