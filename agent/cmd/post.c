// SPDX-License-Identifier: Apache-2.0
// `joulepost post`: the delivering half in this process.
#include "cmd.h"
#include "half.h"
#include "log.h"
#include "options.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] = "joulepost post [-c FILE] [--root DIR] [--check]\n"
                           "\n"
                           "Delivers what joulepost meter leaves in paths.hot.\n"
                           "  -c FILE     configuration (default /etc/joulepost/joulepost.conf)\n"
                           "  --root DIR  take the name of a tree, or of a captured trace, instead of this machine\n"
                           "  --check     print the configuration in effect and the plan, and stop\n";

int jp_cmd_post(int argc, char **argv)
{
    static struct jp_config config;
    const struct jp_identity self = {.uid = geteuid(), .gid = getegid()};
    struct jp_options options;
    char error[1024];
    struct jp_half_setup setup = {.config = &config, .identity = &self};
    int rc = jp_options_read(argc, argv, JP_OPTION_CONFIG | JP_OPTION_ROOT | JP_OPTION_CHECK, help, &options);

    if (rc != JP_OPTIONS_GO)
        return rc;
    rc = jp_options_config(&options, &config);
    if (rc)
        return rc;
    setup.root = options.root;
    if (jp_config_secrets(&config, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        return JP_EXIT_CONFIG;
    }
    if (options.check) {
        jp_config_print(&config, stdout);
        return jp_half_print_plan(&setup);
    }
    umask(0007);
    jp_log_open("post", (enum jp_log_level)config.log_level);
    jp_half_signals(false);
    if (jp_identity_folders(&config, &self, true))
        return JP_EXIT_FAILED;
    return jp_half_post(&setup);
}
