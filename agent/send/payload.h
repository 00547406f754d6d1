// SPDX-License-Identifier: Apache-2.0
// What each leaf carries. `records` without allocation in CBOR; JSON is built with jansson.
//
// A function that writes returns the size, -EMSGSIZE when the buffer is too small, -ENOMEM. JSON texts are
// not NUL-terminated. docs/mqtt.md shows an example of each.
#ifndef JP_PAYLOAD_H
#define JP_PAYLOAD_H

#include "block.h"
#include "clock.h"
#include "grid.h"
#include "registers.h"
#include "run.h"
#include "window.h"

#include <jansson.h>

// REALTIME before this was never set by anybody: seconds since 1970 of the build.
extern const int64_t jp_payload_build_s;

// What all windows of one message share.
struct jp_records_head {
    const char *device, *boot;
    bool off_known;
    int64_t off_ms; // REALTIME - BOOTTIME
    enum jp_clock_state clock;
    int64_t err_ms; // -1 unknown
    struct jp_factor factor;
    double pue;
    int64_t since_s; // a clock that stands before this was never set; 0: the build date
};

// Wall time in ms of a moment of BOOTTIME. False: unknown, or before since_s.
bool jp_records_t_ms(const struct jp_records_head *head, int64_t boot_ms, int64_t *t_ms);

// `records` as CBOR: this map, then blocks as they are.
int jp_payload_head(const struct jp_records_head *head, void *buffer, size_t size);

// `records` as JSON: one array, windows added until the buffer is full or `most` are in it.
struct jp_payload_windows {
    char *buffer;
    size_t size, used;
    int count, most;
};

// Without a bound on their number.
void jp_payload_windows_begin(struct jp_payload_windows *array, char *buffer, size_t size);
// Adds the windows of an encoded block from index `from` on. The index of the first that found no room,
// or the block's count; -EBADMSG for a damaged block, -ENOMEM.
int jp_payload_windows_add(struct jp_payload_windows *array, const struct jp_records_head *head, const void *block,
                           size_t size, int from);
// Closes the array. Its size.
int jp_payload_windows_end(struct jp_payload_windows *array);

struct jp_live {
    const struct jp_records_head *head;
    const struct jp_run *run;
    const struct jp_window *window; // the last closed
    const struct jp_registers *registers;
};
int jp_payload_live(const struct jp_live *live, char *buffer, size_t size);

struct jp_lost {
    const char *reason; // NULL: unused
    uint64_t windows;
    int64_t ms, mj;
    bool mj_known;
};

#define JP_DEGRADED_MAX 8
#define JP_LOST_MAX 6

struct jp_status {
    const char *clock;
    uint64_t pending_windows;
    int64_t pending_bytes;
    struct jp_lost lost[JP_LOST_MAX];
    double loss_window_s;
    uint64_t refused;                      // records the broker does not take now
    const char *degraded[JP_DEGRADED_MAX]; // NULL ends
    double cpu_s;
    int64_t rss_kb, flash_bytes;
};
json_t *jp_status_json(const struct jp_status *status);
int jp_payload_status(const struct jp_status *status, char *buffer, size_t size);

int jp_payload_event(const struct jp_records_head *head, const struct jp_event *event, char *buffer, size_t size);
// `run` names the channels of a gap that does not.
int jp_payload_gap(const struct jp_records_head *head, const struct jp_run *run, const struct jp_gap *gap, char *buffer,
                   size_t size);

// The will and the clean goodbye.
#define JP_PAYLOAD_OFFLINE "{\"state\":\"offline\"}"

#endif
