// SPDX-License-Identifier: Apache-2.0
// The trace format: what is written comes back, rows with times, mistakes by line, a trace as the root, and no text
// that breaks the reader.
#define _GNU_SOURCE
#include "driver_rig.h"
#include "replay.h"
#include "trace_files.h"
#include "trace_words.h"
#include "trace_write.h"

#include <errno.h>

#define MS 1000000LL
#define HEAD "joulepost-trace 2\nperiod_ms 100\n"

// A trace as the root, not a tree.
static void make_trace(const char *text, size_t size)
{
    FILE *file;
    int fd;

    snprintf(root, sizeof root, "/tmp/jp-trace-XXXXXX");
    fd = mkstemp(root);
    assert_true(fd >= 0);
    file = fdopen(fd, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void trace(const char *text)
{
    drop_tree(NULL);
    make_trace(text, strlen(text));
}

static int load(struct jp_trace *into)
{
    return jp_trace_load(&site, JP_REPLAY_PATH, into);
}

static const struct jp_channel written[] = {
    {.name = "VDD IN\t",
     .chip = "ina3221",
     .bus_node = "i2c@c240000",
     .address = 0x40,
     .index = 2,
     .kind = JP_POWER,
     .scope = JP_SCOPE_MODULE,
     .max_uw = 2683699200,
     .resolution_uw = 95000,
     .shunt_uohm = 5000},
    {.name = "-",
     .address = -1,
     .index = 1,
     .kind = JP_ENERGY,
     .scope = JP_SCOPE_PACKAGE,
     .chip = "rapl",
     .roles = JP_ROLE_PACKAGE | JP_ROLE_CPU,
     .range_uj = 262143328850,
     .part_of = "psys"},
    {.name = "",
     .address = 0x41,
     .index = 0,
     .kind = JP_GAUGE,
     .scope = JP_SCOPE_RAIL,
     .chip = "ina3221",
     .unit = "\xc2\xb0"
             "C",
     .event = "over_current",
     .part_of = "VDD IN\t"},
};

static const struct jp_reading readings[][3] = {
    {{.state = JP_GOOD, .value = 19000 * 160, .mv = 19000, .ma = 160},
     {.state = JP_GOOD, .value = 81234567, .mv = INT32_MIN, .ma = INT32_MIN},
     {.state = JP_MISSING, .error = EAGAIN, .mv = INT32_MIN, .ma = INT32_MIN}},
    {{.state = JP_GOOD, .value = -5000, .mv = INT32_MIN, .ma = INT32_MIN},
     {.state = JP_MISSING, .error = 4000, .mv = INT32_MIN, .ma = INT32_MIN},
     {.state = JP_SKIPPED, .mv = INT32_MIN, .ma = INT32_MIN}},
    {{.state = JP_GOOD, .value = 77, .mv = 5000, .ma = -20},
     {.state = JP_GOOD, .value = 0, .mv = INT32_MIN, .ma = INT32_MIN},
     {.state = JP_GOOD, .value = -40000, .mv = INT32_MIN, .ma = INT32_MIN}},
};

static void assert_same(const struct jp_channel *a, const struct jp_channel *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->chip, b->chip);
    assert_string_equal(a->bus_node, b->bus_node);
    assert_string_equal(a->part_of, b->part_of);
    assert_string_equal(a->unit, b->unit);
    assert_string_equal(a->event, b->event);
    assert_int_equal(a->address, b->address);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->scope, b->scope);
    assert_int_equal(a->roles, b->roles);
    assert_int_equal(a->range_uj, b->range_uj);
    assert_int_equal(a->max_uw, b->max_uw);
    assert_int_equal(a->resolution_uw, b->resolution_uw);
    assert_int_equal(a->shunt_uohm, b->shunt_uohm);
}

static void what_is_written_comes_back(void **state)
{
    struct jp_trace back;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    fprintf(out, HEAD "source a\n");
    for (int i = 0; i < 3; i++)
        jp_trace_put_channel(out, &written[i]);
    fprintf(out, "rows\n");
    for (int row = 0; row < 3; row++) {
        fprintf(out, "%d %d", row * 100000 + 7, 300);
        for (int i = 0; i < 3; i++) {
            putc(' ', out);
            jp_trace_put_cell(out, written[i].kind, &readings[row][i]);
        }
        putc('\n', out);
    }
    fclose(out);
    trace(text);
    free(text);
    assert_int_equal(load(&back), 0);
    assert_int_equal(back.count, 3);
    for (int i = 0; i < 3; i++)
        assert_same(&back.channels[i], &written[i]);
    for (int row = 0; row < 3; row++)
        for (int i = 0; i < 3; i++) {
            const struct jp_reading *in = &readings[row][i];
            const struct jp_trace_cell *cell = &back.cells[row * 3 + i];

            if (in->state == JP_SKIPPED)
                in = &readings[row - 1][i];
            assert_int_equal(cell->error, in->error);
            assert_int_equal(cell->value, in->value);
            assert_int_equal(cell->mv, in->mv);
            assert_int_equal(cell->ma, in->ma);
            assert_int_equal(cell->held, readings[row][i].state == JP_SKIPPED);
        }
    jp_trace_free(&back);
}

static void a_value_that_no_trace_holds_is_out_of_range(void **state)
{
    static const struct {
        enum jp_kind kind;
        int64_t value;
    } wild[] = {{JP_POWER, 2000000000000}, {JP_ENERGY, -1}, {JP_GAUGE, INT64_MIN}, {JP_GAUGE, INT64_MAX}};

    (void)state;
    for (size_t i = 0; i < sizeof wild / sizeof wild[0]; i++) {
        struct jp_reading reading = {.state = JP_GOOD, .value = wild[i].value, .mv = INT32_MIN, .ma = INT32_MIN};
        char text[32] = "";
        FILE *out = fmemopen(text, sizeof text, "w");

        jp_trace_put_cell(out, wild[i].kind, &reading);
        fclose(out);
        assert_string_equal(text, "ERANGE");
    }
}

static void every_error_has_a_word(void **state)
{
    char word[JP_TRACE_ERROR_MAX];

    (void)state;
    for (int error = 1; error < 4096; error++) {
        jp_trace_error_word(error, word);
        assert_int_equal(jp_trace_error(word), error);
    }
    assert_int_equal(jp_trace_error("-"), ENODATA);
    assert_int_equal(jp_trace_error("E0"), 0);
    assert_int_equal(jp_trace_error("E4096"), 0);
    assert_int_equal(jp_trace_error("E0x10"), 0);
    assert_int_equal(jp_trace_error("EWHAT"), 0);
    assert_int_equal(jp_trace_error(""), 0);
}

static int64_t value_at(struct rig *rig, int64_t t_ns)
{
    struct jp_pass pass = {.readings = rig->readings, .t_ns = t_ns};

    memset(rig->readings, 0, sizeof rig->readings);
    rig->driver->read(rig->state, &pass);
    return rig->readings[0].state == JP_GOOD ? rig->readings[0].value : -rig->readings[0].error;
}

static void a_stall_is_replayed_at_its_time(void **state)
{
    struct rig rig;
    const int64_t t0 = 77 * MS;

    (void)state;
    trace(HEAD "channel a power\nrows\n5000 - 1\n# a stall of three periods\n105000 - 2\n 505100 - 3\n");
    assert_int_equal(open_nth(&rig, &jp_driver_replay, 0), 1);
    assert_int_equal(value_at(&rig, t0), 1);
    assert_int_equal(value_at(&rig, t0 + 100 * MS - 1), 1);
    assert_int_equal(value_at(&rig, t0 + 100 * MS), 2);
    assert_int_equal(value_at(&rig, t0 + 500 * MS), 2);
    assert_int_equal(value_at(&rig, t0 + 500 * MS + 100000), 3);
    assert_int_equal(value_at(&rig, t0 + 600 * MS + 99999), 3); // the last holds for a period
    assert_int_equal(value_at(&rig, t0 + 600 * MS + 100000), 1);
    close_rig(&rig);
}

// A counter that was read each second, rows each 100 ms: the loop goes on at the last power.
static void a_counter_not_read_in_each_row_goes_on(void **state)
{
    struct rig rig;

    (void)state;
    trace(HEAD "channel a energy range=99999\nrows\n0 - .\n100000 - 1000\n200000 - .\n300000 - 3000\n400000 - .\n");
    assert_int_equal(open_nth(&rig, &jp_driver_replay, 0), 1);
    assert_int_equal(value_at(&rig, 0), -ENODATA);
    assert_int_equal(value_at(&rig, 250 * MS), 1000);
    assert_int_equal(value_at(&rig, 400 * MS), 3000);
    assert_int_equal(value_at(&rig, 600 * MS), 1000 + 2000 + 3000); // 200 ms to the end and 100 to the first read
    close_rig(&rig);
}

static void a_mistake_is_told_with_its_line_and_what_is_expected(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *what;
    } cases[] = {
        {"joulepost-trace 3\n", 1, "begins with"},
        {HEAD "file proc/x y\n", 3, "path from /"},
        {HEAD "file /x \\q\n", 3, "escapes"},
        {HEAD "file /x \\x4\n", 3, "escapes"},
        {HEAD "colour red\n", 3, "note, period_ms"},
        {HEAD "channel a\\0 power\n", 3, "name"},
        {HEAD "channel a power event=a_name_of_more_than_15\n", 3, "key"},
        {HEAD "channel a power roles\n", 3, "key"},
        {HEAD "channel a\n", 3, "name"},
        {HEAD "channel a power\n", 4, "\"rows\" and the rows"},
        {HEAD "channel a power\nrows\n", 5, "no rows"},
        {HEAD "channel a power\nrows\n- - 1\n", 5, "time"},
        {HEAD "channel a power\nrows\n-1 - 1\n", 5, "time"},
        {HEAD "channel a power\nrows\n10000000000001 - 1\n", 5, "time"},
        {HEAD "channel a power\nrows\n5 - 1\n5 - 1\n", 6, "rise"},
        {HEAD "channel a power\nrows\n5 - 1\n4 - 1\n", 6, "rise"},
        {HEAD "channel a power\nrows\n5\n", 5, "cost"},
        {HEAD "channel a power\nrows\n5 1 1\n", 5, "cost"},
        {HEAD "source x\nsource y\nchannel a power\nrows\n5 1 1\n", 7, "cost"},
        {HEAD "source x\nchannel a power\nrows\n5 -3 1\n", 6, "cost"},
        {HEAD "channel a power\nrows\n5 -\n", 5, "one cell"},
        {HEAD "channel a power\nrows\n5 - 1 2\n", 5, "one cell"},
        {HEAD "channel a power\nrows\n5 - x\n", 5, "a cell is"},
        {HEAD "channel a power\nrows\n5 - 1/2/x\n", 5, "a cell is"},
        {HEAD "channel a power\nrows\n5 - 2000000/1000000\n", 5, "a cell is"}, // 2 MW
        {HEAD "channel a gauge\nrows\n5 - 1/2\n", 5, "a cell is"},
    };
    struct jp_trace into;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        trace(cases[i].text);
        assert_int_equal(load(&into), -EINVAL);
        assert_int_equal(into.line, cases[i].line);
        if (!strstr(into.what, cases[i].what))
            fail_msg("%s\n%s", cases[i].text, into.what);
    }
    drop_tree(NULL);
    make_trace(HEAD "\0\n", sizeof HEAD + 1);
    assert_int_equal(load(&into), -EINVAL);
    assert_int_equal(into.line, 3);
}

static char names[256];

static int collect(void *context, const char *name)
{
    const char *stop_at = context;

    strcat(names, name);
    strcat(names, " ");
    return stop_at && strcmp(stop_at, name) == 0 ? 7 : 0;
}

static void a_trace_is_a_machine(void **state)
{
    char out[64];

    (void)state;
    trace(HEAD "file /proc/device-tree/compatible nvidia,a\\0nvidia,b\\0\nfile /etc/empty\nfile /etc/a \\x41\\\\\\n\r\n"
               "file /bad \\q\nfile /number 42\\n\nchannel a power\nrows\n0 - 1\nfile /late x\n");
    assert_true(jp_trace_begins(root));
    assert_int_equal(jp_site_read(&site, "/proc/device-tree/compatible", out, sizeof out), 18);
    assert_memory_equal(out, "nvidia,a\0nvidia,b\0", 18);
    assert_int_equal(jp_site_read(&site, "/etc/a", out, sizeof out), 2);
    assert_string_equal(out, "A\\");
    assert_int_equal(jp_site_read(&site, "/etc/empty", out, sizeof out), 0);
    assert_int_equal(jp_site_open(&site, "/etc"), -ENOENT);
    assert_int_equal(jp_site_open(&site, "/etc/a/b"), -ENOENT);
    assert_int_equal(jp_site_open(&site, "/late"), -ENOENT);
    assert_int_equal(jp_site_open(&site, "/bad"), -EINVAL);
    assert_int_equal(jp_site_open(&site, "/../etc/passwd"), -EINVAL);
    assert_int_equal(jp_site_link(&site, "/etc/a", out, sizeof out), -ENOENT);
    assert_true(jp_site_read(&site, "/replay.trace", out, sizeof out) == -EMSGSIZE);
}

static void a_trace_has_folders(void **state)
{
    char stop_at[] = "2-0050";

    (void)state;
    names[0] = '\0';
    trace(HEAD "file /bus/10-0050/eeprom x\nfile /bus/2-0050/eeprom x\nfile /bus/2-0050/name x\nfile /bus/uevent\r\n"
               "file /bus/.hidden x\nfile /buses/a x\nfile /bus x\nchannel a power\nrows\nfile /bus/late x\n");
    assert_int_equal(jp_site_list(&site, "/bus", collect, NULL), 0);
    assert_string_equal(names, "2-0050 10-0050 uevent ");
    names[0] = '\0';
    assert_int_equal(jp_site_list(&site, "/bus", collect, stop_at), 7);
    assert_string_equal(names, "2-0050 ");
    assert_int_equal(jp_site_list(&site, "/bus/uevent", collect, NULL), -ENOENT);
    assert_int_equal(jp_site_list(&site, "/b", collect, NULL), -ENOENT);
}

static void what_is_no_trace_is_no_root(void **state)
{
    (void)state;
    trace("joulepost-tracks 1\n");
    assert_false(jp_trace_begins(root));
    trace("");
    assert_false(jp_trace_begins(root));
    assert_false(jp_trace_begins("/tmp"));
    assert_false(jp_trace_begins("/nowhere"));
    assert_int_equal(jp_site_open(&site, "/etc/machine-id"), -ENOENT);
}

// A file in the way of a folder of a tree is no trace.
static void a_tree_keeps_its_errors(void **state)
{
    char out[8];

    (void)state;
    drop_tree(NULL);
    tree("empty");
    put("/proc", "joulepost-trace 2\nfile /stat 1\n");
    assert_int_equal(jp_site_open(&site, "/proc/stat"), -ENOTDIR);
    assert_int_equal(jp_site_link(&site, "/proc/stat", out, sizeof out), -ENOTDIR);
    assert_int_equal(jp_site_list(&site, "/proc/stat", collect, NULL), -ENOTDIR);
}

// As a person may write them: nothing behind the word, and no blank either.
static void a_line_may_end_behind_its_word(void **state)
{
    struct jp_trace into;
    char text[8];

    (void)state;
    trace(HEAD "note\nfile /etc/empty\nsource\nchannel a power\nrows\n0 - 1\n");
    assert_int_equal(load(&into), 0);
    assert_string_equal(into.note, "");
    jp_trace_free(&into);
    assert_int_equal(jp_site_read(&site, "/etc/empty", text, sizeof text), 0);
    trace("joulepost-trace 2\nperiod_ms\n");
    assert_int_equal(load(&into), -EINVAL);
    trace(HEAD "channel\n");
    assert_int_equal(load(&into), -EINVAL);
}

// Times of version 1 are counted: they stay within those of version 2.
static void no_trace_is_longer_than_its_clock(void **state)
{
    char text[8192] = "joulepost-trace 1\nperiod_ms 3600000\nchannel a power\nrows\n";
    size_t head = strlen(text);
    struct jp_trace into;

    (void)state;
    memset(text + head, '1', 2 * 2778);
    for (size_t row = 0; row < 2778; row++)
        text[head + 2 * row + 1] = '\n';
    trace(text);
    assert_int_equal(load(&into), 0);
    assert_int_equal(into.rows, 2778);
    jp_trace_free(&into);
    memcpy(text + head + 2 * 2778, "1\n", 3);
    trace(text);
    assert_int_equal(load(&into), -EINVAL);
    assert_int_equal(into.line, 4 + 2779);
    assert_non_null(strstr(into.what, "115 days"));
}

static const char whole[] = HEAD
    "note made\nfile /proc/device-tree/compatible a\\0b\\x20\\0\nsource a\nchannel V\\x20IN power chip=ina3221 "
    "address=0x40 index=1 bus=i2c@c240000 shunt=2000\nsource b\nchannel package-0 energy chip=rapl roles=package,cpu "
    "scope=package range=999 max=5\nchannel t gauge unit=C event=throttle part_of=package-0\nrows\n"
    "0 1,2 19000/160 800 25000\n100000 -,2 1/2/3 900 .\n200000 - EIO 10 -\n300000 3,4 -7 E123 -40000\n";

// Cut anywhere, and with bytes changed, doubled and dropped: an error with its line, or a trace that can be read.
static void no_text_breaks_the_reader(void **state)
{
    const size_t size = sizeof whole - 1;
    uint64_t seed = 1;
    int good = 0;

    (void)state;
    for (int turn = 0; turn < 1500; turn++) {
        char text[2 * sizeof whole];
        struct jp_trace into;
        struct rig rig;
        size_t length = turn < (int)size ? (size_t)turn : size;
        FILE *file;

        memcpy(text, whole, length);
        for (int n = turn < (int)size ? 0 : 1 + turn % 4; n > 0; n--) {
            size_t at;

            seed = seed * 6364136223846793005u + 1442695040888963407u;
            at = (size_t)(seed >> 33) % length;
            if (seed >> 62 == 0) {
                memmove(text + at, text + at + 1, --length - at);
            } else if (seed >> 62 == 1) {
                memmove(text + at + 1, text + at, length++ - at);
            } else {
                text[at] = "0123456789-./\\ x\n=E\0~"[(seed >> 20) % 21];
            }
        }
        if (turn == 0) {
            trace("");
        } else {
            file = fopen(root, "w");
            fwrite(text, 1, length, file);
            fclose(file);
        }
        if (load(&into) < 0) {
            assert_true(into.line > 0 && into.what[0]);
            continue;
        }
        jp_trace_free(&into);
        good++;
        assert_true(open_nth(&rig, &jp_driver_replay, 0) > 0);
        for (int64_t t = 0; t < 5000 * MS; t += 77 * MS)
            value_at(&rig, t);
        value_at(&rig, INT64_MAX);
        close_rig(&rig);
    }
    assert_true(good > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_TREE(what_is_written_comes_back),
        cmocka_unit_test(a_value_that_no_trace_holds_is_out_of_range),
        cmocka_unit_test(every_error_has_a_word),
        ON_A_TREE(a_stall_is_replayed_at_its_time),
        ON_A_TREE(a_counter_not_read_in_each_row_goes_on),
        ON_A_TREE(a_mistake_is_told_with_its_line_and_what_is_expected),
        ON_A_TREE(a_trace_is_a_machine),
        ON_A_TREE(a_trace_has_folders),
        ON_A_TREE(what_is_no_trace_is_no_root),
        ON_A_TREE(a_tree_keeps_its_errors),
        ON_A_TREE(a_line_may_end_behind_its_word),
        ON_A_TREE(no_trace_is_longer_than_its_clock),
        ON_A_TREE(no_text_breaks_the_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
