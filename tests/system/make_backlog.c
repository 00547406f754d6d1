// SPDX-License-Identifier: Apache-2.0
// A backlog as a year without a broker leaves it: make_backlog DIR [BLOCKS] writes the durable spool of three rails at
// 1 Hz into DIR, twelve boots of two runs each; make_backlog --open DIR says how long post needs to be ready on it;
// make_backlog --paced DIR SECONDS writes as post does offline: a block of eight rails with a sync each SECONDS, until
// it is killed.
#define _POSIX_C_SOURCE 200809L
#include "block.h"
#include "made_load.h"
#include "spool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define YEAR_BLOCKS 1051200 // of 30 s
#define BOOTS 12
#define RUNS 2 // a boot
#define RAILS 3
#define PACED_RAILS 8
#define BLOCK_WINDOWS 30
#define GAP_WINDOWS 5
#define DAY_BLOCKS 2880 // between ANCHORs
#define BORN_MS 1790000000000
#define MAX_BYTES 2000000000
#define COMMIT_BYTES 200000
#define BETWEEN_BOOTS_MS 60000

struct backlog {
    struct jp_spool spool;
    struct jp_fs fs;
    struct jp_spool_now now;
    struct jp_run run;
    struct made_load load;
    struct jp_block block;
    struct made_prev prev;
    uint64_t run_no, stored;
    int64_t off_ms, bytes;
    uint8_t payload[JP_PAYLOAD_MAX];
};

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "make_backlog: %s: %s\n", what, strerror(-rc));
    exit(1);
}

static int remain(const struct jp_fs *self, int fd)
{
    (void)self;
    (void)fd;
    return 0;
}

static int remain_dir(const struct jp_fs *self, const char *dir)
{
    (void)self;
    (void)dir;
    return 0;
}

static void append(struct backlog *backlog, uint8_t type, int size)
{
    must(size, "encoding");
    must(jp_spool_append(&backlog->spool, type, backlog->payload, (size_t)size), "append");
}

// Windows of the blocks that are held: a segment that begins now holds them itself.
static uint64_t held_windows(const struct jp_spool *spool)
{
    uint64_t windows = 0;

    for (size_t at = 0; at < spool->held_bytes;) {
        const uint8_t *head = spool->held + at; // docs/format.md, section 3

        windows += head[12] == JP_FRAME_BLOCK ? BLOCK_WINDOWS : 0;
        at += JP_FRAME_HEAD + ((size_t)head[14] << 8 | head[15]);
    }
    return windows;
}

static void append_run(struct backlog *backlog)
{
    append(backlog, JP_FRAME_RUN,
           (int)made_durable_run(&backlog->run, backlog->run_no, backlog->run_no > 1 ? &backlog->prev : NULL,
                                 backlog->stored - held_windows(&backlog->spool), backlog->payload,
                                 sizeof backlog->payload));
}

static void append_anchor(struct backlog *backlog)
{
    struct jp_anchor anchor = {backlog->now.boot_ms, backlog->off_ms, 1, 3};

    append(backlog, JP_FRAME_ANCHOR, jp_anchor_encode(&anchor, backlog->payload, sizeof backlog->payload));
}

static void preface(void *context, struct jp_spool *spool)
{
    (void)spool;
    append_run(context);
    append_anchor(context);
}

static void commit(struct backlog *backlog, size_t above)
{
    if (backlog->spool.held_bytes > above)
        must(jp_spool_commit(&backlog->spool, &backlog->now), "commit");
}

static void append_blocks(struct backlog *backlog, long blocks)
{
    struct jp_window window;

    must(jp_block_begin(&backlog->block, &backlog->run, 0), "block");
    for (long i = 0; i < blocks; i++) {
        jp_block_clear(&backlog->block);
        while (!jp_block_full(&backlog->block)) {
            made_window(&backlog->load, &window);
            must(jp_block_add(&backlog->block, &window), "window");
        }
        backlog->now.boot_ms = window.t0_ms + window.span_ms;
        backlog->now.real_ms = backlog->now.boot_ms + backlog->off_ms;
        append(backlog, JP_FRAME_BLOCK, jp_block_encode(&backlog->block, backlog->payload, sizeof backlog->payload));
        backlog->stored += (uint64_t)backlog->block.count;
        if (i % DAY_BLOCKS == DAY_BLOCKS - 1) {
            backlog->off_ms += 7; // the clock is slewed
            append_anchor(backlog);
        }
        commit(backlog, COMMIT_BYTES);
    }
    jp_block_end(&backlog->block);
    commit(backlog, 0);
}

// A run begins: said in a frame of its own unless a segment will say it.
static void begin_run(struct backlog *backlog, bool first_of_boot)
{
    struct jp_event event = {.boot_ms = backlog->now.boot_ms, .kind = "run", .detail = "{}"};

    backlog->prev = (struct made_prev){backlog->run.id, backlog->load.seq - 1, !first_of_boot};
    backlog->run.id = 0x1000 + ++backlog->run_no;
    event.run = backlog->run.id;
    made_begin(&backlog->load, &backlog->run, MADE_DAY, backlog->run_no);
    backlog->load.t0_ms = backlog->now.boot_ms;
    if (!first_of_boot)
        append_run(backlog);
    append(backlog, JP_FRAME_EVENT, jp_event_encode(&event, backlog->payload, sizeof backlog->payload));
}

// What a full hot spool folds away before a power cut.
static void append_gap(struct backlog *backlog)
{
    struct jp_gap gap = {.windows = 0};
    struct jp_window window;

    for (int i = 0; i < GAP_WINDOWS; i++) {
        made_window(&backlog->load, &window);
        jp_gap_fold(&gap, &backlog->run, &window, "hot_full");
    }
    append(backlog, JP_FRAME_GAP, jp_gap_encode(&gap, backlog->payload, sizeof backlog->payload));
    commit(backlog, 0);
}

static void write_boot(struct backlog *backlog, const char *dir, int boot, long blocks)
{
    struct jp_spool_config config = {
        .fs = &backlog->fs, .dir = dir, .max_bytes = MAX_BYTES, .calls = {.context = backlog, .preface = preface}};
    long half = blocks / RUNS;

    backlog->off_ms = boot == 0 ? BORN_MS : backlog->now.real_ms + BETWEEN_BOOTS_MS;
    backlog->now = (struct jp_spool_now){10000, backlog->off_ms + 10000, true};
    snprintf(backlog->run.boot, sizeof backlog->run.boot, "5b0e7c1f-2f0b-4d6a-9b1e-5d7f2a3c%04x", (unsigned)boot);
    memcpy(config.header.boot, backlog->run.boot, sizeof config.header.boot);
    snprintf(config.header.device, sizeof config.header.device, "made");
    snprintf(config.header.tool, sizeof config.header.tool, "0.1.0");
    must(jp_spool_open(&backlog->spool, &config, &backlog->now), dir);
    for (int run = 0; run < RUNS; run++) {
        begin_run(backlog, run == 0);
        append_blocks(backlog, run == RUNS - 1 ? blocks - half * (RUNS - 1) : half);
    }
    append_gap(backlog);
    backlog->bytes = backlog->spool.used_bytes;
    jp_spool_close(&backlog->spool, &backlog->now);
}

static int write_all(const char *dir, long blocks)
{
    static struct backlog backlog; // large

    backlog.fs = jp_fs_real;
    backlog.fs.sync = remain;
    backlog.fs.sync_dir = remain_dir;
    made_run(&backlog.run, 0, RAILS);
    for (int boot = 0; boot < BOOTS; boot++)
        write_boot(&backlog, dir, boot, blocks * (boot + 1) / BOOTS - blocks * boot / BOOTS);
    printf("{\"blocks\":%ld,\"windows\":%" PRIu64 ",\"runs\":%" PRIu64 ",\"gaps\":%d,\"bytes\":%" PRId64 "}\n", blocks,
           backlog.stored, backlog.run_no, BOOTS, backlog.bytes);
    return 0;
}

static int write_paced(const char *dir, long period_s)
{
    static struct backlog backlog; // large
    struct jp_spool_config config = {
        .fs = &jp_fs_real, .dir = dir, .max_bytes = MAX_BYTES / 32, .calls = {.context = &backlog, .preface = preface}};
    struct timespec pause = {.tv_sec = period_s};

    made_run(&backlog.run, 1, PACED_RAILS);
    made_begin(&backlog.load, &backlog.run, MADE_DAY, 1);
    memcpy(config.header.boot, backlog.run.boot, sizeof config.header.boot);
    backlog.now = (struct jp_spool_now){10000, BORN_MS, true};
    must(jp_spool_open(&backlog.spool, &config, &backlog.now), dir);
    do
        append_blocks(&backlog, 1);
    while (printf("%" PRIu64 "\n", backlog.stored) > 0 && fflush(stdout) == 0 && nanosleep(&pause, NULL) == 0);
    return 1;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int open_it(const char *dir)
{
    static struct jp_spool spool; // large
    struct jp_spool_config config = {.fs = &jp_fs_real, .dir = dir, .max_bytes = MAX_BYTES};
    struct jp_spool_now now = {10000, BORN_MS, false};
    struct jp_frame frame;
    double begun = seconds(), opened, read;

    must(jp_spool_open(&spool, &config, &now), dir);
    opened = seconds();
    must(jp_spool_next(&spool, &frame) == JP_SPOOL_FRAME ? 0 : -1, "the first frame");
    read = seconds();
    printf("{\"open_s\":%.6f,\"first_frame_s\":%.6f,\"pending_bytes\":%" PRId64 "}\n", opened - begun, read - opened,
           jp_spool_pending_bytes(&spool));
    jp_spool_close(&spool, &now);
    return 0;
}

int main(int argc, char **argv)
{
    long blocks = argc == 3 ? strtol(argv[2], NULL, 10) : YEAR_BLOCKS;

    if (argc == 3 && strcmp(argv[1], "--open") == 0)
        return open_it(argv[2]);
    if (argc == 4 && strcmp(argv[1], "--paced") == 0)
        return write_paced(argv[2], strtol(argv[3], NULL, 10));
    if (argc < 2 || argc > 3 || blocks < BOOTS * RUNS) {
        fprintf(stderr, "make_backlog DIR [BLOCKS], make_backlog --open DIR, or make_backlog --paced DIR SECONDS\n");
        return 64;
    }
    return write_all(argv[1], blocks);
}
