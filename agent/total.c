// SPDX-License-Identifier: Apache-2.0
// The total: named by the profile, or by the counters' own meaning, or none.
#include "total.h"

#include "channels.h"

#include <stdio.h>
#include <string.h>

static int find_label(const struct jp_plan *plan, const char *label)
{
    for (int i = 0; i < plan->run.channel_count; i++)
        if (plan->profile[i] >= 0 && strcmp(plan->board.channels[plan->profile[i]].label, label) == 0)
            return i;
    return -1;
}

static bool by_profile(struct jp_plan *plan, const char (*labels)[33], int count, enum jp_scope scope)
{
    for (int i = 0; i < count; i++)
        if (find_label(plan, labels[i]) < 0)
            return false;
    for (int i = 0; i < count; i++)
        plan->run.channels[find_label(plan, labels[i])].in_total = true;
    plan->run.total_known = count > 0;
    plan->run.total_scope = scope;
    plan->run.total_method = JP_MEASURED;
    return count > 0;
}

// Whether the channel that contains this one has one of these roles.
static bool parent_has(const struct jp_run *run, const struct jp_run_channel *channel, uint32_t roles)
{
    for (int i = 0; i < run->channel_count; i++)
        if (strcmp(run->channels[i].name, channel->part_of) == 0)
            return (run->channels[i].roles & roles) != 0;
    return false;
}

static void by_roles(struct jp_plan *plan, enum jp_method method, uint32_t needed, uint32_t added)
{
    struct jp_run *run = &plan->run;

    for (int i = 0; i < run->channel_count; i++)
        if (run->channels[i].method == method && (run->channels[i].roles & needed))
            run->total_known = true;
    run->total_scope = JP_SCOPE_PACKAGE;
    for (int i = 0; i < run->channel_count && run->total_known; i++) {
        struct jp_run_channel *channel = &run->channels[i];

        channel->in_total = channel->method == method && (channel->roles & (needed | added)) &&
                            !parent_has(run, channel, needed | added);
        if (channel->in_total && channel->scope > run->total_scope)
            run->total_scope = channel->scope;
    }
    run->total_method = method;
}

static bool is_complete(const struct jp_plan *plan)
{
    for (int i = 0; i < plan->board.channel_count; i++)
        if (find_label(plan, plan->board.channels[i].label) < 0)
            return false;
    return true;
}

void jp_total_decide(struct jp_plan *plan)
{
    const struct jp_board *board = &plan->board;
    bool named = board->total_board_count + board->total_module_count > 0;
    uint32_t roles;

    if (!is_complete(plan))
        plan->run.facts.board_verified = false;
    if (jp_channels_measured(plan, &roles) == 0)
        by_roles(plan, JP_MODELLED, JP_ROLE_CPU, JP_ROLE_RAM);
    else if (!named)
        by_roles(plan, JP_MEASURED, JP_ROLE_PACKAGE, JP_ROLE_DRAM);
    else if (!by_profile(plan, board->total_board, board->total_board_count, JP_SCOPE_BOARD))
        by_profile(plan, board->total_module, board->total_module_count, JP_SCOPE_MODULE);
}

static bool named_missing(const struct jp_plan *plan, const char (*labels)[33], int count, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < count && used < size; i++)
        if (find_label(plan, labels[i]) < 0)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", labels[i]);
    return used > 0;
}

void jp_total_reason(const struct jp_plan *plan, char *out, size_t size)
{
    const struct jp_board *board = &plan->board;
    char missing[160];

    if (plan->run.total_known && plan->run.total_method == JP_MODELLED)
        snprintf(out, size, "modelled, as nothing%s is measured", jp_channels_battery(plan) ? " but a battery" : "");
    else if (!plan->run.total_known && board->total_board_count + board->total_module_count == 0)
        snprintf(out, size, "nobody has said which rails make it");
    else if (!plan->run.total_known) {
        if (!named_missing(plan, board->total_module, board->total_module_count, missing, sizeof missing))
            named_missing(plan, board->total_board, board->total_board_count, missing, sizeof missing);
        snprintf(out, size, "missing %s", missing);
    } else if (board->total_board_count + board->total_module_count == 0)
        snprintf(out, size, "the packages, and their memory where it is counted");
    else if (plan->run.total_scope == JP_SCOPE_MODULE &&
             named_missing(plan, board->total_board, board->total_board_count, missing, sizeof missing))
        snprintf(out, size, "the profile's module total; its board total lacks %s", missing);
    else
        snprintf(out, size, "the profile's %s total", jp_scope_name(plan->run.total_scope));
}
