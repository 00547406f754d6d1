// SPDX-License-Identifier: Apache-2.0
// What meter answers on the control socket. No allocation: text is printed into the reply.
#ifndef JP_ANSWERS_H
#define JP_ANSWERS_H

#include "pins.h"
#include "record.h"
#include "sampler.h"

struct jp_answers {
    // Borrowed.
    const struct jp_run *run;
    const struct jp_sampler *sampler;
    struct jp_record *record;
    const struct jp_clock *clock;
    const struct jp_window *window; // the last closed one; span_ms 0 before it
    const struct jp_pins *pins;     // whose markers start and stop tasks of their own; NULL: none
    // State.
    int64_t window_ns;      // MONOTONIC of its closing, of the start before it
    char task[JP_NAME_MAX]; // the one that runs, "" none
};

// The `answer` of struct jp_control; context is a struct jp_answers.
void jp_answers_give(void *context, const char *request, char *reply, size_t size);

// Whether samples and the hot spool are as they should be: nothing would be called degraded.
bool jp_answers_well(const struct jp_answers *answers);

#endif
