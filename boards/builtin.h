// SPDX-License-Identifier: Apache-2.0
// The texts of the compiled-in board files, made at build by embed.cmake.
#ifndef JP_BUILTIN_H
#define JP_BUILTIN_H

struct jp_board_text {
    const char *id, *text;
};

// In ascending order of file name; an entry without id ends the table.
extern const struct jp_board_text jp_board_texts[];

#endif
