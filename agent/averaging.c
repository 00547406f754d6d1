// SPDX-License-Identifier: Apache-2.0
// Changes the chips' averaging for as long as meter runs.
#define _GNU_SOURCE
#include "averaging.h"

#include "ina3221.h"
#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEY "sampling.hw_average"
#define TRIES 3 // this process may have been put aside during one
#define READS 8
#define SAVED_MAX 2048 // a line of 52 characters a chip
#define US_PER_MS 1000

// The saved file: a line a chip, "1-0040 BEFORE SET", SET 0 while it is being changed ------------------
static int read_saved(const struct jp_averaging *self, char *text, size_t size)
{
    const struct jp_fs *fs = self->fs;
    int fd = fs->open(fs, self->path, JP_FS_READ);
    ssize_t got;

    if (fd < 0)
        return fd;
    got = fs->pread(fs, fd, text, size - 1, 0);
    fs->close(fs, fd);
    if (got < 0)
        return (int)got;
    text[got] = '\0';
    return 0;
}

// Whole or not at all: it takes its name when it is written.
static int save(const struct jp_averaging *self)
{
    const struct jp_fs *fs = self->fs;
    char text[SAVED_MAX], new[JP_PATH_MAX + 8];
    int used = 0, fd, rc;

    for (int i = 0; i < self->count; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s %d %d\n", self->chips[i].chip.device,
                         self->chips[i].before, self->chips[i].set);
    snprintf(new, sizeof new, "%s.new", self->path);
    fs->unlink(fs, new); // of a run that was killed
    fd = fs->open(fs, new, JP_FS_CREATE);
    if (fd < 0)
        return fd;
    rc = jp_fs_pwrite_all(fs, fd, text, (size_t)used, 0);
    fs->close(fs, fd);
    return rc < 0 ? rc : fs->rename(fs, new, self->path);
}

// Putting back ---------------------------------------------------------------------------------------
// 0, or -errno. A chip whose kernel driver went away is set anew by the driver that comes.
static int put_back(const struct jp_averaged *chip)
{
    int now = jp_ina3221_averaging_get(&chip->chip), rc = now < 0 ? now : 0;

    if (rc == 0 && now != chip->before && (chip->set == 0 || chip->set == now))
        rc = jp_ina3221_averaging_set(&chip->chip, chip->before);
    if (rc == -ENODEV || rc == -EBUSY)
        return 0;
    if (rc < 0)
        jp_log_warning(KEY ": the averaging of %s cannot be put back to %d: %s", chip->chip.device, chip->before,
                       strerror(-rc));
    return rc;
}

static struct jp_averaged *find(struct jp_averaging *self, const char *device)
{
    for (int i = 0; i < self->count; i++)
        if (strcmp(self->chips[i].chip.device, device) == 0)
            return &self->chips[i];
    return NULL;
}

// True: nothing is left to be put back.
static bool put_back_saved(struct jp_averaging *self)
{
    char text[SAVED_MAX], device[32];
    int before, set, length;
    bool all = true;

    if (read_saved(self, text, sizeof text) < 0)
        return true;
    for (const char *at = text; sscanf(at, "%31s %d %d %n", device, &before, &set, &length) == 3; at += length) {
        struct jp_averaged *chip = find(self, device);

        if (!chip) {
            jp_log_warning(KEY ": %s is not read any more; before, it averaged %d", device, before);
            continue;
        }
        chip->before = before;
        chip->set = set;
        all &= put_back(chip) == 0;
    }
    if (all)
        self->fs->unlink(self->fs, self->path);
    return all;
}

// Setting --------------------------------------------------------------------------------------------
// Whether several reads in a row take less time than as many conversions. What cannot be told from waiting waits.
static int seen_not_to_wait(const struct jp_averaging *self, const struct jp_ina3221_averaging *chip, int64_t round_us)
{
    int64_t least_ns = INT64_MAX;
    int can_wait = 1;

    for (int i = 0; i < TRIES; i++) {
        int64_t from_ns = self->clock->mono_ns(self->clock), took_ns;

        for (int k = 0; k < READS && can_wait > 0; k++)
            can_wait = jp_ina3221_averaging_try(chip);
        if (can_wait <= 0)
            return can_wait < 0 ? can_wait : true;
        took_ns = self->clock->mono_ns(self->clock) - from_ns;
        least_ns = took_ns < least_ns ? took_ns : least_ns;
    }
    return least_ns < (READS - 1) * round_us * 1000 / 2;
}

// What the chip is set to now, and that it may be changed. False: it is left alone, and said so.
static bool may_change(const struct jp_averaging *self, struct jp_averaged *chip)
{
    int round_us = jp_ina3221_averaging_round_us(&chip->chip), rc = round_us;

    chip->set = 0;
    chip->before = jp_ina3221_averaging_get(&chip->chip);
    if (rc >= 0)
        rc = chip->before < 0 ? chip->before : seen_not_to_wait(self, &chip->chip, round_us);
    if (rc < 0)
        jp_log_warning(KEY ": %s is left as it is: %s", chip->chip.device, strerror(-rc));
    else if (rc == 0)
        jp_log_warning(KEY ": %s is left as it is: reading it waits for a conversion, and would wait for all of them",
                       chip->chip.device);
    return rc > 0;
}

static int change(const struct jp_averaging *self, struct jp_averaged *chip)
{
    int64_t period_us = (int64_t)self->config->sampling.interval_ms * US_PER_MS;
    int rc = chip->before == 1 ? 0 : jp_ina3221_averaging_set(&chip->chip, 1); // its time is told exactly now
    int round_us = rc < 0 ? rc : jp_ina3221_averaging_round_us(&chip->chip);

    if (round_us < 0)
        return round_us;
    chip->set = jp_ina3221_samples_for(round_us, period_us);
    rc = jp_ina3221_averaging_set(&chip->chip, chip->set);
    if (rc == 0)
        jp_log_info("%s averages %d conversions now, %lld ms for a value; %d before", chip->chip.device, chip->set,
                    (long long)round_us * chip->set / US_PER_MS, chip->before);
    return rc;
}

static void drop(struct jp_averaging *self, int i)
{
    jp_ina3221_averaging_close(&self->chips[i].chip);
    self->chips[i] = self->chips[--self->count];
}

static void drop_all(struct jp_averaging *self)
{
    while (self->count > 0)
        drop(self, self->count - 1);
}

static void change_all(struct jp_averaging *self)
{
    int rc;

    for (int i = self->count - 1; i >= 0; i--)
        if (!may_change(self, &self->chips[i]))
            drop(self, i);
    if (self->count == 0)
        return;
    rc = save(self);
    if (rc < 0) {
        jp_log_warning(KEY ": %s: %s; nothing is changed", self->path, strerror(-rc));
        drop_all(self);
        return;
    }
    for (int i = self->count - 1; i >= 0; i--) {
        rc = change(self, &self->chips[i]);
        if (rc < 0) {
            jp_log_warning(KEY ": %s: %s", self->chips[i].chip.device, strerror(-rc));
            self->chips[i].set = 0;
            if (put_back(&self->chips[i]) == 0)
                drop(self, i);
        }
    }
    save(self); // until then whatever is found is put back
}

// The three moments ------------------------------------------------------------------------------------
static bool left_over(const struct jp_averaging *self)
{
    char text[SAVED_MAX];

    return read_saved(self, text, sizeof text) == 0;
}

void jp_averaging_open(struct jp_averaging *self, const struct jp_site *site, const struct jp_plan *plan)
{
    bool wanted = self->config->sampling.hw_average;
    int error = 0, seen = 0;

    self->count = 0;
    snprintf(self->path, sizeof self->path, "%.*s/averaging", (int)sizeof self->path - 16, self->config->paths_hot);
    if (!wanted && !left_over(self))
        return;
    for (int s = 0; s < plan->source_count; s++) {
        const struct jp_source *source = &plan->sources[s];
        int rc = jp_ina3221_averaging_open(&self->chips[self->count].chip, site, source->driver->name, &source->found);

        seen += rc != -ENOTSUP;
        if (rc == 0)
            self->count++;
        else if (rc != -ENOTSUP && rc != error && wanted) { // once, not for each chip
            jp_log_warning(KEY ": the averaging of %s cannot be set: %s%s", source->found.path, strerror(-rc),
                           rc == -EACCES || rc == -EROFS ? "; see docs/operating.md, Other folders and devices" : "");
            error = rc;
        }
    }
    if (wanted && seen == 0)
        jp_log_warning(KEY " is set, and no INA3221 is read through hwmon or I2C");
}

void jp_averaging_begin(struct jp_averaging *self)
{
    // What a chip was before is known from the file alone: it stays until that is done.
    if (put_back_saved(self) && self->config->sampling.hw_average)
        change_all(self);
    else
        drop_all(self);
}

void jp_averaging_end(struct jp_averaging *self)
{
    bool all = self->count > 0;

    while (self->count > 0) {
        all &= put_back(&self->chips[self->count - 1]) == 0;
        drop(self, self->count - 1);
    }
    if (all)
        self->fs->unlink(self->fs, self->path);
}
