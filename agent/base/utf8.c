// SPDX-License-Identifier: Apache-2.0
// The table of RFC 3629, section 4.
#include "utf8.h"

#include <stdbool.h>

size_t jp_utf8_length(const char *at)
{
    const unsigned char *byte = (const unsigned char *)at;
    size_t length = 4;
    bool overlong, surrogate, beyond;

    if (byte[0] < 0x80)
        return byte[0] != 0;
    if (byte[0] < 0xc2 || byte[0] > 0xf4)
        return 0;
    if (byte[0] < 0xf0)
        length = byte[0] < 0xe0 ? 2 : 3;
    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    overlong = (byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xf0 && byte[1] < 0x90);
    surrogate = byte[0] == 0xed && byte[1] >= 0xa0;
    beyond = byte[0] == 0xf4 && byte[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}
