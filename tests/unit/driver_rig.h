// SPDX-License-Identifier: Apache-2.0
// What the tests of the drivers share: a made tree as the site, and one open driver on it.
#ifndef DRIVER_RIG_H
#define DRIVER_RIG_H

#include "drivers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX 16

static char root[64];
static struct jp_site site = {.root = root};

// One open driver instance.
struct rig {
    const struct jp_driver *driver;
    uint64_t state[256];
    struct jp_channel channels[MAX];
    struct jp_reading readings[MAX];
    int count;
};

static inline void tree(const char *kind)
{
    char command[512];

    snprintf(root, sizeof root, "/tmp/jp-drivers-XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(command, sizeof command, "/usr/bin/python3 %s/fixtures/make_tree.py %s %s", TESTS_DIR, kind, root);
    assert_int_equal(system(command), 0);
}

static inline int drop_tree(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return root[0] ? system(command) : 0;
}

static inline void put(const char *path, const char *text)
{
    char full[512];
    FILE *file;

    assert_int_equal(jp_site_path(&site, path, full, sizeof full), 0);
    file = fopen(full, "r+"); // in place: an open descriptor must see it
    if (!file)
        file = fopen(full, "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), 0), 0);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static inline void make_folder(const char *path)
{
    char full[512];

    assert_int_equal(jp_site_path(&site, path, full, sizeof full), 0);
    assert_int_equal(mkdir(full, 0700), 0);
}

static inline void drop(const char *path)
{
    char full[512];

    assert_int_equal(jp_site_path(&site, path, full, sizeof full), 0);
    assert_int_equal(unlink(full), 0);
}

static inline int open_rig(struct rig *rig, const struct jp_driver *driver, const struct jp_found *found)
{
    assert_true(driver->state_size <= sizeof rig->state);
    memset(rig, 0, sizeof *rig);
    rig->driver = driver;
    rig->count = driver->open(rig->state, &site, found, rig->channels, MAX);
    return rig->count;
}

static inline int open_nth(struct rig *rig, const struct jp_driver *driver, int nth)
{
    struct jp_found found[MAX];

    assert_true(driver->probe(&site, found, MAX) > nth);
    return open_rig(rig, driver, &found[nth]);
}

static inline void read_rig(struct rig *rig)
{
    struct jp_pass pass = {.readings = rig->readings};

    memset(rig->readings, 0, sizeof rig->readings);
    rig->driver->read(rig->state, &pass);
}

static inline void close_rig(struct rig *rig)
{
    rig->driver->close(rig->state);
}

#define ON_A_TREE(test) cmocka_unit_test_teardown(test, drop_tree)

#endif
