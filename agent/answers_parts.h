// SPDX-License-Identifier: Apache-2.0
// What the files of answers share: JSON printed into a reply. After one that did not fit nothing more is written.
#ifndef JP_ANSWERS_PARTS_H
#define JP_ANSWERS_PARTS_H

#include "answers.h"

struct jp_text {
    char *bytes;
    size_t size, used; // used == size: it did not fit
};

__attribute__((format(printf, 2, 3))) void jp_text_put(struct jp_text *text, const char *format, ...);
// The name of an object's next member, and the comma before it.
void jp_text_name(struct jp_text *text, const char *name);
// Thousandths as a decimal number, or null.
void jp_text_milli(struct jp_text *text, const char *name, bool known, int64_t milli);
// A text that may hold anything, or null for "".
void jp_text_string(struct jp_text *text, const char *name, const char *value);

void jp_answers_meta(const struct jp_answers *answers, struct jp_text *text);

#endif
