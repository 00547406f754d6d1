// SPDX-License-Identifier: Apache-2.0
// The configuration file: defaults, and every kind of mistake with its file and line.
#define _GNU_SOURCE
#include "config_dir.h"

#include <math.h>

static void empty_file_gives_the_defaults(void **state)
{
    (void)state;
    assert_accepted("");
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
    if (!JOULEPOST_HAS_MQTT)
        skip();
    assert_accepted(
        "device = { name = \"box-1\"; };\n"
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
    assert_string_equal(config.gpio[0].line, "4");
    assert_true(config.gpio[0].active_low);
    assert_int_equal(config.log_level, 3);
}

static void unknown_keys_are_named_with_what_is_known(void **state)
{
    (void)state;
    assert_refused("\nmqt = {};\n", 2, "unknown key mqt, allowed: device, board, drivers");
    assert_refused("mqtt = {\n  host = \"x\";\n};\n", 2, "unknown key mqtt.host, allowed: url, version");
    assert_refused("gpio = ( { chip = \"c\"; line = 1; use = \"led\"; pin = 3; } );", 1, "unknown key pin in gpio");
    assert_refused("boamps = { header = { publisher = { nme = \"x\"; }; }; };", 1,
                   "boamps.header.publisher.nme, allowed: name");
    assert_refused("mqtt = 5;", 1, "mqtt is not a group");
}

static void wrong_types_say_the_right_one(void **state)
{
    (void)state;
    assert_refused("sampling = {\n\n  interval_ms = \"fast\"; };", 3,
                   "sampling.interval_ms is text, allowed: an integer from 5");
    assert_refused("sampling = { interval_ms = 200.5; };", 1, "a number with a fraction");
    assert_refused("sampling = { hw_average = 1; };", 1, "sampling.hw_average is an integer, allowed: true, false");
    assert_refused("sampling = { columns = \"mv\"; };", 1, "\"mv\", \"ma\", \"peak_mw\"");
    assert_refused("location = { pue = true; };", 1, "location.pue is a truth value");
    assert_refused("mqtt = { url = 5; };", 1, "mqtt.url is an integer");
    assert_refused("drivers = \"replay\";", 1, "a list");
    assert_refused("drivers = (1);", 1, "drivers is an integer");
    assert_refused("gpio = { chip = \"c\"; };", 1, "gpio is not a list");
    assert_refused("calibration = ( 5 );", 1, "an entry of calibration is not a group");
    assert_refused("boamps = { task = { taskStage = 5; }; };", 1, "boamps.task.taskStage has the wrong type");
}

static void values_out_of_range_say_the_range(void **state)
{
    (void)state;
    assert_refused("sampling = { interval_ms = 0; };", 1, "an integer from 5 to 60000");
    assert_refused("sampling = { window_ms = 99; };", 1, "an integer from 100");
    assert_refused("sampling = { block_windows = 301; };", 1, "1 to 300");
    assert_refused("mqtt = { live_s = 0; };", 1, "mqtt.live_s = 0");
    assert_refused("mqtt = { ack_timeout_s = -1; };", 1, "mqtt.ack_timeout_s = -1");
    assert_refused("location = { pue = 0.9; };", 1, "a number from 1");
    assert_refused("location = { intensity_g_per_kwh = -5; };", 1, "a number from 0");
    assert_refused("location = { latitude = 91.0; longitude = 0; };", 1, "-90 to 90");
    assert_refused("hot = { max_bytes = 99999999999L; };", 1, "hot.max_bytes = 99999999999");
    assert_refused("gpio = ( { chip = \"c\"; line = -1; use = \"led\"; } );", 1, "line = -1");
    assert_refused("calibration = ( { channel = \"a\"; scale = 0; } );", 1, "scale = 0");
}

static void texts_of_the_wrong_form_say_the_form(void **state)
{
    (void)state;
    assert_refused("mqtt = { version = 4; };", 1, "allowed: 5, \"3.1.1\"");
    assert_refused("mqtt = { format = \"xml\"; };", 1, "\"cbor\", \"json\"");
    assert_refused("mqtt = { release = \"\"; };", 1, "\"broker\", \"collector\"");
    assert_refused("mqtt = { root = \"a/#\"; };", 1, "mqtt.root");
    assert_refused("mqtt = { root = \"\"; };", 1, "mqtt.root");
    assert_refused("mqtt = { commands = (\"reboot\"); };", 1, "\"task\"");
    assert_refused("spool = { keep = \"most\"; };", 1, "\"unsent\", \"all\"");
    assert_refused("log = { level = \"loud\"; };", 1, "\"error\", \"warning\", \"info\", \"debug\"");
    assert_refused("device = { name = \"a/b\"; };", 1, "letters, digits and _ . -");
    assert_refused("location = { country = \"FR\"; };", 1, "three letters");
    assert_refused("paths = { hot = \"here\"; };", 1, "an absolute path");
    assert_refused("paths = { spool = \"\"; };", 1, "an absolute path");
    assert_refused("user = \"\";", 1, "user");
    assert_refused("mqtt = { client_id = \"a\\x01\"; };", 1, "control characters");
    assert_refused("device = { name = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"; };",
                   1, "too long, allowed: 64");
    assert_refused("gpio = ( { chip = \"c\"; line = 1; use = \"fan\"; } );", 1, "\"marker\", \"alert\", \"led\"");
    assert_refused("gpio = ( { chip = \"c\"; use = \"led\"; } );", 1, "line is missing");
    assert_refused("boamps = { measures = \"both\"; };", 1, "\"total\", \"parts\"");
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
    if (!JOULEPOST_HAS_MQTT)
        assert_refused("\nmqtt = { url = \"mqtt://h\"; };", 2, "built without MQTT");
    if (!JOULEPOST_HAS_MQTT)
        skip();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, "mqtt = { url = \"%s\"; };", good[i]);
        assert_accepted(text);
        assert_string_equal(config.mqtt.url, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "mqtt = { url = \"%s\"; };", bad[i]);
        assert_refused(text, 1, "allowed: mqtt://HOST[:PORT], mqtts://");
    }
}

static void a_password_in_an_url_is_never_said(void **state)
{
    static const char *const urls[] = {"mqtt://bob:s3cret@h", "bob:s3cret@h:1883", "mqtts://s3cret@x@h/"};
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        snprintf(text, sizeof text, "mqtt = {\n url = \"%s\"; };", urls[i]);
        assert_refused(text, 2, "mqtt.url = \"***@h");
        assert_non_null(strstr(error, "mqtt.password_file"));
        assert_null(strstr(error, "s3cret"));
    }
}

static void folders_are_two_however_they_are_written(void **state)
{
    static const char *const bad[] = {"hot = \"/a\"; spool = \"/a/\";",
                                      "hot = \"/a//b\"; spool = \"/a/./b\";",
                                      "hot = \"/a\"; spool = \"/a/b\";",
                                      "hot = \"/a/b\"; spool = \"/a\";",
                                      "hot = \"/\";",
                                      "spool = \"//./\";",
                                      "hot = \"/a/../b\";",
                                      "hot = \"/..\";",
                                      "hot = \"/dev/fd\"; spool = \"/proc/self/fd\";"};
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "\npaths = { %s };", bad[i]);
        assert_refused(text, 2, "paths.");
    }
    assert_accepted("paths = { hot = \"//h/./a..b/\"; spool = \"/h/a..bc\"; };");
    assert_string_equal(config.paths_hot, "/h/a..b");
}

static void auto_is_the_default_of_drivers_and_board(void **state)
{
    (void)state;
    assert_accepted("drivers = \"auto\"; board = { name = \"auto\"; };");
    assert_int_equal(config.driver_count, 0);
    assert_string_equal(config.board_name, "");
    assert_accepted("drivers = (\"auto\");");
    assert_int_equal(config.driver_count, 0);
    assert_refused("drivers = (\"auto\", \"replay\");", 1, "no driver auto");
}

static void impossible_combinations_name_the_missing_half(void **state)
{
    char text[512];

    (void)state;
    if (!JOULEPOST_HAS_MQTT)
        skip();
    write_file("pem", "x\n", 0600);
    assert_refused("sampling = {\n interval_ms = 2000; };", 2, "at most sampling.window_ms");
    assert_refused("location = { region = \"california\"; };", 1, "location.country");
    assert_refused("\ndrivers = (\"replay\", \"ina999\");", 2,
                   "no driver ina999 in this build, allowed: replay, ina3221_hwmon");
    assert_refused("location = {\n latitude = 1.0; };", 2, "half of a position");
    assert_refused("paths = { hot = \"/x\"; spool = \"/x\"; };", 1, "two folders");
    snprintf(text, sizeof text, "mqtt = { url = \"mqtts://h\";\n cert_file = \"%s\"; };", in_dir("pem"));
    assert_refused(text, 2, "both mqtt.cert_file and mqtt.key_file");
    snprintf(text, sizeof text, "mqtt = { url = \"mqtts://h\";\n key_file = \"%s\"; };", in_dir("pem"));
    assert_refused(text, 2, "both mqtt.cert_file and mqtt.key_file");
    snprintf(text, sizeof text, "mqtt = { url = \"ws://h\";\n\n ca_file = \"%s\"; };", in_dir("pem"));
    assert_refused(text, 3, "mqtts:// or wss://");
    snprintf(text, sizeof text, "mqtt = { password_file = \"%s\"; };", in_dir("pem"));
    assert_refused(text, 1, "mqtt.username");
    assert_refused("calibration = ( { channel = \"a\"; }, { channel = \"a\"; } );", 1, "one entry a channel");
    assert_refused("gpio = ( { chip = \"c\"; line = 1; use = \"marker\"; } );", 1, "task = \"NAME\"");
    assert_refused("gpio = ( { chip = \"c\"; line = 1; use = \"led\"; task = \"t\"; } );", 1, "allowed: no task");
    assert_refused(
        "gpio = ( { chip = \"c\"; line = \"1\"; use = \"led\"; }, { chip = \"c\"; line = 1; use = \"alert\"; } );", 1,
        "twice, allowed: one use a line");
    assert_refused("gpio = ( { chip = \"c\"; line = 1; use = \"marker\"; task = \"t\"; },\n"
                   "  { chip = \"c\"; line = \"X\"; use = \"marker\"; task = \"t\"; } );",
                   1, "one line a task");
    assert_refused("gpio = ( { chip = \"\"; line = 1; use = \"led\"; } );", 1, "a number, or a name without quotes");
    assert_refused("gpio = ( { chip = \"a\\\"b\"; line = 1; use = \"led\"; } );", 1, "without quotes");
    snprintf(text, sizeof text, "paths = { hot = \"/%0100d\"; };", 1);
    assert_refused(text, 1, "too long for the sockets");
}

static void a_mix_is_whole_and_made_of_known_sources(void **state)
{
    struct jp_factor factor;

    (void)state;
    assert_accepted("location = { mix = { solar = 0.5; wind = 0.5; }; };");
    jp_config_factor(&config, &factor);
    assert_true(factor.known && factor.g_per_kwh == 37);
    assert_string_equal(factor.source, "mix");
    assert_accepted(
        "location = { mix = ( { source = \"solar\"; share = 0.5; }, { source = \"x\"; share = 0.5; g_per_kwh = 2; "
        "} ); };");
    jp_config_factor(&config, &factor);
    assert_true(factor.known && factor.g_per_kwh == 25);
    assert_refused("location = {\n mix = { solar = 0.5; wind = 0.4; }; };", 2, "add up to 1");
    assert_refused("location = { mix = { magic = 1; }; };", 1, "coal, petroleum");
    assert_refused("location = { mix = { solar = \"all\"; }; };", 1, "share");
}

static void factor_follows_the_order_and_is_never_guessed(void **state)
{
    struct jp_factor factor;

    (void)state;
    assert_accepted("");
    jp_config_factor(&config, &factor);
    assert_false(factor.known);
    assert_accepted("location = { country = \"XXX\"; };");
    jp_config_factor(&config, &factor);
    assert_false(factor.known);
    assert_accepted("location = { country = \"FRA\"; };");
    jp_config_factor(&config, &factor);
    assert_true(factor.known && factor.g_per_kwh == 56.039);
    assert_string_equal(factor.source, "owid FRA");
    assert_string_equal(factor.valid_from, "2023");
    assert_accepted("location = { country = \"USA\"; region = \"California\"; };");
    jp_config_factor(&config, &factor);
    assert_string_equal(factor.source, "usa2016 california");
    assert_accepted("location = { country = \"FRA\"; intensity_g_per_kwh = 0; mix = { solar = 1; }; };");
    jp_config_factor(&config, &factor);
    assert_true(factor.known && factor.g_per_kwh == 0);
    assert_string_equal(factor.source, "configured");
}

static void keys_without_effect_are_named_only_when_set(void **state)
{
    const char *keys[JP_CONFIG_UNUSED_MAX];

    (void)state;
    assert_accepted("");
    assert_int_equal(jp_config_unused(&config, keys, JP_CONFIG_UNUSED_MAX), 0);
    assert_accepted("sampling = { hw_average = true; }; spool = { keep = \"all\"; }; location = { latitude = 48.5; "
                    "longitude = 2; };");
    assert_int_equal(jp_config_unused(&config, keys, JP_CONFIG_UNUSED_MAX), 1);
    assert_string_equal(keys[0], "location.latitude, .longitude");
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
        cmocka_unit_test(a_password_in_an_url_is_never_said),
        cmocka_unit_test(folders_are_two_however_they_are_written),
        cmocka_unit_test(auto_is_the_default_of_drivers_and_board),
        cmocka_unit_test(impossible_combinations_name_the_missing_half),
        cmocka_unit_test(a_mix_is_whole_and_made_of_known_sources),
        cmocka_unit_test(factor_follows_the_order_and_is_never_guessed),
        cmocka_unit_test(keys_without_effect_are_named_only_when_set),
    };

    return cmocka_run_group_tests_name("config", tests, make_dir, remove_dir);
}
