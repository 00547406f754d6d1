// SPDX-License-Identifier: Apache-2.0
// The post half: peek, pack, publish, acknowledged, release. No sensors, no capability.
#ifndef JP_POSTING_H
#define JP_POSTING_H

#include "clock.h"
#include "config.h"
#include "entropy.h"
#include "fs.h"
#include "link.h"

#include <signal.h>

// post.json in paths.hot, written at least every 115 s: an older one belongs to a post that is dead or stuck.
#define JP_POSTING_OLD_MS 120000

struct jp_posting {
    const struct jp_clock *clock;
    const struct jp_fs *fs;
    const struct jp_entropy *entropy;
    const struct jp_config *config;
    const char *device;                // the device part of every topic
    const char *boot;                  // the kernel's boot id, "" unknown
    struct jp_link *link;              // NULL: a logger, nothing is published
    const volatile sig_atomic_t *stop; // becomes non-zero: publish what is closed, then offline, return
};

// The link's configuration that posting needs (topics of will and subscriptions), texts kept in `store`.
struct jp_posting_topics {
    char will_topic[JP_TOPIC_MAX];
    char subscriptions[JP_LINK_SUBSCRIPTIONS_MAX][JP_TOPIC_MAX];
    char client_id[JP_TOPIC_MAX + sizeof "joulepost-"];
    char password[256];
};
void jp_posting_link_config(const struct jp_config *config, const char *device, struct jp_posting_topics *store,
                            struct jp_link_config *out);

// Runs until *stop, then at most 10 s more. 0, or -errno when it cannot run at all. Stops the link.
int jp_posting_run(const struct jp_posting *posting);

#endif
