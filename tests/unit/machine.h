// SPDX-License-Identifier: Apache-2.0
// A tree that looks like a machine, made and dropped around each test, and a plan discovered on it.
// The including file defines _GNU_SOURCE first.
#ifndef JP_TEST_MACHINE_H
#define JP_TEST_MACHINE_H

#include "channels.h"
#include "diagnose.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64], error[512];
static const struct jp_i2c *buses; // what I2C the machine has; NULL: none
static struct jp_config config;
static struct jp_plan plan;

static inline void put(const char *path, const char *text)
{
    char full[512];
    FILE *file;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(full, 0755);
        *at = '/';
    }
    file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static inline void tree(const char *kind)
{
    char command[1024];

    snprintf(command, sizeof command, "/usr/bin/python3 -B '%s/fixtures/make_tree.py' %s '%s'", TESTS_DIR, kind, root);
    assert_int_equal(system(command), 0);
}

static inline void discover_with(const struct jp_driver *const *drivers)
{
    const struct jp_site site = {.root = root, .i2c = buses};
    const struct jp_discovery how = {.site = &site, .config = &config, .run_id = 7, .drivers = drivers};

    error[0] = '\0';
    assert_int_equal(jp_discover_with(&how, &plan, error, sizeof error), 0);
    assert_string_equal(error, "");
}

static inline void discover(void)
{
    discover_with(jp_drivers);
}

static inline void diagnose(void)
{
    const struct jp_site site = {.root = root, .i2c = buses};

    jp_diagnose_machine(&plan, &site, &config, &jp_clock_real);
}

static inline int set_up(void **state)
{
    (void)state;
    memset(&config, 0, sizeof config);
    config.sampling.interval_ms = 200;
    config.sampling.window_ms = 1000;
    config.sampling.block_windows = 30;
    strcpy(config.paths_hot, "/dev/shm/joulepost");
    strcpy(root, "/tmp/jp-discover-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static inline int tear_down(void **state)
{
    char command[128];

    (void)state;
    jp_plan_close(&plan);
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

// "A B C": the names in order; "+" before those of the total.
static inline const char *names(void)
{
    static char list[1024];

    list[0] = '\0';
    for (int i = 0; i < plan.run.channel_count; i++) {
        size_t used = strlen(list);

        snprintf(list + used, sizeof list - used, "%s%s%s", i ? " " : "", plan.run.channels[i].in_total ? "+" : "",
                 plan.run.channels[i].name);
    }
    return list;
}

static inline const struct jp_run_channel *channel(const char *name)
{
    for (int i = 0; i < plan.run.channel_count; i++)
        if (strcmp(plan.run.channels[i].name, name) == 0)
            return &plan.run.channels[i];
    fail_msg("no channel %s among: %s", name, names());
    return NULL;
}

static inline const struct jp_problem *problem(const char *part)
{
    for (int i = 0; i < plan.problem_count; i++)
        if (strstr(plan.problems[i].what, part)) {
            assert_true(plan.problems[i].remedy[0] && plan.problems[i].where[0]);
            return &plan.problems[i];
        }
    return NULL;
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
