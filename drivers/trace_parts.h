// SPDX-License-Identifier: Apache-2.0
// The reader of traces in parts: channels and rows; for trace.c alone.
#ifndef JP_TRACE_PARTS_H
#define JP_TRACE_PARTS_H

#include "trace.h"

#include <errno.h>

// Both take the rest of a line, which they cut up. 0, or -EINVAL with trace->what.
int jp_trace_take_channel(struct jp_trace *trace, char *rest);
int jp_trace_take_row(struct jp_trace *trace, char *line);

static inline int jp_trace_wrong(struct jp_trace *trace, const char *what)
{
    trace->what = what;
    return -EINVAL;
}

#endif
