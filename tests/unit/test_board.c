// SPDX-License-Identifier: Apache-2.0
// Board profiles: every compiled-in one holds together, wrong ones are told with their line, matching is exact.
#define _GNU_SOURCE
#include "board.h"
#include "builtin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void check_total(const struct jp_board *board, const char (*labels)[33], int count)
{
    for (int i = 0; i < count; i++) {
        assert_true(has_label(board, labels[i]));
        for (int j = 0; j < board->channel_count; j++)
            if (strcmp(board->channels[j].label, labels[i]) == 0)
                for (int k = 0; k < count; k++)
                    assert_string_not_equal(board->channels[j].part_of, labels[k]);
    }
}

static void every_compiled_in_profile_holds_together(void **state)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    int seen = 0;

    (void)state;
    for (const struct jp_board_text *text = jp_board_texts; text->id; text++, seen++) {
        struct jp_board board;

        error[0] = '\0';
        jp_board_parse(text->id, text->text, text->id, &board, error, sizeof error);
        assert_string_equal(error, "");
        for (int i = 0; i < board.channel_count; i++) {
            const struct jp_board_channel *channel = &board.channels[i];

            assert_int_equal(strspn(channel->label, legal), strlen(channel->label));
            assert_string_not_equal(channel->label, "total");
            assert_true(channel->roles != 0);
            if (channel->part_of[0])
                assert_true(has_label(&board, channel->part_of));
        }
        check_total(&board, board.total_board, board.total_board_count);
        check_total(&board, board.total_module, board.total_module_count);
        if (strncmp(text->id, "jetson-", 7) == 0) {
            assert_int_equal(board.gpu.count, 1);
            assert_true(board.gpu.name[0] && board.gpu.loads > 0 && board.matches > 0);
        }
        for (int i = 0; i < board.matches; i++)
            assert_null(strstr(board.match[i], "-as-"));
    }
    assert_true(seen >= 4);
}

static void the_agx_orin_profile_has_its_rails_and_total(void **state)
{
    int count;
    struct jp_board *boards = jp_board_load_all(NULL, &count, error, sizeof error);
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
                   "t.conf:2: unknown key \"colour\", allowed here: name, module, soc, match, priority, verified, gpu, "
                   "sensors, totals, power_modes, sources");
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
                   "t.conf:4: unknown key \"size\", allowed here: count, name, arch, load");
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

static char root[256];

static void write_file(const char *path, const char *bytes, size_t size)
{
    char full[512];
    FILE *file;

    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *at = strchr(full + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(full, 0755);
        *at = '/';
    }
    file = fopen(full, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/jp-board-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    char command[300];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void matches(const char *entries, size_t size, const char *expected)
{
    const struct jp_site site = {.root = root};
    const struct jp_board *board;
    struct jp_board *boards;
    int count;

    write_file("/proc/device-tree/compatible", entries, size);
    boards = jp_board_load_all(NULL, &count, error, sizeof error);
    assert_non_null(boards);
    board = jp_board_match(boards, count, &site, "");
    assert_non_null(board);
    assert_string_equal(board->id, expected);
    free(boards);
}

#define MATCHES(entries, expected) matches(entries, sizeof entries, expected)

static void matching_looks_at_whole_entries_of_the_whole_list(void **state)
{
    (void)state;
    MATCHES("nvidia,p3737-0000+p3701-0000\0nvidia,p3701-0000\0nvidia,tegra234\0nvidia,tegra23x", "jetson-agx-orin");
    MATCHES("nvidia,tegra23x\0nvidia,tegra234\0nvidia,p3701-0005", "jetson-agx-orin");
    MATCHES("nvidia,p3768-0000+p3767-0003\0nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0003\0nvidia,tegra234",
            "jetson-orin-nano");
    MATCHES("nvidia,p3737-0000+p3701-0000-as-p3767-0003\0nvidia,tegra234", "generic-arm");
    MATCHES("nvidia,p3737-0000+p3701-0000-as-p3767-0003\0nvidia,p3701-0000\0nvidia,tegra234", "jetson-agx-orin");
    MATCHES("nvidia,p3767-00031\0nvidia,tegra234", "generic-arm");
    MATCHES("raspberrypi,4-model-b\0brcm,bcm2711", "generic-arm");
}

static void without_a_device_tree_the_processor_tells_the_kind(void **state)
{
    static const char x86[] = "processor\t: 0\nvendor_id\t: GenuineIntel\n";
    static const char arm[] = "processor\t: 0\nCPU implementer\t: 0x41\n";
    const struct jp_site site = {.root = root};
    int count;
    struct jp_board *boards = jp_board_load_all(NULL, &count, error, sizeof error);

    (void)state;
    write_file("/proc/cpuinfo", x86, sizeof x86 - 1);
    assert_string_equal(jp_board_match(boards, count, &site, NULL)->id, "generic-x86");
    write_file("/proc/cpuinfo", arm, sizeof arm - 1);
    assert_string_equal(jp_board_match(boards, count, &site, NULL)->id, "generic-arm");
    free(boards);
}

static void a_file_of_board_dir_adds_replaces_and_is_checked(void **state)
{
    static const char own[] = "name = \"Mine\"; match = ( \"dmi:Box 9\" ); priority = 7;\n";
    static const char nano[] = "name = \"My carrier\";\nmatch = ( \"nvidia,p3767-0003\" );\n";
    const struct jp_site site = {.root = root};
    char dir[300];
    int before, count;

    (void)state;
    snprintf(dir, sizeof dir, "%s/boards.d", root);
    free(jp_board_load_all(dir, &before, error, sizeof error));
    write_file("/boards.d/mine.conf", own, sizeof own - 1);
    write_file("/boards.d/jetson-orin-nano.conf", nano, sizeof nano - 1);
    write_file("/boards.d/readme.txt", "x", 1);
    write_file("/sys/class/dmi/id/product_name", "Box 9\n", 6);

    struct jp_board *boards = jp_board_load_all(dir, &count, error, sizeof error);

    assert_non_null(boards);
    assert_int_equal(count, before + 1);
    assert_string_equal(jp_board_match(boards, count, &site, NULL)->name, "Mine");
    assert_string_equal(jp_board_match(boards, count, &site, "jetson-orin-nano")->name, "My carrier");
    assert_false(jp_board_match(boards, count, &site, "jetson-orin-nano")->builtin);
    free(boards);

    write_file("/boards.d/wrong.conf", "name = 1;\n", 10);
    assert_null(jp_board_load_all(dir, &count, error, sizeof error));
    assert_non_null(strstr(error, "/boards.d/wrong.conf:1: \"name\" must be a text"));
}

static void an_entry_of_an_emulation_tree_matches_not_even_itself(void **state)
{
    static const char entry[] = "nvidia,p3737-0000+p3701-0000-as-p3767-0003";
    static const char text[] = "name = \"Emulated\"; match = ( \"nvidia,p3737-0000+p3701-0000-as-p3767-0003\" );\n";
    const struct jp_site site = {.root = root};
    struct jp_board *boards;
    char dir[300];
    int count;

    (void)state;
    snprintf(dir, sizeof dir, "%s/boards.d", root);
    write_file("/boards.d/emulated.conf", text, sizeof text - 1);
    write_file("/proc/device-tree/compatible", entry, sizeof entry);
    boards = jp_board_load_all(dir, &count, error, sizeof error);
    assert_non_null(boards);
    assert_string_equal(jp_board_match(boards, count, &site, NULL)->id, "generic-arm");
    free(boards);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_compiled_in_profile_holds_together),
        cmocka_unit_test(the_agx_orin_profile_has_its_rails_and_total),
        cmocka_unit_test(a_wrong_profile_is_told_with_its_line),
        cmocka_unit_test(a_profile_that_contradicts_itself_is_refused),
        cmocka_unit_test_setup_teardown(matching_looks_at_whole_entries_of_the_whole_list, make_root, drop_root),
        cmocka_unit_test_setup_teardown(without_a_device_tree_the_processor_tells_the_kind, make_root, drop_root),
        cmocka_unit_test_setup_teardown(an_entry_of_an_emulation_tree_matches_not_even_itself, make_root, drop_root),
        cmocka_unit_test_setup_teardown(a_file_of_board_dir_adds_replaces_and_is_checked, make_root, drop_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
