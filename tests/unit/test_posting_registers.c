// SPDX-License-Identifier: Apache-2.0
// Registers at a subscriber over lives of clean stops, kills, power cuts, offline boots and lost state files: under one
// register_id never down, and never up by more than was used.
#define _GNU_SOURCE
#include "post_subscriber.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "make_windows.h"

#include <cmocka.h>

#define LIVES 200
#define STEPS 8
#define RUNS_MAX 64
#define IDS_MAX 64
#define CHANNELS 3 // two and the total

static struct world *world;
static uint64_t seed;

// The truth: what each run has used.
static struct {
    uint64_t id;
    uint64_t windows;
} runs[RUNS_MAX];
static int run_count;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % below;
}

// mJ of the first `windows` windows of any run, as make_window() makes them.
static int64_t used(int channel, uint64_t windows)
{
    int64_t mj = 0;

    for (uint64_t seq = 0; seq < windows; seq++)
        for (int c = 0; c < 2; c++)
            if (channel == c || channel == 2)
                mj += (c + 1) * 1000 + (int64_t)(seq % 7);
    return mj;
}

static int64_t truth(int channel, uint64_t run, uint64_t seq)
{
    int64_t mj = 0;

    for (int i = 0; i < run_count; i++) {
        if (runs[i].id == run)
            return mj + used(channel, seq + 1);
        mj += used(channel, runs[i].windows);
    }
    fail_msg("a live of a run that never was");
    return 0;
}

static void note_windows(void)
{
    runs[run_count - 1].windows = world->next_seq;
}

static void begin_run(void)
{
    assert_true(run_count < RUNS_MAX);
    runs[run_count].id = 0x1000 + (uint64_t)run_count;
    runs[run_count].windows = 0;
    world_start_meter(world, runs[run_count].id);
    run_count++;
}

static void setup_world(void)
{
    world = world_new(2, 10);
    strcpy(world->config.location.country, "");
    world->config.location.intensity_g_per_kwh = 400;
    world->config.spool.checkpoint_s = 60;
    run_count = 0;
    begin_run();
}

static void teardown_world(void)
{
    world_delete(world);
}

static void lose_state(void)
{
    char path[JP_PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/state", world->config.paths_spool);
    unlink(path);
}

enum step { POST_STOPS, POST_KILLED, BOTH_KILLED, CLEAN_BOOT, POWER_CUT, STEP_COUNT };

static void take_step(enum step step)
{
    int seconds = 5 + (int)draw(50);

    world->each_second = draw(3) > 0 ? world_go_up : NULL; // else an offline stretch
    world->up = false;
    if (step == POST_STOPS || step == CLEAN_BOOT)
        world_post(world, seconds, true);
    else
        world_post_forked(world, seconds + 60, world->seconds + seconds);
    note_windows();
    if (step == CLEAN_BOOT) {
        world_stop_meter(world);
        world->up = false;
        world_post(world, 2, true);
        world->metering = true;
    }
    if (draw(8) == 0)
        lose_state();
    if (step == CLEAN_BOOT || step == POWER_CUT)
        world_reboot(world);
    if (step != POST_STOPS && step != POST_KILLED)
        begin_run();
    world->seconds += 1 + (int)draw(20); // the machine was off, or post late
}

struct seen {
    uint64_t id, run, seq;
    double j[CHANNELS], g;
};

static void judge_live(json_t *live, struct seen *ids, int *id_count)
{
    static const char *const names[CHANNELS] = {"r0", "r1", "total"};
    const char *text = json_string_value(json_object_get(live, "register_id"));
    uint64_t run = strtoull(json_string_value(json_object_get(live, "run")), NULL, 16);
    uint64_t seq = (uint64_t)json_integer_value(json_object_get(live, "seq")), id = strtoull(text, NULL, 16);
    double g = json_number_value(json_object_get(live, "emissions_g"));
    struct seen *seen = NULL;
    int64_t mj = 0;

    assert_string_equal(json_string_value(json_object_get(live, "register")), "final");
    for (int i = 0; i < *id_count; i++)
        if (ids[i].id == id)
            seen = &ids[i];
    for (int c = 0; c < CHANNELS; c++) {
        double j = json_number_value(json_object_get(json_object_get(live, "energy_j"), names[c]));

        if (seen) {
            mj = truth(c, run, seq) - truth(c, seen->run, seen->seq);
            assert_true(j >= seen->j[c] - 1e-9);
            assert_true(j - seen->j[c] <= (double)mj / 1000 + 1e-6);
            seen->j[c] = j;
        } else {
            assert_true(*id_count < IDS_MAX);
            ids[*id_count].j[c] = j;
            assert_true(j <= (double)truth(c, run, seq) / 1000 + 1e-6);
        }
    }
    if (seen) {
        assert_true(g >= seen->g - 1e-9);
        assert_true(g - seen->g <= (double)mj * 400 / 3.6e9 + 1e-5);
    } else {
        seen = &ids[(*id_count)++];
    }
    seen->id = id;
    seen->run = run;
    seen->seq = seq;
    seen->g = g;
}

// The number of ids that were seen.
static int judge(void)
{
    struct seen ids[IDS_MAX];
    int id_count = 0;

    for (int i = 0; i < world->log->count; i++) {
        const struct world_message *message = &world->log->messages[i];
        json_t *live;

        if (strcmp(message->leaf, "live") != 0)
            continue;
        live = subscriber_json(world, message);
        judge_live(live, ids, &id_count);
        json_decref(live);
    }
    return id_count;
}

static void registers_never_go_down_nor_up_by_more_than_was_used(void **state)
{
    int lives = 0, ids = 0, least = 1000;

    (void)state;
    for (uint64_t life = 0; life < LIVES; life++) {
        int count;

        seed = 0x9e3779b97f4a7c15ULL * (life + 1);
        setup_world();
        world->config.adopt_retained = life % 2;
        for (int i = 0; i < STEPS; i++)
            take_step((enum step)draw(STEP_COUNT));
        world->each_second = world_go_up;
        world->up = false;
        world_post(world, 30, true);
        note_windows();
        count = judge();
        ids += count;
        least = count < least ? count : least;
        lives += subscriber_count(world, "live");
        teardown_world();
    }
    printf("%d sequences, %d lives, %.1f register ids a sequence\n", LIVES, lives, (double)ids / LIVES);
    assert_true(lives > 12 * LIVES && least == 1);
}

// So that all of a run is released before the kill.
static void measure_four_blocks(struct world *w)
{
    world_go_up(w);
    w->metering = w->next_seq < 40;
}

// Their hot folder has all that was released.
static void kills_alone_cost_the_registers_nothing(void **state)
{
    json_t *live;

    (void)state;
    setup_world();
    world->config.mqtt.live_s = 1000;
    world->each_second = measure_four_blocks;
    for (int i = 0; i < 4; i++) {
        world->up = false;
        world_post_forked(world, 400, world->seconds + 55);
        note_windows();
        begin_run();
    }
    world->up = false;
    world->metering = true;
    world->each_second = world_go_up;
    world->config.mqtt.live_s = 10;
    world_post(world, 40, true);
    note_windows();
    live = subscriber_json(world, world_last(world, "live"));
    for (int c = 0; c < 2; c++)
        assert_true(fabs(json_number_value(json_object_get(json_object_get(live, "energy_j"), c ? "r1" : "r0")) * 1000 -
                         (double)truth(c, runs[run_count - 1].id,
                                       (uint64_t)json_integer_value(json_object_get(live, "seq")))) < 0.5);
    json_decref(live);
    assert_int_equal(judge(), 1);
    teardown_world();
}

static uint64_t id_now(void)
{
    json_t *live = subscriber_json(world, world_last(world, "live"));
    uint64_t id = strtoull(json_string_value(json_object_get(live, "register_id")), NULL, 16);

    json_decref(live);
    return id;
}

static double total_now(void)
{
    json_t *live = subscriber_json(world, world_last(world, "live"));
    double j = json_number_value(json_object_get(json_object_get(live, "energy_j"), "total"));

    json_decref(live);
    return j;
}

static void a_lost_state_file_alone_does_not_change_the_id_when_the_retained_one_may_be_adopted(void **state)
{
    uint64_t id;
    double before;

    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        setup_world();
        world->config.adopt_retained = true;
        world->each_second = world_go_up;
        world_post_forked(world, 400, 250);
        note_windows();
        id = id_now();
        before = total_now();
        lose_state();
        if (cut) { // the one on tmpfs as well
            world_reboot(world);
            begin_run();
        }
        world_post(world, 40, true);
        note_windows();
        assert_true(id_now() == id);
        assert_true(total_now() > before);
        judge();
        teardown_world();
    }
}

static void without_leave_a_lost_register_begins_anew(void **state)
{
    uint64_t id;

    (void)state;
    setup_world();
    world->each_second = world_go_up;
    world_post_forked(world, 400, 250);
    note_windows();
    id = id_now();
    lose_state();
    world_reboot(world);
    begin_run();
    world_post(world, 40, true);
    note_windows();
    assert_true(id_now() != id);
    judge();
    teardown_world();
}

static void bring_absurd(struct world *w)
{
    static const char text[] = "{\"register_id\":\"00000000000000aa\",\"run\":\"0000000000001000\",\"seq\":5,"
                               "\"energy_j\":{\"r0\":8e12,\"r1\":1.0,\"total\":8e12},\"emissions_g\":1.0}";

    if (w->up)
        return;
    world_say(w, JP_NEWS_UP, 0);
    world_incoming(w, "live", text, strlen(text));
}

static void an_absurd_register_of_a_stranger_is_not_adopted(void **state)
{
    (void)state;
    setup_world();
    world->config.adopt_retained = true;
    world->forgetful = true;
    world->each_second = bring_absurd;
    world_post(world, 40, true);
    note_windows();
    assert_true(id_now() != 0xaa);
    assert_true(total_now() < 200.0);
    judge();
    assert_int_equal(subscriber_count(world, "event"), 2); // the run and the conflict
    teardown_world();
}

static void a_power_cut_with_leave_goes_on_from_what_was_seen(void **state)
{
    uint64_t id;
    double before;

    (void)state;
    setup_world();
    world->config.adopt_retained = true;
    world->config.spool.checkpoint_s = 3600;
    world->each_second = world_go_up;
    world_post_forked(world, 400, 250);
    note_windows();
    id = id_now();
    before = total_now();
    world_reboot(world);
    begin_run();
    world_post(world, 40, true);
    note_windows();
    assert_true(id_now() == id);
    assert_true(total_now() > before && total_now() < before + 40 * 3.1);
    judge();
    teardown_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_never_go_down_nor_up_by_more_than_was_used),
        cmocka_unit_test(kills_alone_cost_the_registers_nothing),
        cmocka_unit_test(a_lost_state_file_alone_does_not_change_the_id_when_the_retained_one_may_be_adopted),
        cmocka_unit_test(without_leave_a_lost_register_begins_anew),
        cmocka_unit_test(an_absurd_register_of_a_stranger_is_not_adopted),
        cmocka_unit_test(a_power_cut_with_leave_goes_on_from_what_was_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
