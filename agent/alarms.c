// SPDX-License-Identifier: Apache-2.0
// Gauges become events.
#include "alarms.h"

#include <inttypes.h>
#include <stdio.h>

#define QUIET_MS 5000

void jp_alarms_init(struct jp_alarms *alarms, const struct jp_plan *plan, struct jp_record *record)
{
    alarms->record = record;
    alarms->run = &plan->run;
    alarms->count = 0;
    for (int s = 0; s < plan->source_count; s++)
        for (int i = 0; i < plan->sources[s].count; i++) {
            const struct jp_source *source = &plan->sources[s];
            int gauge = source->gauge[i];

            if (gauge < 0 || source->info[i].event[0] == '\0')
                continue;
            alarms->list[alarms->count++] = (struct jp_alarm){
                .gauge = gauge,
                .kind = source->info[i].event,
                .channel = plan->watched[gauge] < 0 ? "" : plan->run.channels[plan->watched[gauge]].name,
                .quiet_ms = -1,
            };
        }
}

static void tell(struct jp_alarms *alarms, struct jp_alarm *alarm, int64_t level)
{
    char detail[128];

    snprintf(detail, sizeof detail, "{\"gauge\":\"%s\",\"state\":\"%s\",\"level\":%" PRId64 "}",
             alarms->run->gauges[alarm->gauge].name, level > 0 ? "on" : "off", level / 1000);
    if (jp_record_event(alarms->record, alarm->kind, alarm->channel, detail))
        return;
    alarm->told = level;
    alarm->quiet_ms = -1;
}

static void look(struct jp_alarms *alarms, struct jp_alarm *alarm, int64_t level, int64_t now_ms)
{
    if (level > alarm->told)
        tell(alarms, alarm, level);
    else if (level > 0)
        alarm->quiet_ms = -1;
    else if (alarm->told > 0 && alarm->quiet_ms < 0)
        alarm->quiet_ms = now_ms;
    else if (alarm->told > 0 && now_ms - alarm->quiet_ms >= QUIET_MS)
        tell(alarms, alarm, 0);
}

void jp_alarms_look(struct jp_alarms *alarms, const struct jp_window *window)
{
    for (int i = 0; i < alarms->count; i++) {
        int64_t level = window->gauges[alarms->list[i].gauge];

        if (level != INT64_MIN)
            look(alarms, &alarms->list[i], level, window->t0_ms + window->span_ms);
    }
}
