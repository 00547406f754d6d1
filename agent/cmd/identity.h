// SPDX-License-Identifier: Apache-2.0
// As whom the halves run, and the folders that they own.
#ifndef JP_IDENTITY_H
#define JP_IDENTITY_H

#include "config.h"

#include <stdbool.h>
#include <sys/types.h>

struct jp_identity {
    bool drop; // false: stay who we are
    uid_t uid;
    gid_t gid;
    char name[33];
};

// The user of the configuration, else nobody (a warning is logged). Only root can become another; for others,
// and for user = "root", drop is false. 0, or -ENOENT when there is not even a nobody.
int jp_identity_find(const struct jp_config *config, struct jp_identity *identity);

// Becomes that user for good (groups, gid, uid), and verifies that there is no way back. 0, or -errno.
int jp_identity_drop(const struct jp_identity *identity);

// Makes paths.hot (2770) and, `with_spool`, paths.spool (0750) where they are missing, owned by `identity`. An
// empty folder of root's is handed over too; others are left as they are. meter has no business in the spool.
// Logs one line for what went wrong. 0, or -errno.
int jp_identity_folders(const struct jp_config *config, const struct jp_identity *identity, bool with_spool);

// Whether this process can work in paths.hot and, `with_spool`, in paths.spool; logs one line if not. 0, or -errno.
int jp_identity_can_write(const struct jp_config *config, bool with_spool);

#endif
