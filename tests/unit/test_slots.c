// SPDX-License-Identifier: Apache-2.0
// Slots: a record put durably is there after any power cut, and damage is told from nothing.
#include "faulty_fs.h"
#include "slots.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SLOT 700 // larger than a small sector
#define PATH "/state/cursor"
#define SECOND 4096

static int open_at(struct faulty_fs *disk, struct jp_slots *slots, char *record, size_t *size, bool *damaged)
{
    return jp_slots_open(slots, &disk->fs, PATH, SLOT, record, size, damaged);
}

// Record i: its number, then bytes that depend on it.
static size_t make(char *record, int i)
{
    size_t size = sizeof i + (size_t)(i * 97 % (SLOT - 24 - 4));

    memset(record, i, size);
    memcpy(record, &i, sizeof i);
    return size;
}

static int number_of(const char *record, size_t size)
{
    char expected[SLOT];
    int i;

    if (size == 0)
        return 0;
    memcpy(&i, record, sizeof i);
    assert_int_equal(size, make(expected, i));
    assert_memory_equal(record, expected, size);
    return i;
}

static void records_survive_reopening(void **state)
{
    struct faulty_fs disk;
    struct jp_slots slots;
    char record[SLOT];
    size_t size;
    bool damaged;

    (void)state;
    faulty_init(&disk, 512);
    for (int i = 1; i <= 9; i++) {
        assert_int_equal(open_at(&disk, &slots, record, &size, &damaged), 0);
        assert_int_equal(number_of(record, size), i - 1);
        assert_int_equal(slots.generation, i - 1);
        assert_false(damaged);
        assert_int_equal(jp_slots_put(&slots, record, make(record, i), i % 3 == 0), 0);
        jp_slots_close(&slots);
    }
    faulty_free(&disk);
}

// Puts 1..9, every third durable, until the power goes. The number of the last durable one; *tried the last begun.
static int put_until_off(struct faulty_fs *disk, int *tried, int every)
{
    struct jp_slots slots;
    char record[SLOT];
    size_t size;
    int durable = 0;

    *tried = 0;
    if (open_at(disk, &slots, record, &size, NULL))
        return 0;
    for (int i = 1; i <= 9 && !disk->off; i++) {
        bool sync = i % every == 0;

        *tried = i;
        if (jp_slots_put(&slots, record, make(record, i), sync) == 0 && sync)
            durable = i;
    }
    jp_slots_close(&slots);
    return durable;
}

static void check_power_cut(struct faulty_fs *disk, int every, uint64_t seed)
{
    struct jp_slots slots;
    char record[SLOT];
    size_t size;
    int tried, durable, found;

    durable = put_until_off(disk, &tried, every);
    faulty_power_up(disk, (enum faulty_loss)(seed % 3), seed);
    assert_int_equal(open_at(disk, &slots, record, &size, NULL), 0);
    found = number_of(record, size);
    assert_in_range(found, durable, tried);
    // And the file is of use again.
    assert_int_equal(jp_slots_put(&slots, record, make(record, 100), true), 0);
    jp_slots_close(&slots);
    faulty_power_up(disk, FAULTY_DROP, seed);
    assert_int_equal(open_at(disk, &slots, record, &size, NULL), 0);
    assert_int_equal(number_of(record, size), 100);
    jp_slots_close(&slots);
}

static void a_durable_record_survives_a_cut_after_any_byte(void **state)
{
    static const int64_t sectors[] = {512, 4096};
    uint64_t seed = 0;

    (void)state;
    for (int64_t cut = 0; cut < 4000; cut++) {
        for (int every = 1; every <= 3; every++) {
            struct faulty_fs disk;

            faulty_init(&disk, sectors[seed % 2]);
            disk.power_bytes = cut;
            check_power_cut(&disk, every, seed++);
            faulty_free(&disk);
        }
    }
}

static void a_durable_record_survives_a_cut_after_any_call(void **state)
{
    static const int64_t sectors[] = {512, 4096};

    (void)state;
    for (long cut = 0; cut < 40; cut++) {
        for (uint64_t seed = 0; seed < 60; seed++) {
            struct faulty_fs disk;

            faulty_init(&disk, sectors[seed % 2]);
            disk.power_calls = cut;
            check_power_cut(&disk, 1 + (int)(seed % 3), seed);
            faulty_free(&disk);
        }
    }
}

static void a_failed_put_leaves_the_last_good_record(void **state)
{
    static const enum faulty_call calls[] = {FAULTY_PWRITE, FAULTY_SYNC};
    static const int errors[] = {-EIO, -ENOSPC, -EROFS};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct faulty_fs disk;
        struct jp_slots slots;
        char record[SLOT];
        size_t size;

        faulty_init(&disk, 512);
        assert_int_equal(open_at(&disk, &slots, record, &size, NULL), 0);
        assert_int_equal(jp_slots_put(&slots, record, make(record, 1), true), 0);
        faulty_fail(&disk, calls[i % 2], 1, errors[i / 2], true);
        assert_int_equal(jp_slots_put(&slots, record, make(record, 2), true), errors[i / 2]);
        assert_int_equal(jp_slots_put(&slots, record, make(record, 3), true), errors[i / 2]);
        jp_slots_close(&slots);
        faulty_power_up(&disk, FAULTY_DROP, i);
        assert_int_equal(open_at(&disk, &slots, record, &size, NULL), 0);
        assert_int_equal(number_of(record, size), 1);
        jp_slots_close(&slots);
        faulty_free(&disk);
    }
}

static void a_short_write_is_continued(void **state)
{
    struct faulty_fs disk;
    struct jp_slots slots;
    char record[SLOT];
    size_t size;

    (void)state;
    faulty_init(&disk, 512);
    assert_int_equal(open_at(&disk, &slots, record, &size, NULL), 0);
    faulty_fail(&disk, FAULTY_PWRITE, 1, 0, false);
    assert_int_equal(jp_slots_put(&slots, record, make(record, 5), true), 0);
    jp_slots_close(&slots);
    assert_int_equal(open_at(&disk, &slots, record, &size, NULL), 0);
    assert_int_equal(number_of(record, size), 5);
    jp_slots_close(&slots);
    faulty_free(&disk);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct faulty_fs disk;
    struct jp_slots slots;
    char record[SLOT];
    size_t size;
    bool damaged;

    (void)state;
    faulty_init(&disk, 512);
    assert_int_equal(open_at(&disk, &slots, record, &size, NULL), 0);
    assert_int_equal(jp_slots_put(&slots, record, make(record, 1), true), 0);
    jp_slots_close(&slots);
    for (int64_t bit = 0; bit < (24 + 4 + 97) * 8; bit++) {
        faulty_file(&disk, PATH)->seen[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(open_at(&disk, &slots, record, &size, &damaged), 0);
        assert_int_equal(size, 0);
        assert_true(damaged);
        jp_slots_close(&slots);
        faulty_file(&disk, PATH)->seen[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    faulty_free(&disk);
}

static void one_damaged_slot_leaves_the_other_and_two_leave_none(void **state)
{
    struct faulty_fs disk;
    struct jp_slots slots;
    char record[SLOT];
    size_t size;
    bool damaged;

    (void)state;
    faulty_init(&disk, 512);
    assert_int_equal(open_at(&disk, &slots, record, &size, NULL), 0);
    assert_int_equal(jp_slots_put(&slots, record, make(record, 1), true), 0);
    assert_int_equal(jp_slots_put(&slots, record, make(record, 2), true), 0);
    jp_slots_close(&slots);
    faulty_file(&disk, PATH)->seen[SECOND + 30] ^= 1;
    assert_int_equal(open_at(&disk, &slots, record, &size, &damaged), 0);
    assert_int_equal(number_of(record, size), 1);
    assert_false(damaged);
    jp_slots_close(&slots);
    faulty_file(&disk, PATH)->seen[25] ^= 1;
    assert_int_equal(open_at(&disk, &slots, record, &size, &damaged), 0);
    assert_int_equal(size, 0);
    assert_true(damaged);
    assert_int_equal(jp_slots_put(&slots, record, make(record, 3), true), 0);
    jp_slots_close(&slots);
    assert_int_equal(open_at(&disk, &slots, record, &size, &damaged), 0);
    assert_int_equal(number_of(record, size), 3);
    jp_slots_close(&slots);
    faulty_free(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_survive_reopening),
        cmocka_unit_test(a_durable_record_survives_a_cut_after_any_byte),
        cmocka_unit_test(a_durable_record_survives_a_cut_after_any_call),
        cmocka_unit_test(a_failed_put_leaves_the_last_good_record),
        cmocka_unit_test(a_short_write_is_continued),
        cmocka_unit_test(every_flipped_bit_is_noticed),
        cmocka_unit_test(one_damaged_slot_leaves_the_other_and_two_leave_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
