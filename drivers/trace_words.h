// SPDX-License-Identifier: Apache-2.0
// The words of a trace, for its reader and its writer: escapes, numbers, the names of errors.
#ifndef JP_TRACE_WORDS_H
#define JP_TRACE_WORDS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JP_TRACE_MAGIC "joulepost-trace "
#define JP_TRACE_BLANK " \t\r"
#define JP_TRACE_NUMBER_MAX 9000000000000000000LL // what is added to it fits
#define JP_TRACE_POWER_MAX_UW 1000000000000LL     // a megawatt
#define JP_TRACE_TIME_MAX_US 10000000000000LL     // 115 days; as nanoseconds it fits
#define JP_TRACE_ERROR_MAX 16                     // "ENOTRECOVERABLE" and NUL

// A whole text as a number (decimal, 0x for hexadecimal) of at most JP_TRACE_NUMBER_MAX either way. 0, or -EINVAL.
int jp_trace_number(const char *text, int64_t *value);

// Undoes the escapes in place and terminates. The length (NUL bytes may be inside), or -EINVAL.
int64_t jp_trace_unescape(char *text);

// Writes bytes so that they come back: "\0", "\n", "\t", "\\", and "\xHH" for what is not printable ASCII; in a word
// also for a blank.
void jp_trace_put_escaped(FILE *out, const char *bytes, size_t length, int word);

// The positive errno of "EIO", "E123" or "-" (ENODATA); 0 for another word. And the word of a positive errno.
int jp_trace_error(const char *word);
void jp_trace_error_word(int error, char out[JP_TRACE_ERROR_MAX]);

#endif
