// SPDX-License-Identifier: Apache-2.0
// A captured (or made) trace of sensor readings: the text format and its reader. Start-up only.
//
//   joulepost-trace 1
//   # a comment
//   note made from published levels, not captured
//   period_ms 200
//   channel VDD_GPU_SOC power chip=ina3221 address=0x40 index=1 bus=i2c@c240000 shunt=2000
//   channel package-0 energy chip=rapl roles=package scope=package range=262143328850
//   channel gpu_load gauge unit=%
//   rows
//   19000/160 81234567 25000
//   ENODATA   81244567 -
//
// The first line is exactly this. `channel NAME KIND key=value...` in the order of the columns; NAME is the
// kernel's label, "-" for none; KIND is power (uW), energy (uJ) or gauge (thousandths of its unit). Keys:
// chip, address, index (default: the column, from 1), bus, shunt (uOhm), scope (default rail), roles (comma
// separated), part_of, range (uJ), max (uW), resolution (uW), unit. A row has one cell a channel: an integer,
// for a power also mV/mA (the product is the power), "-" (a failed reading, ENODATA) or an errno's name
// (ENODATA, EIO, EAGAIN, ETIMEDOUT, EACCES, ENOENT, ENODEV, ENXIO, EREMOTEIO, EINVAL). A power is at most 1e12 uW,
// any other number at most 9e18.
#ifndef JP_TRACE_H
#define JP_TRACE_H

#include "driver.h"

#define JP_TRACE_CHANNELS_MAX 64
#define JP_TRACE_BYTES_MAX (32 << 20) // a day of ten rails at 2 Hz is half of it
#define JP_TRACE_NOTE_MAX 160

struct jp_trace_cell {
    int64_t value;
    int32_t mv, ma; // INT32_MIN where the trace does not tell both
    int error;      // positive errno: a failed reading
};

struct jp_trace {
    struct jp_channel channels[JP_TRACE_CHANNELS_MAX];
    int count;
    int64_t period_ns;
    int64_t rows;                // at least 1
    struct jp_trace_cell *cells; // row by row; owned, jp_trace_free()
    char note[JP_TRACE_NOTE_MAX];
    int line; // after -EINVAL: where, from 1
};

// Reads a trace below the site's root. 0, or -errno with nothing allocated: -EINVAL for another format (line
// tells where), -EMSGSIZE for one too large.
int jp_trace_load(const struct jp_site *site, const char *path, struct jp_trace *trace);
void jp_trace_free(struct jp_trace *trace);

#endif
