// SPDX-License-Identifier: Apache-2.0
// Facts beside the numbers: processors, releases and power modes, as each machine's files tell them.
#define _GNU_SOURCE
#include "facts.h"
#include "lines.h"
#include "machine.h"
#include "power_mode.h"

static struct jp_site site = {.root = root};

#define CORE(implementer, part)                                                                                        \
    "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nCPU implementer\t: " implementer                       \
    "\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: " part "\nCPU revision\t: 3\n\n"

#define A57 CORE("0x41", "0xd07")
#define DENVER CORE("0x4e", "0x003")

static void arm_processors_have_the_names_of_their_part_numbers(void **state)
{
    static const struct {
        const char *text, *name;
    } cases[] = {
        {CORE("0x41", "0xd42") CORE("0x41", "0xd42"), "Arm Cortex-A78AE"},
        {CORE("0x4e", "0x004"), "NVIDIA Carmel"},
        {CORE("0x41", "0xd83"), "Arm Neoverse-V3AE"},
        {A57 DENVER DENVER A57 A57 A57, "2 x NVIDIA Denver 2 + 4 x Arm Cortex-A57"},
        {CORE("0x41", "0xd05") CORE("0x41", "0xd0b"), "1 x Arm Cortex-A76 + 1 x Arm Cortex-A55"},
        {CORE("0x41", "0xfff"), "ARMv8 Processor rev 1 (v8l)"}, // not known: what the kernel says
        {A57 CORE("0x99", "0xd07"), "ARMv8 Processor rev 1 (v8l)"},
        {"processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xfff\n", ""},
        {"processor\t: 0\nmodel name\t: Intel(R) N100\n", "Intel(R) N100"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("/proc/cpuinfo", cases[i].text);
        discover();
        assert_string_equal(plan.run.facts.cpu_model, cases[i].name);
        jp_plan_close(&plan);
    }
}

static void processors_that_are_offline_count(void **state)
{
    static const struct {
        const char *present;
        int count;
    } cases[] = {{"0-11\n", 12}, {"0-3,6,8-9\n", 7}, {"0\n", 1}, {"", 2}, {"3-1\n", 2}, {"x", 2}};
    struct jp_cpus cpus;

    (void)state;
    put("/proc/cpuinfo", A57 A57);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("/sys/devices/system/cpu/present", cases[i].present);
        jp_facts_cpus(&site, &cpus);
        assert_int_equal(cpus.present, cases[i].count);
        assert_int_equal(cpus.listed, 2);
        assert_int_equal(cpus.sockets, 1);
    }
}

// The model of the power goes by what CodeCarbon would read: the name in cpuinfo, and those that are online.
static void the_modelled_power_is_codecarbons_whatever_is_offline(void **state)
{
    (void)state;
    put("/proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\n");
    put("/proc/cpuinfo", A57 A57 A57);
    put("/sys/devices/system/cpu/present", "0-5\n");
    discover();
    assert_int_equal(plan.run.facts.cpu_count, 6);
    assert_string_equal(plan.run.facts.cpu_model, "Arm Cortex-A57");
    assert_int_equal(plan.tdp_mw[0], 3 * 4000);
}

static void each_release_has_its_jetpack_or_none(void **state)
{
    static const struct {
        const char *text, *l4t, *jetpack;
    } cases[] = {
        {"# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n", "36.4.3", "6.2"},
        {"# R38 (release), REVISION: 2.0, GCID: 1, BOARD: generic\n# KERNEL_VARIANT: oot\n", "38.2.0", "7.0"},
        {"# R39 (release), REVISION: 2.0, GCID: 1\n", "39.2.0", "7.2"},
        {"# R35 (release), REVISION: 6.1, GCID: 1\n", "35.6.1", "5.1.5"},
        {"# R32 (release), REVISION: 7.1, GCID: 29818004\n", "32.7.1", "4.6.1"},
        {"# R28 (release), REVISION: 2.1, GCID: 1\n", "28.2.1", ""}, // two of them
        {"# R36 (release), REVISION: 4.99, GCID: 1\n", "36.4.99", ""},
        {"# R36 (release)\n", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("/etc/nv_tegra_release", cases[i].text);
        discover();
        assert_string_equal(plan.run.facts.l4t, cases[i].l4t);
        assert_string_equal(plan.run.facts.jetpack, cases[i].jetpack);
        jp_plan_close(&plan);
    }
}

static const char *mode(void)
{
    static char name[JP_NAME_MAX];

    jp_power_mode_name(&site, &plan.board, jp_power_mode_id(&site), name);
    return name;
}

static void a_power_mode_has_the_name_of_the_machines_own_table(void **state)
{
    char path[128];

    (void)state;
    memset(&plan.board, 0, sizeof plan.board);
    assert_false(jp_power_mode_here(&site));
    assert_string_equal(mode(), "");
    plan.board.power_mode_count = 1;
    plan.board.power_modes[0].id = 2;
    strcpy(plan.board.power_modes[0].name, "PROFILE");
    put("/var/lib/nvpmodel/status", "pmode:0002 fmode:quiet\n");
    assert_true(jp_power_mode_here(&site));
    assert_string_equal(mode(), "PROFILE");
    put("/etc/nvpmodel.conf", "# < POWER_MODEL ID=2 NAME=COMMENT >\n< PM_CONFIG DEFAULT=2 >\n"
                              "< POWER_MODEL ID=12 NAME=NO >\n< POWER_MODEL ID=2 NAME=MODE_30W >\n");
    assert_string_equal(mode(), "MODE_30W");
    put("/etc/nvpmodel.conf", "< POWER_MODEL ID=2 NAME=A\"B\\\x7f>\n");
    assert_string_equal(mode(), "A_B__");
    put("/etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=MAXN >\n");
    assert_string_equal(mode(), ""); // its own table does not know it, and the profile may mean another
    snprintf(path, sizeof path, "%s/etc/nvpmodel.conf", root);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/nvpmodel/nvpmodel_none_such.conf", path), 0);
    assert_string_equal(mode(), "PROFILE");
    put("/etc/nvpmodel/nvpmodel_none_such.conf", "< POWER_MODEL ID=2 NAME=LINKED >\n");
    assert_string_equal(mode(), "LINKED");
}

static void a_status_that_makes_no_sense_is_no_mode(void **state)
{
    static const char *const texts[] = {"", "pmode:", "pmode:x", "pmode:12345678901", "fmode:quiet", "mode 2"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        put("/var/lib/nvpmodel/status", texts[i]);
        assert_int_equal(jp_power_mode_id(&site), -1);
    }
    put("/var/lib/nvpmodel/status", "pmode:0000");
    assert_int_equal(jp_power_mode_id(&site), 0);
}

static char seen[16][8];
static int seen_count;
static size_t longest;

static void memory_that_no_machine_has_is_unknown(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {{"MemTotal:       31734752 kB\n", 31734752LL * 1024},
                 {"MemTotal: 9223372036854775807 kB\n", 0},
                 {"MemTotal: -9000000000000000000 kB\n", 0},
                 {"MemTotal: -4 kB\n", 0},
                 {"MemTotal: x\n", 0},
                 {"", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("/proc/meminfo", cases[i].text);
        discover();
        assert_true(plan.run.facts.ram_bytes == cases[i].bytes);
        jp_plan_close(&plan);
    }
}

static void nothing(void *context, char *line)
{
    (void)context;
    (void)line;
}

static void a_file_without_an_end_has_one(void **state)
{
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/endless", root);
    assert_int_equal(symlink("/dev/zero", path), 0);
    alarm(20);
    assert_int_equal(jp_lines(&site, "/endless", nothing, NULL), -EFBIG);
    alarm(0);
}

static void see(void *context, char *line)
{
    (void)context;
    longest = strlen(line) > longest ? strlen(line) : longest;
    snprintf(seen[seen_count++ % 16], sizeof seen[0], "%.7s", line);
}

static void put_gpu(int bus, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "/proc/driver/nvidia/gpus/0000:%02x:00.0/information", (unsigned)bus);
    put(path, text);
}

static void graphics_cards_are_counted_and_named(void **state)
{
    (void)state;
    put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Intel(R) N100\n");
    discover();
    assert_int_equal(plan.run.facts.gpu_count, -1);
    assert_string_equal(plan.run.facts.gpu_name, "");
    jp_plan_close(&plan);
    put_gpu(1, "Model: \t\t NVIDIA A2\nIRQ:   \t\t 128\nGPU UUID: \t GPU-1\n");
    put_gpu(2, "Model: \t\t NVIDIA A2\n");
    discover();
    assert_int_equal(plan.run.facts.gpu_count, 2);
    assert_string_equal(plan.run.facts.gpu_name, "NVIDIA A2");
    jp_plan_close(&plan);
    put_gpu(3, "Model: \t\t NVIDIA L4, 24 GB\n");
    put_gpu(4, "Model: \t\t NVIDIA A2\n");
    put_gpu(16, "");
    discover();
    assert_int_equal(plan.run.facts.gpu_count, 5);
    assert_string_equal(plan.run.facts.gpu_name, "NVIDIA A2, NVIDIA L4, 24 GB, NVIDIA A2");
    jp_plan_close(&plan);
    put("/proc/device-tree/compatible", "nvidia,p3701-0000"); // the profile's own, whatever a file says
    discover();
    assert_int_equal(plan.run.facts.gpu_count, 1);
    assert_null(strstr(plan.run.facts.gpu_name, "A2"));
    jp_plan_close(&plan);
}

static void lines_of_any_length_come_one_by_one(void **state)
{
    static char text[20000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "one\n\n", 5);
    text[4000] = '\n';
    memcpy(text + 4001, "three", 5);
    text[15000] = '\n';
    strcpy(text + 15001, "last");
    put("/lines", text);
    assert_int_equal(jp_lines(&site, "/lines", see, NULL), 0);
    assert_int_equal(seen_count, 5);
    assert_string_equal(seen[0], "one");
    assert_string_equal(seen[1], "");
    assert_string_equal(seen[3], "threexx");
    assert_string_equal(seen[4], "last");
    assert_int_equal(longest, JP_LINE_MAX - 1);
    assert_int_equal(jp_lines(&site, "/none", see, NULL), -ENOENT);
    assert_true(jp_lines(&site, "/", see, NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(arm_processors_have_the_names_of_their_part_numbers),
        WITH_ROOT(processors_that_are_offline_count),
        WITH_ROOT(the_modelled_power_is_codecarbons_whatever_is_offline),
        WITH_ROOT(each_release_has_its_jetpack_or_none),
        WITH_ROOT(a_power_mode_has_the_name_of_the_machines_own_table),
        WITH_ROOT(a_status_that_makes_no_sense_is_no_mode),
        WITH_ROOT(memory_that_no_machine_has_is_unknown),
        WITH_ROOT(a_file_without_an_end_has_one),
        WITH_ROOT(graphics_cards_are_counted_and_named),
        WITH_ROOT(lines_of_any_length_come_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
