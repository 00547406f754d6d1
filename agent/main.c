// SPDX-License-Identifier: Apache-2.0
// The program: one verb, one file of cmd/.
#define _GNU_SOURCE
#include "cmd.h"
#include "options.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
};

static const struct verb verbs[] = {
    {"agent", jp_cmd_agent, "measure and deliver: both halves, in the foreground"},
    {"meter", jp_cmd_meter, "the measuring half alone"},
    {"post", jp_cmd_post, "the delivering half alone"},
    {"probe", jp_cmd_probe, "what is here, what it measures, what is missing"},
    {"top", jp_cmd_top, "the live view of the running agent"},
    {"spool", jp_cmd_spool, "what a spool holds, whether it is whole, all of it as JSON"},
    {"export", jp_cmd_export, "a spool's windows as CSV or JSON lines"},
    {"upload", jp_cmd_upload, "send a spool taken from another machine"},
    {"task", jp_cmd_task, "mark work inside the running agent"},
    {"capture", jp_cmd_capture, "record what the sensors say, to report a board or to replay"},
    {"version", jp_cmd_version, "which version this is"},
};

#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

static int help(void)
{
    printf("joulepost VERB [FLAG]...\n\nReads the board's power rails, counts joules and delivers them over MQTT.\n\n");
    for (size_t i = 0; i < VERB_COUNT; i++)
        printf("  %-8s %s\n", verbs[i].name, verbs[i].what);
    printf("\njoulepost VERB --help tells its flags.\n"
           "Exit status: 0 done, 1 failed, 64 usage, 78 configuration.\n");
    return jp_options_printed(NULL);
}

static int usage(const char *verb)
{
    if (verb)
        fprintf(stderr, "joulepost: unknown verb '%s', allowed:", verb);
    else
        fprintf(stderr, "joulepost: a verb is missing, allowed:");
    for (size_t i = 0; i < VERB_COUNT; i++)
        fprintf(stderr, " %s,", verbs[i].name);
    fprintf(stderr, " --help\n");
    return JP_EXIT_USAGE;
}

// Whoever starts us may have closed them: the next file opened would get the log's lines. What stands in for one
// can be neither read nor written, as if it were closed.
static void keep_standard_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH) < 0)
            _exit(JP_EXIT_FAILED); // nowhere to say it
}

int main(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};

    keep_standard_descriptors();
    sigaction(SIGPIPE, &ignore, NULL); // a reader that went away is a failed write, not a death
    if (argc < 2)
        return usage(NULL);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help();
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i].name, argv[1]) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    return usage(argv[1]);
}
