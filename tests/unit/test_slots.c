// SPDX-License-Identifier: Apache-2.0
// Slots: a record put durably is there after any power cut, and damage is told from nothing.
#define _GNU_SOURCE
#include "slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SLOT 64

static void records_survive_reopening(void **state)
{
    char dir[] = "/tmp/jp_slots_XXXXXX";
    char path[64], record[SLOT];
    struct jp_slots slots;
    size_t size;
    bool damaged;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/cursor", dir);
    assert_int_equal(jp_slots_open(&slots, &jp_fs_real, path, SLOT, record, &size, &damaged), 0);
    assert_int_equal(size, 0);
    assert_false(damaged);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(jp_slots_put(&slots, "abcdef", (size_t)i, i % 2), 0);
        jp_slots_close(&slots);
        assert_int_equal(jp_slots_open(&slots, &jp_fs_real, path, SLOT, record, &size, &damaged), 0);
        assert_int_equal(size, i);
        assert_memory_equal(record, "abcdef", size);
        assert_int_equal(slots.generation, i);
        assert_false(damaged);
    }
    jp_slots_close(&slots);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_survive_reopening),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
