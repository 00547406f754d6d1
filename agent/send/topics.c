// SPDX-License-Identifier: Apache-2.0
// Topic names.
#include "topics.h"

#include <errno.h>
#include <stdio.h>

static const char *const leaves[] = {
    [JP_LEAF_STATUS] = "status", [JP_LEAF_META] = "meta", [JP_LEAF_LIVE] = "live", [JP_LEAF_RECORDS] = "records",
    [JP_LEAF_EVENT] = "event",   [JP_LEAF_GAP] = "gap",   [JP_LEAF_ACK] = "ack",   [JP_LEAF_CMD] = "cmd",
};

static int fits(int n, size_t size)
{
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int jp_topic_leaf(char *out, size_t size, const char *root, const char *device, enum jp_leaf leaf)
{
    return fits(snprintf(out, size, "%s/%s/%s", root, device, leaves[leaf]), size);
}

int jp_topic_grid(char *out, size_t size, const char *root, const char *zone)
{
    return fits(snprintf(out, size, "%s/grid/%s", root, zone), size);
}
