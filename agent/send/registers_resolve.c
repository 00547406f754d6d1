// SPDX-License-Identifier: Apache-2.0
// The registers against what subscribers saw last.
#include "registers_resolve.h"

#include <string.h>

struct weighing {
    struct jp_registers *registers;
    const struct jp_retained *retained;
    const struct jp_resolve_rules *rules;
    bool present;    // the retained one is of the present run
    bool more;       // a value is higher than ours was then
    bool above;      // a value is higher than ours now
    bool impossible; // more than can have been used since
};

static double max_uw(const struct jp_run_channel *channel)
{
    return (double)(channel->max_uw > 0 ? channel->max_uw : JP_PACKAGE_MAX_UW);
}

static double max_uw_of(const struct jp_run *run, const char *name)
{
    for (int c = 0; c < run->channel_count; c++)
        if (strcmp(run->channels[c].name, name) == 0)
            return max_uw(&run->channels[c]);
    return (double)JP_PACKAGE_MAX_UW;
}

static double total_max_uw(const struct jp_run *run)
{
    double sum = 0;

    for (int c = 0; run->total_known && c < run->channel_count; c++)
        if (run->channels[c].in_total)
            sum += max_uw(&run->channels[c]);
    return sum > 0 ? sum : (double)JP_PACKAGE_MAX_UW;
}

// The most in mJ: uW x ms are 1e-6 mJ.
static double possible_mj(const struct weighing *w, double power_uw)
{
    return power_uw * (double)w->rules->missing_ms / 1e6;
}

// What we have of the time up to the retained value, which a run after it is no part of.
static int64_t held_mj(const struct weighing *w, const struct jp_register *one)
{
    return w->present ? one->shown_mj : one->begun_mj;
}

static void weigh_one(struct weighing *w, const struct jp_register *one, int64_t mj, double power_uw)
{
    int64_t held = held_mj(w, one);

    w->above |= mj > one->shown_mj;
    if (mj <= held)
        return;
    w->more = true;
    w->impossible |= (double)(mj - (w->rules->have_record ? held : 0)) > possible_mj(w, power_uw);
}

// Two sums of the same windows may differ by their rounding.
static void weigh_emissions(struct weighing *w)
{
    const struct jp_registers *registers = w->registers;
    double pue = registers->pue > 1 ? registers->pue : 1;
    double excess = (double)w->retained->emissions_ug - registers->emissions_ug;
    double most_mj = possible_mj(w, total_max_uw(w->rules->run)) + (double)registers->unpriced_mj;

    if (!w->retained->emissions_known || excess <= 1)
        return;
    w->above = w->more = true;
    w->impossible |= excess > most_mj * pue * JP_FACTOR_MAX_G_PER_KWH / 3600.0;
}

static void weigh(struct weighing *w)
{
    static const struct jp_register none;

    for (int i = 0; i < w->retained->count; i++) {
        const struct jp_retained_register *seen = &w->retained->channels[i];
        int at = jp_registers_find(w->registers, seen->name);

        weigh_one(w, at < 0 ? &none : &w->registers->channels[at], seen->mj, max_uw_of(w->rules->run, seen->name));
    }
    if (w->retained->total_known)
        weigh_one(w, &w->registers->total, w->retained->total_mj, total_max_uw(w->rules->run));
    weigh_emissions(w);
}

// A value of the present run moves the base only once its window was counted: else that window would count twice.
static void adopt_one(const struct weighing *w, struct jp_register *one, int64_t mj)
{
    bool counted = w->registers->any && w->retained->seq <= w->registers->seq;

    if (mj <= held_mj(w, one))
        return;
    if (!w->present)
        one->base_mj = one->begun_mj = mj;
    else if (counted)
        one->base_mj = mj - one->run_mj;
    one->known = true;
    if (one->shown_mj < mj)
        one->shown_mj = mj;
    if (one->shown_mj < one->base_mj + one->run_mj)
        one->shown_mj = one->base_mj + one->run_mj;
}

// The retained grams hold all energy up to the retained total, whatever its factors were.
static void adopt_emissions(const struct weighing *w, int64_t before_mj)
{
    struct jp_registers *registers = w->registers;
    int64_t since_mj = w->retained->total_known ? registers->total.shown_mj - w->retained->total_mj : 0;
    double seen_ug = (double)w->retained->emissions_ug;

    if (!w->retained->emissions_known) {
        registers->unpriced_mj += registers->priced ? 0 : registers->total.shown_mj - before_mj;
        registers->emissions_ug += jp_registers_ug(registers, registers->total.shown_mj - before_mj);
        return;
    }
    seen_ug += jp_registers_ug(registers, since_mj);
    if (seen_ug <= registers->emissions_ug)
        return;
    registers->emissions_ug = seen_ug;
    registers->unpriced_mj = registers->priced ? 0 : since_mj;
}

static void adopt(const struct weighing *w)
{
    int64_t before_mj = w->registers->total.shown_mj;

    for (int i = 0; i < w->retained->count; i++) {
        int at = jp_registers_add(w->registers, w->retained->channels[i].name);

        if (at >= 0)
            adopt_one(w, &w->registers->channels[at], w->retained->channels[i].mj);
    }
    if (w->retained->total_known)
        adopt_one(w, &w->registers->total, w->retained->total_mj);
    adopt_emissions(w, before_mj);
}

static enum jp_resolution resolve_record(struct weighing *w)
{
    struct jp_registers *registers = w->registers;
    bool exact = registers->final || !registers->published;

    if (!w->retained)
        return exact ? JP_RESOLUTION_CONFIRMED : JP_RESOLUTION_NEW_UNPROVED;
    if (w->retained->id != registers->id)
        return exact ? JP_RESOLUTION_KEPT : JP_RESOLUTION_NEW_FOREIGN;
    weigh(w);
    if (w->more && w->rules->may_adopt && !w->impossible) {
        adopt(w);
        return JP_RESOLUTION_ADOPTED;
    }
    if (w->above)
        return JP_RESOLUTION_NEW_HIGHER;
    if (w->retained->emissions_known && registers->emissions_ug < (double)w->retained->emissions_ug)
        registers->emissions_ug = (double)w->retained->emissions_ug;
    return JP_RESOLUTION_CONFIRMED;
}

static enum jp_resolution resolve_without(struct weighing *w)
{
    if (!w->retained)
        return JP_RESOLUTION_FRESH;
    weigh(w);
    if (!w->rules->may_adopt || w->impossible)
        return JP_RESOLUTION_NEW_LOST;
    adopt(w);
    w->registers->id = w->retained->id;
    return JP_RESOLUTION_ADOPTED_ID;
}

enum jp_resolution jp_registers_resolve(struct jp_registers *registers, const struct jp_retained *retained,
                                        const struct jp_resolve_rules *rules)
{
    struct weighing w = {
        .registers = registers,
        .retained = retained,
        .rules = rules,
        .present = retained && retained->run == registers->run,
        .impossible = rules->missing_ms < 0,
    };
    enum jp_resolution resolution = rules->have_record ? resolve_record(&w) : resolve_without(&w);

    if (resolution >= JP_RESOLUTION_NEW_UNPROVED)
        registers->id = rules->new_id;
    registers->final = registers->published = true;
    return resolution;
}

static const struct {
    const char *text;
    bool conflict;
} resolutions[] = {
    [JP_RESOLUTION_CONFIRMED] = {"the registers go on", false},
    [JP_RESOLUTION_ADOPTED] = {"the registers go on from what the broker kept", false},
    [JP_RESOLUTION_ADOPTED_ID] = {"the registers were lost and go on from what the broker kept", false},
    [JP_RESOLUTION_FRESH] = {"the registers begin", false},
    [JP_RESOLUTION_KEPT] = {"the broker kept another register_id, ours stays", true},
    [JP_RESOLUTION_NEW_UNPROVED] = {"a new register_id: nothing tells what was published last", false},
    [JP_RESOLUTION_NEW_HIGHER] = {"a new register_id: the broker kept higher values that may not be adopted", true},
    [JP_RESOLUTION_NEW_FOREIGN] = {"a new register_id: the broker kept another one, and ours is not exact", true},
    [JP_RESOLUTION_NEW_LOST] = {"a new register_id: the registers were lost, and what the broker kept may not be "
                                "adopted",
                                true},
};
_Static_assert(sizeof resolutions / sizeof *resolutions == JP_RESOLUTION_COUNT, "each has its words");

const char *jp_resolution_text(enum jp_resolution resolution)
{
    return resolutions[resolution].text;
}

bool jp_resolution_is_conflict(enum jp_resolution resolution)
{
    return resolutions[resolution].conflict;
}
