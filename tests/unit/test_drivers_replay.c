// SPDX-License-Identifier: Apache-2.0
// The replay driver: a trace plays the part of the chips it names, and a wrong one is refused by line.
#define _GNU_SOURCE
#include "driver_rig.h"
#include "replay.h"

#include <errno.h>

#define MS 1000000LL
#define HEAD "joulepost-trace 1\nnote made for a test\nperiod_ms 100\n"

static void read_at(struct rig *rig, int64_t t_ns)
{
    struct jp_pass pass = {.readings = rig->readings, .t_ns = t_ns};

    memset(rig->readings, 0, sizeof rig->readings);
    rig->driver->read(rig->state, &pass);
}

static void rows_are_chosen_by_time_and_loop(void **state)
{
    struct rig rig;
    const int64_t t0 = 5000 * MS;

    (void)state;
    tree("empty");
    put("/replay.trace", HEAD "channel VDD_IN power chip=ina3221 address=0x40 index=1 bus=i2c@c240000 shunt=5000\n"
                              "channel package-0 energy chip=rapl roles=package,cpu scope=package\n"
                              "channel gpu_load gauge unit=%\n# the values\nrows\n"
                              "5000/1000 100 0\n-3000000 EIO 500\n- 400 EAGAIN\n");
    assert_int_equal(open_nth(&rig, &jp_driver_replay, 0), 3);
    assert_string_equal(rig.channels[0].name, "VDD_IN");
    assert_string_equal(rig.channels[0].chip, "ina3221");
    assert_string_equal(rig.channels[0].bus_node, "i2c@c240000");
    assert_int_equal(rig.channels[0].address, 0x40);
    assert_int_equal(rig.channels[0].resolution_uw, 40000);
    assert_int_equal(rig.channels[1].kind, JP_ENERGY);
    assert_int_equal(rig.channels[1].roles, JP_ROLE_PACKAGE | JP_ROLE_CPU);
    assert_int_equal(rig.channels[1].scope, JP_SCOPE_PACKAGE);
    read_at(&rig, t0);
    assert_int_equal(rig.readings[0].value, 5000000);
    assert_int_equal(rig.readings[0].ma, 1000);
    assert_int_equal(rig.readings[1].value, 100);
    read_at(&rig, t0 + 199 * MS);
    assert_int_equal(rig.readings[0].value, -3000000);
    assert_int_equal(rig.readings[0].mv, INT32_MIN);
    assert_int_equal(rig.readings[1].state, JP_MISSING);
    assert_int_equal(rig.readings[1].error, EIO);
    read_at(&rig, t0 + 200 * MS);
    assert_int_equal(rig.readings[0].error, ENODATA);
    assert_int_equal(rig.readings[1].value, 400);
    assert_int_equal(rig.readings[2].error, EAGAIN);
    read_at(&rig, t0 + 300 * MS); // 100 and the loop's 300 + 150: the counter goes on upward
    assert_int_equal(rig.readings[0].value, 5000000);
    assert_int_equal(rig.readings[1].value, 550);
    close_rig(&rig);
}

static void a_counter_with_a_range_wraps_at_it(void **state)
{
    struct rig rig;

    (void)state;
    tree("empty");
    put("/replay.trace", HEAD "channel package-0 energy range=999\nrows\n800\n900\n0\n");
    assert_int_equal(open_nth(&rig, &jp_driver_replay, 0), 1);
    read_at(&rig, 1);
    assert_int_equal(rig.readings[0].value, 800);
    read_at(&rig, 1 + 300 * MS); // 800 + (100 + 100) + 100 more
    assert_int_equal(rig.readings[0].value, 100);
    close_rig(&rig);
}

static void the_note_is_told(void **state)
{
    struct jp_replay_told told;

    (void)state;
    tree("empty");
    assert_int_equal(jp_replay_tell(&site, &told), -ENOENT);
    put("/replay.trace", HEAD "channel - power\nrows\n1\n");
    assert_int_equal(jp_replay_tell(&site, &told), 0);
    assert_string_equal(told.note, "made for a test");
}

static void a_wrong_trace_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        {"", 1},
        {"joulepost-trace 3\n", 1},
        {HEAD "rows\n1\n", 4},
        {"joulepost-trace 1\nchannel a power\nrows\n1\n", 3},
        {HEAD "channel a volts\n", 4},
        {HEAD "channel a power colour=red\n", 4},
        {HEAD "channel a power roles=cpu,moon\n", 4},
        {HEAD "channel a power scope=wall\n", 4},
        {HEAD "channel a power shunt=99999999999\n", 4},
        {HEAD "channel a power\nperiod_ms 0\n", 5},
        {HEAD "channel a_name_of_more_than_32_characters power\n", 4},
        {HEAD "channel a power\nrows\n1 2\n", 6},
        {HEAD "channel a power\nrows\nE2BIG\n", 6},
        {HEAD "channel a power\nchannel b energy\nrows\n1\n", 7},
        {HEAD "channel a energy\nrows\n-1\n", 6},
        {HEAD "channel a energy\nrows\n1/2\n", 6},
        {HEAD "channel a power\nrows\n", 6},
        {HEAD "channel a power max=9223372036854775807\n", 4},
        {HEAD "channel a power max=2000000000000\n", 4},
        {HEAD "channel a power\nrows\n2000000000000\n", 6},
        {HEAD "channel a energy\nrows\n9223372036854775807\n", 6},
    };
    struct rig rig;
    struct jp_replay_told told;

    (void)state;
    tree("empty");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put("/replay.trace", cases[i].text);
        assert_int_equal(open_nth(&rig, &jp_driver_replay, 0), -EINVAL);
        assert_int_equal(jp_replay_tell(&site, &told), -EINVAL);
        assert_int_equal(told.line, cases[i].line);
    }
}

static void the_made_board_replays_its_rails(void **state)
{
    struct rig rig;

    (void)state;
    tree("replay-agx-orin");
    assert_int_equal(open_nth(&rig, &jp_driver_replay, 0), 5);
    assert_string_equal(rig.channels[3].name, "VDDQ_VDD2_1V8AO");
    assert_int_equal(rig.channels[3].address, 0x41);
    for (int i = 0; i < 1000; i++) {
        read_at(&rig, i * 170 * MS);
        for (int c = 0; c < 5; c++)
            assert_int_equal(rig.readings[c].state, JP_GOOD);
    }
    close_rig(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_TREE(rows_are_chosen_by_time_and_loop),
        ON_A_TREE(a_counter_with_a_range_wraps_at_it),
        ON_A_TREE(the_note_is_told),
        ON_A_TREE(a_wrong_trace_is_refused_with_its_line),
        ON_A_TREE(the_made_board_replays_its_rails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
