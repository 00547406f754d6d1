// SPDX-License-Identifier: Apache-2.0
// The configuration's files: includes, secrets, and the file it prints itself.
#define _GNU_SOURCE
#include "config_dir.h"

static void files_that_are_no_configuration_are_refused(void **state)
{
    (void)state;
    assert_int_equal(jp_config_load(in_dir("none.conf"), &config, error, sizeof error), -ENOENT);
    assert_non_null(strstr(error, "none.conf"));
    assert_int_equal(jp_config_load(dir, &config, error, sizeof error), -EINVAL);
    assert_non_null(strstr(error, "folder"));
    assert_int_equal(jp_config_load("/dev/null", &config, error, sizeof error), 0);
    assert_refused("sampling = {\n interval_ms = ;\n};", 2, "syntax error");
    assert_refused("log = {};\nlog = {};", 2, "duplicate setting name");
}

static void an_error_in_an_included_file_names_that_file(void **state)
{
    (void)state;
    write_file("b.conf", "\n\nmqtt = { live_s = 0; };\n", 0644);
    assert_int_equal(load("@include \"b.conf\"\n"), -EINVAL);
    assert_non_null(strstr(error, "b.conf:3: mqtt.live_s = 0"));
    write_file("b.conf", "mqtt = { live_s = 7; };\n", 0644);
    assert_accepted("@include \"b.conf\"\n");
    assert_int_equal(config.mqtt.live_s, 7);
    assert_int_equal(load("@include \"missing.conf\"\n"), -EINVAL);
    mkdir(in_dir("folder"), 0755);
    assert_int_equal(load("log = {};\n@include \"folder\"\n"), -EINVAL); // the parser alone would end the program
    assert_non_null(strstr(error, "folder"));
    assert_int_equal(load("@include \"a.conf\"\n"), -EINVAL); // itself
}

static void an_include_may_be_absolute_and_stand_in_a_group(void **state)
{
    char text[256];

    (void)state;
    write_file("b.conf", "keepalive_s = 7;\n\nlive_s = 9;", 0644);
    snprintf(text, sizeof text, "mqtt = {\n  @include \"%s\"\n root = 5; };", in_dir("b.conf"));
    assert_refused(text, 3, "mqtt.root is an integer");
    write_file("b.conf", "keepalive_s = 7;\n\nlive_s = 0;", 0644);
    assert_int_equal(load(text), -EINVAL);
    assert_non_null(strstr(error, "b.conf:3: mqtt.live_s = 0"));
    write_file("b.conf", "keepalive_s = 7;", 0644);
    snprintf(text, sizeof text, "mqtt = {\n@include \"%s\" live_s = 3; };\n", in_dir("b.conf"));
    assert_accepted(text);
    assert_int_equal(config.mqtt.keepalive_s, 7);
    assert_int_equal(config.mqtt.live_s, 3);
}

static void includes_of_nothing_are_refused_at_their_line(void **state)
{
    (void)state;
    assert_refused("\n@include \"\"\n", 2, "no include");
    assert_refused("@include b.conf\n", 1, "no include");
    assert_refused("@include \"b.conf\nlog = {};\n", 1, "no include");
    assert_refused("@include \"missing.conf\"\n", 1, "missing.conf");
    assert_refused("@include \"a.conf\"\n", 1, "10 levels");
    assert_accepted("# @include \"\"\n/*\n@include \"\"\n*/\nmqtt = { username = \"\\\"@include\"; };");
}

static void any_last_line_and_a_byte_order_mark_will_do(void **state)
{
    (void)state;
    assert_accepted("user = \"a\"; # the end");
    assert_accepted("user = \"a\"; // the end");
    assert_accepted("\xef\xbb\xbfuser = \"b\";\r\n");
    assert_string_equal(config.user, "b");
    write_file("b.conf", "\xef\xbb\xbfuser = \"c\"; #", 0644);
    assert_accepted("@include \"b.conf\"");
    assert_string_equal(config.user, "c");
    assert_refused("\nuser = \"a", 2, "does not end");
    assert_refused("\n\n/* a", 3, "does not end");
}

static void integers_are_taken_whole_or_refused(void **state)
{
    (void)state;
    assert_accepted("spool = { max_bytes = 5000000000; };");
    assert_true(config.spool.max_bytes == 5000000000);
    assert_accepted("spool = { max_bytes = 0x80000000; };");
    assert_true(config.spool.max_bytes == 0x80000000);
    assert_accepted("spool = { max_bytes = 5000000000L; }; sampling = { interval_ms = +300; };");
    assert_refused("sampling = {\n interval_ms = 4294967496; };", 2, "interval_ms = 4294967496 is out of range");
    assert_refused("sampling = { interval_ms = -4294967096; };", 1, "interval_ms = -4294967096 is out of range");
    assert_refused("\nspool = { max_bytes = 99999999999999999999; };", 2, "99999999999999999999 is too large");
    assert_refused("\nspool = { max_bytes = 0xfffffffffffffffff; };", 2, "is too large");
    assert_accepted("location = { pue = 1.5e0; wue = 2e-1; latitude = -1e+1; longitude = .5; };");
    assert_true(config.location.pue == 1.5 && config.location.wue == 0.2 && config.location.latitude == -10);
    assert_accepted("device = { name = \"99999999999999999999\"; };");
}

static void secrets_are_private_and_readable(void **state)
{
    char text[512], password[64];

    (void)state;
    write_file("pw", "s3cret \r\nmore\n", 0640);
    snprintf(text, sizeof text, "mqtt = { username = \"u\";\n password_file = \"%s\"; };", in_dir("pw"));
    assert_accepted(text);
    assert_int_equal(jp_config_secrets(&config, error, sizeof error), 0);
    assert_int_equal(jp_config_password(&config, password, sizeof password), 0);
    assert_string_equal(password, "s3cret ");
    assert_int_equal(jp_config_password(&config, password, 7), -EMSGSIZE);
    chmod(in_dir("pw"), 0644);
    assert_refused(text, 2, "is open to everybody");
    chmod(in_dir("pw"), 0642);
    assert_refused(text, 2, "is open to everybody");
    write_file("pw", "\n", 0600);
    assert_accepted(text);
    assert_int_equal(jp_config_secrets(&config, error, sizeof error), -EINVAL);
    assert_non_null(strstr(error, "a.conf:2: mqtt.password_file"));
    if (geteuid() != 0) {
        chmod(in_dir("pw"), 0);
        assert_accepted(text);
        assert_int_equal(jp_config_secrets(&config, error, sizeof error), -EINVAL);
    }
    unlink(in_dir("pw"));
    assert_refused(text, 2, "is not there");
    mkdir(in_dir("pw"), 0700);
    assert_refused(text, 2, "is not a file");
    rmdir(in_dir("pw"));
}

static void password_comes_from_a_systemd_credential(void **state)
{
    char password[64];

    (void)state;
    write_file("mqtt.password", "from systemd", 0600);
    assert_accepted("mqtt = { username = \"u\"; };");
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
        "mqtt = { version = \"3.1.1\"; client_id = \"a\\\"b\\\\c\"; };\n"
        "location = { pue = 1.1; latitude = 0.1; longitude = 1e-7;\n"
        "  mix = ( { source = \"solar\"; share = 0.9; }, { source = \"x\"; share = 0.1; g_per_kwh = 3.3; } ); };\n"
        "calibration = ( { channel = \"a\"; offset_mw = 0.001; }, { channel = \"b\"; scale = 1.3; } );\n"
        "sampling = { columns = (\"ma\", \"peak_mw\"); }; drivers = (\"estimate_cpu\", \"replay\"); spool = { keep = "
        "\"all\"; };\n"
        "gpio = ( { chip = \"c\"; line = 3; use = \"led\"; }, { chip = 2; line = \"LED 4\"; use = \"led\"; } ); hot = "
        "{ max_bytes = 70000; };",
    };
    static struct jp_config before;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_accepted(texts[i]);
        before = config;
        print_to("printed.conf");
        if (jp_config_load(in_dir("printed.conf"), &config, error, sizeof error))
            fail_msg("%s", error);
        memcpy(config.path, before.path, sizeof config.path);
        assert_memory_equal(&config, &before, sizeof config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_no_configuration_are_refused),
        cmocka_unit_test(an_error_in_an_included_file_names_that_file),
        cmocka_unit_test(an_include_may_be_absolute_and_stand_in_a_group),
        cmocka_unit_test(includes_of_nothing_are_refused_at_their_line),
        cmocka_unit_test(any_last_line_and_a_byte_order_mark_will_do),
        cmocka_unit_test(integers_are_taken_whole_or_refused),
        cmocka_unit_test(secrets_are_private_and_readable),
        cmocka_unit_test(password_comes_from_a_systemd_credential),
        cmocka_unit_test(what_it_prints_reads_back_the_same),
    };

    return cmocka_run_group_tests_name("config_files", tests, make_dir, remove_dir);
}
