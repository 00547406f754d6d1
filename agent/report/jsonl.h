// SPDX-License-Identifier: Apache-2.0
// One JSON object a line: entries of a spool for `dump`, windows for `export --as jsonl`.
#ifndef JP_JSONL_H
#define JP_JSONL_H

#include "history.h"

#include <stdio.h>

// The entry in hand as an object, `type` first, `device` of its segment last; NULL for a flaw and for what makes no
// sense. A new reference.
json_t *jp_jsonl_entry(const struct jp_history *history, enum jp_entry_kind kind);
// The window in hand: a JSON window and its device.
json_t *jp_jsonl_window(const struct jp_history *history);
// Writes the object and a line's end, and frees it. 0; -ENOMEM (also for NULL); else -errno of the write.
int jp_jsonl_write(json_t *object, FILE *out);
// Writes the window in hand as a line, the same as through an object of jp_jsonl_entry() (`typed`) or
// jp_jsonl_window(), several times as fast where it is an ordinary one. As jp_jsonl_write().
int jp_jsonl_window_line(const struct jp_history *history, bool typed, FILE *out);

#endif
