// SPDX-License-Identifier: Apache-2.0
// What is taken from measurements of others: the levels of the rails idle and busy. jetson_stats' recorded tegrastats
// lines (TX2 idle and heavy; Nano), a post on NVIDIA's forum (348662: Orin Nano idle) and public logs found by code
// search (Orin Nano under light inference); Orin Nano's SOC rail under load and the split of what it uses are
// assumed. From the INA3221's registers: a reading moves by steps of 40 uV / shunt in current (8 mA at 5 mOhm, 40 mW
// at 5 V) and 8 mV in voltage.
//
// What is assumed of the load: a steady rail's readings wander by one step of current either way and one of voltage;
// all rails of a board follow one load; half of the time it is idle (a little work at 5 % each tenth second), a
// quarter steady, a quarter bursts between idle and a level, of a period of 0.3 to 10 s and 20 to 90 % duty.
#include "made_load.h"

#include "cbor.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW_MS 1000
#define INTERVAL_MS 200
#define NS_PER_MS 1000000
#define HOLE_NS 2000000000
#define BORN_MS 10000
#define STEP_MV 8

static const struct {
    const char *name;
    int idle_mw, busy_mw;
    int mv, step_ma; // the rail's voltage, the step of its current
} rails[MADE_RAILS_MAX] = {
    // Orin Nano, 5 mOhm
    {"VDD_IN", 2180, 5694, 4960, 8},
    {"VDD_CPU_GPU_CV", 370, 2400, 4960, 8},
    {"VDD_SOC", 945, 1400, 4960, 8},
    // TX2, whose steps say 19.1 V and 10 mOhm for the large ones
    {"VDD_SYS_GPU", 153, 6854, 19096, 4},
    {"VDD_SYS_SOC", 384, 1371, 19096, 4},
    {"VDD_SYS_CPU", 153, 2209, 19096, 4},
    {"VDD_SYS_DDR", 192, 2702, 4960, 4},
    {"VDD_4V0_WIFI", 38, 19, 4768, 4},
    // Nano, 5 mOhm
    {"POM_5V_IN", 1750, 2799, 4960, 8},
    {"POM_5V_GPU", 0, 393, 4960, 8},
    {"POM_5V_CPU", 366, 590, 4960, 8},
};

static uint64_t draw(struct made_load *load)
{
    load->random ^= load->random << 13;
    load->random ^= load->random >> 7;
    load->random ^= load->random << 17;
    return load->random;
}

static int64_t between(struct made_load *load, int64_t low, int64_t high)
{
    return low + (int64_t)((draw(load) >> 16) % (uint64_t)(high - low + 1));
}

void made_run(struct jp_run *run, uint64_t id, int count)
{
    assert(count <= MADE_RAILS_MAX);
    *run = (struct jp_run){
        .id = id,
        .boot = "5b0e7c1f-2f0b-4d6a-9b1e-5d7f2a3c4b5a",
        .device = "made",
        .window_ms = WINDOW_MS,
        .block_windows = 30,
        .interval_ms = INTERVAL_MS,
        .channel_count = count,
        .total_known = true,
        .total_scope = JP_SCOPE_MODULE,
        .facts = {.board_id = "jetson-orin-nano",
                  .board_name = "Jetson Orin Nano Developer Kit",
                  .module = "Jetson Orin Nano 8GB",
                  .soc = "tegra234",
                  .gpu_count = 1,
                  .gpu_name = "Orin (nvgpu)",
                  .cpu_count = 6,
                  .cpu_model = "Cortex-A78AE",
                  .ram_bytes = 7802128 * 1024LL,
                  .os_name = "Ubuntu 22.04.5 LTS",
                  .l4t = "36.4.3",
                  .jetpack = "6.2",
                  .power_mode = "15W"},
    };
    for (int c = 0; c < count; c++) {
        struct jp_run_channel *channel = &run->channels[c];

        snprintf(channel->name, sizeof channel->name, "%s", rails[c].name);
        snprintf(channel->part_of, sizeof channel->part_of, "%s", c == 1 || c == 2 ? rails[0].name : "");
        channel->kind = JP_POWER;
        channel->scale = 1;
        channel->resolution_uw = (int64_t)rails[c].mv * rails[c].step_ma;
        channel->in_total = c == 0;
    }
}

static void begin_phase(struct made_load *load)
{
    int kind = (int)(draw(load) >> 16 & 3);

    load->kind = load->wanted;
    if (load->wanted == MADE_DAY)
        load->kind = kind == 0 ? MADE_STEADY : kind == 1 ? MADE_BURSTS : MADE_IDLE;
    load->left_ms = between(load, 60000, 1800000);
    load->level = (int)between(load, 300, 1000);
    load->period_ms = between(load, 300, 10000);
    load->duty_ms = load->period_ms * between(load, 20, 90) / 100;
    load->at = 0;
}

void made_begin(struct made_load *load, const struct jp_run *run, enum made_kind kind, uint64_t seed)
{
    *load = (struct made_load){.run = run, .random = seed * 2 + 1, .wanted = kind, .t0_ms = BORN_MS};
    for (int i = 0; i < 8; i++)
        draw(load);
    for (int c = 0; c < run->channel_count; c++) {
        jp_integrator_init(&load->rails[c], JP_POWER, 0);
        load->rails[c].hole_ns = HOLE_NS;
    }
    begin_phase(load);
}

// Thousandths of the way from idle to busy, `ms` after the last pass.
static int level_after(struct made_load *load, int64_t ms)
{
    load->left_ms -= ms;
    if (load->left_ms <= 0)
        begin_phase(load);
    if (load->kind == MADE_IDLE)
        return (draw(load) >> 16 & 63) ? 0 : 50;
    load->at = (load->at + ms) % load->period_ms;
    return load->kind == MADE_STEADY || load->at < load->duty_ms ? load->level : 0;
}

// A reading in uW.
static int64_t reading(struct made_load *load, int c, int level)
{
    int64_t mw = rails[c].idle_mw + (int64_t)(rails[c].busy_mw - rails[c].idle_mw) * level / 1000;
    uint64_t noise = draw(load) >> 16;
    int64_t step_uw = (int64_t)rails[c].mv * rails[c].step_ma;
    int64_t steps = (mw * 1000 + step_uw / 2) / step_uw + (int64_t)(noise % 3) - 1;

    return steps * rails[c].step_ma * (rails[c].mv + (int64_t)(noise / 3 % 3 - 1) * STEP_MV);
}

// One pass over the rails at pass_ms. Where it is the first behind `border_ms`, *cut gets the energies there.
static void pass(struct made_load *load, int64_t border_ms, int64_t *cut)
{
    int64_t ms = load->pass_ms, before = load->rails[0].t_ns / NS_PER_MS;
    int level = level_after(load, load->rails[0].started ? ms - before : 0);

    for (int c = 0; c < load->run->channel_count; c++) {
        struct jp_integrator *rail = &load->rails[c];
        struct jp_sample sample = {.t_ns = ms * NS_PER_MS, .value = reading(load, c, level)};

        if (cut && rail->started) {
            struct jp_sample at = {.t_ns = border_ms * NS_PER_MS};

            at.value = jp_integrator_at(rail, &sample, at.t_ns);
            jp_integrator_add(rail, &at);
        }
        if (cut)
            cut[c] = jp_floor_div(rail->total_uj, 1000);
        if (jp_integrator_add(rail, &sample) == JP_HOLE)
            abort(); // no made load has one
    }
    load->pass_ms = ms / INTERVAL_MS * INTERVAL_MS + INTERVAL_MS + (int64_t)((draw(load) >> 16) % INTERVAL_MS);
}

void made_window(struct made_load *load, struct jp_window *window)
{
    int64_t end_ms = (int64_t)(load->seq + 1) * WINDOW_MS, cut[MADE_RAILS_MAX];

    while (load->pass_ms < end_ms)
        pass(load, end_ms, NULL);
    pass(load, end_ms, cut);
    window->run = load->run->id;
    window->seq = load->seq++;
    window->t0_ms = load->t0_ms + end_ms - WINDOW_MS;
    window->span_ms = WINDOW_MS;
    window->late_ticks = 0;
    window->channel_count = load->run->channel_count;
    window->gauge_count = 0;
    for (int c = 0; c < window->channel_count; c++) {
        window->channels[c] = (struct jp_window_channel){.known = true,
                                                         .mj = cut[c] - load->cut_mj[c],
                                                         .run_mj = cut[c],
                                                         .covered_ms = WINDOW_MS,
                                                         .raw_uj = -1,
                                                         .mv = INT32_MIN,
                                                         .ma = INT32_MIN,
                                                         .peak_mw = INT64_MIN};
        load->cut_mj[c] = cut[c];
    }
}

size_t made_durable_run(const struct jp_run *run, uint64_t run_no, const struct made_prev *prev, uint64_t stored,
                        uint8_t *buffer, size_t size)
{
    uint8_t plain[JP_PAYLOAD_MAX];
    int n = jp_run_encode(run, plain, sizeof plain);
    struct jp_cbor_in in;
    struct jp_cbor_out out;
    size_t pairs;

    assert(n > 0);
    jp_cbor_in_init(&in, plain, (size_t)n);
    pairs = jp_cbor_get_map(&in);
    jp_cbor_out_init(&out, buffer, size);
    jp_cbor_put_map(&out, pairs + 3);
    jp_cbor_put_raw(&out, plain + in.at, (size_t)n - in.at);
    jp_cbor_put_text(&out, "run_no");
    jp_cbor_put_uint(&out, run_no);
    jp_cbor_put_text(&out, "prev");
    if (prev) {
        jp_cbor_put_map(&out, 3);
        jp_cbor_put_text(&out, "run");
        jp_cbor_put_uint(&out, prev->run);
        jp_cbor_put_text(&out, "last_seq");
        jp_cbor_put_uint(&out, prev->last_seq);
        jp_cbor_put_text(&out, "clean");
        jp_cbor_put_bool(&out, prev->clean);
    } else {
        jp_cbor_put_null(&out);
    }
    jp_cbor_put_text(&out, "stored");
    jp_cbor_put_uint(&out, stored);
    assert(!out.failed);
    return out.used;
}
