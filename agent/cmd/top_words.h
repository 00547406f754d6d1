// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them. Each writes a NUL-terminated text into a buffer of JP_WORD_MAX.
#ifndef JP_TOP_WORDS_H
#define JP_TOP_WORDS_H

#include <stdint.h>

#define JP_WORD_MAX 32

// "7.652", "123.45", "1234.5": six figures and a point, so that a column of them stands still.
void jp_word_watts(int64_t mw, char *out);
// "61.216 kJ", "0.952 g", "5.8 kB": three decimals, bytes with one, and the unit that leaves up to three digits.
void jp_word_joules(int64_t mj, char *out);
void jp_word_grams(int64_t ug, char *out);
void jp_word_bytes(int64_t bytes, char *out);
// "0:00:42", "2 d 3:14:07".
void jp_word_time(int64_t ms, char *out);
// A gauge: "47.5 C", "1300 MHz", "12 %".
void jp_word_gauge(int64_t milli, const char *unit, char *out);

#endif
