// SPDX-License-Identifier: Apache-2.0
// `joulepost spool`: what a spool holds, whether it is whole, and all of it as JSON. Reads only.
#include "cmd.h"
#include "jsonl.h"
#include "look.h"
#include "spool_status.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char help[] =
    "joulepost spool status|verify|dump [--json] [-c FILE] [SPOOL]\n"
    "\n"
    "  status   what is there: segments, times, runs, what was lost, what is not sent yet\n"
    "  verify   a line for all that is not whole, and a summary; status 0 only when all is whole, else 1\n"
    "  dump     every window, run, gap, event and anchor in order, one JSON object a line\n"
    "  --json   one JSON object (dump writes JSON anyway)\n"
    "  -c FILE  configuration (default /etc/joulepost/joulepost.conf): paths.spool, the grid's factor\n"
    "  SPOOL    a folder of segments, or one that holds it as `spool` (default paths.spool)\n"
    "\n"
    "Nothing is written; a spool in use may be looked at. Damage is passed over and told on stderr.\n";

static int dump(struct jp_look *look)
{
    enum jp_entry_kind kind;
    int rc = 0;

    while (rc == 0 && (kind = jp_look_next(look)) != JP_ENTRY_END)
        rc = kind == JP_ENTRY_WINDOW ? jp_jsonl_window_line(&look->history, true, stdout)
                                     : jp_jsonl_write(jp_jsonl_entry(&look->history, kind), stdout);
    return jp_look_end(look, stdout, rc);
}

// Verify -----------------------------------------------------------------------------------------
struct verdict {
    bool json;
    json_t *findings; // of --json
    int rc;           // of the last write
    uint64_t windows, damage, torn, notes;
};

// A finding, said at once or kept for the object.
static void find(struct verdict *verdict, const struct jp_history *history, const char *name, const char *text)
{
    if (!verdict->json) {
        if (verdict->rc == 0 && printf("%s\n", text) < 0)
            verdict->rc = -errno;
        return;
    }
    json_array_append_new(verdict->findings,
                          json_pack("{s:I, s:I, s:s, s:s}", "segment", (json_int_t)history->at.segment, "offset",
                                    (json_int_t)history->at.offset, "what", name, "text", text));
}

static void judge(struct verdict *verdict, const struct jp_history *history, enum jp_entry_kind kind)
{
    const struct jp_flaw *flaw = &history->walk.flaw;
    char text[256];

    if (kind == JP_ENTRY_WINDOW)
        verdict->windows++;
    if (kind == JP_ENTRY_SENSELESS) {
        verdict->damage++;
        snprintf(text, sizeof text, "segment %" PRIu64 " at %" PRId64 ": %s", history->at.segment, history->at.offset,
                 history->what);
        find(verdict, history, "senseless", text);
    }
    if (kind != JP_ENTRY_FLAW)
        return;
    if (flaw->kind == JP_FLAW_TORN)
        verdict->torn++;
    else if (jp_flaw_is_damage(flaw->kind))
        verdict->damage++;
    else
        verdict->notes++;
    jp_look_flaw(flaw, text, sizeof text);
    find(verdict, history, jp_flaw_name(flaw->kind), text);
}

static void sum_up(struct verdict *verdict, const struct jp_walk *walk)
{
    bool whole = verdict->damage == 0 && verdict->torn == 0;

    if (verdict->json) {
        json_t *sum =
            json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "whole", (int)whole, "segments", (json_int_t)walk->count,
                      "bytes", (json_int_t)walk->bytes, "windows", (json_int_t)verdict->windows, "damaged",
                      (json_int_t)verdict->damage, "torn", (json_int_t)verdict->torn, "findings", verdict->findings);

        verdict->rc = jp_jsonl_write(sum, stdout);
    } else if (verdict->rc == 0) {
        printf("%s: %zu segments, %" PRId64 " bytes, %" PRIu64 " windows", whole ? "whole" : "not whole", walk->count,
               walk->bytes, verdict->windows);
        if (verdict->damage)
            printf("; damaged in %" PRIu64 " places", verdict->damage);
        if (verdict->torn)
            printf("; %" PRIu64 " torn tails", verdict->torn);
        putchar('\n');
    }
}

static int verify(struct jp_look *look, bool json)
{
    struct verdict verdict = {.json = json, .findings = json ? json_array() : NULL};
    enum jp_entry_kind kind;
    int rc;

    while (verdict.rc == 0 && (kind = jp_history_next(&look->history)) != JP_ENTRY_END)
        judge(&verdict, &look->history, kind);
    sum_up(&verdict, &look->history.walk);
    rc = jp_look_end(look, stdout, verdict.rc);
    return verdict.damage || verdict.torn ? JP_EXIT_FAILED : rc;
}

// The verb ---------------------------------------------------------------------------------------
int jp_cmd_spool(int argc, char **argv)
{
    static const char *const verbs[] = {"status", "verify", "dump"};
    static struct jp_look look; // large
    char name[32];
    struct jp_options options;
    size_t verb = 0;
    int rc;

    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return jp_options_read(argc, argv, 0, help, &options);
    while (verb < 3 && (argc < 2 || strcmp(argv[1], verbs[verb]) != 0))
        verb++;
    if (verb == 3) {
        if (argc > 1 && argv[1][0] == '-')
            fprintf(stderr, "joulepost spool: unknown flag '%s'", argv[1]);
        else
            fprintf(stderr, "joulepost spool: '%s' is no part of it", argc > 1 ? argv[1] : "");
        fprintf(stderr, ", allowed: joulepost spool status|verify|dump [--json] [SPOOL], --help\n");
        return JP_EXIT_USAGE;
    }
    snprintf(name, sizeof name, "spool %s", verbs[verb]);
    argv[1] = name;
    rc = jp_options_read(argc - 1, argv + 1, JP_OPTION_CONFIG | JP_OPTION_JSON | JP_OPTION_WORD, help, &options);
    if (rc != JP_OPTIONS_GO)
        return rc;
    snprintf(name, sizeof name, "joulepost spool %s", verbs[verb]);
    rc = jp_look_open(&look, name, &options, verb == 0); // status only counts
    if (rc != JP_OPTIONS_GO)
        return rc;
    if (verb == 2)
        return dump(&look);
    return verb == 1 ? verify(&look, options.json) : jp_spool_status(&look, options.json);
}
