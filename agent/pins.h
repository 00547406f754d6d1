// SPDX-License-Identifier: Apache-2.0
// What GPIO lines do for meter: a marker's edges start and stop a task, an alert is an event, an LED shows how it is.
//
// Edges carry the kernel's time and are written as they come, a bounded number a wake-up. An edge that no event tells
// (lost by the kernel, too many, no room in the hot spool) is counted in the next event of its line. A line that
// is missing, held by another or gone is tried again every few seconds. Opening a line allocates (libgpiod, the list of
// /dev); nothing else here does.
#ifndef JP_PINS_H
#define JP_PINS_H

#include "config.h"
#include "discover.h"
#include "gpio.h"
#include "record.h"
#include "sampler.h"

#include <poll.h>

#define JP_PINS_NO_GPIO "there is no GPIO below --root"

#define JP_PINS_HEARD_MAX 512

enum jp_pin_use { JP_PIN_MARKER, JP_PIN_ALERT, JP_PIN_LED };

struct jp_pin {
    const struct jp_gpio *config; // borrowed
    enum jp_pin_use use;
    struct jp_gpio_line line;
    bool open;
    int error;          // errno of why it is not, as told last
    bool on, told;      // the level as last heard; what events say
    const char *by;     // "edge", or "level": found so, the edge was not seen
    int64_t changed_ms; // BOOTTIME of when it became so
    int64_t began_ms;   // ALERT: of the first pulse
    int64_t opened_ns;  // BOOTTIME: edges before are in the level that was found
    bool doubted;       // the level was not what the edges say at the last look
    unsigned missed;    // MARKER: edges without an event since the last event
    unsigned pulses;    // ALERT: how often it came on since it was off for good
    int room;           // how many more edges are read before the line has to wait
};

// An edge that was taken from the kernel and is not told yet.
struct jp_pin_heard {
    int64_t at_ns; // BOOTTIME
    unsigned lost;
    int16_t pin;
    bool on;
};

// What the top may want to say, on edges.
struct jp_pin_note {
    enum { JP_PIN_FAILING, JP_PIN_BACK, JP_PIN_NOISY } what;
    const struct jp_pin *pin; // FAILING: its error, and line.user
};

struct jp_pins {
    // Set before jp_pins_open; borrowed.
    const struct jp_gpio_door *door;
    const struct jp_clock *clock;
    void (*note)(const struct jp_pin_note *note);
    // Set before jp_pins_begin; borrowed.
    struct jp_record *record;
    const struct jp_sampler *sampler;
    // State.
    struct jp_pin list[JP_GPIO_MAX];
    int count;
    struct jp_pin_heard heard[JP_PINS_HEARD_MAX]; // a ring
    int heard_first, heard_count;
    int64_t tell_ns;         // MONOTONIC: not before, more may come
    bool told;               // events were written, and post is to be woken
    int polled[JP_GPIO_MAX]; // index of each descriptor of the last jp_pins_poll
    unsigned turn;           // which is served first
    unsigned looked;         // lines looked at so far
    int64_t look_ns;         // MONOTONIC of the next look
    int64_t room_ns;         // MONOTONIC of the last refill
};

// Opens the lines of the configuration, as whoever may. What cannot be opened is noted, and tried again later.
void jp_pins_open(struct jp_pins *pins, const struct jp_config *config);
// The record is open: tells what is on already.
void jp_pins_begin(struct jp_pins *pins);
// Fills `fds` (room for JP_GPIO_MAX) for the next wait; returns how many.
unsigned jp_pins_poll(struct jp_pins *pins, struct pollfd *fds);
// Takes what the wait found ready, and tells a bounded number of edges once no more follow.
void jp_pins_serve(struct jp_pins *pins, const struct pollfd *fds, unsigned count);
// MONOTONIC: when the next wait has to end to tell what was taken; INT64_MAX: nothing was.
int64_t jp_pins_next(const struct jp_pins *pins);
// Once a window: what waits, and every few seconds a look at all lines. An LED is on while `well`.
void jp_pins_border(struct jp_pins *pins, bool well);
// LEDs go off; all lines are released.
void jp_pins_close(struct jp_pins *pins);

// The task of a marker that is on, "" none; whether a marker has that task.
const char *jp_pins_task(const struct jp_pins *pins);
bool jp_pins_marks(const struct jp_pins *pins, const char *task);

// What stands in the way of a line, for people: errno of open(), and who holds it.
void jp_pins_problem(const struct jp_gpio *config, int error, const char *user, struct jp_problem *problem);
// Adds a problem for each line that meter could not use. Takes no line.
void jp_pins_diagnose(struct jp_plan *plan, const struct jp_site *site, const struct jp_config *config,
                      const struct jp_gpio_door *door);

#endif
