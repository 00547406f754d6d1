// SPDX-License-Identifier: Apache-2.0
// The site door: one root, small files, numbers and nothing else, names in natural order.
#define _GNU_SOURCE
#include "driver_rig.h"

#include <errno.h>
#include <fcntl.h>

static char names[256];

static int collect(void *context, const char *name)
{
    const char *stop_at = context;

    strcat(names, name);
    strcat(names, " ");
    return stop_at && strcmp(stop_at, name) == 0 ? 7 : 0;
}

static void make_link(const char *path, const char *target)
{
    char full[512];

    assert_int_equal(jp_site_path(&site, path, full, sizeof full), 0);
    assert_int_equal(symlink(target, full), 0);
}

static void a_path_stays_below_the_root(void **state)
{
    static const char *const climbing[] = {"/..", "/../etc", "/sys/../../etc", "/sys/..", "etc", ""};
    const struct jp_site at = {.root = "/tree"};
    char out[16];

    (void)state;
    assert_int_equal(jp_site_path(&at, "/sys/a..b", out, sizeof out), 0);
    assert_string_equal(out, "/tree/sys/a..b");
    assert_int_equal(jp_site_path(&at, "/sys/..a", out, sizeof out), 0);
    assert_int_equal(jp_site_path(&at, "/sys/a...b", out, sizeof out), 0);
    assert_int_equal(jp_site_path(&at, "/sys/a....b", out, sizeof out), -ENAMETOOLONG);
    for (size_t i = 0; i < sizeof climbing / sizeof climbing[0]; i++)
        assert_int_equal(jp_site_path(&at, climbing[i], out, sizeof out), -EINVAL);
}

static void a_small_file_is_read_whole_or_not_at_all(void **state)
{
    char out[8];

    (void)state;
    tree("empty");
    put("/a", "abc \n\n");
    assert_int_equal(jp_site_read(&site, "/a", out, sizeof out), 3);
    assert_string_equal(out, "abc");
    put("/a", "1234567");
    assert_int_equal(jp_site_read(&site, "/a", out, sizeof out), 7);
    put("/a", "12345678");
    assert_int_equal(jp_site_read(&site, "/a", out, sizeof out), -EMSGSIZE);
    put("/a", "");
    assert_int_equal(jp_site_read(&site, "/a", out, sizeof out), 0);
    assert_string_equal(out, "");
    assert_int_equal(jp_site_read(&site, "/b", out, sizeof out), -ENOENT);
    make_folder("/dir");
    assert_int_equal(jp_site_read(&site, "/dir", out, sizeof out), -EISDIR);
}

static void a_number_is_a_number_and_nothing_else(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t value;
    } cases[] = {
        {"42\n", 0, 42},
        {"   42\n", 0, 42},
        {"-20\n", 0, -20},
        {"9223372036854775807\n", 0, INT64_MAX},
        {"-9223372036854775808\n", 0, INT64_MIN},
        {"9223372036854775808\n", -ERANGE, 0},
        {"-9223372036854775809\n", -ERANGE, 0},
        {"+7\t\r\n\n", 0, 7},
        {"-\n", -EINVAL, 0},
        {"--1\n", -EINVAL, 0},
        {"1 2\n", -EINVAL, 0},
        {"", -ENODATA, 0},
        {"\n", -ENODATA, 0},
        {"     \n", -ENODATA, 0},
        {"n/a\n", -EINVAL, 0},
        {"12 mW\n", -EINVAL, 0},
        {"0x10\n", -EINVAL, 0},
        {"1.5\n", -EINVAL, 0},
        {"12345678901234567890123456789012345678901234567890\n", -ERANGE, 0},
    };

    (void)state;
    tree("empty");
    put("/n", "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t value = 0;
        int fd;

        put("/n", cases[i].text);
        fd = jp_site_open(&site, "/n");
        assert_true(fd >= 0);
        assert_int_equal(jp_site_pread_i64(fd, &value), cases[i].rc);
        assert_true(value == cases[i].value);
        // Twice from one descriptor: it reads from the start each time.
        assert_int_equal(jp_site_pread_i64(fd, &value), cases[i].rc);
        close(fd);
        assert_int_equal(jp_site_pread_i64(fd, &value), -EBADF);
        if (strlen(cases[i].text) > 1 && strlen(cases[i].text) < 30)
            assert_int_equal(jp_site_read_i64(&site, "/n", &value), cases[i].rc);
    }
}

static void the_first_numbers_of_a_line_are_taken_and_what_follows_is_not_looked_at(void **state)
{
    static const struct {
        const char *text;
        int count, rc;
        int64_t first, second;
    } cases[] = {
        {"5000 400\n", 2, 0, 5000, 400},
        {" 4984\t-8   \n", 2, 0, 4984, -8},
        {"32760 ma\n", 1, 0, 32760, 0},
        {"32760 ma\n", 2, -EINVAL, 32760, 0},
        {"32760ma\n", 1, -EINVAL, 0, 0},
        {"5000\n", 2, -EINVAL, 5000, 0},
        {"5000 400 7 x\n", 2, 0, 5000, 400},
        {"5000 400x\n", 2, -EINVAL, 5000, 0},
        {"-9223372036854775808 9223372036854775807\n", 2, 0, INT64_MIN, INT64_MAX},
        {"1 9223372036854775808\n", 2, -ERANGE, 1, 0},
        {"", 1, -ENODATA, 0, 0},
        {" \n", 2, -ENODATA, 0, 0},
        {"ma 5\n", 1, -EINVAL, 0, 0},
    };

    (void)state;
    tree("empty");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t values[2] = {0, 0};
        int fd;

        put("/n", cases[i].text);
        fd = jp_site_open(&site, "/n");
        for (int again = 0; again < 2; again++)
            assert_int_equal(jp_site_pread_first(fd, values, cases[i].count), cases[i].rc);
        assert_true(values[0] == cases[i].first && values[1] == cases[i].second);
        close(fd);
        assert_int_equal(jp_site_pread_first(fd, values, 1), -EBADF);
    }
}

static void names_come_in_natural_order(void **state)
{
    static const char *const made[] = {"/d/hwmon10", "/d/hwmon2", "/d/hwmon1", "/d/.hidden", "/d/1-0041", "/d/1-0040"};
    char stop_at[] = "hwmon1";

    (void)state;
    tree("empty");
    make_folder("/d");
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        put(made[i], "");
    names[0] = '\0';
    assert_int_equal(jp_site_list(&site, "/d", collect, NULL), 0);
    assert_string_equal(names, "1-0040 1-0041 hwmon1 hwmon2 hwmon10 ");
    names[0] = '\0';
    assert_int_equal(jp_site_list(&site, "/d", collect, stop_at), 7);
    assert_string_equal(names, "1-0040 1-0041 hwmon1 ");
    assert_int_equal(jp_site_list(&site, "/none", collect, NULL), -ENOENT);
}

static void a_link_tells_its_last_part(void **state)
{
    char out[8];

    (void)state;
    tree("empty");
    make_link("/device", "../../../1-0040");
    make_link("/slash", "here/there/");
    make_link("/long", "a-name-too-long");
    assert_int_equal(jp_site_link(&site, "/device", out, sizeof out), 0);
    assert_string_equal(out, "1-0040");
    assert_int_equal(jp_site_link(&site, "/slash", out, sizeof out), 0);
    assert_string_equal(out, "there");
    assert_int_equal(jp_site_link(&site, "/long", out, sizeof out), -ENAMETOOLONG);
    put("/file", "");
    assert_int_equal(jp_site_link(&site, "/file", out, sizeof out), -EINVAL);
}

static void a_fifo_does_not_hold_the_program_up(void **state)
{
    char full[128], out[8];

    (void)state;
    tree("empty");
    snprintf(full, sizeof full, "%s/fifo", root);
    assert_int_equal(mkfifo(full, 0600), 0);
    assert_int_equal(jp_site_read(&site, "/fifo", out, sizeof out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_stays_below_the_root),
        ON_A_TREE(a_small_file_is_read_whole_or_not_at_all),
        ON_A_TREE(a_number_is_a_number_and_nothing_else),
        ON_A_TREE(the_first_numbers_of_a_line_are_taken_and_what_follows_is_not_looked_at),
        ON_A_TREE(names_come_in_natural_order),
        ON_A_TREE(a_link_tells_its_last_part),
        ON_A_TREE(a_fifo_does_not_hold_the_program_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
