#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every Jetson in every shape it was shipped with is called by its name, and its rails and total are what they are."""
import json
import os
import re
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

import rig

sys.path.insert(0, os.path.join(rig.TREE, "tests", "fixtures"))
import boards  # noqa: E402  (found by the line above)
import make_tree  # noqa: E402

TX1 = "NVIDIA Tegra X1"
TX2 = "NVIDIA Tegra X2"
ORIN = "Orin (nvgpu)"

# What the sources of docs/boards.md say, written down without a look at boards/*.conf. A rail: roles, what contains it,
# scope. A total: scope, rails.
INPUT_AND_TWO = {"VDD_IN": ("module", None, "module"), "VDD_CPU_GPU_CV": ("cpu gpu cv", "VDD_IN", "module"),
                 "VDD_SOC": ("soc", "VDD_IN", "module")}
AGX_ORIN = {"VDD_GPU_SOC": ("gpu soc", None, "module"), "VDD_CPU_CV": ("cpu cv", None, "module"),
            "VIN_SYS_5V0": ("io ram", None, "module"), "VDDQ_VDD2_1V8AO": ("ram", "VIN_SYS_5V0", "module")}
EXPECTED = {
    "jetson-tx1": ("NVIDIA Jetson TX1", "tegra210", TX1, False, {
        "VDD_IN": ("module", None, "module"), "VDD_GPU": ("gpu", "VDD_IN", "module"),
        "VDD_CPU": ("cpu", "VDD_IN", "module"), "VDD_MUX": ("io", None, "carrier"),
        "VDD_5V_IO_SYS": ("", "VDD_MUX", "carrier"), "VDD_3V3_SYS": ("", "VDD_MUX", "carrier"),
        "VDD_3V3_IO": ("", "VDD_3V3_SYS", "carrier"), "VDD_1V8_IO": ("", "VDD_5V_IO_SYS", "carrier"),
        "VDD_M2_IN": ("", "VDD_MUX", "carrier")}, ("board", ["VDD_IN", "VDD_MUX"])),
    "jetson-tx2": ("NVIDIA Jetson TX2 / TX2i / TX2 4GB", "tegra186", TX2, True, {
        "VDD_SYS_GPU": ("gpu", "VDD_IN", "module"), "VDD_SYS_SOC": ("soc", "VDD_IN", "module"),
        "VDD_4V0_WIFI": ("wifi", "VDD_IN", "module"), "VDD_IN": ("module", None, "module"),
        "VDD_SYS_CPU": ("cpu", "VDD_IN", "module"), "VDD_SYS_DDR": ("ram", "VDD_IN", "module"),
        "VDD_MUX": ("io", None, "carrier"), "VDD_5V0_IO_SYS": ("", "VDD_MUX", "carrier"),
        "VDD_3V3_SYS": ("", "VDD_MUX", "carrier"), "VDD_3V3_IO_SLP": ("", "VDD_3V3_SYS", "carrier"),
        "VDD_1V8_IO": ("", "VDD_5V0_IO_SYS", "carrier"), "VDD_M2_IN": ("", "VDD_MUX", "carrier")},
        ("board", ["VDD_IN", "VDD_MUX"])),
    "jetson-tx2-nx": ("NVIDIA Jetson TX2 NX", "tegra186", TX2, False, {
        "VDD_IN": ("module", None, "module"), "VDD_CPU_GPU": ("cpu gpu", "VDD_IN", "module"),
        "VDD_SOC": ("soc", "VDD_IN", "module")}, ("module", ["VDD_IN"])),
    "jetson-nano": ("NVIDIA Jetson Nano (4GB)", "tegra210", TX1, False, {
        "POM_5V_IN": ("module", None, "module"), "POM_5V_GPU": ("gpu", "POM_5V_IN", "module"),
        "POM_5V_CPU": ("cpu", "POM_5V_IN", "module")}, ("board", ["POM_5V_IN"])),
    "jetson-nano-2gb": ("NVIDIA Jetson Nano 2GB Developer Kit", "tegra210", TX1, True, {
        "cpu": ("cpu", None, "package"), "ram": ("ram", None, "system")}, ("system", ["cpu", "ram"])),
    "jetson-agx-xavier": ("NVIDIA Jetson AGX Xavier series", "tegra194", "Xavier", True, {
        "GPU": ("gpu", None, "module"), "CPU": ("cpu", None, "module"), "SOC": ("soc", None, "module"),
        "CV": ("cv", None, "module"), "VDDRQ": ("ram", None, "module"), "SYS5V": ("io", None, "module")},
        ("module", ["GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"])),
    "jetson-xavier-nx": ("NVIDIA Jetson Xavier NX", "tegra194", "Xavier", True, INPUT_AND_TWO, ("module", ["VDD_IN"])),
    "jetson-agx-orin": ("NVIDIA Jetson AGX Orin series", "tegra234", ORIN, True, AGX_ORIN,
                        ("module", ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"])),
    "igx-orin": ("NVIDIA IGX Orin (P3740 carrier, P3701-0002/-0008 module)", "tegra234", ORIN, False, {
        **AGX_ORIN, "CVB_ATX_12V": ("", None, "carrier"), "CVB_ATX_3V3": ("", None, "carrier"),
        "CVB_ATX_5V": ("", None, "carrier"), "CVB_ATX_12V_8P": ("", None, "carrier")},
        ("board", ["CVB_ATX_12V", "CVB_ATX_3V3", "CVB_ATX_5V", "CVB_ATX_12V_8P"])),
    "jetson-orin-nx": ("NVIDIA Jetson Orin NX", "tegra234", ORIN, True, INPUT_AND_TWO, ("module", ["VDD_IN"])),
    "jetson-orin-nano": ("NVIDIA Jetson Orin Nano", "tegra234", ORIN, True, INPUT_AND_TWO, ("module", ["VDD_IN"])),
    "jetson-agx-thor": ("NVIDIA Jetson AGX Thor Developer Kit (T5000)", "tegra264", "NVIDIA Thor", False, {
        "VDD_GPU": ("gpu", None, "module"), "VDD_CPU_SOC_MSS": ("cpu soc ram", None, "module"),
        "VIN_SYS_5V0": ("io", None, "module"), "VIN": ("board", None, "carrier")}, ("board", ["VIN"])),
}
# By tree and memory under JetPack 4, 5 and 7, by the module's EEPROM under 6.
MODULES = {
    ("jetson-tx1", 4): "NVIDIA Jetson TX1", ("jetson-tx2", 4): "NVIDIA Jetson TX2",
    ("jetson-tx2-nx", 4): "NVIDIA Jetson TX2 NX", ("jetson-nano", 4): "NVIDIA Jetson Nano (4 GB ram)",
    ("jetson-nano-2gb", 4): "NVIDIA Jetson Nano (2 GB ram)",
    ("jetson-agx-xavier", 4): "NVIDIA Jetson AGX Xavier (32 GB ram)",
    ("jetson-agx-xavier", 5): "NVIDIA Jetson AGX Xavier (32 GB ram)",
    ("jetson-xavier-nx", 4): "NVIDIA Jetson Xavier NX (Developer kit)",
    ("jetson-xavier-nx", 5): "NVIDIA Jetson Xavier NX (8 GB ram)",
    ("jetson-agx-orin", 5): "NVIDIA Jetson AGX Orin (32 GB ram)",
    ("jetson-agx-orin", 6): "NVIDIA Jetson AGX Orin (32 GB ram)",
    ("jetson-agx-orin", 7): "NVIDIA Jetson AGX Orin (32 GB ram)",
    ("igx-orin", 5): "NVIDIA Jetson IGX Orin (Developer kit)",
    ("igx-orin", 6): "AGX Orin Industrial module on P3740",
    ("jetson-orin-nx", 5): "NVIDIA Jetson Orin NX (16GB ram)",
    ("jetson-orin-nx", 6): "NVIDIA Jetson Orin NX (16GB ram)",
    ("jetson-orin-nx", 7): "NVIDIA Jetson Orin NX (16GB ram)",
    ("jetson-orin-nano", 5): "NVIDIA Jetson Orin Nano (8 GB ram)",
    ("jetson-orin-nano", 6): "NVIDIA Jetson Orin Nano (Developer kit)",
    ("jetson-orin-nano", 7): "NVIDIA Jetson Orin Nano (Developer kit)",
    ("jetson-agx-thor", 7): "NVIDIA Jetson AGX Thor (Developer kit)",
}
UNVERIFIED = {"jetson-tx2-nx": {"VDD_IN", "VDD_CPU_GPU", "VDD_SOC"},
              "jetson-agx-thor": {"VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0", "VIN"}}


class BoardsTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.scratch = rig.Scratch()
        self.addCleanup(self.scratch.close)
        self.config = self.scratch.write("joulepost.conf", 'paths = { hot = "/dev/shm/joulepost"; };\n')

    def probe(self, root):
        done = subprocess.run([rig.SANITIZED, "probe", "--json", "--root", root, "-c", self.config],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def tree(self, board, jetpack, compatible=None):
        root = self.scratch.path(f"{board}-{jetpack}-{len(os.listdir(self.scratch.dir))}")
        boards.make(board, jetpack, root)
        if compatible:
            make_tree.put_tree(root, "A Board", compatible)
        return root

    def check(self, board, jetpack, seen):
        name, soc, gpu, verified, rails, (scope, members) = EXPECTED[board]
        modelled = board == "jetson-nano-2gb"
        self.assertEqual(seen["board"], {"id": board, "name": name, "module": MODULES[board, jetpack], "soc": soc,
                                         "verified": verified})
        self.assertEqual(seen["gpu"], {"count": 1, "name": gpu})
        self.assertEqual({channel["name"]: (" ".join(sorted(channel["roles"])), channel["part_of"], channel["scope"])
                          for channel in seen["channels"]},
                         {rail: (" ".join(sorted(roles.split())), *rest) for rail, (roles, *rest) in rails.items()})
        self.assertEqual({channel["name"] for channel in seen["channels"] if not channel.get("verified", True)},
                         UNVERIFIED.get(board, set()))
        self.assertEqual((seen["total"]["scope"], seen["total"]["method"], sorted(seen["total"]["channels"])),
                         (scope, "modelled" if modelled else "measured", sorted(members)))
        self.assertEqual([problem["what"] for problem in seen["problems"]],
                         ["nothing is measured: this board has no power sensor"] if modelled else [])
        if not modelled:
            self.assertIn("gpu_load", seen["drivers"])
            self.assertEqual([channel["name"] for channel in seen["channels"] if channel["power_w"] is None], [])

    def check_gpu_files(self, board, root):
        """Of the files where the profile looks for load and frequency, this kernel has one each."""
        with open(os.path.join(rig.TREE, "boards", f"{board}.conf"), encoding="utf-8") as file:
            paths = re.findall(r'"(/sys/[^"]+)"', file.read())
        for name in "load", "cur_freq":
            self.assertTrue([path for path in paths if path.endswith(f"/{name}") and os.path.exists(root + path)], name)

    def test_every_board_in_every_shape_is_itself(self):
        self.assertEqual(sorted(boards.shapes()), sorted(MODULES))
        self.assertEqual(set(EXPECTED), {board for board, _jetpack in MODULES})
        roots = [self.tree(*shape) for shape in boards.shapes()]
        with ThreadPoolExecutor(4) as pool:  # a look waits more than it works
            seen = list(pool.map(self.probe, roots))
        for (board, jetpack), root, shown in zip(boards.shapes(), roots, seen):
            with self.subTest(f"{board} JetPack {jetpack}"):
                self.check(board, jetpack, shown)
                self.check_gpu_files(board, root)

    def test_jetpack_4_has_the_steps_of_the_profiles_shunts(self):
        seen = self.probe(self.tree("jetson-tx2", 4))
        steps = {channel["name"]: channel["resolution_mw"] for channel in seen["channels"]}
        # 40 uV over 10, 5 and 20 mOhm are 4, 8 and 2 mA, at about 19.1 V.
        self.assertEqual([steps[name] for name in ("VDD_SYS_GPU", "VDD_IN", "VDD_MUX")],
                         [76.544, 153.152, 38.32])

    def test_a_mixed_processor_is_counted_once(self):
        done = subprocess.run([rig.SANITIZED, "probe", "--root", self.tree("jetson-tx2", 4), "-c", self.config],
                              capture_output=True, text=True, timeout=30, check=True)
        self.assertIn("\n  cpu      2 x NVIDIA Denver 2 + 4 x Arm Cortex-A57\n", done.stdout)

    def test_power_is_what_the_chips_say(self):
        for board, jetpack, watts in (
                ("jetson-tx2", 4, {"VDD_IN": 1.072064, "VDD_SYS_CPU": 0.153024, "VDD_SYS_DDR": 0.19104}),
                ("jetson-xavier-nx", 5, {"VDD_IN": 3.0, "VDD_CPU_GPU_CV": 0.76, "VDD_SOC": 1.24}),
                ("igx-orin", 6, {"CVB_ATX_12V": 12.0, "CVB_ATX_5V": 2.5, "CVB_ATX_12V_8P": 7.2}),
                ("jetson-agx-thor", 7, {"VDD_GPU": -0.392, "VIN": 23.128})):
            with self.subTest(f"{board} JetPack {jetpack}"):
                seen = {channel["name"]: channel["power_w"] for channel in
                        self.probe(self.tree(board, jetpack))["channels"]}
                for rail, value in watts.items():
                    self.assertAlmostEqual(seen[rail], value, delta=0.001)

    def test_nano_2gb_wins_where_its_tree_lists_nano(self):
        # The mainline tree of linux-tegra's patch that adds tegra210-p3541-0000.dts.
        seen = self.probe(self.tree("jetson-nano-2gb", 4, ["nvidia,p3541-0000", "nvidia,p3450-0000", "nvidia,tegra210"]))
        self.check("jetson-nano-2gb", 4, seen)

    def test_the_order_of_entries_means_nothing(self):
        for order in (["nvidia,p3740-0002-c01+p3701-0008", "nvidia,tegra23x", "nvidia,tegra234"],
                      ["nvidia,tegra234", "nvidia,tegra23x", "nvidia,p3740-0002-c01+p3701-0008"],
                      ["nvidia,p3701-0008", "nvidia,p3740-0002+p3701-0008", "nvidia,tegra234"]):
            with self.subTest(order):
                seen = self.probe(self.tree("igx-orin", 5, order))
                self.assertEqual(seen["board"]["id"], "igx-orin")
                self.assertEqual(seen["board"]["module"], "AGX Orin Industrial module on P3740")
                self.assertEqual(seen["problems"], [])

    def test_clara_agx_is_an_agx_xavier(self):
        # L4T 35 tegra194-p2888-0004-e3900-0000.dts
        seen = self.probe(self.tree("jetson-agx-xavier", 5, ["nvidia,e3900-0000+p2888-0004", "nvidia,galen",
                                                             "nvidia,jetson-xavier", "nvidia,tegra194"]))
        self.check("jetson-agx-xavier", 5, seen)

    def test_trees_that_nobody_described_show_rails_and_no_total(self):
        # An emulation tree of L4T 35 lists nothing but itself and the SoC: tegra234-p3701-0000-as-p3767-0003-*.dts.
        # Its other entries would decide, so with the module's own it is what it runs on.
        emulated = "nvidia,p3737-0000+p3701-0000-as-p3767-0003"
        for compatible in ([emulated, "nvidia,tegra234", "nvidia,tegra23x"], ["nvidia,p9999-0000", "nvidia,tegra234"],
                           ["example,board", "example,soc"], [emulated]):
            with self.subTest(compatible):
                seen = self.probe(self.tree("jetson-agx-orin", 5, compatible))
                self.assertEqual((seen["board"]["id"], seen["board"]["name"], seen["board"]["verified"]),
                                 ("generic-arm", "A Board", False))
                self.assertEqual({channel["name"] for channel in seen["channels"]}, set(AGX_ORIN))
                self.assertIsNone(seen["total"])
                self.assertEqual(seen["gpu"], {"count": None, "name": None})
                self.assertEqual([problem["where"] for problem in seen["problems"]], ["A Board"])
        seen = self.probe(self.tree("jetson-agx-orin", 5, [emulated, "nvidia,p3701-0000", "nvidia,tegra234"]))
        self.check("jetson-agx-orin", 5, seen)

    def test_another_carrier_leaves_the_modules_total(self):
        root = self.tree("jetson-tx2", 4)
        for client in "0-0042", "0-0043":
            for place in f"/sys/bus/i2c/devices/{client}", f"/sys/bus/i2c/drivers/ina3221x/{client}":
                os.unlink(root + place)
        for device in "iio:device2", "iio:device3":
            os.unlink(f"{root}/sys/bus/iio/devices/{device}")
        seen = self.probe(root)
        self.assertEqual(seen["total"], {"scope": "module", "method": "measured", "channels": ["VDD_IN"]})
        self.assertFalse(seen["board"]["verified"])
        self.assertIn("missing: VDD_MUX", seen["problems"][0]["what"])

    def test_mainline_names_are_the_same_rails(self):
        """TX2 and TX2 NX on a mainline kernel: other labels, other bus numbers, and a wrong shunt that is told."""
        root = self.tree("jetson-tx2", 4, ["nvidia,p2771-0000", "nvidia,tegra186"])
        subprocess.run(["rm", "-rf", f"{root}/sys/bus", f"{root}/sys/devices/3160000.i2c"], check=True)
        make_tree.put_ina3221(root, "1-0040", "hwmon0", "i2c@3160000", [
            ("VDD_SYS_GPU", 19136, 8, 10000), ("VDD_SYS_SOC", 19144, 20, 10000), ("VDD_3V8_WIFI", 4784, 8, 10000)])
        make_tree.put_ina3221(root, "1-0041", "hwmon1", "i2c@3160000", [
            ("VDD_IN", 19144, 56, 5000), ("VDD_SYS_CPU", 19128, 8, 10000), ("VDD_5V0_DDR", 4776, 40, 10000)])
        seen = self.probe(root)
        self.assertEqual({channel["name"] for channel in seen["channels"]},
                         {"VDD_SYS_GPU", "VDD_SYS_SOC", "VDD_4V0_WIFI", "VDD_IN", "VDD_SYS_CPU", "VDD_SYS_DDR"})
        root = self.tree("jetson-tx2-nx", 4)
        subprocess.run(["rm", "-rf", f"{root}/sys/bus", f"{root}/sys/devices/3180000.i2c"], check=True)
        make_tree.put_ina3221(root, "3-0040", "hwmon0", "i2c@3180000", [
            ("VDD_IN", 5000, 400000, 5), ("VDD_CPU_GPU", 5000, 104000, 5), ("VDD_SOC", 5000, 120000, 5)])
        seen = self.probe(root)
        self.assertEqual([(problem["where"], "shunt of 5 micro-ohm, this board has 5000" in problem["what"])
                          for problem in seen["problems"]],
                         [("VDD_IN", True), ("VDD_CPU_GPU", True), ("VDD_SOC", True)])


if __name__ == "__main__":
    unittest.main()
