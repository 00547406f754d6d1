# SPDX-License-Identifier: Apache-2.0
"""Counters that wrap, start again or cannot be read: the right energy to the mJ, and the reason beside it."""
import os
import time
import unittest

from rig import Agent, Board, Broker, Scratch, Subscriber, eventually

RANGE_UJ = 262143328850
WINDOW_S = 0.5


class Counter(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.close)
        self.board = Board(self.scratch)
        self.addCleanup(self.board.close)
        self.zone = self.board.rapl("intel-rapl:0", "package-0", 0, RANGE_UJ)
        self.board.text("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Made CPU\n\n")
        self.broker = Broker()
        self.addCleanup(self.broker.close)
        self.subscriber = Subscriber(self.broker.port)
        self.addCleanup(self.subscriber.close)

    def set(self, uj):
        self.uj = uj
        self.board.number(f"{self.zone}/energy_uj", uj)

    def begin(self, uj):
        self.set(uj)
        self.agent = Agent({"mqtt.url": self.broker.url, "sampling.window_ms": int(WINDOW_S * 1000),
                            "sampling.block_windows": 2, "mqtt.live_s": 1}, root=self.board.root)
        self.addCleanup(self.agent.close)
        self.subscriber.wait("records")

    def ramp(self, step_uj, steps=20):
        """Some windows of steady use."""
        for _ in range(steps):
            self.set(self.uj + step_uj)
            time.sleep(WINDOW_S / 10)

    def rest(self, windows=3):
        count = len(self.subscriber.of("records"))
        eventually(lambda: len(self.subscriber.of("records")) > count + windows // 2, why="no more records")

    def end(self):
        """All windows of the one run, in order, without a hole."""
        self.rest()
        self.assertEqual(self.agent.stop(), 0)
        once = self.subscriber.once()
        self.assertEqual((once.missing(), once.conflicts), ([], []))
        self.assertEqual(len(once.runs()), 1)
        return [once.windows[key] for key in sorted(once.windows)]

    def mj(self, windows):
        return sum(window["energy_mj"]["package-0"] or 0 for window in windows)

    def uncovered(self, windows):
        """[(cause, covered_ms)] of the windows that are not fully covered."""
        return [(w["cause"].get("package-0"), w["covered_ms"]["package-0"]) for w in windows if "package-0" in w["covered_ms"]]

    def test_a_wrap_is_counted_over_the_end_of_the_range(self):
        start = RANGE_UJ - 3_000_000
        self.begin(start)
        for _ in range(20):  # 5 J: past the end, after which comes 0
            self.set((self.uj + 250_000) % (RANGE_UJ + 1))
            time.sleep(WINDOW_S / 10)
        self.assertLess(self.uj, start)
        windows = self.end()
        self.assertEqual(self.mj(windows), 5_000)
        self.assertEqual(self.uncovered(windows), [])

    def test_a_reset_adds_nothing_and_is_told(self):
        self.begin(5_000_000_000)
        self.ramp(250_000)
        self.rest()
        self.set(1_000)  # far below: no wrap explains it
        self.rest()
        self.ramp(250_000)
        windows = self.end()
        self.assertEqual(self.mj(windows), 10_000)
        self.assertEqual(self.uncovered(windows), [("reset", 0)])

    def test_one_failed_read_loses_no_energy(self):
        """CodeCarbon makes 262,293 J of 150 J here."""
        self.begin(7_000_000_000)
        self.ramp(250_000)
        path = f"{self.board.root}{self.zone}/energy_uj"
        at = len(self.subscriber.of("records"))
        os.truncate(path, 0)  # empty: the read brings nothing
        eventually(lambda: any("package-0" in w["covered_ms"] for w in self.subscriber.once().windows.values()),
                   why="the failed read was never told")
        self.set(self.uj + 1_000_000)
        self.ramp(250_000)
        self.assertGreater(len(self.subscriber.of("records")), at)
        windows = self.end()
        self.assertEqual(self.mj(windows), 11_000)
        holes = self.uncovered(windows)
        self.assertGreaterEqual(len(holes), 1)
        self.assertEqual(set(holes), {("read_error", 0)})
        for window in windows:  # unknown is never zero
            if "package-0" in window["covered_ms"]:
                self.assertIsNone(window["energy_mj"]["package-0"])
                self.assertIsNone(window["energy_mj"]["total"])


if __name__ == "__main__":
    unittest.main()
