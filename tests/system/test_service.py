# SPDX-License-Identifier: Apache-2.0
"""joulepost as a service: its units and files, what the halves tell the service manager, and all of it under one."""
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
import unittest

import box
import rig
import unitfile

PACKAGING = os.path.join(rig.TREE, "cross", "packaging")
UNITS = os.path.join(PACKAGING, "systemd")
METER, POST = os.path.join(UNITS, "joulepost-meter.service"), os.path.join(UNITS, "joulepost-post.service")
MQTT = json.loads(rig.run_once("version", "--json")[1])["features"]["mqtt"]
FAST = {"sampling.interval_ms": 50, "sampling.window_ms": 100, "sampling.block_windows": 5, "hot.max_bytes": 65536}
FILES = {"usr/local/bin/joulepost": 0o755, "etc/systemd/system/joulepost.target": 0o644,
         "etc/systemd/system/joulepost-meter.service": 0o644, "etc/systemd/system/joulepost-post.service": 0o644,
         "etc/tmpfiles.d/joulepost.conf": 0o644, "etc/sysusers.d/joulepost.conf": 0o644,
         "etc/udev/rules.d/60-joulepost.rules": 0o644, "usr/local/share/bash-completion/completions/joulepost": 0o644}
KEPT = "etc/joulepost/joulepost.conf"

# The version of systemd that brought each directive, by its NEWS and manual pages; what is not here is older than 237.
NEWER = {"PrivateMounts": 239, "ProtectHostname": 242, "RestrictSUIDSGID": 242, "ProtectKernelLogs": 244, "ProtectClock": 245,
         "ProtectProc": 247, "ProcSubset": 247, "LoadCredential": 247, "PrivateIPC": 248, "ExecPaths": 248,
         "RestartSteps": 254, "RestartMaxDelaySec": 254, "OOMPolicy": 243, "TimeoutAbortSec": 243}
# Groups of system calls that 237 knows. An unknown one would be passed over, and a list of nothing allows nothing.
GROUPS_OF_237 = set("@aio @basic-io @chown @clock @cpu-emulation @debug @default @file-system @io-event @ipc @keyring @memlock "
                    "@module @mount @network-io @obsolete @privileged @process @raw-io @reboot @resources @setuid @signal "
                    "@swap @sync @timer".split())


def installer(*arguments, environment=None):
    done = subprocess.run([os.path.join(rig.TREE, "dev"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60,
                          env={**os.environ, "JOULEPOST": os.path.abspath(rig.JOULEPOST), **(environment or {})})
    return done.returncode, done.stdout


def files_of(root):
    """{path below root: mode} of all files."""
    out = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            out[os.path.relpath(path, root)] = stat.S_IMODE(os.lstat(path).st_mode)
    return out


class Case(unittest.TestCase):
    def setUp(self):
        self.scratch = rig.Scratch()
        self.addCleanup(self.scratch.close)

    def agent(self, settings, **how):
        agent = rig.Agent({**FAST, **settings}, **how)
        self.addCleanup(agent.close)
        return agent


class Installed(Case):
    """./dev install and uninstall below a folder."""

    def setUp(self):
        super().setUp()
        self.root = self.scratch.path("root")

    def dev(self, verb, **environment):
        status, said = installer(verb, environment={"DESTDIR": self.root, **environment})
        self.assertEqual(status, 0, said)
        return said

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def test_files_come_once_and_go_and_what_people_made_stays(self):
        for _ in range(2):
            self.dev("install")
            self.assertEqual(files_of(self.root), {**FILES, KEPT: 0o644})
        os.makedirs(self.root + "/var/lib/joulepost")
        mine = {"var/lib/joulepost/00000001.jps": "x", KEPT: "# mine\n"}
        for path, text in mine.items():
            with open(os.path.join(self.root, path), "w", encoding="utf-8") as file:
                file.write(text)
        self.dev("install")
        for _ in range(2):
            said = self.dev("uninstall")
            self.assertIn(self.root + "/var/lib/joulepost", said)
            self.assertNotIn("rm -r", said)  # it would be those of this machine
            self.assertEqual({path: self.text(path) for path in files_of(self.root)}, mine)

    def test_a_package_has_its_files_below_usr(self):
        self.dev("install", PREFIX="/usr")
        self.assertEqual(set(files_of(self.root)), {KEPT} | {
            re.sub("^etc|^usr/local", lambda m: "usr" if m[0] != "etc" else "usr/lib", path) for path in FILES})
        self.assertIn("ExecStart=/usr/bin/joulepost meter\n", self.text("usr/lib/systemd/system/joulepost-meter.service"))
        self.dev("uninstall", PREFIX="/usr")
        self.assertEqual(set(files_of(self.root)), {KEPT})

    @unittest.skipUnless(os.geteuid() == 0, "becoming somebody else needs root")
    def test_without_root_it_says_so_and_changes_nothing(self):
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh",
                               os.path.join(PACKAGING, "install.sh"), "uninstall"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual((done.returncode, "needs root" in done.stdout), (1, True), done.stdout)

    def test_units_are_right_and_verify_prints_nothing(self):
        self.dev("install", PREFIX="/usr")
        os.makedirs(self.root + "/etc", exist_ok=True)
        for unit in ("joulepost-meter.service", "joulepost-post.service", "joulepost.target"):
            # What a unit of everybody's needs and an empty root lacks.
            for other in ("sysinit", "basic", "shutdown", "multi-user", "umount", "local-fs", "network", "paths", "timers",
                          "sockets", "slices"):
                path = os.path.join(self.root, "usr/lib/systemd/system", other + ".target")
                with open(path, "w", encoding="utf-8") as file:
                    file.write("[Unit]\nDescription=x\nDefaultDependencies=no\n")
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--root", self.root, unit],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""), unit)

    @unittest.skipUnless(os.geteuid() == 0, "making files for others needs root")
    def test_users_and_the_run_folder_are_made_as_written(self):
        self.dev("install", PREFIX="/usr")
        os.makedirs(self.root + "/etc", exist_ok=True)
        for tool, more in (("systemd-sysusers", []), ("systemd-tmpfiles", ["--create"])):
            done = subprocess.run([tool, *more, "--root", self.root, "joulepost.conf"], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
            self.assertEqual(done.returncode, 0, done.stdout)
        users = {line.split(":")[0]: line.split(":") for line in self.text("etc/passwd").split("\n") if line}
        groups = {line.split(":")[0]: line.split(":")[2] for line in self.text("etc/group").split("\n") if line}
        self.assertEqual(set(users), {"joulepost-meter", "joulepost-post"})
        for user in users.values():
            self.assertEqual(user[3], groups["joulepost"])
            self.assertIn("nologin", user[6])
        run = os.stat(self.root + "/run/joulepost")
        self.assertEqual((oct(run.st_mode & 0o7777), run.st_uid, run.st_gid), ("0o2770", 0, int(groups["joulepost"])))

    def test_the_configuration_that_comes_along_is_one(self):
        text = self.dev("install") and self.text(KEPT)
        whole = re.sub(r"^#(?=\S|    )", "", text, flags=re.M).replace(
            "/etc/joulepost/password", self.scratch.write("password", "x\n", 0o600))
        self.assertNotEqual(whole, text)
        for one in (text, whole):
            status, out, error = rig.run_once("meter", "--check", "-c", self.scratch.write("a.conf", one))
            self.assertEqual((status, error), (0, ""))
        self.assertIn("mqtts://broker.example:8883", out)

    def test_completion_knows_what_the_program_takes(self):
        self.dev("install")
        script = os.path.join(self.root, "usr/local/share/bash-completion/completions/joulepost")

        def complete(*words):
            program = (f'source {script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _joulepost; '
                       'printf "%s\\n" "${COMPREPLY[@]}"')
            done = subprocess.run(["bash", "-c", program, "-", rig.JOULEPOST, *words], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, check=True)
            self.assertEqual(done.stderr, "")
            return set(done.stdout.split())
        verbs = set(re.findall(r"^  ([a-z]+) ", rig.run_once("--help")[1], re.M))
        self.assertEqual(complete(""), verbs | {"--help"})
        self.assertGreater(len(verbs), 8)
        for verb in verbs:
            usage = rig.run_once(verb, "--help")[1]
            flags = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", usage))
            self.assertEqual(complete(verb, "-"), flags | {"--help"}, verb)
        self.assertEqual(complete("spool", ""), {"status", "verify", "dump"})
        self.assertEqual(complete("export", "--as", "j"), {"jsonl"})
        self.assertEqual(complete("nonsense", ""), set())


class Units(Case):
    def test_exposure_is_low(self):
        for unit, most in ((METER, 1.0), (POST, 1.3)):
            done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit], check=True,
                                  stdout=subprocess.PIPE, text=True)
            exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout).group(1))
            self.assertLessEqual(exposure, most, done.stdout)

    def test_an_old_systemd_passes_over_what_it_does_not_know_and_needs_none_of_it(self):
        with open(os.path.join(rig.TREE, "docs", "operating.md"), encoding="utf-8") as file:
            page = file.read()
        for path in (METER, POST):
            for section, key, _ in unitfile.read(path):
                if key in NEWER:
                    self.assertEqual(section, "Service")
                    self.assertRegex(key, "^(Private|Protect|Restrict)")
                    self.assertTrue(re.search(rf"(?m)^\|.*`{key}=`.*\| {NEWER[key]} \|", page), key)
            groups = {word for word in unitfile.values(path, "SystemCallFilter") if word.startswith("@")}
            self.assertLessEqual(groups, GROUPS_OF_237)

    def test_nothing_is_told_twice_or_forgotten(self):
        for path in (METER, POST, os.path.join(UNITS, "joulepost.target")):
            keys = [key for _, key, _ in unitfile.read(path)]
            self.assertEqual(sorted(set(key for key in keys if keys.count(key) > 1) - {"SystemCallFilter"}), [])
        self.assertEqual(unitfile.values(METER, "After"), ["joulepost-post.service"])


class Filtered(Case):
    """The halves under the system calls that their units let through; anything else would kill them."""

    def setUp(self):
        super().setUp()
        self.hot = "/dev/shm/" + os.path.basename(self.scratch.dir) + "-hot"
        os.mkdir(self.hot, 0o770)  # as tmpfiles.d would: the units may not set the group's bit
        self.addCleanup(shutil.rmtree, self.hot, ignore_errors=True)

    def half(self, unit, settings):
        wrapper = ["/usr/bin/python3", "-B", os.path.join(rig.HERE, "unitfile.py"), unit]
        verb = re.search("(meter|post).service", unit)[1]
        return self.agent({"paths.hot": self.hot, **settings}, verb=verb, wrapper=wrapper, scratch=self.scratch)

    def until(self, half, what):
        def look():
            self.assertIsNone(half.process.poll(), half.said())
            return what()
        rig.eventually(look, why=half.said)

    def test_both_do_all_their_work(self):
        certificates, spool, port = rig.Certificates(self.scratch), self.scratch.path("spool"), rig.free_port()
        settings = {"paths.spool": spool, "spool.checkpoint_s": 1}
        if MQTT:
            settings.update({"mqtt.url": f"mqtts://localhost:{port}", "mqtt.ca_file": certificates.ca, "mqtt.live_s": 1,
                             "mqtt.ack_timeout_s": 1, "mqtt.retry_max_s": 1})
        meter, post = self.half(METER, settings), self.half(POST, settings)
        self.until(post, lambda: os.path.isdir(spool) and any(name.endswith(".jps") for name in os.listdir(spool)))
        self.assertTrue(meter.ask("health")["ok"])
        if MQTT:
            broker = rig.Broker(tls=certificates.server, port=port)
            self.addCleanup(broker.close)
            subscriber = rig.Subscriber(port, tls={"ca_certs": certificates.ca})
            self.addCleanup(subscriber.close)
            subscriber.wait("records", 2)
        for half in (meter, post):
            self.assertIsNone(half.process.poll(), half.said())
            self.assertEqual(half.stop(), 0, half.said())

    @unittest.skipUnless(MQTT, "no MQTT")
    def test_names_are_looked_up(self):
        post = self.half(POST, {"mqtt.url": "mqtt://joulepost.invalid", "mqtt.retry_max_s": 1})
        self.until(post, lambda: "host not found" in post.said())
        self.assertEqual(post.stop(), 0, post.said())


class Notified(Case):
    """What the halves tell a service manager."""

    def setUp(self):
        super().setUp()
        self.listen(self.scratch.path("notify"))
        self.environment = {"NOTIFY_SOCKET": self.scratch.path("notify"), "WATCHDOG_USEC": "300000"}

    def listen(self, address):
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.manager.bind(address)

    def hear(self, patience=rig.PATIENCE_S):
        """The next message, None when none comes."""
        self.manager.settimeout(patience)
        try:
            return self.manager.recv(100).decode()
        except TimeoutError:
            return None

    def begin(self, verb, **how):
        agent = self.agent({}, verb=verb, environment=self.environment, **how)
        self.assertEqual(self.hear(), "READY=1", agent.said())
        return agent

    def test_ready_then_life_then_stopping(self):
        for verb in ("meter", "post"):
            half = self.begin(verb)
            for _ in range(4):
                self.assertEqual(self.hear(), "WATCHDOG=1", verb)
            self.assertEqual(half.stop(), 0)
            heard = list(iter(lambda: self.hear(0.1), None))
            self.assertIn("STOPPING=1", heard)
            self.assertNotIn("READY=1", heard)

    def test_an_abstract_socket_will_do(self):
        self.listen("\0" + self.scratch.dir)
        self.environment["NOTIFY_SOCKET"] = "@" + self.scratch.dir
        self.assertEqual(self.begin("meter").stop(), 0)

    def test_a_manager_that_went_away_is_no_reason_to_end(self):
        for verb in ("meter", "post"):
            half = self.begin(verb)
            self.manager.close()
            os.unlink(self.scratch.path("notify"))
            time.sleep(0.3)
            self.assertIsNone(half.process.poll(), half.said())
            self.assertEqual(half.stop(), 0, half.said())
            self.listen(self.scratch.path("notify"))

    def test_a_sensor_that_does_not_answer_ends_the_signs_of_life(self):
        trace = self.scratch.path("trace")
        board = rig.Board(self.scratch)
        board.text("/proc/stat", "cpu  1 0 0 1 0 0 0 0 0 0\ncpu0 1 0 0 1 0 0 0 0 0 0\n")
        half = self.begin("meter", root=board.root, wrapper=[
            "strace", "-f", "-o", trace, "-e", "trace=pread64", "-e", "signal=none", "-e",
            "inject=pread64:delay_enter=20s:when=30+"])
        self.assertEqual(self.hear(), "WATCHDOG=1")

        def stuck():
            with open(trace, encoding="utf-8", errors="replace") as file:
                return file.read().count("pread64(") >= 30
        rig.eventually(stuck, why=lambda: "no read was held up: " + half.said())
        while self.hear(1) is not None:
            pass  # what it said before
        self.assertIsNone(self.hear(1))
        self.assertIsNone(half.process.poll())
        self.kill_traced(half)

    def test_meter_need_not_wait_for_the_disk_of_post(self):
        half = self.begin("post", wrapper=["strace", "-f", "-o", "/dev/null", "-e", "trace=flock", "-e",  # the second: the spool's
                                           "inject=flock:delay_enter=300s:when=2+"])
        self.assertIsNone(self.hear(0.3))
        self.kill_traced(half)

    @staticmethod
    def kill_traced(half):
        for pid in rig.children_of(half.process.pid):
            os.kill(pid, signal.SIGKILL)


@unittest.skipUnless(os.geteuid() == 0, "other users need root")
class TwoUsers(Case):
    """meter and post as two users of one group, as their units run them."""

    METER_ID, POST_ID, GROUP_ID = 61001, 61002, 61000

    def half(self, verb, uid, root):
        wrapper = ["setpriv", f"--reuid={uid}", f"--regid={self.GROUP_ID}", "--clear-groups", "--no-new-privs",
                   "--bounding-set=-all", "--inh-caps=-all"]
        return self.agent({"paths.hot": self.hot, "paths.spool": self.spool, "sampling.columns": ["mv", "ma", "peak_mw"]},
                          verb=verb, wrapper=wrapper, scratch=self.scratch, root=root)

    def test_post_takes_away_what_meter_wrote_and_others_see_nothing(self):
        self.hot, self.spool = "/dev/shm/" + os.path.basename(self.scratch.dir), self.scratch.path("spool")
        for path, uid, mode in ((self.hot, 0, 0o2770), (self.spool, self.POST_ID, 0o750)):
            os.mkdir(path)
            os.chown(path, uid, self.GROUP_ID)
            os.chmod(path, mode)
        self.addCleanup(shutil.rmtree, self.hot, ignore_errors=True)
        demo = os.path.join(rig.TREE, "boards/demo/jetson-agx-orin")
        post = self.half("post", self.POST_ID, demo)
        meter = self.half("meter", self.METER_ID, demo)
        rig.eventually(lambda: os.path.exists(self.hot + "/00000001.jps"), why=meter.said)
        rig.eventually(lambda: not os.path.exists(self.hot + "/00000001.jps"), why=lambda: post.said() + meter.said())
        owners, modes = {}, {}
        for name in os.listdir(self.hot):
            found = os.lstat(os.path.join(self.hot, name))
            owners[name], modes[name] = found.st_uid, oct(found.st_mode & 0o7777)
            self.assertEqual(found.st_gid, self.GROUP_ID, name)
        self.assertEqual({modes[name] for name in ("control", "wake", "meter.lock", "post.lock")}, {"0o660"})
        self.assertEqual({mode for name, mode in modes.items() if name not in ("control", "wake", "meter.lock", "post.lock")},
                         {"0o640"})
        self.assertEqual((owners["control"], owners["wake"]), (self.METER_ID, self.POST_ID))
        self.assertEqual(set(files_of(self.spool).values()), {0o640})
        for half in (meter, post):
            self.assertEqual(half.stop(), 0, half.said())


WHY_NO_BOX = box.why_not()


@unittest.skipIf(WHY_NO_BOX, WHY_NO_BOX)
class UnderSystemd(Case):
    """The true units under the true service manager, in one box."""

    CONF = """
spool = { keep = "all"; };
sampling = { interval_ms = 50; window_ms = 100; block_windows = 5; };
hot = { max_bytes = 65536; };
"""

    def setUp(self):
        super().setUp()
        self.box = box.Box()
        self.addCleanup(self.box.close)
        with open(rig.JOULEPOST, "rb") as file:
            self.box.write("/program", file.read(), "755")

    def dev(self, verb):
        return self.box.run(f"JOULEPOST=/program /src/dev {verb}")

    def pid(self, half):
        return int(self.box.show(f"joulepost-{half}", "MainPID"))

    def runs(self):
        return [self.box.show(f"joulepost-{half}", "ActiveState") for half in ("meter", "post")] == ["active"] * 2

    def windows(self):
        dump = self.box.run("joulepost spool dump /var/lib/joulepost 2>/dev/null; joulepost spool dump /run/joulepost 2>/dev/null",
                            check=False)
        out = {}
        for line in dump.split("\n"):
            if line.startswith("{"):
                one = json.loads(line)
                if one["type"] == "window":
                    out.setdefault(one["run"], set()).add(one["seq"])
        return out

    def test_a_life(self):
        self.box.write("/etc/joulepost/joulepost.conf", self.CONF)
        self.first_install()
        self.what_the_halves_may()
        self.upgrade_loses_no_window()
        self.a_stuck_meter_is_ended_and_comes_back()
        self.a_mistake_is_not_tried_again()
        self.meter_stops_first_and_nothing_is_left_behind()
        self.uninstall_keeps_the_spool()

    def first_install(self):
        said = self.dev("install")
        self.assertIn("it runs", said)
        rig.eventually(self.runs, why=self.box.journal)
        self.assertEqual(self.box.run("systemctl is-enabled joulepost.target").strip(), "enabled")
        self.assertEqual(self.box.run("stat -c '%a %U %G' /run/joulepost /var/lib/joulepost").split("\n")[:2],
                         ["2770 root joulepost", "750 joulepost-post joulepost"])
        rig.eventually(lambda: self.windows(), why=self.box.journal)

    def what_the_halves_may(self):
        for half in ("meter", "post"):
            told = self.box.run(f"cat /proc/{self.pid(half)}/status")
            for what in ("CapEff:\t0{16}\n", "CapBnd:\t0{16}\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"):
                self.assertRegex(told, what)
            self.assertEqual(self.box.run(f"stat -c %U /proc/{self.pid(half)}").strip(), f"joulepost-{half}")
            # As its user, in its own view of the files: nothing can be written but where it works.
            inside = f"nsenter -t {self.pid(half)} -m setpriv --reuid=joulepost-{half} --regid=joulepost --clear-groups sh -c "
            self.assertIn("Permission denied", self.box.run(inside + "'ls /root /home' 2>&1", check=False))
            self.assertIn("Read-only", self.box.run(inside + "'touch /var/tmp/../lib/x' 2>&1", check=False))
            self.box.run(inside + "'touch /run/joulepost/x && rm /run/joulepost/x'")
        # Links of the network: none for meter but its own loopback.
        self.assertEqual(self.box.run(f"nsenter -t {self.pid('meter')} -n ip -o link 2>/dev/null | grep -vc ' lo:'", check=False).strip()
                         or "0", "0")

    def upgrade_loses_no_window(self):
        before = [self.pid(half) for half in ("meter", "post")]
        runs = set(self.windows())
        self.dev("install")
        rig.eventually(lambda: self.runs() and len(self.windows()) > len(runs), why=self.box.journal)
        self.assertFalse({self.pid(half) for half in ("meter", "post")} & set(before))
        windows = self.windows()
        for run, numbers in windows.items():
            self.assertEqual(numbers, set(range(max(numbers) + 1)), run)
        verified = self.box.run("joulepost spool verify /var/lib/joulepost", check=False)
        self.assertNotIn("gap", verified)
        self.assertNotIn("gap", [json.loads(line)["type"] for line in self.box.run(
            "joulepost spool dump /var/lib/joulepost 2>/dev/null").split("\n") if line])

    def a_stuck_meter_is_ended_and_comes_back(self):
        self.box.write("/run/systemd/system/joulepost-meter.service.d/test.conf", "[Service]\nWatchdogSec=1\nRestartSec=100ms\n")
        self.box.run("systemctl daemon-reload; systemctl restart joulepost-meter")
        first = self.pid("meter")
        self.box.run(f"kill -STOP {first}")
        rig.eventually(lambda: self.pid("meter") not in (0, first) and self.runs(), why=self.box.journal)
        self.assertGreaterEqual(int(self.box.show("joulepost-meter", "NRestarts")), 1)
        self.box.run("rm -r /run/systemd/system/joulepost-meter.service.d; systemctl daemon-reload")

    def a_mistake_is_not_tried_again(self):
        self.box.write("/etc/joulepost/joulepost.conf", "nonsense = 1;\n")
        self.assertIn("nothing was changed", self.box.run("JOULEPOST=/program /src/dev install", check=False))
        self.assertTrue(self.runs())
        self.box.run("systemctl restart joulepost-post", check=False)
        self.assertEqual(self.box.show("joulepost-post", "ActiveState"), "failed")
        self.assertEqual(self.box.show("joulepost-post", "ExecMainStatus"), "78")
        self.assertIn("unknown key nonsense", self.box.journal())
        self.box.write("/etc/joulepost/joulepost.conf", self.CONF)
        self.box.run("systemctl restart joulepost.target")
        rig.eventually(self.runs, why=self.box.journal)

    def meter_stops_first_and_nothing_is_left_behind(self):
        hot = set().union(*self.windows().values())
        self.box.run("systemctl stop joulepost.target")
        ended = [int(self.box.show(f"joulepost-{half}", "InactiveEnterTimestampMonotonic")) for half in ("meter", "post")]
        self.assertLess(ended[0], ended[1])
        self.assertEqual({self.box.show(f"joulepost-{half}", "Result") for half in ("meter", "post")}, {"success"})
        stored = {}
        for line in self.box.run("joulepost spool dump /var/lib/joulepost").split("\n"):
            if line and json.loads(line)["type"] == "window":
                stored.setdefault(json.loads(line)["run"], set()).add(json.loads(line)["seq"])
        self.assertEqual(self.windows(), stored)
        self.assertTrue(hot)

    def uninstall_keeps_the_spool(self):
        self.box.run("systemctl start joulepost.target")
        said = self.dev("uninstall")
        self.assertIn("Kept", said)
        self.assertIn("rm -r /var/lib/joulepost", said)
        self.assertEqual(self.box.run("pgrep -x joulepost", check=False), "")
        self.assertEqual(self.box.run("ls /etc/systemd/system /usr/local/bin | grep -c joulepost", check=False).strip(), "0")
        self.assertIn(".jps", self.box.run("ls /var/lib/joulepost"))
        self.dev("uninstall")


if __name__ == "__main__":
    unittest.main()
