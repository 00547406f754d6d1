// SPDX-License-Identifier: Apache-2.0
// `joulepost meter`: the measuring half in this process.
#include "cmd.h"
#include "half.h"
#include "log.h"
#include "options.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] = "joulepost meter [-c FILE] [--root DIR] [--check]\n"
                           "\n"
                           "Measures, and leaves its windows in paths.hot for joulepost post.\n"
                           "  -c FILE     configuration (default /etc/joulepost/joulepost.conf)\n"
                           "  --root DIR  measure a tree, or a captured trace, instead of this machine\n"
                           "  --check     print the configuration in effect and the plan, and stop\n";

int jp_cmd_meter(int argc, char **argv)
{
    static struct jp_config config;
    const struct jp_identity self = {.uid = geteuid(), .gid = getegid()};
    struct jp_options options;
    struct jp_half_setup setup = {.config = &config, .identity = &self};
    int rc = jp_options_read(argc, argv, JP_OPTION_CONFIG | JP_OPTION_ROOT | JP_OPTION_CHECK, help, &options);

    if (rc != JP_OPTIONS_GO)
        return rc;
    rc = jp_options_config(&options, &config);
    if (rc)
        return rc;
    setup.root = options.root;
    if (options.check) {
        jp_config_print(&config, stdout);
        return jp_half_print_plan(&setup);
    }
    umask(0007);
    jp_log_open("meter", (enum jp_log_level)config.log_level);
    jp_half_signals(false);
    if (jp_identity_folders(&config, &self, false))
        return JP_EXIT_FAILED;
    return jp_half_meter(&setup);
}
