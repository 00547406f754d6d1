#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""capture on trees of machines, and what replays its traces: the same board, no secrets, ends that keep what is there."""
import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import unittest

import rig

sys.path.insert(0, os.path.join(rig.TREE, "tests", "fixtures"))
import make_tree  # noqa: E402  (found by the line above)

KINDS = ("agx-orin-jp5", "orin-nano", "x86-2s", "laptop", "arm-unknown", "raspberry-pi-5", "replay-agx-orin")
OF_THE_MACHINE = ("board", "gpu", "cpu", "ram_bytes", "os", "power_mode", "total", "factor")
CHIP = "/sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon10"
QUICK = {"sampling.interval_ms": 100, "sampling.window_ms": 500}


class Scene(unittest.TestCase):
    def setUp(self):
        self.scratch = rig.Scratch()
        self.addCleanup(self.scratch.close)
        self.config = self.scratch.write("joulepost.conf", rig.config_text(
            {"paths.hot": "/dev/shm/joulepost", "sampling.interval_ms": 20}))
        self.trace = self.scratch.path("board.trace")

    def tree(self, kind):
        root = self.scratch.path(kind)
        if not os.path.exists(root):
            make_tree.make(kind, root)
        return root

    def start(self, root, *arguments, config=None, seconds="60", **how):
        words = [rig.SANITIZED, "capture", "-c", config or self.config, "--seconds", seconds, "--root", root, *arguments]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, **{"stderr": subprocess.PIPE, "text": True, **how})
        self.addCleanup(rig.stop_process, process, signal.SIGKILL)
        if process.stderr:
            self.addCleanup(process.stderr.close)
        return process

    def rows_of(self, trace):
        """[time, costs, cells...] of each row."""
        try:
            with open(trace, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return []
        return [line.split() for line in lines[lines.index("rows") + 1:]] if "rows" in lines else []

    def rows(self):
        return self.rows_of(self.trace)

    def capture(self, root, path=None, **how):
        """A capture of some rows into a file; what it said."""
        path = path or self.trace
        if os.path.exists(path) and path != root:
            os.unlink(path)
        before = len(self.rows_of(path)) if path == root else 0
        process = self.start(root, "-o", path, **how)
        rig.eventually(lambda: process.poll() is not None or len(self.rows_of(path)) > 3 and
                       (path != root or len(self.rows_of(path)) != before), why="no rows")
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        self.assertEqual(process.wait(timeout=20), 0, said)
        return said

    def refuse(self, root, *arguments):
        """A capture that fails; what it said."""
        process = self.start(root, *arguments, stdout=subprocess.PIPE)
        out, said = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (1, ""), said)
        return said

    def probe(self, root):
        done = subprocess.run([rig.SANITIZED, "probe", "--json", "--root", root, "-c", self.config],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        seen = json.loads(done.stdout)
        for one in seen["channels"] + seen["gauges"]:  # a trace has another driver, and each look its own cost
            one.pop("driver")
            one.pop("read_us")
        return seen

    def header(self, trace=None):
        with open(trace or self.trace, encoding="utf-8") as file:
            return file.read().split("\nrows\n")[0].splitlines()


class RoundTrip(Scene):
    def test_a_trace_is_the_machine_it_came_from(self):
        for kind in KINDS:
            with self.subTest(kind):
                root = self.tree(kind)
                said = self.capture(root)
                self.assertRegex(said, r"^joulepost capture: \d+ rows of \d+ channels, 0 failed readings\n$")
                live, replayed = self.probe(root), self.probe(self.trace)
                for key in OF_THE_MACHINE:
                    self.assertEqual(replayed[key], live[key], key)
                if kind == "replay-agx-orin":  # its levels move
                    for one in live["channels"] + replayed["channels"]:
                        one.pop("power_w")
                self.assertEqual(replayed["channels"], live["channels"])
                self.assertEqual([p["what"] for p in replayed["problems"]], [p["what"] for p in live["problems"]])
                self.assertEqual(replayed["drivers"], ["replay"] + [d for d in live["drivers"] if d == "estimate_ram"])
                self.assertNotEqual(replayed["device"], live["device"])

    def test_a_captured_replay_is_the_same_again(self):
        twice = self.scratch.path("twice.trace")
        for kind in "agx-orin-jp6", "x86-2s":
            self.capture(self.tree(kind))
            self.capture(self.trace, twice)
            for word in "channel ", "file /proc", "file /sys", "period_ms":
                lines = [[line for line in self.header(trace) if line.startswith(word)] for trace in (self.trace, twice)]
                self.assertEqual(lines[0], lines[1])
            cells = [{tuple(row[2:6]) for row in self.rows_of(trace)} for trace in (self.trace, twice)]
            self.assertEqual(cells[0], cells[1])
            self.assertTrue(any(line.startswith("note replayed and captured again: captured from a tree")
                                for line in self.header(twice)))
        before = self.probe(twice)
        self.capture(twice, twice)  # its own root: the header is whole before the file goes
        self.assertEqual({**self.probe(twice), "device": ""}, {**before, "device": ""})

    def test_a_made_trace_stays_a_made_one(self):
        self.capture(self.tree("replay-agx-orin"))
        self.assertIn("made: AGX Orin", self.probe(self.trace)["note"])

    def test_a_failed_read_is_replayed_with_its_error(self):
        root = self.tree("agx-orin-jp6")
        with open(root + CHIP + "/curr2_input", "w", encoding="ascii") as file:
            file.write("broken")
        said = self.capture(root)
        self.assertIn(f" {len(self.rows())} failed readings", said)
        self.assertEqual({row[3] for row in self.rows()}, {"EINVAL"})
        seen = self.probe(self.trace)
        self.assertEqual([p["where"] for p in seen["problems"]], ["VDD_CPU_CV"])
        self.assertIn("its file holds no number", seen["problems"][0]["what"])

    def test_rows_have_rising_times_and_what_each_source_cost(self):
        config = self.scratch.write("three.conf", rig.config_text(
            {"sampling.interval_ms": 20, "drivers": ["ina3221_hwmon", "cpu_load", "gpu_load"]}))
        self.capture(self.tree("agx-orin-jp6"), config=config)
        rows = self.rows()
        times = [int(row[0]) for row in rows]
        self.assertEqual(times, sorted(set(times)))
        self.assertEqual(times[0], 0)
        sources = [line.split()[1] for line in self.header() if line.startswith("source ")]
        self.assertEqual(sources, ["ina3221_hwmon", "ina3221_hwmon", "cpu_load", "gpu_load"])
        for row in rows:
            self.assertRegex(row[1], r"^\d+,\d+,(\d+|-),\d+$")
        self.assertNotEqual(rows[0][6], ".")
        for row in rows[1:]:  # a load is read once a second
            self.assertEqual(row[6] == ".", row[1].split(",")[2] == "-")
            self.assertTrue(row[6] == "." or int(row[0]) > 900000)

    def test_models_are_left_out(self):
        root = self.scratch.path("nothing")
        os.makedirs(root)
        self.assertIn("no sensor answers here", self.refuse(root))
        make_tree.put_proc(root, False, 1000000)
        self.assertIn("nothing here measures power", self.capture(root))
        live, replayed = self.probe(root), self.probe(self.trace)
        self.assertEqual([one["method"] for one in live["channels"]], ["modelled", "modelled"])
        self.assertEqual((replayed["channels"], replayed["total"]), (live["channels"], live["total"]))
        self.assertIn("source cpu_load", self.header())
        self.assertNotIn("estimate", "".join(self.header()))


class Secrets(Scene):
    """What tells one machine from its sisters, planted wherever a tree has it, is in no trace."""

    def test_nothing_that_names_the_machine_is_captured(self):
        root = self.tree("agx-orin-jp6")
        plants = {
            "/etc/machine-id": "5ec0ffee5ec0ffee5ec0ffee5ec0ffee\n", "/etc/hostname": "s3cret-host\n",
            "/etc/hosts": "127.0.1.1 s3cret-host\n", "/proc/sys/kernel/hostname": "s3cret-host\n",
            "/etc/passwd": "s3cret-user:x:1000:1000::/nowhere:/bin/sh\n",
            "/proc/device-tree/serial-number": "s3cret-serial\0",
            "/proc/device-tree/chosen/bootargs": "root=PARTUUID=s3cret-root\0",
            "/sys/class/dmi/id/product_serial": "s3cret-serial\n", "/sys/class/dmi/id/product_uuid": "s3cret-uuid\n",
            "/sys/class/dmi/id/board_serial": "s3cret-serial\n", "/sys/class/dmi/id/chassis_asset_tag": "s3cret-tag\n",
            "/sys/class/dmi/id/product_name": "Made Board\n",
            "/sys/class/net/eth0/address": "48:b0:2d:5e:c0:de\n", "/sys/class/net/eth0/addr_assign_type": "0\n",
            "/proc/net/fib_trie": "192.0.2.77\n", "/proc/cmdline": "androidboot.serialno=s3cret-serial\n",
            "/proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1\nSerial\t\t: s3cret-serial\n"
                             "CPU part\t: 0xd42\nHardware\t: s3cret-hardware\n",
            "/proc/meminfo": "MemTotal:       31734752 kB\nMemFree: 5150\n",
            "/proc/sys/kernel/osrelease": "5.15.148-tegra\n",
            "/etc/os-release": 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nMACHINE="s3cret-host"\nHOME_URL="https://s3cret/"\n',
            "/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\ns3cret-host\n",
            "/etc/nvpmodel/one.conf": "# by s3cret-user\n< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n",
            "/sys/devices/system/cpu/present": "0-11\n",
            "/sys/bus/i2c/devices/0-0050/eeprom": "s3cret-serial".ljust(20) + "699-13701-0004-500 s3cret-rev".ljust(200) +
                                                  "\x48\xb0\x2d s3cret-card",
            "/sys/bus/i2c/devices/7-0050/eeprom": "s3cret".ljust(300),
            "/var/lib/nvpmodel/status": "pmode:0000 fmode:s3cret-fan\n",
        }
        for path, text in plants.items():
            make_tree.put(root, path, text)
        make_tree.link(root, "/etc/nvpmodel.conf", "/etc/nvpmodel/one.conf")  # it leads out of the tree
        config = self.scratch.write("s3cret-user.conf", rig.config_text(
            {"device.name": "s3cret-name", "paths.hot": "/dev/shm/s3cret-hot", "mqtt.url": "mqtt://s3cret-broker",
             "calibration": [{"channel": "VDD_CPU_CV", "scale": 2}]}))
        with open(root + CHIP + "/curr2_input", "w", encoding="ascii") as file:
            file.write("s3cret")
        self.capture(root, config=config)
        with open(self.trace, encoding="utf-8") as file:
            out = file.read()
        for secret in ("s3cret", "5ec0ffee", "5ec0de", "5e:c0:de", "192.0.2", "serial", "5150", self.scratch.dir):
            self.assertNotIn(secret, out)
        for fact in ("Made Board", "5.15.148-tegra", "Ubuntu 22.04.5", "REVISION: 4.3", "NAME=MAXN", "pmode:0000",
                     "MemTotal", "0xd42", " 0-11", "699-13701-0004", "ARMv8 Processor rev 1", "nvidia,p3701-0000"):
            self.assertIn(fact, out)
        seen = self.probe(self.trace)
        self.assertEqual(seen["power_mode"], "MAXN")
        self.assertEqual(seen["os"], {"name": "Ubuntu 22.04.5 LTS", "l4t": "36.4.3", "jetpack": "6.2"})


class Ends(Scene):
    def test_a_signal_ends_it_and_keeps_what_is_there(self):
        for sig in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            with self.subTest(sig):
                process = self.start(self.tree("orin-nano"), "-o", self.trace)
                rig.eventually(self.rows, why="no rows")
                process.send_signal(sig)
                self.assertEqual(process.wait(timeout=20), 0)
                self.assertIn(f"{len(self.rows())} row", process.stderr.read())
                self.assertEqual(len(self.probe(self.trace)["channels"]), 3)
                os.unlink(self.trace)

    def test_a_kill_leaves_whole_rows(self):
        process = self.start(self.tree("orin-nano"), "-o", self.trace)
        rig.eventually(self.rows, why="no rows")
        process.kill()
        process.wait()
        self.assertEqual(len(self.probe(self.trace)["channels"]), 3)

    def test_it_ends_by_itself(self):
        process = self.start(self.tree("orin-nano"), "-o", self.trace, seconds="1")
        self.assertEqual(process.wait(timeout=20), 0)
        self.assertGreater(len(self.rows()), 3)
        self.assertLess(int(self.rows()[-1][0]), 1000000)

    def test_a_reader_that_goes_away_ends_it_without_a_word(self):
        process = self.start(self.tree("orin-nano"), stdout=subprocess.PIPE)
        self.assertEqual(process.stdout.readline(), "joulepost-trace 2\n")
        process.stdout.close()
        self.assertEqual(process.wait(timeout=20), 0)
        self.assertNotIn("stdout", process.stderr.read())

    def test_stdout_is_the_trace_alone_and_progress_is_for_terminals(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        with open(self.trace, "wb") as out:
            process = self.start(self.tree("orin-nano"), stdout=out, stderr=slave)
        os.close(slave)
        seen = b""
        while b"Ctrl-C ends it" not in seen:
            self.assertTrue(select.select([master], [], [], 20)[0], seen)
            seen += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=20), 0)
        self.assertEqual(len(self.probe(self.trace)["channels"]), 3)

    def test_an_older_file_is_replaced_only_by_a_capture(self):
        nothing = self.scratch.path("nothing")
        os.makedirs(nothing)
        self.scratch.write("board.trace", "older\n" * 10000)
        self.refuse(nothing, "-o", self.trace)
        self.assertEqual(os.path.getsize(self.trace), 60000)
        process = self.start(self.tree("orin-nano"), "-o", self.trace)
        rig.eventually(self.rows, why="no rows")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=20), 0)
        self.assertEqual(len(self.probe(self.trace)["channels"]), 3)

    def test_a_place_that_cannot_be_written_is_named(self):
        root = self.tree("orin-nano")
        for path, why in ((self.scratch.path("no/folder"), "No such file or directory"),
                          (self.scratch.dir, "Is a directory"), ("/dev/full", "No space left on device")):
            self.assertEqual(self.refuse(root, "-o", path), f"joulepost capture: {path}: {why}; 0 rows were written\n")

    def test_a_full_disk_leaves_whole_rows(self):
        self.capture(self.tree("orin-nano"))
        limit = os.path.getsize(self.trace) - 5  # in the middle of a row

        def narrow():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        process = self.start(self.tree("orin-nano"), "-o", self.trace, preexec_fn=narrow)
        self.assertEqual(process.wait(timeout=20), 1)
        self.assertIn(f"File too large; {len(self.rows())} rows were written", process.stderr.read())
        self.assertGreater(len(self.rows()), 1)
        self.assertEqual(len(self.probe(self.trace)["channels"]), 3)

    def test_seconds_out_of_bounds_are_refused(self):
        for seconds in "0", "86401", "x", "1.5", "-1":
            status, out, said = rig.run_once("capture", "--seconds", seconds, program=rig.SANITIZED)
            self.assertEqual((status, out), (64, ""))
            self.assertEqual(said, f"joulepost capture: --seconds '{seconds}', allowed: 1 to 86400\n")


class Replay(Scene):
    def test_the_service_measures_a_trace(self):
        self.capture(self.tree("agx-orin-jp6"))
        agent = rig.Agent({**QUICK, "spool.keep": "all", "sampling.block_windows": 2}, root=self.trace,
                          program=rig.SANITIZED)
        self.addCleanup(agent.close)
        live = rig.eventually(lambda: self.window(agent), why="no window")
        self.assertEqual(set(live["energy_mj"]), {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO", "total"})
        for name, watts in ("VDD_GPU_SOC", 3.04), ("total", 7.652):
            self.assertAlmostEqual(live["energy_mj"][name], watts * live["span_ms"], delta=2)
        self.assertEqual(agent.stop(), 0)

    def window(self, agent):
        """The second window: the first may be short."""
        status, out, _ = rig.run_once("spool", "dump", agent.hot)
        lines = [json.loads(line) for line in out.splitlines()] if status == 0 else []
        return next((one for one in lines if one["type"] == "window" and one["seq"] == 1), None)

    def test_a_trace_without_device_name_still_has_one(self):
        self.capture(self.tree("orin-nano"))
        self.assertRegex(self.probe(self.trace)["device"], "^[0-9a-f]{16}$")

    def test_a_wrong_line_is_told_with_file_and_line(self):
        self.capture(self.tree("orin-nano"))
        with open(self.trace, "a", encoding="utf-8") as file:
            file.write("1 - 2\n")
        line = len(self.header()) + 1 + len(self.rows())
        wrong = [p for p in self.probe(self.trace)["problems"] if "wrong" in p["what"]]
        self.assertEqual([p["where"] for p in wrong], [f"{self.trace}:{line}"])
        self.assertIn("times of the rows rise", wrong[0]["what"])

    def test_what_is_no_trace_is_refused(self):
        for name, text in ("a", ""), ("b", "joulepost-tracks\n"), ("c", "\0" * 100):
            done = subprocess.run([rig.SANITIZED, "probe", "--root", self.scratch.write(name, text)],
                                  capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual((done.returncode, done.stdout), (64, ""))
            self.assertRegex(done.stderr, "^joulepost probe: --root '.*' is not a folder, allowed: .*captured trace.*\n$")

    def test_torn_traces_end_in_a_line(self):
        self.capture(self.tree("orin-nano"))
        with open(self.trace, "rb") as file:
            whole = file.read()
        cut = self.scratch.path("cut.trace")
        for at in list(range(20, len(whole), len(whole) // 8)) + [len(whole) - 3]:
            with open(cut, "wb") as file:
                file.write(whole[:at])
            done = subprocess.run([rig.SANITIZED, "meter", "--check", "-c", self.config, "--root", cut],
                                  capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            lines = [line for line in done.stdout.splitlines() if "is wrong" in line]
            self.assertEqual(len(lines), 0 if "# measures: 3" in done.stdout else 1, (at, done.stdout))
            for line in lines:
                self.assertTrue(re.search(re.escape(cut) + r":\d+\)", line), line)


if __name__ == "__main__":
    unittest.main()
