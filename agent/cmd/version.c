// SPDX-License-Identifier: Apache-2.0
// `joulepost version`: which version, and what it was built with.
#include "cmd.h"
#include "options.h"

#include <stdio.h>

static const char help[] = "joulepost version [--json]\n"
                           "\n"
                           "Prints the version.\n"
                           "  --json  as one JSON object, with what this build can do\n";

int jp_cmd_version(int argc, char **argv)
{
    const char *mqtt = JOULEPOST_HAS_MQTT ? "true" : "false"; // TLS comes with it
    struct jp_options options;
    int rc = jp_options_read(argc, argv, JP_OPTION_JSON, help, &options);

    if (rc != JP_OPTIONS_GO)
        return rc;
    if (options.json)
        printf("{\"version\": \"%s\", \"features\": {\"mqtt\": %s, \"tls\": %s}}\n", JOULEPOST_VERSION, mqtt, mqtt);
    else
        printf("joulepost %s\n", JOULEPOST_VERSION);
    return jp_options_printed(argv[0]);
}
