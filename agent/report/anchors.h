// SPDX-License-Identifier: Apache-2.0
// When a moment of BOOTTIME was: the ANCHORs of every boot of a spool, and the nearest one.
#ifndef JP_ANCHORS_H
#define JP_ANCHORS_H

#include "window.h"

#define JP_ANCHORS_MAX 262144 // later ones are not used: 10 MB, one for each half minute of three months

struct jp_anchor_row {
    int64_t boot_ms, off_ms;
    int32_t boot;          // index of the boot
    int8_t clock;          // enum jp_clock_state
    bool stated;           // an ANCHOR, not a segment's header
    int32_t before, after; // nearest rows of the boot that are not unsynced, this one included; -1 none
};

struct jp_anchors {
    struct jp_anchor_row *rows;
    size_t count, room;
    char (*boots)[37];
    size_t boot_count, boot_room;
};

// The index of a boot id, made when it is new. -ENOMEM.
int jp_anchors_boot(struct jp_anchors *anchors, const char *boot);
// Adds what is known of a boot; `stated` as above: headers count only for a boot without ANCHORs. 0, or -ENOMEM.
int jp_anchors_add(struct jp_anchors *anchors, int boot, const struct jp_anchor *anchor, bool stated);
// No more come.
void jp_anchors_ready(struct jp_anchors *anchors);
// REALTIME - BOOTTIME at a moment of a boot, and how it is known: as the kernel said it then, repaired from a
// better anchor of the same boot (ESTIMATED), or unsynced. False: nothing is known of this boot.
bool jp_anchors_find(const struct jp_anchors *anchors, int boot, int64_t boot_ms, int64_t *off_ms, int *clock);
void jp_anchors_free(struct jp_anchors *anchors);

#endif
