# SPDX-License-Identifier: Apache-2.0
"""The configuration as its users meet it: --check, its answers to mistakes, and what it never shows."""
import json
import os
import re
import subprocess
import unittest

from program import Scratch, run

MQTT = json.loads(run("version", "--json").stdout)["features"]["mqtt"]
WITHOUT_MQTT = "this program was built without MQTT"

# the text, the line, and what the answer names
MISTAKES = (
    ("mqtt = {\n  hots = 1;\n};", 2, "unknown key mqtt.hots"),
    ("nonsense = 1;", 1, "unknown key nonsense"),
    ("\n\nsampling = { interval_ms = \"fast\"; };", 3, "sampling.interval_ms is text"),
    ("sampling = { interval_ms = 1; };", 1, "out of range"),
    ("mqtt = { url = \"http://x\"; };", 1, "mqtt.url"),
    ("mqtt = { live_s = 0; };", 1, "mqtt.live_s"),
    ("mqtt = { cert_file = \"/dev/null\"; };", 1, "mqtt.key_file"),
    ("mqtt = { url = \"mqtt://x\"; ca_file = \"/etc/passwd\"; };", 1, "mqtts://" if MQTT else "built without MQTT"),
    ("mqtt = { username = \"u\"; password_file = \"/nowhere\"; };", 1, "/nowhere"),
    ("location = {\n mix = { coal = 0.4; };\n};", 2, "add up to 1"),
    ("log = {\n level = ;\n};", 2, "syntax error"),
)


class Check(Scratch):
    """--check says all there is to say and starts nothing."""

    def test_mistakes_are_one_line_with_file_and_line_and_status_78(self):
        for text, line, what in MISTAKES:
            path = self.write("wrong.conf", text)
            for verb in ("agent", "meter", "post"):
                for flags in ((), ("--check",)):
                    result = run(verb, *flags, "-c", path)
                    self.assertEqual(result.returncode, 78, (text, result))
                    self.assertEqual(result.stdout, "")
                    self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
                    self.assertTrue(result.stderr.startswith(f"{path}:{line}: "), result.stderr)
                    self.assertIn(what, result.stderr)
                    self.assertIn("allowed:", result.stderr)

    def test_a_file_that_is_not_there_is_78(self):
        for verb in ("agent", "meter", "post", "probe"):
            result = run(verb, "-c", self.dir + "/none.conf")
            self.assertEqual(result.returncode, 78, result)
            self.assertIn("none.conf", result.stderr)

    @unittest.skipIf(os.path.exists("/etc/joulepost/joulepost.conf"), "this machine has a configuration")
    def test_the_default_file_may_be_missing(self):
        result = run("meter", "--check")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("interval_ms = 200;", result.stdout)

    @unittest.skipUnless(MQTT, WITHOUT_MQTT)
    def test_what_it_prints_is_a_configuration_with_the_same_effect(self):
        path = self.config('user = "root"; location = { country = "FRA"; mix = { solar = 1; }; latitude = 1.25; longitude = -2; };\n'
                           'mqtt = { url = "wss://broker:8443/mqtt"; version = "3.1.1"; };\n'
                           'calibration = ( { channel = "VDD_IN"; scale = 1.02; } );\n')
        first = run("agent", "--check", "-c", path)
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        second = run("agent", "--check", "-c", self.write("printed.conf", first.stdout))
        self.assertEqual((second.returncode, second.stderr), (0, ""))
        self.assertEqual(first.stdout, second.stdout)

    @unittest.skipUnless(MQTT, WITHOUT_MQTT)
    def test_the_plan_names_channels_factor_loss_window_and_target(self):
        path = self.config('location = { country = "FRA"; }; mqtt = { url = "mqtt://broker"; };'
                           'sampling = { block_windows = 60; };')
        plan = run("agent", "--check", "-c", path).stdout
        for line in (r"# device: test", r"# measures: \d+ channels?", r"# total: .+", r"# emissions: 56\.039 g/kWh .*2023",
                     r"# a power cut may take the last 70 s", r"# publishes to mqtt://broker below joulepost/1/test"):
            self.assertTrue(re.search("^" + line, plan, re.MULTILINE), (line, plan))

    def test_check_starts_and_makes_nothing(self):
        for verb in ("agent", "meter", "post"):
            self.assertEqual(run(verb, "--check", "-c", self.config()).returncode, 0)
        self.assertEqual(os.listdir(self.dir), ["joulepost.conf"])

    def test_an_unknown_country_leaves_the_emissions_unknown(self):
        plan = run("meter", "--check", "-c", self.config('location = { country = "XXX"; };')).stdout
        self.assertIn("# emissions: unknown", plan)

    @unittest.skipUnless(MQTT, WITHOUT_MQTT)
    def test_secrets_are_never_printed(self):
        secret = self.write("pw", "hunter2\n", 0o600)
        text = f'user = "root"; mqtt = {{ url = "mqtt://b"; username = "u"; password_file = "{secret}"; }};'
        for verb in ("agent", "meter", "post"):
            result = run(verb, "--check", "-c", self.config(text))
            self.assertEqual(result.returncode, 0, result)
            self.assertNotIn("hunter2", result.stdout + result.stderr)
            self.assertIn(secret, result.stdout)

    def test_a_secret_open_to_everybody_is_refused(self):
        secret = self.write("pw", "hunter2\n", 0o644)
        path = self.write("c.conf", f'mqtt = {{ username = "u";\n password_file = "{secret}"; }};')
        for verb in ("agent", "meter", "post"):
            result = run(verb, "--check", "-c", path)
            self.assertEqual(result.returncode, 78)
            self.assertTrue(result.stderr.startswith(f"{path}:2: mqtt.password_file"), result.stderr)
            self.assertIn("open to everybody", result.stderr)

    @unittest.skipIf(os.geteuid() == 0, "root can read everything")
    def test_a_secret_that_cannot_be_read_is_posts_mistake_and_not_meters(self):
        secret = self.write("pw", "hunter2\n", 0)
        path = self.write("c.conf", f'mqtt = {{ username = "u";\n password_file = "{secret}"; }};')
        self.assertEqual(run("meter", "--check", "-c", path).returncode, 0)
        self.assertEqual(run("post", "--check", "-c", path).returncode, 78)

    @unittest.skipUnless(os.geteuid() == 0, "only root becomes another user")
    def test_a_secret_that_the_user_cannot_read_fails_the_check_too(self):
        secret = self.write("pw", "hunter2\n", 0o600)
        path = self.write("c.conf", f'user = "nobody"; mqtt = {{ username = "u";\n password_file = "{secret}"; }};')
        result = run("agent", "--check", "-c", path)
        self.assertEqual((result.returncode, result.stdout), (78, ""))
        self.assertTrue(result.stderr.startswith(f"{path}:2: mqtt.password_file"), result.stderr)

    @unittest.skipUnless(MQTT, WITHOUT_MQTT)
    def test_files_of_tls_are_what_they_should_be(self):
        for name in ("a", "b"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-subj", "/CN=x", "-keyout", f"{self.dir}/{name}.key", "-out", f"{self.dir}/{name}.pem"],
                           check=True, capture_output=True)
        self.write("junk", "no certificate\n", 0o600)
        cases = (("a.pem", "a.pem", "a.key", None, None), ("junk", "a.pem", "a.key", 2, "mqtt.ca_file"),
                 ("a.pem", "a.key", "a.key", 3, "mqtt.cert_file"), ("a.pem", "a.pem", "junk", 4, "mqtt.key_file"),
                 ("a.pem", "a.pem", "b.key", 4, "does not belong to mqtt.cert_file"))
        for ca_file, cert, key, line, what in cases:
            path = self.write("c.conf", 'user = "root"; mqtt = { url = "mqtts://b";\n'
                              f'ca_file = "{self.dir}/{ca_file}";\ncert_file = "{self.dir}/{cert}";\n'
                              f'key_file = "{self.dir}/{key}"; }};')
            for verb in ("agent", "post"):
                result = run(verb, "--check", "-c", path)
                self.assertEqual(result.returncode, 78 if what else 0, result)
                if what:
                    self.assertTrue(result.stderr.startswith(f"{path}:{line}: "), result.stderr)
                    self.assertIn(what, result.stderr)

    def test_an_empty_password_is_posts_mistake_and_not_meters(self):
        secret = self.write("pw", "", 0o600)
        path = self.write("c.conf", f'mqtt = {{ username = "u";\n password_file = "{secret}"; }};')
        self.assertEqual(run("meter", "--check", "-c", path).returncode, 0) # it opens none of them
        result = run("post", "--check", "-c", path)
        self.assertEqual(result.returncode, 78)
        self.assertTrue(result.stderr.startswith(f"{path}:2: mqtt.password_file"), result.stderr)

    def test_an_unknown_board_is_told_with_its_line_and_the_known_ones(self):
        path = self.write("c.conf", '\nboard = {\n name = "nosuch"; };')
        for args in (("probe",), ("meter", "--check")):
            result = run(*args, "-c", path)
            self.assertEqual(result.returncode, 78)
            self.assertIn(f'{path}:3: board.name: no profile "nosuch"', result.stderr)
            self.assertIn("jetson-agx-orin", result.stderr)

    def test_includes_keep_their_own_lines(self):
        inner = self.write("inner.conf", "\nmqtt = { keepalive_s = 0; };\n")
        outer = self.write("outer.conf", '@include "inner.conf"\n')
        result = run("post", "--check", "-c", outer)
        self.assertEqual(result.returncode, 78)
        self.assertTrue(result.stderr.startswith(f"{inner}:2: mqtt.keepalive_s"), result.stderr)


if __name__ == "__main__":
    unittest.main()
