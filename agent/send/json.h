// SPDX-License-Identifier: Apache-2.0
// Small words on top of jansson that every JSON leaf uses.
#ifndef JP_JSON_H
#define JP_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The value, or null when it is not known.
json_t *jp_json_known(bool known, int64_t value);
// 16 hex digits: JSON's numbers cannot carry 64 bits everywhere.
json_t *jp_json_u64(uint64_t value);
// The text, or null for "" and NULL. What is not UTF-8 becomes "?".
json_t *jp_json_text(const char *text);
// Thousandths as a number with up to three decimals.
json_t *jp_json_milli(bool known, int64_t thousandths);
// Wall time in ms of a moment of BOOTTIME, or null (payload.h).
struct jp_records_head;
json_t *jp_json_time(const struct jp_records_head *head, int64_t boot_ms);
// Writes `object` compactly, not NUL-terminated, and frees it. The size; -EMSGSIZE; -ENOMEM (also when
// object is NULL).
int jp_json_dump(json_t *object, char *buffer, size_t size);

#endif
