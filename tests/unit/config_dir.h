// SPDX-License-Identifier: Apache-2.0
// A scratch folder with a configuration in it, for the tests of the configuration.
#ifndef JP_TEST_CONFIG_DIR_H
#define JP_TEST_CONFIG_DIR_H

#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char error[1024];
static struct jp_config config;

static const char *in_dir(const char *name)
{
    static char paths[4][128];
    static int turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
    const char *path = in_dir(name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static int load(const char *text)
{
    error[0] = '\0';
    return jp_config_load(write_file("a.conf", text, 0644), &config, error, sizeof error);
}

// The text is refused, the error begins with FILE:`line`: and holds `what` and what is allowed.
static void assert_refused(const char *text, int line, const char *what)
{
    char place[160];

    if (load(text) != -EINVAL)
        fail_msg("not refused: %s", text);
    snprintf(place, sizeof place, "%s/a.conf:%d: ", dir, line);
    if (strncmp(error, place, strlen(place)) != 0 || !strstr(error, what) || !strstr(error, "allowed"))
        fail_msg("%s\ngave: %s\nwanted: %s ... %s ... allowed", text, error, place, what);
}

static void assert_accepted(const char *text)
{
    if (load(text))
        fail_msg("%s\ngave: %s", text, error);
}

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/jp_config_XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"a.conf", "b.conf", "pem", "pw", "mqtt.password", "printed.conf"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(in_dir(names[i]));
    rmdir(in_dir("folder"));
    return rmdir(dir);
}

#endif
