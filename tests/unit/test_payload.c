// SPDX-License-Identifier: Apache-2.0
// Payloads: CBOR and JSON carry one content, unknown is null, the will is exact.
#include "payload.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "make_windows.h"
#include "topics.h"

#include <cmocka.h>

static struct jp_run run;
static struct jp_window window;
static struct jp_block block;
static uint8_t bytes[JP_BLOCK_BYTES_MAX];
static char text[JP_MESSAGE_MAX];
static struct jp_registers registers;

static const struct jp_records_head head = {
    .device = "bench-1",
    .boot = "0e7c1f6e-2f0b-4d6a-9b1e-5d7f2a3c4b5a",
    .off_known = true,
    .off_ms = 4000000000000, // far in the future: later than any build
    .clock = JP_CLOCK_SYNCED,
    .err_ms = 4,
    .factor = {.known = true, .g_per_kwh = 360, .source = "configured"},
    .pue = 1.5,
};

static int make_block(int windows, unsigned columns)
{
    int n;

    assert_int_equal(jp_block_begin(&block, &run, columns), 0);
    for (int seq = 0; seq < windows; seq++) {
        make_window(&window, &run, (uint64_t)seq);
        if (seq == 1) {
            window.channels[0].known = false;
            window.channels[0].covered_ms = 0;
            window.channels[0].cause = JP_CAUSE_READ_ERROR;
        }
        assert_int_equal(jp_block_add(&block, &window), 0);
    }
    n = jp_block_encode(&block, bytes, sizeof bytes);
    assert_true(n > 0);
    jp_block_end(&block);
    return n;
}

static json_t *parse(int size)
{
    json_t *json;

    assert_true(size > 0);
    json = json_loadb(text, (size_t)size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    return json;
}

static json_t *windows_json(const struct jp_records_head *with, int size, int windows)
{
    struct jp_payload_windows array;

    jp_payload_windows_begin(&array, text, sizeof text);
    assert_int_equal(jp_payload_windows_add(&array, with, bytes, (size_t)size, 0), windows);
    return parse(jp_payload_windows_end(&array));
}

static void assert_json(const json_t *json, const char *expected)
{
    char *have = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

    assert_string_equal(have, expected);
    free(have);
}

static void json_window_has_the_published_shape(void **state)
{
    json_t *array;

    (void)state;
    make_run(&run, 0xab, 2, 30);
    array = windows_json(&head, make_block(2, 0), 2);
    assert_json(json_array_get(array, 0),
                "{\"boot_ms\":100000,\"cause\":{},\"clock\":\"synced\",\"covered_ms\":{},\"emissions_ug\":450,"
                "\"energy_mj\":{\"r0\":1000,\"r1\":2000,\"total\":3000},\"run\":\"00000000000000ab\",\"seq\":0,"
                "\"span_ms\":1000,\"t_ms\":4000000100000}");
    assert_json(json_array_get(array, 1),
                "{\"boot_ms\":101000,\"cause\":{\"r0\":\"read_error\",\"total\":\"read_error\"},\"clock\":\"synced\","
                "\"covered_ms\":{\"r0\":0,\"total\":0},\"emissions_ug\":300,"
                "\"energy_mj\":{\"r0\":null,\"r1\":2001,\"total\":2001},\"run\":\"00000000000000ab\",\"seq\":1,"
                "\"span_ms\":1000,\"t_ms\":4000000101000}");
    json_decref(array);
}

static void unknown_is_null_never_zero(void **state)
{
    struct jp_records_head bare = {.device = "d", .boot = "b", .err_ms = -1, .pue = 1.0};
    json_t *array;

    (void)state;
    make_run(&run, 0xab, 2, 30);
    run.total_known = false;
    run.channels[0].in_total = run.channels[1].in_total = false;
    array = windows_json(&bare, make_block(1, 0), 1);
    assert_json(array,
                "[{\"boot_ms\":100000,\"cause\":{},\"clock\":\"unsynced\",\"covered_ms\":{},\"emissions_ug\":null,"
                "\"energy_mj\":{\"r0\":1000,\"r1\":2000,\"total\":null},\"run\":\"00000000000000ab\",\"seq\":0,"
                "\"span_ms\":1000,\"t_ms\":null}]");
    json_decref(array);
}

static void wall_time_before_the_build_is_null(void **state)
{
    struct jp_records_head early = head;
    int64_t t_ms;

    (void)state;
    early.off_ms = jp_payload_build_s * 1000 - 500;
    assert_false(jp_records_t_ms(&early, 499, &t_ms));
    assert_true(jp_records_t_ms(&early, 500, &t_ms));
    assert_int_equal(t_ms, jp_payload_build_s * 1000);
    early.off_known = false;
    assert_false(jp_records_t_ms(&early, 500, &t_ms));
}

static void configured_columns_are_in_the_json(void **state)
{
    json_t *array, *first;

    (void)state;
    make_run(&run, 0xab, 2, 30);
    array = windows_json(&head, make_block(1, JP_BLOCK_MV | JP_BLOCK_PEAK), 1);
    first = json_array_get(array, 0);
    assert_json(json_object_get(first, "mv"), "{\"r0\":5000,\"r1\":5001}");
    assert_json(json_object_get(first, "peak_mw"), "{\"r0\":1050,\"r1\":2050}");
    assert_null(json_object_get(first, "ma"));
    json_decref(array);
}

static void a_full_message_says_where_to_go_on(void **state)
{
    struct jp_payload_windows array;
    int size, seen = 0, from = 0;

    (void)state;
    make_run(&run, 0xab, 3, 30);
    size = make_block(30, 0);
    while (from < 30) {
        json_t *json;

        jp_payload_windows_begin(&array, text, 1000);
        from = jp_payload_windows_add(&array, &head, bytes, (size_t)size, from);
        json = parse(jp_payload_windows_end(&array));
        assert_true(array.used <= 1000 && json_array_size(json) > 0);
        for (size_t i = 0; i < json_array_size(json); i++)
            assert_int_equal(json_integer_value(json_object_get(json_array_get(json, i), "seq")), seen++);
        json_decref(json);
    }
    assert_int_equal(seen, 30);
}

static void records_head_is_a_map_any_decoder_reads(void **state)
{
    struct jp_records_head bare = {.device = "d", .boot = "b", .err_ms = -1, .pue = 1.0};
    struct jp_cbor_in in;
    char key[16], value[64];
    int n = jp_payload_head(&head, bytes, sizeof bytes);

    (void)state;
    jp_cbor_in_init(&in, bytes, (size_t)n);
    assert_int_equal(jp_cbor_get_map(&in), 8);
    for (int i = 0; i < 8; i++) {
        jp_cbor_copy_text(&in, key, sizeof key);
        if (strcmp(key, "off_ms") == 0)
            assert_true(jp_cbor_get_int(&in) == head.off_ms);
        else if (strcmp(key, "clock") == 0) {
            jp_cbor_copy_text(&in, value, sizeof value);
            assert_string_equal(value, "synced");
        } else if (strcmp(key, "pue") == 0)
            assert_true(jp_cbor_get_double(&in) == 1.5);
        else
            jp_cbor_skip(&in);
    }
    assert_true(!in.failed && in.at == (size_t)n);
    assert_true(jp_payload_head(&bare, bytes, sizeof bytes) > 0);
    assert_int_equal(jp_payload_head(&head, bytes, 20), -EMSGSIZE);
}

static void live_has_the_published_shape(void **state)
{
    struct jp_live live = {.head = &head, .run = &run, .window = &window, .registers = &registers};
    json_t *json;

    (void)state;
    make_run(&run, 0xab, 2, 30);
    run.gauge_count = 2;
    strcpy(run.gauges[0].name, "gpu_load");
    strcpy(run.gauges[1].name, "cpu_load");
    jp_registers_init(&registers, 0x1234);
    jp_registers_price(&registers, &head.factor, head.pue);
    jp_registers_begin(&registers, &run);
    make_window(&window, &run, 1);
    window.gauges[0] = 12500;
    window.gauges[1] = INT64_MIN;
    window.span_ms = 2000;
    jp_registers_count(&registers, &window);
    json = parse(jp_payload_live(&live, text, sizeof text));
    assert_json(json, "{\"boot_ms\":103000,\"clock\":\"synced\",\"emissions_g\":0.0009,"
                      "\"energy_j\":{\"r0\":2.001,\"r1\":4.001,\"total\":6.002},"
                      "\"gauges\":{\"cpu_load\":null,\"gpu_load\":12.5},"
                      "\"power_w\":{\"r0\":1.001,\"r1\":2.001,\"total\":3.002},"
                      "\"register\":\"provisional\",\"register_id\":\"0000000000001234\","
                      "\"run\":\"00000000000000ab\",\"seq\":1,\"t_ms\":4000000103000}");
    json_decref(json);
}

static void power_is_of_the_covered_time(void **state)
{
    struct jp_live live = {.head = &head, .run = &run, .window = &window, .registers = &registers};
    json_t *json;

    (void)state;
    make_run(&run, 0xab, 3, 30);
    jp_registers_init(&registers, 0x1234);
    jp_registers_begin(&registers, &run);
    make_window(&window, &run, 7);
    window.channels[0].covered_ms = 250; // 1000 mJ in a quarter of a second
    window.channels[2].covered_ms = 0;
    window.channels[2].known = false;
    json = parse(jp_payload_live(&live, text, sizeof text));
    assert_json(json_object_get(json, "power_w"), "{\"r0\":4.0,\"r1\":2.0,\"r2\":null,\"total\":6.0}");
    json_decref(json);
    window.channels[0].covered_ms = window.channels[1].covered_ms = 0; // energy told, its time not
    json = parse(jp_payload_live(&live, text, sizeof text));
    assert_json(json_object_get(json, "power_w"), "{\"r0\":null,\"r1\":null,\"r2\":null,\"total\":null}");
    json_decref(json);
}

// A counter brings what it counted between two runs into the first window of the second.
static void a_counter_has_no_power_in_the_first_window(void **state)
{
    struct jp_live live = {.head = &head, .run = &run, .window = &window, .registers = &registers};
    json_t *json;

    (void)state;
    make_run(&run, 0xab, 3, 30);
    run.channels[0].kind = JP_ENERGY;
    run.channels[2].in_total = false;
    jp_registers_init(&registers, 0x1234);
    jp_registers_begin(&registers, &run);
    make_window(&window, &run, 0);
    window.channels[0].mj = window.channels[0].run_mj = 36000000;
    json = parse(jp_payload_live(&live, text, sizeof text));
    assert_json(json_object_get(json, "power_w"), "{\"r0\":null,\"r1\":2.0,\"r2\":3.0,\"total\":null}");
    json_decref(json);
    make_window(&window, &run, 1);
    json = parse(jp_payload_live(&live, text, sizeof text));
    assert_json(json_object_get(json, "power_w"), "{\"r0\":1.001,\"r1\":2.001,\"r2\":3.001,\"total\":3.002}");
    json_decref(json);
}

static void status_has_the_published_shape(void **state)
{
    struct jp_status status = {
        .clock = "synced",
        .pending_windows = 61,
        .pending_bytes = 4096,
        .lost = {{"hot_full", 12, 12500, 777, true}, {"damaged", 1, 1000, 0, false}, {"spool_full", 0, 0, 0, false}},
        .loss_window_s = 40,
        .refused = 1,
        .degraded = {"refused"},
        .cpu_s = 0.25,
        .rss_kb = 1800,
    };
    json_t *json = parse(jp_payload_status(&status, text, sizeof text));

    (void)state;
    json_object_del(json, "version");
    assert_json(json, "{\"clock\":\"synced\",\"cost\":{\"cpu_s\":0.25,\"flash_bytes\":0,\"rss_kb\":1800},"
                      "\"degraded\":[\"refused\"],\"loss_window_s\":40.0,"
                      "\"lost\":{\"damaged\":{\"joules\":null,\"seconds\":1.0,\"windows\":1},"
                      "\"hot_full\":{\"joules\":0.777,\"seconds\":12.5,\"windows\":12}},"
                      "\"pending\":{\"bytes\":4096,\"windows\":61},\"refused\":1,\"state\":\"online\"}");
    json_decref(json);
    assert_string_equal(JP_PAYLOAD_OFFLINE, "{\"state\":\"offline\"}");
}

static void event_and_gap_have_the_published_shape(void **state)
{
    struct jp_event event = {.run = 0xab, .boot_ms = 5, .kind = "task", .detail = "{\"name\":\"fit\"}"};
    struct jp_gap gap = {.run = 0xab,
                         .first_seq = 3,
                         .last_seq = 4,
                         .windows = 2,
                         .t0_ms = 9,
                         .span_ms = 2000,
                         .reason = "hot_full",
                         .channel_count = 2,
                         .mj = {7, 0},
                         .known = {true, false}};
    json_t *json;

    (void)state;
    make_run(&run, 0xab, 2, 30);
    json = parse(jp_payload_event(&head, &event, text, sizeof text));
    assert_json(json, "{\"boot_ms\":5,\"channel\":null,\"detail\":{\"name\":\"fit\"},\"kind\":\"task\","
                      "\"run\":\"00000000000000ab\",\"t_ms\":4000000000005}");
    json_decref(json);
    strcpy(event.detail, "not json");
    json = parse(jp_payload_event(&head, &event, text, sizeof text));
    assert_json(json_object_get(json, "detail"), "{}");
    json_decref(json);
    json = parse(jp_payload_gap(&head, &run, &gap, text, sizeof text));
    assert_json(json, "{\"energy_mj\":{\"r0\":7,\"r1\":null},\"first_seq\":3,\"last_seq\":4,\"reason\":\"hot_full\","
                      "\"run\":\"00000000000000ab\",\"seconds\":2.0,\"t_ms\":4000000000009,\"windows\":2}");
    json_decref(json);
}

static void topics_are_root_device_leaf(void **state)
{
    char topic[JP_TOPIC_MAX];

    (void)state;
    assert_int_equal(jp_topic_leaf(topic, sizeof topic, "joulepost/1", "bench-1", JP_LEAF_RECORDS), 0);
    assert_string_equal(topic, "joulepost/1/bench-1/records");
    assert_int_equal(jp_topic_grid(topic, sizeof topic, "joulepost/1", "FR"), 0);
    assert_string_equal(topic, "joulepost/1/grid/FR");
    assert_int_equal(jp_topic_leaf(topic, 10, "joulepost/1", "bench-1", JP_LEAF_STATUS), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_window_has_the_published_shape),
        cmocka_unit_test(unknown_is_null_never_zero),
        cmocka_unit_test(wall_time_before_the_build_is_null),
        cmocka_unit_test(configured_columns_are_in_the_json),
        cmocka_unit_test(a_full_message_says_where_to_go_on),
        cmocka_unit_test(records_head_is_a_map_any_decoder_reads),
        cmocka_unit_test(live_has_the_published_shape),
        cmocka_unit_test(power_is_of_the_covered_time),
        cmocka_unit_test(a_counter_has_no_power_in_the_first_window),
        cmocka_unit_test(status_has_the_published_shape),
        cmocka_unit_test(event_and_gap_have_the_published_shape),
        cmocka_unit_test(topics_are_root_device_leaf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
