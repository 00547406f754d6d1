// SPDX-License-Identifier: Apache-2.0
// Log lines on stderr. Only the top (metering, posting, the commands) calls this.
//
// Under systemd (JOURNAL_STREAM set) a line begins with its sd-daemon(3) priority, "<4>"; on a terminal
// or in a pipe with the word. One write(2) a line, no allocation, cut at 1,024 bytes.
#ifndef JP_LOG_H
#define JP_LOG_H

enum jp_log_level { JP_LOG_ERROR, JP_LOG_WARNING, JP_LOG_INFO, JP_LOG_DEBUG };

// `who` ("meter", "post", ...) stands before each message; it is kept, not copied. Call once at start.
void jp_log_open(const char *who, enum jp_log_level level);

#define JP_LOG_FORMAT __attribute__((format(printf, 1, 2)))
void jp_log_error(const char *format, ...) JP_LOG_FORMAT;
void jp_log_warning(const char *format, ...) JP_LOG_FORMAT;
void jp_log_info(const char *format, ...) JP_LOG_FORMAT;
void jp_log_debug(const char *format, ...) JP_LOG_FORMAT;

#endif
