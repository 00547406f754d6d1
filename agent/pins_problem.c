// SPDX-License-Identifier: Apache-2.0
// What stands in the way of a GPIO line, and what helps.
#include "pins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct reason {
    int error;
    const char *what, *remedy;
} reasons[] = {
    {ENODEV, "no such GPIO chip",
     "`gpiodetect` lists chips and labels; one whose driver comes late is taken when it is here"},
    {ENOTUNIQ, "several GPIO chips have this label", "name the chip by its device, such as gpiochip1"},
    {ENOENT, "the GPIO chip has no line of this name", "`gpioinfo CHIP` lists its lines"},
    {ERANGE, "this line lies beyond the end of the GPIO chip", "`gpioinfo CHIP` lists its lines"},
    {EBUSY, "the GPIO line is in use", "stop what holds it (`gpioinfo` names it), or take another line"},
    {ENXIO, "this GPIO line cannot tell edges: it has no interrupt", "take a line of a chip with interrupts"},
    {EACCES, "permission denied for the GPIO chip",
     "let the service's user open /dev/gpiochip* (docs/operating.md, GPIO lines)"},
    {EPERM, "permission denied for the GPIO chip",
     "let the service's unit open /dev/gpiochip* (docs/operating.md, GPIO lines)"},
};

void jp_pins_problem(const struct jp_gpio *config, int error, const char *user, struct jp_problem *problem)
{
    const struct reason *reason = NULL;

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].error == error)
            reason = &reasons[i];
    snprintf(problem->where, sizeof problem->where, "gpio, %s: chip %s, line %s", config->use, config->chip,
             config->line);
    snprintf(problem->what, sizeof problem->what, "%s%s%s",
             reason ? reason->what : "the GPIO line cannot be used: ", reason ? "" : strerror(error), "");
    if (error == EBUSY)
        snprintf(problem->what, sizeof problem->what, "%s by %s", reason->what, user);
    snprintf(problem->remedy, sizeof problem->remedy, "%s", reason ? reason->remedy : "see `dmesg`");
}

void jp_pins_diagnose(struct jp_plan *plan, const struct jp_site *site, const struct jp_config *config,
                      const struct jp_gpio_door *door)
{
    struct jp_problem problem;
    struct jp_gpio_line line;

    if (config->gpio_count > 0 && site->root[0]) {
        jp_plan_problem(plan, JP_PINS_NO_GPIO, "gpio", "run it without --root for markers, alerts and the LED");
        return;
    }
    for (int i = 0; i < config->gpio_count; i++) {
        const struct jp_gpio *gpio = &config->gpio[i];
        const struct jp_gpio_wish wish = {.chip = gpio->chip, .line = gpio->line};
        int rc = door->look(door, &line, &wish);

        if (rc == 0 && (line.user[0] == '\0' || strcmp(line.user, JP_GPIO_USER) == 0)) // the service itself may run
            continue;
        jp_pins_problem(gpio, rc ? -rc : EBUSY, line.user, &problem);
        jp_plan_problem(plan, problem.what, problem.where, problem.remedy);
    }
}
