// SPDX-License-Identifier: Apache-2.0
// The flags of a verb, and one clear line for a wrong one.
#ifndef JP_OPTIONS_H
#define JP_OPTIONS_H

#include <stdbool.h>

// What a verb takes; others are refused.
enum jp_option {
    JP_OPTION_CONFIG = 1,     // -c FILE, --config FILE
    JP_OPTION_ROOT = 2,       // --root DIR, or a captured trace
    JP_OPTION_CHECK = 4,      // --check
    JP_OPTION_JSON = 8,       // --json
    JP_OPTION_HEALTH = 16,    // --health
    JP_OPTION_AS = 32,        // --as FORMAT
    JP_OPTION_FROM = 64,      // --from TIME
    JP_OPTION_TO = 128,       // --to TIME
    JP_OPTION_OUT = 256,      // -o PATH
    JP_OPTION_WORD = 512,     // one argument that is no flag
    JP_OPTION_SECONDS = 1024, // --seconds N
    JP_OPTION_ONCE = 2048,    // --once
};

// Texts point into argv.
struct jp_options {
    const char *config; // NULL: the default path, which may be missing
    const char *root;   // "" this machine; never with a trailing slash
    bool check, json, health, once;
    const char *as, *from, *to, *out, *seconds; // NULL: not given
    const char *word;                           // NULL: not given
};

#define JP_OPTIONS_GO (-1)

// Reads argv[1..] of the verb argv[0], which takes `allowed` (enum jp_option bits) and no further argument
// (one with JP_OPTION_WORD; behind "--" it may begin with a dash).
// JP_OPTIONS_GO: go on with `options`. Else the status to exit with, all having been said: --help printed
// `help` on stdout (0), or one line on stderr names what is wrong and what is allowed (64).
int jp_options_read(int argc, char **argv, unsigned allowed, const char *help, struct jp_options *options);

// The last of what `verb` prints on stdout goes out. JP_EXIT_DONE, or JP_EXIT_FAILED, which is said on stderr unless it
// is that the reader went away. `verb` NULL: the program.
int jp_options_printed(const char *verb);

struct jp_config;

// Loads what -c names, or the default path if it is there, into `config`, says on stderr what is wrong.
// JP_EXIT_DONE or JP_EXIT_CONFIG.
int jp_options_config(const struct jp_options *options, struct jp_config *config);

#endif
