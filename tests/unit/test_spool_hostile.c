// SPDX-License-Identifier: Apache-2.0
// Folders that nobody sane made: the spool starts, says what it found, and works.
#define _GNU_SOURCE
#include "cbor.h"
#include "spool_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ALL UINT32_MAX

static char dir[64];
static struct rig rig;

static int fresh(void **state)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    (void)state;
    snprintf(dir, sizeof dir, "%s/jp_spool_XXXXXX", base);
    if (!mkdtemp(dir))
        return -1;
    rig_init(&rig, &jp_fs_real, dir);
    return 0;
}

static int clean(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static const char *in_dir(const char *name)
{
    static char path[JP_PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void put(const char *name, const void *bytes, size_t size, int64_t length)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    if (length > 0)
        assert_int_equal(ftruncate(fd, length), 0);
    close(fd);
}

static void works(uint32_t frames)
{
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig.spool.error, 0);
    assert_int_equal(rig_append(&rig, frames), 0);
    assert_int_equal(rig.spool.error, 0);
    rig_judge(&rig);
    rig_close(&rig);
}

static void every_kind_of_foreign_file(void **state)
{
    static uint8_t rubbish[200000];

    (void)state;
    for (size_t i = 0; i < sizeof rubbish; i++)
        rubbish[i] = (uint8_t) "\x84\x1a\1\2\3\4\x1a\0\0\1\0\x18\x02\x59\x3f\xff"[i % 16];
    assert_int_equal(symlink("/etc/passwd", in_dir("00000001.jps")), 0);
    assert_int_equal(mkdir(in_dir("00000002.jps"), 0755), 0);
    assert_int_equal(mkfifo(in_dir("00000003.jps"), 0644), 0);
    put("00000004.jps", rubbish, sizeof rubbish, 0);
    put("00000005.jps", rubbish, 1000, 1LL << 40);
    put("00000006.jps", "", 0, 0);
    put("00000007.jps", "", 0, 70000);
    assert_int_equal(symlink("/nowhere", in_dir("00000008.jps")), 0);
    put("readme.txt", "hello", 5, 0);
    put("99999999999999999999.jps", "x", 1, 0);
    put("999999999999.jps", "x", 1, 0);
    assert_int_equal(mkdir(in_dir("cursor"), 0755), 0);
    assert_int_equal(mkdir(in_dir("draft"), 0755), 0);
    assert_int_equal(symlink("/etc/passwd", in_dir("spare")), 0);
    works(20);
    assert_int_equal(rig.spool.counts.foreign, 8);
    assert_int_equal(rig.spool.counts.quarantined, 8);
    assert_int_equal(access(in_dir("00000001.jps"), F_OK), -1);
    assert_int_equal(access(in_dir("00000007.jps.bad"), F_OK), 0);
    assert_int_equal(access(in_dir("readme.txt"), F_OK), 0);
    works(20);
    assert_int_equal(rig.spool.counts.foreign, 0);
}

// As after a downgrade: the program that wrote them comes back some day.
static void segments_of_another_format_are_set_aside_and_stay(void **state)
{
    struct jp_segment_header header = {.version = JP_FORMAT_VERSION + 1};
    uint8_t bytes[JP_HEADER_MAX];
    char name[32];

    (void)state;
    for (unsigned i = 1; i <= 7; i++) {
        header.number = i;
        snprintf(name, sizeof name, "%08u.jps", i);
        put(name, bytes, (size_t)jp_segment_header_encode(&header, bytes, sizeof bytes), 0);
    }
    works(20);
    works(20);
    for (unsigned i = 1; i <= 7; i++) {
        snprintf(name, sizeof name, "%08u.jps.other", i);
        assert_int_equal(access(in_dir(name), F_OK), 0);
    }
}

static void a_cursor_beyond_the_end_releases_nothing(void **state)
{
    struct jp_slots slots;
    struct jp_cbor_out out;
    uint8_t record[64 + 24], id[16] = {0};
    size_t size;

    (void)state;
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 9), 0);
    rig_close(&rig);
    assert_int_equal(jp_slots_open(&slots, &jp_fs_real, in_dir("cursor"), sizeof record, record, &size, NULL), 0);
    jp_cbor_out_init(&out, record, 64);
    jp_cbor_put_array(&out, 4);
    jp_cbor_put_uint(&out, 1);
    jp_cbor_put_uint(&out, 500);
    jp_cbor_put_uint(&out, 7);
    jp_cbor_put_bytes(&out, id, sizeof id);
    assert_int_equal(jp_slots_put(&slots, record, out.used, true), 0);
    jp_slots_close(&slots);
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig.spool.counts.cursor_lost, 1);
    assert_int_equal(rig_read(&rig, 100, true), 9);
    rig_judge(&rig);
    rig_close(&rig);
}

static void foreign_files_do_not_stop_retention(void **state)
{
    (void)state;
    assert_int_equal(symlink("/etc/passwd", in_dir("00000001.jps")), 0);
    assert_int_equal(mkdir(in_dir("00000002.jps"), 0755), 0);
    put("00000003.jps", "", 0, 1LL << 40);
    rig.size = RIG_BIG;
    rig.max_bytes = 1 << 20;
    works(600);
    assert_true(rig.spool.used_bytes <= rig.max_bytes);
    assert_true(rig.spool.counts.dropped > 3);
}

static void ten_thousand_segments(void **state)
{
    struct jp_segment_header header = {.version = 1, .device = "bench", .boot = "x", .clock = "synced", .tool = "t"};
    uint8_t bytes[JP_HEADER_MAX];
    struct jp_frame frame;
    char name[32];

    (void)state;
    for (uint64_t i = 1; i <= 10000; i++) {
        header.number = 2 * i; // no number follows the one before
        snprintf(name, sizeof name, "%08d.jps", (int)header.number);
        put(name, bytes, (size_t)jp_segment_header_encode(&header, bytes, sizeof bytes), 0);
    }
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig.spool.highest, 20000);
    for (int i = 0; i < 50; i++)
        jp_spool_reader_skip(&rig.spool.reader);
    assert_int_equal(rig_append(&rig, 3), 0);
    jp_spool_release(&rig.spool, (struct jp_pos){20000, 0});
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    assert_int_equal(rig.spool.lowest, 20000);
    jp_spool_rewind(&rig.spool);
    assert_int_equal(rig_read(&rig, ALL, true), 3);
    assert_int_equal(jp_spool_next(&rig.spool, &frame), JP_SPOOL_END);
    rig_close(&rig);
}

static void a_flipped_bit_costs_one_frame_and_the_file_is_kept(void **state)
{
    uint8_t byte;
    int fd;

    (void)state;
    works(30);
    fd = open(in_dir("00000001.jps"), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 5000), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 5000), 1);
    close(fd);
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_read(&rig, ALL, true), 29);
    assert_int_equal(rig.spool.counts.damaged, 1);
    assert_int_equal(rig.spool.counts.torn, 0);
    assert_int_equal(jp_spool_tend(&rig.spool, &rig.now), 0);
    assert_int_equal(access(in_dir("00000001.jps"), F_OK), -1);
    assert_int_equal(access(in_dir("00000001.jps.bad"), F_OK), 0);
    rig_close(&rig);
}

static void a_damaged_header_costs_no_frame(void **state)
{
    int fd;

    (void)state;
    works(30);
    fd = open(in_dir("00000001.jps"), O_RDWR);
    assert_int_equal(pwrite(fd, "xxxx", 4, 20), 4);
    close(fd);
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_read(&rig, ALL, false), 30);
    assert_int_equal(rig.spool.counts.foreign, 0);
    rig_close(&rig);
}

static void a_reader_needs_no_lock_and_writes_nothing(void **state)
{
    struct jp_spool_reader reader;
    struct jp_frame frame;
    struct rig *second = calloc(1, sizeof *second);
    int blocks = 0, rc;

    (void)state;
    assert_non_null(second);
    assert_int_equal(rig_open(&rig), 0);
    assert_int_equal(rig_append(&rig, 10), 0);
    rig_init(second, &jp_fs_real, dir);
    assert_int_equal(rig_open(second), -EWOULDBLOCK);
    free(second);
    assert_int_equal(chmod(dir, 0550), 0);
    assert_int_equal(jp_spool_reader_open(&reader, &jp_fs_real, dir, (struct jp_pos){0}), 0);
    while ((rc = jp_spool_reader_next(&reader, &frame)) != JP_SPOOL_END) {
        assert_int_equal(rc, JP_SPOOL_FRAME);
        blocks += frame.type == JP_FRAME_BLOCK;
    }
    assert_int_equal(blocks, 10);
    assert_int_equal(chmod(dir, 0750), 0);
    assert_int_equal(rig_append(&rig, 1), 0);
    // Behind the last frame an open file goes on in zeros: a reader comes again from where it was.
    jp_spool_reader_seek(&reader, frame.next);
    jp_spool_reader_close(&reader);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_of_foreign_file, fresh, clean),
        cmocka_unit_test_setup_teardown(segments_of_another_format_are_set_aside_and_stay, fresh, clean),
        cmocka_unit_test_setup_teardown(a_cursor_beyond_the_end_releases_nothing, fresh, clean),
        cmocka_unit_test_setup_teardown(foreign_files_do_not_stop_retention, fresh, clean),
        cmocka_unit_test_setup_teardown(ten_thousand_segments, fresh, clean),
        cmocka_unit_test_setup_teardown(a_flipped_bit_costs_one_frame_and_the_file_is_kept, fresh, clean),
        cmocka_unit_test_setup_teardown(a_damaged_header_costs_no_frame, fresh, clean),
        cmocka_unit_test_setup_teardown(a_reader_needs_no_lock_and_writes_nothing, fresh, clean),
    };

    return cmocka_run_group_tests_name("spool_hostile", tests, NULL, NULL);
}
