// SPDX-License-Identifier: Apache-2.0
// The durable spool on a disk that fails: nothing is lost that was reported durable, what is held is written when
// the disk is well again, and a failed file is never written to again.
#include "faulty_fs.h"
#include "spool_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DIR "/spool"
#define ALL UINT32_MAX

static struct faulty_fs disk;
static struct rig rig;

static int fresh(void **state)
{
    (void)state;
    faulty_init(&disk, 4096);
    rig_init(&rig, &disk.fs, DIR);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    faulty_free(&disk);
    return 0;
}

static void heal(void)
{
    disk.fail.at = 0;
    rig.now.boot_ms += JP_SPOOL_RETRY_MS + 1;
}

// One that failed is replaced; what was held is in it; the frames are handed out once.
static void a_failed_sync_moves_what_is_held_to_a_new_segment(void **state)
{
    uint64_t before;

    (void)state;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 5), 0);
    before = rig.spool.highest;
    faulty_fail(&disk, FAULTY_SYNC, 1, -EIO, false);
    assert_int_equal(rig_append(&rig, 1), 0);
    assert_int_equal(rig.spool.error, 0);
    assert_int_equal(rig.spool.highest, before + 1);
    assert_int_equal(rig_append(&rig, 4), 0);
    assert_int_equal(rig_read(&rig, ALL, false), 10);
    rig_close(&rig);
}

static void a_disk_that_stays_bad_is_asked_once_a_minute(void **state)
{
    long calls;

    (void)state;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 5), 0);
    faulty_fail(&disk, FAULTY_SYNC, 1, -EIO, true);
    assert_int_equal(rig_append(&rig, 1), -EIO);
    assert_int_equal(rig.spool.error, -EIO);
    calls = disk.calls[FAULTY_ANY];
    for (int i = 0; i < 20; i++)
        assert_int_equal(rig_append(&rig, 1), -EIO);
    assert_int_equal(disk.calls[FAULTY_ANY], calls);
    assert_int_equal(rig.spool.held_frames, 21);
    rig.now.boot_ms += JP_SPOOL_RETRY_MS;
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), -EIO);
    assert_true(disk.calls[FAULTY_ANY] > calls);
    assert_int_equal(rig_read(&rig, ALL, false), 5);
    heal();
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    assert_int_equal(rig.spool.error, 0);
    assert_int_equal(rig.spool.held_frames, 0);
    assert_int_equal(rig_read(&rig, ALL, false), 21);
    rig_close(&rig);
}

static void what_does_not_fit_into_memory_is_refused(void **state)
{
    static uint8_t big[JP_PAYLOAD_MAX];
    int rc = 0, taken = 0;

    (void)state;
    assert_int_equal(rig_open(&rig), 0);
    faulty_fail(&disk, FAULTY_ANY, 1, -EROFS, true);
    for (int i = 0; i < 20 && rc == 0; i++) {
        rc = jp_spool_append(&rig.spool, JP_FRAME_BLOCK, big, sizeof big);
        taken += rc == 0;
        assert_int_equal(jp_spool_commit(&rig.spool, &rig.now), -EROFS);
    }
    assert_int_equal(rc, -ENOBUFS);
    assert_int_equal(taken, JP_SPOOL_HELD_MAX / (sizeof big + JP_FRAME_HEAD));
    heal();
    // Not of the rig's frames: they are only counted.
    assert_int_equal(jp_spool_commit(&rig.spool, &rig.now), 0);
    assert_int_equal(rig.spool.counts.frames, taken);
    rig_close(&rig);
}

static void a_full_disk_still_takes_a_gap(void **state)
{
    uint32_t gap[3] = {0x67617021u, 1, 0};

    (void)state;
    rig.size = RIG_BIG;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 10), 0);
    disk.full = true;
    for (int i = 0; rig.spool.error == 0 && i < 200; i++)
        rig_append(&rig, 1);
    assert_int_equal(rig.spool.error, -ENOSPC);
    assert_int_equal(jp_spool_append(&rig.spool, JP_FRAME_GAP, gap, sizeof gap), 0);
    rig.now.boot_ms += JP_SPOOL_RETRY_MS;
    assert_int_equal(jp_spool_commit(&rig.spool, &rig.now), -ENOSPC);
    rig_read(&rig, ALL, false);
    assert_int_equal(rig.gaps, 1);
    assert_true(rig.spool.held_frames > 0);
    rig_kill(&rig);
    faulty_power_up(&disk, FAULTY_DROP, 1);
    rig.gaps = 0;
    assert_int_equal(rig_open(&rig), 0);
    rig_judge(&rig);
    assert_int_equal(rig.gaps, 1);
    disk.full = false;
    rig_again(&rig);
    assert_int_equal(rig_append(&rig, 10), 0);
    assert_true(rig.spool.has_spare);
    rig_judge(&rig);
    rig_close(&rig);
}

static void a_full_disk_takes_kept_history_first(void **state)
{
    (void)state;
    rig.size = RIG_BIG;
    rig.keep_all = true;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 100), 0);
    assert_int_equal(rig_read(&rig, ALL, true), 100);
    for (int i = 0; i < 40; i++) {
        disk.full = disk.full_until_unlink = true;
        assert_int_equal(rig_append(&rig, 1), 0);
    }
    assert_true(rig.spool.lowest > 1);
    assert_int_equal(rig.spool.counts.dropped, 0);
    rig_judge(&rig);
    rig_close(&rig);
}

// Every call --------------------------------------------------------------------------------------
static void small(void)
{
    fresh(NULL);
    rig.size = 60;
    rig.segment_bytes = 512;
    rig.max_bytes = 7 * 512;
}

static void script(void)
{
    rig_append(&rig, 9);
    rig_read(&rig, 5, true);
    rig.now.boot_ms += JP_SPOOL_SAVE_MS;
    jp_spool_tend(&rig.spool, &rig.now);
    rig_append(&rig, 9);
    rig_append(&rig, 4);
    rig_read(&rig, ALL, true);
    rig_append(&rig, 2);
}

static void one_fault(long at, int error, bool forever)
{
    small();
    faulty_fail(&disk, FAULTY_ANY, at, error, forever);
    assert_int_equal(rig_open(&rig), 0);
    script();
    rig_append(&rig, 1);
    heal();
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    rig.now.boot_ms += JP_SPOOL_RETRY_MS;
    assert_int_equal(rig_append(&rig, 3), 0);
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    assert_int_equal(rig.spool.error, 0);
    assert_int_equal(rig.spool.held_frames, 0);
    rig_judge(&rig); // `durable` is everything now
    rig_kill(&rig);
    faulty_power_up(&disk, FAULTY_DROP, 1);
    rig.repeats = true;
    assert_int_equal(rig_open(&rig), 0);
    rig_judge(&rig);
    rig_close(&rig);
    clean(NULL);
}

static void a_fault_at_every_call(void **state)
{
    static const int errors[] = {-EIO, -ENOSPC, -EROFS, 0};
    long total;

    (void)state;
    small();
    assert_int_equal(rig_open(&rig), 0);
    script();
    total = disk.calls[FAULTY_ANY];
    rig_close(&rig);
    clean(NULL);
    for (long at = 1; at <= total; at++)
        for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
            one_fault(at, errors[i], false);
            one_fault(at, errors[i], true);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_failed_sync_moves_what_is_held_to_a_new_segment, fresh, clean),
        cmocka_unit_test_setup_teardown(a_disk_that_stays_bad_is_asked_once_a_minute, fresh, clean),
        cmocka_unit_test_setup_teardown(what_does_not_fit_into_memory_is_refused, fresh, clean),
        cmocka_unit_test_setup_teardown(a_full_disk_still_takes_a_gap, fresh, clean),
        cmocka_unit_test_setup_teardown(a_full_disk_takes_kept_history_first, fresh, clean),
        cmocka_unit_test(a_fault_at_every_call),
    };

    return cmocka_run_group_tests_name("spool_faults", tests, NULL, NULL);
}
