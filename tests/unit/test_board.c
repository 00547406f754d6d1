// SPDX-License-Identifier: Apache-2.0
// Board profiles: every compiled-in one holds together, and a wrong one is told with its line.
#include "board.h"
#include "builtin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char error[512];

static void assert_refused(const char *text, const char *expected)
{
    struct jp_board board;

    error[0] = '\0';
    assert_int_not_equal(jp_board_parse("t", text, "t.conf", &board, error, sizeof error), 0);
    assert_string_equal(error, expected);
}

static bool has_label(const struct jp_board *board, const char *label)
{
    for (int i = 0; i < board->channel_count; i++)
        if (strcmp(board->channels[i].label, label) == 0)
            return true;
    return false;
}

static void check_total(const struct jp_board *board, const char (*labels)[33], int count, enum jp_scope scope)
{
    for (int i = 0; i < count; i++) {
        assert_true(has_label(board, labels[i]));
        for (int j = 0; j < board->channel_count; j++)
            if (strcmp(board->channels[j].label, labels[i]) == 0)
                for (int k = 0; k < count; k++)
                    assert_string_not_equal(board->channels[j].part_of, labels[k]);
    }
    assert_int_equal(count > 0, board->outside[scope][0] != '\0');
}

// Who makes the total must say what it leaves out; a label or an alias means one rail only.
static void check_rails(const struct jp_board *board)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

    for (int i = 0; i < board->channel_count; i++) {
        const struct jp_board_channel *channel = &board->channels[i];

        assert_int_equal(strspn(channel->label, legal), strlen(channel->label));
        assert_string_not_equal(channel->label, "total");
        if (channel->part_of[0])
            assert_true(has_label(board, channel->part_of));
        else
            assert_true(channel->roles != 0 || board->sensors[channel->sensor].scope == JP_SCOPE_CARRIER);
        for (int j = 0; j < 4 && channel->aliases[j][0]; j++)
            assert_false(has_label(board, channel->aliases[j]));
        if (board->verified)
            assert_false(channel->unverified);
    }
    check_total(board, board->total_board, board->total_board_count, JP_SCOPE_BOARD);
    check_total(board, board->total_module, board->total_module_count, JP_SCOPE_MODULE);
}

static void check_jetson(const struct jp_board *board)
{
    assert_int_equal(board->gpu.count, 1);
    assert_true(board->gpu.name[0] && board->gpu.arch[0] && board->soc[0] && board->module[0]);
    assert_true(board->gpu.loads > 0 && board->gpu.frequencies > 0 && board->matches > 0 && board->module_count > 0);
    assert_true(board->priority > 0);
    for (int i = 0; i < board->matches; i++)
        assert_null(strstr(board->match[i], "-as-"));
    for (int i = 0; i < board->module_count; i++) {
        assert_int_equal(strlen(board->modules[i].part), strlen("p3767-0005"));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(board->modules[i].part, board->modules[j].part);
    }
}

// Two profiles with one entry in common would leave the choice to their order.
static void check_pair(const struct jp_board *a, const struct jp_board *b)
{
    for (int i = 0; i < a->matches; i++)
        for (int j = 0; j < b->matches; j++)
            if (strcmp(a->match[i], b->match[j]) == 0)
                assert_int_not_equal(a->priority, b->priority);
}

static void every_compiled_in_profile_holds_together(void **state)
{
    static const char *const ids[] = {"generic-arm",      "generic-x86",       "igx-orin",        "jetson-agx-orin",
                                      "jetson-agx-thor",  "jetson-agx-xavier", "jetson-nano-2gb", "jetson-nano",
                                      "jetson-orin-nano", "jetson-orin-nx",    "jetson-tx1",      "jetson-tx2-nx",
                                      "jetson-tx2",       "jetson-xavier-nx"};
    struct jp_board *boards;
    int count = 0;

    (void)state;
    error[0] = '\0';
    boards = jp_board_load(NULL, NULL, &count, error, sizeof error);
    assert_string_equal(error, "");
    assert_int_equal(count, sizeof ids / sizeof ids[0]);
    for (int i = 0; i < count; i++) {
        assert_string_equal(boards[i].id, ids[i]);
        assert_string_equal(jp_board_texts[i].id, ids[i]);
        assert_true(boards[i].builtin && boards[i].name[0]);
        assert_true(strstr(jp_board_texts[i].text, "sources = (") || strcmp(ids[i], "generic-arm") == 0);
        check_rails(&boards[i]);
        if (strncmp(ids[i], "generic-", 8) != 0)
            check_jetson(&boards[i]);
        for (int j = 0; j < i; j++)
            check_pair(&boards[i], &boards[j]);
    }
    free(boards);
}

static void the_agx_orin_profile_has_its_rails_and_total(void **state)
{
    int count;
    struct jp_board *boards = jp_board_load(NULL, NULL, &count, error, sizeof error);
    const struct jp_site site = {.root = "/nonexistent"};
    const struct jp_board *board;

    (void)state;
    assert_non_null(boards);
    board = jp_board_match(boards, count, &site, "jetson-agx-orin");
    assert_non_null(board);
    assert_string_equal(board->gpu.name, "Orin (nvgpu)");
    assert_int_equal(board->channel_count, 4);
    assert_string_equal(board->channels[3].label, "VDDQ_VDD2_1V8AO");
    assert_string_equal(board->channels[3].part_of, "VIN_SYS_5V0");
    assert_int_equal(board->channels[3].index, 2);
    assert_int_equal(board->sensors[1].address, 0x41);
    assert_int_equal(board->channels[0].shunt_uohm, 2000);
    assert_int_equal(board->total_module_count, 3);
    assert_true(board->builtin && board->verified);
    assert_null(jp_board_match(boards, count, &site, "no-such-board"));
    free(boards);
}

static void a_wrong_profile_is_told_with_its_line(void **state)
{
    (void)state;
    assert_refused("name = \"x\";\ncolour = 3;\n",
                   "t.conf:2: unknown key \"colour\", allowed here: name, module, modules, soc, match, priority, "
                   "verified, gpu, sensors, totals, power_modes, sources");
    assert_refused("name = \"x\";\n @include \"\"\n",
                   "t.conf:2: a board file includes no other, one file a board is expected");
    assert_refused("@include \"/tmp\"\n", "t.conf:1: a board file includes no other, one file a board is expected");
    assert_refused("\xef\xbb\xbf\nname = 5; # the end", "t.conf:2: \"name\" must be a text of at most 127 characters");
    assert_refused("name = 5;\n", "t.conf:1: \"name\" must be a text of at most 127 characters");
    assert_refused("name = \"x\";\n\npriority = \"high\";\n",
                   "t.conf:3: \"priority\" must be a whole number from 0 to 1000");
    assert_refused("name = \"x\";\nverified = 1;\n", "t.conf:2: \"verified\" must be true or false");
    assert_refused("name = \"x\";\nmatch = \"one\";\n", "t.conf:2: \"match\" must be a list of at most 16 texts");
    assert_refused("name = \"x\";\ngpu = (1);\n", "t.conf:2: \"gpu\" must be a group, { ... }");
    assert_refused("name = \"x\";\ngpu = {\n count = 1;\n size = 2; };\n",
                   "t.conf:4: unknown key \"size\", allowed here: count, name, arch, load, frequency");
    assert_refused("name = \"x\"\nmodule == 3;\n",
                   "t.conf:2: syntax error, libconfig syntax is expected: key = value;");
    assert_refused("module = \"x\";\n", "t.conf:1: a board needs a \"name\"");
    assert_refused(
        "name = \"x\";\nsensors = ( { chip = \"c\";\n scope = \"moon\";\n channels = ( { label = \"A\"; } ); } );\n",
        "t.conf:3: unknown scope \"moon\", allowed: rail, module, carrier, board, package, system");
    assert_refused(
        "name = \"x\";\nsensors = ( { chip = \"c\"; channels = (\n { label = \"A\"; roles = ( \"cpu\", \"fpga\" ); } "
        "); } );\n",
        "t.conf:3: unknown role \"fpga\", allowed: cpu, gpu, cv, soc, ram, io, wifi, module, board, package, core, "
        "uncore, dram, psys");
}

#define SENSORS(list) "name = \"x\";\nsensors = ( { chip = \"c\"; channels = ( " list " ); } );\n"

static void a_profile_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    assert_refused(SENSORS("{ label = \"total\"; }"),
                   "t.conf:2: label \"total\" is reserved for the sum, choose another");
    assert_refused(SENSORS("{ label = \"a b\"; }"), "t.conf:2: label \"a b\" must be 1 to 32 of A-Z a-z 0-9 _ . -");
    assert_refused(SENSORS("{ label = \"A\"; }, { label = \"A\"; }"),
                   "t.conf:2: label \"A\" stands twice, each must be its own");
    assert_refused(SENSORS("{ channel = 2; label = \"A\"; }, { channel = 2; label = \"B\"; }"),
                   "t.conf:2: \"B\" is channel 2 of a sensor that has one already, each must be its own");
    assert_refused(SENSORS("{ label = \"A\"; part_of = \"B\"; }"),
                   "t.conf:2: \"A\" is part of \"B\", which is no channel of this board");
    assert_refused(SENSORS("{ label = \"A\"; part_of = \"B\"; }, { label = \"B\"; part_of = \"A\"; }"),
                   "t.conf:2: \"A\" is part of itself");
    assert_refused(SENSORS("{ label = \"A\"; }") "totals = { board = ( \"B\" ); };\n",
                   "t.conf:3: the total names \"B\", which is no channel of this board");
    assert_refused(
        SENSORS("{ label = \"A\"; }, { label = \"B\"; part_of = \"A\"; }") "totals = { board = ( \"A\", \"B\" ); };\n",
        "t.conf:3: the total counts \"B\" twice: it is part of \"A\"");
    assert_refused(SENSORS("{ label = \"A\"; }") "totals = { module = ( \"A\", \"A\" ); };\n",
                   "t.conf:3: the total names \"A\" twice");
}

#define RAIL SENSORS("{ label = \"A\"; }")

static void the_new_keys_are_read_strictly(void **state)
{
    static const char text[] = "name = \"x\";\nmodules = ( { part = \"p1-1\"; name = \"One\"; ram_gib = 8; },\n"
                               "  { part = \"p1-2\"; name = \"Two\"; } );\n"
                               "gpu = { frequency = ( \"/sys/a\", \"/sys/b\" ); };\n"
                               "totals = { outside = { board = \"far\"; system = \"out\"; }; };\n";
    struct jp_board board;

    (void)state;
    assert_int_equal(jp_board_parse("t", text, "t.conf", &board, error, sizeof error), 0);
    assert_int_equal(board.module_count, 2);
    assert_string_equal(board.modules[0].part, "p1-1");
    assert_int_equal(board.modules[0].ram_gib, 8);
    assert_string_equal(board.modules[1].name, "Two");
    assert_int_equal(board.modules[1].ram_gib, 0);
    assert_int_equal(board.gpu.frequencies, 2);
    assert_string_equal(board.gpu.frequency[1], "/sys/b");
    assert_string_equal(board.outside[JP_SCOPE_BOARD], "far");
    assert_string_equal(board.outside[JP_SCOPE_SYSTEM], "out");
    assert_string_equal(board.outside[JP_SCOPE_MODULE], "");
    assert_refused("name = \"x\";\nmodules = ( { part = \"p1-1\"; } );\n",
                   "t.conf:2: a module needs \"part\", such as \"p3767-0005\", and \"name\"");
    assert_refused("name = \"x\";\nmodules = ( { part = \"p1-1\"; name = \"One\"; ram = 8; } );\n",
                   "t.conf:2: unknown key \"ram\", allowed here: part, name, ram_gib");
    assert_refused("name = \"x\";\nmodules = ( { part = \"p1-1\"; name = \"One\"; ram_gib = 0; } );\n",
                   "t.conf:2: \"ram_gib\" must be a whole number from 1 to 4096");
    assert_refused("name = \"x\";\ngpu = { frequency = \"/sys/a\"; };\n",
                   "t.conf:2: \"frequency\" must be a list of at most 16 texts");
    assert_refused(RAIL "totals = { outside = \"far\"; };\n", "t.conf:3: \"outside\" must be a group, { ... }");
    assert_refused(RAIL "totals = { outside = { rail = \"far\"; }; };\n",
                   "t.conf:3: unknown key \"rail\", allowed here: board, module, package, system");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_compiled_in_profile_holds_together),
        cmocka_unit_test(the_agx_orin_profile_has_its_rails_and_total),
        cmocka_unit_test(a_wrong_profile_is_told_with_its_line),
        cmocka_unit_test(a_profile_that_contradicts_itself_is_refused),
        cmocka_unit_test(the_new_keys_are_read_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
