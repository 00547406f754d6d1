// SPDX-License-Identifier: Apache-2.0
// Reads what the post half says of itself: post.json in paths.hot (docs/operating.md has its keys).
#ifndef JP_POST_LINE_H
#define JP_POST_LINE_H

#include <jansson.h>

// The line as a new object to json_decref(). NULL with *error a positive errno: ENOENT no post runs, EBADMSG it is no
// JSON or longer than 64 KiB. Follows no symbolic link, waits for nothing.
json_t *jp_post_line(const char *path, int *error);

#endif
