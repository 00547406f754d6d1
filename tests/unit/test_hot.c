// SPDX-License-Identifier: Apache-2.0
// The hot spool: a reader gets each frame once and in order, whatever fails or is killed beside it.
#define _GNU_SOURCE
#include "faulty_fs.h"
#include "hot_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void what_is_appended_is_read_while_it_grows(void **state)
{
    struct jp_hot_writer writer;
    struct jp_hot_reader reader;
    struct jp_frame frame;
    uint32_t expect = 0;

    (void)state;
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, hot_dir, (struct jp_pos){0}), 0);
    assert_int_equal(jp_hot_reader_next(&reader, &frame), JP_HOT_NOT_YET);
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, hot_dir, 1 << 20, &hot_template), 0);
    assert_int_equal(jp_hot_reader_next(&reader, &frame), JP_HOT_NOT_YET);
    for (uint32_t i = 0; i < 3000; i++) {
        hot_append(&writer, i);
        if (i % 30 == 29)
            assert_int_equal(jp_hot_border(&writer, i, i), 0);
        if (i % 7 != 0)
            continue;
        while (jp_hot_reader_next(&reader, &frame) == JP_HOT_FRAME) {
            assert_string_equal(reader.file.header.device, "bench");
            if (frame.type == JP_FRAME_WINDOW)
                assert_int_equal(hot_number_of(&frame), expect++);
        }
        assert_int_equal(expect, i + 1);
        assert_true(jp_hot_release(&jp_fs_real, hot_dir, reader.at) >= 0);
    }
    assert_true(writer.header.number > 5);
    assert_true(jp_hot_bytes(&jp_fs_real, hot_dir) < 200000);
    jp_hot_close(&writer);
    jp_hot_reader_close(&reader);
}

static void every_start_begins_a_new_segment_above_all(void **state)
{
    struct tally tally;

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        hot_write_some(i * 10, i * 10 + 10);
        assert_int_equal(access(hot_file(i + 1), F_OK), 0);
    }
    tally = hot_read_all();
    assert_int_equal(tally.frames, 40);
    assert_int_equal(tally.seals, 4);
    assert_int_equal(tally.damaged, 0);
    assert_int_equal(jp_hot_release(&jp_fs_real, hot_dir, (struct jp_pos){99, 0}), 3);
    assert_int_equal(access(hot_file(4), F_OK), 0);
}

// The name of a file is no reason to leave the sequence, nor to write names that nobody reads.
static void a_foreign_file_with_a_huge_number_moves_nothing(void **state)
{
    char path[JP_PATH_MAX];
    struct jp_hot_writer writer;
    struct jp_hot_reader reader;
    struct jp_frame frame;
    struct tally tally;

    (void)state;
    snprintf(path, sizeof path, "%s/999999999999999999.jps", hot_dir);
    fclose(fopen(path, "w"));
    hot_write_some(0, 10);
    hot_write_some(10, 20);
    assert_int_equal(access(hot_file(2), F_OK), 0);
    tally = hot_read_all();
    assert_int_equal(tally.frames, 20);
    assert_int_equal(tally.damaged, 0);
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, hot_dir, (struct jp_pos){999999999999999999, 7}), 0);
    assert_int_equal(jp_hot_reader_next(&reader, &frame), JP_HOT_FRAME);
    assert_int_equal(hot_number_of(&frame), 0);
    jp_hot_reader_close(&reader);
    fclose(fopen(hot_file(JP_SEGMENT_NUMBER_MAX), "w"));
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, hot_dir, 65536, &hot_template), -ERANGE);
}

static void a_full_spool_says_so_and_goes_on_after_release(void **state)
{
    struct jp_hot_writer writer;
    uint8_t payload[512] = {0};
    int rc = 0, written = 0;

    (void)state;
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, hot_dir, 65536, &hot_template), 0);
    while (rc == 0) {
        rc = jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload);
        written += rc == 0;
        assert_true(jp_hot_bytes(&jp_fs_real, hot_dir) <= 65536);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_true(writer.limited);
    assert_true(written > 65536 / 528 * 9 / 10);
    // No border ever came, and yet all but the newest can go.
    assert_true(jp_hot_release(&jp_fs_real, hot_dir, (struct jp_pos){99, 0}) >= 3);
    assert_int_equal(jp_hot_border(&writer, 1, 1), 0);
    assert_int_equal(jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload), 0);
    jp_hot_close(&writer);
}

// Exactly one call of the file door a frame; a border that ends nothing makes none.
static void an_append_is_one_call(void **state)
{
    static struct faulty_fs disk;
    struct jp_hot_writer writer;
    uint64_t segment;
    long before;

    (void)state;
    faulty_init(&disk, 512);
    assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 1 << 20, &hot_template), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        before = disk.calls[FAULTY_ANY];
        hot_append(&writer, i);
        assert_int_equal(disk.calls[FAULTY_ANY] - before, 1);
        if (i % 30 != 29)
            continue;
        before = disk.calls[FAULTY_PWRITE];
        segment = writer.header.number;
        assert_int_equal(jp_hot_border(&writer, i, i), 0);
        assert_int_equal(disk.calls[FAULTY_PWRITE] - before, writer.header.number == segment ? 0 : 2);
    }
    assert_int_equal(disk.calls[FAULTY_SYNC], 0);
    assert_int_equal(disk.calls[FAULTY_LIST], 2);
    jp_hot_close(&writer);
    faulty_free(&disk);
}

// Whatever single call fails, in whatever way: every append that said 0 is read, no other frame comes out wrong.
static void check_fault(enum faulty_call call, long at, int error)
{
    static struct faulty_fs disk;
    struct jp_hot_writer writer;
    struct jp_hot_reader reader;
    struct jp_frame frame;
    uint8_t payload[512];
    uint32_t good[64], count = 0, found = 0;
    int rc;

    faulty_init(&disk, 512);
    assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 16384, &hot_template), 0);
    faulty_fail(&disk, call, at, error, false);
    for (uint32_t i = 0; i < 60; i++) {
        if (jp_hot_append(&writer, JP_FRAME_WINDOW, payload, hot_make(payload, i)) == 0)
            good[count++] = i;
        if (i % 5 == 4)
            jp_hot_border(&writer, i, i);
    }
    jp_hot_close(&writer);
    faulty_fail(&disk, FAULTY_ANY, 0, 0, false);
    assert_true(count >= 58);
    assert_int_equal(jp_hot_reader_open(&reader, &disk.fs, "/run", (struct jp_pos){0}), 0);
    while ((rc = jp_hot_reader_next(&reader, &frame)) != JP_HOT_NOT_YET) {
        assert_true(rc >= 0);
        if (rc == JP_HOT_FRAME && frame.type == JP_FRAME_WINDOW)
            assert_int_equal(hot_number_of(&frame), good[found++]);
    }
    assert_int_equal(found, count);
    jp_hot_reader_close(&reader);
    faulty_free(&disk);
}

static void any_failing_call_costs_at_most_the_frame_in_hand(void **state)
{
    static const int errors[] = {-EIO, -ENOSPC, -EROFS, 0};

    (void)state;
    for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++) {
        for (long at = 1; at < 90; at++) {
            check_fault(FAULTY_ANY, at, errors[e]);
            check_fault(FAULTY_PWRITE, at, errors[e]);
        }
    }
}

// While post is away, each window costs no look through the folder; once it has freed some, few are lost.
static void a_full_spool_is_counted_now_and_then(void **state)
{
    static struct faulty_fs disk;
    struct jp_hot_writer writer;
    uint8_t payload[512] = {0};
    long before;
    int tries = 1;

    (void)state;
    faulty_init(&disk, 512);
    assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 65536, &hot_template), 0);
    while (jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload) == 0)
        ;
    before = disk.calls[FAULTY_ANY];
    for (int i = 0; i < 100; i++)
        assert_int_equal(jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload), -ENOSPC);
    assert_true(disk.calls[FAULTY_ANY] - before <= 20 * (1 + 3 * 16));
    assert_true(jp_hot_release(&disk.fs, "/run", (struct jp_pos){99, 0}) >= 3);
    while (jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload) != 0)
        tries++;
    assert_true(tries <= 5);
    jp_hot_close(&writer);
    faulty_free(&disk);
}

// Starts that never come to an end leave a header each; post being dead, the folder must not grow by them.
static void starts_without_end_stay_within_the_limit(void **state)
{
    struct jp_hot_writer writer;
    uint8_t payload[512] = {0};
    int files = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(jp_hot_open(&writer, &jp_fs_real, hot_dir, 65536, &hot_template), 0);
        writer.fs->close(writer.fs, writer.fd); // killed
        free(writer.buffer);
    }
    for (uint64_t number = 1; number <= 200; number++)
        files += access(hot_file(number), F_OK) == 0;
    assert_in_range(files, 10, 16); // a page of the tmpfs each
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, hot_dir, 65536, &hot_template), 0);
    assert_int_equal(writer.fd, -1);
    assert_int_equal(jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload), -ENOSPC);
    assert_int_equal(jp_hot_border(&writer, 1, 1), 0);
    assert_true(jp_hot_release(&jp_fs_real, hot_dir, (struct jp_pos){999, 0}) > 9);
    assert_int_equal(jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload), 0);
    jp_hot_close(&writer);
}

static void a_border_notices_that_the_segment_was_removed(void **state)
{
    struct jp_hot_writer writer;

    (void)state;
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, hot_dir, 65536, &hot_template), 0);
    assert_int_equal(jp_hot_border(&writer, 1, 1), 0);
    assert_int_equal(unlink(hot_file(1)), 0);
    assert_int_equal(jp_hot_border(&writer, 2, 2), -ESTALE);
    jp_hot_close(&writer);
}

// A file system that fills up under the writer: what it could not finish is cut off and no reader calls it damage.
static void a_short_write_leaves_no_torn_bytes(void **state)
{
    static struct faulty_fs disk;
    struct jp_hot_writer writer;
    struct jp_hot_reader reader;
    struct jp_frame frame;
    uint8_t payload[512];
    uint32_t found = 0;
    int rc;

    (void)state;
    for (int error = 0; error >= -ENOSPC; error -= ENOSPC) {
        faulty_init(&disk, 512);
        assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 65536, &hot_template), 0);
        hot_append(&writer, 0);
        faulty_fail(&disk, FAULTY_PWRITE, 1, error, true);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(jp_hot_append(&writer, JP_FRAME_WINDOW, payload, hot_make(payload, 1)), -ENOSPC);
            assert_false(writer.limited);
        }
        faulty_fail(&disk, FAULTY_PWRITE, 0, 0, false);
        hot_append(&writer, 1);
        assert_int_equal(writer.header.number, 1);
        assert_int_equal(writer.used_bytes, jp_hot_bytes(&disk.fs, "/run"));
        jp_hot_close(&writer);
        found = 0;
        assert_int_equal(jp_hot_reader_open(&reader, &disk.fs, "/run", (struct jp_pos){0}), 0);
        while ((rc = jp_hot_reader_next(&reader, &frame)) != JP_HOT_NOT_YET) {
            assert_int_equal(rc, JP_HOT_FRAME);
            if (frame.type == JP_FRAME_WINDOW)
                assert_int_equal(hot_number_of(&frame), found++);
        }
        assert_int_equal(found, 2);
        jp_hot_reader_close(&reader);
        faulty_free(&disk);
    }
}

static void a_failing_read_is_told_and_can_be_tried_again(void **state)
{
    static struct faulty_fs disk;
    struct jp_hot_writer writer;

    (void)state;
    faulty_init(&disk, 512);
    assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 16384, &hot_template), 0);
    for (uint32_t i = 0; i < 50; i++) {
        hot_append(&writer, i);
        if (i % 5 == 4)
            assert_int_equal(jp_hot_border(&writer, i, i), 0);
    }
    jp_hot_close(&writer);
    for (long at = 1; at < 60; at++) {
        struct jp_hot_reader reader;
        struct jp_frame frame;
        uint32_t found = 0;
        int rc;

        assert_int_equal(jp_hot_reader_open(&reader, &disk.fs, "/run", (struct jp_pos){0}), 0);
        faulty_fail(&disk, FAULTY_ANY, at, -EIO, false);
        while ((rc = jp_hot_reader_next(&reader, &frame)) != JP_HOT_NOT_YET)
            if (rc == JP_HOT_FRAME && frame.type == JP_FRAME_WINDOW)
                assert_int_equal(hot_number_of(&frame), found++);
            else
                assert_true(rc == JP_HOT_FRAME || rc == -EIO);
        assert_int_equal(found, 50);
        jp_hot_reader_close(&reader);
    }
    faulty_free(&disk);
}

// Appends from `from` on for ever, a border every 30 frames.
static void write_until_killed(uint32_t from, uint32_t to)
{
    struct jp_hot_writer writer;
    uint8_t payload[512];

    if (jp_hot_open(&writer, &jp_fs_real, hot_dir, 1 << 22, &hot_template))
        _exit(1);
    for (uint32_t i = from; i < to; i++) {
        if (jp_hot_append(&writer, JP_FRAME_WINDOW, payload, hot_make(payload, i)))
            _exit(2);
        if (i % 30 == 29)
            jp_hot_border(&writer, i, i);
    }
    jp_hot_close(&writer);
    _exit(0);
}

static pid_t start_writer(uint32_t from, uint32_t to)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        write_until_killed(from, to);
    return pid;
}

static void a_reader_beside_a_writer_gets_each_frame_once_in_order(void **state)
{
    struct jp_hot_reader reader;
    struct jp_frame frame;
    uint32_t expect = 0;
    int status = 0;
    pid_t pid = start_writer(0, 20000);
    bool ended = false;

    (void)state;
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, hot_dir, (struct jp_pos){0}), 0);
    for (;;) {
        int rc = jp_hot_reader_next(&reader, &frame);

        if (rc == JP_HOT_NOT_YET && ended)
            break;
        if (rc == JP_HOT_NOT_YET) {
            ended = waitpid(pid, &status, WNOHANG) == pid;
            continue;
        }
        assert_int_equal(rc, JP_HOT_FRAME);
        if (frame.type == JP_FRAME_SEAL)
            assert_true(jp_hot_release(&jp_fs_real, hot_dir, frame.at) >= 0);
        else
            assert_int_equal(hot_number_of(&frame), expect++);
    }
    assert_int_equal(status, 0);
    assert_int_equal(expect, 20000);
    assert_true(reader.at.segment > 10);
    jp_hot_reader_close(&reader);
}

// Each killed writer leaves a run of frames without a hole, all that it had appended; the next begins a new segment.
static void a_killed_writer_leaves_all_it_appended(void **state)
{
    struct jp_hot_reader reader;
    struct jp_frame frame;
    unsigned seed = 7;

    (void)state;
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, hot_dir, (struct jp_pos){0}), 0);
    for (uint32_t round = 0; round < 50; round++) {
        uint32_t base = round * 10000000, expect = base, stop_at = base + 1 + (uint32_t)rand_r(&seed) % 300;
        pid_t pid = start_writer(base, base + 10000000);
        bool killed = false;

        for (;;) {
            int rc = jp_hot_reader_next(&reader, &frame);

            assert_true(rc >= 0);
            if (rc == JP_HOT_NOT_YET && killed)
                break;
            if (!killed && expect >= stop_at) {
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                killed = true;
            }
            if (rc == JP_HOT_FRAME && frame.type == JP_FRAME_WINDOW)
                assert_int_equal(hot_number_of(&frame), expect++);
        }
        assert_true(jp_hot_release(&jp_fs_real, hot_dir, reader.at) >= 0);
    }
    jp_hot_reader_close(&reader);
}

// A door whose listing is the moment at which the writer appends once more and goes on to the next segment.
static struct jp_hot_writer *racing;
static int (*list_behind)(const struct jp_fs *, const char *, int (*)(void *, const char *), void *);

static int list_after_writing(const struct jp_fs *self, const char *path, int (*each)(void *, const char *),
                              void *context)
{
    struct jp_hot_writer *writer = racing;

    racing = NULL;
    if (writer) {
        hot_append(writer, 1);
        writer->segment_bytes = 0;
        assert_int_equal(jp_hot_border(writer, 0, 0), 0);
    }
    return list_behind(self, path, each, context);
}

static void frames_that_come_while_the_end_is_being_judged_are_not_lost(void **state)
{
    static struct faulty_fs disk;
    struct jp_hot_writer writer;
    struct jp_hot_reader reader;

    (void)state;
    faulty_init(&disk, 512);
    list_behind = disk.fs.list;
    disk.fs.list = list_after_writing;
    assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 1 << 20, &hot_template), 0);
    hot_append(&writer, 0);
    assert_int_equal(jp_hot_reader_open(&reader, &disk.fs, "/run", (struct jp_pos){1, 0}), 0);
    racing = &writer;
    assert_int_equal(hot_drain(&reader).frames, 2);
    assert_null(racing);
    assert_int_equal(reader.at.segment, 2);
    jp_hot_close(&writer);
    jp_hot_reader_close(&reader);
    faulty_free(&disk);
}

// What a reader sees of a write that is under way.
static void a_half_written_tail_is_read_once_it_is_whole(void **state)
{
    static struct faulty_fs disk;
    struct jp_hot_writer writer;
    struct jp_hot_reader reader;
    uint8_t *bytes;
    int64_t size;

    (void)state;
    faulty_init(&disk, 512);
    assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 1 << 20, &hot_template), 0);
    hot_append(&writer, 0);
    assert_int_equal(jp_hot_reader_open(&reader, &disk.fs, "/run", (struct jp_pos){0}), 0);
    bytes = faulty_file(&disk, "/run/00000001.jps")->seen;
    size = faulty_file(&disk, "/run/00000001.jps")->seen_size;
    for (int64_t i = 0; i < size; i++) {
        bytes[i] ^= 0xff;
        assert_int_equal(hot_drain(&reader).frames, 0);
        bytes[i] ^= 0xff;
    }
    assert_int_equal(hot_drain(&reader).frames, 1);
    jp_hot_close(&writer);
    jp_hot_reader_close(&reader);
    faulty_free(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_appended_is_read_while_it_grows, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(every_start_begins_a_new_segment_above_all, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_foreign_file_with_a_huge_number_moves_nothing, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_full_spool_says_so_and_goes_on_after_release, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(an_append_is_one_call, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(any_failing_call_costs_at_most_the_frame_in_hand, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_full_spool_is_counted_now_and_then, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(starts_without_end_stay_within_the_limit, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_border_notices_that_the_segment_was_removed, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_short_write_leaves_no_torn_bytes, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_failing_read_is_told_and_can_be_tried_again, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_reader_beside_a_writer_gets_each_frame_once_in_order, hot_fresh, hot_clean),
        cmocka_unit_test_setup_teardown(a_killed_writer_leaves_all_it_appended, hot_fresh, hot_clean),
        cmocka_unit_test(frames_that_come_while_the_end_is_being_judged_are_not_lost),
        cmocka_unit_test(a_half_written_tail_is_read_once_it_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
