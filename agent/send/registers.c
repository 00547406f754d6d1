// SPDX-License-Identifier: Apache-2.0
// Lifetime counters that never go down.
#include "registers.h"

#include <string.h>

void jp_registers_init(struct jp_registers *registers, uint64_t id)
{
    memset(registers, 0, sizeof *registers);
    registers->id = id;
}

static int find(struct jp_registers *registers, const char *name)
{
    struct jp_register *added;

    for (int i = 0; i < registers->count; i++)
        if (strcmp(registers->channels[i].name, name) == 0)
            return i;
    if (registers->count == JP_REGISTERS_MAX)
        return -1;
    added = &registers->channels[registers->count];
    memcpy(added->name, name, strlen(name) + 1);
    return registers->count++;
}

static void rebase(struct jp_register *one)
{
    one->base_mj += one->run_mj;
    one->run_mj = 0;
}

void jp_registers_begin(struct jp_registers *registers, const struct jp_run *run)
{
    for (int i = 0; i < registers->count; i++)
        rebase(&registers->channels[i]);
    rebase(&registers->total);
    registers->of_count = run->channel_count;
    registers->run = run->id;
    registers->any = false;
    for (int c = 0; c < run->channel_count; c++) {
        registers->of[c] = find(registers, run->channels[c].name);
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

static void price(struct jp_registers *registers)
{
    if (!registers->priced || registers->unpriced_mj == 0)
        return;
    registers->emissions_ug += (double)registers->unpriced_mj * registers->pue * registers->g_per_kwh / 3600.0;
    registers->unpriced_mj = 0;
}

void jp_registers_count(struct jp_registers *registers, const struct jp_window *window)
{
    int64_t total_mj = 0, before_mj = registers->total.shown_mj;
    bool total_known = false;

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

void jp_registers_price(struct jp_registers *registers, const struct jp_factor *factor, double pue)
{
    registers->priced = factor->known;
    registers->g_per_kwh = factor->g_per_kwh;
    registers->pue = pue;
    price(registers);
}
