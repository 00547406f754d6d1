// SPDX-License-Identifier: Apache-2.0
// Discovery: from a site and a configuration to open sensors, named channels, a total, and what is missing.
#ifndef JP_DISCOVER_H
#define JP_DISCOVER_H

#include "board.h"
#include "config.h"
#include "run.h"

#define JP_PROBLEMS_MAX 24
#define JP_ASKED_MAX 48

struct jp_problem {
    char what[160], where[160], remedy[200];
};

// One open driver instance.
struct jp_source {
    const struct jp_driver *driver;
    void *state;
    struct jp_found found;
    int count;                    // channels of the driver, gauges included
    int channel[JP_CHANNELS_MAX]; // per driver channel: index into run.channels, or -1
    int gauge[JP_CHANNELS_MAX];   // per driver channel: index into run.gauges, or -1
    struct jp_channel info[JP_CHANNELS_MAX];
};

// A driver that was asked, and how much was there (jp_discover_here).
struct jp_asked {
    const struct jp_driver *driver;
    int found;
};

struct jp_plan {
    struct jp_run run;     // id and boot are filled too
    struct jp_board board; // the profile that applied
    struct jp_source sources[JP_SOURCES_MAX];
    int source_count;
    int64_t range_uj[JP_CHANNELS_MAX]; // ENERGY channels: wrap range, 0 unknown
    int64_t tdp_mw[JP_CHANNELS_MAX];   // modelled CPU: its TDP, else 0
    int power_mode;                    // the number of the one in run.facts, -1 unknown
    int profile[JP_CHANNELS_MAX];      // run channel: index into board.channels, -1 none
    int watched[JP_GAUGES_MAX];        // gauge with an event: the run channel that it watches, -1 none
    struct jp_problem problems[JP_PROBLEMS_MAX];
    int problem_count;
    const char *drivers_used[JP_SOURCES_MAX];
    int driver_count;                    // distinct names
    struct jp_asked asked[JP_ASKED_MAX]; // those that measure
    int asked_count;
};

// What discovery starts from. Everything is borrowed.
struct jp_discovery {
    const struct jp_site *site;
    const struct jp_config *config;
    uint64_t run_id;
    const struct jp_driver *const *drivers; // NULL-terminated; the program's own list is jp_drivers
    void (*went_on)(void);                  // called with each sensor opened or given up; may be NULL
};

// As jp_discover, with the drivers named, and without a look at the machine beside its sensors (diagnose.h).
int jp_discover_with(const struct jp_discovery *how, struct jp_plan *plan, char *error, size_t error_size);

// Looks at the site and opens what is there, as `config` allows. The plan is large: allocate it.
// Always succeeds unless memory runs out or a file of board.dir is wrong (-EINVAL, error filled); what is
// missing is a problem with its remedy. `run_id` names the run.
int jp_discover(const struct jp_site *site, const struct jp_config *config, uint64_t run_id, struct jp_plan *plan,
                char *error, size_t error_size);

// How much of a driver's is here, `probed` being what its probe() gave: more than before, and another discovery may
// open more.
int jp_discover_here(const struct jp_site *site, const struct jp_plan *plan, const struct jp_driver *driver,
                     int probed);

// Closes all sources.
void jp_plan_close(struct jp_plan *plan);

// Adds a problem; one too many is left out.
void jp_plan_problem(struct jp_plan *plan, const char *what, const char *where, const char *remedy);

// The device part of every topic: device.name, else 16 hex digits of SHA-256 over /etc/machine-id (unless it is
// empty or "uninitialized") and the device tree's serial number (images are cloned), else over the smallest address
// that a network card was made with, else over this host's name, which another may share. Reads only what everybody
// may read, so that meter and post, which run as two users, agree: no serial number of DMI. 0; 1 when only the host's
// name was there; -ENOENT when nothing is.
int jp_device_name(const struct jp_site *site, const struct jp_config *config, char *out, size_t size);

// The kernel's boot id, "" where it cannot be read.
void jp_boot_id(char out[37]);

#endif
