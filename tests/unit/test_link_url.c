// SPDX-License-Identifier: Apache-2.0
// The pure parts of the link: broker URLs, the delays between tries, the mailbox.
#include "link_internal.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void urls_give_host_port_and_transport(void **state)
{
    static const struct {
        const char *url, *host;
        int port;
        bool tls, websocket;
    } good[] = {
        {"mqtt://broker", "broker", 1883, false, false},
        {"mqtt://10.0.0.1:1884", "10.0.0.1", 1884, false, false},
        {"mqtt://[::1]:1884/", "::1", 1884, false, false},
        {"mqtts://broker.example.org", "broker.example.org", 8883, true, false},
        {"ws://broker/mqtt", "broker", 80, false, true},
        {"wss://broker:8084/a/b?c", "broker", 8084, true, true},
        {"wss://broker", "broker", 443, true, true},
    };
    struct jp_link_url url;
    char error[160];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(jp_link_url_parse(good[i].url, &url, error, sizeof error), 0);
        assert_string_equal(url.host, good[i].host);
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.tls, good[i].tls);
        assert_int_equal(url.websocket, good[i].websocket);
    }
}

static void bad_urls_are_refused_with_a_reason(void **state)
{
    static const char *const bad[] = {
        "",
        "broker",
        "http://broker",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://a:0",
        "mqtt://a:",
        "mqtt://a:65536",
        "mqtt://a:1883x",
        "mqtt://a/topic",
        "mqtt://[::1",
        "mqtt://[]:1",
        "mqtts://[::1]:8883",
        "mqtt://a b",
        "mqtt://a:+5",
        "mqtt://a: 5",
        "tcp://a",
    };
    struct jp_link_url url;
    char error[160];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        error[0] = '\0';
        assert_int_equal(jp_link_url_parse(bad[i], &url, error, sizeof error), -EINVAL);
        assert_true(error[0] != '\0');
    }
    assert_int_equal(jp_link_url_parse(NULL, &url, error, sizeof error), -EINVAL);
}

static void a_password_in_the_url_is_refused_and_not_repeated(void **state)
{
    struct jp_link_url url;
    char error[160];

    (void)state;
    assert_int_equal(jp_link_url_parse("mqtt://me:hush@broker", &url, error, sizeof error), -EINVAL);
    assert_null(strstr(error, "hush"));
}

static void delays_double_from_one_second_to_the_limit_with_jitter(void **state)
{
    struct jp_link_backoff backoff = {0};
    int64_t least = INT64_MAX, most = 0;

    (void)state;
    jp_jitter_seed(&backoff.jitter, 7);
    for (int64_t d = 1000; d <= 512000; d *= 2) {
        int64_t top = d < 300000 ? d : 300000;
        int64_t delay = jp_link_backoff_next_ms(&backoff, 300);

        assert_in_range(delay, top / 2, top);
    }
    for (int i = 0; i < 1000; i++) {
        int64_t delay = jp_link_backoff_next_ms(&backoff, 300);

        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    assert_in_range(least, 150000, 165000);
    assert_in_range(most, 285000, 300000);
    jp_link_backoff_reset(&backoff);
    assert_in_range(jp_link_backoff_next_ms(&backoff, 300), 500, 1000);
    assert_in_range(jp_link_backoff_next_ms(&backoff, 0), 500, 1000);
}

// A client id that two devices use: each connection is accepted, and ends soon.
static void only_a_connection_that_proved_itself_resets_the_delay(void **state)
{
    const int64_t second = 1000000000;

    (void)state;
    assert_false(jp_link_backoff_proven(0, true));
    assert_false(jp_link_backoff_proven(29 * second, true));
    assert_true(jp_link_backoff_proven(30 * second, true));
    assert_false(jp_link_backoff_proven(30 * second, false));
    assert_false(jp_link_backoff_proven(299 * second, false));
    assert_true(jp_link_backoff_proven(300 * second, false));
}

static void refusals_have_words(void **state)
{
    (void)state;
    assert_non_null(strstr(jp_link_refusal(4, 4), "bad user name or password"));
    assert_non_null(strstr(jp_link_refusal(5, 0x87), "not authorised"));
    assert_non_null(strstr(jp_link_refusal(5, 0xee), "refused"));
}

static void mailbox_takes_one_message_at_a_time_and_only_when_up(void **state)
{
    struct jp_message message = {.topic = "t", .payload = "p", .size = 1, .qos = 1}, taken;
    struct jp_news news = {.kind = JP_NEWS_UP};
    struct jp_link_mailbox box;

    (void)state;
    assert_int_equal(jp_link_mailbox_init(&box), 0);
    assert_int_equal(jp_link_mailbox_send(&box, &message), -ENOTCONN);
    jp_link_mailbox_post(&box, &news);
    assert_int_equal(jp_link_mailbox_send(&box, &message), 0);
    assert_int_equal(jp_link_mailbox_send(&box, &message), -EBUSY);
    assert_true(jp_link_mailbox_take(&box, &taken));
    assert_false(jp_link_mailbox_take(&box, &taken));
    assert_int_equal(jp_link_mailbox_send(&box, &message), -EBUSY);
    news.kind = JP_NEWS_DELIVERED;
    jp_link_mailbox_post(&box, &news);
    assert_int_equal(jp_link_mailbox_send(&box, &message), 0);
    jp_link_mailbox_free(&box);
}

static void mailbox_takes_a_message_aside_beside_another_and_keeps_the_newest(void **state)
{
    char text[] = "old";
    struct jp_message message = {.topic = "t", .payload = "p", .size = 1, .qos = 1}, taken;
    struct jp_message aside = {.topic = "live", .payload = text, .size = 3, .aside = true};
    struct jp_news news = {.kind = JP_NEWS_UP};
    struct jp_link_mailbox box;

    (void)state;
    assert_int_equal(jp_link_mailbox_init(&box), 0);
    assert_int_equal(jp_link_mailbox_send(&box, &aside), -ENOTCONN);
    jp_link_mailbox_post(&box, &news);
    assert_int_equal(jp_link_mailbox_send(&box, &message), 0);
    assert_int_equal(jp_link_mailbox_send(&box, &aside), 0);
    memcpy(text, "new", 3);
    assert_int_equal(jp_link_mailbox_send(&box, &aside), 0);
    memcpy(text, "xxx", 3);
    assert_true(jp_link_mailbox_take(&box, &taken));
    assert_true(taken.aside && taken.size == 3);
    assert_memory_equal(taken.payload, "new", 3);
    assert_string_equal(taken.topic, "live");
    free((void *)taken.payload);
    assert_true(jp_link_mailbox_take(&box, &taken));
    assert_false(taken.aside);
    assert_int_equal(jp_link_mailbox_send(&box, &aside), 0);
    jp_link_mailbox_down(&box, "gone");
    assert_false(jp_link_mailbox_take(&box, &taken));
    jp_link_mailbox_post(&box, &news);
    assert_false(jp_link_mailbox_take(&box, &taken));
    jp_link_mailbox_free(&box);
}

static void mailbox_fails_an_untaken_message_when_the_link_goes_down(void **state)
{
    static const enum jp_news_kind want[] = {JP_NEWS_UP, JP_NEWS_FAILED, JP_NEWS_DOWN};
    struct jp_message message = {.topic = "t"};
    struct jp_news news = {.kind = JP_NEWS_UP};
    struct jp_link_mailbox box;

    (void)state;
    assert_int_equal(jp_link_mailbox_init(&box), 0);
    jp_link_mailbox_post(&box, &news);
    assert_int_equal(jp_link_mailbox_send(&box, &message), 0);
    jp_link_mailbox_down(&box, "gone");
    assert_int_equal(jp_link_mailbox_send(&box, &message), -ENOTCONN);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_true(jp_link_mailbox_next(&box, &news));
        assert_int_equal(news.kind, want[i]);
    }
    assert_string_equal(news.text, "gone");
    assert_false(jp_link_mailbox_next(&box, &news));
    jp_link_mailbox_free(&box);
}

static bool rings(const struct jp_link_mailbox *box)
{
    struct pollfd bell = {box->news_fd, POLLIN, 0};

    return poll(&bell, 1, 0) == 1;
}

static void mailbox_descriptor_is_readable_exactly_while_news_wait(void **state)
{
    struct jp_news news = {.kind = JP_NEWS_REFUSED};
    struct jp_link_mailbox box;

    (void)state;
    assert_int_equal(jp_link_mailbox_init(&box), 0);
    assert_false(rings(&box));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < JP_LINK_NEWS_MAX; i++)
            jp_link_mailbox_post(&box, &news);
        for (int i = 0; i < JP_LINK_NEWS_MAX; i++) {
            assert_true(rings(&box));
            assert_true(jp_link_mailbox_next(&box, &news));
        }
        assert_false(rings(&box));
    }
    jp_link_mailbox_free(&box);
}

static void mailbox_stop_gives_up_on_a_thread_that_does_not_end(void **state)
{
    struct jp_link_mailbox box;

    (void)state;
    assert_int_equal(jp_link_mailbox_init(&box), 0);
    assert_false(jp_link_mailbox_stop(&box, NULL, 10));
    assert_true(jp_link_mailbox_stopping(&box) != 0);
    jp_link_mailbox_end(&box);
    assert_true(jp_link_mailbox_stop(&box, NULL, 10));
    jp_link_mailbox_free(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_give_host_port_and_transport),
        cmocka_unit_test(bad_urls_are_refused_with_a_reason),
        cmocka_unit_test(a_password_in_the_url_is_refused_and_not_repeated),
        cmocka_unit_test(delays_double_from_one_second_to_the_limit_with_jitter),
        cmocka_unit_test(only_a_connection_that_proved_itself_resets_the_delay),
        cmocka_unit_test(refusals_have_words),
        cmocka_unit_test(mailbox_takes_one_message_at_a_time_and_only_when_up),
        cmocka_unit_test(mailbox_takes_a_message_aside_beside_another_and_keeps_the_newest),
        cmocka_unit_test(mailbox_fails_an_untaken_message_when_the_link_goes_down),
        cmocka_unit_test(mailbox_descriptor_is_readable_exactly_while_news_wait),
        cmocka_unit_test(mailbox_stop_gives_up_on_a_thread_that_does_not_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
