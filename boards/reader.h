// SPDX-License-Identifier: Apache-2.0
// Strict reading of one libconfig group: every value is checked, and the first fault is told with its line.
#ifndef JP_READER_H
#define JP_READER_H

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>

// `error` (size bytes) gets the first fault only: "ORIGIN:LINE: what, and what is allowed".
struct jp_reader {
    const char *origin;
    char *error;
    size_t size;
    bool failed;
};

void jp_reader_fail(struct jp_reader *reader, const config_setting_t *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Faults every key of `group` that is not in the NULL-terminated list.
void jp_reader_keys(struct jp_reader *reader, const config_setting_t *group, const char *const *allowed);

// The values of a key. An absent key leaves *out as it is. Return true when a good value was stored.
bool jp_reader_text(struct jp_reader *reader, const config_setting_t *group, const char *key, char *out, size_t size);
bool jp_reader_bool(struct jp_reader *reader, const config_setting_t *group, const char *key, bool *out);
struct jp_reader_range {
    int min, max;
};
bool jp_reader_int(struct jp_reader *reader, const config_setting_t *group, const char *key, int *out,
                   struct jp_reader_range range);

// Rows of text: `rows` points to the first, each `width` bytes. Returns the count stored.
struct jp_reader_rows {
    char *rows;
    size_t width;
    int max;
};
int jp_reader_texts(struct jp_reader *reader, const config_setting_t *group, const char *key,
                    struct jp_reader_rows rows);

// A member that is a list of groups, or a group; NULL when absent or of another type (a fault).
const config_setting_t *jp_reader_groups(struct jp_reader *reader, const config_setting_t *group, const char *key,
                                         int max);
const config_setting_t *jp_reader_group(struct jp_reader *reader, const config_setting_t *group, const char *key);

#endif
