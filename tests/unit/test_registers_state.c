// SPDX-License-Identifier: Apache-2.0
// The registers' record: what goes in comes out, and bytes that are no record are refused.
#include "registers.h"

#include "entropy.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "make_windows.h"

#include <cmocka.h>

static struct jp_run run;
static struct jp_window window;
static struct jp_registers registers, back;
static struct jp_registers_stamp stamp, stamp_back;
static uint8_t bytes[JP_REGISTERS_BYTES_MAX], bad[JP_REGISTERS_BYTES_MAX + 16];

static void make(void)
{
    jp_registers_init(&registers, 0x1234567890abcdef);
    for (uint64_t id = 7; id < 9; id++) {
        make_run(&run, id, 3, 30);
        jp_registers_begin(&registers, &run);
        for (uint64_t seq = 0; seq < 4; seq++) {
            make_window(&window, &run, seq);
            window.channels[1].run_mj *= -1; // pushes back all the time
            window.channels[2].known = false;
            window.channels[2].run_mj = 0;
            jp_registers_count(&registers, &window);
        }
    }
    registers.emissions_ug = 1234.5678;
    registers.unpriced_mj = 3;
    registers.total.shown_mj = 2000;
    registers.total.known = true;
    registers.final = registers.published = true;
    stamp = (struct jp_registers_stamp){1795177766843, true, "0e7c1f6e-2f0b-4d6a-9b1e-5d7f2a3c4b5a", 165000, true, 42};
}

static int encode(void)
{
    int n = jp_registers_encode(&registers, &stamp, bytes, sizeof bytes);

    assert_true(n > 0);
    return n;
}

static int decode(void)
{
    return jp_registers_decode(&back, &stamp_back, bytes, (size_t)encode());
}

static void assert_same_register(const struct jp_register *a, const struct jp_register *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->base_mj, b->base_mj);
    assert_int_equal(a->run_mj, b->run_mj);
    assert_int_equal(a->shown_mj, b->shown_mj);
    assert_int_equal(b->begun_mj, a->shown_mj);
    assert_int_equal(a->known, b->known);
}

static void what_goes_in_comes_out(void **state)
{
    (void)state;
    make();
    assert_int_equal(decode(), 0);
    assert_true(back.id == registers.id && back.run == 8 && back.seq == 3 && back.any);
    assert_true(back.final && back.published && !back.priced && !back.past);
    assert_int_equal(back.count, 3);
    assert_true(back.channels[1].base_mj < 0 && !back.channels[2].known);
    for (int i = 0; i < back.count; i++)
        assert_same_register(&registers.channels[i], &back.channels[i]);
    assert_same_register(&registers.total, &back.total);
    assert_true(back.emissions_ug == 1234.5678 && back.unpriced_mj == 3);
    assert_true(back.before_count == 1 && back.before[0] == 7);
    assert_true(stamp_back.real_ms == stamp.real_ms && stamp_back.real_synced && stamp_back.boot_ms == 165000);
    assert_string_equal(stamp_back.boot, stamp.boot);
    assert_true(stamp_back.closed && stamp_back.run_no == 42);
}

static void only_a_closed_record_of_final_registers_is_exact(void **state)
{
    (void)state;
    make();
    stamp.closed = false;
    assert_int_equal(decode(), 0);
    assert_false(back.final);
    stamp.closed = true;
    registers.final = false;
    assert_int_equal(decode(), 0);
    assert_false(back.final);
}

static void the_decoded_run_goes_on_and_others_are_based_on_it(void **state)
{
    int64_t shown_mj;

    (void)state;
    make();
    assert_int_equal(decode(), 0);
    jp_registers_begin(&back, &run);
    make_window(&window, &run, 9);
    jp_registers_count(&back, &window);
    shown_mj = back.channels[0].base_mj + window.channels[0].run_mj;
    assert_int_equal(back.channels[0].shown_mj, shown_mj);
    make_run(&run, 9, 1, 30);
    jp_registers_begin(&back, &run);
    make_window(&window, &run, 0);
    jp_registers_count(&back, &window);
    assert_int_equal(back.channels[0].shown_mj, shown_mj + 1000);
}

static void the_largest_record_has_its_bound(void **state)
{
    const struct jp_register worst = {
        .base_mj = -JP_ENERGY_MAX_MJ, .run_mj = JP_ENERGY_MAX_MJ, .shown_mj = JP_ENERGY_MAX_MJ, .known = true};

    (void)state;
    jp_registers_init(&registers, UINT64_MAX);
    for (int i = 0; i < JP_REGISTERS_MAX; i++) {
        registers.channels[i] = worst;
        snprintf(registers.channels[i].name, JP_NAME_MAX, "%032d", i);
    }
    registers.count = JP_REGISTERS_MAX;
    registers.total = worst;
    registers.run = registers.seq = UINT64_MAX;
    registers.emissions_ug = (double)JP_EMISSIONS_MAX_UG;
    registers.unpriced_mj = JP_ENERGY_MAX_MJ;
    registers.before_count = JP_REGISTERS_RUNS;
    for (int i = 0; i < JP_REGISTERS_RUNS; i++)
        registers.before[i] = UINT64_MAX - 1;
    stamp = (struct jp_registers_stamp){.real_ms = JP_REAL_MAX_MS, .boot_ms = JP_BOOT_MAX_MS, .run_no = UINT64_MAX};
    snprintf(stamp.boot, sizeof stamp.boot, "0e7c1f6e-2f0b-4d6a-9b1e-5d7f2a3c4b5a");
    assert_int_equal(encode(), JP_REGISTERS_BYTES_MAX);
    assert_int_equal(decode(), 0);
    assert_int_equal(back.count, JP_REGISTERS_MAX);
    assert_int_equal(jp_registers_encode(&registers, &stamp, bytes, JP_REGISTERS_BYTES_MAX - 1), -EMSGSIZE);
}

static void elements_of_later_versions_are_passed_over(void **state)
{
    struct jp_cbor_out out;
    int n;

    (void)state;
    make();
    n = encode();
    jp_cbor_out_init(&out, bad, sizeof bad);
    jp_cbor_put_array(&out, 14);
    jp_cbor_put_raw(&out, bytes + 1, (size_t)n - 1);
    jp_cbor_put_array(&out, 2);
    jp_cbor_put_text(&out, "later");
    jp_cbor_put_null(&out);
    assert_int_equal(jp_registers_decode(&back, &stamp_back, bad, out.used), 0);
    assert_true(back.id == registers.id && stamp_back.run_no == 42);
    bad[1] = 2; // another version
    assert_int_equal(jp_registers_decode(&back, &stamp_back, bad, out.used), -EBADMSG);
}

// Each changes one thing that registers cannot be.
static void spoil(int what)
{
    struct jp_register *one = &registers.channels[0];

    switch (what) {
    case 0:
        one->shown_mj = -1;
        break;
    case 1:
        one->shown_mj = JP_ENERGY_MAX_MJ + 1;
        break;
    case 2:
        one->base_mj = one->shown_mj + 1;
        one->run_mj = 0;
        break;
    case 3:
        one->base_mj = -JP_ENERGY_MAX_MJ - 1;
        break;
    case 4:
        memcpy(registers.channels[1].name, "r0", 3);
        break;
    case 5:
        memcpy(one->name, "total", 6);
        break;
    case 6:
        one->name[0] = '\0';
        break;
    case 7:
        one->known = false;
        break;
    case 8:
        registers.emissions_ug = (double)NAN;
        break;
    case 9:
        registers.emissions_ug = -1;
        break;
    case 10:
        registers.emissions_ug = (double)INFINITY;
        break;
    case 11:
        registers.unpriced_mj = registers.total.shown_mj + 1;
        break;
    case 12:
        registers.total.shown_mj = registers.total.base_mj = registers.total.run_mj = JP_ENERGY_MAX_MJ;
        break;
    case 13:
        stamp.boot_ms = -1;
        break;
    default:
        registers.before[0] = registers.run;
        break;
    }
}

static void what_registers_cannot_be_is_refused(void **state)
{
    (void)state;
    for (int what = 0; what < 15; what++) {
        make();
        spoil(what);
        if (decode() != -EBADMSG)
            fail_msg("%d was taken", what);
        assert_true(back.id == 0 && back.count == 0 && !back.final && stamp_back.run_no == 0);
    }
}

static void too_many_registers_are_refused(void **state)
{
    struct jp_cbor_out out;
    int n;

    (void)state;
    make();
    registers.count = 0;
    n = encode();
    jp_cbor_out_init(&out, bad, sizeof bad);
    for (int at = 0; at < n; at++) { // the empty list of channels stands after the total's array of 4
        if (at > 20 && bytes[at] == 0x80 && out.used == 0) {
            jp_cbor_put_raw(&out, bytes, (size_t)at);
            jp_cbor_put_array(&out, 4000);
            at++;
            jp_cbor_put_raw(&out, bytes + at, (size_t)(n - at));
        }
    }
    assert_true(out.used > 0);
    assert_int_equal(jp_registers_decode(&back, &stamp_back, bad, out.used), -EBADMSG);
    assert_int_equal(jp_registers_decode(&back, &stamp_back, bad, sizeof bad), -EBADMSG);
}

static void assert_sane(void)
{
    assert_in_range(back.count, 0, JP_REGISTERS_MAX);
    assert_in_range(back.before_count, 0, JP_REGISTERS_RUNS);
    assert_true(back.emissions_ug >= 0 && back.emissions_ug <= (double)JP_EMISSIONS_MAX_UG);
    for (int i = 0; i < back.count; i++) {
        const struct jp_register *one = &back.channels[i];

        assert_true(jp_registers_is_name(one->name) && jp_registers_find(&back, one->name) == i);
        assert_true(one->shown_mj >= 0 && one->shown_mj <= JP_ENERGY_MAX_MJ);
        assert_true(one->base_mj + one->run_mj <= one->shown_mj);
    }
}

static void cut_and_flipped_records_leave_nothing_odd(void **state)
{
    struct jp_jitter jitter;
    int n, taken = 0;

    (void)state;
    make();
    n = encode();
    for (int size = 0; size < n; size++) {
        assert_int_equal(jp_registers_decode(&back, &stamp_back, bytes, (size_t)size), -EBADMSG);
        assert_true(back.id == 0 && back.count == 0);
    }
    for (int bit = 0; bit < n * 8; bit++) {
        memcpy(bad, bytes, (size_t)n);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        taken += jp_registers_decode(&back, &stamp_back, bad, (size_t)n) == 0;
        assert_sane();
    }
    assert_true(taken > 0);
    jp_jitter_seed(&jitter, 1);
    for (int round = 0; round < 20000; round++) {
        memcpy(bad, bytes, (size_t)n);
        for (int i = 0; i < 4; i++)
            bad[jp_jitter_next(&jitter, (uint64_t)n)] = (uint8_t)jp_jitter_next(&jitter, 256);
        (void)jp_registers_decode(&back, &stamp_back, bad, (size_t)n);
        assert_sane();
    }
    bytes[n] = 0;
    assert_int_equal(jp_registers_decode(&back, &stamp_back, bytes, (size_t)n + 1), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(only_a_closed_record_of_final_registers_is_exact),
        cmocka_unit_test(the_decoded_run_goes_on_and_others_are_based_on_it),
        cmocka_unit_test(the_largest_record_has_its_bound),
        cmocka_unit_test(elements_of_later_versions_are_passed_over),
        cmocka_unit_test(what_registers_cannot_be_is_refused),
        cmocka_unit_test(too_many_registers_are_refused),
        cmocka_unit_test(cut_and_flipped_records_leave_nothing_odd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
