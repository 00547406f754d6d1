// SPDX-License-Identifier: Apache-2.0
// How busy the processors are, and CodeCarbon's models of what processors and memory draw. Computation only.
#ifndef JP_CPU_MODEL_H
#define JP_CPU_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define JP_LOAD_FULL 1000000 // a load in parts per million

// Ticks of all processors together, from the first line of /proc/stat.
struct jp_cpu_ticks {
    uint64_t busy, idle;
};

// Takes "cpu  user nice system idle iowait irq softirq steal guest guest_nice" (the last may be absent).
// iowait is idle; guest is part of user and not counted twice (as psutil's cpu_percent). 0, or -EINVAL.
int jp_cpu_ticks_parse(const char *text, struct jp_cpu_ticks *ticks);

// Load between two readings, made from one descriptor on /proc/stat.
struct jp_cpu_load {
    int fd;
    struct jp_cpu_ticks last;
    int32_t ppm; // the last known load
};

// Takes an open descriptor (not owned) and the first reading: until ticks have passed, the load is the one
// since boot. 0, or -errno.
int jp_cpu_load_start(struct jp_cpu_load *load, int fd);

// The load since the previous call in parts per million; the previous one when no tick has passed or a
// counter went back. One pread. 0, or -errno.
int jp_cpu_load_next(struct jp_cpu_load *load, int32_t *ppm);

// CodeCarbon 3.0.3 and later, cpu_load mode: P = TDP x (0.1 + 0.9 x load^3).
int64_t jp_cpu_model_uw(int64_t tdp_mw, int32_t load_ppm);

// CodeCarbon 3: modules guessed from the size, 5 W a module (x86) or 1.5 W (ARM), less for many, at least 10 W
// or 3 W. `kb` is MemTotal in kB; 0 or less gives the floor.
int64_t jp_ram_model_uw(int64_t kb, bool arm);

#endif
