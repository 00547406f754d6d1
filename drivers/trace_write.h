// SPDX-License-Identifier: Apache-2.0
// Writer of the trace format (trace.h), a piece at a time. Failures stay in the stream: ferror(3), fflush(3).
#ifndef JP_TRACE_WRITE_H
#define JP_TRACE_WRITE_H

#include "driver.h"

#include <stdio.h>

// A line of the header. What the reader would not take (a limit beyond its bounds) is left out.
void jp_trace_put_file(FILE *out, const char *path, const char *bytes, size_t length);
void jp_trace_put_channel(FILE *out, const struct jp_channel *channel);

// A cell: the value, the error, or "." for what was not read. A value beyond the format's bounds is an ERANGE.
void jp_trace_put_cell(FILE *out, enum jp_kind kind, const struct jp_reading *reading);

#endif
