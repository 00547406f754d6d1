// SPDX-License-Identifier: Apache-2.0
// Counts the entries of a few directories, and asks the drivers where there are more than ever before.
#include "arrivals.h"

// Where the sensors of each driver show first. An I2C bus without its device file can be read by nobody.
static const char *const dirs[JP_ARRIVALS_DIRS] = {
    "/sys/class/hwmon",        "/sys/bus/iio/devices", "/sys/class/powercap",
    "/sys/class/power_supply", "/sys/class/i2c-dev",   "/proc/driver/nvidia/gpus",
};

// True: there are more than ever before.
static bool count(struct jp_arrivals *arrivals)
{
    bool more = false;

    for (int i = 0; i < JP_ARRIVALS_DIRS; i++) {
        int entries = jp_site_count(arrivals->site, dirs[i]);

        if (entries <= arrivals->most[i])
            continue;
        arrivals->most[i] = entries;
        more = true;
    }
    return more;
}

void jp_arrivals_begin(struct jp_arrivals *arrivals, const struct jp_site *site)
{
    *arrivals = (struct jp_arrivals){.site = site};
    count(arrivals);
}

bool jp_arrivals_look(struct jp_arrivals *arrivals, const struct jp_plan *plan)
{
    struct jp_found found[JP_SOURCES_MAX];

    if (count(arrivals)) { // the next may follow, and udev still gives rights
        arrivals->pending = true;
        return false;
    }
    if (!arrivals->pending)
        return false;
    arrivals->pending = false;
    for (int i = 0; i < plan->asked_count; i++) {
        const struct jp_driver *driver = plan->asked[i].driver;
        int probed = driver->probe(arrivals->site, found, JP_SOURCES_MAX);

        if (jp_discover_here(arrivals->site, plan, driver, probed) > plan->asked[i].found)
            return true;
    }
    return false;
}
