// SPDX-License-Identifier: Apache-2.0
// `joulepost probe`: what is here, what it measures, what is missing and how to fix it.
#include "probe.h"

#include "cmd.h"
#include "json.h"
#include "meta.h"
#include "pins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "joulepost probe [--json] [--root DIR] [-c FILE]\n"
    "joulepost probe --health [--json] [-c FILE]\n"
    "\n"
    "Shows what is here, what it measures, what is missing and how to fix it. `+` marks what makes the total;\n"
    "a part stands indented under the rail that contains it. It reads for a third of a second and writes nothing.\n"
    "  --json      the same as one JSON object\n"
    "  --root DIR  look at a tree, or at a captured trace, instead of this machine\n"
    "  --health    is the service well? Asks it, and opens no sensor: 0 yes, 1 with a line for each fault\n"
    "  -c FILE     configuration (default /etc/joulepost/joulepost.conf)\n";

static json_t *watts(bool known, int64_t uw)
{
    return known ? json_real((double)uw / 1e6) : json_null();
}

static void describe_channels(const struct jp_probe *probe, json_t *channels)
{
    for (int i = 0; i < probe->plan.run.channel_count; i++) {
        json_t *channel = json_array_get(channels, (size_t)i);
        int64_t tdp = probe->plan.tdp_mw[i];

        json_object_set_new(channel, "power_w", watts(probe->now.known[i], probe->now.uw[i]));
        if (probe->plan.run.channels[i].method == JP_MODELLED)
            json_object_set_new(channel, "tdp_w", tdp > 0 ? json_real((double)tdp / 1000.0) : json_null());
    }
}

// What each source adds to its channels, and the gauges.
static json_t *describe_sources(const struct jp_probe *probe, json_t *channels)
{
    json_t *gauges = json_array();

    for (int s = 0; s < probe->source_count; s++) {
        const struct jp_source *source = &probe->plan.sources[s];
        json_int_t read_us = (probe->now.read_ns[s] + 500) / 1000;
        char sensor[32];

        for (int i = 0; i < source->count; i++) {
            json_t *channel = source->channel[i] < 0 ? NULL : json_array_get(channels, (size_t)source->channel[i]);
            int g = source->gauge[i];

            if (g >= 0) {
                channel = json_pack("{s:s, s:o, s:s}", "name", probe->plan.run.gauges[g].name, "value",
                                    jp_json_milli(probe->now.gauge_known[g], probe->now.gauge[g]), "unit",
                                    probe->plan.run.gauges[g].unit);
                json_array_append_new(gauges, channel);
            }
            if (!channel)
                continue;
            jp_probe_sensor(source, i, sensor, sizeof sensor);
            json_object_set_new(channel, "driver", json_string(source->driver->name));
            json_object_set_new(channel, "sensor", json_string(sensor));
            json_object_set_new(channel, "read_us", json_integer(read_us));
        }
    }
    return gauges;
}

static json_t *probe_json(const struct jp_probe *probe)
{
    const struct jp_plan *plan = &probe->plan;
    json_t *root = jp_meta_json(&plan->run, &probe->factor, probe->config.location.pue, NULL);
    json_t *channels = json_object_get(root, "channels"), *drivers = json_array(), *problems = json_array();

    describe_channels(probe, channels);
    for (int i = 0; i < plan->driver_count; i++)
        json_array_append_new(drivers, json_string(plan->drivers_used[i]));
    for (int i = 0; i < plan->problem_count; i++)
        json_array_append_new(problems, json_pack("{s:o, s:o, s:o}", "what", jp_json_text(plan->problems[i].what),
                                                  "where", jp_json_text(plan->problems[i].where), "remedy",
                                                  jp_json_text(plan->problems[i].remedy)));
    json_object_set_new(root, "gauges", describe_sources(probe, channels));
    json_object_set_new(root, "drivers", drivers);
    json_object_set_new(root, "problems", problems);
    return root;
}

static int print_json(const struct jp_probe *probe)
{
    json_t *root = probe_json(probe);
    int rc = root ? json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12)) : -1;

    json_decref(root);
    putchar('\n');
    return rc == 0 || ferror(stdout) ? jp_options_printed("probe") : JP_EXIT_FAILED;
}

static int print_screen(const struct jp_probe *probe)
{
    jp_probe_screen(probe);
    return jp_options_printed("probe");
}

static int take_look(const struct jp_options *options, struct jp_probe *probe)
{
    const struct jp_site site = {.root = options->root};
    char error[512];

    if (jp_discover(&site, &probe->config, 0, &probe->plan, error, sizeof error) != 0) {
        fprintf(stderr, "joulepost probe: %s\n", error);
        return JP_EXIT_CONFIG;
    }
    jp_config_factor(&probe->config, &probe->factor);
    jp_diagnose_read(&probe->plan, &jp_clock_real, &probe->now);
    jp_diagnose_readings(&probe->plan, &probe->now);
    jp_pins_diagnose(&probe->plan, &site, &probe->config, &jp_gpio_real);
    probe->source_count = probe->plan.source_count;
    jp_plan_close(&probe->plan);
    return JP_EXIT_DONE;
}

static int look(const struct jp_options *options)
{
    struct jp_probe *probe = calloc(1, sizeof *probe);
    int rc;

    if (!probe) {
        fprintf(stderr, "joulepost probe: out of memory\n");
        return JP_EXIT_FAILED;
    }
    rc = jp_options_config(options, &probe->config);
    if (rc == JP_EXIT_DONE)
        rc = take_look(options, probe);
    if (rc == JP_EXIT_DONE)
        rc = options->json ? print_json(probe) : print_screen(probe);
    free(probe);
    return rc;
}

int jp_cmd_probe(int argc, char **argv)
{
    struct jp_options options;
    int rc = jp_options_read(argc, argv, JP_OPTION_CONFIG | JP_OPTION_ROOT | JP_OPTION_JSON | JP_OPTION_HEALTH, help,
                             &options);

    if (rc != JP_OPTIONS_GO)
        return rc;
    if (options.health && options.root[0]) {
        fprintf(stderr, "joulepost probe: --root '%s' with --health, allowed: one of them, a tree has no service\n",
                options.root);
        return JP_EXIT_USAGE;
    }
    return options.health ? jp_probe_health(&options) : look(&options);
}
