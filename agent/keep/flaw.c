// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a segment, in words.
#include "walk.h"

static const struct {
    const char *name, *text;
    bool damage;
} words[JP_FLAW_COUNT] = {
    [JP_FLAW_NONE] = {"none", "nothing", false},
    [JP_FLAW_GONE] = {"gone", "removed while it was looked at", false},
    [JP_FLAW_FRESH] = {"fresh", "the newest segment holds nothing yet", false},
    [JP_FLAW_EMPTY] = {"empty", "an empty segment", true},
    [JP_FLAW_FOREIGN] = {"foreign", "has a segment's name and is no regular file: not followed", true},
    [JP_FLAW_UNREAD] = {"unread", "cannot be read", true},
    [JP_FLAW_HEADER] = {"header", "the header is cut or damaged", true},
    [JP_FLAW_NUMBER] = {"number", "the header carries another number than the name", true},
    [JP_FLAW_VERSION] = {"version", "written in another version of the format: passed over", true},
    [JP_FLAW_DAMAGED] = {"damaged", "damaged bytes", true},
    [JP_FLAW_TORN] = {"torn", "torn tail: the last frame is not all there, its write was cut short", true},
    [JP_FLAW_MISSING] = {"missing", "frames are missing before this one", true},
    [JP_FLAW_OVERSIZE] = {"oversize", "longer than a segment can be: the rest is passed over", true},
};

bool jp_flaw_is_damage(enum jp_flaw_kind kind)
{
    return words[kind].damage;
}

const char *jp_flaw_name(enum jp_flaw_kind kind)
{
    return words[kind].name;
}

const char *jp_flaw_text(enum jp_flaw_kind kind)
{
    return words[kind].text;
}
