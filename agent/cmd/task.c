// SPDX-License-Identifier: Apache-2.0
// `joulepost task`: marks the begin and the end of work inside the running agent.
#include "cmd.h"
#include "control.h"
#include "name.h"
#include "options.h"

#include "config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 5000
#define ARGUMENTS_MAX 16

static const char help[] = "joulepost task start|stop NAME [-c FILE]\n"
                           "\n"
                           "Marks the begin or the end of work, as an event between the windows.\n"
                           "  NAME     letters, digits and _ . -, 32 at most\n"
                           "  -c FILE  the agent's configuration (default /etc/joulepost/joulepost.conf)\n";

struct words {
    const char *words[2]; // start or stop, NAME
    int count;            // 3 or more: too many
};

// Parts the words from the flags; the flags stay in `flags` as a command line of their own. Their number.
static int part(int argc, char **argv, struct words *words, char **flags)
{
    int count = 0;

    for (int i = 0; i < argc && count < ARGUMENTS_MAX; i++) {
        bool flag = i == 0 || argv[i][0] == '-';

        if (flag)
            flags[count++] = argv[i];
        else if (words->count++ < 2)
            words->words[words->count - 1] = argv[i];
        if (i > 0 && (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) && i + 1 < argc &&
            count < ARGUMENTS_MAX)
            flags[count++] = argv[++i];
    }
    return count;
}

static int wrong(const struct words *words)
{
    static const char allowed[] = "joulepost task start|stop NAME";
    const char *verb = words->count > 0 ? words->words[0] : "", *name = words->count > 1 ? words->words[1] : "";

    if (strcmp(verb, "start") != 0 && strcmp(verb, "stop") != 0)
        fprintf(stderr, "joulepost task: '%s' is neither start nor stop, allowed: %s\n", verb, allowed);
    else if (words->count != 2)
        fprintf(stderr, "joulepost task: %s, allowed: %s\n",
                words->count < 2 ? "the name is missing" : "too many words", allowed);
    else if (!jp_name_is_good(name, JP_NAME_MAX))
        fprintf(stderr,
                "joulepost task: the name '%s' is not possible, allowed: letters, digits and _ . -, 32 at most\n",
                name);
    else
        return JP_OPTIONS_GO;
    return JP_EXIT_USAGE;
}

static int refused(const struct jp_config *config, int rc)
{
    if (rc == -ENOENT || rc == -ECONNREFUSED)
        fprintf(stderr, "joulepost task: no agent runs with paths.hot = %s; start it, or name its file with -c\n",
                config->paths_hot);
    else if (rc == -EACCES || rc == -EPIPE || rc == -ECONNRESET)
        fprintf(stderr,
                "joulepost task: %s/control is for root and its own group; run task as root or join that group\n",
                config->paths_hot);
    else
        fprintf(stderr, "joulepost task: %s/control: %s; look at the agent's log\n", config->paths_hot, strerror(-rc));
    return JP_EXIT_FAILED;
}

static int judge(const char *reply)
{
    json_t *answer = json_loads(reply, 0, NULL);
    const char *error = json_string_value(json_object_get(answer, "error"));
    bool ok = json_is_true(json_object_get(answer, "ok"));

    if (!ok)
        fprintf(stderr, "joulepost task: %s\n", error ? error : "the agent's answer makes no sense");
    json_decref(answer);
    return ok ? JP_EXIT_DONE : JP_EXIT_FAILED;
}

int jp_cmd_task(int argc, char **argv)
{
    static struct jp_config config;
    static char reply[JP_CONTROL_REPLY_MAX];
    char request[64], *flags[ARGUMENTS_MAX];
    struct words words = {.count = 0};
    struct jp_options options;
    int count = part(argc, argv, &words, flags);
    int rc = jp_options_read(count, flags, JP_OPTION_CONFIG, help, &options);

    if (rc == JP_OPTIONS_GO)
        rc = wrong(&words);
    if (rc != JP_OPTIONS_GO)
        return rc;
    rc = jp_options_config(&options, &config);
    if (rc)
        return rc;
    snprintf(request, sizeof request, "task %s %s", words.words[0], words.words[1]);
    rc = jp_control_ask(config.paths_hot, request, reply, sizeof reply, TIMEOUT_MS);
    return rc < 0 ? refused(&config, rc) : judge(reply);
}
