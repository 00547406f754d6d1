// SPDX-License-Identifier: Apache-2.0
// A retained live: what we print comes back exactly, what we would not print is refused.
#include "retained.h"

#include "payload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "make_windows.h"

#include <cmocka.h>

static struct jp_run run;
static struct jp_window window;
static struct jp_registers registers;
static struct jp_retained retained;
static char text[65536];

static const struct jp_records_head head = {
    .device = "bench-1",
    .boot = "0e7c1f6e-2f0b-4d6a-9b1e-5d7f2a3c4b5a",
    .off_known = true,
    .off_ms = 4000000000000,
    .clock = JP_CLOCK_SYNCED,
};

static int parse(const char *json)
{
    return jp_retained_parse(&retained, json, strlen(json));
}

static int print(int channels, int64_t mj)
{
    const struct jp_live live = {.head = &head, .run = &run, .window = &window, .registers = &registers};
    int n;

    jp_registers_init(&registers, 0x8c6f21a7ed8b200d);
    make_run(&run, 0xfedcba9876543210, channels, 30);
    jp_registers_begin(&registers, &run);
    jp_registers_price(&registers, &(struct jp_factor){.known = true, .g_per_kwh = 36}, 1.0);
    make_window(&window, &run, 64);
    window.channels[0].run_mj = mj;
    for (int c = 1; c < channels; c++)
        window.channels[c].run_mj = 0;
    window.channels[1].known = false;
    jp_registers_count(&registers, &window);
    n = jp_payload_live(&live, text, sizeof text);
    assert_true(n > 0);
    assert_int_equal(jp_retained_parse(&retained, text, (size_t)n), 0);
    return n;
}

static void what_live_prints_comes_back(void **state)
{
    (void)state;
    print(3, 195190);
    assert_true(retained.id == 0x8c6f21a7ed8b200d && retained.run == 0xfedcba9876543210 && retained.seq == 64);
    assert_true(retained.t_known && retained.t_ms == 4000000000000 + 165000);
    assert_int_equal(retained.count, 2); // r1 was never covered
    assert_string_equal(retained.channels[0].name, "r0");
    assert_int_equal(retained.channels[0].mj, 195190);
    assert_string_equal(retained.channels[1].name, "r2");
    assert_true(retained.total_known && retained.total_mj == 195190);
    assert_true(retained.emissions_known && retained.emissions_ug == 1952); // 1951.9
    print(JP_CHANNELS_MAX, 1);
    assert_int_equal(retained.count, JP_CHANNELS_MAX - 1);
}

static void millijoules_come_back_exactly(void **state)
{
    int64_t mj = 1;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        print(2, mj);
        assert_int_equal(retained.channels[0].mj, mj);
        assert_int_equal(retained.total_mj, mj);
        mj = (mj * 1103 + 12345 + i) % 1000000000000000;
    }
    print(2, 999999999999999);
    assert_int_equal(retained.total_mj, 999999999999999);
}

#define LIVE(rest) "{\"register_id\": \"8c6f21a7ed8b200d\", \"run\": \"7c1f6e2f0b4d6a9b\", " rest "}"
#define ENERGY(energies) LIVE("\"seq\": 5, \"energy_j\": {" energies "}")

static void null_and_missing_are_unknown(void **state)
{
    (void)state;
    assert_int_equal(parse(ENERGY("\"a\": 1.5, \"b\": null, \"total\": null")), 0);
    assert_true(retained.count == 1 && retained.channels[0].mj == 1500);
    assert_false(retained.total_known || retained.emissions_known || retained.t_known);
    assert_int_equal(parse(LIVE("\"seq\": 5, \"energy_j\": {}, \"emissions_g\": null, \"t_ms\": null, \"x\": [1, {}]")),
                     0);
    assert_false(retained.total_known || retained.emissions_known || retained.t_known);
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{}",
        "\"text\"",
        "{\"seq\":",
        ENERGY("\"a\": -0.001"),
        ENERGY("\"a\": 9000000000000.002"),
        ENERGY("\"total\": 1e300"),
        ENERGY("\"total\": -1"),
        ENERGY("\"a\": \"1\""),
        ENERGY("\"a\": true"),
        ENERGY("\"a\": 1, \"a\": 2"),
        ENERGY("\"\": 1"),
        ENERGY("\"a b\": null"),
        ENERGY("\"abcdefghijklmnopqrstuvwxyzABCDEFG\": 1"),
        LIVE("\"seq\": 5"),
        LIVE("\"seq\": 5, \"energy_j\": []"),
        LIVE("\"seq\": -1, \"energy_j\": {}"),
        LIVE("\"seq\": 1.0, \"energy_j\": {}"),
        LIVE("\"energy_j\": {}"),
        LIVE("\"seq\": 5, \"energy_j\": {}, \"emissions_g\": -1"),
        LIVE("\"seq\": 5, \"energy_j\": {}, \"emissions_g\": 1e30"),
        LIVE("\"seq\": 5, \"energy_j\": {}, \"emissions_g\": \"1\""),
        LIVE("\"seq\": 5, \"energy_j\": {}, \"t_ms\": 1.5"),
        LIVE("\"seq\": 5, \"energy_j\": {}, \"t_ms\": 9000000000000001"),
        "{\"register_id\": \"8c6f21a7ed8b200\", \"run\": \"7c1f6e2f0b4d6a9b\", \"seq\": 5, \"energy_j\": {}}",
        "{\"register_id\": \"8c6f21a7ed8b200g\", \"run\": \"7c1f6e2f0b4d6a9b\", \"seq\": 5, \"energy_j\": {}}",
        "{\"register_id\": \" c6f21a7ed8b200d\", \"run\": \"7c1f6e2f0b4d6a9b\", \"seq\": 5, \"energy_j\": {}}",
        "{\"register_id\": 5, \"run\": \"7c1f6e2f0b4d6a9b\", \"seq\": 5, \"energy_j\": {}}",
        "{\"register_id\": \"8c6f21a7ed8b200d\", \"seq\": 5, \"energy_j\": {}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memset(&retained, 0xff, sizeof retained);
        if (parse(bad[i]) != -EBADMSG)
            fail_msg("taken: %s", bad[i]);
        assert_true(retained.id == 0 && retained.count == 0 && !retained.total_known);
    }
}

static void more_names_than_channels_are_refused(void **state)
{
    int n = snprintf(text, sizeof text,
                     "{\"register_id\": \"8c6f21a7ed8b200d\", \"run\": \"7c1f6e2f0b4d6a9b\", "
                     "\"seq\": 5, \"energy_j\": {\"r\": 1");

    (void)state;
    for (int i = 0; i < JP_CHANNELS_MAX; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, ", \"r%d\": 1", i);
    snprintf(text + n, sizeof text - (size_t)n, "}}");
    assert_int_equal(parse(text), -EBADMSG);
}

static void cut_and_flipped_texts_leave_nothing_odd(void **state)
{
    static char bad[4096];
    int n = print(3, 195190);

    (void)state;
    for (int size = 0; size < n; size++) {
        assert_int_equal(jp_retained_parse(&retained, text, (size_t)size), -EBADMSG);
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bad, text, (size_t)n);
            bad[size] ^= (char)(1 << bit);
            if (jp_retained_parse(&retained, bad, (size_t)n))
                continue;
            assert_true(retained.count <= 3);
            for (int i = 0; i < retained.count; i++)
                assert_true(jp_registers_is_name(retained.channels[i].name) && retained.channels[i].mj >= 0 &&
                            retained.channels[i].mj <= JP_ENERGY_MAX_MJ);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_live_prints_comes_back),
        cmocka_unit_test(millijoules_come_back_exactly),
        cmocka_unit_test(null_and_missing_are_unknown),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(more_names_than_channels_are_refused),
        cmocka_unit_test(cut_and_flipped_texts_leave_nothing_odd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
