// SPDX-License-Identifier: Apache-2.0
// The durable spool loses power at every byte and at every call of a script with rotation, cursor and retention:
// nothing reported durable is missing, nothing is invented, every start succeeds, a second one changes nothing.
#include "crc32c.h"
#include "faulty_fs.h"
#include "spool_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DIR "/spool"
#define SEGMENT 512
#define FRAME 60

static struct faulty_fs disk;
static struct rig rig;

static void begin(int64_t sector, int appends)
{
    faulty_init(&disk, sector);
    disk.appends = appends;
    disk.powersafe = true; // a sector that is written again keeps what it held: what the format needs of a disk
    rig_init(&rig, &disk.fs, DIR);
    rig.size = FRAME;
    rig.segment_bytes = SEGMENT;
    rig.max_bytes = 7 * SEGMENT;
}

static void tend(void)
{
    rig.now.boot_ms += JP_SPOOL_SAVE_MS;
    jp_spool_tend(&rig.spool, &rig.now);
}

// Every step goes on after an error, as post does; what was delivered counts as delivered.
static void script(void)
{
    assert_int_equal(rig_open(&rig), 0);
    rig_append(&rig, 13);
    rig_read(&rig, 5, true);
    tend();
    rig_append(&rig, 9);
    rig_read(&rig, 2, true);
    rig_append(&rig, 3);
    rig_read(&rig, 100, true);
    tend();
    rig_append(&rig, 2);
    rig_close(&rig);
}

static uint32_t digest(void)
{
    uint32_t crc = 0;

    for (int i = 0; i < disk.name_count; i++) {
        const struct faulty_file *file = faulty_file(&disk, disk.names[i].path);

        if (!file)
            continue;
        crc = jp_crc32c(crc, disk.names[i].path, strlen(disk.names[i].path));
        crc = jp_crc32c(crc, file->seen, (size_t)file->seen_size);
    }
    return crc;
}

// A cursor on disk says that they were released, or given up with a GAP, before segments went.
static void the_cursor_was_durable_before_any_unlink(void)
{
    uint64_t lowest, highest;
    struct jp_pos cursor;
    uint8_t id[16];

    assert_int_equal(jp_segment_find(&disk.fs, DIR, 0, &lowest, &highest), 0);
    if (lowest <= 1)
        return;
    assert_int_equal(jp_spool_read_cursor(&disk.fs, DIR, &cursor, id), 0);
    assert_true(cursor.segment >= lowest);
}

static void judge_what_is_left(enum faulty_loss loss, uint64_t seed)
{
    uint32_t once;

    faulty_power_up(&disk, loss, seed);
    the_cursor_was_durable_before_any_unlink();
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig.spool.error, 0);
    rig_judge(&rig);
    rig_kill(&rig);
    once = digest();
    assert_int_equal(rig_open(&rig), 0);
    rig_judge(&rig);
    rig_kill(&rig);
    assert_int_equal(digest(), once);
    assert_int_equal(rig_open(&rig), 0);
    rig_again(&rig);
    assert_int_equal(rig_append(&rig, 2), 0);
    rig_judge(&rig);
    assert_true(rig.spool.used_bytes <= rig.max_bytes + SEGMENT);
    rig_close(&rig);
    faulty_power_up(&disk, FAULTY_DROP, seed);
    assert_int_equal(rig_open(&rig), 0);
    rig_judge(&rig);
    rig_kill(&rig);
}

static void cut_at_every_byte(int64_t sector, int appends, int stride)
{
    int64_t total;

    begin(sector, appends);
    script();
    total = disk.written;
    assert_true(rig.spool.counts.dropped > 0);
    rig_kill(&rig);
    faulty_free(&disk);
    for (int64_t cut = 0; cut < total; cut += stride)
        for (enum faulty_loss loss = FAULTY_KEEP; loss <= FAULTY_TEAR; loss++) {
            begin(sector, appends);
            disk.power_bytes = cut;
            script();
            rig_kill(&rig);
            judge_what_is_left(loss, (uint64_t)cut);
            faulty_free(&disk);
        }
}

static void at_every_byte(void **state)
{
    (void)state;
    cut_at_every_byte(512, 0, 1);
}

static void at_bytes_of_a_log_file_system(void **state)
{
    (void)state;
    cut_at_every_byte(4096, 1, 3);
}

static void at_bytes_between_large_sectors(void **state)
{
    (void)state;
    cut_at_every_byte(4096, 0, 7);
}

static void at_every_call(void **state)
{
    long total;

    (void)state;
    begin(512, 0);
    script();
    total = disk.calls[FAULTY_ANY];
    rig_kill(&rig);
    faulty_free(&disk);
    for (long cut = 0; cut < total; cut++)
        for (uint64_t seed = 0; seed < 6; seed++) {
            begin(seed % 2 ? 512 : 4096, 0);
            disk.power_calls = cut;
            script();
            rig_kill(&rig);
            judge_what_is_left(seed < 4 ? FAULTY_TEAR : seed == 4 ? FAULTY_DROP : FAULTY_KEEP, seed + 10);
            faulty_free(&disk);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_byte),
        cmocka_unit_test(at_bytes_of_a_log_file_system),
        cmocka_unit_test(at_bytes_between_large_sectors),
        cmocka_unit_test(at_every_call),
    };

    return cmocka_run_group_tests_name("spool_power", tests, NULL, NULL);
}
