// SPDX-License-Identifier: Apache-2.0
// The parts of the Paho link, for link_*.c alone: URL, back-off, socket, explanations, mailbox, session.
#ifndef JP_LINK_INTERNAL_H
#define JP_LINK_INTERNAL_H

#include "entropy.h"
#include "link.h"

#include <poll.h>
#include <pthread.h>

// URL (pure) -------------------------------------------------------------------------------------
struct jp_link_url {
    bool tls, websocket;
    char host[256]; // without the brackets of an IPv6 address
    int port;       // the scheme's default where the URL names none: 1883, 8883, 80, 443
};

// 0, or -EINVAL with error filled. User names and passwords inside a URL are refused.
int jp_link_url_parse(const char *url, struct jp_link_url *out, char *error, size_t error_size);

// Back-off (pure) --------------------------------------------------------------------------------
struct jp_link_backoff {
    int64_t step_ms; // the next delay before jitter; 0 = first
    struct jp_jitter jitter;
};

// The delay before the next try: d = 1 s, doubling up to max_s, drawn uniformly from [d/2, d].
int64_t jp_link_backoff_next_ms(struct jp_link_backoff *backoff, int max_s);
// Begins at 1 s again.
void jp_link_backoff_reset(struct jp_link_backoff *backoff);
// Whether a connection that lived so long is reason to begin again: 30 s when it delivered records, else 5 minutes.
bool jp_link_backoff_proven(int64_t lived_ns, bool delivered);

// Socket -----------------------------------------------------------------------------------------
// Paho does not give out its socket. The one connected TCP socket that exists after a dial and did not
// before is it, as long as no other thread opens TCP connections.
struct jp_link_sockets {
    int fds[64];
    int count; // -1: the descriptors could not be listed
};

void jp_link_sockets_mark(struct jp_link_sockets *before);
// The one new connected TCP socket, or -1 when there is none or more than one.
int jp_link_sockets_find(const struct jp_link_sockets *before);
// TCP_NODELAY and a bound of timeout_s on unacknowledged data.
void jp_link_socket_tune(int fd, int timeout_s);

// Explanations -----------------------------------------------------------------------------------
// Loads CA, certificate and key as a connection would. 0, or -EINVAL with error filled.
int jp_link_tls_check(const struct jp_link_config *config, char *error, size_t error_size);
// Paho does not say why a dial failed: looks by itself (name, TCP, TLS; at most about 5 s plus the name
// lookup) and writes one line for people.
void jp_link_explain(const struct jp_link_config *config, const struct jp_link_url *url, char *text, size_t size);
// What a CONNACK's reason means, in people's words. `version` as in the configuration.
const char *jp_link_refusal(int version, int reason);

// Mailbox ----------------------------------------------------------------------------------------
#define JP_LINK_NEWS_MAX 16

struct jp_link_mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int wake_fd, news_fd; // eventfds: to the thread, to the owner
    struct jp_news ring[JP_LINK_NEWS_MAX];
    unsigned first, count;
    bool up, busy; // busy: from send() to DELIVERED or FAILED
    bool waiting;  // outgoing was not taken yet
    bool ringing;  // news_fd is readable, or will be in a moment
    struct jp_message outgoing;
    unsigned unwanted;       // bits of config->subscriptions that the owner has ended
    struct jp_message apart; // the message aside not taken yet, a copy of ours; payload NULL when none
    bool dialing, ended;
    int64_t stop_ns; // monotonic deadline of the thread; 0 = not stopping
    bool has_last;
    struct jp_message last;
};

// 0, or -errno.
int jp_link_mailbox_init(struct jp_link_mailbox *box);
// Frees news nobody took.
void jp_link_mailbox_free(struct jp_link_mailbox *box);

// The owner's side.
int jp_link_mailbox_send(struct jp_link_mailbox *box, const struct jp_message *message);
bool jp_link_mailbox_next(struct jp_link_mailbox *box, struct jp_news *news);
void jp_link_mailbox_unwant(struct jp_link_mailbox *box, int subscription);
// Asks the thread to end and waits for it. True when it ended in time.
bool jp_link_mailbox_stop(struct jp_link_mailbox *box, const struct jp_message *last, int timeout_ms);

// The thread's side. post() waits while the ring is full: the network then waits too, nothing is lost.
void jp_link_mailbox_post(struct jp_link_mailbox *box, const struct jp_news *news);
// Not up any more: a message not taken yet gets its FAILED, then DOWN.
void jp_link_mailbox_down(struct jp_link_mailbox *box, const char *text);
// The payload of a message aside, which comes first, is the taker's to free(); its topic lies in the same block.
bool jp_link_mailbox_take(struct jp_link_mailbox *box, struct jp_message *message);
// The message to end with; false when there is none or its owner does not wait any more.
bool jp_link_mailbox_last(struct jp_link_mailbox *box, struct jp_message *message);
unsigned jp_link_mailbox_unwanted(struct jp_link_mailbox *box);
// The thread's deadline, a little before that of stop(); 0 when nobody stopped.
int64_t jp_link_mailbox_stopping(struct jp_link_mailbox *box);
void jp_link_mailbox_dialing(struct jp_link_mailbox *box, bool dialing);
void jp_link_mailbox_end(struct jp_link_mailbox *box);
// Takes the wake-ups so far off wake_fd.
void jp_link_mailbox_awake(struct jp_link_mailbox *box);

// Session ----------------------------------------------------------------------------------------
// One Paho handle for life and at most one connection. All calls from one thread.
struct jp_link_session {
    const struct jp_link_config *config;
    struct jp_link_url url;
    struct jp_link_mailbox *box; // gets INCOMING
    void *handle;                // MQTTClient
    int fd;                      // Paho's socket, -1 when not connected or not found
    unsigned subscribed;         // bits of config->subscriptions that were asked for at this connect
    int keepalive_s;             // the configured or the broker's, whichever is shorter
    uint32_t max_packet;
    int acked, ack_reason; // the newest acknowledgement: token and reason
    int64_t looked_ns;     // when packets were last asked for
    char tls_text[160];    // what OpenSSL said during the last dial
};

int jp_link_session_create(struct jp_link_session *session, char *error, size_t error_size);
// Connects and subscribes. Fills news with UP (true) or REFUSED (false).
bool jp_link_session_dial(struct jp_link_session *session, struct jp_news *news);
// Ends the subscriptions nobody wants any more; waits for the broker's answer, and hangs up without one.
void jp_link_session_unsubscribe(struct jp_link_session *session);
bool jp_link_session_connected(const struct jp_link_session *session);
// Sleeps until `until_ns` at most, a wake-up of the mailbox or a packet; packets are handled. Does not sleep when
// it is time to look for packets anyway.
void jp_link_session_wait(struct jp_link_session *session, int64_t until_ns);
// Sends and, for QoS 1, waits for the acknowledgement until `until_ns`. Fills news with DELIVERED or FAILED.
void jp_link_session_publish(struct jp_link_session *session, const struct jp_message *message, int64_t until_ns,
                             struct jp_news *news);
// Ends the connection. Rudely: without DISCONNECT, so that the broker publishes the will.
void jp_link_session_hang_up(struct jp_link_session *session, bool politely);
void jp_link_session_destroy(struct jp_link_session *session);

#endif
