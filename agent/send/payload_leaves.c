// SPDX-License-Identifier: Apache-2.0
// The small leaves: live, status, event, gap.
#include "payload.h"

#include "window_json.h"

#include <math.h>
#include <string.h>

// Mean power in mW over the covered time, rounded to nearest. False: nothing was covered, or the energy is of an
// unknown time: a counter brings what it counted between two runs into the first window of the second.
static bool mean_mw(const struct jp_live *live, int c, int64_t *mw)
{
    const struct jp_window_channel *channel = &live->window->channels[c];
    bool bridged = live->window->seq == 0 && live->run->channels[c].kind == JP_ENERGY;

    if (!channel->known || channel->covered_ms <= 0 || bridged)
        return false;
    *mw = (int64_t)llround((double)channel->mj * 1000.0 / (double)channel->covered_ms);
    return true;
}

// The total is the sum of its members' means, as they may be covered at different times.
static json_t *power_json(const struct jp_live *live)
{
    json_t *power = json_object();
    int64_t total_mw = 0;
    bool total_known = false, withheld = false;

    for (int c = 0; c < live->run->channel_count; c++) {
        bool member = live->run->total_known && live->run->channels[c].in_total;
        int64_t mw = 0;
        bool known = mean_mw(live, c, &mw);

        json_object_set_new(power, live->run->channels[c].name, jp_json_milli(known, mw));
        total_known |= known && member;
        withheld |= !known && member && live->window->channels[c].known;
        total_mw += member ? mw : 0;
    }
    json_object_set_new(power, "total", jp_json_milli(total_known && !withheld, total_mw));
    return power;
}

static json_t *energy_json(const struct jp_live *live)
{
    const struct jp_registers *registers = live->registers;
    json_t *energy = json_object();

    for (int c = 0; c < live->run->channel_count; c++) {
        const struct jp_register *one = registers->of[c] < 0 ? NULL : &registers->channels[registers->of[c]];

        json_object_set_new(energy, live->run->channels[c].name,
                            jp_json_milli(one && one->known, one ? one->shown_mj : 0));
    }
    json_object_set_new(energy, "total",
                        jp_json_milli(live->run->total_known && registers->total.known, registers->total.shown_mj));
    return energy;
}

static json_t *gauges_json(const struct jp_live *live)
{
    json_t *gauges = json_object();

    for (int g = 0; g < live->run->gauge_count && g < live->window->gauge_count; g++)
        json_object_set_new(gauges, live->run->gauges[g].name,
                            jp_json_milli(live->window->gauges[g] != INT64_MIN, live->window->gauges[g]));
    return gauges;
}

int jp_payload_live(const struct jp_live *live, char *buffer, size_t size)
{
    const struct jp_registers *registers = live->registers;
    int64_t boot_ms = live->window->t0_ms + live->window->span_ms;
    json_t *object = json_object();
    bool priced = registers->priced && live->run->total_known && registers->total.known;

    json_object_set_new(object, "t_ms", jp_json_time(live->head, boot_ms));
    json_object_set_new(object, "clock", json_string(jp_clock_state_name(live->head->clock)));
    json_object_set_new(object, "boot_ms", json_integer(boot_ms));
    json_object_set_new(object, "run", jp_json_u64(live->window->run));
    json_object_set_new(object, "seq", json_integer((json_int_t)live->window->seq));
    json_object_set_new(object, "power_w", power_json(live));
    json_object_set_new(object, "energy_j", energy_json(live));
    json_object_set_new(object, "emissions_g", priced ? json_real(round(registers->emissions_ug) / 1e6) : json_null());
    json_object_set_new(object, "register", json_string(registers->final ? "final" : "provisional"));
    json_object_set_new(object, "register_id", jp_json_u64(registers->id));
    json_object_set_new(object, "gauges", gauges_json(live));
    return jp_json_dump(object, buffer, size);
}

static json_t *lost_json(const struct jp_status *status)
{
    json_t *lost = json_object();

    for (int i = 0; i < JP_LOST_MAX; i++) {
        const struct jp_lost *one = &status->lost[i];

        if (!one->reason || one->windows == 0)
            continue;
        json_object_set_new(lost, one->reason,
                            json_pack("{s:I, s:o, s:o}", "windows", (json_int_t)one->windows, "seconds",
                                      jp_json_milli(true, one->ms), "joules", jp_json_milli(one->mj_known, one->mj)));
    }
    return lost;
}

json_t *jp_status_json(const struct jp_status *status)
{
    json_t *object = json_object(), *degraded = json_array();

    for (int i = 0; i < JP_DEGRADED_MAX && status->degraded[i]; i++)
        json_array_append_new(degraded, json_string(status->degraded[i]));
    json_object_set_new(object, "state", json_string("online"));
    json_object_set_new(object, "version", json_string(JOULEPOST_VERSION));
    json_object_set_new(object, "clock", json_string(status->clock));
    json_object_set_new(object, "pending",
                        json_pack("{s:I, s:I}", "windows", (json_int_t)status->pending_windows, "bytes",
                                  (json_int_t)status->pending_bytes));
    json_object_set_new(object, "lost", lost_json(status));
    json_object_set_new(object, "loss_window_s", json_real(status->loss_window_s));
    json_object_set_new(object, "refused", json_integer((json_int_t)status->refused));
    json_object_set_new(object, "degraded", degraded);
    json_object_set_new(object, "cost",
                        json_pack("{s:o, s:I, s:I}", "cpu_s", jp_json_milli(true, llround(status->cpu_s * 1000.0)),
                                  "rss_kb", (json_int_t)status->rss_kb, "flash_bytes",
                                  (json_int_t)status->flash_bytes));
    return object;
}

int jp_payload_status(const struct jp_status *status, char *buffer, size_t size)
{
    return jp_json_dump(jp_status_json(status), buffer, size);
}

int jp_payload_event(const struct jp_records_head *head, const struct jp_event *event, char *buffer, size_t size)
{
    return jp_json_dump(jp_event_json(head, event), buffer, size);
}

int jp_payload_gap(const struct jp_records_head *head, const struct jp_run *run, const struct jp_gap *gap, char *buffer,
                   size_t size)
{
    return jp_json_dump(jp_gap_json(head, run, gap), buffer, size);
}
