// SPDX-License-Identifier: Apache-2.0
// The verbs. Each gets its own name as argv[0] and returns the program's exit status.
#ifndef JP_CMD_H
#define JP_CMD_H

enum jp_exit {
    JP_EXIT_DONE = 0,
    JP_EXIT_FAILED = 1,
    JP_EXIT_USAGE = 64,  // also no verb, an unknown flag, a surplus argument
    JP_EXIT_CONFIG = 78, // also a -c file that is not there
};

int jp_cmd_agent(int argc, char **argv);
int jp_cmd_capture(int argc, char **argv);
int jp_cmd_export(int argc, char **argv);
int jp_cmd_meter(int argc, char **argv);
int jp_cmd_post(int argc, char **argv);
int jp_cmd_probe(int argc, char **argv);
int jp_cmd_spool(int argc, char **argv);
int jp_cmd_task(int argc, char **argv);
int jp_cmd_top(int argc, char **argv);
int jp_cmd_upload(int argc, char **argv);
int jp_cmd_version(int argc, char **argv);

#endif
