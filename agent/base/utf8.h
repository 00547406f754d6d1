// SPDX-License-Identifier: Apache-2.0
// Where a character of a stranger's text ends.
#ifndef JP_UTF8_H
#define JP_UTF8_H

#include <stddef.h>

// The bytes of the UTF-8 character (RFC 3629) at `at`, a NUL-terminated text; 0 when there is none.
size_t jp_utf8_length(const char *at);

#endif
