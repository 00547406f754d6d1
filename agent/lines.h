// SPDX-License-Identifier: Apache-2.0
// A text file of the site, line by line.
#ifndef JP_LINES_H
#define JP_LINES_H

#include "site.h"

#define JP_LINE_MAX 4096 // with its NUL; what a longer line has beyond is left out

// Calls each(context, line) for every line, without its end. Allocates nothing. 0, or -errno of what stopped it
// (-EFBIG beyond 16 MiB: a root of somebody else's may link to a file without an end).
int jp_lines(const struct jp_site *site, const char *path, void (*each)(void *context, char *line), void *context);

#endif
