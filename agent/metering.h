// SPDX-License-Identifier: Apache-2.0
// The meter half: read, integrate, close the window, append. No network, no flash.
#ifndef JP_METERING_H
#define JP_METERING_H

#include "arrivals.h"
#include "clock.h"
#include "config.h"
#include "discover.h"
#include "entropy.h"
#include "fs.h"
#include "pins.h"

#include <signal.h>

// The doors and inputs of a half. Everything is borrowed.
struct jp_metering {
    const struct jp_clock *clock;
    const struct jp_fs *fs;
    const struct jp_entropy *entropy;
    const struct jp_config *config;
    const struct jp_site *site;        // where the power mode is looked at now and then; NULL: it is not
    struct jp_arrivals *arrivals;      // looked at as often; NULL: sensors that come later are not seen
    struct jp_plan *plan;              // open sensors (discover.h)
    bool opens_as_root;                // who starts it again opens the sensors as root, which this process is no more
    struct jp_pins *pins;              // open GPIO lines; NULL: none
    const volatile sig_atomic_t *stop; // becomes non-zero: close the window, seal, return
};

// jp_metering_run: the run is closed as at a stop, and more sensors are here than the plan has, or one that only root
// may open (opens_as_root). Discover, and run again.
#define JP_METERING_MORE 1

// Runs until *stop. 0 after a clean stop, JP_METERING_MORE, or -errno when it cannot run at all (paths.hot unusable).
// Speaks through log.h. Allocates only before the first sample, and where sensors may have come (arrivals.h).
int jp_metering_run(const struct jp_metering *metering);

#endif
