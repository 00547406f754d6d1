// SPDX-License-Identifier: Apache-2.0
// `joulepost probe --health`: are samples, spool and link of the running service as they should be?
#define _GNU_SOURCE
#include "probe.h"

#include "cmd.h"
#include "control.h"
#include "json.h"
#include "page.h"
#include "post_line.h"
#include "posting.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ASK_MS 2000
#define WINDOW_AGE_MIN_MS 5000
#define LINK_DOWN_MS 60000 // shorter breaks are daily life
#define NUMBER_MAX 1000000000000000LL

#define START                                                                                                          \
    "start the service (systemctl start joulepost.target), see its log if it ends again, or name its configuration "   \
    "with -c"

struct health {
    struct jp_config config;
    json_t *faults, *health, *live, *post; // the last three NULL where they cannot be had
};

struct advice {
    const char *word, *what, *remedy;
};

static const struct advice of_meter[] = {
    {"hot_full", "paths.hot is full: new windows are folded into a gap",
     "see why post does not take windows away, set hot.max_bytes to more, or make room on its file system"},
    {"io_error", "paths.hot cannot be written", "see that it is mounted, has room and belongs to the service's user"},
    {"poll_too_slow", "a counter may wrap unseen between two reads", "set sampling.window_ms to less"},
};

static const struct advice of_post[] = {
    {"refused", "the broker refuses what it is sent; it is kept and tried again",
     "see post's log for the broker's reason: a packet limit, a quota or a permission"},
    {"damaged", "bytes of a spool were damaged", "see the disk; `joulepost spool verify` names the places"},
    {"hot_full", "paths.hot is nearly full", "see that the disk of paths.spool takes data, and the broker too"},
    {"io_error", "paths.hot cannot be read or written", "see that it is mounted and belongs to the service's user"},
    {"meter_silent", "no window came from meter for a while", "see meter's log"},
    {"disk_full", "the disk of paths.spool is full: windows wait in memory",
     "make room on it; it is tried each minute"},
    {"disk_error", "paths.spool cannot be written: windows wait in memory",
     "see `dmesg` and the mount; it is tried each minute"},
};

__attribute__((format(printf, 4, 5))) static void fault(struct health *health, const char *where, const char *remedy,
                                                        const char *format, ...)
{
    char what[400];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    json_array_append_new(health->faults, json_pack("{s:o, s:o, s:s}", "what", jp_json_text(what), "where",
                                                    jp_json_text(where), "remedy", remedy));
}

// What is beyond all times, windows and bytes there are says nothing.
static json_int_t number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value <= NUMBER_MAX && value >= -NUMBER_MAX ? value : 0;
}

// Tells each word of `degraded` that the table has; what it has not is told as it is.
static void tell_degraded(struct health *health, const char *where, const json_t *words, const struct advice *table,
                          size_t count)
{
    size_t i;
    json_t *word;

    json_array_foreach(words, i, word)
    {
        const char *text = json_string_value(word);
        size_t at = 0;

        while (text && at < count && strcmp(table[at].word, text) != 0)
            at++;
        if (text && at < count)
            fault(health, where, table[at].remedy, "%s", table[at].what);
        else if (text && strcmp(text, "read_error") != 0)
            fault(health, where, "see its log", "%s", text);
    }
}

// meter ------------------------------------------------------------------------------------------
static json_t *ask(struct health *health, const char *request)
{
    static char reply[JP_CONTROL_REPLY_MAX];
    char where[JP_PATH_MAX + 16];
    int rc = jp_control_ask(health->config.paths_hot, request, reply, sizeof reply, ASK_MS);
    json_t *answer = rc < 0 ? NULL : json_loads(reply, 0, NULL);

    snprintf(where, sizeof where, "%s/control", health->config.paths_hot);
    if (json_is_true(json_object_get(answer, "ok")))
        return answer;
    json_decref(answer);
    if (rc == -ENOENT || rc == -ECONNREFUSED)
        fault(health, where, START, "no meter runs: nothing is measured");
    else if (rc == -EACCES || rc == -ECONNRESET || rc == -EPIPE)
        fault(health, where, "ask as root or as a member of the group joulepost", "meter does not answer this user");
    else
        fault(health, where, "restart meter (systemctl restart joulepost-meter), and see its log",
              "meter does not answer: %s", rc < 0 ? strerror(-rc) : "not in JSON");
    return NULL;
}

// A channel is failing when it has had errors and the last window knows no power of it.
static void tell_failing(struct health *health)
{
    json_t *power = NULL, *errors = json_object_get(health->health, "errors"), *count;
    const char *name;
    bool told = false;

    health->live = ask(health, "live");
    power = json_object_get(health->live, "power_w");
    json_object_foreach(errors, name, count)
    {
        if (json_integer_value(count) == 0 || !json_is_null(json_object_get(power, name)))
            continue;
        fault(health, name, "`joulepost probe` says why, as the service's user or root",
              "its sensor does not answer: %lld failed reads", (long long)json_integer_value(count));
        told = true;
    }
    if (!told)
        fault(health, "meter", "see its log, and `joulepost probe`", "a sensor does not always answer");
}

static bool has_word(const json_t *words, const char *wanted)
{
    size_t i;
    json_t *word;

    json_array_foreach(words, i,
                       word) if (json_is_string(word) && strcmp(json_string_value(word), wanted) == 0) return true;
    return false;
}

static void check_meter(struct health *health)
{
    json_int_t limit_ms = 3LL * health->config.sampling.window_ms, age_ms;
    json_t *degraded;

    health->health = ask(health, "health");
    if (!health->health)
        return;
    if (limit_ms < WINDOW_AGE_MIN_MS)
        limit_ms = WINDOW_AGE_MIN_MS;
    age_ms = number(health->health, "window_age_ms");
    if (age_ms > limit_ms)
        fault(health, "meter", "see its log; `joulepost probe` times each sensor: one may hang",
              "no window was closed for %.1f s, one is due each %.3g s", (double)age_ms / 1000.0,
              (double)health->config.sampling.window_ms / 1000.0);
    degraded = json_object_get(health->health, "degraded");
    if (has_word(degraded, "read_error"))
        tell_failing(health);
    tell_degraded(health, "meter", degraded, of_meter, sizeof of_meter / sizeof of_meter[0]);
}

// post -------------------------------------------------------------------------------------------
static json_t *read_post(struct health *health, const char *path)
{
    int error;
    json_t *line = jp_post_line(path, &error);

    if (line)
        return line;
    if (error == EBADMSG)
        fault(health, path, "restart post (systemctl restart joulepost-post)", "what post says of itself is no JSON");
    else if (error == ENOENT)
        fault(health, path, START, "no post runs: nothing is delivered");
    else
        fault(health, path, "ask as root or as a member of the group joulepost", "what post says cannot be read: %s",
              strerror(error));
    return NULL;
}

static void check_link(struct health *health, const json_t *link, json_int_t now_ms)
{
    const char *url = health->config.mqtt.url, *state = json_string_value(json_object_get(link, "state"));
    const char *error = json_string_value(json_object_get(link, "error"));
    json_int_t down_ms = now_ms - number(link, "since_boot_ms");

    if (!url[0] || (state && strcmp(state, "connected") == 0))
        return;
    if (state && strcmp(state, "none") == 0)
        fault(health, "mqtt.url", "restart the service, or name the file that it uses with -c",
              "post runs without a link, and this configuration has one");
    else if (down_ms > LINK_DOWN_MS)
        fault(health, url, "see that the broker runs and is reached; nothing is lost as long as spool.max_bytes lasts",
              "not connected for %lld s%s%s", (long long)(down_ms / 1000), error ? ": " : "", error ? error : "");
}

static void check_post(struct health *health)
{
    json_int_t now_ms = jp_clock_real.boot_ns(&jp_clock_real) / JP_NS_PER_MS, age_ms;
    char path[JP_PATH_MAX + 16];

    snprintf(path, sizeof path, "%s/post.json", health->config.paths_hot);
    health->post = read_post(health, path);
    if (!health->post)
        return;
    age_ms = now_ms - number(health->post, "boot_ms");
    if (age_ms > JP_POSTING_OLD_MS || age_ms < -1000) {
        fault(health, path, "restart post (systemctl restart joulepost-post), and see its log",
              "post has said nothing for %lld s: it is dead or stuck", (long long)(age_ms / 1000));
        return;
    }
    check_link(health, json_object_get(health->post, "link"), now_ms);
    tell_degraded(health, "post", json_object_get(json_object_get(health->post, "status"), "degraded"), of_post,
                  sizeof of_post / sizeof of_post[0]);
}

// The answer -------------------------------------------------------------------------------------
static json_t *known(json_t *value)
{
    return value ? json_incref(value) : json_null();
}

static int print_json(const struct health *health, bool ok)
{
    json_t *status = json_object_get(health->post, "status");
    json_t *root = json_pack("{s:b, s:O, s:o, s:o, s:o, s:o}", "ok", ok, "faults", health->faults, "window_age_ms",
                             known(json_object_get(health->health, "window_age_ms")), "link",
                             known(json_object_get(health->post, "link")), "pending",
                             known(json_object_get(status, "pending")), "lost", known(json_object_get(status, "lost")));
    int rc = root ? json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : -1;

    json_decref(root);
    putchar('\n');
    return rc;
}

// ", 12 windows lost since post started (hot_full, keep_days)": told, and no fault, as it is over.
static void print_lost(json_t *lost, const char *lead)
{
    json_int_t windows = 0;
    const char *reason;
    json_t *entry;

    json_object_foreach(lost, reason, entry) windows += windows < NUMBER_MAX ? number(entry, "windows") : 0;
    if (windows == 0)
        return;
    printf("%s%lld window%s lost since post started", lead, (long long)windows, windows > 1 ? "s" : "");
    lead = " (";
    json_object_foreach(lost, reason, entry) if (number(entry, "windows") > 0)
    {
        printf("%s", lead);
        jp_page_put(reason);
        lead = ", ";
    }
    printf(")");
}

static void print_plain(const struct health *health, bool ok)
{
    json_t *status = json_object_get(health->post, "status"), *one;
    json_t *lost = json_object_get(status, "lost");
    json_int_t waiting = number(json_object_get(status, "pending"), "windows");
    const char *state = json_string_value(json_object_get(json_object_get(health->post, "link"), "state"));
    size_t i;

    if (ok) {
        printf("healthy: %zu channels, a window %.1f s ago, %lld waiting, link ",
               json_object_size(json_object_get(health->health, "errors")),
               (double)number(health->health, "window_age_ms") / 1000.0, (long long)waiting);
        jp_page_put(state ? state : "unknown");
        print_lost(lost, ", ");
        putchar('\n');
        return;
    }
    json_array_foreach(health->faults, i, one)
    {
        jp_page_put(json_string_value(json_object_get(one, "where")));
        printf(": ");
        jp_page_put(json_string_value(json_object_get(one, "what"))); // a broker's own words may be in it
        printf("; %s\n", json_string_value(json_object_get(one, "remedy")));
    }
    print_lost(lost, "");
    if (lost && json_object_size(lost) > 0)
        putchar('\n');
}

int jp_probe_health(const struct jp_options *options)
{
    static struct health health;
    int rc = jp_options_config(options, &health.config), written = 0;
    bool ok;

    if (rc != JP_EXIT_DONE)
        return rc;
    health.faults = json_array();
    check_meter(&health);
    check_post(&health);
    ok = json_array_size(health.faults) == 0;
    if (options->json)
        written = print_json(&health, ok);
    else
        print_plain(&health, ok);
    json_decref(health.faults);
    json_decref(health.health);
    json_decref(health.live);
    json_decref(health.post);
    return jp_options_printed("probe") == JP_EXIT_DONE && ok && written == 0 ? JP_EXIT_DONE : JP_EXIT_FAILED;
}
