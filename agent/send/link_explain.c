// SPDX-License-Identifier: Apache-2.0
// Why a dial failed, in people's words: Paho says -1 for everything, so this looks for itself.
#define _GNU_SOURCE
#include "clock.h"
#include "link_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECT_MS = 3000,
    HANDSHAKE_MS = 2000,
    // Under TLS 1.3 a server refuses a client's certificate only after the handshake.
    ALERT_MS = 500,
};

static bool given(const char *text)
{
    return text && *text;
}

static const char *tls_reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    return text ? text : "not usable";
}

// NULL with error filled when a file cannot be used.
static SSL_CTX *context_new(const struct jp_link_config *config, char *error, size_t size)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    const char *key = given(config->key_file) ? config->key_file : config->cert_file;
    int ok;

    if (!context) {
        snprintf(error, size, "TLS is not available");
        return NULL;
    }
    ERR_clear_error();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (given(config->ca_file))
        ok = SSL_CTX_load_verify_locations(context, config->ca_file, NULL);
    else
        ok = SSL_CTX_set_default_verify_paths(context);
    if (ok != 1) {
        snprintf(error, size, "mqtt.ca_file \"%s\": %s", given(config->ca_file) ? config->ca_file : "", tls_reason());
        goto fail;
    }
    if (!given(config->cert_file))
        return context;
    if (SSL_CTX_use_certificate_chain_file(context, config->cert_file) != 1) {
        snprintf(error, size, "mqtt.cert_file \"%s\": %s", config->cert_file, tls_reason());
        goto fail;
    }
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        snprintf(error, size, "mqtt.key_file \"%s\": %s", key, tls_reason());
        goto fail;
    }
    return context;
fail:
    SSL_CTX_free(context);
    return NULL;
}

int jp_link_tls_check(const struct jp_link_config *config, char *error, size_t error_size)
{
    SSL_CTX *context = context_new(config, error, error_size);

    if (!context)
        return -EINVAL;
    SSL_CTX_free(context);
    return 0;
}

// 0, -errno, or -ETIMEDOUT.
static int wait_for(int fd, short events, int64_t until_ns)
{
    struct pollfd p = {fd, events, 0};
    int n = jp_clock_real.wait(&jp_clock_real, &p, 1, until_ns);

    if (n < 0)
        return n;
    return n == 0 ? -ETIMEDOUT : 0;
}

static int connect_one(const struct addrinfo *address)
{
    int64_t until = jp_clock_real.mono_ns(&jp_clock_real) + CONNECT_MS * JP_NS_PER_MS;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = 0;
    socklen_t size = sizeof error;
    int rc;

    if (fd < 0)
        return -errno;
    rc = connect(fd, address->ai_addr, address->ai_addrlen) ? -errno : 0;
    if (rc == -EINPROGRESS) {
        rc = wait_for(fd, POLLOUT, until);
        if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0)
            rc = -error;
    }
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

// A connected socket, or -1 with text filled. IPv4 first, one address only, as Paho does.
static int reach(const struct jp_link_url *url, char *text, size_t size)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    const struct addrinfo *chosen;
    char port[8];
    int rc;

    snprintf(port, sizeof port, "%d", url->port);
    rc = getaddrinfo(url->host, port, &hints, &all);
    if (rc || !all) {
        snprintf(text, size, "host not found: %.100s (%s)", url->host, gai_strerror(rc));
        return -1;
    }
    for (chosen = all; chosen && chosen->ai_family != AF_INET;)
        chosen = chosen->ai_next;
    rc = connect_one(chosen ? chosen : all);
    freeaddrinfo(all);
    if (rc >= 0)
        return rc;
    if (rc == -ECONNREFUSED)
        snprintf(text, size, "connection refused by %.100s port %d", url->host, url->port);
    else if (rc == -ETIMEDOUT)
        snprintf(text, size, "timed out: no answer from %.100s port %d", url->host, url->port);
    else
        snprintf(text, size, "%s: %.100s port %d", strerror(-rc), url->host, url->port);
    return -1;
}

static void name_certificate_fault(const struct jp_link_config *config, const struct jp_link_url *url, long fault,
                                   char *text, size_t size)
{
    switch (fault) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        snprintf(text, size, "the server's certificate is not for %.100s", url->host);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        snprintf(text, size, "the server's certificate has expired (or this machine's clock is ahead)");
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        snprintf(text, size, "the server's certificate is not valid yet (or this machine's clock is behind)");
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        snprintf(text, size, "the server's certificate is not signed by %.100s",
                 given(config->ca_file) ? config->ca_file : "an authority this system knows");
        return;
    default:
        snprintf(text, size, "the server's certificate: %s", X509_verify_cert_error_string(fault));
    }
}

static void name_tls_fault(char *text, size_t size)
{
    unsigned long error = ERR_peek_error();

    switch (ERR_GET_REASON(error)) {
    case 0:
        snprintf(text, size, "the server ended the TLS handshake (does it speak TLS on this port?)");
        break;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        snprintf(text, size, "the server does not speak TLS on this port");
        break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        snprintf(text, size, "the server does not offer TLS 1.2 or later");
        break;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        snprintf(text, size, "the server asks for a client certificate (mqtt.cert_file)");
        break;
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        snprintf(text, size, "the server does not accept our certificate (mqtt.cert_file), or none was given");
        break;
    default:
        snprintf(text, size, "TLS handshake failed: %s", tls_reason());
    }
}

// Repeats a TLS step until it is done or the deadline. 1 when done, 0 at the deadline, -1 when it failed.
static int pursue(SSL *ssl, int (*step)(SSL *ssl), int64_t until_ns)
{
    for (;;) {
        int rc, want;

        ERR_clear_error();
        rc = step(ssl);
        if (rc == 1)
            return 1;
        want = SSL_get_error(ssl, rc);
        if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
            return -1;
        if (wait_for(SSL_get_fd(ssl), want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until_ns))
            return 0;
    }
}

static int read_alert(SSL *ssl)
{
    char byte;

    return SSL_read(ssl, &byte, 1);
}

static void set_peer_name(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return;
    SSL_set_tlsext_host_name(ssl, host);
    SSL_set1_host(ssl, host);
}

// True when TLS explains the failure.
static bool explain_tls(const struct jp_link_config *config, const struct jp_link_url *url, SSL *ssl, char *text,
                        size_t size)
{
    int64_t start = jp_clock_real.mono_ns(&jp_clock_real);
    int rc;

    set_peer_name(ssl, url->host);
    rc = pursue(ssl, SSL_connect, start + HANDSHAKE_MS * JP_NS_PER_MS);
    if (rc == 0) {
        snprintf(text, size, "timed out in the TLS handshake");
        return true;
    }
    if (SSL_get_verify_result(ssl) != X509_V_OK) {
        name_certificate_fault(config, url, SSL_get_verify_result(ssl), text, size);
        return true;
    }
    if (rc > 0) {
        rc = pursue(ssl, read_alert, jp_clock_real.mono_ns(&jp_clock_real) + ALERT_MS * JP_NS_PER_MS);
        if (rc >= 0 || ERR_peek_error() == 0)
            return false;
    }
    name_tls_fault(text, size);
    return true;
}

void jp_link_explain(const struct jp_link_config *config, const struct jp_link_url *url, char *text, size_t size)
{
    int fd = reach(url, text, size);
    bool explained = false;

    if (fd < 0)
        return;
    if (url->tls) {
        SSL_CTX *context = context_new(config, text, size);
        SSL *ssl = context ? SSL_new(context) : NULL;

        explained = !context;
        if (ssl && SSL_set_fd(ssl, fd) == 1)
            explained = explain_tls(config, url, ssl, text, size);
        SSL_free(ssl);
        SSL_CTX_free(context);
        ERR_clear_error();
    }
    close(fd);
    if (!explained)
        snprintf(text, size, "timed out or cut off: %.80s port %d accepts connections but does not answer as %s",
                 url->host, url->port, url->websocket ? "MQTT over WebSocket" : "an MQTT broker");
}
