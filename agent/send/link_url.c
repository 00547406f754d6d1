// SPDX-License-Identifier: Apache-2.0
// What of the link is pure: broker URLs, the delays between tries, the words for refusals.
#include "clock.h"
#include "link_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *prefix;
    bool tls, websocket;
    int port;
} schemes[] = {
    {"mqtt://", false, false, 1883},
    {"mqtts://", true, false, 8883},
    {"ws://", false, true, 80},
    {"wss://", true, true, 443},
};

static int refuse(char *error, size_t size, const char *url, const char *why)
{
    snprintf(error, size, "mqtt.url \"%s\": %s", url, why);
    return -EINVAL;
}

// ":PORT" up to `end`, or nothing. False when it is something else.
static bool parse_port(const char *text, const char *end, int *port)
{
    char *stop;
    long value;

    if (text == end)
        return true;
    if (*text != ':' || text[1] < '0' || text[1] > '9')
        return false;
    value = strtol(text + 1, &stop, 10);
    if (stop != end || value < 1 || value > 65535)
        return false;
    *port = (int)value;
    return true;
}

static int parse_authority(const char *url, const char *at, struct jp_link_url *out, char *error, size_t size)
{
    const char *end = at + strcspn(at, "/?#");
    const char *host = at;
    const char *host_end;
    const char *after;

    if (memchr(at, '@', (size_t)(end - at)))
        return refuse(error, size, "...", "a user name or password does not belong in the URL");
    if (*at == '[') {
        host = at + 1;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end)
            return refuse(error, size, url, "the ']' of the address is missing");
        after = host_end + 1;
        if (out->tls)
            return refuse(error, size, url, "TLS needs a host name or an IPv4 address");
    } else {
        host_end = memchr(at, ':', (size_t)(end - at));
        host_end = host_end ? host_end : end;
        after = host_end;
    }
    if (host_end == host || (size_t)(host_end - host) >= sizeof out->host)
        return refuse(error, size, url, "the host is missing or too long");
    for (const char *c = host; c < host_end; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 127)
            return refuse(error, size, url, "the host has a character that no host name has");
    memcpy(out->host, host, (size_t)(host_end - host));
    out->host[host_end - host] = '\0';
    if (!parse_port(after, end, &out->port))
        return refuse(error, size, url, "the port is a number from 1 to 65535");
    if (*end == '/' && end[1] == '\0')
        return 0;
    if (*end && !out->websocket)
        return refuse(error, size, url, "only ws:// and wss:// have a path");
    return 0;
}

int jp_link_url_parse(const char *url, struct jp_link_url *out, char *error, size_t error_size)
{
    if (!url || !*url)
        return refuse(error, error_size, "", "no broker is named");
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t length = strlen(schemes[i].prefix);

        if (strncmp(url, schemes[i].prefix, length) != 0)
            continue;
        out->tls = schemes[i].tls;
        out->websocket = schemes[i].websocket;
        out->port = schemes[i].port;
        return parse_authority(url, url + length, out, error, error_size);
    }
    return refuse(error, error_size, url, "it begins with mqtt://, mqtts://, ws:// or wss://");
}

int64_t jp_link_backoff_next_ms(struct jp_link_backoff *backoff, int max_s)
{
    int64_t max_ms = (max_s < 1 ? 1 : (int64_t)max_s) * 1000;
    int64_t step = backoff->step_ms;

    step = step < 1000 ? 1000 : step;
    step = step > max_ms ? max_ms : step;
    backoff->step_ms = step * 2;
    return step / 2 + (int64_t)jp_jitter_next(&backoff->jitter, (uint64_t)(step - step / 2 + 1));
}

void jp_link_backoff_reset(struct jp_link_backoff *backoff)
{
    backoff->step_ms = 0;
}

bool jp_link_backoff_proven(int64_t lived_ns, bool delivered)
{
    return lived_ns >= (delivered ? 30 : 300) * JP_NS_PER_S;
}

const char *jp_link_refusal(int version, int reason)
{
    // MQTT 3.1.1 table 3.1, then MQTT 5.0 table 3-1.
    static const struct {
        int version, reason;
        const char *text;
    } words[] = {
        {4, 1, "the broker does not speak this version of MQTT"},
        {4, 2, "the broker does not accept this client id"},
        {4, 3, "the broker is unavailable"},
        {4, 4, "bad user name or password"},
        {4, 5, "not authorised (user name, password or certificate)"},
        {5, 1, "the broker does not speak MQTT 5 (set mqtt.version to \"3.1.1\")"},
        {5, 0x84, "the broker does not speak MQTT 5 (set mqtt.version to \"3.1.1\")"},
        {5, 0x85, "the broker does not accept this client id"},
        {5, 0x86, "bad user name or password"},
        {5, 0x87, "not authorised (user name, password or certificate)"},
        {5, 0x88, "the broker is unavailable"},
        {5, 0x89, "the broker is busy"},
        {5, 0x8a, "the broker has banned this client"},
        {5, 0x8c, "the broker wants another way of authentication"},
        {5, 0x90, "the broker does not accept the topic of our will"},
        {5, 0x95, "the broker finds the CONNECT packet too large"},
        {5, 0x97, "the broker's quota is exceeded"},
        {5, 0x9a, "the broker does not keep retained messages"},
        {5, 0x9b, "the broker does not offer QoS 1"},
        {5, 0x9c, "the broker refers to another server"},
        {5, 0x9d, "the broker has moved to another server"},
        {5, 0x9f, "the broker limits the rate of connections"},
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].version == version && words[i].reason == reason)
            return words[i].text;
    return "the broker refused the connection";
}
