// SPDX-License-Identifier: Apache-2.0
// A captured trace as a machine: the small files that its header keeps, for the site door.
//
//   file /proc/device-tree/compatible nvidia,p3737-0000+p3701-0000\0nvidia,tegra234\0
#ifndef JP_TRACE_FILES_H
#define JP_TRACE_FILES_H

#include <stdbool.h>

// Whether it is a regular file that begins as a trace of any version does. False also where it cannot be read.
bool jp_trace_begins(const char *trace);

// Opens what the trace has for a path: its header's text, or the trace itself for JP_REPLAY_PATH. A descriptor to
// read from, close-on-exec, or -errno; -ENOENT for what it does not have.
int jp_trace_open(const char *trace, const char *path);

// Calls each(context, name) for what the trace has directly below a path, as jp_site_list does. -ENOENT for nothing.
int jp_trace_list(const char *trace, const char *path, int (*each)(void *context, const char *name), void *context);

#endif
