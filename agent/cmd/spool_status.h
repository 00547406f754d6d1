// SPDX-License-Identifier: Apache-2.0
// `joulepost spool status`: what a spool holds, in figures.
#ifndef JP_SPOOL_STATUS_H
#define JP_SPOOL_STATUS_H

#include "look.h"

// Reads the spool to its end, prints and closes. The exit status.
int jp_spool_status(struct jp_look *look, bool json);

#endif
