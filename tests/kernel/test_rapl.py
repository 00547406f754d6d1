#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Energy counters behind the kernel's powercap core: 0400 and who may read, energies to the mJ, wraps, resets, failing
reads, zones that go away and come back, and counters that come twice. Debian's arm64 kernels have no powercap."""
import json
import re
import unittest

from guest import Guest, main
from rig import eventually
from windows import causes

TOP = "/sys/class/powercap"
PARAMETERS = "/sys/module/rig_rapl/parameters"
IN_TOTAL = {"package-0", "package-1", "dram-0", "dram-1"}
NAMES = IN_TOTAL | {"core-0", "uncore-0", "psys"}
WINDOW_MS = 250
SETTINGS = {"drivers": ["rapl_powercap"], "sampling.window_ms": WINDOW_MS, "sampling.block_windows": 4}
KEYS = {"package-0": "package-0", "core-0": "core", "uncore-0": "uncore", "dram-0": "dram", "package-1": "package-1",
        "dram-1": "dram-1", "psys": "psys"}


class Counters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["i2c-dev", "i2c-stub chip_addr=0x40"], extra_modules=["rig_rapl", "ina3221"])
        cls.addClassCleanup(cls.guest.close)

    def setUp(self):
        self.agents = 0

    def load(self, **parameters):
        self.guest.modprobe("rig_rapl " + " ".join(f"{key}={value}" for key, value in parameters.items()))
        self.addCleanup(self.guest.run, "rmmod rig_rapl")

    def tell(self, *words):
        self.guest.write(f"{PARAMETERS}/tell", " ".join(map(str, words)))

    def state(self):
        """{channel: uJ before any wrap}"""
        lines = [line.split() for line in self.guest.read(f"{PARAMETERS}/state").splitlines()]
        uj = {key: int(total) for key, total, _ in lines}
        return {name: uj[key] for name, key in KEYS.items()}

    def begin(self, **more):
        user = more.pop("user", "u")
        name = re.sub(r"\W", "-", self.id().rpartition(".")[2]) + str(self.agents)
        self.agents += 1
        agent = self.guest.agent({**SETTINGS, "user": user, **more}, name=name)
        self.addCleanup(lambda: agent.job.running() and agent.kill())
        return agent

    def pass_windows(self, agent, count=3):
        """So many whole windows more."""
        agent.wait_windows(agent.live()["seq"] + 1 + count)

    def end(self, agent):
        self.assertEqual(agent.stop(), 0, agent.log())
        return agent.dump()

    def energies(self, windows, names=NAMES):
        """{channel: mJ}; what is not known is no zero, and adds nothing."""
        return {name: sum(window["energy_mj"][name] or 0 for window in windows) for name in names}

    def check_exact(self, windows, before, after, names=NAMES):
        self.assertEqual(self.energies(windows, names), {name: (after[name] - before[name]) // 1000 for name in names})

    def check_covered(self, windows, names=NAMES):
        for name in names:
            self.assertEqual(causes(windows, name), set(), name)

    def meter(self):
        """The pid of the running meter."""
        return self.guest.run("grep -l '^jp-meter$' /proc/[0-9]*/comm").split("/")[2]


class Reading(Counters):
    def test_root_opens_and_the_user_reads(self):
        self.load()
        guest = self.guest
        for zone in guest.run(f"ls {TOP} | grep :").split():
            self.assertEqual(guest.run(f"stat -c '%a %u' {TOP}/{zone}/energy_uj"), "400 0")
        self.assertNotEqual(guest.try_run(f"su -s /bin/sh u -c 'cat {TOP}/intel-rapl:0/energy_uj'")[0], 0)
        agent = self.begin()
        status = guest.read(f"/proc/{self.meter()}/status")
        self.assertRegex(status, r"(?m)^Uid:\t1000\t1000\t1000\t1000$")
        self.assertRegex(status, r"(?m)^Cap(Prm|Eff):\t0{16}$")
        self.assertEqual(len(re.findall(r"CapPrm:\t0{16}\nCapEff:\t0{16}", status)), 1)
        before = self.state()
        for i, key in enumerate(KEYS.values()):
            self.tell("add", key, 1234567 * (i + 1) + i)
        self.pass_windows(agent)
        after = self.state()
        windows = self.end(agent)
        self.assertEqual(set(windows[0]["energy_mj"]), NAMES | {"total"})
        self.check_exact(windows, before, after)
        self.check_covered(windows)
        for window in windows:
            self.assertEqual(window["energy_mj"]["total"], sum(window["energy_mj"][name] for name in IN_TOTAL))
        guest.proved("rapl_powercap", "0400: opened as root, read as a user without a capability, exact to the mJ; psys, "
                     "parts and a twin of intel-rapl-mmio are in no total")

    def test_a_power_over_time_and_a_step_a_read(self):
        self.load()
        agent = self.begin()
        before = self.state()
        for key, mw in (("package-0", 20000), ("core", 12000), ("dram", 3001), ("psys", 31000)):
            self.tell("power", key, mw * 1000)
        self.tell("step", "package-1", 1234567)
        self.pass_windows(agent, 8)
        for key in ("package-0", "core", "dram", "psys"):
            self.tell("power", key, 0)
        self.tell("step", "package-1", 0)
        self.pass_windows(agent)
        after = self.state()
        windows = self.end(agent)
        self.check_exact(windows, before, after)
        self.check_covered(windows)
        self.assertGreaterEqual(after["package-1"] - before["package-1"], 8 * 1234567)

    def test_wraps_between_two_reads_of_a_window(self):
        """A counter of 60 J under 25 W, where up to 30 W are believed: it is read twice as often as it could go round."""
        self.load(range_uj=60000000, max_power_uw=20000000)
        agent = self.begin(**{"sampling.window_ms": 4000})
        before = self.state()
        for key in ("package-0", "package-1"):
            self.tell("power", key, 25000000)
        eventually(lambda: self.state()["package-1"] - before["package-1"] > 250000000, 60, "the counter does not go on")
        for key in ("package-0", "package-1"):
            self.tell("power", key, 0)
        self.pass_windows(agent, 2)
        after = self.state()
        windows = self.end(agent)
        self.check_exact(windows, before, after)
        self.check_covered(windows, {"package-0", "package-1"})  # those at rest may be unsure after a stall of 2 s
        self.guest.proved("rapl_powercap", "four wraps of a 60 J counter in windows longer than one, exact")

    def test_a_counter_too_small_to_be_told_is_not_guessed(self):
        """0.1 J goes round in 3.3 ms at what is believed: nobody can say how often it did."""
        self.load(range_uj=100000, max_power_uw=20000000)
        self.tell("power", "package-0", 20000000)
        agent = self.begin()
        self.pass_windows(agent, 4)
        windows = self.end(agent)
        self.assertIn("a counter may wrap faster than it can be read", agent.log())
        self.assertEqual(causes(windows, "package-0"), {"reset"})
        for window in windows:  # what two passes close together tell is right, and no more is said than that
            self.assertLessEqual(window["energy_mj"]["package-0"] or 0, 20 * window["covered_ms"].get("package-0", window["span_ms"]) + 200)

    def test_a_reset_adds_nothing_and_is_told(self):
        self.load()
        agent = self.begin()
        before = self.state()
        self.tell("add", "package-0", 50000000)
        self.pass_windows(agent)
        self.tell("set", "package-0", 1000)
        self.pass_windows(agent)
        self.tell("add", "package-0", 7654321)
        self.tell("add", "package-1", 1000)
        self.pass_windows(agent)
        after = self.state()
        windows = self.end(agent)
        self.assertEqual(self.energies(windows, {"package-0"}), {"package-0": 57654})
        self.assertEqual(causes(windows, "package-0"), {"reset"})
        self.check_exact(windows, before, after, NAMES - {"package-0"})
        self.check_covered(windows, NAMES - {"package-0"})
        self.guest.proved("rapl_powercap", "a counter that begins again adds nothing and is told: reset")

    def test_failing_reads_lose_no_energy(self):
        """EIO in the driver is EINVAL here, as every failure of a powercap driver is."""
        self.load()
        agent = self.begin()
        before = self.state()
        self.tell("fail", "package-1", 5)
        self.assertIn("Invalid argument", self.guest.try_run(f"cat {TOP}/intel-rapl:2/energy_uj")[1])
        self.tell("add", "package-1", 3000000)
        self.pass_windows(agent, 6)
        self.assertIn("package-1: reading fails (Invalid argument)", agent.log())
        self.assertRegex(self.guest.run("joulepost probe"), r"! package-1: .*,\s+or\s+its\s+driver\s+cannot\s+read\s+it\s+\(EINVAL\)")
        self.tell("fail", "package-1", 0)
        eventually(lambda: "package-1: reading works again" in agent.log(), 30, agent.log)
        self.pass_windows(agent)
        after = self.state()
        windows = self.end(agent)
        self.check_exact(windows, before, after)
        self.assertEqual(causes(windows, "package-1"), {"read_error"})
        self.check_covered(windows, NAMES - {"package-1"})
        for window in windows:
            if window["covered_ms"].get("package-1") == 0:
                self.assertIsNone(window["energy_mj"]["package-1"])
        self.guest.proved("rapl_powercap", "failing reads (EINVAL) are missing, and their energy is there when they end")


class Zones(Counters):
    def take_away(self, agent):
        """package-1 with its dram is gone for some windows, and its counters go on."""
        self.tell("add", "package-1", 1000000)
        self.pass_windows(agent)
        self.tell("gone", "package-1")
        self.assertNotEqual(self.guest.try_run(f"ls {TOP}/intel-rapl:2")[0], 0)
        self.tell("add", "package-1", 2345678)
        self.tell("add", "package-0", 2000000)
        eventually(lambda: "package-1: reading fails (No such device)" in agent.log(), 30, agent.log)
        self.tell("back", "package-1")
        self.assertEqual(self.guest.read(f"{TOP}/intel-rapl:2/name"), "package-1")

    def check_hole(self, windows):
        for name in ("package-1", "dram-1"):
            self.assertEqual(causes(windows, name), {"read_error"})
        self.check_covered(windows, NAMES - {"package-1", "dram-1"})

    def test_a_zone_that_comes_back_is_read_again(self):
        self.load()
        agent = self.begin(user="root")
        before = self.state()
        self.take_away(agent)
        eventually(lambda: agent.log().count("reading works again") == 2, 60, agent.log)
        self.tell("add", "dram-1", 11000)
        self.pass_windows(agent)
        after = self.state()
        windows = self.end(agent)
        self.assertEqual(len({window["run"] for window in windows}), 1)
        self.check_exact(windows, before, after)
        self.check_hole(windows)
        self.guest.proved("rapl_powercap", "a package that goes away is missing alone, is read again when it is back, and no "
                          "energy is lost")

    def test_a_zone_that_comes_back_for_root_alone_is_opened_by_root(self):
        self.load()
        agent = self.begin()
        before = self.state()
        self.take_away(agent)
        eventually(lambda: "it came back, for root alone: beginning anew to open it" in agent.log(), 60, agent.log)
        eventually(lambda: self.guest.try_run(f"ask {agent.hot}/control live")[0] == 0 and agent.live()["seq"] is not None, 30,
                   agent.log)
        self.tell("add", "dram-1", 11000)
        self.pass_windows(agent)
        after = self.state()
        windows = self.end(agent)
        self.assertEqual(len({window["run"] for window in windows}), 2)
        self.check_exact(windows, before, after)
        self.check_hole(windows)
        self.guest.proved("rapl_powercap", "a package that comes back 0400 is opened again by the agent, which is still root")

    def test_a_zone_for_the_group_is_read_again_without_root(self):
        """As the udev rule has it for the units: meter alone, that was never root."""
        self.load()
        self.guest.run(f"chgrp joulepost {TOP}/intel-rapl*/energy_uj; chmod 0440 {TOP}/intel-rapl*/energy_uj")
        name = "for-the-group"
        agent = self.guest.agent(SETTINGS, name=name, verb="meter", user="joulepost-meter")
        self.addCleanup(lambda: agent.job.running() and agent.kill())
        self.take_away(agent)
        eventually(lambda: "it came back, and this user may not open it" in agent.log(), 60, agent.log)
        self.guest.run(f"chgrp joulepost {TOP}/intel-rapl:2*/energy_uj; chmod 0440 {TOP}/intel-rapl:2*/energy_uj")
        eventually(lambda: agent.log().count("reading works again") == 2, 90, agent.log)
        self.assertEqual(agent.stop(), 0, agent.log())

    def test_another_zone_in_its_place_is_not_taken_for_it(self):
        """Two go away and come back the other way round: the kernel gives the lowest free number."""
        self.load()
        agent = self.begin(user="root")
        before = self.state()
        for zone in ("package-1", "psys"):
            self.tell("gone", zone)
        for zone in ("package-1", "psys"):
            self.tell("back", zone)
        self.assertEqual(self.guest.read(f"{TOP}/intel-rapl:1/name"), "package-1")
        self.tell("add", "package-1", 1000000)
        self.tell("add", "psys", 5000000)
        self.pass_windows(agent, 8)
        windows = self.end(agent)
        self.assertEqual(self.energies(windows, {"package-1", "psys"}), {"package-1": 0, "psys": 0})
        self.check_covered(windows, {"package-0", "core-0", "uncore-0", "dram-0"})
        self.assertEqual(before["package-0"], self.state()["package-0"])

    def test_a_counter_that_comes_twice_counts_once(self):
        self.load()
        for key, mw in (("package-0", 20000), ("dram", 3000), ("dram-1", 2000)):
            self.tell("power", key, mw * 1000)
        self.tell("show", "package-1", "package-0")
        probe = json.loads(self.guest.run("joulepost probe --json"))
        names = {one["name"] for one in probe["channels"] if one["method"] == "measured"}
        self.assertEqual(names, NAMES - {"package-1"})
        told = [one for one in probe["problems"] if one["where"] == "package-0"]
        self.assertEqual(len(told), 1, probe["problems"])
        self.assertIn("comes again as package-1", told[0]["what"])
        self.assertTrue(told[0]["remedy"])
        agent = self.begin()
        self.assertIn("the same counter comes again as package-1", agent.log())
        self.pass_windows(agent)
        windows = self.end(agent)
        for window in windows:
            self.assertEqual(window["energy_mj"]["total"], sum(window["energy_mj"][name] for name in IN_TOTAL - {"package-1"}))
        self.guest.proved("rapl_powercap", "a counter that two packages show is proved to be one, told, and counted once")

    def test_a_restart_in_the_same_boot_goes_on_from_the_last_counter(self):
        self.load()
        agent = self.begin()
        before = self.state()
        for kill in (True, False):
            self.tell("add", "package-0", 4000999)
            self.pass_windows(agent)
            if kill:
                meter = self.meter()
                agent.kill("KILL")
                eventually(lambda: self.guest.try_run(f"test -d /proc/{meter}")[0] != 0, 30, "meter outlives the agent")
            else:
                self.assertEqual(agent.stop(), 0, agent.log())
            self.tell("add", "package-0", 2000501)
            self.tell("add", "dram", 700)
            agent.start()
        self.pass_windows(agent)
        after = self.state()
        windows = self.end(agent)
        self.assertEqual(len({window["run"] for window in windows}), 3)
        # Each run counts whole mJ from its own begin on: less than one is lost a run.
        for name, mj in self.energies(windows).items():
            self.assertIn(mj, range((after[name] - before[name]) // 1000 - 2, (after[name] - before[name]) // 1000 + 1), name)
        self.check_covered(windows)
        self.guest.proved("rapl_powercap", "a killed and a stopped agent go on from the last counter of the same boot")


class Unprivileged(Counters):
    def test_probe_explains_and_the_models_go_on(self):
        self.load()
        out = self.guest.run("su -s /bin/sh u -c 'joulepost probe'")
        self.assertRegex(out, r"! /sys/class/powercap/intel-rapl:0/energy_uj: rapl_powercap cannot be opened:\s+Permission denied")
        self.assertIn("-> run as root; for the service 60-joulepost.rules", out)
        self.assertRegex(out, r"(?m)^\+ cpu .* modelled")
        agent = self.guest.agent({"sampling.window_ms": 500}, user="u", name="unprivileged-models")
        self.addCleanup(lambda: agent.job.running() and agent.kill())
        agent.wait_windows(5)
        windows = self.end(agent)
        self.assertEqual(set(windows[0]["energy_mj"]), {"cpu", "ram", "total"})
        self.assertGreater(windows[-2]["energy_mj"]["total"], 0)

    def test_rails_go_on(self):
        self.load()
        guest, bus = self.guest, self.guest.bus("SMBus stub")
        guest.run(f"i2creg {bus} 0x40 0x00=0x7127 0x01=0x0640 0x02=0x12c0 0xfe=0x5449 0xff=0x3220")
        guest.modprobe("ina3221")
        self.addCleanup(guest.run, "rmmod ina3221")
        guest.write(f"/sys/bus/i2c/devices/i2c-{bus}/new_device", "ina3221 0x40")
        self.addCleanup(guest.write, f"/sys/bus/i2c/devices/i2c-{bus}/delete_device", "0x40")
        guest.run(f"i2creg -f {bus} 0x40 0x0f=0x0001")
        out = guest.run("su -s /bin/sh u -c 'joulepost probe'")
        self.assertRegex(out, r"rapl_powercap cannot be opened:\s+Permission denied")
        agent = guest.agent({"sampling.window_ms": 500, "sampling.interval_ms": 50}, user="u", name="unprivileged-rails")
        self.addCleanup(lambda: agent.job.running() and agent.kill())
        agent.wait_windows(5)
        windows = self.end(agent)
        for window in windows[1:5]:
            self.assertAlmostEqual(window["energy_mj"]["ina3221-40.1"], 3840 * window["span_ms"] / 1000, delta=1)
        guest.proved("rapl_powercap", "a user who may not read is told why, and the rails and models go on")


if __name__ == "__main__":
    main()
