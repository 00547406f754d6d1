// SPDX-License-Identifier: Apache-2.0
// `joulepost upload`: a durable spool from another machine to the broker, under its own device's name.
#define _GNU_SOURCE
#include "upload.h"
#include "clock.h"
#include "cmd.h"
#include "discover.h"
#include "posting.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define GOODBYE_MS 2000
#define ADVICE "name the folder of segments (00000001.jps, ...), or one that holds it as `spool`"

static const char help[] =
    "joulepost upload [-c FILE] [--json] SPOOL\n"
    "\n"
    "Sends a durable spool taken from another machine to mqtt.url, under its own device's name, oldest first: "
    "records,\n"
    "events and gaps. SPOOL is only read. It begins where that device itself had delivered, or where an upload ended\n"
    "before: how far it has come is kept in paths.spool, so the same command goes on after Ctrl-C.\n"
    "  -c FILE  configuration (default /etc/joulepost/joulepost.conf): mqtt, paths.spool, the grid's factor\n"
    "  --json   one JSON object about it on stdout\n"
    "  SPOOL    a folder of segments, or one that holds it as `spool`\n";

static volatile sig_atomic_t stop;
static int stop_fd = -1;

static void on_stop(int signal_number)
{
    int error = errno;

    (void)signal_number;
    stop = 1;
    (void)!eventfd_write(stop_fd, 1);
    errno = error;
}

static int take_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop}, old;

    stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (stop_fd < 0)
        return -errno;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    return 0;
}

#if JOULEPOST_HAS_MQTT
// Beside the agents of both machines: another client id, no will, no subscriptions. NULL, all having been said.
static struct jp_link *open_link(const struct jp_config *config)
{
    static struct jp_posting_topics topics; // as long as the link
    struct jp_site site = {.root = ""};
    struct jp_link_config link_config;
    char device[JP_DEVICE_MAX] = "", error[1024];
    struct jp_link *link;
    size_t used;

    if (!config->mqtt.client_id[0] && jp_device_name(&site, config, device, sizeof device) < 0) {
        fprintf(stderr, "%s: nothing here names this machine: set device.name or mqtt.client_id\n", JP_UPLOAD_VERB);
        return NULL;
    }
    jp_posting_link_config(config, device, &topics, &link_config);
    used = strlen(topics.client_id);
    snprintf(topics.client_id + used, sizeof topics.client_id - used, "-upload");
    link_config.will_topic = link_config.will_payload = NULL;
    memset(link_config.subscriptions, 0, sizeof link_config.subscriptions);
    link = jp_link_paho(&link_config, error, sizeof error);
    if (!link)
        fprintf(stderr, "%s: %s: %s\n", JP_UPLOAD_VERB, config->path[0] ? config->path : "mqtt", error);
    return link;
}

static bool has_mqtt(void)
{
    return true;
}
#else
static struct jp_link *open_link(const struct jp_config *config)
{
    (void)config;
    return NULL;
}

static bool has_mqtt(void)
{
    return false;
}
#endif

static int check_options(const struct jp_options *options)
{
    if (!has_mqtt()) {
        fprintf(stderr, "%s: this joulepost was built without MQTT: take one with it\n", JP_UPLOAD_VERB);
        return JP_EXIT_FAILED;
    }
    if (options->word)
        return JP_OPTIONS_GO;
    fprintf(stderr, "%s: a spool is missing, allowed: joulepost upload [-c FILE] [--json] SPOOL\n", JP_UPLOAD_VERB);
    return JP_EXIT_USAGE;
}

static int check_config(const struct jp_config *config)
{
    char error[1024];

    if (!config->mqtt.url[0]) {
        fprintf(stderr, "%s: there is no mqtt.url, allowed: mqtt.url = \"mqtt://HOST\" (or mqtts, ws, wss)\n",
                config->path[0] ? config->path : JP_CONFIG_DEFAULT_PATH);
        return JP_EXIT_CONFIG;
    }
    if (jp_config_secrets(config, error, sizeof error) == 0)
        return JP_OPTIONS_GO;
    fprintf(stderr, "%s\n", error);
    return JP_EXIT_CONFIG;
}

static int open_spool(struct jp_look *look, const char *dir)
{
    struct stat st;
    int rc = stat(dir, &st) ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;

    if (rc) {
        fprintf(stderr, "%s: %s: %s; %s\n", JP_UPLOAD_VERB, dir, strerror(rc), ADVICE);
        return JP_EXIT_FAILED;
    }
    look->in.whole_blocks = true;
    rc = jp_look_at(look, dir);
    if (rc != JP_OPTIONS_GO || look->history.walk.count > 0)
        return rc;
    fprintf(stderr, "%s: %s: there are no segments in it; %s\n", JP_UPLOAD_VERB, dir, ADVICE);
    jp_look_end(look, NULL, 0);
    return JP_EXIT_FAILED;
}

// The end ----------------------------------------------------------------------------------------
static uint64_t damage(const struct jp_look *look)
{
    return look->flaws - look->torn + look->senseless;
}

static int print_json(const struct jp_upload *upload, double seconds)
{
    const struct jp_upload_queue *queue = upload->queue;
    json_t *object =
        json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "complete", (int)upload->complete, "windows",
                  (json_int_t)queue->sent.windows, "blocks", (json_int_t)queue->sent.blocks, "events",
                  (json_int_t)queue->sent.events, "gaps", (json_int_t)queue->sent.gaps, "windows_before",
                  (json_int_t)queue->skipped.windows, "damaged", (json_int_t)damage(queue->look), "seconds", seconds);
    int rc = object ? json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6)) : -1;

    json_decref(object);
    putchar('\n');
    return rc || fflush(stdout) ? -1 : 0;
}

static void print_sum(const struct jp_upload *upload, double seconds)
{
    const struct jp_upload_queue *queue = upload->queue;
    const struct jp_upload_sum *sent = &queue->sent;

    fprintf(stderr,
            "%s: %s%" PRIu64 " windows in %" PRIu64 " blocks, %" PRIu64 " events and %" PRIu64 " gaps sent in %.1f s",
            JP_UPLOAD_VERB, upload->complete ? "" : "not all: ", sent->windows, sent->blocks, sent->events, sent->gaps,
            seconds);
    if (damage(queue->look))
        fprintf(stderr, "; damaged in %" PRIu64 " places", damage(queue->look));
    if (!upload->complete && stop)
        fprintf(stderr, "; stopped, the same command goes on from here");
    fputc('\n', stderr);
}

static int finish(struct jp_upload *upload, bool json)
{
    double seconds = upload->start_ns ? (double)(jp_clock_real.mono_ns(&jp_clock_real) - upload->start_ns) / 1e9 : 0;
    bool written = true;

    if (json)
        written = print_json(upload, seconds) == 0;
    else
        print_sum(upload, seconds);
    return upload->complete && written && damage(upload->queue->look) == 0 ? JP_EXIT_DONE : JP_EXIT_FAILED;
}

static void tell_start(const struct jp_upload *upload)
{
    const struct jp_upload_queue *queue = upload->queue;

    if (queue->skipped.blocks + queue->skipped.events + queue->skipped.gaps == 0)
        return;
    jp_look_clear();
    fprintf(stderr, "%s: begins in segment %" PRIu64 " at %" PRId64 ": the %" PRIu64 " windows before it were %s\n",
            JP_UPLOAD_VERB, queue->look->from.segment, queue->look->from.offset, queue->skipped.windows,
            upload->progress->from_cursor ? "delivered by the device itself" : "uploaded before");
}

static int send_all(struct jp_upload *upload, struct jp_look *look, bool json)
{
    jp_upload_queue_begin(upload->queue, look, upload->stop);
    tell_start(upload);
    if (upload->queue->hot) {
        fprintf(stderr, "%s: %s is a hot spool (paths.hot): upload sends durable ones (paths.spool)\n", JP_UPLOAD_VERB,
                look->dir);
        return JP_EXIT_FAILED;
    }
    if (upload->queue->hand == JP_ENTRY_END) { // nothing to connect for
        upload->complete = !stop;
        return finish(upload, json);
    }
    upload->link = open_link(upload->config);
    if (!upload->link)
        return JP_EXIT_CONFIG;
    jp_upload_send(upload);
    upload->link->stop(upload->link, NULL, GOODBYE_MS);
    return finish(upload, json);
}

int jp_cmd_upload(int argc, char **argv)
{
    static struct jp_look look; // large, and the link's thread may outlive this
    static struct jp_upload_queue queue;
    static struct jp_upload_progress progress;
    struct jp_upload upload = {.config = &look.config, .queue = &queue, .progress = &progress, .stop = &stop};
    struct jp_options options;
    int rc = jp_options_read(argc, argv, JP_OPTION_CONFIG | JP_OPTION_JSON | JP_OPTION_WORD, help, &options);

    if (rc == JP_OPTIONS_GO)
        rc = check_options(&options);
    if (rc == JP_OPTIONS_GO)
        rc = jp_look_configure(&look, JP_UPLOAD_VERB, &options);
    if (rc == JP_OPTIONS_GO)
        rc = check_config(&look.config);
    if (rc == JP_OPTIONS_GO)
        rc = open_spool(&look, options.word);
    if (rc != JP_OPTIONS_GO)
        return rc;
    rc = jp_upload_progress_open(&progress, &look);
    if (rc == JP_OPTIONS_GO) {
        rc = take_signals() ? JP_EXIT_FAILED : JP_OPTIONS_GO;
        upload.stop_fd = stop_fd;
        if (rc == JP_OPTIONS_GO)
            rc = send_all(&upload, &look, options.json);
        jp_upload_progress_close(&progress);
    }
    jp_look_end(&look, NULL, 0);
    return rc;
}
