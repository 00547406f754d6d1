// SPDX-License-Identifier: Apache-2.0
// Windows as a table: one header, one row a window, RFC 4180 quoting, an empty field for what is unknown.
//
// Columns: time (ISO 8601 in UTC), t_ms, clock, boot_ms, span_ms, device, run, seq; CHANNEL_mj of every channel
// of the whole spool, total_mj, emissions_ug; CHANNEL_covered_ms likewise, total_covered_ms. A window without
// a channel leaves the channel's fields empty.
#ifndef JP_CSV_H
#define JP_CSV_H

#include "history.h"

#include <stdio.h>

// The columns of one table: those of the names the history has seen. 0, or -errno of the write.
int jp_csv_header(const struct jp_history *history, FILE *out);
// The window in hand. 0; -ENOENT when it has a channel without a column (nothing is written); -errno of the write.
int jp_csv_row(const struct jp_history *history, FILE *out);

// A field, quoted where it must be.
void jp_csv_put(FILE *out, const char *text);
// "2026-11-20T12:34:56.789Z"; "" for a year beyond 9999 or before 0.
void jp_csv_time(int64_t t_ms, char text[32]);

#endif
