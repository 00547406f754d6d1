// SPDX-License-Identifier: Apache-2.0
// What the verbs that read a spool share: which folder, with which factor, and how it is going.
#ifndef JP_LOOK_H
#define JP_LOOK_H

#include "config.h"
#include "history.h"
#include "options.h"

#include <stdio.h>

// Large: static or allocated.
struct jp_look {
    const char *verb; // for messages
    struct jp_config config;
    char dir[JP_PATH_MAX];
    struct jp_history_in in;
    struct jp_history history;
    struct jp_pos from;           // what is wrong below it is not told
    unsigned long long senseless; // frames told by jp_look_next()
    unsigned long long flaws;     // flaws told, those that are damage
    unsigned long long unread;    // of them what could not be read at all: the verb fails then
    unsigned long long torn;      // of them torn tails: writes cut short, which lose nothing that was promised
};

// Loads the configuration and opens the spool named by options->word, or paths.spool: a folder of segments, or one
// that holds such a folder as `spool`. `brief`: blocks are not read beyond their heads (history.h). Says what is wrong.
// JP_OPTIONS_GO, or the exit status.
int jp_look_open(struct jp_look *look, const char *verb, const struct jp_options *options, bool brief);
// The same in two steps: the configuration, and the spool in dir. `look` may be changed in between.
int jp_look_configure(struct jp_look *look, const char *verb, const struct jp_options *options);
int jp_look_at(struct jp_look *look, const char *dir);
// As jp_history_next(), but flaws and frames that make no sense are said on stderr and passed over.
enum jp_entry_kind jp_look_next(struct jp_look *look);
// Closes; after writing to `out` (may be NULL) with result `rc` of the last write: says what went wrong. A reader
// that went away is no failure. The exit status.
int jp_look_end(struct jp_look *look, FILE *out, int rc);

// Shows a line of progress in place of the one before, on a terminal only and not more often than is seen.
void jp_look_progress(const char *line);
// Takes it away: to be called before anything else is written to stderr.
void jp_look_clear(void);

// "segment 12 at 345: damaged bytes, 20 of them, 1 frame lost" into text.
void jp_look_flaw(const struct jp_flaw *flaw, char *text, size_t size);

#endif
