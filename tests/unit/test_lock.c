// SPDX-License-Identifier: Apache-2.0
// lock.c: one holder at a time, and none after its death.
#define _GNU_SOURCE
#include "lock.h"

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

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/jp-lock-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void a_second_is_refused_until_the_first_lets_go(void **state)
{
    struct jp_lock a, b;

    (void)state;
    assert_int_equal(jp_lock_try(&a, dir, "meter.lock"), 0);
    assert_true(fcntl(a.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(jp_lock_try(&b, dir, "meter.lock"), -EAGAIN);
    assert_int_equal(b.fd, -1);
    assert_int_equal(jp_lock_try(&b, dir, "post.lock"), 0);
    jp_lock_drop(&b);
    jp_lock_drop(&a);
    jp_lock_drop(&a);
    assert_int_equal(jp_lock_try(&b, dir, "meter.lock"), 0);
    jp_lock_drop(&b);
}

static void a_killed_holder_holds_no_longer(void **state)
{
    struct jp_lock lock;
    int ready[2];
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        if (jp_lock_try(&lock, dir, "meter.lock") == 0 && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(jp_lock_try(&lock, dir, "meter.lock"), -EAGAIN);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(jp_lock_try(&lock, dir, "meter.lock"), 0);
    jp_lock_drop(&lock);
    close(ready[0]);
    close(ready[1]);
}

static void no_link_is_followed_and_errors_are_told(void **state)
{
    struct jp_lock lock;
    char link[96], target[96], wide[JP_PATH_MAX];

    (void)state;
    snprintf(link, sizeof link, "%s/meter.lock", dir);
    snprintf(target, sizeof target, "%s/elsewhere", dir);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(jp_lock_try(&lock, dir, "meter.lock"), -ELOOP);
    assert_int_not_equal(access(target, F_OK), 0);
    assert_int_equal(jp_lock_try(&lock, target, "meter.lock"), -ENOENT);
    memset(wide, 'x', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    assert_int_equal(jp_lock_try(&lock, dir, wide), -ENAMETOOLONG);
    assert_int_equal(lock.fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_is_refused_until_the_first_lets_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_killed_holder_holds_no_longer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_link_is_followed_and_errors_are_told, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
