// SPDX-License-Identifier: Apache-2.0
// The registers' record: what a restart goes on from. A disk may bring anything, so every value is checked.
#include "registers.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define VERSION 1
#define ELEMENTS 13

// Writing ----------------------------------------------------------------------------------------
static void put_values(struct jp_cbor_out *out, const struct jp_register *one)
{
    jp_cbor_put_int(out, one->base_mj);
    jp_cbor_put_int(out, one->run_mj);
    jp_cbor_put_int(out, one->shown_mj);
    jp_cbor_put_bool(out, one->known);
}

static void put_channels(struct jp_cbor_out *out, const struct jp_registers *registers)
{
    jp_cbor_put_array(out, (size_t)registers->count);
    for (int i = 0; i < registers->count; i++) {
        jp_cbor_put_array(out, 5);
        jp_cbor_put_text(out, registers->channels[i].name);
        put_values(out, &registers->channels[i]);
    }
}

static void put_runs(struct jp_cbor_out *out, const struct jp_registers *registers)
{
    jp_cbor_put_array(out, (size_t)registers->before_count);
    for (int i = 0; i < registers->before_count; i++)
        jp_cbor_put_uint(out, registers->before[i]);
}

static void put_stamp(struct jp_cbor_out *out, const struct jp_registers_stamp *stamp)
{
    jp_cbor_put_array(out, 6);
    jp_cbor_put_int(out, stamp->real_ms);
    jp_cbor_put_bool(out, stamp->real_synced);
    jp_cbor_put_text(out, stamp->boot);
    jp_cbor_put_int(out, stamp->boot_ms);
    jp_cbor_put_bool(out, stamp->closed);
    jp_cbor_put_uint(out, stamp->run_no);
}

int jp_registers_encode(const struct jp_registers *registers, const struct jp_registers_stamp *stamp, void *buffer,
                        size_t size)
{
    struct jp_cbor_out out;

    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_array(&out, ELEMENTS);
    jp_cbor_put_uint(&out, VERSION);
    jp_cbor_put_uint(&out, registers->id);
    jp_cbor_put_bool(&out, registers->final);
    jp_cbor_put_bool(&out, registers->published);
    jp_cbor_put_uint(&out, registers->run);
    jp_cbor_put_uint(&out, registers->seq);
    jp_cbor_put_bool(&out, registers->any);
    jp_cbor_put_double(&out, registers->emissions_ug);
    jp_cbor_put_int(&out, registers->unpriced_mj);
    jp_cbor_put_array(&out, 4);
    put_values(&out, &registers->total);
    put_channels(&out, registers);
    put_runs(&out, registers);
    put_stamp(&out, stamp);
    return out.failed ? -EMSGSIZE : (int)out.used;
}

// Reading ----------------------------------------------------------------------------------------
static void refuse_unless(struct jp_cbor_in *in, bool good)
{
    in->failed |= !good;
}

static int64_t get_range(struct jp_cbor_in *in, int64_t low, int64_t high)
{
    int64_t value = jp_cbor_get_int(in);

    refuse_unless(in, value >= low && value <= high);
    return in->failed ? 0 : value;
}

// The elements of an array that has at least so many; how many more there are.
static size_t get_array(struct jp_cbor_in *in, size_t least)
{
    size_t count = jp_cbor_get_array(in);

    refuse_unless(in, count >= least);
    return in->failed ? 0 : count - least;
}

static void skip(struct jp_cbor_in *in, size_t count)
{
    while (count-- > 0 && !in->failed)
        jp_cbor_skip(in);
}

static void get_values(struct jp_cbor_in *in, struct jp_register *one)
{
    one->base_mj = get_range(in, -JP_ENERGY_MAX_MJ, JP_ENERGY_MAX_MJ);
    one->run_mj = get_range(in, -JP_ENERGY_MAX_MJ, JP_ENERGY_MAX_MJ);
    one->shown_mj = one->begun_mj = get_range(in, 0, JP_ENERGY_MAX_MJ);
    one->known = jp_cbor_get_bool(in);
    refuse_unless(in, one->base_mj + one->run_mj <= one->shown_mj);
    refuse_unless(in, one->known || one->shown_mj == 0);
}

static void get_channels(struct jp_cbor_in *in, struct jp_registers *registers)
{
    size_t count = jp_cbor_get_array(in);

    refuse_unless(in, count <= JP_REGISTERS_MAX);
    for (size_t i = 0; i < count && !in->failed; i++) {
        char name[JP_NAME_MAX];
        size_t more = get_array(in, 5);

        jp_cbor_copy_text(in, name, sizeof name);
        refuse_unless(in, jp_registers_is_name(name) && jp_registers_find(registers, name) < 0);
        if (in->failed)
            return;
        get_values(in, &registers->channels[jp_registers_add(registers, name)]);
        skip(in, more);
    }
}

static void get_runs(struct jp_cbor_in *in, struct jp_registers *registers)
{
    size_t count = jp_cbor_get_array(in);

    refuse_unless(in, count <= JP_REGISTERS_RUNS);
    for (size_t i = 0; i < count && !in->failed; i++) {
        registers->before[i] = jp_cbor_get_uint(in);
        refuse_unless(in, registers->before[i] != registers->run);
    }
    registers->before_count = in->failed ? 0 : (int)count;
}

static void get_stamp(struct jp_cbor_in *in, struct jp_registers_stamp *stamp)
{
    size_t more = get_array(in, 6);

    stamp->real_ms = get_range(in, -JP_REAL_MAX_MS, JP_REAL_MAX_MS);
    stamp->real_synced = jp_cbor_get_bool(in);
    jp_cbor_copy_text(in, stamp->boot, sizeof stamp->boot);
    stamp->boot_ms = get_range(in, 0, JP_BOOT_MAX_MS);
    stamp->closed = jp_cbor_get_bool(in);
    stamp->run_no = jp_cbor_get_uint(in);
    skip(in, more);
}

static void get_registers(struct jp_cbor_in *in, struct jp_registers *registers)
{
    size_t more;

    registers->id = jp_cbor_get_uint(in);
    registers->final = jp_cbor_get_bool(in);
    registers->published = jp_cbor_get_bool(in);
    registers->run = jp_cbor_get_uint(in);
    registers->seq = jp_cbor_get_uint(in);
    registers->any = jp_cbor_get_bool(in);
    registers->emissions_ug = jp_cbor_get_double(in);
    refuse_unless(in, isfinite(registers->emissions_ug) && registers->emissions_ug >= 0 &&
                          registers->emissions_ug <= (double)JP_EMISSIONS_MAX_UG);
    registers->unpriced_mj = get_range(in, 0, JP_ENERGY_MAX_MJ);
    more = get_array(in, 4);
    get_values(in, &registers->total);
    skip(in, more);
    get_channels(in, registers);
    get_runs(in, registers);
}

int jp_registers_decode(struct jp_registers *registers, struct jp_registers_stamp *stamp, const void *bytes,
                        size_t size)
{
    struct jp_cbor_in in;
    size_t more;

    memset(registers, 0, sizeof *registers);
    memset(stamp, 0, sizeof *stamp);
    jp_cbor_in_init(&in, bytes, size);
    more = get_array(&in, ELEMENTS);
    refuse_unless(&in, jp_cbor_get_uint(&in) == VERSION);
    get_registers(&in, registers);
    get_stamp(&in, stamp);
    skip(&in, more);
    refuse_unless(&in, in.at == size && registers->unpriced_mj <= registers->total.shown_mj);
    registers->final &= stamp->closed;
    if (!in.failed)
        return 0;
    memset(registers, 0, sizeof *registers);
    memset(stamp, 0, sizeof *stamp);
    return -EBADMSG;
}
