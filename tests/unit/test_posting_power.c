// SPDX-License-Identifier: Apache-2.0
// The power goes at every call to the disk below paths.spool, and at many bytes: what post had let go of on tmpfs is on
// flash, once more, and nothing else is; every start succeeds.
#define _GNU_SOURCE
#include "faulty_fs.h"
#include "post_subscriber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "log.h"
#include "make_windows.h"

#include <cmocka.h>

#define RUN 0x51
#define SECONDS 95
#define LOSS_WINDOWS 21 // block_windows 10 and ack_timeout_s 10, in windows of a second; time moves in whole seconds
#define BYTES 61        // from cut to cut

static struct world *world;
static struct faulty_fs disk;
static struct subscriber got;

static void begin(int64_t sector)
{
    world_begin(world, 2, 10);
    world_start_meter(world, RUN);
    faulty_init(&disk, sector);
    disk.powersafe = true; // what the format asks of a disk
    world->flash = &disk.fs;
    jp_log_open("post", JP_LOG_ERROR); // it complains of each failure, as it should
}

static void end(void)
{
    world_end(world);
    faulty_free(&disk);
}

static int64_t lost_at; // second at which the power went, -1 not yet

static void note_power(struct world *w)
{
    if (disk.off && lost_at < 0)
        lost_at = w->seconds;
}

// Offline until the power goes, as seen from the disk: then all but the disk is gone.
static void live_and_die(enum faulty_loss loss, uint64_t seed)
{
    lost_at = -1;
    world->each_second = note_power;
    world_post(world, SECONDS, true);
    faulty_power_up(&disk, loss, seed);
    world_reboot(world);
    world_start_meter(world, RUN + 1);
    world->each_second = world_go_up;
    world->up = false;
    assert_int_equal(world_post(world, 25, true), 0);
}

static void judge(void)
{
    const struct subscriber_run *run, *next;
    int64_t last = lost_at < 0 ? SECONDS : lost_at;

    subscriber_take(&got, world, 0);
    run = subscriber_run(&got, RUN);
    next = subscriber_run(&got, RUN + 1);
    assert_non_null(next);
    assert_true(next->windows >= 20);
    assert_true(got.ordered && !got.differing);
    if ((run ? run->windows : 0) < last - LOSS_WINDOWS)
        fail_msg("%d windows of %lld seconds", run ? run->windows : 0, (long long)last);
    for (int seq = 0; run && seq < run->windows; seq++)
        assert_true(run->seen[seq]);
    assert_true(!next->prev_known || (next->prev_run == RUN && next->prev_seq < SECONDS));
    assert_true(!run || run->windows == 0 || (next->prev_known && next->prev_seq >= (int64_t)run->last_seq));
}

static void at_every_call(void **state)
{
    long total;

    (void)state;
    begin(512);
    world_post(world, SECONDS, true);
    total = disk.calls[FAULTY_ANY];
    end();
    assert_true(total > 50);
    for (long cut = 1; cut <= total; cut++)
        for (enum faulty_loss loss = FAULTY_KEEP; loss <= FAULTY_TEAR; loss++) {
            begin(cut % 2 ? 512 : 4096);
            disk.power_calls = cut;
            live_and_die(loss, (uint64_t)cut);
            judge();
            end();
        }
    printf("cut at each of %ld calls\n", total);
}

static void at_bytes(void **state)
{
    int64_t total, cuts = 0;

    (void)state;
    begin(512);
    world_post(world, SECONDS, true);
    total = disk.written;
    end();
    // Most bytes are the zeros of the first segment and the spare: the last ones are records and state.
    for (int64_t cut = total > 20000 ? total - 20000 : 0; cut < total; cut += BYTES, cuts++) {
        begin(512);
        disk.power_bytes = cut;
        live_and_die(FAULTY_TEAR, (uint64_t)cut);
        judge();
        end();
    }
    printf("cut at %lld of %lld bytes\n", (long long)cuts, (long long)total);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_call),
        cmocka_unit_test(at_bytes),
    };

    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (world == MAP_FAILED)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
