// SPDX-License-Identifier: Apache-2.0
// What channels, tasks and devices may be called: letters, digits, underscore, dot and hyphen.
#ifndef JP_NAME_H
#define JP_NAME_H

#include "limits.h"

#include <stdbool.h>
#include <stddef.h>

#define JP_NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

// Whether the text is such a name, not empty, and fits into `size` bytes with its NUL (JP_NAME_MAX, JP_DEVICE_MAX).
bool jp_name_is_good(const char *text, size_t size);

#endif
