// SPDX-License-Identifier: Apache-2.0
// What nvidia-smi prints, a line a GPU: from bytes to rows. Pure.
#ifndef JP_NVIDIA_ROW_H
#define JP_NVIDIA_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The columns of a row, in this order. No name: it may hold commas, and the kernel tells it.
#define JP_NVIDIA_QUERY "index,uuid,power.draw,utilization.gpu,temperature.gpu,clocks.sm"

enum jp_nvidia_field { JP_NVIDIA_POWER, JP_NVIDIA_LOAD, JP_NVIDIA_TEMPERATURE, JP_NVIDIA_CLOCK, JP_NVIDIA_FIELDS };

struct jp_nvidia_row {
    int index;
    char uuid[48];
    int error[JP_NVIDIA_FIELDS];     // positive errno, 0: the value holds. ENODATA: this GPU does not tell it
    int64_t value[JP_NVIDIA_FIELDS]; // uW; thousandths of %, C, MHz
};

// The line going on. Zeroed at the start of a stream.
struct jp_nvidia_text {
    char line[256];
    size_t used;
    bool skip; // until the next end of line: too long, or its begin is lost
};

// Cuts the stream into lines, however it is split, and calls each() for those that are rows. Other lines (words to
// people, a header, garbage) and lines longer than any row are passed over.
void jp_nvidia_rows(struct jp_nvidia_text *text, const char *bytes, size_t count,
                    void (*each)(void *context, const struct jp_nvidia_row *row), void *context);

#endif
