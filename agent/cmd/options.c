// SPDX-License-Identifier: Apache-2.0
// Reads a verb's flags.
#include "options.h"

#include "cmd.h"
#include "config.h"
#include "trace_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct flag {
    const char *name, *value; // value NULL: the flag takes none
    enum jp_option option;
};

static const struct flag flags[] = {
    {"-c", "FILE", JP_OPTION_CONFIG},   {"--config", "FILE", JP_OPTION_CONFIG}, {"--root", "DIR", JP_OPTION_ROOT},
    {"--check", NULL, JP_OPTION_CHECK}, {"--json", NULL, JP_OPTION_JSON},       {"--health", NULL, JP_OPTION_HEALTH},
    {"--as", "FORMAT", JP_OPTION_AS},   {"--from", "TIME", JP_OPTION_FROM},     {"--to", "TIME", JP_OPTION_TO},
    {"-o", "PATH", JP_OPTION_OUT},      {"--seconds", "N", JP_OPTION_SECONDS},  {"--once", NULL, JP_OPTION_ONCE},
};

static int wrong(const char *verb, unsigned allowed, const char *what, const char *argument)
{
    char list[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].option & allowed)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s%s, ", flags[i].name,
                                     flags[i].value ? " " : "", flags[i].value ? flags[i].value : "");
    fprintf(stderr, "joulepost %s: %s '%s', allowed: %s--help\n", verb, what, argument, list);
    return JP_EXIT_USAGE;
}

// The flag that `argument` is, "--name=value" included; *value gets what follows the "=".
static const struct flag *find(const char *argument, unsigned allowed, const char **value)
{
    size_t size = strncmp(argument, "--", 2) == 0 ? strcspn(argument, "=") : strlen(argument);

    *value = argument[size] == '=' ? argument + size + 1 : NULL;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if ((flags[i].option & allowed) && strlen(flags[i].name) == size && strncmp(flags[i].name, argument, size) == 0)
            return &flags[i];
    return NULL;
}

static void set(struct jp_options *options, enum jp_option option, const char *value)
{
    switch (option) {
    case JP_OPTION_CONFIG:
        options->config = value;
        break;
    case JP_OPTION_ROOT:
        options->root = value;
        break;
    case JP_OPTION_CHECK:
        options->check = true;
        break;
    case JP_OPTION_JSON:
        options->json = true;
        break;
    case JP_OPTION_HEALTH:
        options->health = true;
        break;
    case JP_OPTION_ONCE:
        options->once = true;
        break;
    case JP_OPTION_AS:
        options->as = value;
        break;
    case JP_OPTION_FROM:
        options->from = value;
        break;
    case JP_OPTION_TO:
        options->to = value;
        break;
    case JP_OPTION_OUT:
        options->out = value;
        break;
    case JP_OPTION_SECONDS:
        options->seconds = value;
        break;
    case JP_OPTION_WORD:
        options->word = value;
        break;
    }
}

static bool can_be_root(const char *path)
{
    struct stat st;

    return (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) || jp_trace_begins(path);
}

// "/" is this machine; a slash at the end goes.
static int tidy_root(const char *verb, struct jp_options *options)
{
    static char root[JP_PATH_MAX];
    size_t size = strlen(options->root);

    if (size == 0)
        return JP_OPTIONS_GO;
    if (size >= sizeof root || !can_be_root(options->root)) {
        fprintf(stderr,
                "joulepost %s: --root '%s' is not a folder, allowed: a folder or a captured trace that can be read\n",
                verb, options->root);
        return JP_EXIT_USAGE;
    }
    while (size > 0 && options->root[size - 1] == '/')
        size--;
    snprintf(root, sizeof root, "%.*s", (int)size, options->root);
    options->root = root;
    return JP_OPTIONS_GO;
}

int jp_options_printed(const char *verb)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return JP_EXIT_DONE;
    if (errno != EPIPE)
        fprintf(stderr, "joulepost%s%s: cannot write%s%s\n", verb ? " " : "", verb ? verb : "", errno ? ": " : "",
                errno ? strerror(errno) : "");
    return JP_EXIT_FAILED;
}

int jp_options_read(int argc, char **argv, unsigned allowed, const char *help, struct jp_options *options)
{
    const struct flag *flag;
    const char *value;
    bool words_only = false;

    *options = (struct jp_options){.root = ""};
    for (int i = 1; i < argc; i++) {
        if ((allowed & JP_OPTION_WORD) && !words_only && strcmp(argv[i], "--") == 0) {
            words_only = true;
            continue;
        }
        if ((allowed & JP_OPTION_WORD) && !options->word && argv[i][0] && (words_only || argv[i][0] != '-')) {
            set(options, JP_OPTION_WORD, argv[i]);
            continue;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return jp_options_printed(argv[0]);
        }
        flag = find(argv[i], allowed, &value);
        if (!flag)
            return wrong(argv[0], allowed, argv[i][0] == '-' ? "unknown flag" : "surplus argument", argv[i]);
        if (value && !flag->value)
            return wrong(argv[0], allowed, "a value for the flag without one", argv[i]);
        if (flag->value && !value)
            value = argv[++i];
        if (flag->value && (!value || !*value))
            return wrong(argv[0], allowed, "nothing after the flag", flag->name);
        set(options, flag->option, value);
    }
    return tidy_root(argv[0], options);
}

int jp_options_config(const struct jp_options *options, struct jp_config *config)
{
    char error[1024];

    if (!options->config && access(JP_CONFIG_DEFAULT_PATH, F_OK) && errno == ENOENT) {
        jp_config_default(config);
        return JP_EXIT_DONE;
    }
    if (jp_config_load(options->config ? options->config : JP_CONFIG_DEFAULT_PATH, config, error, sizeof error) == 0)
        return JP_EXIT_DONE;
    fprintf(stderr, "%s\n", error);
    return JP_EXIT_CONFIG;
}
