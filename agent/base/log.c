// SPDX-License-Identifier: Apache-2.0
// One write(2) a line.
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *prefix = "joulepost";
static enum jp_log_level max_level = JP_LOG_INFO;
static int journal;

void jp_log_open(const char *who, enum jp_log_level level)
{
    prefix = who;
    max_level = level;
    journal = getenv("JOURNAL_STREAM") != NULL;
}

static void put(enum jp_log_level level, const char *format, va_list args)
{
    static const char *const words[] = {
        [JP_LOG_ERROR] = "error: ", [JP_LOG_WARNING] = "warning: ", [JP_LOG_INFO] = "", [JP_LOG_DEBUG] = "debug: "};
    static const char *const priorities[] = {
        [JP_LOG_ERROR] = "<3>", [JP_LOG_WARNING] = "<4>", [JP_LOG_INFO] = "<6>", [JP_LOG_DEBUG] = "<7>"};
    char line[1024];
    int used, n;

    if (level > max_level)
        return;
    used = snprintf(line, sizeof line - 1, "%s%s: %s", journal ? priorities[level] : "", prefix, words[level]);
    n = vsnprintf(line + used, sizeof line - 1 - (size_t)used, format, args);
    used = n < 0 ? used : used + n;
    if (used > (int)sizeof line - 2)
        used = (int)sizeof line - 2;
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)used) < 0)
        return; // nowhere left to say it
}

#define JP_LOG_DEFINE(name, level)                                                                                     \
    void name(const char *format, ...)                                                                                 \
    {                                                                                                                  \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        put(level, format, args);                                                                                      \
        va_end(args);                                                                                                  \
    }

JP_LOG_DEFINE(jp_log_error, JP_LOG_ERROR)
JP_LOG_DEFINE(jp_log_warning, JP_LOG_WARNING)
JP_LOG_DEFINE(jp_log_info, JP_LOG_INFO)
JP_LOG_DEFINE(jp_log_debug, JP_LOG_DEBUG)
