// SPDX-License-Identifier: Apache-2.0
// The post half's world.
#define _GNU_SOURCE
#include "post_world.h"

#include "control.h"
#include "log.h"
#include "make_windows.h"

#include <assert.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct world *the; // the doors carry no context of ours
static volatile sig_atomic_t stop;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static int64_t now_ns(const struct jp_clock *self)
{
    (void)self;
    return (int64_t)the->seconds * JP_NS_PER_S + the->ns;
}

static int64_t boot_ns(const struct jp_clock *self)
{
    return 100 * JP_NS_PER_S + now_ns(self);
}

static int64_t real_ns(const struct jp_clock *self)
{
    return 4000000000LL * JP_NS_PER_S + now_ns(self);
}

static enum jp_clock_state synced(const struct jp_clock *self, int64_t *err_ms)
{
    (void)self;
    if (err_ms)
        *err_ms = 3;
    return JP_CLOCK_SYNCED;
}

static void answer(void)
{
    struct world_message *message = &the->log->messages[the->under_way_index];
    bool records = strcmp(message->leaf, "records") == 0;

    the->under_way = NULL;
    if (records && the->slam > 0 && message->size > the->slam) {
        world_say(the, JP_NEWS_FAILED, 0);
        world_say(the, JP_NEWS_DOWN, 0);
    } else if (the->deny && strcmp(message->leaf, the->deny) == 0) {
        world_say(the, JP_NEWS_FAILED, 0x87);
    } else if (records && the->too_large > 0 && message->size > the->too_large) {
        world_say(the, JP_NEWS_FAILED, 0x95);
    } else if (records && the->refusals != 0) {
        the->refusals -= the->refusals > 0;
        world_say(the, JP_NEWS_FAILED, the->refuse);
    } else {
        message->delivered = true;
        world_say(the, JP_NEWS_DELIVERED, 0);
    }
}

static void move_to(int64_t ns)
{
    the->seconds = (int)(ns / JP_NS_PER_S);
    the->ns = ns % JP_NS_PER_S;
    if (the->stop_at >= 0 && the->seconds >= the->stop_at)
        stop = 1;
}

static void wake_post(struct pollfd *wake)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    snprintf(to.sun_path, sizeof to.sun_path, "%s/wake", the->dir);
    must(fd >= 0 && sendto(fd, "w", 1, 0, (struct sockaddr *)&to, sizeof to) == 1);
    close(fd);
    wake->revents = POLLIN;
}

// Window n is closed at second n + 1 and its frame comes up to lag_ms later, at least a third of it.
static int wait_exactly(struct pollfd *fds, int64_t until_ns)
{
    the->wakes++;
    while (!stop) {
        int64_t lag_ms = the->lag_ms * (int64_t)(1 + the->next_seq % 3) / 3;
        int64_t frame_ns = (int64_t)(the->next_seq + 1) * JP_NS_PER_S + lag_ms * JP_NS_PER_MS;

        if (!the->metering || until_ns <= frame_ns) {
            if (until_ns > now_ns(NULL))
                move_to(until_ns);
            if (the->each_second)
                the->each_second(the);
            break;
        }
        move_to(frame_ns);
        world_append_window(the);
        if (the->each_second)
            the->each_second(the);
        if (the->next_seq % (uint64_t)the->run.block_windows == 0) {
            wake_post(&fds[0]);
            return 1;
        }
        if (the->news_count > 0)
            return 1;
    }
    return 0;
}

static int wait_until(const struct jp_clock *self, struct pollfd *fds, unsigned count, int64_t until_ns)
{
    (void)count;
    if (the->under_way && the->answer)
        answer();
    if (the->news_count > 0) {
        the->wakes++;
        return 1;
    }
    if (the->lag_ms > 0)
        return wait_exactly(fds, until_ns);
    if (the->stop_at >= 0 && the->seconds >= the->stop_at) {
        stop = 1;
        if (until_ns <= now_ns(self))
            return 0;
    }
    the->seconds++;
    if (the->kill_second > 0 && the->seconds >= the->kill_second)
        kill(getpid(), SIGKILL);
    if (the->metering && !stop) {
        world_append_window(the);
        if (the->next_seq % (uint64_t)the->run.block_windows == 0)
            wake_post(&fds[0]);
    }
    if (the->each_second)
        the->each_second(the);
    return fds[0].revents != 0;
}

static const struct jp_clock clock_door = {
    .mono_ns = now_ns, .boot_ns = boot_ns, .real_ns = real_ns, .sync = synced, .wait = wait_until};

static int link_send(struct jp_link *self, const struct jp_message *message)
{
    struct world_log *log = the->log;
    struct world_message *entry = &log->messages[log->count];

    (void)self;
    if (!the->up)
        return -ENOTCONN;
    if (the->under_way && !message->aside)
        return -EBUSY;
    must(log->count < WORLD_MESSAGES && log->used + message->size <= WORLD_ARENA);
    snprintf(entry->leaf, sizeof entry->leaf, "%s", strrchr(message->topic, '/') + 1);
    snprintf(entry->device, sizeof entry->device, "%.*s", (int)strcspn(message->topic + sizeof "joulepost/1", "/"),
             message->topic + sizeof "joulepost/1");
    entry->qos = message->qos;
    entry->retained = message->retained;
    entry->delivered = message->aside;
    entry->second = the->seconds;
    entry->at = log->used;
    entry->size = message->size;
    memcpy(log->arena + log->used, message->payload, message->size);
    log->used += message->size;
    if (!message->aside) {
        the->under_way = message;
        the->under_way_index = log->count;
    }
    log->count++;
    if (the->kill_at > 0 && log->count >= the->kill_at)
        kill(getpid(), SIGKILL);
    return 0;
}

static int link_fd(const struct jp_link *self)
{
    (void)self;
    return -1;
}

static bool link_next(struct jp_link *self, struct jp_news *news)
{
    (void)self;
    if (the->news_count == 0)
        return false;
    *news = the->news[0];
    memmove(the->news, the->news + 1, (size_t)--the->news_count * sizeof the->news[0]);
    return true;
}

static void link_stop(struct jp_link *self, const struct jp_message *last, int timeout_ms)
{
    (void)self;
    (void)timeout_ms;
    the->stopped = true;
    the->under_way = NULL;
    if (the->up && last) {
        link_send(self, last);
        the->log->messages[the->under_way_index].delivered = true;
        the->under_way = NULL;
    }
}

// Stands where meter's control socket would be.
int jp_control_ask(const char *dir, const char *request, char *reply, size_t size, int timeout_ms)
{
    (void)dir;
    (void)timeout_ms;
    snprintf(the->asked, sizeof the->asked, "%s", request);
    return snprintf(reply, size, "{\"ok\":true}");
}

static int link_unsubscribe(struct jp_link *self, const char *filter)
{
    must(self && strcmp(filter, "joulepost/1/bench-1/live") == 0);
    the->unsubscribed = true;
    return 0;
}

static struct jp_link link_door = {
    .send = link_send, .unsubscribe = link_unsubscribe, .fd = link_fd, .next = link_next, .stop = link_stop};

const struct world_message *world_last(const struct world *world, const char *leaf)
{
    for (int i = world->log->count - 1; i >= 0; i--)
        if (strcmp(world->log->messages[i].leaf, leaf) == 0)
            return &world->log->messages[i];
    return NULL;
}

void world_incoming(struct world *world, const char *leaf, const void *payload, size_t size)
{
    struct jp_news news = {.kind = JP_NEWS_INCOMING, .size = size, .retained = true, .payload = malloc(size + 1)};

    must(news.payload && world->news_count < 8);
    snprintf(news.topic, sizeof news.topic, "joulepost/1/bench-1/%s", leaf);
    memcpy(news.payload, payload, size);
    world->news[world->news_count++] = news;
}

void world_say(struct world *world, enum jp_news_kind kind, int reason)
{
    const struct world_message *live = world_last(world, "live");

    must(world->news_count < 8);
    world->news[world->news_count++] =
        (struct jp_news){.kind = kind, .reason = reason, .max_packet = world->max_packet};
    if (kind == JP_NEWS_UP || kind == JP_NEWS_DOWN)
        world->up = kind == JP_NEWS_UP;
    if (kind == JP_NEWS_UP && live && !world->unsubscribed && !world->forgetful)
        world_incoming(world, "live", world->log->arena + live->at, live->size);
}

void world_go_up(struct world *world)
{
    if (!world->up)
        world_say(world, JP_NEWS_UP, 0);
}

// The disk under paths.spool, which fails on command; paths.hot is another. Its descriptors lie above FLASH_FD.
#define FLASH_FD 1000

static const struct jp_fs *flash(void)
{
    return the->flash ? the->flash : &jp_fs_real;
}

static bool is_spool(const char *path)
{
    return strncmp(path, the->config.paths_spool, strlen(the->config.paths_spool)) == 0;
}

static const struct jp_fs *of_path(const char *path)
{
    return is_spool(path) ? flash() : &jp_fs_real;
}

static const struct jp_fs *of_fd(int *fd)
{
    bool spool = *fd >= FLASH_FD;

    *fd -= spool ? FLASH_FD : 0;
    return spool ? flash() : &jp_fs_real;
}

static bool is_away(const char *path)
{
    return is_spool(path) && the->away;
}

static int failing(const char *path)
{
    return is_away(path) ? -EIO : is_spool(path) ? the->disk_error : 0;
}

static int disk_open(const struct jp_fs *self, const char *path, enum jp_fs_open how)
{
    bool fails = is_away(path) || (how == JP_FS_CREATE && failing(path));
    int fd = fails ? failing(path) : of_path(path)->open(of_path(path), path, how);

    (void)self;
    return fd >= 0 && is_spool(path) ? fd + FLASH_FD : fd;
}

static void disk_close(const struct jp_fs *self, int fd)
{
    const struct jp_fs *fs = of_fd(&fd);

    (void)self;
    fs->close(fs, fd);
}

static ssize_t disk_pread(const struct jp_fs *self, int fd, void *buffer, size_t size, int64_t offset)
{
    const struct jp_fs *fs = of_fd(&fd);

    (void)self;
    return fs->pread(fs, fd, buffer, size, offset);
}

static ssize_t disk_pwrite(const struct jp_fs *self, int fd, const void *bytes, size_t size, int64_t offset)
{
    bool spool = fd >= FLASH_FD;
    const struct jp_fs *fs = of_fd(&fd);

    (void)self;
    return spool && the->disk_error ? the->disk_error : fs->pwrite(fs, fd, bytes, size, offset);
}

static int disk_sync(const struct jp_fs *self, int fd)
{
    bool spool = fd >= FLASH_FD;
    const struct jp_fs *fs = of_fd(&fd);

    (void)self;
    if (spool && the->disk_error)
        return the->disk_error;
    the->syncs += spool;
    return the->flash ? fs->sync(fs, fd) : 0; // the machine stays up: nothing is lost by it
}

static int disk_sync_dir(const struct jp_fs *self, const char *dir)
{
    (void)self;
    if (failing(dir))
        return failing(dir);
    return the->flash ? of_path(dir)->sync_dir(of_path(dir), dir) : 0;
}

static int64_t disk_size(const struct jp_fs *self, int fd)
{
    const struct jp_fs *fs = of_fd(&fd);

    (void)self;
    return fs->size(fs, fd);
}

static int disk_truncate(const struct jp_fs *self, int fd, int64_t size)
{
    const struct jp_fs *fs = of_fd(&fd);

    (void)self;
    return fs->truncate(fs, fd, size);
}

static int disk_unlink(const struct jp_fs *self, const char *path)
{
    (void)self;
    return is_away(path) ? -EIO : of_path(path)->unlink(of_path(path), path);
}

static int disk_rename(const struct jp_fs *self, const char *from, const char *to)
{
    (void)self;
    return failing(from) ? failing(from) : of_path(from)->rename(of_path(from), from, to);
}

static int disk_mkdir(const struct jp_fs *self, const char *path, mode_t mode)
{
    (void)self;
    return failing(path) ? failing(path) : of_path(path)->mkdir(of_path(path), path, mode);
}

static int disk_list(const struct jp_fs *self, const char *dir, int (*each)(void *context, const char *name),
                     void *context)
{
    (void)self;
    return is_away(dir) ? -EIO : of_path(dir)->list(of_path(dir), dir, each, context);
}

static int disk_lock(const struct jp_fs *self, const char *path)
{
    int fd = is_away(path) ? -EIO : of_path(path)->lock(of_path(path), path);

    (void)self;
    return fd >= 0 && is_spool(path) ? fd + FLASH_FD : fd;
}

static int disk_appends(const struct jp_fs *self, const char *dir)
{
    (void)self;
    return of_path(dir)->appends(of_path(dir), dir);
}

static const struct jp_fs disk_door = {
    .open = disk_open,
    .close = disk_close,
    .pread = disk_pread,
    .pwrite = disk_pwrite,
    .sync = disk_sync,
    .sync_dir = disk_sync_dir,
    .size = disk_size,
    .truncate = disk_truncate,
    .unlink = disk_unlink,
    .rename = disk_rename,
    .mkdir = disk_mkdir,
    .list = disk_list,
    .lock = disk_lock,
    .appends = disk_appends,
};

void world_begin(struct world *world, int channels, int block_windows)
{
    *world = (struct world){.stop_at = -1, .answer = true, .max_packet = UINT32_MAX, .metering = true};
    snprintf(world->root, sizeof world->root, "/tmp/joulepost-post-XXXXXX");
    must(mkdtemp(world->root) != NULL);
    world->log = mmap(NULL, sizeof *world->log, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(world->log != MAP_FAILED);
    snprintf(world->dir, sizeof world->dir, "%s/hot", world->root);
    must(mkdir(world->dir, 0700) == 0);
    jp_config_default(&world->config);
    snprintf(world->config.paths_hot, sizeof world->config.paths_hot, "%s/hot", world->root);
    snprintf(world->config.paths_spool, sizeof world->config.paths_spool, "%s/spool", world->root);
    snprintf(world->dir, sizeof world->dir, "%s/hot", world->root);
    snprintf(world->config.mqtt.url, sizeof world->config.mqtt.url, "mqtt://here");
    snprintf(world->config.location.country, sizeof world->config.location.country, "%s", "");
    world->config.sampling.block_windows = block_windows;
    make_run(&world->run, 0, channels, block_windows);
    the = world;
    jp_log_open("post", JP_LOG_ERROR);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st;
    (void)type;
    (void)walk;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void world_end(struct world *world)
{
    if (world->meter.fd > 0)
        jp_hot_close(&world->meter);
    remove_tree(world->root);
    munmap(world->log, sizeof *world->log);
}

struct world *world_new(int channels, int block_windows)
{
    struct world *world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    must(world != MAP_FAILED);
    world_begin(world, channels, block_windows);
    return world;
}

void world_delete(struct world *world)
{
    world_end(world);
    munmap(world, sizeof *world);
}

void world_append(struct world *world, uint8_t type, const void *payload, int size)
{
    must(size >= 0);
    must(jp_hot_append(&world->meter, type, payload, (size_t)size) == 0);
}

void world_anchor(struct world *world, enum jp_clock_state clock, int64_t off_ms)
{
    struct jp_anchor anchor = {.boot_ms = boot_ns(NULL) / 1000000, .off_ms = off_ms, .clock = (int)clock, .err_ms = 3};
    uint8_t bytes[128];

    world_append(world, JP_FRAME_ANCHOR, bytes, jp_anchor_encode(&anchor, bytes, sizeof bytes));
}

void world_event(struct world *world, const char *name)
{
    struct jp_event event = {.run = world->run.id, .boot_ms = boot_ns(NULL) / 1000000, .kind = "task"};
    uint8_t bytes[512];

    snprintf(event.detail, sizeof event.detail, "{\"name\":\"%s\"}", name);
    world_append(world, JP_FRAME_EVENT, bytes, jp_event_encode(&event, bytes, sizeof bytes));
}

void world_start_meter(struct world *world, uint64_t run_id)
{
    struct jp_segment_header header = {.version = JP_FORMAT_VERSION, .boot_ms = boot_ns(NULL) / 1000000};
    static uint8_t bytes[16384];

    header.real_ms = header.boot_ms + 4000000000000;
    snprintf(header.boot, sizeof header.boot, "%s", world->run.boot);
    snprintf(header.device, sizeof header.device, "bench-1");
    snprintf(header.clock, sizeof header.clock, "unsynced");
    if (world->meter.fd > 0) { // the meter before was killed: its segment stays without a SEAL
        close(world->meter.fd);
        free(world->meter.buffer);
        world->meter.fd = 0;
    }
    world->run.id = run_id;
    world->next_seq = 0;
    must(jp_hot_open(&world->meter, &jp_fs_real, world->dir, 4 << 20, &header) == 0);
    world->meter_fd = world->meter.fd;
    world_append(world, JP_FRAME_RUN, bytes, jp_run_encode(&world->run, bytes, sizeof bytes));
    world_anchor(world, JP_CLOCK_SYNCED, 4000000000000);
}

void world_stop_meter(struct world *world)
{
    struct jp_event event = {.kind = "run", .run = world->run.id, .detail = "{\"action\":\"stop\"}"};
    uint8_t bytes[512];

    world_append(world, JP_FRAME_EVENT, bytes, jp_event_encode(&event, bytes, sizeof bytes));
    jp_hot_close(&world->meter);
    world->meter = (struct jp_hot_writer){.fd = 0};
    world->metering = false;
}

void world_append_window(struct world *world)
{
    uint8_t bytes[JP_WINDOW_BYTES_MAX];

    make_window(&world->window, &world->run, world->next_seq++);
    world_append(world, JP_FRAME_WINDOW, bytes, jp_window_encode(&world->window, bytes, sizeof bytes));
    if (world->next_seq % (uint64_t)world->run.block_windows == 0)
        must(jp_hot_border(&world->meter, 1, 1) == 0);
}

int world_post(struct world *world, int seconds, bool linked)
{
    struct jp_posting posting = {
        .clock = &clock_door,
        .fs = &disk_door,
        .entropy = &jp_entropy_real,
        .config = &world->config,
        .device = "bench-1",
        .boot = world->run.boot,
        .link = linked ? &link_door : NULL,
        .stop = &stop,
    };

    stop = 0;
    world->stopped = world->unsubscribed = false;
    world->stop_at = world->seconds + seconds;
    world->under_way = NULL;
    world->news_count = 0;
    return jp_posting_run(&posting);
}

void world_reboot(struct world *world)
{
    if (world->meter.fd > 0)
        close(world->meter.fd);
    free(world->meter.buffer);
    world->meter = (struct jp_hot_writer){.fd = 0};
    remove_tree(world->dir);
    must(mkdir(world->dir, 0700) == 0);
    world->boots++;
    snprintf(world->run.boot, sizeof world->run.boot, "%08x-2f0b-4d6a-9b1e-5d7f2a3c4b5a", (unsigned)world->boots);
}

bool world_post_forked(struct world *world, int seconds, int kill_second)
{
    char path[JP_PATH_MAX];
    pid_t pid;
    int status;

    fflush(NULL);
    pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        world->kill_second = kill_second;
        world_post(world, seconds, true);
        _exit(0);
    }
    must(waitpid(pid, &status, 0) == pid);
    world->up = false;
    world->kill_second = 0;
    // meter went on in the child, where it may have opened another segment.
    must(jp_segment_path(path, world->dir, world->meter.header.number) == 0);
    close(world->meter_fd);
    world->meter_fd = world->meter.fd = jp_fs_real.open(&jp_fs_real, path, JP_FS_UPDATE);
    must(world->meter.fd >= 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

bool world_post_killed(struct world *world, int seconds, int kill_at)
{
    pid_t pid;
    int status;

    pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        world->kill_at = world->log->count + kill_at;
        world_post(world, seconds, true);
        _exit(0);
    }
    must(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}
