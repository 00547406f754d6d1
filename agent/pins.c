// SPDX-License-Identifier: Apache-2.0
// Edges become events.
#include "pins.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS (5 * JP_NS_PER_S)
#define SLOW_NS (10 * JP_NS_PER_MS) // a line that takes longer is looked at less often: 1 % of the time at most
#define QUIET_MS 5000               // as alarms.c
#define MORE_NS (2 * JP_NS_PER_MS)  // an edge that follows so soon is of the same burst
#define BATCH 16                    // edges told a wake-up, each may be a frame of the hot spool
// A line that flutters must neither fill the spool nor take the processor: 1024 edges at once, then 4 a second.
#define ROOM 1024
#define ROOM_EVERY_NS (JP_NS_PER_S / 4)

static void note(const struct jp_pins *pins, const struct jp_pin *pin, int what)
{
    const struct jp_pin_note said = {.what = what, .pin = pin};

    if (pins->note)
        pins->note(&said);
}

static int64_t boot_ms(const struct jp_pins *pins)
{
    return pins->clock->boot_ns(pins->clock) / JP_NS_PER_MS;
}

// The kernel's time as BOOTTIME. Its clock is MONOTONIC since Linux 5.7 and REALTIME before: the one it is nearer to,
// as a fresh edge is milliseconds old. A suspend or a step of REALTIME between edge and now shifts it.
static int64_t edge_boot_ns(const struct jp_pins *pins, int64_t t_ns)
{
    const struct jp_clock *clock = pins->clock;
    int64_t ago = clock->mono_ns(clock) - t_ns, ago_real = clock->real_ns(clock) - t_ns;

    if (llabs(ago_real) < llabs(ago))
        ago = ago_real;
    return clock->boot_ns(clock) - (ago > 0 ? ago : 0);
}

// The window that a moment lies in. The one going on closes at the last border that has passed.
static uint64_t window_of(const struct jp_pins *pins, int64_t at_ms)
{
    const struct jp_sampler *sampler = pins->sampler;
    int64_t window_ms = sampler->run->window_ms, passed = (boot_ms(pins) - sampler->t0_ms) / window_ms;

    if (at_ms < sampler->t0_ms)
        return sampler->seq > 0 ? sampler->seq - 1 : 0;
    return sampler->seq + (passed > 0 && at_ms >= sampler->t0_ms + passed * window_ms);
}

// Telling -------------------------------------------------------------------------------------------
static int tell(struct jp_pins *pins, int64_t at_ms, struct jp_event *event)
{
    int rc;

    event->boot_ms = at_ms;
    rc = jp_record_event_at(pins->record, event);
    pins->told |= rc == 0;
    return rc;
}

static void tell_marker(struct jp_pins *pins, struct jp_pin *pin)
{
    struct jp_event event = {.kind = "task"};

    snprintf(event.detail, sizeof event.detail,
             "{\"action\":\"%s\",\"name\":\"%s\",\"seq\":%" PRIu64 ",\"by\":\"%s\",\"missed\":%u}",
             pin->on ? "start" : "stop", pin->config->task, window_of(pins, pin->changed_ms), pin->by, pin->missed / 2);
    if (tell(pins, pin->changed_ms, &event))
        return;
    pin->told = pin->on;
    pin->missed = 0;
}

static void tell_alert(struct jp_pins *pins, struct jp_pin *pin, bool on)
{
    struct jp_event event = {.kind = "over_current"};

    if (on)
        snprintf(event.detail, sizeof event.detail, "{\"line\":\"%s %s\",\"state\":\"on\"}", pin->config->chip,
                 pin->config->line);
    else
        snprintf(event.detail, sizeof event.detail, "{\"line\":\"%s %s\",\"state\":\"off\",\"pulses\":%u}",
                 pin->config->chip, pin->config->line, pin->pulses);
    if (tell(pins, on ? pin->began_ms : boot_ms(pins), &event))
        return;
    pin->told = on;
    pin->pulses = on ? pin->pulses : 0;
}

// Tells what events do not say yet. An alert that comes and goes is one until it has been quiet for some seconds.
static void settle(struct jp_pins *pins, struct jp_pin *pin)
{
    if (!pins->record)
        return;
    if (pin->use == JP_PIN_MARKER && pin->on != pin->told)
        tell_marker(pins, pin);
    else if (pin->use == JP_PIN_ALERT && !pin->told && pin->pulses > 0)
        tell_alert(pins, pin, true);
    else if (pin->use == JP_PIN_ALERT && pin->told && !pin->on && boot_ms(pins) - pin->changed_ms >= QUIET_MS)
        tell_alert(pins, pin, false);
}

static void wake(struct jp_pins *pins)
{
    if (pins->told)
        jp_record_wake(pins->record);
    pins->told = false;
}

// Hearing -------------------------------------------------------------------------------------------
static void mark(struct jp_pin *pin, bool on)
{
    if (pin->on != pin->told)
        pin->missed += 2; // the edge before could not be told, and this one takes it back
    pin->on = on;
}

static void alert(struct jp_pin *pin, bool on, int64_t at_ms)
{
    // Off after off was a pulse that was over before the kernel looked at the level.
    if ((on || !pin->on) && pin->pulses++ == 0)
        pin->began_ms = at_ms;
    pin->on = on;
}

static void change(struct jp_pins *pins, struct jp_pin *pin, bool on, int64_t at_ms, const char *by)
{
    if (pin->use == JP_PIN_MARKER)
        mark(pin, on);
    else
        alert(pin, on, at_ms);
    pin->changed_ms = at_ms;
    pin->by = by;
    settle(pins, pin);
}

static void hear(struct jp_pins *pins, const struct jp_pin_heard *heard)
{
    struct jp_pin *pin = &pins->list[heard->pin];

    pin->doubted = false;
    if (heard->at_ns < pin->opened_ns)
        return;
    pin->missed += heard->lost;
    if (pin->use == JP_PIN_ALERT)
        pin->pulses += heard->lost / 2;
    else if (heard->on == pin->on) { // one between was lost, or a pulse was over before the kernel looked at the level
        pin->missed += heard->lost > 0 ? 1 : 2;
        return;
    }
    change(pins, pin, heard->on, heard->at_ns / JP_NS_PER_MS, "edge");
}

static void hear_some(struct jp_pins *pins, int max)
{
    for (; pins->heard_count > 0 && max > 0; max--) {
        hear(pins, &pins->heard[pins->heard_first]);
        pins->heard_first = (pins->heard_first + 1) % JP_PINS_HEARD_MAX;
        pins->heard_count--;
    }
}

// Lines come and go -----------------------------------------------------------------------------------
static void try(struct jp_pins *pins, struct jp_pin *pin)
{
    const struct jp_gpio_wish wish = {.chip = pin->config->chip,
                                      .line = pin->config->line,
                                      .output = pin->use == JP_PIN_LED,
                                      .active_low = pin->config->active_low};
    int level = 0, rc = pins->door->open(pins->door, &pin->line, &wish);

    pin->opened_ns = pins->clock->boot_ns(pins->clock);
    if (rc == 0 && pin->use != JP_PIN_LED) {
        level = pins->door->get(&pin->line);
        if (level < 0) {
            pins->door->close(&pin->line);
            rc = level;
        }
    }
    pin->open = rc == 0;
    if (-rc != pin->error) {
        pin->error = -rc;
        note(pins, pin, rc ? JP_PIN_FAILING : JP_PIN_BACK);
    }
    if (pin->use == JP_PIN_LED)
        pin->on = false;
    else if (rc == 0 && (level > 0) != pin->on)
        change(pins, pin, level > 0, boot_ms(pins), "level");
}

static void lose(struct jp_pins *pins, struct jp_pin *pin, int error)
{
    pins->door->close(&pin->line);
    pin->open = false;
    pin->error = error;
    note(pins, pin, JP_PIN_FAILING);
}

static void check(struct jp_pins *pins, struct jp_pin *pin)
{
    int level = pin->use == JP_PIN_LED ? pins->door->set(&pin->line, pin->on) : pins->door->get(&pin->line);

    if (level < 0) {
        lose(pins, pin, -level);
        return;
    }
    if (pin->use == JP_PIN_LED || pin->room == 0)
        return;
    // An edge may be on its way; still so at the next look, it was lost.
    if ((level > 0) == pin->on || !pin->doubted) {
        pin->doubted = (level > 0) != pin->on;
        return;
    }
    pin->doubted = false;
    change(pins, pin, level > 0, boot_ms(pins), "level");
}

// Goes on where the last look stopped: every line has its turn, however slow others are.
static void look(struct jp_pins *pins)
{
    int64_t begun_ns = pins->clock->mono_ns(pins->clock), took_ns = 0;
    int left = pins->count;

    for (; left > 0 && took_ns < SLOW_NS; left--) {
        struct jp_pin *pin = &pins->list[pins->looked++ % (unsigned)pins->count];

        if (pin->open)
            check(pins, pin);
        else
            try(pins, pin);
        took_ns = pins->clock->mono_ns(pins->clock) - begun_ns;
    }
    pins->look_ns = begun_ns + (left > 0 || took_ns > LOOK_NS / 100 ? 100 * took_ns : LOOK_NS);
}

void jp_pins_open(struct jp_pins *pins, const struct jp_config *config)
{
    *pins = (struct jp_pins){.door = pins->door, .clock = pins->clock, .note = pins->note};
    for (; pins->count < config->gpio_count; pins->count++) {
        const struct jp_gpio *gpio = &config->gpio[pins->count];
        struct jp_pin *pin = &pins->list[pins->count];

        pin->config = gpio;
        pin->use = strcmp(gpio->use, "led") == 0     ? JP_PIN_LED
                   : strcmp(gpio->use, "alert") == 0 ? JP_PIN_ALERT
                                                     : JP_PIN_MARKER;
        pin->room = ROOM;
        try(pins, pin);
    }
    pins->look_ns = pins->room_ns = pins->clock->mono_ns(pins->clock);
    pins->look_ns += LOOK_NS;
}

void jp_pins_begin(struct jp_pins *pins)
{
    for (int i = 0; i < pins->count; i++)
        settle(pins, &pins->list[i]);
    wake(pins);
}

// The loop ----------------------------------------------------------------------------------------
unsigned jp_pins_poll(struct jp_pins *pins, struct pollfd *fds)
{
    unsigned count = 0;

    for (int i = 0; i < pins->count; i++) {
        const struct jp_pin *pin = &pins->list[i];

        if (!pin->open || pin->use == JP_PIN_LED || pin->room == 0)
            continue;
        pins->polled[count] = i;
        fds[count++] = (struct pollfd){.fd = pin->line.fd, .events = POLLIN};
    }
    return count;
}

// The kernel's first interface keeps 16 edges of a line: in a burst they are taken first and told when it pauses.
static int take(struct jp_pins *pins, int index, int max)
{
    struct jp_gpio_edge edges[JP_GPIO_EDGES_MAX];
    struct jp_pin *pin = &pins->list[index];
    int count = pins->door->read(&pin->line, edges, max < pin->room ? max : pin->room);

    if (count < 0) {
        lose(pins, pin, -count);
        return 0;
    }
    for (int i = 0; i < count; i++)
        pins->heard[(pins->heard_first + pins->heard_count++) % JP_PINS_HEARD_MAX] =
            (struct jp_pin_heard){edge_boot_ns(pins, edges[i].t_ns), edges[i].lost, (int16_t)index, edges[i].on};
    pin->room -= count;
    if (count > 0 && pin->room == 0)
        note(pins, pin, JP_PIN_NOISY);
    return count;
}

void jp_pins_serve(struct jp_pins *pins, const struct pollfd *fds, unsigned count)
{
    int taken = 0;

    for (unsigned i = 0; i < count; i++) {
        unsigned at = (pins->turn + i) % count;
        int free = JP_PINS_HEARD_MAX - pins->heard_count;

        if (fds[at].revents && free > 0)
            taken += take(pins, pins->polled[at], free);
    }
    pins->turn++;
    if (taken > 0)
        pins->tell_ns = pins->clock->mono_ns(pins->clock) + MORE_NS;
    if (pins->heard_count > JP_PINS_HEARD_MAX / 2 || pins->clock->mono_ns(pins->clock) >= pins->tell_ns)
        hear_some(pins, BATCH);
    wake(pins);
}

int64_t jp_pins_next(const struct jp_pins *pins)
{
    return pins->heard_count > 0 ? pins->tell_ns : INT64_MAX;
}

static void refill(struct jp_pins *pins)
{
    int64_t more = (pins->clock->mono_ns(pins->clock) - pins->room_ns) / ROOM_EVERY_NS;

    pins->room_ns += more * ROOM_EVERY_NS;
    for (int i = 0; i < pins->count; i++)
        pins->list[i].room = more < ROOM - pins->list[i].room ? pins->list[i].room + (int)more : ROOM;
}

void jp_pins_border(struct jp_pins *pins, bool well)
{
    if (pins->count == 0)
        return;
    refill(pins);
    hear_some(pins, BATCH);
    for (int i = 0; i < pins->count; i++) {
        struct jp_pin *pin = &pins->list[i];

        settle(pins, pin);
        if (pin->use != JP_PIN_LED || !pin->open || pin->on == well)
            continue;
        pin->on = well;
        check(pins, pin);
    }
    if (pins->clock->mono_ns(pins->clock) >= pins->look_ns)
        look(pins);
    wake(pins);
}

void jp_pins_close(struct jp_pins *pins)
{
    for (int i = 0; i < pins->count; i++) {
        struct jp_pin *pin = &pins->list[i];

        if (!pin->open)
            continue;
        if (pin->use == JP_PIN_LED)
            pins->door->set(&pin->line, false);
        pins->door->close(&pin->line);
        pin->open = false;
    }
    pins->count = 0;
}

const char *jp_pins_task(const struct jp_pins *pins)
{
    for (int i = 0; i < pins->count; i++)
        if (pins->list[i].use == JP_PIN_MARKER && pins->list[i].told)
            return pins->list[i].config->task;
    return "";
}

bool jp_pins_marks(const struct jp_pins *pins, const char *task)
{
    for (int i = 0; i < pins->count; i++)
        if (pins->list[i].use == JP_PIN_MARKER && strcmp(pins->list[i].config->task, task) == 0)
            return true;
    return false;
}
