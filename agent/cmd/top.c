// SPDX-License-Identifier: Apache-2.0
// `joulepost top`: the live view of the agent that runs on this machine.
#define _GNU_SOURCE
#include "top.h"

#include "clock.h"
#include "cmd.h"
#include "config.h"
#include "control.h"
#include "jsonl.h"
#include "options.h"
#include "post_line.h"
#include "top_draw.h"
#include "top_screen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define TIMEOUT_MS 1000 // of an answer; keys wait as long
#define AGAIN_NS JP_NS_PER_S
#define PLAIN_COLUMNS 100

static const char help[] =
    "joulepost top [--once] [--json] [-c FILE]\n"
    "\n"
    "Shows what the running agent measures: a screen on a terminal, else a block of text for each window.\n"
    "  --once   one look, as text\n"
    "  --json   a line of JSON for each window; with --once one\n"
    "  -c FILE  the agent's configuration (default /etc/joulepost/joulepost.conf)\n"
    "\n"
    "q or Ctrl-C ends it. The sparkline runs from the lowest to the highest power in it, or over a fifth of the "
    "highest\n"
    "if that is more; min, mean and max are of the windows since top began. NO_COLOR takes the colours away,\n"
    "TERM=dumb the screen, a locale without UTF-8 the blocks.\n";

// Everything of one view. Large: static.
struct view {
    struct jp_config config;
    struct jp_top top;
    struct jp_top_paper paper;
    struct jp_screen screen;
    bool json, once;
    int fd;              // of the connection, -1 none
    json_t *live, *post; // the last answers
    char reply[JP_CONTROL_REPLY_MAX];
    char drawing[JP_TOP_DRAWING_MAX];
};

static int64_t boot_ms(void)
{
    return jp_clock_real.boot_ns(&jp_clock_real) / JP_NS_PER_MS;
}

// Asking -----------------------------------------------------------------------------------------
// The reply to one request, NULL and *error: none.
static json_t *request(struct view *view, const char *what, int *error)
{
    json_t *reply = NULL;
    int rc = jp_control_request(view->fd, what, view->reply, sizeof view->reply);

    if (rc >= 0)
        reply = json_loads(view->reply, 0, NULL);
    *error = rc < 0 ? rc : json_is_true(json_object_get(reply, "ok")) ? 0 : -EPROTO;
    if (*error == 0)
        return reply;
    json_decref(reply);
    return NULL;
}

static int take(struct view *view)
{
    int rc, error = 0;
    json_t *meta, *live = request(view, "live", &error);

    if (!live)
        return error;
    json_decref(view->live);
    view->live = live;
    rc = jp_top_take_live(&view->top, live);
    if (rc != -ESTALE)
        return rc;
    meta = request(view, "meta", &error);
    if (!meta)
        return error;
    rc = jp_top_take_meta(&view->top, meta);
    json_decref(meta);
    return rc ? rc : jp_top_take_live(&view->top, live);
}

// One look at the agent. 0, or -errno: it is not there.
static int ask(struct view *view)
{
    int rc = view->fd >= 0 ? take(view) : -ENOTCONN;

    // One of nine clients is sent away, and an agent that was started again has another socket.
    if (rc == -ENOTCONN || rc == -EPIPE || rc == -ECONNRESET) {
        if (view->fd >= 0)
            close(view->fd);
        view->fd = jp_control_connect(view->config.paths_hot, TIMEOUT_MS);
        rc = view->fd >= 0 ? take(view) : view->fd;
    }
    if (rc && view->fd >= 0) {
        close(view->fd);
        view->fd = -1;
    }
    return rc;
}

static void explain(const struct view *view, int rc, char why[JP_TOP_WHY_MAX])
{
    const char *hot = view->config.paths_hot;

    if (rc == -ENOENT || rc == -ECONNREFUSED)
        snprintf(why, JP_TOP_WHY_MAX, "no agent runs with paths.hot = %s; start it, or name its file with -c", hot);
    else if (rc == -EACCES || rc == -EPIPE || rc == -ECONNRESET)
        snprintf(why, JP_TOP_WHY_MAX, "%s/control is for root and its own group; run top as root or join that group",
                 hot);
    else if (rc == -ETIMEDOUT)
        snprintf(why, JP_TOP_WHY_MAX, "%s/control does not answer; look at the agent's log", hot);
    else if (rc == -EPROTO || rc == -EBADMSG || rc == -ESTALE)
        snprintf(why, JP_TOP_WHY_MAX, "%s/control: the agent is of another version than this top; start it again", hot);
    else
        snprintf(why, JP_TOP_WHY_MAX, "%s/control: %s", hot, strerror(-rc));
}

static void read_post(struct view *view)
{
    char path[JP_PATH_MAX + 16];
    int error; // whatever it is: post is not seen

    snprintf(path, sizeof path, "%s/post.json", view->config.paths_hot);
    json_decref(view->post);
    view->post = jp_post_line(path, &error);
    jp_top_take_post(&view->top, view->post, boot_ms());
}

// Showing ----------------------------------------------------------------------------------------
static json_t *kept(const struct view *view, const char *name)
{
    json_t *value = view->top.post.running ? json_object_get(view->post, name) : NULL;

    return value ? json_incref(value) : json_null();
}

static json_t *grams(const struct jp_top *top)
{
    bool known = top->factor.known && top->total_known && top->total.energy_known;

    return known ? json_real((double)jp_emissions_ug(top->total.mj, top->pue, top->factor.g_per_kwh) / 1e6)
                 : json_null();
}

static json_t *factor(const struct jp_top *top)
{
    if (!top->factor.known)
        return json_null();
    return json_pack("{s:f, s:s, s:f}", "g_per_kwh", top->factor.g_per_kwh, "source", top->factor.source, "pue",
                     top->pue);
}

static int show_json(const struct view *view)
{
    json_t *object = json_copy(view->live);
    int rc;

    json_object_del(object, "ok");
    json_object_set_new(object, "device", json_string(view->top.device));
    json_object_set_new(object, "emissions_g", grams(&view->top));
    json_object_set_new(object, "factor", factor(&view->top));
    json_object_set_new(object, "link", kept(view, "link"));
    json_object_set_new(object, "status", kept(view, "status"));
    json_object_set_new(object, "registers", kept(view, "registers"));
    rc = jp_jsonl_write(object, stdout);
    return rc == 0 && fflush(stdout) ? -errno : rc;
}

static int show_text(struct view *view)
{
    int rc;

    jp_top_draw(&view->top, &view->paper, boot_ms(), view->drawing);
    rc = fputs(view->drawing, stdout) < 0 || (!view->once && putchar('\n') == EOF) || fflush(stdout) ? -errno : 0;
    return rc;
}

static int show(struct view *view)
{
    read_post(view);
    if (view->json)
        return show_json(view);
    if (!view->screen.full)
        return show_text(view);
    view->paper.columns = view->screen.columns;
    view->paper.rows = view->screen.rows;
    jp_top_draw(&view->top, &view->paper, boot_ms(), view->drawing);
    return jp_screen_show(&view->screen, view->drawing);
}

// The loop ---------------------------------------------------------------------------------------
// The moment to ask again: when the window going on should be closed, in the first pass after its border.
static int64_t next_ns(const struct jp_top *top)
{
    int64_t whole_ms = top->window_ms + top->interval_ms + 10, left_ms = whole_ms;

    if (top->away_ms)
        return jp_clock_real.mono_ns(&jp_clock_real) + AGAIN_NS;
    if (top->any)
        left_ms = top->boot_ms + whole_ms - boot_ms();
    if (left_ms < top->window_ms / 2)
        left_ms = top->window_ms / 2;
    return jp_clock_real.mono_ns(&jp_clock_real) + (left_ms < whole_ms ? left_ms : whole_ms) * JP_NS_PER_MS;
}

static void look(struct view *view)
{
    struct jp_top *top = &view->top;
    bool was_away = top->away_ms != 0;
    int rc = ask(view);

    if (rc == 0 && was_away && !view->screen.full)
        fprintf(stderr, "joulepost top: the agent is back\n");
    if (rc == 0) {
        top->away_ms = 0;
        return;
    }
    explain(view, rc, top->away);
    if (top->away_ms)
        return;
    top->away_ms = boot_ms();
    if (!view->screen.full)
        fprintf(stderr, "joulepost top: %s; waiting for it\n", top->away);
}

static int watch(struct view *view)
{
    enum jp_screen_event event = JP_SCREEN_TIME;
    int64_t ask_ns = next_ns(&view->top), tick_ns, now_ns;
    int rc = show(view);

    while (rc == 0) {
        tick_ns = jp_clock_real.mono_ns(&jp_clock_real) + AGAIN_NS; // times go on where windows are long
        event = jp_screen_wait(&view->screen, view->fd, view->screen.full && tick_ns < ask_ns ? tick_ns : ask_ns);
        if (event == JP_SCREEN_QUIT)
            break;
        now_ns = jp_clock_real.mono_ns(&jp_clock_real);
        if (event == JP_SCREEN_READY || now_ns >= ask_ns) { // something to read between two questions: it has gone
            look(view);
            ask_ns = next_ns(&view->top);
            if (view->screen.full || !view->top.away_ms)
                rc = show(view);
        } else if (view->screen.full)
            rc = show(view);
    }
    return rc;
}

static bool has_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);

        if (value && value[0])
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

static bool wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR"); // no-color.org

    return !no_color || !no_color[0];
}

static bool has_screen(void)
{
    const char *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && term && term[0] && strcmp(term, "dumb") != 0;
}

static int run(struct view *view)
{
    int rc = ask(view);
    char why[JP_TOP_WHY_MAX];

    if (rc) {
        explain(view, rc, why);
        fprintf(stderr, "joulepost top: %s\n", why);
        return JP_EXIT_FAILED;
    }
    if (view->once)
        rc = show(view);
    else {
        bool full = !view->json && has_screen();

        view->paper.screen = view->paper.escapes = full;
        view->paper.colour = full && wants_colour();
        rc = jp_screen_open(&view->screen, full);
        if (rc == 0) {
            rc = watch(view);
            jp_screen_close(&view->screen);
        }
    }
    if (rc == 0 || rc == -EPIPE || rc == -EINTR) // who reads has seen enough
        return JP_EXIT_DONE;
    fprintf(stderr, "joulepost top: %s\n", strerror(-rc));
    return JP_EXIT_FAILED;
}

int jp_cmd_top(int argc, char **argv)
{
    static struct view view = {.fd = -1};
    struct jp_options options;
    int rc = jp_options_read(argc, argv, JP_OPTION_CONFIG | JP_OPTION_JSON | JP_OPTION_ONCE, help, &options);

    if (rc != JP_OPTIONS_GO)
        return rc;
    rc = jp_options_config(&options, &view.config);
    if (rc)
        return rc;
    view.json = options.json;
    view.once = options.once;
    view.paper = (struct jp_top_paper){.columns = PLAIN_COLUMNS, .utf8 = has_utf8()};
    jp_config_factor(&view.config, &view.top.configured);
    view.top.configured_pue = view.config.location.pue;
    rc = run(&view);
    json_decref(view.live);
    json_decref(view.post);
    if (view.fd >= 0)
        close(view.fd);
    return rc;
}
