#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's own clocks: suspend, a halt of meter, and a wall clock that is set while the agent runs.

Debian's amd64 guest is suspended as far as a guest without firmware for it goes (pm_test "core": all devices and the
clocks are, the processor waits); arm64's has suspend-to-idle alone, in which its clocks go on: a halt, not a suspend."""
import re
import time
import unittest

from guest import ARCH, Guest, main

SETTINGS = {"sampling.interval_ms": 100, "sampling.window_ms": 500, "sampling.block_windows": 4}
RAIL, POWER_MW = "ina3221-40.1", 3840  # 8 mV over 10 mOhm at 4.8 V
SUSPEND = {
    "amd64": "echo core > /sys/power/pm_test; echo mem > /sys/power/state; echo none > /sys/power/pm_test",
    "arm64": "echo +6 > /sys/class/rtc/rtc0/wakealarm; echo freeze > /sys/power/state",
}[ARCH]


class Clocks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = guest = Guest(modules=["i2c-dev", "i2c-stub chip_addr=0x40", "ina3221"])
        cls.addClassCleanup(guest.close)
        bus = guest.bus("SMBus stub")
        guest.run(f"i2creg {bus} 0x40 0x00=0x7127 0x01=0x0640 0x02=0x12c0 0x0f=0x0001 0xfe=0x5449 0xff=0x3220")
        guest.write(f"/sys/bus/i2c/devices/i2c-{bus}/new_device", "ina3221 0x40")

    def setUp(self):
        self.agent = self.guest.agent(SETTINGS, name=self.id().rpartition(".")[2].replace("_", "-"))
        self.agent.wait_windows(3)

    def end(self):
        self.agent.wait_windows(self.agent.live()["seq"] + 5)
        self.assertEqual(self.agent.stop(), 0, self.agent.log())
        return self.in_order(self.agent.dump())

    def in_order(self, windows):
        """Window follows window in number and in time, and energy is that of the time that was covered."""
        self.assertEqual([one["seq"] for one in windows], list(range(len(windows))))
        for one, following in zip(windows, windows[1:]):
            self.assertEqual(one["boot_ms"] + one["span_ms"], following["boot_ms"])
        for one in windows:
            covered = one.get("covered_ms", {}).get(RAIL, one["span_ms"])
            self.assertAlmostEqual(one["energy_mj"][RAIL] or 0, POWER_MW * covered / 1000, delta=5, msg=one)
        return windows

    def holes(self, windows):
        """{cause: ms not covered}, of holes longer than a late read."""
        out = {}
        for one in windows:
            missing = one["span_ms"] - one.get("covered_ms", {}).get(RAIL, one["span_ms"])
            if missing > 1000:
                out[one["cause"][RAIL]] = out.get(one["cause"][RAIL], 0) + missing
        return out

    def clocks(self):
        """(BOOTTIME, MONOTONIC) in s."""
        text = self.guest.run("cut -d' ' -f1 /proc/uptime; grep -m1 'now at' /proc/timer_list")
        return float(text.split()[0]), int(re.search(r"now at (\d+)", text).group(1)) / 1e9

    def test_suspend(self):
        before = self.clocks()
        self.guest.run(SUSPEND, seconds=120)
        after = self.clocks()
        away, stood = after[0] - before[0], (after[0] - before[0]) - (after[1] - before[1])
        windows = self.end()
        self.assertGreater(away, 3)
        if ARCH == "amd64":
            self.assertGreater(stood, 3)  # MONOTONIC did not count it
            self.assertEqual(set(self.holes(windows)), {"suspend"})
        else:
            self.assertLess(stood, 1)
            self.assertEqual(set(self.holes(windows)), {"stall"})
        self.assertAlmostEqual(sum(self.holes(windows).values()), away * 1000, delta=1500)
        self.guest.proved("clocks", "suspend (pm_test core): a hole \"suspend\", no energy in it" if ARCH == "amd64" else
                          "suspend-to-idle with the clocks going on: a hole \"stall\", no energy in it")

    def test_a_halt_of_meter(self):
        pid = self.guest.run("grep -l jp-meter /proc/[0-9]*/comm").split("/")[2]
        self.guest.run(f"kill -STOP {pid}; sleep 5; kill -CONT {pid}", seconds=60)
        holes = self.holes(self.end())
        self.assertEqual(set(holes), {"stall"})
        self.assertGreater(holes["stall"], 4000)
        self.guest.proved("clocks", "meter halted for 5 s: a hole \"stall\", no energy in it")

    def test_the_wall_clock_is_set(self):
        guest, now = self.guest, int(time.time())
        for moment in (315532800, now + 30 * 86400, now - 3600):  # 1980, far ahead, and back
            guest.run(f"date -s @{moment}")
            self.agent.wait_windows(self.agent.live()["seq"] + 5)
        windows = self.end()
        self.assertEqual({one["clock"] for one in windows}, {"unsynced"})
        times = [one["t_ms"] for one in windows]
        self.assertIn(None, times)  # nobody believes 1980
        known = [t_ms for t_ms in times if t_ms is not None]
        self.assertGreater(min(known), (now - 86400) * 1000)
        self.assertGreater(max(known), (now + 29 * 86400) * 1000)

        # Then a time daemon sets it right: what was before is known as well as that tells it.
        guest.run(f"date -s @{int(time.time())}; synced")
        self.agent.start()
        self.agent.wait_windows(3)
        real_ms = int(guest.run("date +%s")) * 1000 - self.clocks()[0] * 1000  # of this boot
        self.agent.wait_windows(6)
        self.assertEqual(self.agent.stop(), 0, self.agent.log())
        both = self.agent.dump()
        last = both[-1]["run"]
        for one in both:
            self.assertEqual(one["clock"], "synced" if one["run"] == last else "estimated", one)
            self.assertAlmostEqual(one["t_ms"] - one["boot_ms"], real_ms, delta=2500)
        guest.proved("clocks", "set to 1980, far ahead and back while it runs: windows stay in order, times are unsynced, and estimated "
                     "once the clock is synchronized")


if __name__ == "__main__":
    main()
