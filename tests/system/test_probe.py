#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""probe on trees of machines: what it shows to people and to programs, and how it ends."""
import json
import os
import subprocess
import sys
import unittest

import rig

sys.path.insert(0, os.path.join(rig.TREE, "tests", "fixtures"))
import make_tree  # noqa: E402  (found by the line above)

META = {"device", "board", "gpu", "cpu", "ram_bytes", "os", "power_mode", "channels", "total", "factor", "spool_id"}
CHANNEL = {"name", "roles", "part_of", "scope", "method", "resolution_mw", "power_w"}
CHIP = "/sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon10"


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
        self.assertEqual(set(seen), META | {"drivers", "problems"})
        for channel in seen["channels"]:
            self.assertLessEqual(CHANNEL, set(channel))
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
        self.assertRegex(plain, r"\+ VDD_CPU_CV +2\.200 W .*, calibrated x2 -80 mW\n")
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
        self.assertEqual([problem["where"] for problem in seen["problems"]], ["Some Board"])
        self.assertIn("boards.md", seen["problems"][0]["remedy"])

    def test_this_machine_has_a_total_measured_or_modelled(self):
        self.root = ""
        done = subprocess.run([rig.SANITIZED, "probe", "--json", "-c", self.config], capture_output=True, text=True,
                              timeout=30, check=True)
        seen = json.loads(done.stdout)
        self.assertIn(seen["total"]["method"], ("measured", "modelled"))
        for channel in seen["channels"]:
            self.assertEqual("tdp_w" in channel, channel["method"] == "modelled")

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

    def test_plain_output_names_channels_total_and_remedies_on_one_screen(self):
        make_tree.make("agx-orin-jp6", self.root)
        done = self.run_probe()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for text in "VDD_GPU_SOC", "inside VIN_SYS_5V0", "7.652 W", "Orin (nvgpu)", "jetson-agx-orin":
            self.assertIn(text, done.stdout)
        self.assertLessEqual(len(done.stdout.splitlines()), 24)

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


if __name__ == "__main__":
    unittest.main()
