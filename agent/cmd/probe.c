// SPDX-License-Identifier: Apache-2.0
// `joulepost probe`: what is here, what it measures, what is missing and how to fix it.
#include "cmd.h"
#include "diagnose.h"
#include "meta.h"
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "joulepost probe [--json] [--root DIR] [-c FILE]\n"
                           "\n"
                           "Shows what is here, what it measures, what is missing and how to fix it.\n"
                           "  --json      the same as one JSON object\n"
                           "  --root DIR  look at a tree, or at a captured trace, instead of this machine\n"
                           "  -c FILE     configuration (default /etc/joulepost/joulepost.conf)\n";

// Everything of one look. Large: allocated.
struct look {
    struct jp_config config;
    struct jp_plan plan;
    struct jp_power_now now;
    struct jp_factor factor;
};

static json_t *watts(bool known, int64_t uw)
{
    return known ? json_real((double)uw / 1e6) : json_null();
}

static bool is_calibrated(const struct jp_run_channel *channel)
{
    return channel->scale != 1 || channel->offset_uw != 0;
}

static json_t *look_json(const struct look *look)
{
    const struct jp_run *run = &look->plan.run;
    json_t *root = jp_meta_json(run, &look->factor, look->config.location.pue, NULL);
    json_t *channels = json_object_get(root, "channels"), *drivers = json_array(), *problems = json_array();

    for (int i = 0; i < run->channel_count; i++) {
        json_t *channel = json_array_get(channels, (size_t)i);
        int64_t tdp = look->plan.tdp_mw[i];

        json_object_set_new(channel, "power_w", watts(look->now.known[i], look->now.uw[i]));
        if (is_calibrated(&run->channels[i]))
            json_object_set_new(channel, "calibration",
                                json_pack("{s:f, s:f}", "scale", run->channels[i].scale, "offset_mw",
                                          (double)run->channels[i].offset_uw / 1000.0));
        if (run->channels[i].method == JP_MODELLED)
            json_object_set_new(channel, "tdp_w", tdp > 0 ? json_real((double)tdp / 1000.0) : json_null());
    }
    for (int i = 0; i < look->plan.driver_count; i++)
        json_array_append_new(drivers, json_string(look->plan.drivers_used[i]));
    for (int i = 0; i < look->plan.problem_count; i++)
        json_array_append_new(problems,
                              json_pack("{s:s, s:s, s:s}", "what", look->plan.problems[i].what, "where",
                                        look->plan.problems[i].where, "remedy", look->plan.problems[i].remedy));
    json_object_set_new(root, "drivers", drivers);
    json_object_set_new(root, "problems", problems);
    return root;
}

static int print_json(const struct look *look)
{
    json_t *root = look_json(look);
    int rc = root ? json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12)) : -1;

    json_decref(root);
    putchar('\n');
    return rc == 0 && fflush(stdout) == 0 ? JP_EXIT_DONE : JP_EXIT_FAILED;
}

static void print_fact(const char *title, const char *text)
{
    printf("%-10s %s\n", title, text[0] ? text : "unknown");
}

static void print_machine(const struct look *look)
{
    const struct jp_facts *facts = &look->plan.run.facts;

    print_fact("device", look->plan.run.device);
    printf("%-10s %s (%s%s)\n", "board", facts->board_name, facts->board_id, facts->board_verified ? ", verified" : "");
    printf("%-10s ", "cpu");
    if (facts->cpu_count > 0)
        printf("%d x ", facts->cpu_count);
    printf("%s\n", facts->cpu_model[0] ? facts->cpu_model : "unknown model");
    if (facts->gpu_count >= 0)
        printf("%-10s %d x %s\n", "gpu", facts->gpu_count, facts->gpu_name);
    if (facts->ram_bytes > 0)
        printf("%-10s %.1f GiB\n", "ram", (double)facts->ram_bytes / 1073741824.0);
    print_fact("os", facts->os_name);
    if (facts->l4t[0])
        printf("%-10s L4T %s, JetPack %s\n", "release", facts->l4t, facts->jetpack[0] ? facts->jetpack : "unknown");
    if (facts->power_mode[0])
        print_fact("power mode", facts->power_mode);
    if (facts->note[0])
        print_fact("replayed", facts->note);
    printf("%-10s", "drivers");
    for (int i = 0; i < look->plan.driver_count; i++)
        printf(" %s", look->plan.drivers_used[i]);
    printf("%s\n", look->plan.driver_count ? "" : " none");
    if (look->factor.known)
        printf("%-10s %.6g g/kWh (%s), PUE %.4g\n", "carbon", look->factor.g_per_kwh, look->factor.source,
               look->config.location.pue);
    else
        print_fact("carbon", "unknown: set location.country, or location.intensity_g_per_kwh");
}

static void print_power(bool known, int64_t uw)
{
    if (known)
        printf(" %10.3f W", (double)uw / 1e6);
    else
        printf(" %10s  ", "?");
}

static void print_channels(const struct look *look)
{
    const struct jp_run *run = &look->plan.run;

    printf("\n  %-32s %12s  %-8s  %s\n", "channel", "now", "scope", "how");
    for (int i = 0; i < run->channel_count; i++) {
        const struct jp_run_channel *channel = &run->channels[i];

        printf("%s %-32s", channel->in_total ? "+" : " ", channel->name);
        print_power(look->now.known[i], look->now.uw[i]);
        printf("  %-8s  %s%s%s%s", jp_scope_name(channel->scope), jp_method_name(channel->method),
               channel->part_of[0] ? ", inside " : "", channel->part_of, channel->unverified ? ", unverified" : "");
        if (is_calibrated(channel))
            printf(", calibrated x%.6g %+.6g mW", channel->scale, (double)channel->offset_uw / 1000.0);
        putchar('\n');
    }
    if (run->total_known) {
        printf("= %-32s", "total");
        print_power(look->now.total_known, look->now.total_uw);
        printf("  %-8s  %s, the sum of +\n", jp_scope_name(run->total_scope), jp_method_name(run->total_method));
    } else
        printf("  no total: nobody has said which rails make it\n");
}

static int print_plain(const struct look *look)
{
    print_machine(look);
    print_channels(look);
    for (int i = 0; i < look->plan.problem_count; i++)
        printf("\n! %s: %s\n  -> %s\n", look->plan.problems[i].where, look->plan.problems[i].what,
               look->plan.problems[i].remedy);
    return fflush(stdout) == 0 ? JP_EXIT_DONE : JP_EXIT_FAILED;
}

static int take_look(const struct jp_options *options, struct look *look)
{
    const struct jp_site site = {.root = options->root};
    char error[512];

    if (jp_discover(&site, &look->config, 0, &look->plan, error, sizeof error) != 0) {
        fprintf(stderr, "joulepost probe: %s\n", error);
        return JP_EXIT_CONFIG;
    }
    jp_config_factor(&look->config, &look->factor);
    jp_diagnose_read(&look->plan, &jp_clock_real, &look->now);
    jp_diagnose_readings(&look->plan, &look->now);
    jp_plan_close(&look->plan);
    return JP_EXIT_DONE;
}

int jp_cmd_probe(int argc, char **argv)
{
    struct jp_options options;
    struct look *look;
    int rc = jp_options_read(argc, argv, JP_OPTION_CONFIG | JP_OPTION_ROOT | JP_OPTION_JSON, help, &options);

    if (rc != JP_OPTIONS_GO)
        return rc;
    look = calloc(1, sizeof *look);
    if (!look) {
        fprintf(stderr, "joulepost probe: out of memory\n");
        return JP_EXIT_FAILED;
    }
    rc = jp_options_config(&options, &look->config);
    if (rc == JP_EXIT_DONE)
        rc = take_look(&options, look);
    if (rc == JP_EXIT_DONE)
        rc = options.json ? print_json(look) : print_plain(look);
    free(look);
    return rc;
}
