// SPDX-License-Identifier: Apache-2.0
// Which profile a machine gets, whole entries only, and which of the board's modules it has.
#define _GNU_SOURCE
#include "board.h"

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

static bool listed(const struct jp_board *board, const char *entries, size_t size)
{
    for (int i = 0; i < board->matches; i++)
        for (size_t at = 0; at < size; at += strlen(entries + at) + 1)
            if (strcmp(board->match[i], entries + at) == 0)
                return true;
    return false;
}

static void matches(const char *entries, size_t size, const char *expected)
{
    const struct jp_site site = {.root = root};
    const struct jp_board *board;
    struct jp_board *boards;
    int count;

    write_file("/proc/device-tree/compatible", entries, size);
    boards = jp_board_load(NULL, NULL, &count, error, sizeof error);
    assert_non_null(boards);
    board = jp_board_match(boards, count, &site, "");
    assert_non_null(board);
    assert_string_equal(board->id, expected);
    for (int i = 0; i < count; i++) // by its priority, not by its place in the list
        if (&boards[i] != board && listed(&boards[i], entries, size))
            assert_true(boards[i].priority < board->priority);
    free(boards);
    boards = jp_board_load(&site, NULL, &count, error, sizeof error); // those that may be this machine
    assert_in_range(count, 2, 4);
    assert_string_equal(jp_board_match(boards, count, &site, "")->id, expected);
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

// Lists as trees of that board have them: L4T sources, Linux, and what boards were seen to say.
static void every_known_tree_is_its_board_and_no_other(void **state)
{
    (void)state;
    MATCHES("nvidia,p2371-2180\0nvidia,p2180\0nvidia,tegra210", "jetson-tx1");
    MATCHES("nvidia,p2597-0000+p2180-1000\0nvidia,jetson-cv\0nvidia,tegra210", "jetson-tx1");
    MATCHES("nvidia,p2771-0000\0nvidia,tegra186", "jetson-tx2");
    MATCHES("nvidia,p2597-0000+p3310-1000\0nvidia,tegra186", "jetson-tx2");
    MATCHES("nvidia,quill\0nvidia,tegra186", "jetson-tx2");
    MATCHES("nvidia,p3509-0000+p3636-0001\0nvidia,tegra186", "jetson-tx2-nx");
    MATCHES("nvidia,p3450-0000\0nvidia,tegra210", "jetson-nano");
    MATCHES("nvidia,p3449-0000-b00+p3448-0000-b00\0nvidia,jetson-nano\0nvidia,tegra210", "jetson-nano");
    MATCHES("nvidia,p3541-0000\0nvidia,p3450-0000\0nvidia,tegra210", "jetson-nano-2gb");
    MATCHES("nvidia,p3542-0000+p3448-0003\0nvidia,jetson-nano-2gb\0nvidia,jetson-nano\0nvidia,tegra210",
            "jetson-nano-2gb");
    MATCHES("nvidia,galen\0nvidia,jetson-xavier\0nvidia,p2822-0000+p2888-0001\0nvidia,tegra194", "jetson-agx-xavier");
    MATCHES("nvidia,p2822-0000+p2888-0006\0nvidia,p2972-0006\0nvidia,tegra194", "jetson-agx-xavier");
    MATCHES("nvidia,jetson-xavier-industrial\0nvidia,tegra194", "jetson-agx-xavier");
    MATCHES("nvidia,e3900-0000+p2888-0004\0nvidia,galen\0nvidia,jetson-xavier\0nvidia,tegra194", "jetson-agx-xavier");
    MATCHES("nvidia,p3668-0001\0nvidia,p3668-emul\0nvidia,tegra194", "generic-arm"); // AGX Xavier plays Xavier NX
    MATCHES("nvidia,p3449-0000+p3668-0001\0nvidia,p3509-0000+p3668-0001\0nvidia,tegra194", "jetson-xavier-nx");
    MATCHES("nvidia,p3740-0002+p3701-0002\0nvidia,tegra23x\0nvidia,tegra234", "igx-orin");
    MATCHES("nvidia,p3740-0002+p3701-0008\0nvidia,p3701-0008\0nvidia,tegra234", "igx-orin");
    MATCHES("nvidia,p3737-0000+p3701-0008\0nvidia,p3701-0008\0nvidia,tegra234\0nvidia,tegra23x", "jetson-agx-orin");
    MATCHES("nvidia,p3711-0000+p3701-0002\0nvidia,tegra23x\0nvidia,tegra234", "generic-arm");
    MATCHES("nvidia,p3509-0000+p3767-0001\0nvidia,p3767-0001\0nvidia,tegra234\0nvidia,tegra23x", "jetson-orin-nx");
    MATCHES("oe4t,p3768-0000+p3767-0005+demo\0nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234",
            "jetson-orin-nano");
    MATCHES("nvidia,p4071-0000+p3834-0008\0nvidia,p3834-0008\0nvidia,tegra264", "jetson-agx-thor");
    MATCHES("nvidia,p9999-0000\0nvidia,tegra234", "generic-arm");
}

static void without_a_device_tree_the_processor_tells_the_kind(void **state)
{
    static const char x86[] = "processor\t: 0\nvendor_id\t: GenuineIntel\n";
    static const char arm[] = "processor\t: 0\nCPU implementer\t: 0x41\n";
    const struct jp_site site = {.root = root};
    int count;
    struct jp_board *boards = jp_board_load(NULL, NULL, &count, error, sizeof error);

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
    free(jp_board_load(NULL, dir, &before, error, sizeof error));
    write_file("/boards.d/mine.conf", own, sizeof own - 1);
    write_file("/boards.d/jetson-orin-nano.conf", nano, sizeof nano - 1);
    write_file("/boards.d/readme.txt", "x", 1);
    write_file("/sys/class/dmi/id/product_name", "Box 9\n", 6);

    struct jp_board *boards = jp_board_load(NULL, dir, &count, error, sizeof error);

    assert_non_null(boards);
    assert_int_equal(count, before + 1);
    assert_string_equal(jp_board_match(boards, count, &site, NULL)->name, "Mine");
    assert_string_equal(jp_board_match(boards, count, &site, "jetson-orin-nano")->name, "My carrier");
    assert_false(jp_board_match(boards, count, &site, "jetson-orin-nano")->builtin);
    free(boards);

    write_file("/boards.d/wrong.conf", "name = 1;\n", 10);
    assert_null(jp_board_load(NULL, dir, &count, error, sizeof error));
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
    boards = jp_board_load(NULL, dir, &count, error, sizeof error);
    assert_non_null(boards);
    assert_string_equal(jp_board_match(boards, count, &site, NULL)->id, "generic-arm");
    free(boards);
}

// What the module of a tree is called.
static const char *module(const char *id, const char *entries, size_t size, int64_t ram_kb)
{
    static char name[128];
    const struct jp_site site = {.root = root};
    struct jp_board *boards;
    int count;

    write_file("/proc/device-tree/compatible", entries, size);
    boards = jp_board_load(NULL, NULL, &count, error, sizeof error);
    assert_non_null(boards);
    jp_board_module(jp_board_match(boards, count, &site, id), &site, ram_kb * 1024, name, sizeof name);
    free(boards);
    return name;
}

#define MODULE(id, entries, ram_kb, expected) assert_string_equal(module(id, entries, sizeof entries, ram_kb), expected)

#define NX_ALL                                                                                                         \
    "nvidia,p3449-0000+p3668-0000\0nvidia,p3449-0000+p3668-0001\0nvidia,p3509-0000+p3668-0000\0"                       \
    "nvidia,p3509-0000+p3668-0001\0nvidia,tegra194"
#define GALEN "nvidia,galen\0nvidia,jetson-xavier\0nvidia,p2822-0000+p2888-0001\0nvidia,tegra194"

static void the_module_is_the_only_one_the_tree_names(void **state)
{
    (void)state;
    MODULE("jetson-agx-orin", "nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234", 64349928,
           "NVIDIA Jetson AGX Orin (64GB ram)");
    MODULE("jetson-orin-nano", "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234", 7802128,
           "NVIDIA Jetson Orin Nano (Developer kit)");
    MODULE("igx-orin", "nvidia,p3740-0002+p3701-0002-safety\0nvidia,tegra23x", 64349928,
           "NVIDIA Jetson IGX Orin (Developer kit)");
    MODULE("jetson-nano", "nvidia,p3449-0000-b00+p3448-0002-b00\0nvidia,jetson-nano", 4059712,
           "NVIDIA Jetson Nano module (16Gb eMMC)");
    MODULE("jetson-tx2", "nvidia,p2597-0000+p3310-1000\0nvidia,tegra186", 0, "NVIDIA Jetson TX2");
}

static void an_emulated_module_and_a_longer_number_are_not_named(void **state)
{
    (void)state;
    MODULE("jetson-orin-nx", "nvidia,p3509-0000+p3767-0000-as-p3767-0001\0nvidia,tegra234", 0, "NVIDIA Jetson Orin NX");
    MODULE("jetson-orin-nx", "nvidia,p3767-00001\0nvidia,tegra234", 0, "NVIDIA Jetson Orin NX");
}

static void where_one_tree_serves_several_the_memory_decides(void **state)
{
    (void)state;
    MODULE("jetson-agx-xavier", GALEN, 15930000, "NVIDIA Jetson AGX Xavier (16 GB ram)");
    MODULE("jetson-agx-xavier", GALEN, 64300000, "NVIDIA Jetson AGX Xavier (64 GB ram)");
    MODULE("jetson-agx-xavier", "nvidia,p2822-0000+p2888-0006\0nvidia,p2972-0006", 7900000,
           "NVIDIA Jetson AGX Xavier (8 GB ram)");
    MODULE("jetson-xavier-nx", NX_ALL, 15930000, "NVIDIA Jetson Xavier NX (16GB ram)");
    MODULE("jetson-orin-nx", "nvidia,tegra234", 16336000, "NVIDIA Jetson Orin NX (16GB ram)");
}

static void where_several_remain_the_general_name_tells_the_memory(void **state)
{
    (void)state;
    MODULE("jetson-agx-xavier", GALEN, 32692948, "NVIDIA Jetson AGX Xavier (32 GB ram)");
    MODULE("jetson-xavier-nx", NX_ALL, 7990000, "NVIDIA Jetson Xavier NX (8 GB ram)");
    MODULE("jetson-orin-nano", "nvidia,p3767-0003\0nvidia,p3767-0005\0nvidia,tegra234", 7802128,
           "NVIDIA Jetson Orin Nano (8 GB ram)");
    MODULE("jetson-agx-orin", "nvidia,p3701-0000\0nvidia,tegra234", 31734752, "NVIDIA Jetson AGX Orin (32 GB ram)");
    MODULE("jetson-agx-orin", "nvidia,p3701-0000\0nvidia,tegra234", 64349928, "NVIDIA Jetson AGX Orin (64 GB ram)");
    MODULE("jetson-agx-orin", "nvidia,p3701-0000\0nvidia,tegra234", 640000000, "NVIDIA Jetson AGX Orin");
    MODULE("generic-arm", "nvidia,tegra234", 7802128, "");
}

static void eeprom(const char *client, const char *number)
{
    char bytes[256] = {0}, path[128];

    memcpy(bytes + 20, number, strlen(number));
    memcpy(bytes + 74, "1420000000000", 13);
    snprintf(path, sizeof path, "/sys/bus/i2c/devices/%s/eeprom", client);
    write_file(path, bytes, sizeof bytes);
}

static void the_eeprom_of_the_module_goes_before_tree_and_memory(void **state)
{
    (void)state;
    eeprom("0-0050", "699-82888-0004-400 M.0       ");
    MODULE("jetson-agx-xavier", GALEN, 15930000, "NVIDIA Jetson AGX Xavier (32 GB ram)");
    eeprom("0-0050", "699-82888-0008-400 M.0       ");
    MODULE("jetson-agx-xavier", GALEN, 32692948, "NVIDIA Jetson AGX Xavier Industrial (32 GB ram)");
    eeprom("0-0050", "699-13701-0005-500 L.0       ");
    MODULE("jetson-agx-orin", "nvidia,p3701-0000\0nvidia,tegra234", 0, "NVIDIA Jetson AGX Orin (64GB ram)");
}

static void an_eeprom_of_another_board_place_or_make_decides_nothing(void **state)
{
    static const char cut[35] = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "699-13767-0000";

    (void)state;
    eeprom("0-0050", "699-13737-0000-300 B.0       "); // another board's number
    eeprom("1-0057", "699-13767-0000-300 B.0       "); // the carrier's place
    eeprom("2-0050", "EDI-13767-0000-300 B.0       "); // not a number of NVIDIA's
    write_file("/sys/bus/i2c/devices/3-0050/eeprom", cut, sizeof cut);
    MODULE("jetson-orin-nx", "nvidia,p3767-0001\0nvidia,tegra234", 7802128, "NVIDIA Jetson Orin NX (8GB ram)");
    eeprom("10-0050", "699-13767-0000-300 B.0       ");
    MODULE("jetson-orin-nx", "nvidia,p3767-0001\0nvidia,tegra234", 7802128, "NVIDIA Jetson Orin NX (16GB ram)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(matching_looks_at_whole_entries_of_the_whole_list, make_root, drop_root),
        cmocka_unit_test_setup_teardown(every_known_tree_is_its_board_and_no_other, make_root, drop_root),
        cmocka_unit_test_setup_teardown(without_a_device_tree_the_processor_tells_the_kind, make_root, drop_root),
        cmocka_unit_test_setup_teardown(a_file_of_board_dir_adds_replaces_and_is_checked, make_root, drop_root),
        cmocka_unit_test_setup_teardown(an_entry_of_an_emulation_tree_matches_not_even_itself, make_root, drop_root),
        cmocka_unit_test_setup_teardown(the_module_is_the_only_one_the_tree_names, make_root, drop_root),
        cmocka_unit_test_setup_teardown(an_emulated_module_and_a_longer_number_are_not_named, make_root, drop_root),
        cmocka_unit_test_setup_teardown(where_one_tree_serves_several_the_memory_decides, make_root, drop_root),
        cmocka_unit_test_setup_teardown(where_several_remain_the_general_name_tells_the_memory, make_root, drop_root),
        cmocka_unit_test_setup_teardown(the_eeprom_of_the_module_goes_before_tree_and_memory, make_root, drop_root),
        cmocka_unit_test_setup_teardown(an_eeprom_of_another_board_place_or_make_decides_nothing, make_root, drop_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
