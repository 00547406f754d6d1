// SPDX-License-Identifier: Apache-2.0
// The configuration file: defaults, every kind of mistake with its file and line, secrets, what it prints.
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char error[1024];
static struct jp_config config;

static const char *in_dir(const char *name)
{
    static char paths[4][128];
    static int turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

static const char *write_file(const char *name, const char *text, mode_t mode)
{
    const char *path = in_dir(name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static int load(const char *text)
{
    error[0] = '\0';
    return jp_config_load(write_file("a.conf", text, 0644), &config, error, sizeof error);
}

// The text is refused, the error begins with FILE:`line`: and holds `what` and what is allowed.
static void refused(const char *text, int line, const char *what)
{
    char place[160];

    if (load(text) != -EINVAL)
        fail_msg("not refused: %s", text);
    snprintf(place, sizeof place, "%s/a.conf:%d: ", dir, line);
    if (strncmp(error, place, strlen(place)) != 0 || !strstr(error, what) || !strstr(error, "allowed"))
        fail_msg("%s\ngave: %s\nwanted: %s ... %s ... allowed", text, error, place, what);
}

static void accepted(const char *text)
{
    if (load(text))
        fail_msg("%s\ngave: %s", text, error);
}

static void empty_file_gives_the_defaults(void **state)
{
    (void)state;
    accepted("");
    assert_string_equal(config.board_dir, "/etc/joulepost/boards.d");
    assert_string_equal(config.user, "joulepost");
    assert_int_equal(config.sampling.interval_ms, 200);
    assert_int_equal(config.sampling.window_ms, 1000);
    assert_int_equal(config.sampling.block_windows, 30);
    assert_true(config.location.intensity_g_per_kwh < 0 && config.location.pue == 1 && config.location.wue == 0);
    assert_true(isnan(config.location.latitude) && isnan(config.location.longitude));
    assert_string_equal(config.paths_hot, "/run/joulepost");
    assert_string_equal(config.paths_spool, "/var/lib/joulepost");
    assert_int_equal(config.hot_max_bytes, 1048576);
    assert_int_equal(config.spool.max_bytes, 67108864);
    assert_false(config.spool.keep_all);
    assert_int_equal(config.spool.checkpoint_s, 3600);
    assert_string_equal(config.mqtt.url, "");
    assert_int_equal(config.mqtt.version, 5);
    assert_string_equal(config.mqtt.root, "joulepost/1");
    assert_int_equal(config.mqtt.keepalive_s, 60);
    assert_int_equal(config.mqtt.live_s, 10);
    assert_int_equal(config.mqtt.status_s, 300);
    assert_int_equal(config.mqtt.ack_timeout_s, 10);
    assert_int_equal(config.mqtt.retry_max_s, 300);
    assert_int_equal(config.mqtt.backlog_blocks_per_s, 0);
    assert_int_equal(config.mqtt.format, JP_RECORDS_CBOR);
    assert_int_equal(config.mqtt.release, JP_RELEASE_BROKER);
    assert_int_equal(config.log_level, 2);
    assert_true(jp_config_loss_window_s(&config) == 40);
}

static void every_key_is_read(void **state)
{
    (void)state;
    accepted("device = { name = \"box-1\"; };\n"
             "board = { name = \"jetson-agx-orin\"; dir = \"/b\"; };\n"
             "drivers = (\"rapl_powercap\", \"replay\"); user = \"me\";\n"
             "sampling = { interval_ms = 100; window_ms = 500; block_windows = 60; hw_average = true;\n"
             "  columns = (\"mv\", \"peak_mw\"); };\n"
             "location = { country = \"usa\"; region = \"california\"; zone = \"US-CAL\"; pue = 1.2; wue = 2;\n"
             "  latitude = 1.5; longitude = -2; };\n"
             "calibration = ( { channel = \"VDD_IN\"; scale = 1.01; offset_mw = -12.5; } );\n"
             "energy = { adopt_retained = true; };\n"
             "paths = { hot = \"/h\"; spool = \"/s\"; }; hot = { max_bytes = 2000000; };\n"
             "spool = { max_bytes = 5000000000L; keep = \"all\"; keep_days = 7; checkpoint_s = 60; };\n"
             "mqtt = { url = \"mqtt://h:1884\"; version = \"3.1.1\"; client_id = \"c\"; keepalive_s = 30; username = "
             "\"u\";\n"
             "  root = \"a/b\"; format = \"json\"; live_s = 1; status_s = 60; release = \"collector\";\n"
             "  ack_timeout_s = 5; retry_max_s = 20; backlog_blocks_per_s = 3; commands = (\"task\"); };\n"
             "boamps = { measures = \"parts\"; task = { taskStage = \"inference\"; algorithms = ( { layersNumber = 3; "
             "} ); }; };\n"
             "prometheus = { file = \"/p.prom\"; };\n"
             "gpio = ( { chip = \"gpiochip0\"; line = 4; use = \"marker\"; task = \"t\"; active_low = true; } );\n"
             "log = { level = \"debug\"; };\n");
    assert_string_equal(config.device_name, "box-1");
    assert_int_equal(config.driver_count, 2);
    assert_string_equal(config.drivers[1], "replay");
    assert_true(config.sampling.hw_average);
    assert_int_equal(config.sampling.columns, JP_COLUMN_MV | JP_COLUMN_PEAK);
    assert_true(config.location.longitude == -2);
    assert_int_equal(config.calibration_count, 1);
    assert_int_equal(config.calibrations[0].offset_uw, -12500);
    assert_true(config.adopt_retained);
    assert_true(config.spool.max_bytes == 5000000000 && config.spool.keep_all && config.spool.keep_days == 7);
    assert_int_equal(config.mqtt.version, 4);
    assert_int_equal(config.mqtt.format, JP_RECORDS_JSON);
    assert_int_equal(config.mqtt.release, JP_RELEASE_COLLECTOR);
    assert_int_equal(config.mqtt.command_count, 1);
    assert_string_equal(config.prometheus_file, "/p.prom");
    assert_string_equal(config.gpio[0].use, "marker");
    assert_true(config.gpio[0].active_low);
    assert_int_equal(config.log_level, 3);
}

static void unknown_keys_are_named_with_what_is_known(void **state)
{
    (void)state;
    refused("\nmqt = {};\n", 2, "unknown key mqt, allowed: device, board, drivers");
    refused("mqtt = {\n  host = \"x\";\n};\n", 2, "unknown key mqtt.host, allowed in mqtt: url, version");
    refused("gpio = ( { chip = \"c\"; line = 1; use = \"led\"; pin = 3; } );", 1, "unknown key pin in gpio");
    refused("boamps = { header = { publisher = { nme = \"x\"; }; }; };", 1,
            "boamps.header.publisher.nme, allowed: name");
    refused("mqtt = 5;", 1, "mqtt is not a group");
}

static void wrong_types_say_the_right_one(void **state)
{
    (void)state;
    refused("sampling = {\n\n  interval_ms = \"fast\"; };", 3,
            "sampling.interval_ms is text, allowed: an integer from 5");
    refused("sampling = { interval_ms = 200.5; };", 1, "a number with a fraction");
    refused("sampling = { hw_average = 1; };", 1, "sampling.hw_average is an integer, allowed: true, false");
    refused("sampling = { columns = \"mv\"; };", 1, "\"mv\", \"ma\", \"peak_mw\"");
    refused("location = { pue = true; };", 1, "location.pue is a truth value");
    refused("mqtt = { url = 5; };", 1, "mqtt.url is an integer");
    refused("drivers = \"replay\";", 1, "a list");
    refused("drivers = (1);", 1, "drivers is an integer");
    refused("gpio = { chip = \"c\"; };", 1, "gpio is not a list");
    refused("calibration = ( 5 );", 1, "an entry of calibration is not a group");
    refused("boamps = { task = { taskStage = 5; }; };", 1, "boamps.task.taskStage has the wrong type");
}

static void values_out_of_range_say_the_range(void **state)
{
    (void)state;
    refused("sampling = { interval_ms = 0; };", 1, "an integer from 5 to 60000");
    refused("sampling = { window_ms = 99; };", 1, "an integer from 100");
    refused("sampling = { block_windows = 301; };", 1, "1 to 300");
    refused("mqtt = { live_s = 0; };", 1, "mqtt.live_s = 0");
    refused("mqtt = { ack_timeout_s = -1; };", 1, "mqtt.ack_timeout_s = -1");
    refused("location = { pue = 0.9; };", 1, "a number from 1");
    refused("location = { intensity_g_per_kwh = -5; };", 1, "a number from 0");
    refused("location = { latitude = 91.0; longitude = 0; };", 1, "-90 to 90");
    refused("hot = { max_bytes = 99999999999L; };", 1, "hot.max_bytes = 99999999999");
    refused("gpio = ( { chip = \"c\"; line = -1; use = \"led\"; } );", 1, "line = -1");
    refused("calibration = ( { channel = \"a\"; scale = 0; } );", 1, "scale = 0");
}

static void texts_of_the_wrong_form_say_the_form(void **state)
{
    (void)state;
    refused("mqtt = { version = 4; };", 1, "allowed: 5, \"3.1.1\"");
    refused("mqtt = { format = \"xml\"; };", 1, "\"cbor\", \"json\"");
    refused("mqtt = { release = \"\"; };", 1, "\"broker\", \"collector\"");
    refused("mqtt = { root = \"a/#\"; };", 1, "mqtt.root");
    refused("mqtt = { root = \"\"; };", 1, "mqtt.root");
    refused("mqtt = { commands = (\"reboot\"); };", 1, "\"task\"");
    refused("spool = { keep = \"most\"; };", 1, "\"unsent\", \"all\"");
    refused("log = { level = \"loud\"; };", 1, "\"error\", \"warning\", \"info\", \"debug\"");
    refused("device = { name = \"a/b\"; };", 1, "letters, digits and _ . -");
    refused("location = { country = \"FR\"; };", 1, "three letters");
    refused("paths = { hot = \"here\"; };", 1, "an absolute path");
    refused("paths = { spool = \"\"; };", 1, "an absolute path");
    refused("user = \"\";", 1, "user");
    refused("mqtt = { client_id = \"a\\x01\"; };", 1, "control characters");
    refused("device = { name = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"; };", 1,
            "too long, allowed: 64");
    refused("gpio = ( { chip = \"c\"; line = 1; use = \"fan\"; } );", 1, "\"marker\", \"alert\", \"led\"");
    refused("gpio = ( { chip = \"c\"; use = \"led\"; } );", 1, "line is missing");
    refused("boamps = { measures = \"both\"; };", 1, "\"total\", \"parts\"");
}

static void urls_are_checked(void **state)
{
    static const char *const good[] = {
        "mqtt://h",    "mqtt://h/",         "mqtts://h.example:8883", "ws://h:80/mqtt",
        "wss://h/a/b", "mqtt://[::1]:1883", "mqtt://127.0.0.1:65535", "ws://[fe80::1]/x"};
    static const char *const bad[] = {"h",          "tcp://h",        "mqtt://",       "mqtt://:1883",
                                      "mqtt://h:0", "mqtt://h:65536", "mqtt://h:",     "mqtt://h:1883x",
                                      "mqtt://h/p", "mqtt://u:p@h",   "mqtt://h h",    "mqtt://[::1",
                                      "MQTT://h",   "mqtt://[]:1",    "ws://h:80mqtt", "mqtt://h:18 83"};
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, "mqtt = { url = \"%s\"; };", good[i]);
        accepted(text);
        assert_string_equal(config.mqtt.url, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "mqtt = { url = \"%s\"; };", bad[i]);
        refused(text, 1, "allowed: mqtt://HOST[:PORT], mqtts://");
    }
}

static void impossible_combinations_name_the_missing_half(void **state)
{
    char text[512];

    (void)state;
    write_file("pem", "x\n", 0600);
    refused("sampling = {\n interval_ms = 2000; };", 2, "at most sampling.window_ms");
    refused("location = { region = \"california\"; };", 1, "location.country");
    refused("location = {\n latitude = 1.0; };", 2, "half of a position");
    refused("paths = { hot = \"/x\"; spool = \"/x\"; };", 1, "two folders");
    snprintf(text, sizeof text, "mqtt = { url = \"mqtts://h\";\n cert_file = \"%s\"; };", in_dir("pem"));
    refused(text, 2, "both mqtt.cert_file and mqtt.key_file");
    snprintf(text, sizeof text, "mqtt = { url = \"mqtts://h\";\n key_file = \"%s\"; };", in_dir("pem"));
    refused(text, 2, "both mqtt.cert_file and mqtt.key_file");
    snprintf(text, sizeof text, "mqtt = { url = \"ws://h\";\n\n ca_file = \"%s\"; };", in_dir("pem"));
    refused(text, 3, "mqtts:// or wss://");
    snprintf(text, sizeof text, "mqtt = { password_file = \"%s\"; };", in_dir("pem"));
    refused(text, 1, "mqtt.username");
    refused("calibration = ( { channel = \"a\"; }, { channel = \"a\"; } );", 1, "one entry a channel");
    refused("gpio = ( { chip = \"c\"; line = 1; use = \"marker\"; } );", 1, "task = \"NAME\"");
    snprintf(text, sizeof text, "paths = { hot = \"/%0100d\"; };", 1);
    refused(text, 1, "too long for the sockets");
}

static void a_mix_is_whole_and_made_of_known_sources(void **state)
{
    struct jp_factor factor;

    (void)state;
    accepted("location = { mix = { solar = 0.5; wind = 0.5; }; };");
    jp_config_factor(&config, &factor);
    assert_true(factor.known && factor.g_per_kwh == 37);
    assert_string_equal(factor.source, "mix");
    accepted("location = { mix = ( { source = \"solar\"; share = 0.5; }, { source = \"x\"; share = 0.5; g_per_kwh = 2; "
             "} ); };");
    jp_config_factor(&config, &factor);
    assert_true(factor.known && factor.g_per_kwh == 25);
    refused("location = {\n mix = { solar = 0.5; wind = 0.4; }; };", 2, "add up to 1");
    refused("location = { mix = { magic = 1; }; };", 1, "coal, petroleum");
    refused("location = { mix = { solar = \"all\"; }; };", 1, "share");
}

static void factor_follows_the_order_and_is_never_guessed(void **state)
{
    struct jp_factor factor;

    (void)state;
    accepted("");
    jp_config_factor(&config, &factor);
    assert_false(factor.known);
    accepted("location = { country = \"XXX\"; };");
    jp_config_factor(&config, &factor);
    assert_false(factor.known);
    accepted("location = { country = \"FRA\"; };");
    jp_config_factor(&config, &factor);
    assert_true(factor.known && factor.g_per_kwh == 56.039);
    assert_string_equal(factor.source, "owid FRA");
    assert_string_equal(factor.valid_from, "2023");
    accepted("location = { country = \"USA\"; region = \"California\"; };");
    jp_config_factor(&config, &factor);
    assert_string_equal(factor.source, "usa2016 california");
    accepted("location = { country = \"FRA\"; intensity_g_per_kwh = 0; mix = { solar = 1; }; };");
    jp_config_factor(&config, &factor);
    assert_true(factor.known && factor.g_per_kwh == 0);
    assert_string_equal(factor.source, "configured");
}

static void files_that_are_no_configuration_are_refused(void **state)
{
    (void)state;
    assert_int_equal(jp_config_load(in_dir("none.conf"), &config, error, sizeof error), -ENOENT);
    assert_non_null(strstr(error, "none.conf"));
    assert_int_equal(jp_config_load(dir, &config, error, sizeof error), -EINVAL);
    assert_non_null(strstr(error, "folder"));
    assert_int_equal(jp_config_load("/dev/null", &config, error, sizeof error), 0);
    refused("sampling = {\n interval_ms = ;\n};", 2, "syntax error");
    refused("log = {};\nlog = {};", 2, "duplicate setting name");
}

static void an_error_in_an_included_file_names_that_file(void **state)
{
    (void)state;
    write_file("b.conf", "\n\nmqtt = { live_s = 0; };\n", 0644);
    assert_int_equal(load("@include \"b.conf\"\n"), -EINVAL);
    assert_non_null(strstr(error, "b.conf:3: mqtt.live_s = 0"));
    write_file("b.conf", "mqtt = { live_s = 7; };\n", 0644);
    accepted("@include \"b.conf\"\n");
    assert_int_equal(config.mqtt.live_s, 7);
    assert_int_equal(load("@include \"missing.conf\"\n"), -EINVAL);
    mkdir(in_dir("folder"), 0755);
    assert_int_equal(load("log = {};\n@include \"folder\"\n"), -EINVAL); // the parser alone would end the program
    assert_non_null(strstr(error, "folder"));
    assert_int_equal(load("@include \"a.conf\"\n"), -EINVAL); // itself
}

static void secrets_are_private_and_readable(void **state)
{
    char text[512], password[64];

    (void)state;
    write_file("pw", "s3cret \r\nmore\n", 0640);
    snprintf(text, sizeof text, "mqtt = { username = \"u\";\n password_file = \"%s\"; };", in_dir("pw"));
    accepted(text);
    assert_int_equal(jp_config_secrets(&config, error, sizeof error), 0);
    assert_int_equal(jp_config_password(&config, password, sizeof password), 0);
    assert_string_equal(password, "s3cret ");
    assert_int_equal(jp_config_password(&config, password, 7), -EMSGSIZE);
    chmod(in_dir("pw"), 0644);
    refused(text, 2, "is open to everybody");
    chmod(in_dir("pw"), 0642);
    refused(text, 2, "is open to everybody");
    write_file("pw", "\n", 0600);
    accepted(text);
    assert_int_equal(jp_config_secrets(&config, error, sizeof error), -EINVAL);
    assert_non_null(strstr(error, "a.conf:2: mqtt.password_file"));
    if (geteuid() != 0) {
        chmod(in_dir("pw"), 0);
        accepted(text);
        assert_int_equal(jp_config_secrets(&config, error, sizeof error), -EINVAL);
    }
    unlink(in_dir("pw"));
    refused(text, 2, "is not there");
    mkdir(in_dir("pw"), 0700);
    refused(text, 2, "is not a file");
    rmdir(in_dir("pw"));
}

static void password_comes_from_a_systemd_credential(void **state)
{
    char password[64];

    (void)state;
    write_file("mqtt.password", "from systemd", 0600);
    accepted("mqtt = { username = \"u\"; };");
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(jp_config_password(&config, password, sizeof password), -ENOENT);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    assert_int_equal(jp_config_password(&config, password, sizeof password), 0);
    assert_string_equal(password, "from systemd");
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void print_to(const char *name)
{
    FILE *out = fopen(in_dir(name), "w");

    assert_non_null(out);
    jp_config_print(&config, out);
    assert_int_equal(fclose(out), 0);
}

static void what_it_prints_reads_back_the_same(void **state)
{
    static const char *const texts[] = {
        "",
        "mqtt = { url = \"ws://h/a\"; version = \"3.1.1\"; client_id = \"a\\\"b\\\\c\"; };\n"
        "location = { pue = 1.1; latitude = 0.1; longitude = 1e-7;\n"
        "  mix = ( { source = \"solar\"; share = 0.9; }, { source = \"x\"; share = 0.1; g_per_kwh = 3.3; } ); };\n"
        "calibration = ( { channel = \"a\"; offset_mw = 0.001; }, { channel = \"b\"; scale = 1.3; } );\n"
        "sampling = { columns = (\"ma\", \"peak_mw\"); }; drivers = (\"a\", \"b\"); spool = { keep = \"all\"; };\n"
        "gpio = ( { chip = \"c\"; line = 3; use = \"led\"; } ); hot = { max_bytes = 70000; };",
    };
    static struct jp_config before;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        accepted(texts[i]);
        before = config;
        print_to("printed.conf");
        if (jp_config_load(in_dir("printed.conf"), &config, error, sizeof error))
            fail_msg("%s", error);
        memcpy(config.path, before.path, sizeof config.path);
        assert_memory_equal(&config, &before, sizeof config);
    }
}

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/jp_config_XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"a.conf", "b.conf", "pem", "pw", "mqtt.password", "printed.conf"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(in_dir(names[i]));
    rmdir(in_dir("folder"));
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_file_gives_the_defaults),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(unknown_keys_are_named_with_what_is_known),
        cmocka_unit_test(wrong_types_say_the_right_one),
        cmocka_unit_test(values_out_of_range_say_the_range),
        cmocka_unit_test(texts_of_the_wrong_form_say_the_form),
        cmocka_unit_test(urls_are_checked),
        cmocka_unit_test(impossible_combinations_name_the_missing_half),
        cmocka_unit_test(a_mix_is_whole_and_made_of_known_sources),
        cmocka_unit_test(factor_follows_the_order_and_is_never_guessed),
        cmocka_unit_test(files_that_are_no_configuration_are_refused),
        cmocka_unit_test(an_error_in_an_included_file_names_that_file),
        cmocka_unit_test(secrets_are_private_and_readable),
        cmocka_unit_test(password_comes_from_a_systemd_credential),
        cmocka_unit_test(what_it_prints_reads_back_the_same),
    };

    return cmocka_run_group_tests_name("config", tests, make_dir, remove_dir);
}
