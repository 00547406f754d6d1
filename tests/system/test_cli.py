# SPDX-License-Identifier: Apache-2.0
"""The command line: verbs, flags, exit statuses, and the agent as the keeper of its two halves."""
import json
import os
import shutil
import signal
import stat
import subprocess
import time
import unittest

from program import PROGRAM, Scratch, children, eventually, run, status

VERBS = ("agent", "meter", "post", "probe", "top", "capture", "spool", "export", "upload", "task", "version")
WITH_WORDS = ("spool", "export", "upload", "task")
HALVES = {"jp-meter", "jp-post"}


class Usage(unittest.TestCase):
    """Bad usage is one line on stderr that names what is wrong and what is allowed, and status 64."""

    def refused(self, *args):
        result = run(*args)
        self.assertEqual(result.returncode, 64, result)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn("allowed:", result.stderr)
        return result.stderr

    def test_no_verb_lists_the_verbs(self):
        line = self.refused()
        for verb in VERBS:
            self.assertIn(verb, line)

    def test_unknown_verb_is_named(self):
        self.assertIn("'frobnicate'", self.refused("frobnicate"))
        self.assertIn("'--version'", self.refused("--version"))
        self.assertIn("''", self.refused(""))

    def test_unknown_flag_is_named(self):
        for verb in VERBS:
            self.assertIn("unknown flag '--bogus'", self.refused(verb, "--bogus"))
            self.assertIn("unknown flag '-x'", self.refused(verb, "-x"))
        self.assertIn("unknown flag '--json'", self.refused("agent", "--json"))
        self.assertIn("unknown flag '--root'", self.refused("version", "--root", "/"))

    def test_surplus_argument_is_named(self):
        for verb in VERBS:
            if verb not in WITH_WORDS:
                self.assertIn("surplus argument 'more'", self.refused(verb, "more"))
        self.assertIn("too many words", self.refused("task", "start", "a", "more"))

    def test_task_without_its_words(self):
        self.assertIn("neither start nor stop", self.refused("task"))
        self.assertIn("'begin'", self.refused("task", "begin", "a"))
        self.assertIn("the name is missing", self.refused("task", "stop"))
        for name in ("a b", "a" * 33, "", "\u00e4"):
            self.assertIn("is not possible", self.refused("task", "start", name))

    def test_flag_without_its_value(self):
        self.assertIn("'-c'", self.refused("meter", "-c"))
        self.assertIn("'--root'", self.refused("agent", "--root", ""))
        self.assertIn("'--check=1'", self.refused("agent", "--check=1"))

    def test_root_that_is_no_folder(self):
        self.assertIn("is not a folder", self.refused("probe", "--root", "/nowhere/at/all"))


class Answers(unittest.TestCase):
    """What is asked for goes to stdout, with status 0."""

    def test_help_of_the_program_and_of_every_verb(self):
        texts = [run("--help")] + [run(verb, "--help") for verb in VERBS]
        for result in texts:
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertTrue(result.stdout.startswith("joulepost"), result.stdout)
        for verb in VERBS:
            self.assertIn(f"\n  {verb} ", texts[0].stdout)

    def test_version_plain_and_json(self):
        told = json.loads(run("version", "--json").stdout)
        self.assertEqual(set(told), {"version", "features"})
        self.assertEqual(set(told["features"]), {"mqtt", "tls"})
        self.assertTrue(all(isinstance(value, bool) for value in told["features"].values()))
        self.assertEqual(run("version").stdout, f"joulepost {told['version']}\n")

    def test_a_closed_stdout_is_a_failure(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for args in (("version",), ("--help",), ("agent", "--help"), ("probe",), ("probe", "--json"),
                         ("agent", "--check"), ("probe", "--health", "--json")):
                done = subprocess.run([PROGRAM, *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
                self.assertEqual(done.returncode, 1, args)
                self.assertRegex(done.stderr, r"(?m)^joulepost.*: cannot write.*$", args)


class Agent(Scratch):
    """The agent keeps both halves running and leaves none behind."""

    def both(self, agent):
        """{name: pid} once both halves run."""
        def look():
            now = children(agent.pid)
            return now if set(now) == HALVES else None
        halves = eventually(look)
        self.assertIsNotNone(halves, self.log())
        return halves

    def test_sigterm_and_sigint_end_both_halves_with_status_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            agent = self.start("agent", "-c", self.config())
            halves = self.both(agent)
            agent.send_signal(number)
            self.assertEqual(agent.wait(timeout=20), 0, self.log())
            self.assertEqual([status(pid) for pid in halves.values()], [{}, {}])

    def test_a_half_that_dies_is_started_again(self):
        agent = self.start("agent", "-c", self.config())
        for name in sorted(HALVES):
            before = self.both(agent)
            os.kill(before[name], signal.SIGKILL)
            self.assertTrue(eventually(lambda: children(agent.pid).get(name, before[name]) != before[name]), self.log())
            after = self.both(agent)
            other, = HALVES - {name}
            self.assertEqual(after[other], before[other])
            self.assertIn(f"{name[3:]} ended with signal 9, again in 0.1 s", self.log())
        self.assertEqual(self.end(agent), 0)

    def test_the_pause_before_a_restart_doubles(self):
        agent = self.start("agent", "-c", self.config())
        for pause in ("0.1", "0.2", "0.4"):
            os.kill(self.both(agent)["jp-meter"], signal.SIGKILL)
            self.assertTrue(eventually(lambda: f"again in {pause} s" in self.log()), self.log())
        self.assertEqual(self.end(agent), 0)

    def test_no_half_outlives_an_agent_that_is_killed(self):
        agent = self.start("agent", "-c", self.config())
        halves = self.both(agent)
        agent.kill()
        agent.wait()
        self.assertTrue(eventually(lambda: not any(status(pid) for pid in halves.values())), self.log())

    def test_closed_standard_descriptors_never_become_a_spool(self):
        agent = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", PROGRAM, "agent", "-c", self.config()])
        self.addCleanup(self.end, agent)
        hot = os.path.join(self.dir, "hot")
        self.assertTrue(eventually(lambda: {"control", "wake", "cursor"} <= set(os.listdir(hot))
                                   if os.path.exists(hot) else False))
        for pid in [agent.pid, *children(agent.pid).values()]:
            for number in (0, 1, 2):
                self.assertEqual(os.readlink(f"/proc/{pid}/fd/{number}"), "/")
        self.assertEqual(self.end(agent), 0)

    def test_a_hot_path_that_is_removed_is_made_anew(self):
        agent = self.start("agent", "-c", self.config(
            "sampling = { interval_ms = 50; window_ms = 100; block_windows = 3; };\n"))
        hot = os.path.join(self.dir, "hot")
        self.assertTrue(eventually(lambda: os.path.exists(os.path.join(hot, "control"))), self.log())
        self.both(agent)
        os.rename(hot, hot + "-gone")
        self.assertTrue(eventually(lambda: os.path.exists(os.path.join(hot, "control"))
                                   and any(name.endswith(".jps") for name in os.listdir(hot))), self.log())
        self.assertEqual(self.log().count("was emptied or removed"), 1, self.log())
        self.assertEqual(self.end(agent), 0, self.log())

    def test_a_terminals_interrupt_reaches_the_halves_through_the_agent_only(self):
        agent = self.start("agent", "-c", self.config())
        halves = self.both(agent)
        for pid in halves.values():
            os.kill(pid, signal.SIGINT)
        self.assertEqual(self.both(agent), halves)
        self.assertEqual(self.end(agent), 0)

    def test_task_reaches_the_running_meter(self):
        path = self.config()
        result = run("task", "start", "job", "-c", path)
        self.assertEqual(result.returncode, 1)
        self.assertIn("no agent runs", result.stderr)
        agent = self.start("agent", "-c", path)
        self.both(agent)
        self.assertTrue(eventually(lambda: run("task", "-c", path, "start", "job").returncode == 0), self.log())
        if os.geteuid() == 0:
            os.chmod(path, 0o644)
            other = subprocess.run(["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", PROGRAM, "task", "start",
                                    "job", "-c", path], capture_output=True, text=True, check=False)
            self.assertEqual((other.returncode, "join that group" in other.stderr), (1, True), other.stderr)
        twice = run("task", "stop", "other", "-c", path)
        self.assertEqual((twice.returncode, twice.stdout), (1, ""))
        self.assertEqual(run("task", "stop", "job", "-c", path).returncode, 0)
        self.assertEqual(self.end(agent), 0)

    def test_folders_are_made_with_their_modes(self):
        agent = self.start("agent", "-c", self.config())
        self.both(agent)
        modes = {name: stat.S_IMODE(os.stat(os.path.join(self.dir, name)).st_mode) for name in ("hot", "spool")}
        self.assertEqual(modes, {"hot": 0o2770, "spool": 0o750})
        self.assertEqual(self.end(agent), 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_started_as_root_the_halves_run_as_the_user(self):
        agent = self.start("agent", "-c", self.config('user = "nobody";\n'))
        for pid in self.both(agent).values():
            self.assertTrue(eventually(lambda: status(pid).get("Uid", "0").split()[0] != "0"), self.log())
            told = status(pid)
            self.assertEqual(len(set(told["Uid"].split())), 1)
            self.assertEqual(len(set(told["Gid"].split())), 1)
            self.assertEqual(told["Groups"].split(), told["Gid"].split()[:1])
            self.assertEqual(int(told["CapPrm"], 16), 0)
        self.assertEqual(str(os.stat(os.path.join(self.dir, "hot")).st_uid), told["Uid"].split()[0])
        self.assertEqual(self.end(agent), 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_a_user_that_does_not_exist_is_nobody_with_a_warning(self):
        agent = self.start("agent", "-c", self.config('user = "nosuchuser";\n'))
        self.both(agent)
        self.assertIn("there is no user nosuchuser", self.log())
        self.assertEqual(self.end(agent), 0)

    @unittest.skipUnless(os.geteuid() == 0, "for others it cannot be read in the first place")
    @unittest.skipUnless(json.loads(run("version", "--json").stdout)["features"]["mqtt"], "built without MQTT")
    def test_a_secret_that_the_user_cannot_read_ends_the_agent_with_78(self):
        secret = self.write("pw", "secret\n", 0o600)
        agent = self.start("agent", "-c", self.config(
            f'user = "nobody"; mqtt = {{ url = "mqtt://127.0.0.1:9"; username = "u"; password_file = "{secret}"; }};'))
        self.assertEqual(agent.wait(timeout=20), 78, self.log())
        self.assertIn("mqtt.password_file", self.log())
        self.assertNotIn("secret\n", self.log().replace(secret, ""))

    def test_the_advice_for_an_unusable_folder_fits_its_cause(self):
        conf = self.write("ro.conf", f'device = {{ name = "t"; }};\nuser = "root";\n'
                                     f'paths = {{ hot = "{self.dir}/ro/hot"; spool = "{self.dir}/spool"; }};\n')
        self.write("ro", "")
        result = run("meter", "-c", conf)
        self.assertEqual(result.returncode, 1)
        self.assertIn("is no folder or a link", result.stderr)
        os.unlink(os.path.join(self.dir, "ro"))
        os.mkdir(os.path.join(self.dir, "ro"))
        mounted = subprocess.run(["unshare", "-m", "sh", "-c",
                                  'mount -t tmpfs -o ro none "$1" || exit 99; exec "$2" meter -c "$3"', "sh",
                                  os.path.join(self.dir, "ro"), PROGRAM, conf], stderr=subprocess.PIPE, text=True,
                                 timeout=60, check=False)
        if "meter:" in mounted.stderr:  # where a file system may be mounted at all
            self.assertEqual(mounted.returncode, 1)
            self.assertIn("read-only: name a folder on another", mounted.stderr)
            self.assertNotIn("chown", mounted.stderr)

    def test_folders_that_cannot_be_made_are_one_clear_line(self):
        result = run("agent", "-c", self.write("c.conf", 'device = { name = "t"; };\n'
                                                         'paths = { hot = "/proc/none/hot"; };\n'))
        self.assertEqual(result.returncode, 1)
        self.assertIn("paths.hot /proc/none/hot cannot be made", result.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_meter_as_its_own_user_needs_no_spool(self):
        path, spool, hot = self.config(), os.path.join(self.dir, "spool"), os.path.join(self.dir, "hot")
        os.mkdir(spool, 0o700)
        os.mkdir(hot)
        os.chown(hot, 65534, 65534)
        for made in (True, False):
            if not made:
                os.rmdir(spool)
            before = self.log() if os.path.exists(os.path.join(self.dir, "log")) else ""
            meter = self.start("meter", "-c", path, user=65534, group=65534, extra_groups=[])
            self.assertTrue(eventually(lambda: os.path.exists(os.path.join(hot, "control"))), self.log())
            self.assertEqual(self.end(meter), 0, self.log())
            self.assertNotIn("spool", self.log()[len(before):])
            self.assertEqual(os.path.exists(spool), made)

    def test_a_signal_to_the_whole_group_leaves_nothing_on_tmpfs(self):
        """As a service manager or a terminal ends it: post must not end before meter has closed its last window."""
        path = self.config("sampling = { interval_ms = 50; window_ms = 100; };\n")
        for _ in range(2):
            agent = self.start("agent", "-c", path, start_new_session=True)
            self.assertTrue(eventually(lambda: os.path.exists(os.path.join(self.dir, "hot", "control"))), self.log())
            time.sleep(0.7)
            meter = children(agent.pid)["jp-meter"]
            os.kill(meter, signal.SIGSTOP)  # the slower of the two
            os.killpg(agent.pid, signal.SIGTERM)
            time.sleep(0.5)
            os.kill(meter, signal.SIGCONT)
            self.assertEqual(agent.wait(timeout=20), 0, self.log())
            dump = run("spool", "dump", "-c", path, os.path.join(self.dir, "spool")).stdout.splitlines()
            last = max(i for i, line in enumerate(dump) if json.loads(line)["type"] == "run")
            self.assertTrue(any(json.loads(line).get("detail") == {"action": "stop"} for line in dump[last:]), dump[last:])
            shutil.rmtree(os.path.join(self.dir, "hot"))

    def test_each_half_runs_alone_and_stops_in_order(self):
        path = self.config()
        for half in ("meter", "post"):
            for number in (signal.SIGTERM, signal.SIGINT):
                process = self.start(half, "-c", path)
                self.assertTrue(eventually(lambda: "SigCgt" in status(process.pid)
                                           and int(status(process.pid)["SigCgt"], 16) & (1 << (number - 1))))
                process.send_signal(number)
                self.assertEqual(process.wait(timeout=20), 0, self.log())


if __name__ == "__main__":
    unittest.main()
