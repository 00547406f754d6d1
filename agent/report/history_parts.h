// SPDX-License-Identifier: Apache-2.0
// The inside of a spool's history, shared by history*.c only.
#ifndef JP_HISTORY_PARTS_H
#define JP_HISTORY_PARTS_H

#include "history.h"

// history.c: the wall time of a moment of the open segment's boot, and who it was; an entry that makes no sense.
void jp_history_place(struct jp_history *history, int64_t boot_ms);
enum jp_entry_kind jp_history_senseless(struct jp_history *history, const char *what);

// history_blocks.c: a BLOCK's first entry, and the next; JP_ENTRY_END when it has no more.
enum jp_entry_kind jp_history_take_block(struct jp_history *history, const struct jp_frame *frame);
enum jp_entry_kind jp_history_next_of_block(struct jp_history *history);

#endif
