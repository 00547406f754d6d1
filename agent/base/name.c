// SPDX-License-Identifier: Apache-2.0
// The one rule for names.
#include "name.h"

#include <string.h>

bool jp_name_is_good(const char *text, size_t size)
{
    size_t length = strspn(text, JP_NAME_LETTERS);

    return length > 0 && length < size && text[length] == '\0';
}
