#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""probe on trees of machines: what it shows to people and to programs, and how it ends; and the health of a service.

tests/golden/probe/NAME.txt is what probe says of tests/fixtures/broken.py's NAME, costs of reads and folders masked.
`JOULEPOST_GOLDEN=write tests/system/test_probe.py Broken` writes them anew: look at the difference before it is kept.
"""
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import rig

sys.path.insert(0, os.path.join(rig.TREE, "tests", "fixtures"))
import boards  # noqa: E402  (found by the line above)
import broken  # noqa: E402  (found by the line above)
import make_tree  # noqa: E402

META = {"device", "board", "gpu", "cpu", "ram_bytes", "os", "power_mode", "channels", "total", "factor", "spool_id"}
CHANNEL = {"name", "roles", "part_of", "scope", "method", "resolution_mw", "power_w", "driver", "sensor", "read_us"}
CHIP = "/sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon10"


GOLDEN = os.path.join(rig.TREE, "tests", "golden", "probe")


def mask(text, folder):
    """Without what differs from look to look."""
    return re.sub(r" +\d+ (us|ms|s)  ", lambda cost: "N us  ".rjust(len(cost.group())), text.replace(folder, "DIR"))


def measured(agent):
    """The live values of a meter once a window is closed, else None."""
    try:
        live = agent.ask("live")
    except OSError:
        return None
    return live if live["power_w"].get("total") is not None else None


class ProbeTest(unittest.TestCase):
    def setUp(self):
        self.scratch = rig.Scratch()
        self.addCleanup(self.scratch.close)
        self.config = self.scratch.write("joulepost.conf", 'paths = { hot = "/dev/shm/joulepost"; };\n')
        self.root = self.scratch.path("tree")

    def run_probe(self, *arguments, config=None):
        return subprocess.run([rig.SANITIZED, "probe", "--root", self.root, "-c", config or self.config, *arguments],
                              capture_output=True, text=True, timeout=30, check=False)

    def probe(self, kind=None, **how):
        if kind:
            make_tree.make(kind, self.root)
        done = self.run_probe("--json", **how)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        seen = json.loads(done.stdout)
        self.assertEqual(set(seen), META | {"drivers", "gauges", "problems"})
        for channel in seen["channels"]:
            self.assertLessEqual(CHANNEL, set(channel))
            self.assertIsInstance(channel["read_us"], int)
        for gauge in seen["gauges"]:
            self.assertEqual(set(gauge), {"name", "value", "unit", "driver", "sensor", "read_us"})
        return seen

    def watts(self, seen):
        return {channel["name"]: channel["power_w"] for channel in seen["channels"]}

    def test_agx_orin_has_four_rails_and_a_total_of_three(self):
        for kind in "agx-orin-jp5", "agx-orin-jp6":
            with self.subTest(kind):
                self.root = self.scratch.path(kind)
                seen = self.probe(kind)
                self.assertEqual(self.watts(seen), {"VDD_GPU_SOC": 3.04, "VDD_CPU_CV": 1.14, "VIN_SYS_5V0": 3.472,
                                                    "VDDQ_VDD2_1V8AO": 0.5952})
                self.assertEqual(seen["total"], {"scope": "module", "method": "measured",
                                                 "channels": ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]})
                self.assertEqual(seen["gpu"], {"count": 1, "name": "Orin (nvgpu)"})
                self.assertEqual((seen["board"]["id"], seen["board"]["verified"]), ("jetson-agx-orin", True))
                self.assertEqual(seen["problems"], [])

    def test_a_calibration_is_shown_as_applied(self):
        config = self.scratch.write("c.conf", 'paths = { hot = "/dev/shm/joulepost"; };\n'
                                    'calibration = ( { channel = "VDD_CPU_CV"; scale = 2; offset_mw = -80; } );\n')
        seen = self.probe("agx-orin-jp6", config=config)
        self.assertEqual(self.watts(seen)["VDD_CPU_CV"], 2.2)
        self.assertEqual([c.get("calibration") for c in seen["channels"]],
                         [None, {"scale": 2.0, "offset_mw": -80.0}, None, None])
        plain = self.run_probe(config=config).stdout
        self.assertRegex(plain, r"\+ VDD_CPU_CV +2\.200 W .*cpu, cv\n    calibrated x2 -80 mW\n")
        self.assertEqual(plain.count("calibrated"), 1)

    def test_x86_adds_packages_and_dram(self):
        seen = self.probe("x86-2s")
        self.assertEqual(sorted(seen["total"]["channels"]), ["dram-0", "dram-1", "package-0", "package-1"])
        self.assertEqual(len(seen["channels"]), 9)
        self.assertEqual(seen["problems"], [])

    def test_an_unknown_board_shows_rails_and_says_how_to_go_on(self):
        seen = self.probe("arm-unknown")
        self.assertEqual(self.watts(seen), {"MAIN": 6.0, "ina3221-42.2": 0.5, "ina3221-42.3": 0.13216})
        self.assertIsNone(seen["total"])
        self.assertEqual([problem["where"] for problem in seen["problems"]],
                         ["ina3221-42.2, ina3221-42.3", "Some Board"])
        self.assertIn("boards.md", seen["problems"][1]["remedy"])

    def test_a_name_that_is_no_text_hides_no_problem(self):
        make_tree.make("arm-unknown", self.root)
        make_tree.put(self.root, "/proc/device-tree/model", b"Caf\xe9 \xc3\0")
        seen = self.probe()
        self.assertEqual(seen["board"]["name"], "Caf? ?")
        self.assertIn("Caf? ?", [problem["where"] for problem in seen["problems"]])

    def test_this_machine_has_a_total_measured_or_modelled(self):
        self.root = ""
        done = subprocess.run([rig.SANITIZED, "probe", "--json", "-c", self.config], capture_output=True, text=True,
                              timeout=30, check=True)
        seen = json.loads(done.stdout)
        self.assertIn(seen["total"]["method"], ("measured", "modelled"))
        for channel in seen["channels"]:
            self.assertEqual("tdp_w" in channel, channel["method"] == "modelled")

    def test_a_hot_path_below_run_that_is_on_a_disk_is_not_sent_to_run(self):
        self.root = ""
        config = self.scratch.write("run.conf", 'paths = { hot = "/run/joulepost-nowhere"; };\n')
        done = subprocess.run([rig.SANITIZED, "probe", "--json", "-c", config], capture_output=True, text=True, timeout=30,
                              check=True)
        told = [p["remedy"] for p in json.loads(done.stdout)["problems"] if p["where"] == "/run/joulepost-nowhere"]
        if subprocess.run(["stat", "-f", "-c", "%T", "/run"], capture_output=True, text=True, check=True).stdout == "tmpfs\n":
            self.assertEqual(told, [])
        else:
            self.assertIn("mount a tmpfs there", told[0])

    def test_broken_files_cost_their_own_channel_only(self):
        make_tree.make("agx-orin-jp6", self.root)
        for text in "", "-", "abc", "99999999999999999999", "12 34":
            with self.subTest(text):
                with open(self.root + CHIP + "/curr2_input", "w", encoding="ascii") as file:
                    file.write(text)
                seen = self.probe()
                self.assertIsNone(self.watts(seen)["VDD_CPU_CV"])
                self.assertEqual(self.watts(seen)["VDD_GPU_SOC"], 3.04)
                self.assertEqual([problem["where"] for problem in seen["problems"]], ["VDD_CPU_CV"])
        os.unlink(self.root + CHIP + "/curr1_input")
        self.assertEqual(self.watts(self.probe())["VIN_SYS_5V0"], 3.472)

    def test_of_many_gauges_loads_and_clocks_come_first(self):
        boards.make("jetson-agx-orin", 6, self.root)
        self.assertRegex(self.run_probe().stdout, r"\n  gauges   cpu_load \d+ %, gpu_load 25 %, gpu_freq \d+ MHz, cpu-thermal")

    def test_what_is_not_verified_has_a_star_and_a_line_below(self):
        boards.make("jetson-agx-thor", 7, self.root)
        self.assertRegex(self.run_probe().stdout, r"VDD_CPU_SOC_MSS .* cpu, soc, ram \*\n(.*\n)+= total .*\n"
                                                  r"\* what the profile says of it is not verified\n\n")
        self.root = self.scratch.path("verified")
        boards.make("jetson-agx-orin", 6, self.root)
        self.assertNotIn("*", self.run_probe().stdout)

    def test_plain_output_is_one_screen(self):
        make_tree.make("agx-orin-jp6", self.root)
        done = self.run_probe()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for text in ("NVIDIA Jetson AGX Orin series\n", "\n+ VIN_SYS_5V0 ", "\n    VDDQ_VDD2_1V8AO ", "\n= total", " 7.652 W",
                     "1 x Orin (nvgpu), Ampere", "jetson-agx-orin, verified\n", "AGX Orin (32 GB ram), tegra234\n", " 99.2 mW ", " gpu, soc\n", "no problems\n",
                     "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0: the profile's module total", "the carrier", "gpu_load 0 %"):
            self.assertIn(text, done.stdout)
        self.assertLessEqual(len(done.stdout.splitlines()), 30)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)
        self.assertNotIn("\033", done.stdout)

    def on_terminal(self, **environment):
        """What probe says to a terminal."""
        main, terminal = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", **environment}
        process = subprocess.Popen([rig.JOULEPOST, "probe", "--root", self.root, "-c", self.config], stdout=terminal,
                                   env=environment)
        os.close(terminal)
        out = b""
        while True:
            try:
                piece = os.read(main, 65536)
            except OSError:
                piece = b""
            if not piece:
                break
            out += piece
        os.close(main)
        self.assertEqual(process.wait(), 0)
        return out.decode().replace("\r\n", "\n")

    def test_colours_are_for_terminals_that_want_them(self):
        make_tree.make("agx-orin-jp6", self.root)
        environment = {"NO_COLOR": ""}
        self.assertIn("\033[32m+\033[0m VDD_CPU_CV", self.on_terminal(**environment))
        plain = mask(self.run_probe().stdout, self.scratch.dir)
        self.assertEqual(mask(self.on_terminal(NO_COLOR="1"), self.scratch.dir), plain)
        self.assertEqual(mask(self.on_terminal(NO_COLOR="", TERM="dumb"), self.scratch.dir), plain)

    def test_long_names_and_what_a_terminal_would_obey(self):
        name = "A_RAIL_WITH_THIRTYONE_CHARACTER"
        make_tree.put_tree(self.root, "Evil \033[2J\xc2\x9bBoard", ["example,evil"])
        make_tree.put_proc(self.root, True, 2031616)
        make_tree.put_ina3221(self.root, "3-0042", "hwmon0", "i2c@fe804000",
                              [(name, 12000, 500, 10000), ("B", 5000, 100, 10000)], links=False)
        make_tree.put_hwmon_power(self.root, "3-0045", "hwmon1", "i2c@fe804000", "ina226", None, 5000, 100, links=False)
        chip = self.root + "/sys/bus/i2c/devices/3-0045/hwmon/hwmon1/name"
        with open(chip, "wb") as file:
            file.write(b"\033[31m\xe9\n")
        done = self.run_probe()
        self.assertNotIn("\033", done.stdout)
        self.assertIn("  ?[31m?-45  ", done.stdout)
        self.assertEqual({channel["sensor"] for channel in self.probe()["channels"]}, {"ina3221-42", "?[31m?-45"})
        self.assertIn("Evil ?[2J", done.stdout)
        lines = done.stdout.splitlines()
        at = lines.index("  " + name)
        self.assertEqual(lines[at + 1].index(" W "), lines[at + 2].index(" W "))
        self.assertRegex(lines[at + 1], r"^ +6\.000 W +48 mW  measured  ina3221-42$")
        self.assertLessEqual(max(map(len, lines)), 80)

    def test_parts_stand_under_their_whole(self):
        make_tree.make("x86-2s", self.root)
        names = [line[:18].rstrip() for line in self.run_probe().stdout.splitlines() if " measured " in line]
        self.assertEqual(names, ["+ package-0", "    core-0", "    uncore-0", "+ package-1", "    core-1", "    uncore-1",
                                 "  psys", "+ dram-0", "+ dram-1", "= total"])

    def test_a_strangers_board_needs_one_file(self):
        make_tree.put_tree(self.root, "Acme Carrier", ["acme,carrier-7", "acme,soc"])
        make_tree.put_proc(self.root, True, 2031616)
        make_tree.put_ina3221(self.root, "3-0042", "hwmon0", "i2c@fe804000",
                              [("VIN", 12000, 500, 10000), ("CPU", 5000, 100, 10000), ("WIFI", 3304, 40, 10000)])
        make_tree.put_ina3221(self.root, "4-0043", "hwmon1", "i2c@fe805000", [("AUX", 12000, 250, 5000), None, None])
        os.mkdir(self.scratch.path("boards.d"))
        self.scratch.write("boards.d/acme.conf", """
            name = "Acme Carrier 7"; match = ( "acme,carrier-7" ); priority = 50;
            sensors = (
              { chip = "ina3221"; address = 0x42; bus_node = "i2c@fe804000"; scope = "board"; channels = (
                { channel = 1; label = "VIN"; roles = ( "board" ); shunt_uohm = 10000; },
                { channel = 2; label = "VDD_CPU"; aliases = ( "CPU" ); roles = ( "cpu" ); part_of = "VIN"; },
                { channel = 3; label = "WIFI"; roles = ( "wifi" ); part_of = "VIN"; } ); },
              { chip = "ina3221"; address = 0x43; bus_node = "i2c@fe805000"; scope = "board"; channels = (
                { channel = 1; label = "AUX"; roles = ( "io" ); shunt_uohm = 5000; } ); } );
            totals = { board = ( "VIN", "AUX" ); };
            """)
        settings = {"board.dir": self.scratch.path("boards.d"), "paths.hot": "/dev/shm/joulepost"}
        config = self.scratch.write("own.conf", rig.config_text(settings))
        seen = self.probe(config=config)
        self.assertEqual(seen["problems"], [])
        self.assertEqual(seen["board"]["name"], "Acme Carrier 7")
        self.assertEqual(seen["total"], {"scope": "board", "method": "measured", "channels": ["VIN", "AUX"]})
        self.assertEqual([(channel["name"], channel["part_of"]) for channel in seen["channels"]],
                         [("VIN", None), ("VDD_CPU", "VIN"), ("WIFI", "VIN"), ("AUX", None)])
        del settings["paths.hot"]
        meter = rig.Agent(settings, root=self.root, verb="meter", program=rig.SANITIZED, scratch=self.scratch)
        self.addCleanup(meter.close)
        live = rig.eventually(lambda: measured(meter), why=meter.said)
        self.assertAlmostEqual(live["power_w"]["total"], 9.0, delta=0.1)  # a window is whole mJ and whole ms
        self.assertEqual(meter.stop(), 0)

    def test_a_wrong_board_file_is_told_with_its_line(self):
        make_tree.make("arm-unknown", self.root)
        os.mkdir(self.scratch.path("boards.d"))
        self.scratch.write("boards.d/mine.conf", 'name = "Mine";\npriority = "high";\n')
        config = self.scratch.write("own.conf", f'board = {{ dir = "{self.scratch.path("boards.d")}"; }};\n')
        done = self.run_probe(config=config)
        self.assertEqual(done.returncode, 78)
        self.assertIn('mine.conf:2: "priority" must be a whole number from 0 to 1000', done.stderr)
        config = self.scratch.write("own.conf", 'board = { name = "no-such"; };\n')
        done = self.run_probe(config=config)
        self.assertEqual(done.returncode, 78)
        self.assertIn('no profile "no-such"', done.stderr)


class Broken(unittest.TestCase):
    """Each broken tree: probe names the problem and its remedy, word for word as kept."""

    maxDiff = None

    def look(self, name):
        """What probe says of it: (status, text)."""
        what = broken.BROKEN[name]
        scratch = rig.Scratch()
        self.addCleanup(scratch.close)
        what.make(scratch.path("tree"))
        settings = {"paths.hot": "/dev/shm/joulepost"}
        settings.update({key: value.format(dir=scratch.dir) if isinstance(value, str) else value
                         for key, value in what.settings.items()})
        config = scratch.write("joulepost.conf", rig.config_text(settings))
        user = {"user": 65534, "group": 65534, "extra_groups": []} if what.unprivileged and os.geteuid() == 0 else {}
        done = subprocess.run([rig.SANITIZED, "probe", "--root", scratch.path("tree"), "-c", config],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False,
                              env={**os.environ, "COLUMNS": "80"}, **user)
        return done.returncode, mask(done.stdout, scratch.dir)

    def test_each_broken_tree_is_told_as_kept(self):
        self.assertGreaterEqual(len(broken.BROKEN), 20)
        self.assertEqual(sorted(os.listdir(GOLDEN)), sorted(f"{name}.txt" for name in broken.BROKEN))
        with ThreadPoolExecutor(8) as pool:
            said = dict(zip(broken.BROKEN, pool.map(self.look, broken.BROKEN)))
        for name, (status, text) in said.items():
            what, path = broken.BROKEN[name], os.path.join(GOLDEN, f"{name}.txt")
            with self.subTest(name):
                if os.environ.get("JOULEPOST_GOLDEN") == "write":
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(text)
                with open(path, encoding="utf-8") as file:
                    self.assertEqual(text, file.read())
                self.assertEqual(status, what.status)
                flat = re.sub(r"\s+", " ", text)
                self.assertIn(what.what, flat)
                self.assertIn(what.remedy, flat)
                if status == 0:
                    self.assertRegex(flat, "[12] problem")
                    self.assertLess(flat.index(what.what), flat.rindex(what.remedy))


class Halves:
    """What a running service shows of itself, made: a control socket that answers for meter, and post's line."""

    def __init__(self, folder, boot_ms):
        self.health = {"ok": True, "window_age_ms": 400, "windows": 7, "errors": {"A": 0, "B": 0}, "late_ticks": 0,
                       "hot_bytes": 4096, "degraded": []}
        self.live = {"ok": True, "power_w": {"A": 1.0, "B": 2.0, "total": 3.0}}
        self.status = {"pending": {"windows": 12, "bytes": 900}, "lost": {}, "degraded": []}
        self.link = {"state": "connected", "since_boot_ms": boot_ms - 5000, "error": None}
        self.boot_ms, self.folder = boot_ms, folder
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(os.path.join(folder, "control"))
        self.socket.listen(4)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                request = client.recv(200).decode()
                if self.health is not None:
                    client.send(json.dumps(getattr(self, request)).encode())

    def tell(self):
        with open(os.path.join(self.folder, "post.json"), "w", encoding="utf-8") as file:
            file.write(json.dumps({"boot_ms": self.boot_ms, "pid": 1, "link": self.link, "status": self.status,
                                   "factor": None, "registers": None}) + "\n")


class Health(unittest.TestCase):
    """--health: 0 and a line, or 1 and what is wrong, where, and what to do."""

    def setUp(self):
        self.scratch = rig.Scratch()
        self.addCleanup(self.scratch.close)
        self.url = "mqtt://broker.example"
        self.configure()

    def configure(self, **settings):
        os.makedirs(self.scratch.path("hot"), exist_ok=True)
        settings = {"paths.hot": self.scratch.path("hot"), "mqtt.url": self.url, **settings}
        self.config = self.scratch.write("health.conf", rig.config_text(settings))

    def halves(self):
        halves = Halves(self.scratch.path("hot"), int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000))
        self.addCleanup(halves.socket.close)
        return halves

    def ask(self, *arguments, **how):
        done = subprocess.run([rig.SANITIZED, "probe", "--health", "-c", self.config, *arguments], capture_output=True,
                              text=True, timeout=30, check=False, **how)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def faults(self):
        """[(where, what)] of the JSON, after a look at the plain text: a line each."""
        status, plain = self.ask()
        json_status, text = self.ask("--json")
        said = json.loads(text)
        self.assertEqual(set(said), {"ok", "faults", "window_age_ms", "link", "pending", "lost"})
        self.assertEqual((status, json_status, said["ok"]), (1, 1, False) if said["faults"] else (0, 0, True))
        for fault in said["faults"]:
            self.assertTrue(fault["remedy"])
            line = f'{fault["where"]}: {fault["what"]}; {fault["remedy"]}\n'
            self.assertIn(re.sub(r"\d+ s\b", "N s", line), re.sub(r"\d+ s\b", "N s", plain))  # two moments
        return [(fault["where"], fault["what"]) for fault in said["faults"]]

    def faults_of_json(self):
        return json.loads(self.ask("--json")[1])["faults"]

    def test_a_healthy_service_is_one_line(self):
        halves = self.halves()
        halves.tell()
        self.assertEqual(self.ask(), (0, "healthy: 2 channels, a window 0.4 s ago, 12 waiting, link connected\n"))
        self.assertEqual(self.faults(), [])
        halves.status["lost"] = {"hot_full": {"windows": 3, "seconds": 3.0, "joules": None}}
        halves.tell()
        self.assertEqual(self.ask()[1], "healthy: 2 channels, a window 0.4 s ago, 12 waiting, link connected, "
                                        "3 windows lost since post started (hot_full)\n")
        self.assertEqual(json.loads(self.ask("--json")[1])["lost"], halves.status["lost"])

    def test_a_logger_has_no_link(self):
        self.url = ""
        self.configure()
        halves = self.halves()
        halves.link = {"state": "none", "since_boot_ms": 1, "error": None}
        halves.tell()
        self.assertEqual(self.faults(), [])
        self.url = "mqtt://broker.example"
        self.configure()
        self.assertEqual(self.faults(), [("mqtt.url", "post runs without a link, and this configuration has one")])

    def test_a_link_may_be_away_for_a_minute(self):
        halves = self.halves()
        halves.link = {"state": "connecting", "since_boot_ms": halves.boot_ms - 30000, "error": "refused"}
        halves.tell()
        self.assertEqual(self.faults(), [])
        halves.link["since_boot_ms"] = halves.boot_ms - 300000
        halves.tell()
        (where, what), = self.faults()
        self.assertEqual(where, self.url)
        self.assertRegex(what, r"^not connected for 3\d\d s: refused$")
        self.assertIn("nothing is lost", self.ask()[1])

    def test_what_post_passes_on_is_no_command_for_a_terminal(self):
        halves = self.halves()
        halves.link = {"state": "connecting", "since_boot_ms": halves.boot_ms - 300000,
                       "error": "\x1b]0;owned\x07 \u009b2J " + 200 * "\u00e9"}
        halves.status["lost"] = {"\x1b[2J": {"windows": 2}}
        halves.tell()
        self.assertEqual(len(self.faults_of_json()), 1)
        status, plain = self.ask()
        self.assertEqual(status, 1)
        self.assertIn("?]0;owned? ?2J ", plain)
        self.assertNotRegex(plain, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_a_line_of_post_with_wild_numbers(self):
        halves = self.halves()
        least, most = -2**63, 2**63 - 1
        halves.link = {"state": "connecting", "since_boot_ms": least, "error": None}
        halves.status = {"pending": {"windows": most, "bytes": least}, "degraded": [7, None, "damaged"],
                         "lost": {str(n): {"windows": most} for n in range(3)}, "refused": most}
        halves.tell()
        self.assertEqual([where for where, _what in self.faults()], [self.url, "post"])
        halves.boot_ms = least
        halves.tell()
        self.assertRegex(self.faults()[0][1], "^post has said nothing for")

    def test_a_post_that_says_nothing(self):
        halves = self.halves()
        path = self.scratch.path("hot", "post.json")
        self.assertEqual(self.faults(), [(path, "no post runs: nothing is delivered")])
        halves.boot_ms -= 130000
        halves.tell()
        (where, what), = self.faults()
        self.assertEqual(where, path)
        self.assertRegex(what, r"^post has said nothing for 1\d\d s: it is dead or stuck$")
        with open(path, "w", encoding="utf-8") as file:
            file.write("{")
        self.assertEqual(self.faults(), [(path, "what post says of itself is no JSON")])

    def test_a_meter_that_closes_no_window_or_does_not_answer(self):
        halves = self.halves()
        halves.tell()
        halves.health["window_age_ms"] = 5001
        self.assertEqual(self.faults(), [("meter", "no window was closed for 5.0 s, one is due each 1 s")])
        self.configure(**{"sampling.window_ms": 2000})
        self.assertEqual(self.faults(), [])
        halves.health = None
        (where, what), = self.faults()
        self.assertEqual((where, what), (self.scratch.path("hot", "control"), "meter does not answer this user"))

    def test_what_is_degraded_is_told_in_words(self):
        halves = self.halves()
        halves.health.update(degraded=["read_error", "hot_full"], errors={"A": 0, "B": 40, "C": 2})
        halves.live["power_w"] = {"A": 1.0, "B": None, "C": 2.0, "total": 3.0}
        halves.status["degraded"] = ["disk_full", "something_new"]
        halves.tell()
        self.assertEqual(self.faults(), [
            ("B", "its sensor does not answer: 40 failed reads"),
            ("meter", "paths.hot is full: new windows are folded into a gap"),
            ("post", "the disk of paths.spool is full: windows wait in memory"), ("post", "something_new")])
        self.assertIn("make room on its file system", self.ask()[1])  # it may be full of others

    @unittest.skipIf(os.geteuid() != 0, "takes root to become somebody else")
    def test_a_user_who_may_not_ask(self):
        halves = self.halves()
        halves.tell()
        os.chmod(self.scratch.path("hot"), 0o770)
        status, text = self.ask(user=65534, group=65534, extra_groups=[])
        self.assertEqual((status, text.count("as a member of the group joulepost\n")), (1, 2))

    def test_a_tree_has_no_service(self):
        done = subprocess.run([rig.SANITIZED, "probe", "--health", "--root", self.scratch.dir], capture_output=True,
                              text=True, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stdout), (64, ""))
        self.assertIn("allowed: ", done.stderr)

    def test_a_true_agent_and_its_broker(self):
        broker = rig.Broker()
        self.addCleanup(broker.close)
        board = rig.AgxOrin(self.scratch)
        self.addCleanup(board.close)
        agent = rig.Agent({"mqtt.url": broker.url}, root=board.root, scratch=self.scratch)
        self.addCleanup(agent.close)
        self.config = agent.config
        status, text = rig.eventually(lambda: self.when(0, "link connected"), why=lambda: self.ask()[1] + agent.said())
        self.assertRegex(text, r"^healthy: 4 channels, a window \d\.\d s ago, \d+ waiting, link connected\n$")
        broker.stop()
        status, text = rig.eventually(lambda: self.when(0, "link connecting"), why=lambda: self.ask()[1] + agent.said())
        pid = agent.half("meter")
        os.kill(pid, signal.SIGSTOP)
        status, text = self.ask()
        os.kill(pid, signal.SIGCONT)
        self.assertEqual((status, "meter does not answer" in text), (1, True), text)
        self.assertEqual(agent.stop(), 0)
        self.assertEqual([what for _, what in self.faults()],
                         ["no meter runs: nothing is measured", "no post runs: nothing is delivered"])

    def when(self, wanted, words):
        """(status, text) as soon as it is so."""
        status, text = self.ask()
        return (status, text) if status == wanted and words in text else None


if __name__ == "__main__":
    unittest.main()
