// SPDX-License-Identifier: Apache-2.0
// Lifetime counters that never go down.
#include "registers.h"

#include "name.h"

#include <errno.h>
#include <string.h>

void jp_registers_init(struct jp_registers *registers, uint64_t id)
{
    memset(registers, 0, sizeof *registers);
    registers->id = id;
}

bool jp_registers_is_name(const char *name)
{
    return jp_name_is_good(name, JP_NAME_MAX) && strcmp(name, "total") != 0;
}

int jp_registers_find(const struct jp_registers *registers, const char *name)
{
    for (int i = 0; i < registers->count; i++)
        if (strcmp(registers->channels[i].name, name) == 0)
            return i;
    return -1;
}

int jp_registers_add(struct jp_registers *registers, const char *name)
{
    int found = jp_registers_find(registers, name);

    if (found >= 0 || registers->count == JP_REGISTERS_MAX)
        return found;
    memcpy(registers->channels[registers->count].name, name, strlen(name) + 1);
    return registers->count++;
}

static void rebase(struct jp_register *one)
{
    one->base_mj += one->run_mj;
    one->run_mj = 0;
    one->begun_mj = one->shown_mj;
}

static bool is_before(const struct jp_registers *registers, uint64_t run)
{
    for (int i = 0; i < registers->before_count; i++)
        if (registers->before[i] == run)
            return true;
    return false;
}

static void end_run(struct jp_registers *registers)
{
    for (int i = 0; i < registers->count; i++)
        rebase(&registers->channels[i]);
    rebase(&registers->total);
    registers->any = false;
    if (registers->run == 0)
        return;
    if (registers->before_count == JP_REGISTERS_RUNS)
        memmove(registers->before, registers->before + 1, sizeof registers->before - sizeof *registers->before);
    else
        registers->before_count++;
    registers->before[registers->before_count - 1] = registers->run;
}

// Post may read windows again that its record has: the hot spool is read from where it was released, and that may be
// runs ago.
void jp_registers_begin(struct jp_registers *registers, const struct jp_run *run)
{
    registers->past = is_before(registers, run->id);
    if (!registers->past && run->id != registers->run) {
        end_run(registers);
        registers->run = run->id;
    }
    registers->of_count = run->channel_count;
    for (int c = 0; c < run->channel_count; c++) {
        registers->of[c] = jp_registers_add(registers, run->channels[c].name);
        registers->in_total[c] = run->total_known && run->channels[c].in_total;
    }
}

static void move(struct jp_register *one, int64_t run_mj, bool known)
{
    one->run_mj = run_mj;
    one->known |= known;
    if (one->base_mj + run_mj > one->shown_mj)
        one->shown_mj = one->base_mj + run_mj;
}

double jp_registers_ug(const struct jp_registers *registers, int64_t mj)
{
    return registers->priced ? (double)mj * registers->pue * registers->g_per_kwh / 3600.0 : 0;
}

static void price(struct jp_registers *registers)
{
    if (!registers->priced || registers->unpriced_mj == 0)
        return;
    registers->emissions_ug += jp_registers_ug(registers, registers->unpriced_mj);
    registers->unpriced_mj = 0;
}

void jp_registers_count(struct jp_registers *registers, const struct jp_window *window)
{
    int64_t total_mj = 0, before_mj = registers->total.shown_mj;
    bool total_known = false;

    if (registers->past || (registers->any && window->seq <= registers->seq))
        return;
    for (int c = 0; c < window->channel_count && c < registers->of_count; c++) {
        const struct jp_window_channel *channel = &window->channels[c];
        bool known = channel->known || channel->run_mj != 0;

        if (registers->of[c] >= 0)
            move(&registers->channels[registers->of[c]], channel->run_mj, known);
        if (registers->in_total[c]) {
            total_mj += channel->run_mj;
            total_known |= known;
        }
    }
    move(&registers->total, total_mj, total_known);
    registers->unpriced_mj += registers->total.shown_mj - before_mj;
    price(registers);
    registers->seq = window->seq;
    registers->any = true;
}

static bool is_sane(const struct jp_window *window)
{
    for (int c = 0; c < window->channel_count; c++)
        if (window->channels[c].run_mj < -JP_ENERGY_MAX_MJ || window->channels[c].run_mj > JP_ENERGY_MAX_MJ)
            return false;
    return true;
}

int jp_registers_prove(struct jp_registers *registers, struct jp_block_reader *block)
{
    struct jp_window window;
    int counted = 0, rc = 0;

    if (registers->run == 0 || block->run != registers->run)
        return 0;
    registers->of_count = block->channel_count;
    for (int c = 0; c < block->channel_count; c++) {
        registers->of[c] = jp_registers_is_name(block->names[c]) ? jp_registers_add(registers, block->names[c]) : -1;
        registers->in_total[c] = block->total_known && block->in_total[c];
    }
    while ((rc = jp_block_next(block, &window)) > 0) {
        if (!is_sane(&window))
            return -EBADMSG;
        counted += !registers->any || window.seq > registers->seq;
        jp_registers_count(registers, &window);
    }
    return rc < 0 ? rc : counted;
}

void jp_registers_price(struct jp_registers *registers, const struct jp_factor *factor, double pue)
{
    registers->priced = factor->known;
    registers->g_per_kwh = factor->g_per_kwh;
    registers->pue = pue;
    price(registers);
}
