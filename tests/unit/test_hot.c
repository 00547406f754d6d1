// SPDX-License-Identifier: Apache-2.0
// The hot spool: nothing whole is lost, nothing is invented, whatever is cut, flipped, killed or put beside it.
#define _GNU_SOURCE
#include "faulty_fs.h"
#include "hot.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static const struct jp_segment_header template = {
    .spool_id = {1, 2, 3},
    .device = "bench",
    .boot = "11111111-2222-4333-8444-555555555555",
    .boot_ms = 1000,
    .real_ms = 1700000000000,
    .clock = "synced",
    .tool = "test",
};

static int clean(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return dir[0] ? system(command) : 0;
}

static int fresh(void **state)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)state;
    snprintf(dir, sizeof dir, "%s/jp_hot_XXXXXX", base);
    return mkdtemp(dir) ? 0 : -1;
}

static const char *file(uint64_t number)
{
    static char path[JP_PATH_MAX];

    assert_int_equal(jp_segment_path(path, dir, number), 0);
    return path;
}

// Frame i: its number, then bytes that depend on it and look like frame heads now and then.
static size_t make(uint8_t *payload, uint32_t i)
{
    size_t size = 4 + i * 7 % 300;

    memcpy(payload, &i, 4);
    for (size_t k = 4; k < size; k++)
        payload[k] = k % 5 == 0 ? 0x84 : k % 5 == 1 ? 0x1a : (uint8_t)(i + k);
    return size;
}

static uint32_t number_of(const struct jp_frame *frame)
{
    uint8_t expected[512];
    uint32_t i;

    assert_true(frame->size >= 4);
    memcpy(&i, frame->payload, 4);
    assert_int_equal(frame->size, make(expected, i));
    assert_memory_equal(frame->payload, expected, frame->size);
    return i;
}

static void append(struct jp_hot_writer *writer, uint32_t i)
{
    uint8_t payload[512];

    assert_int_equal(jp_hot_append(writer, JP_FRAME_WINDOW, payload, make(payload, i)), 0);
}

struct tally {
    int frames, damaged, seals;
    uint32_t last;
    int64_t bad_bytes;
};

// Reads to the end; every frame must be genuine and later than the one before.
static struct tally drain(struct jp_hot_reader *reader)
{
    struct tally tally = {0};
    struct jp_frame frame;
    int rc;

    while ((rc = jp_hot_reader_next(reader, &frame)) != JP_HOT_NOT_YET) {
        assert_true(rc >= 0);
        if (rc == JP_HOT_DAMAGED) {
            assert_true(jp_pos_compare(frame.at, frame.next) < 0);
            tally.damaged++;
            tally.bad_bytes += frame.next.offset - frame.at.offset;
        } else if (frame.type == JP_FRAME_SEAL) {
            tally.seals++;
        } else {
            uint32_t i = number_of(&frame);

            assert_true(tally.frames == 0 || i > tally.last);
            tally.last = i;
            tally.frames++;
        }
    }
    return tally;
}

static struct tally read_all(void)
{
    struct jp_hot_reader reader;
    struct tally tally;

    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){0}), 0);
    tally = drain(&reader);
    jp_hot_reader_close(&reader);
    return tally;
}

static void write_some(uint32_t from, uint32_t to)
{
    struct jp_hot_writer writer;

    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, dir, 1 << 20, &template), 0);
    for (uint32_t i = from; i < to; i++)
        append(&writer, i);
    jp_hot_close(&writer);
}

static void what_is_appended_is_read_while_it_grows(void **state)
{
    struct jp_hot_writer writer;
    struct jp_hot_reader reader;
    struct jp_frame frame;
    uint32_t expect = 0;

    (void)state;
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){0}), 0);
    assert_int_equal(jp_hot_reader_next(&reader, &frame), JP_HOT_NOT_YET);
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, dir, 1 << 20, &template), 0);
    assert_int_equal(jp_hot_reader_next(&reader, &frame), JP_HOT_NOT_YET);
    for (uint32_t i = 0; i < 3000; i++) {
        append(&writer, i);
        if (i % 30 == 29)
            assert_int_equal(jp_hot_border(&writer, i, i), 0);
        if (i % 7 != 0)
            continue;
        while (jp_hot_reader_next(&reader, &frame) == JP_HOT_FRAME) {
            assert_string_equal(reader.header.device, "bench");
            if (frame.type == JP_FRAME_WINDOW)
                assert_int_equal(number_of(&frame), expect++);
        }
        assert_int_equal(expect, i + 1);
        assert_true(jp_hot_release(&jp_fs_real, dir, reader.at) >= 0);
    }
    assert_true(writer.header.number > 5);
    assert_true(jp_hot_bytes(&jp_fs_real, dir) < 200000);
    jp_hot_close(&writer);
    jp_hot_reader_close(&reader);
}

static void every_start_begins_a_new_segment_above_all(void **state)
{
    struct tally tally;

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        write_some(i * 10, i * 10 + 10);
        assert_int_equal(access(file(i + 1), F_OK), 0);
    }
    tally = read_all();
    assert_int_equal(tally.frames, 40);
    assert_int_equal(tally.seals, 4);
    assert_int_equal(tally.damaged, 0);
    assert_int_equal(jp_hot_release(&jp_fs_real, dir, (struct jp_pos){99, 0}), 3);
    assert_int_equal(access(file(4), F_OK), 0);
}

static void a_full_spool_says_so_and_goes_on_after_release(void **state)
{
    struct jp_hot_writer writer;
    uint8_t payload[512] = {0};
    int rc = 0, written = 0;

    (void)state;
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, dir, 65536, &template), 0);
    while (rc == 0) {
        rc = jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload);
        written += rc == 0;
        assert_true(jp_hot_bytes(&jp_fs_real, dir) <= 65536);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_true(written > 65536 / 528 * 9 / 10);
    // No border ever came, and yet all but the newest can go.
    assert_true(jp_hot_release(&jp_fs_real, dir, (struct jp_pos){99, 0}) >= 3);
    assert_int_equal(jp_hot_append(&writer, JP_FRAME_WINDOW, payload, sizeof payload), 0);
    jp_hot_close(&writer);
}

static size_t slurp(uint64_t number, uint8_t *bytes, size_t size)
{
    int fd = open(file(number), O_RDONLY);
    ssize_t n = read(fd, bytes, size);

    assert_true(n > 0);
    close(fd);
    return (size_t)n;
}

static void put_file(uint64_t number, const uint8_t *bytes, size_t size)
{
    int fd = open(file(number), O_WRONLY | O_CREAT | O_TRUNC, 0640);

    assert_true(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

// Frames that end at or before `size` in the bytes of a segment.
static int whole_before(const uint8_t *bytes, size_t have, size_t size)
{
    struct jp_segment_header header;
    struct jp_frame frame;
    int at = jp_segment_header_decode(&header, bytes, have);
    int count = 0;

    assert_true(at > 0);
    while (jp_frame_parse(&frame, bytes + at, have - (size_t)at) == JP_FOUND_WHOLE) {
        at += JP_FRAME_HEAD + (int)frame.size;
        if ((size_t)at > size)
            break;
        count++;
    }
    return count;
}

static void a_cut_at_any_byte_loses_only_the_frame_it_hits(void **state)
{
    uint8_t bytes[4096];
    size_t have;

    (void)state;
    write_some(0, 12);
    have = slurp(1, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= have; cut++) {
        struct tally tally;
        int expect;

        put_file(1, bytes, cut);
        expect = whole_before(bytes, have, cut);
        tally = read_all();
        assert_int_equal(tally.damaged, 0);
        assert_int_equal(tally.frames + tally.seals, expect);
        // With a newer segment the same tail is damage, and what comes after it is read.
        write_some(12, 14);
        tally = read_all();
        assert_int_equal(tally.frames + tally.seals, expect + 3);
        assert_true(tally.damaged <= 1);
        assert_int_equal(unlink(file(2)), 0);
    }
}

static void a_flipped_bit_costs_one_frame_and_invents_none(void **state)
{
    uint8_t bytes[4096];
    size_t have;
    int header;

    (void)state;
    write_some(0, 8);
    have = slurp(1, bytes, sizeof bytes);
    header = jp_segment_header_decode(&(struct jp_segment_header){0}, bytes, have);
    write_some(8, 9);
    for (size_t bit = 0; bit < have * 8; bit++) {
        struct tally tally;

        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        put_file(1, bytes, have);
        tally = read_all();
        assert_int_equal(tally.damaged, 1);
        assert_int_equal(tally.frames + tally.seals, bit / 8 < (size_t)header ? 11 : 10);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void trailing_zeros_are_no_damage_and_rubbish_is_told_once(void **state)
{
    uint8_t bytes[200000] = {0};
    struct tally tally;
    size_t have;

    (void)state;
    write_some(0, 5);
    have = slurp(1, bytes, 4096);
    put_file(1, bytes, sizeof bytes);
    write_some(5, 10);
    tally = read_all();
    assert_int_equal(tally.frames, 10);
    assert_int_equal(tally.damaged, 0);
    // Rubbish longer than any frame, made of beginnings of frames; a whole frame ends it.
    for (size_t i = have; i < sizeof bytes; i++)
        bytes[i] = (uint8_t) "\x84\x1a\1\2\3\4\x1a\0\0\1\0\x18\x02\x59\x3f\xff"[(i - have) % 16];
    jp_frame_head(bytes + sizeof bytes - JP_FRAME_HEAD, 77, JP_FRAME_SEAL, NULL, 0);
    put_file(1, bytes, sizeof bytes);
    tally = read_all();
    assert_int_equal(tally.frames, 10);
    assert_int_equal(tally.seals, 3);
    assert_int_equal(tally.damaged, 1);
    assert_int_equal(tally.bad_bytes, sizeof bytes - JP_FRAME_HEAD - have);
}

static void a_copy_of_an_old_frame_in_a_damaged_payload_stays_dead(void **state)
{
    struct jp_hot_writer writer;
    uint8_t bytes[8192], old[512];
    size_t have, old_size;
    struct tally tally;

    (void)state;
    assert_int_equal(jp_hot_open(&writer, &jp_fs_real, dir, 1 << 20, &template), 0);
    append(&writer, 0);
    append(&writer, 1);
    have = slurp(1, bytes, sizeof bytes);
    old_size = JP_FRAME_HEAD + make(old, 1);
    assert_int_equal(jp_hot_append(&writer, JP_FRAME_EVENT, bytes + have - old_size, old_size), 0);
    append(&writer, 3);
    jp_hot_close(&writer);
    bytes[0] = 0;
    have = slurp(1, bytes, sizeof bytes);
    // The event's own CRC breaks.
    bytes[have - JP_FRAME_HEAD - (JP_FRAME_HEAD + make(old, 3)) - old_size - JP_FRAME_HEAD + 2] ^= 1;
    put_file(1, bytes, have);
    write_some(4, 5);
    tally = read_all();
    assert_int_equal(tally.frames, 4);
    assert_int_equal(tally.damaged, 1);
}

static void foreign_things_in_the_folder_do_no_harm(void **state)
{
    struct jp_hot_reader reader;
    char path[JP_PATH_MAX];
    struct tally tally;
    int fd;

    (void)state;
    write_some(0, 5);
    snprintf(path, sizeof path, "%s", file(1));
    assert_int_equal(rename(path, file(10)), 0);
    snprintf(path, sizeof path, "%s/cursor", dir);
    put_file(20, (const uint8_t *)"x", 1);
    assert_int_equal(rename(file(20), path), 0);
    assert_int_equal(symlink(path, file(3)), 0);
    assert_int_equal(mkdir(file(4), 0750), 0);
    assert_int_equal(mkfifo(file(5), 0640), 0);
    put_file(6, (const uint8_t *)"", 0);
    fd = open(file(7), O_WRONLY | O_CREAT, 0640);
    assert_int_equal(ftruncate(fd, 300000), 0);
    close(fd);
    write_some(5, 10);
    tally = read_all();
    assert_int_equal(tally.frames, 10);
    assert_int_equal(tally.damaged, 0);
    // A cursor above everything, or inside a frame, finds its way.
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){500, 12}), 0);
    assert_int_equal(drain(&reader).frames, 10);
    jp_hot_reader_close(&reader);
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){10, 3}), 0);
    assert_int_equal(drain(&reader).frames, 10);
    jp_hot_reader_close(&reader);
    assert_true(jp_hot_release(&jp_fs_real, dir, (struct jp_pos){500, 0}) >= 4);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(file(11), F_OK), 0);
    rmdir(file(4));
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
    assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 1 << 20, &template), 0);
    for (uint32_t i = 0; i < 3000; i++) {
        before = disk.calls[FAULTY_ANY];
        append(&writer, i);
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
    assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 16384, &template), 0);
    faulty_fail(&disk, call, at, error, false);
    for (uint32_t i = 0; i < 60; i++) {
        if (jp_hot_append(&writer, JP_FRAME_WINDOW, payload, make(payload, i)) == 0)
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
            assert_int_equal(number_of(&frame), good[found++]);
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

static void a_failing_read_is_told_and_can_be_tried_again(void **state)
{
    static struct faulty_fs disk;
    struct jp_hot_writer writer;

    (void)state;
    faulty_init(&disk, 512);
    assert_int_equal(jp_hot_open(&writer, &disk.fs, "/run", 16384, &template), 0);
    for (uint32_t i = 0; i < 50; i++) {
        append(&writer, i);
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
                assert_int_equal(number_of(&frame), found++);
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

    if (jp_hot_open(&writer, &jp_fs_real, dir, 1 << 22, &template))
        _exit(1);
    for (uint32_t i = from; i < to; i++) {
        if (jp_hot_append(&writer, JP_FRAME_WINDOW, payload, make(payload, i)))
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
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){0}), 0);
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
            assert_true(jp_hot_release(&jp_fs_real, dir, frame.at) >= 0);
        else
            assert_int_equal(number_of(&frame), expect++);
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
    assert_int_equal(jp_hot_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){0}), 0);
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
                assert_int_equal(number_of(&frame), expect++);
        }
        assert_true(jp_hot_release(&jp_fs_real, dir, reader.at) >= 0);
    }
    jp_hot_reader_close(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_appended_is_read_while_it_grows, fresh, clean),
        cmocka_unit_test_setup_teardown(every_start_begins_a_new_segment_above_all, fresh, clean),
        cmocka_unit_test_setup_teardown(a_full_spool_says_so_and_goes_on_after_release, fresh, clean),
        cmocka_unit_test_setup_teardown(a_cut_at_any_byte_loses_only_the_frame_it_hits, fresh, clean),
        cmocka_unit_test_setup_teardown(a_flipped_bit_costs_one_frame_and_invents_none, fresh, clean),
        cmocka_unit_test_setup_teardown(trailing_zeros_are_no_damage_and_rubbish_is_told_once, fresh, clean),
        cmocka_unit_test_setup_teardown(a_copy_of_an_old_frame_in_a_damaged_payload_stays_dead, fresh, clean),
        cmocka_unit_test_setup_teardown(foreign_things_in_the_folder_do_no_harm, fresh, clean),
        cmocka_unit_test_setup_teardown(an_append_is_one_call, fresh, clean),
        cmocka_unit_test_setup_teardown(any_failing_call_costs_at_most_the_frame_in_hand, fresh, clean),
        cmocka_unit_test_setup_teardown(a_failing_read_is_told_and_can_be_tried_again, fresh, clean),
        cmocka_unit_test_setup_teardown(a_reader_beside_a_writer_gets_each_frame_once_in_order, fresh, clean),
        cmocka_unit_test_setup_teardown(a_killed_writer_leaves_all_it_appended, fresh, clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
