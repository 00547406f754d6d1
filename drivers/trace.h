// SPDX-License-Identifier: Apache-2.0
// A captured (or made) trace of sensor readings: the text format and its reader. Start-up only.
//
//   joulepost-trace 2
//   # a comment
//   note captured by joulepost 0.1.0 on 2026-11-20
//   period_ms 200
//   file /proc/device-tree/compatible nvidia,p3737-0000+p3701-0000\0nvidia,tegra234\0
//   source ina3221_hwmon
//   channel VDD_GPU_SOC power chip=ina3221 address=0x40 index=1 bus=i2c@c240000 shunt=2000
//   source rapl_powercap
//   channel package-0 energy chip=rapl roles=package scope=package range=262143328850
//   source gpu_load
//   channel gpu_load gauge unit=%
//   rows
//   0      312,41,18 19000/160 81234567 25000
//   200113 298,40,17 ENODATA   81244567 .
//
// The first line is exactly this. `channel NAME KIND key=value...` in the order of the columns; NAME is the
// kernel's label, "-" for none; KIND is power (uW), energy (uJ) or gauge (thousandths of its unit). Keys:
// chip, address, index (default: the column, from 1), bus, shunt (uOhm), scope (default rail), roles (comma
// separated), part_of, range (uJ), max (uW), resolution (uW), unit, event. `source NAME`: the channels below, up to
// the next one, were read together, by the driver of that name. `file PATH TEXT`: what the machine had there
// (trace_files.h). NAME, TEXT and the keys' texts know the escapes \0 \n \t \\ \xHH.
//
// A row is its time in us, rising, from any beginning; what reading each source cost, us with commas between, "-"
// where it is not known or no source is named; and one cell a channel: an integer, for a power also mV/mA (the
// product is the power) or mV/mA/uW, "." (not read in this row: as in the row before), an errno's name or number
// ("EIO", "E123"), or "-" (ENODATA) for a failed reading. The last row holds for period_ms. A power is at most 1e12
// uW, a time at most 1e13 us, any other number at most 9e18.
//
// Version 1 begins with "joulepost-trace 1"; its rows have neither time nor costs and follow each other at period_ms.
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
    bool held;      // not read in this row: all is of the row before
};

struct jp_trace {
    struct jp_channel channels[JP_TRACE_CHANNELS_MAX];
    int count;
    int version, sources; // how many `source` lines
    int64_t period_ns;
    int64_t rows;                // at least 1
    int64_t *times_ns;           // of each row since the first, rising; owned, jp_trace_free()
    int64_t length_ns;           // once through: the last row holds for a period
    struct jp_trace_cell *cells; // row by row; owned, jp_trace_free()
    int64_t room, first_us;      // of the reader: rows that fit, the first one's time
    char note[JP_TRACE_NOTE_MAX];
    int line;         // after -EINVAL: where, from 1
    const char *what; // and what is expected there
};

// Reads a trace below the site's root. 0, or -errno with nothing allocated: -EINVAL for another format (line and what
// tell), -EMSGSIZE for one too large.
int jp_trace_load(const struct jp_site *site, const char *path, struct jp_trace *trace);
void jp_trace_free(struct jp_trace *trace);

#endif
