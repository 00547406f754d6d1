// SPDX-License-Identifier: Apache-2.0
// The plan that --check prints: what would be measured, of what worth, and where it would go.
#include "half.h"

#include "cmd.h"
#include "discover.h"
#include "options.h"
#include "pins.h"

#include <stdio.h>
#include <stdlib.h>

static void print_channels(const struct jp_run *run)
{
    printf("# measures: %d channel%s\n", run->channel_count, run->channel_count == 1 ? "" : "s");
    for (int i = 0; i < run->channel_count; i++) {
        const struct jp_run_channel *channel = &run->channels[i];

        printf("#   %s (%s, %s%s%s)%s%s", channel->name, jp_method_name(channel->method), jp_scope_name(channel->scope),
               channel->part_of[0] ? ", part of " : "", channel->part_of, channel->in_total ? ", in the total" : "",
               channel->unverified ? ", unverified" : "");
        if (jp_run_calibrated(channel))
            printf(", calibrated x%.6g %+.6g mW", channel->scale, (double)channel->offset_uw / 1000.0);
        putchar('\n');
    }
    if (run->total_known)
        printf("# total: %s, %s\n", jp_scope_name(run->total_scope), jp_method_name(run->total_method));
    else
        printf("# total: none, nothing here says which channels make it\n");
}

static void print_factor(const struct jp_config *config)
{
    struct jp_factor factor;

    jp_config_factor(config, &factor);
    if (factor.known)
        printf("# emissions: %.10g g/kWh (%s%s%s), pue %.10g\n", factor.g_per_kwh, factor.source,
               factor.valid_from[0] ? ", " : "", factor.valid_from, config->location.pue);
    else if (config->location.country[0])
        printf("# emissions: unknown, the table has no country %s\n", config->location.country);
    else
        printf("# emissions: unknown, no location is configured\n");
}

int jp_half_print_plan(const struct jp_half_setup *setup)
{
    const struct jp_site site = {.root = setup->root};
    const struct jp_config *config = setup->config;
    struct jp_plan *plan = calloc(1, sizeof *plan);
    const char *unused[JP_CONFIG_UNUSED_MAX];
    char error[1024];

    if (!plan) {
        fprintf(stderr, "joulepost: out of memory\n");
        return JP_EXIT_FAILED;
    }
    if (jp_discover(&site, config, 0, plan, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        free(plan);
        return JP_EXIT_CONFIG;
    }
    printf("\n# The plan\n# device: %s\n# board: %s\n", plan->run.device[0] ? plan->run.device : "unknown",
           plan->run.facts.board_id[0] ? plan->run.facts.board_id : "unknown");
    print_channels(&plan->run);
    jp_pins_diagnose(plan, &site, config, &jp_gpio_real);
    for (int i = 0; i < plan->problem_count; i++)
        printf("# problem: %s (%s): %s\n", plan->problems[i].what, plan->problems[i].where, plan->problems[i].remedy);
    for (int i = 0, count = jp_config_unused(config, unused, JP_CONFIG_UNUSED_MAX); i < count; i++)
        printf("# no effect yet: %s\n", unused[i]);
    print_factor(config);
    printf("# a power cut may take the last %.10g s; what is not sent by then is kept in %s, %.10g MB at most\n",
           jp_config_loss_window_s(config), config->paths_spool, (double)config->spool.max_bytes / 1e6);
    if (config->mqtt.url[0])
        printf("# publishes to %s below %s/%s\n", config->mqtt.url, config->mqtt.root, plan->run.device);
    else
        printf("# publishes nothing: no mqtt.url, a logger\n");
    jp_plan_close(plan);
    free(plan);
    return jp_options_printed(NULL);
}
