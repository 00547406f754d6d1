// SPDX-License-Identifier: Apache-2.0
// The meter half: read, integrate, close the window, append. No network, no flash.
#ifndef JP_METERING_H
#define JP_METERING_H

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
    struct jp_plan *plan;              // open sensors (discover.h)
    struct jp_pins *pins;              // open GPIO lines; NULL: none
    const volatile sig_atomic_t *stop; // becomes non-zero: close the window, seal, return
};

// Runs until *stop. 0 after a clean stop, -errno when it cannot run at all (paths.hot unusable).
// Speaks through log.h. Allocates only before the first sample.
int jp_metering_run(const struct jp_metering *metering);

#endif
