// SPDX-License-Identifier: Apache-2.0
// A link on a command line, for test_link.py: prints news as lines of tab-separated fields, obeys lines on stdin.
//
// Arguments are KEY=VALUE of struct jp_link_config. Commands: "send TOPIC QOS RETAINED TEXT",
// "bulk TOPIC QOS BYTES", "unsubscribe FILTER", "tuned" (how many of the connected TCP sockets are),
// "stop MS [TOPIC TEXT]". End of file is "stop 1000".
#define _GNU_SOURCE
#include "link_internal.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct jp_link_config config = {
    .version = 5, .client_id = "probe", .keepalive_s = 60, .retry_max_s = 2, .ack_timeout_s = 10};
static char topic[JP_TOPIC_MAX], text[4096], bulk[JP_MESSAGE_MAX + 1];

static void set(const char *key, const char *value)
{
    const struct {
        const char *key;
        const char **text;
        int *number;
    } fields[] = {
        {"url", &config.url, NULL},
        {"version", NULL, &config.version},
        {"client_id", &config.client_id, NULL},
        {"username", &config.username, NULL},
        {"password", &config.password, NULL},
        {"ca_file", &config.ca_file, NULL},
        {"cert_file", &config.cert_file, NULL},
        {"key_file", &config.key_file, NULL},
        {"keepalive_s", NULL, &config.keepalive_s},
        {"retry_max_s", NULL, &config.retry_max_s},
        {"ack_timeout_s", NULL, &config.ack_timeout_s},
        {"will_topic", &config.will_topic, NULL},
        {"will_payload", &config.will_payload, NULL},
        {"subscribe", &config.subscriptions[0], NULL},
        {"subscribe2", &config.subscriptions[1], NULL},
    };

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(fields[i].key, key) != 0)
            continue;
        if (fields[i].text)
            *fields[i].text = value;
        else
            *fields[i].number = atoi(value);
        return;
    }
    fprintf(stderr, "link_probe: unknown key %s\n", key);
    exit(64);
}

static void print_news(struct jp_link *link)
{
    static const char *const names[] = {"UP", "DOWN", "REFUSED", "DELIVERED", "FAILED", "INCOMING"};
    struct jp_news news;

    while (link->next(link, &news)) {
        const char *said = news.kind == JP_NEWS_INCOMING ? (const char *)news.payload : news.text;

        printf("%s\t%d\t%u\t%s\t%zu\t%s\n", names[news.kind],
               news.kind == JP_NEWS_INCOMING ? news.retained : news.reason, (unsigned)news.max_packet, news.topic,
               news.size, said);
        free(news.payload);
    }
}

static void send_line(struct jp_link *link, int qos, int retained, size_t size, const void *payload)
{
    struct jp_message message = {.topic = topic,
                                 .payload = payload,
                                 .size = size,
                                 .qos = qos,
                                 .retained = retained != 0,
                                 .content_type = "text/plain"};

    printf("SENT\t%d\t0\t%s\t%zu\t\n", link->send(link, &message), topic, size);
}

static void print_tuned(void)
{
    struct jp_link_sockets all;
    int tuned = 0;

    jp_link_sockets_mark(&all);
    for (int i = 0; i < all.count; i++) {
        int nodelay = 0;
        unsigned timeout_ms = 0;
        socklen_t size = sizeof nodelay;

        getsockopt(all.fds[i], IPPROTO_TCP, TCP_NODELAY, &nodelay, &size);
        size = sizeof timeout_ms;
        getsockopt(all.fds[i], IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, &size);
        tuned += nodelay && timeout_ms;
    }
    printf("TUNED\t%d\t%d\t\t0\t\n", tuned, all.count);
}

// False when the link was stopped.
static bool obey(struct jp_link *link, const char *line)
{
    struct jp_message last = {.topic = topic, .payload = text, .qos = 1, .retained = true};
    int number = 1000, retained = 0, fields;

    text[0] = '\0';
    if (sscanf(line, "send %255s %d %d %4095[^\n]", topic, &number, &retained, text) >= 3) {
        send_line(link, number, retained, strlen(text), text);
        return true;
    }
    if (sscanf(line, "bulk %255s %d %d", topic, &number, &retained) == 3) {
        send_line(link, number, 0, (size_t)retained, bulk);
        return true;
    }
    if (sscanf(line, "unsubscribe %255s", topic) == 1) {
        printf("UNSUBSCRIBED\t%d\t0\t%s\t0\t\n", link->unsubscribe(link, topic), topic);
        return true;
    }
    if (strcmp(line, "tuned") == 0) {
        print_tuned();
        return true;
    }
    fields = sscanf(line, "stop %d %255s %4095[^\n]", &number, topic, text);
    last.size = strlen(text);
    link->stop(link, fields == 3 ? &last : NULL, number);
    return false;
}

int main(int argc, char **argv)
{
    char error[256] = "", line[8192];
    size_t used = 0;
    struct jp_link *link;

    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(bulk, 'x', sizeof bulk);
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');

        if (!value)
            return 64;
        *value = '\0';
        set(argv[i], value + 1);
    }
    link = jp_link_paho(&config, error, sizeof error);
    if (!link) {
        printf("ERROR\t0\t0\t\t0\t%s\n", error);
        return 1;
    }
    for (;;) {
        struct pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, {link->fd(link), POLLIN, 0}};
        char *end;
        ssize_t n;

        poll(fds, 2, -1);
        print_news(link);
        if (!(fds[0].revents & (POLLIN | POLLHUP)))
            continue;
        n = read(STDIN_FILENO, line + used, sizeof line - used - 1);
        if (n <= 0) {
            obey(link, "stop 1000");
            break;
        }
        used += (size_t)n;
        line[used] = '\0';
        while ((end = strchr(line, '\n'))) {
            *end = '\0';
            if (!obey(link, line)) {
                printf("STOPPED\t0\t0\t\t0\t\n");
                return 0;
            }
            used -= (size_t)(end + 1 - line);
            memmove(line, end + 1, used + 1);
        }
    }
    return 0;
}
