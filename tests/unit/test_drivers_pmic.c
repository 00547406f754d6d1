// SPDX-License-Identifier: Apache-2.0
// The Raspberry Pi's PMIC behind a mailbox that this program answers itself: an ioctl in front of libc's.
#define _GNU_SOURCE
#include "driver_rig.h"

#include <errno.h>
#include <sys/ioctl.h>

#define DEVICE "/dev/vcio_gencmd"
#define ROOM 4096

static const struct jp_driver *const driver = &jp_driver_rpi_pmic;
static char reply[ROOM + 1];
static uint32_t reply_error; // the firmware's own
static int failure, asked;

// The message as raspberrypi/utils vcgencmd/vcgencmd.c lays it out: words, the tag's text at the sixth, the end tag.
int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    uint32_t *words;

    (void)fd;
    va_start(rest, request);
    words = va_arg(rest, uint32_t *);
    va_end(rest);
    asked++;
    assert_int_equal(request, _IOWR(100, 0, char *));
    assert_int_equal(words[0], ROOM + 7 * sizeof *words);
    assert_int_equal(words[1], 0);
    assert_int_equal(words[2], 0x00030080);
    assert_int_equal(words[3], ROOM);
    assert_int_equal(words[4], 0);
    assert_string_equal((char *)&words[6], "pmic_read_adc");
    assert_int_equal(words[6 + ROOM / 4], 0);
    if (failure) {
        errno = failure;
        return -1;
    }
    words[1] = 0x80000000;
    words[5] = reply_error;
    memcpy(&words[6], reply, ROOM);
    return 0;
}

static void answer_with(const char *text)
{
    memset(reply, 0, sizeof reply);
    memcpy(reply, text, strlen(text));
}

// A FIFO opens like the device and is no regular file.
static void make_device(const char *path)
{
    char full[512];

    assert_int_equal(jp_site_path(&site, path, full, sizeof full), 0);
    unlink(full);
    assert_int_equal(mkfifo(full, 0600), 0);
}

static void pi5(const char *text)
{
    tree("raspberry-pi-5");
    make_device(DEVICE);
    answer_with(text);
    reply_error = 0;
    failure = asked = 0;
}

static int find(const struct rig *rig, const char *name)
{
    for (int i = 0; i < rig->count; i++)
        if (strcmp(rig->channels[i].name, name) == 0)
            return i;
    fail_msg("no channel %s", name);
    return -1;
}

#define TWO_RAILS                                                                                                      \
    "   VDD_CORE_A current(7)=0.92871990A\n     3V3_SYS_A current(1)=0.04684464A\n"                                    \
    "   VDD_CORE_V volt(15)=0.72097620V\n     3V3_SYS_V volt(9)=3.31467300V\n      EXT5V_V volt(24)=5.17105900V\n"

static void a_saved_answer_has_twelve_rails_and_their_powers(void **state)
{
    struct rig rig;
    int core;

    (void)state;
    tree("raspberry-pi-5");
    asked = 0;
    assert_int_equal(open_nth(&rig, driver, 0), 12);
    core = find(&rig, "VDD_CORE");
    assert_string_equal(rig.channels[0].name, "3V7_WL_SW");
    assert_string_equal(rig.channels[core].chip, "rpi_pmic");
    assert_int_equal(rig.channels[core].index, 8);
    assert_int_equal(rig.channels[core].address, -1);
    assert_int_equal(rig.channels[core].scope, JP_SCOPE_RAIL);
    assert_int_equal(rig.channels[core].roles, JP_ROLE_CPU);
    assert_int_equal(rig.channels[find(&rig, "DDR_VDDQ")].roles, JP_ROLE_RAM);
    assert_int_equal(rig.channels[find(&rig, "HDMI")].roles, 0);
    read_rig(&rig);
    assert_int_equal(rig.readings[core].state, JP_GOOD);
    assert_int_equal(rig.readings[core].value, 648000);
    assert_int_equal(rig.readings[core].mv, 720);
    assert_int_equal(rig.readings[core].ma, 900);
    assert_int_equal(rig.readings[find(&rig, "DDR_VDDQ")].value, 0);
    assert_int_equal(rig.readings[find(&rig, "HDMI")].value, 84428); // 16361 uA x 5160340 uV, rounded
    assert_int_equal(asked, 0);
    close_rig(&rig);
}

static void one_question_a_cycle_answers_all_rails(void **state)
{
    struct rig rig;

    (void)state;
    pi5(TWO_RAILS);
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    assert_string_equal(rig.channels[0].name, "VDD_CORE");
    asked = 0;
    read_rig(&rig);
    assert_int_equal(asked, 1);
    assert_int_equal(rig.readings[0].value, 669585); // 928720 uA x 720976 uV
    assert_int_equal(rig.readings[1].value, 155276);
    close_rig(&rig);
}

static void pairs_are_made_by_name_in_any_order(void **state)
{
    struct rig rig;

    (void)state;
    pi5("VDD_CORE_V volt(15)=0.5V\r\n\ngarbage\nEXT5V_V volt(24)=5.1V\n=\n_A=1A\n A current(1)=1A\n"
        "3V3_SYS_A current(1)=2A\nVDD_CORE_A current(7)=3A\r\n3V3_SYS_V volt(9)=3.3V\nVDD_CORE_A current(8)=9A\n"
        "NAME_OF_MORE_THAN_THIRTY_TWO_LETTERS_A c=1A\nNAME_OF_MORE_THAN_THIRTY_TWO_LETTERS_V v=1V");
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    read_rig(&rig);
    assert_int_equal(rig.readings[find(&rig, "VDD_CORE")].value, 1500000);
    assert_int_equal(rig.readings[find(&rig, "3V3_SYS")].value, 6600000);
    answer_with("3V3_SYS_V volt(15)=1V\nNEW_A current(1)=1A\nNEW_V volt(2)=1V\nVDD_CORE_V volt(1)=1V\n"
                "3V3_SYS_A current(0)=7A\nVDD_CORE_A current(2)=0.25A\n");
    read_rig(&rig);
    assert_int_equal(rig.readings[find(&rig, "VDD_CORE")].value, 250000);
    assert_int_equal(rig.readings[find(&rig, "3V3_SYS")].value, 7000000);
    assert_int_equal(rig.readings[2].state, JP_WANTED); // the new one is none of the two
    answer_with(
        "VDD_A c=9A\nVDD_V v=9V\nVDD_CORE_A c=1A\nVDD_CORE_V v=1V\n"); // the beginning of a name is another name
    read_rig(&rig);
    assert_int_equal(rig.readings[find(&rig, "VDD_CORE")].value, 1000000);
    close_rig(&rig);
}

static void more_names_than_there_is_room_for_do_no_harm(void **state)
{
    char text[ROOM + 1] = "";
    struct rig rig;

    (void)state;
    pi5(TWO_RAILS);
    memset(text, 'N', ROOM - 8);
    strcpy(&text[ROOM - 8], "_A c=1A");
    memcpy(text, TWO_RAILS, strlen(TWO_RAILS));
    answer_with(text);
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    close_rig(&rig);
    text[0] = '\0';
    for (int i = 0; i < 60; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "R%02d_A c=1A\nR%02d_V v=2V\n", i, i);
    answer_with(text);
    assert_int_equal(open_nth(&rig, driver, 0), MAX);
    read_rig(&rig);
    assert_int_equal(rig.readings[MAX - 1].value, 2000000);
    close_rig(&rig);
}

static void what_is_no_value_is_missing_and_never_zero(void **state)
{
    static const struct {
        const char *line;
        int error;
        int64_t value;
    } cases[] = {
        {"VDD_CORE_A current(7)=2.00000000A\n", 0, 2000000},
        {"VDD_CORE_A current(7)=-0.50000000A\n", 0, -500000}, // the chip's zero is not exact, or the rail pushes back
        {"VDD_CORE_A current(7)=0.0000005A\n", 0, 1},
        {"VDD_CORE_A current(7)=1000A\n", 0, 1000000000},
        {"VDD_CORE_A current(7)=1001A\n", ERANGE, 0},
        {"VDD_CORE_A current(7)=99999999999999999999999A\n", ERANGE, 0},
        {"VDD_CORE_A current(7)=0.000000000000000000000000000000001A\n", 0, 0},
        {"VDD_CORE_A current(7)=A\n", EINVAL, 0},
        {"VDD_CORE_A current(7)=nanA\n", EINVAL, 0},
        {"VDD_CORE_A current(7)=1e3A\n", EINVAL, 0},
        {"VDD_CORE_A current(7)=1.5V\n", EINVAL, 0},
        {"VDD_CORE_A current(7)=1.5\n", EINVAL, 0},
        {"VDD_CORE_A current(7)=1.5A and more\n", EINVAL, 0},
        {"VDD_CORE_A current(7)\n", ENODATA, 0},
        {"", ENODATA, 0},
        {"VDD_CORE_V volt(15)=-0.1V\nVDD_CORE_A current(7)=1A\n", ERANGE, 0},
    };
    struct rig rig;
    char text[512];

    (void)state;
    pi5(TWO_RAILS);
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(text, sizeof text, "%sVDD_CORE_V volt(15)=1V\n3V3_SYS_A current(1)=1A\n3V3_SYS_V volt(9)=3.3V\n",
                 cases[i].line);
        answer_with(text);
        read_rig(&rig);
        assert_int_equal(rig.readings[0].error, cases[i].error);
        assert_int_equal(rig.readings[0].state, cases[i].error ? JP_MISSING : JP_GOOD);
        assert_int_equal(rig.readings[0].value, cases[i].value);
        assert_int_equal(rig.readings[1].value, 3300000);
    }
    close_rig(&rig);
}

static void an_answer_that_is_cut_takes_only_what_it_cut(void **state)
{
    struct rig rig;
    size_t used;

    (void)state;
    pi5(TWO_RAILS);
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    memset(reply, '.', ROOM); // the buffer is full to its last byte
    used = strlen("VDD_CORE_A current(7)=1A\nVDD_CORE_V volt(15)=1V\n3V3_SYS_A current(1)=1A\n");
    memcpy(reply, "VDD_CORE_A current(7)=1A\nVDD_CORE_V volt(15)=1V\n3V3_SYS_A current(1)=1A\n", used);
    reply[ROOM - 30] = '\n';
    memcpy(&reply[ROOM - 29], "3V3_SYS_V volt(9)=3.3146730000", 29);
    read_rig(&rig);
    assert_int_equal(rig.readings[0].value, 1000000);
    assert_int_equal(rig.readings[1].state, JP_MISSING);
    assert_int_equal(rig.readings[1].error, EINVAL);
    close_rig(&rig);
}

static void an_error_is_of_all_rails_and_passes(void **state)
{
    struct rig rig;

    (void)state;
    pi5(TWO_RAILS);
    assert_int_equal(open_nth(&rig, driver, 0), 2);
    for (int i = 0; i < 2; i++) {
        failure = i == 0 ? ETIMEDOUT : 0;
        reply_error = i == 0 ? 0 : UINT32_MAX;
        read_rig(&rig);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(rig.readings[k].state, JP_MISSING);
            assert_int_equal(rig.readings[k].error, i == 0 ? ETIMEDOUT : EOPNOTSUPP);
        }
    }
    reply_error = 0;
    read_rig(&rig);
    assert_int_equal(rig.readings[0].state, JP_GOOD);
    rig.readings[0] = (struct jp_reading){.state = JP_SKIPPED};
    rig.readings[1] = (struct jp_reading){.state = JP_WANTED};
    driver->read(rig.state, &(struct jp_pass){.readings = rig.readings});
    assert_int_equal(rig.readings[0].state, JP_SKIPPED);
    assert_int_equal(rig.readings[1].state, JP_GOOD);
    close_rig(&rig);
}

static void another_pi_answers_and_has_no_rails(void **state)
{
    struct jp_found found[MAX];

    (void)state;
    pi5("error=1 error_msg=\"Command not registered\"");
    reply_error = UINT32_MAX;
    put("/proc/device-tree/compatible", "raspberrypi,4-model-b");
    assert_int_equal(driver->probe(&site, found, MAX), 0);
    assert_int_equal(asked, 1);
    reply_error = 0;
    assert_int_equal(driver->probe(&site, found, MAX), 0);
    failure = EINVAL;
    assert_int_equal(driver->probe(&site, found, MAX), 0);
}

static void a_pi_5_that_does_not_answer_is_told(void **state)
{
    struct jp_found found[MAX];
    struct rig rig;

    (void)state;
    pi5("error=1 error_msg=\"Command not registered\"");
    reply_error = UINT32_MAX;
    assert_int_equal(driver->probe(&site, found, MAX), 1);
    assert_int_equal(open_rig(&rig, driver, &found[0]), -EOPNOTSUPP);
    reply_error = 0;
    answer_with("EXT5V_V volt(24)=5.17105900V\n");
    assert_int_equal(open_rig(&rig, driver, &found[0]), -ENODATA);
    failure = ETIMEDOUT;
    assert_int_equal(open_rig(&rig, driver, &found[0]), -ETIMEDOUT);
}

static void the_narrow_device_goes_before_the_wide_one(void **state)
{
    struct jp_found found[MAX];

    (void)state;
    pi5(TWO_RAILS);
    make_device("/dev/vcio");
    assert_int_equal(driver->probe(&site, found, MAX), 1);
    assert_string_equal(found[0].path, DEVICE);
    assert_int_equal(driver->probe(&site, found, 0), 0);
    drop(DEVICE);
    assert_int_equal(driver->probe(&site, found, MAX), 1);
    assert_string_equal(found[0].path, "/dev/vcio");
    drop("/dev/vcio");
    assert_int_equal(driver->probe(&site, found, MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_TREE(a_saved_answer_has_twelve_rails_and_their_powers),
        ON_A_TREE(one_question_a_cycle_answers_all_rails),
        ON_A_TREE(pairs_are_made_by_name_in_any_order),
        ON_A_TREE(more_names_than_there_is_room_for_do_no_harm),
        ON_A_TREE(what_is_no_value_is_missing_and_never_zero),
        ON_A_TREE(an_answer_that_is_cut_takes_only_what_it_cut),
        ON_A_TREE(an_error_is_of_all_rails_and_passes),
        ON_A_TREE(another_pi_answers_and_has_no_rails),
        ON_A_TREE(a_pi_5_that_does_not_answer_is_told),
        ON_A_TREE(the_narrow_device_goes_before_the_wide_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
