// SPDX-License-Identifier: Apache-2.0
// Every bound of the program, each with the arithmetic that makes it safe.
#ifndef JP_LIMITS_H
#define JP_LIMITS_H

// Names ------------------------------------------------------------------------------------------
#define JP_NAME_MAX 33   // a channel, task or gauge name: 32 characters of [A-Za-z0-9_.-] and NUL
#define JP_DEVICE_MAX 65 // the device part of a topic: 64 characters and NUL
#define JP_TEXT_MAX 128  // a model, board or release name shown to people
#define JP_PATH_MAX 512  // a path, root prefix included; longer ones are refused, never cut

// The board --------------------------------------------------------------------------------------
#define JP_CHANNELS_MAX 64 // rails and counters: 8 packages x (package, core, uncore, dram) + 32 rails
#define JP_GAUGES_MAX 48   // 16 temperatures + 7 loads, clocks and throttlings + an alarm for each of 24 rails = 47
#define JP_SOURCES_MAX 32  // open driver instances: one a chip, one a counter group

// Measuring --------------------------------------------------------------------------------------
// |power| up to 1 MW: the trapezoid's sum of two is 2e12 uW; its product with a time is taken in parts
// (seconds, watts, microwatts: at most 2e15 each for up to 1000 s), all below 2^63 (see integrator.c).
#define JP_POWER_MAX_UW 1000000000000LL
// A package without a stated limit is believed up to this, design choice: 1 kW.
#define JP_PACKAGE_MAX_UW 1000000000LL
// |cumulative energy| of one run: 1 MW for 10 years is 3.2e20 uJ and would not fit, 30 kW does.
#define JP_ENERGY_MAX_UJ 9000000000000000000LL
// The same in mJ: what a frame may say of a channel. Sums of 1,000 such stay below 2^63.
#define JP_ENERGY_MAX_MJ 9000000000000000LL
// BOOTTIME and lengths in a frame: 126 years; start + length in ns is at most 8e18, below 2^63.
#define JP_BOOT_MAX_MS 4000000000000LL
// REALTIME - BOOTTIME in a frame: any date a clock can show in ms, and no overflow with a BOOTTIME added.
#define JP_REAL_MAX_MS 9000000000000000LL
#define JP_INTERVAL_MIN_MS 5
#define JP_INTERVAL_MAX_MS 60000
#define JP_WINDOW_MIN_MS 100
#define JP_WINDOW_MAX_MS 600000
#define JP_BLOCK_WINDOWS_MAX 300

// On disk ----------------------------------------------------------------------------------------
#define JP_FRAME_HEAD 16     // array(4), u32 crc, u32 fno, u8 type, bstr16 head: 1+5+5+2+3
#define JP_PAYLOAD_MAX 49152 // under the 65,535 of a bstr16; largest block below
#define JP_HEADER_MAX 512    // a segment's header map
// Nothing is looked for beyond this in a segment: a foreign file costs at most one pass over so much. The
// writer stays below: hot segments end at 4 x 8 MiB + one frame.
#define JP_SEGMENT_MAX 67108864
// Worst WINDOW: 64 channels x (mJ 9 + run 9 + raw 9 + cover 12 + mv, ma, peak 27) + 48 gauges x 9
// + 64 of heads = 4,720 bytes.
#define JP_WINDOW_BYTES_MAX 6144
// Worst BLOCK, 64 channels x 30 windows: e 9, mv 5, ma 5, peak 9, cover 12 bytes each = 76,800, more
// than a payload: the packer then closes a block early, at the last window that fits.
#define JP_BLOCK_BYTES_MAX JP_PAYLOAD_MAX

// On the wire ------------------------------------------------------------------------------------
#define JP_TOPIC_MAX 256
#define JP_MESSAGE_MAX 262144 // largest message we build; a broker's own packet limit may be lower

#endif
