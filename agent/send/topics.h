// SPDX-License-Identifier: Apache-2.0
// Topic names: <root>/<device>/<leaf> and <root>/grid/<zone>.
#ifndef JP_TOPICS_H
#define JP_TOPICS_H

#include "limits.h"

#include <stddef.h>

enum jp_leaf {
    JP_LEAF_STATUS,
    JP_LEAF_META,
    JP_LEAF_LIVE,
    JP_LEAF_RECORDS,
    JP_LEAF_EVENT,
    JP_LEAF_GAP,
    JP_LEAF_ACK,
    JP_LEAF_CMD,
};

// Writes the topic (JP_TOPIC_MAX is always enough for a configured root). 0, or -ENAMETOOLONG.
int jp_topic_leaf(char *out, size_t size, const char *root, const char *device, enum jp_leaf leaf);
int jp_topic_grid(char *out, size_t size, const char *root, const char *zone);

#endif
