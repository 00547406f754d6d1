// SPDX-License-Identifier: Apache-2.0
// spool.h on a disk that works: order, cursor, retention, and what is written for it.
#include "faulty_fs.h"
#include "spool_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DIR "/var/lib/spool"
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

static int count_segment(void *context, const char *name)
{
    uint64_t number;

    *(int *)context += jp_segment_number(name, &number);
    return 0;
}

static int segments(void)
{
    int count = 0;

    disk.fs.list(&disk.fs, DIR, count_segment, &count);
    return count;
}

static void nothing_is_written_before_the_first_commit(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_open(&rig), 0);
        assert_int_equal(rig.spool.error, 0);
        assert_int_equal(rig_read(&rig, ALL, false), 0);
        assert_false(jp_spool_pending(&rig.spool));
        assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
        assert_int_equal(jp_spool_append(&rig.spool, JP_FRAME_BLOCK, "held", 4), 0);
        assert_int_equal(jp_spool_pending_bytes(&rig.spool), JP_FRAME_HEAD + 4);
        jp_spool_forget(&rig.spool);
        rig_close(&rig);
    }
    assert_int_equal(disk.written, 0);
    assert_int_equal(disk.name_count, 1); // the lock
}

static void frames_come_in_order_over_segments_and_starts(void **state)
{
    (void)state;
    rig.size = RIG_BIG;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rig_open(&rig), 0);
        assert_int_equal(rig_append(&rig, 50), 0);
        rig_judge(&rig);
        rig_close(&rig);
    }
    assert_true(segments() > 10);
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_read(&rig, ALL, false), 250);
    assert_int_equal(rig_read(&rig, ALL, false), 0);
    assert_true(jp_spool_pending(&rig.spool));
    assert_true(jp_spool_pending_bytes(&rig.spool) >= 250 * RIG_BIG);
    assert_int_equal(rig_append(&rig, 1), 0);
    assert_int_equal(rig_read(&rig, ALL, false), 1);
    assert_int_equal(rig.spool.counts.damaged, 0);
    rig_close(&rig);
}

static void a_held_frame_is_not_read_before_its_commit(void **state)
{
    (void)state;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 3), 0);
    assert_int_equal(rig_read(&rig, ALL, false), 3);
    assert_int_equal(jp_spool_append(&rig.spool, JP_FRAME_BLOCK, "xxxx", 4), 0);
    assert_int_equal(rig_read(&rig, ALL, false), 0);
    jp_spool_forget(&rig.spool);
    assert_int_equal(jp_spool_commit(&rig.spool, &rig.now), 0);
    assert_int_equal(rig_read(&rig, ALL, false), 0);
    assert_int_equal(jp_spool_append(&rig.spool, JP_FRAME_BLOCK, &rig, JP_PAYLOAD_MAX + 1), -EMSGSIZE);
    rig_close(&rig);
}

static void what_is_released_never_comes_again_and_its_segments_go(void **state)
{
    (void)state;
    rig.size = RIG_BIG;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 100), 0);
    assert_int_equal(rig_read(&rig, 60, true), 60);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    assert_true(segments() <= 4);
    assert_int_equal(rig_read(&rig, ALL, true), 40);
    assert_false(jp_spool_pending(&rig.spool));
    assert_int_equal(rig_append(&rig, 1), 0);
    assert_true(jp_spool_pending(&rig.spool));
    assert_int_equal(rig_read(&rig, ALL, true), 1);
    rig_judge(&rig);
    rig_close(&rig);
    assert_int_equal(segments(), 0);
    // The numbers go on.
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 1), 0);
    assert_true(rig.spool.highest > 5);
    rig_judge(&rig);
    assert_int_equal(rig.gaps, 0);
    rig_close(&rig);
}

static void a_start_in_the_middle_hands_out_what_is_in_force_first(void **state)
{
    struct jp_frame frame;
    struct jp_pos cursor;
    uint8_t id[16];

    (void)state;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(jp_spool_read_cursor(&disk.fs, DIR, &cursor, id), -ENOENT);
    assert_int_equal(rig_append(&rig, 9), 0);
    assert_int_equal(rig_read(&rig, 4, true), 4);
    rig_kill(&rig);
    assert_int_equal(rig_open(&rig), 0); // the cursor was not saved: all comes again
    rig_forget_read(&rig);
    assert_int_equal(rig_read(&rig, 5, true), 5);
    rig_close(&rig);
    assert_int_equal(jp_spool_read_cursor(&disk.fs, DIR, &cursor, id), 0);
    assert_int_equal(cursor.segment, 1);
    assert_int_equal(id[0], 7);
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(jp_spool_next(&rig.spool, &frame), JP_SPOOL_FRAME);
    assert_int_equal(frame.type, JP_FRAME_RUN);
    assert_true(jp_pos_compare(frame.at, rig.spool.cursor) < 0);
    assert_string_equal(rig.spool.reader.file.header.device, "bench");
    assert_int_equal(jp_spool_next(&rig.spool, &frame), JP_SPOOL_FRAME);
    assert_int_equal(frame.type, JP_FRAME_ANCHOR);
    assert_int_equal(rig_read(&rig, ALL, true), 4);
    rig_close(&rig);
}

static void the_oldest_goes_at_max_bytes_and_gaps_say_what(void **state)
{
    (void)state;
    rig.size = RIG_BIG;
    rig.max_bytes = 1 << 20;
    assert_int_equal(rig_open(&rig), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(rig_append(&rig, 1), 0);
        assert_int_equal(rig.spool.error, 0);
        assert_true(rig.spool.used_bytes <= rig.max_bytes);
    }
    assert_true(rig.spool.counts.dropped > 20);
    rig_judge(&rig);
    assert_true(rig.gaps > 0);
    // Seven parts in ten of the space hold history.
    assert_true(rig_read(&rig, 1, false) == 0 && jp_spool_pending_bytes(&rig.spool) > rig.max_bytes * 7 / 10);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), 0);
    rig_judge(&rig);
    rig_close(&rig);
}

static void fill_and_open_smaller(void)
{
    rig.size = RIG_BIG;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 1000), 0);
    rig_close(&rig);
    rig.max_bytes = 1 << 20;
    assert_int_equal(rig_open(&rig), 0);
}

static void a_spool_made_smaller_shrinks_in_short_turns(void **state)
{
    (void)state;
    fill_and_open_smaller();
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    assert_int_equal(rig.spool.counts.dropped, 8);
    for (int i = 0; i < 5; i++)
        assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    assert_true(rig.spool.used_bytes <= rig.max_bytes);
    rig_judge(&rig);
    rig_close(&rig);
}

// Whoever has its own frames released must not release those GAPs with them.
static void gaps_of_what_went_lie_behind_what_was_committed(void **state)
{
    (void)state;
    rig.size = RIG_BIG;
    rig.max_bytes = 1 << 20;
    assert_int_equal(rig_open(&rig), 0);
    while (rig.spool.counts.dropped == 0) {
        assert_int_equal(rig_append(&rig, 1), 0);
        assert_true(jp_pos_compare(rig.spool.committed, jp_spool_end(&rig.spool)) == 0 || rig.spool.counts.dropped > 0);
    }
    assert_true(jp_pos_compare(rig.spool.committed, jp_spool_end(&rig.spool)) < 0);
    rig_close(&rig);
}

// What goes says as much as it was.
static void weigh_in_vain(void *context, struct jp_spool *spool, enum jp_spool_reason reason,
                          const struct jp_segment_header *header, const struct jp_frame *frame)
{
    static const uint8_t gap[22000]; // three are more than a segment

    (void)context, (void)reason, (void)header;
    for (int i = 0; i < 3 && !frame; i++)
        assert_int_equal(jp_spool_append(spool, JP_FRAME_GAP, gap, sizeof gap), 0);
}

static void gaps_that_take_the_room_of_what_goes_end_a_turn(void **state)
{
    (void)state;
    fill_and_open_smaller();
    rig.spool.calls.weigh = weigh_in_vain;
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    assert_in_range(rig.spool.counts.dropped, 1, 3);
    rig_close(&rig);
}

static void kept_history_goes_at_max_bytes_and_is_no_loss(void **state)
{
    (void)state;
    rig.size = RIG_BIG;
    rig.max_bytes = 1 << 20;
    rig.keep_all = true;
    assert_int_equal(rig_open(&rig), 0);
    for (int i = 0; i < 600; i++) {
        assert_int_equal(rig_append(&rig, 1), 0);
        assert_int_equal(rig_read(&rig, ALL, true), 1);
        assert_true(rig.spool.used_bytes <= rig.max_bytes);
    }
    assert_int_equal(rig.spool.counts.dropped, 0);
    assert_true(segments() > 8);
    assert_false(jp_spool_pending(&rig.spool));
    rig_close(&rig);
    assert_true(segments() > 8);
    assert_int_equal(rig_open(&rig), 0);
    rig_judge(&rig);
    assert_int_equal(rig.gaps, 0);
    rig_close(&rig);
}

static void old_days_go_by_a_right_clock_only(void **state)
{
    uint32_t before;

    (void)state;
    rig.size = RIG_BIG;
    rig.keep_days = 10;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 50), 0);
    rig.now.real_ms += 11 * 86400000LL;
    rig.now.boot_ms += 11 * 86400000LL;
    rig.now.synced = false;
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    assert_int_equal(rig.spool.counts.dropped, 0);
    rig.now.synced = true;
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    before = (uint32_t)rig.spool.counts.dropped;
    assert_true(before > 0);
    assert_true(rig.dropped_old > 0);
    assert_int_equal(rig_append(&rig, 30), 0);
    rig_judge(&rig);
    rig_close(&rig);
}

static void a_second_post_is_turned_away(void **state)
{
    (void)state;
    disk.locked = true;
    assert_int_equal(rig_open(&rig), -EWOULDBLOCK);
    disk.locked = false;
    assert_int_equal(rig_open(&rig), 0);
    rig_close(&rig);
}

static void a_commit_is_one_sync_and_few_sectors(void **state)
{
    long syncs;
    int64_t synced, written;

    (void)state;
    rig.size = 700; // 8 rails
    rig.max_bytes = 64 << 20;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 1), 0);
    syncs = disk.calls[FAULTY_SYNC];
    synced = disk.synced;
    written = disk.written;
    assert_int_equal(rig_append(&rig, 1000), 0);
    assert_int_equal(disk.calls[FAULTY_SYNC] - syncs, 1000);
    synced = (disk.synced - synced) / 1000;
    written = (disk.written - written) / 1000;
    print_message("a block of 700 bytes: %d bytes written, %d of dirty sectors\n", (int)written, (int)synced);
    assert_true(synced < 2 * 4096);
    assert_true(written < 3 * 716);
    rig_close(&rig);
}

static void a_log_file_system_gets_no_zeros(void **state)
{
    (void)state;
    disk.appends = 1;
    rig.size = RIG_BIG;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 60), 0);
    assert_true(disk.written < 60 * (RIG_BIG + JP_FRAME_HEAD) + JP_SPOOL_EXTENT + 8192);
    rig_judge(&rig);
    assert_int_equal(rig_read(&rig, ALL, true), 0);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), 0);
    rig_judge(&rig);
    assert_int_equal(rig.spool.counts.damaged, 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_written_before_the_first_commit, fresh, clean),
        cmocka_unit_test_setup_teardown(frames_come_in_order_over_segments_and_starts, fresh, clean),
        cmocka_unit_test_setup_teardown(a_held_frame_is_not_read_before_its_commit, fresh, clean),
        cmocka_unit_test_setup_teardown(what_is_released_never_comes_again_and_its_segments_go, fresh, clean),
        cmocka_unit_test_setup_teardown(a_start_in_the_middle_hands_out_what_is_in_force_first, fresh, clean),
        cmocka_unit_test_setup_teardown(the_oldest_goes_at_max_bytes_and_gaps_say_what, fresh, clean),
        cmocka_unit_test_setup_teardown(a_spool_made_smaller_shrinks_in_short_turns, fresh, clean),
        cmocka_unit_test_setup_teardown(gaps_of_what_went_lie_behind_what_was_committed, fresh, clean),
        cmocka_unit_test_setup_teardown(gaps_that_take_the_room_of_what_goes_end_a_turn, fresh, clean),
        cmocka_unit_test_setup_teardown(kept_history_goes_at_max_bytes_and_is_no_loss, fresh, clean),
        cmocka_unit_test_setup_teardown(old_days_go_by_a_right_clock_only, fresh, clean),
        cmocka_unit_test_setup_teardown(a_second_post_is_turned_away, fresh, clean),
        cmocka_unit_test_setup_teardown(a_commit_is_one_sync_and_few_sectors, fresh, clean),
        cmocka_unit_test_setup_teardown(a_log_file_system_gets_no_zeros, fresh, clean),
    };

    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
