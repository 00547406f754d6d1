// SPDX-License-Identifier: Apache-2.0
// top without a terminal: answers to numbers, numbers to words, sparklines, and whole pages against golden texts.
#include "top_draw.h"
#include "top_ink.h"
#include "top_words.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START_MS 1000000
#define NOW_MS (START_MS + 8047000)

static struct jp_top top;
static char page[JP_TOP_DRAWING_MAX];

static const char meta_text[] =
    "{'ok': true, 'version': '0.1.0', 'run': '00000000000000aa', 'start_boot_ms': 1000000, 'interval_ms': 200, "
    "'window_ms': 1000, 'device': 'bench-1', 'board': {'id': 'b', 'name': 'NVIDIA Jetson AGX Orin Developer Kit'}, "
    "'power_mode': 'MODE_30W', 'channels': ["
    "{'name': 'VDD_GPU_SOC', 'roles': ['gpu', 'soc'], 'part_of': null, 'method': 'measured'}, "
    "{'name': 'VDDQ_VDD2_1V8AO', 'roles': ['ram'], 'part_of': 'VIN_SYS_5V0', 'method': 'measured'}, "
    "{'name': 'VDD_CPU_CV', 'roles': ['cpu', 'cv'], 'part_of': null, 'method': 'measured'}, "
    "{'name': 'VIN_SYS_5V0', 'roles': ['io'], 'part_of': null, 'method': 'measured'}, "
    "{'name': 'ram', 'roles': [], 'part_of': null, 'method': 'modelled'}], "
    "'total': {'scope': 'module', 'method': 'measured', 'channels': ['VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0']}, "
    "'gauges': [{'name': 'cpu_load', 'unit': '%'}, {'name': 'gpu_load', 'unit': '%'}, {'name': 'gpu_freq', 'unit': "
    "'MHz'}, {'name': 'tj-thermal', 'unit': 'C'}, {'name': 'x86_pkg_temp', 'unit': 'C'}, "
    "{'name': 'throttle_gpu', 'unit': null}, {'name': 'VIN_SYS_5V0_alarm', 'unit': null}]}";

static const char post_text[] =
    "{'boot_ms': 9046000, 'pid': 7, 'link': {'state': 'connected', 'since_boot_ms': 1002000, 'error': null}, "
    "'status': {'pending': {'windows': 65, 'bytes': 5781}, 'lost': {}, 'refused': 0, 'degraded': []}, "
    "'factor': {'g_per_kwh': 56.039, 'source': 'owid FRA', 'valid_from': '2023', 'pue': 1.1}, "
    "'registers': {'id': '00', 'energy_j': {'total': 1234567.891}, 'emissions_g': 19.2}}";

// JSON with single quotes.
static json_t *json(const char *text)
{
    char copy[4096];
    json_t *value;

    snprintf(copy, sizeof copy, "%s", text);
    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    value = json_loads(copy, 0, NULL);
    assert_non_null(value);
    return value;
}

static int take_meta(const char *text)
{
    json_t *meta = json(text);
    int rc = jp_top_take_meta(&top, meta);

    json_decref(meta);
    return rc;
}

static int take_live(const char *text)
{
    json_t *live = json(text);
    int rc = jp_top_take_live(&top, live);

    json_decref(live);
    return rc;
}

static void take_post(const char *text)
{
    json_t *post = text ? json(text) : NULL;

    jp_top_take_post(&top, post, NOW_MS);
    json_decref(post);
}

static void window(int seq, double gpu, double cpu)
{
    char text[1024];

    snprintf(
        text, sizeof text,
        "{'ok': true, 'run': '00000000000000aa', 'seq': %d, 'boot_ms': 9046500, 'power_w': {'VDD_GPU_SOC': %.3f, "
        "'VDD_CPU_CV': %.3f, 'VIN_SYS_5V0': 3.012, 'VDDQ_VDD2_1V8AO': null, 'ram': 1.5, 'total': %.3f}, 'energy_j': "
        "{'VDD_GPU_SOC': 72005.5, 'VDD_CPU_CV': 999.999, 'VIN_SYS_5V0': 24238, 'VDDQ_VDD2_1V8AO': null, 'ram': "
        "12000, 'total': 97243.499}, 'cause': {'VDDQ_VDD2_1V8AO': 'read_error'}, 'gauges': {'cpu_load': 3.6, "
        "'gpu_load': 100, 'gpu_freq': 1300.5, 'tj-thermal': 47.53, 'x86_pkg_temp': null, 'throttle_gpu': 0, "
        "'VIN_SYS_5V0_alarm': 0}, 'task': "
        "'bench'}",
        seq, gpu, cpu, gpu + cpu + 3.012);
    assert_int_equal(take_live(text), 0);
}

// Two minutes of a load that comes and goes.
static void run_a_while(void)
{
    memset(&top, 0, sizeof top);
    top.configured_pue = 1;
    assert_int_equal(take_meta(meta_text), 0);
    for (int seq = 7926; seq <= 8045; seq++) {
        int phase = seq % 40;

        window(seq, 3 + 0.5 * (phase < 20 ? phase : 0), 0.76 + 0.001 * (seq % 3));
    }
    take_post(post_text);
}

static const char *draw(int columns, int rows)
{
    const struct jp_top_paper paper = {.columns = columns, .rows = rows, .utf8 = true, .screen = true};

    jp_top_draw(&top, &paper, NOW_MS, page);
    return page;
}

static void equals_golden(const char *name)
{
    char path[512], golden[8192];
    FILE *file;
    size_t size;

    snprintf(path, sizeof path, "%s/golden/top/%s.txt", TESTS_DIR, name);
    if (getenv("JOULEPOST_NEW_GOLDEN")) { // to be looked at before it is committed
        file = fopen(path, "w");
        assert_non_null(file);
        fputs(page, file);
        fclose(file);
    }
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s: %s\n%s", path, strerror(errno), page);
    size = fread(golden, 1, sizeof golden - 1, file);
    fclose(file);
    golden[size] = '\0';
    if (strcmp(golden, page) != 0)
        fail_msg("%s differs; it was:\n%s", path, page);
}

static void holds(const char *text)
{
    if (!strstr(page, text))
        fail_msg("no '%s' in:\n%s", text, page);
}

static void lacks(const char *text)
{
    if (strstr(page, text))
        fail_msg("'%s' in:\n%s", text, page);
}

// Whole pages -------------------------------------------------------------------------------------
static void pages_are_as_they_were_looked_at(void **state)
{
    static const struct {
        const char *name;
        int columns, rows;
    } cases[] = {{"60", 60, 20}, {"80", 80, 24}, {"120", 120, 24}, {"200", 200, 24}, {"short", 80, 9}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_a_while();
        draw(cases[i].columns, cases[i].rows);
        equals_golden(cases[i].name);
    }
}

static void plain_text_has_no_margin_and_tells_causes(void **state)
{
    const struct jp_top_paper paper = {.columns = 100};

    (void)state;
    run_a_while();
    jp_top_draw(&top, &paper, NOW_MS, page);
    equals_golden("plain");
    for (const char *at = page; *at; at++)
        assert_true(*at == '\n' || (*at >= ' ' && *at <= '~'));
}

static void colour_is_left_out_where_it_is_not_wanted(void **state)
{
    struct jp_top_paper paper = {.columns = 100, .rows = 24, .utf8 = true, .screen = true, .escapes = true};

    (void)state;
    run_a_while();
    jp_top_draw(&top, &paper, NOW_MS, page);
    holds("\033[1m");
    lacks("\033[3");
    paper.colour = true;
    jp_top_draw(&top, &paper, NOW_MS, page);
    holds("\033[32mconnected for 2:14:05\033[0m");
    holds("\033[1;31mread_error\033[0m");
}

// Any size: no line is longer, none is too many, and the total is on all but the smallest.
static void no_page_leaves_its_paper(void **state)
{
    (void)state;
    run_a_while();
    for (int columns = 1; columns <= 250; columns += columns < 30 ? 1 : 7)
        for (int rows = 1; rows <= 30; rows++) {
            int lines = 0;

            draw(columns, rows);
            for (char *line = page, *end; *line; line = end + 1, lines++) {
                end = strchr(line, '\n');
                assert_non_null(end);
                *end = '\0';
                if (jp_ink_width(line) >= columns && columns > 1)
                    fail_msg("%d columns: '%s'", columns, line);
                *end = '\n';
            }
            assert_true(lines <= rows);
            assert_true(rows < 2 || columns < 30 || strstr(page, "total"));
        }
}

static void what_is_wrong_stays_where_rows_are_few(void **state)
{
    (void)state;
    run_a_while();
    draw(80, 8);
    lacks("link");
    take_post("{'boot_ms': 9046000, 'link': {'state': 'connecting', 'since_boot_ms': 9000000, 'error': 'no route'}}");
    draw(80, 8);
    holds("connecting for 0:00:47: no route");
    take_post(NULL);
    draw(80, 8);
    holds("post is not running");
    top.away_ms = NOW_MS - 12000;
    strcpy(top.away, "why not");
    draw(80, 5);
    holds("waiting for 0:00:12: why not");
}

// The states -------------------------------------------------------------------------------------
static void unknown_is_never_zero(void **state)
{
    (void)state;
    memset(&top, 0, sizeof top);
    assert_int_equal(take_meta(meta_text), 0);
    assert_int_equal(take_live("{'ok': true, 'run': '00000000000000aa', 'seq': null, 'boot_ms': null, 'power_w': "
                               "{'total': null}, 'energy_j': {}, 'gauges': {}, 'task': null}"),
                     0);
    take_post(NULL);
    draw(100, 30);
    holds("no window was closed yet");
    holds("unknown grid");
    lacks("0.000");
    lacks("0 %");
    holds("~-"); // modelled, and unknown
    lacks("CO2e");
    assert_false(top.any);
}

static void agent_that_went_away_leaves_no_power(void **state)
{
    (void)state;
    run_a_while();
    draw(60, 24);
    holds("VIN_SYS_5V0          3.012");
    top.away_ms = NOW_MS;
    draw(60, 24);
    holds("VIN_SYS_5V0              - ");
    holds("97.243 kJ");
    holds("gpu     -");
    holds("task     -");
}

static void board_without_a_total_says_so(void **state)
{
    (void)state;
    memset(&top, 0, sizeof top);
    assert_int_equal(
        take_meta("{'run': 'r', 'window_ms': 1000, 'interval_ms': 200, 'board': {'name': null}, 'channels': "
                  "[{'name': 'a', 'part_of': 'b'}, {'name': 'b', 'part_of': 'a'}], 'total': null}"),
        0);
    draw(80, 24);
    holds("no total: nobody has said which rails make it");
    holds("unknown board");
    holds("   a "); // a circle is shown all the same
    assert_int_equal(top.row_count, 2);
}

static void alarms_are_told_and_quiet_ones_named(void **state)
{
    (void)state;
    run_a_while();
    draw(80, 24);
    holds("state    no throttling, no over-current");
    top.gauges[6].milli = 1000;
    draw(80, 24);
    holds("state    VIN_SYS_5V0_alarm   1");
    lacks("throttl");
    top.gauges[6].known = false; // nobody knows
    draw(80, 24);
    lacks("over-current");
    top.gauge_count = 6;
    draw(80, 24);
    holds("state    no throttling\n");
}

// post tells its registers now and then; what the run has used since is added, as is its CO2e.
static void registers_go_on_with_the_run_that_they_hold(void **state)
{
    static const char format[] =
        "{'boot_ms': 9046000, 'link': {'state': 'none'}, 'factor': {'g_per_kwh': 100, 'pue': 1}, 'registers': {'id': "
        "'00', 'energy_j': {'total': 200000}, 'run': '%s', 'of_run_j': %d, 'emissions_g': 5}}";
    char text[512];

    (void)state;
    run_a_while(); // 97243.499 J so far
    snprintf(text, sizeof text, format, "00000000000000aa", 90000);
    take_post(text);
    draw(120, 40);
    holds("207.243 kJ and 5.201 g over all runs");
    snprintf(text, sizeof text, format, "00000000000000bb", 90000);
    take_post(text);
    draw(120, 40);
    holds("200.000 kJ and 5.000 g over all runs");
    snprintf(text, sizeof text, format, "00000000000000aa", 99000); // it pushed back since
    take_post(text);
    draw(120, 40);
    holds("200.000 kJ and 5.000 g over all runs");
}

static void what_keeps_meter_from_writing_is_told(void **state)
{
    (void)state;
    run_a_while();
    assert_int_equal(take_live("{'run': '00000000000000aa', 'power_w': {}, 'degraded': ['hot_full', 'read_error']}"),
                     0);
    draw(120, 40);
    holds("meter: hot_full, read_error; 65 windows to send");
    take_post(NULL);
    draw(120, 40);
    holds("meter: hot_full, read_error");
    assert_int_equal(take_live("{'run': '00000000000000aa', 'power_w': {}, 'degraded': []}"), 0);
    draw(120, 40);
    lacks("meter:");
}

static void the_power_mode_follows_the_run(void **state)
{
    (void)state;
    run_a_while();
    draw(120, 40);
    holds("MODE_30W");
    assert_int_equal(take_live("{'run': '00000000000000aa', 'power_w': {}, 'power_mode': 'MAXN'}"), 0);
    draw(120, 40);
    holds("MAXN");
    lacks("MODE_30W");
}

static void post_is_not_believed_when_old(void **state)
{
    (void)state;
    run_a_while();
    assert_true(top.post.running);
    assert_true(top.pue == 1.1 && top.factor.known);
    top.configured = (struct jp_factor){.known = true, .g_per_kwh = 300};
    jp_top_take_post(&top, NULL, NOW_MS);
    assert_false(top.post.running);
    assert_true(top.factor.g_per_kwh == 300 && top.pue == 1);
    take_post("{'boot_ms': 8926000, 'link': {'state': 'connected'}}"); // 121 s
    assert_false(top.post.running);
    take_post("{'boot_ms': 8928000, 'link': {'state': 'connected'}}");
    assert_true(top.post.running);
}

static void wild_numbers_of_post_are_none(void **state)
{
    (void)state;
    run_a_while();
    take_post("{'boot_ms': 9046000, 'link': {'state': 'connecting', 'since_boot_ms': -9223372036854775808}, 'status': "
              "{'pending': {'windows': 9223372036854775807, 'bytes': -9223372036854775808}, 'refused': 1e300, 'lost': "
              "{'a': {'windows': 9223372036854775807}, 'b': {'windows': 9223372036854775807}, 'c': {'windows': 3}}}}");
    assert_true(top.post.running);
    assert_int_equal(top.post.lost_windows, 3);
    assert_int_equal(top.post.pending_windows, 0);
    draw(120, 24);
    holds("connecting for");
    take_post("{'boot_ms': -9223372036854775808, 'link': {'state': 'connected'}}");
    assert_false(top.post.running);
}

static void answers_of_another_kind_are_refused(void **state)
{
    (void)state;
    run_a_while();
    assert_int_equal(take_live("{'run': 'another', 'power_w': {}}"), -ESTALE);
    assert_int_equal(take_live("{'run': '00000000000000aa'}"), -EBADMSG);
    assert_int_equal(take_live("[]"), -EBADMSG);
    assert_int_equal(take_meta("{'run': 'r'}"), -EBADMSG);
    assert_string_equal(top.run, "00000000000000aa");
    assert_int_equal(take_live("{'run': '00000000000000aa', 'seq': 'x', 'power_w': {'total': 'x', 'ram': 1e300}, "
                               "'energy_j': 3, 'gauges': [], 'task': 4, 'cause': {'ram': 5}}"),
                     0);
    assert_false(top.total.power_known || top.rows[4].power_known || top.total.energy_known);
}

static void strangers_cannot_talk_to_the_terminal(void **state)
{
    (void)state;
    run_a_while();
    strcpy(top.board, "a\033[2Jb\x9b\xc2\x9b"
                      "c\xc3\xa4\xff");
    draw(80, 24);
    holds("a?[2Jb??c\xc3\xa4?  bench-1");
    lacks("\033");
}

// Sparklines --------------------------------------------------------------------------------------
static struct jp_top_series *series(uint64_t from, const int32_t *mw, int count)
{
    for (int i = 0; i < JP_TOP_HISTORY; i++)
        top.total.series.mw[i] = JP_TOP_UNKNOWN;
    for (int i = 0; i < count; i++)
        top.total.series.mw[(from + (uint64_t)i) % JP_TOP_HISTORY] = mw[i];
    return &top.total.series;
}

static void has_levels(const struct jp_top_series *of, uint64_t seq, int per, const char *wanted)
{
    int width = (int)strlen(wanted);
    int8_t levels[JP_TOP_SPARK_MAX];
    char text[JP_TOP_SPARK_MAX + 1] = "";

    jp_top_spark(of, seq, per, width, levels);
    for (int i = 0; i < width; i++)
        text[i] = (char)(levels[i] < 0 ? ' ' : '0' + levels[i]);
    assert_string_equal(text, wanted);
}

static void sparkline_runs_from_lowest_to_highest(void **state)
{
    static const int32_t rise[] = {1000, 2000, 3000, 4000, 5000, 6000, 7000};
    static const int32_t steady[] = {10000, 10001, 9999, 10000}, load[] = {10000, 10000, 12000, 10000};
    static const int32_t holes[] = {1000, JP_TOP_UNKNOWN, 8000}, pushes_back[] = {-8000, -1000, -8000, 0};
    static const int32_t zero[] = {0, 0, 0};

    (void)state;
    has_levels(series(0, rise, 7), 6, 1, "0123456");
    has_levels(series(0, rise, 7), 6, 1, "  0123456");
    has_levels(series(4, rise, 7), 10, 1, "0123456");
    has_levels(series(0, steady, 4), 3, 1, "0000");
    has_levels(series(0, load, 4), 3, 1, "0050");
    has_levels(series(0, holes, 3), 2, 1, "0 6");
    has_levels(series(0, pushes_back, 4), 3, 1, "0506");
    has_levels(series(0, zero, 3), 2, 1, "000");
    has_levels(series(0, zero, 0), 2, 1, "   ");
    has_levels(series(UINT64_MAX - 6, rise, 7), UINT64_MAX, 1, "0123456");
}

static void column_of_a_sparkline_keeps_its_windows(void **state)
{
    static const int32_t mw[] = {1000, 3000, 5000, 7000, 9000, 9000, 1000};

    (void)state;
    has_levels(series(0, mw, 6), 5, 2, "036");
    has_levels(series(0, mw, 7), 6, 2, "1460"); // the newest is of one window, the others are as before
    has_levels(series(0, mw, 7), 6, 100, "0");
}

static void windows_that_were_not_seen_are_unknown(void **state)
{
    (void)state;
    run_a_while();
    window(8050, 3, 1);
    has_levels(&top.total.series, 8050, 1, "6    0");
    assert_int_equal(top.total.series.count, 121);
    window(8050, 30, 1); // the same window twice is one
    assert_int_equal(top.total.series.count, 121);
    window(8050 + 2 * JP_TOP_HISTORY, 3, 1);
    for (int i = 0; i < JP_TOP_HISTORY; i++)
        assert_true(top.total.series.mw[i] == JP_TOP_UNKNOWN || i == (8050 + 2 * JP_TOP_HISTORY) % JP_TOP_HISTORY);
}

// Words ------------------------------------------------------------------------------------------
static void numbers_are_as_long_as_they_are_read(void **state)
{
    static const struct {
        void (*word)(int64_t value, char *out);
        int64_t value;
        const char *text;
    } cases[] = {
        {jp_word_watts, 0, "0.000"},
        {jp_word_watts, 7652, "7.652"},
        {jp_word_watts, -12345, "-12.345"},
        {jp_word_watts, 99999, "99.999"},
        {jp_word_watts, 100000, "100.00"},
        {jp_word_watts, 1234567, "1234.6"},
        {jp_word_watts, 1000000000, "1000000"},
        {jp_word_joules, 999, "0.999 J"},
        {jp_word_joules, 61216000, "61.216 kJ"},
        {jp_word_joules, -1500000, "-1.500 kJ"},
        {jp_word_joules, INT64_C(9000000000000000), "9.000 TJ"},
        {jp_word_grams, 373, "0.373 mg"},
        {jp_word_grams, 2206000, "2.206 g"},
        {jp_word_grams, INT64_C(5000000000), "5.000 kg"},
        {jp_word_bytes, 0, "0 B"},
        {jp_word_bytes, 5781, "5.8 kB"},
        {jp_word_bytes, 67108864, "67.1 MB"},
        {jp_word_time, -5, "0:00:00"},
        {jp_word_time, 8047000, "2:14:07"},
        {jp_word_time, 183600000, "2 d 3:00:00"},
    };
    char text[JP_WORD_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cases[i].word(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
    jp_word_gauge(1300500, "MHz", text);
    assert_string_equal(text, "1300 MHz");
    jp_word_gauge(-1250, "C", text);
    assert_string_equal(text, "-1.2 C");
    jp_word_gauge(1000, "", text);
    assert_string_equal(text, "1");
    jp_word_gauge(2300000, "rpm", text);
    assert_string_equal(text, "2300 rpm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_as_they_were_looked_at),
        cmocka_unit_test(plain_text_has_no_margin_and_tells_causes),
        cmocka_unit_test(colour_is_left_out_where_it_is_not_wanted),
        cmocka_unit_test(no_page_leaves_its_paper),
        cmocka_unit_test(what_is_wrong_stays_where_rows_are_few),
        cmocka_unit_test(unknown_is_never_zero),
        cmocka_unit_test(agent_that_went_away_leaves_no_power),
        cmocka_unit_test(board_without_a_total_says_so),
        cmocka_unit_test(alarms_are_told_and_quiet_ones_named),
        cmocka_unit_test(registers_go_on_with_the_run_that_they_hold),
        cmocka_unit_test(what_keeps_meter_from_writing_is_told),
        cmocka_unit_test(the_power_mode_follows_the_run),
        cmocka_unit_test(post_is_not_believed_when_old),
        cmocka_unit_test(wild_numbers_of_post_are_none),
        cmocka_unit_test(answers_of_another_kind_are_refused),
        cmocka_unit_test(strangers_cannot_talk_to_the_terminal),
        cmocka_unit_test(sparkline_runs_from_lowest_to_highest),
        cmocka_unit_test(column_of_a_sparkline_keeps_its_windows),
        cmocka_unit_test(windows_that_were_not_seen_are_unknown),
        cmocka_unit_test(numbers_are_as_long_as_they_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
