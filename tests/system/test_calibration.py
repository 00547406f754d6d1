# SPDX-License-Identifier: Apache-2.0
"""Calibration from the configuration to the windows: what it changes, what it does not, and that both are said."""
import json
import unittest

import rig

RAIL = {"channel": "VDD_CPU_CV", "scale": 1.25, "offset_mw": -80}
COUNTER = {"channel": "package-0", "scale": 0.9, "offset_mw": 500}


class Calibration(unittest.TestCase):
    def setUp(self):
        self.scratch = rig.Scratch()
        self.addCleanup(self.scratch.close)

    def meter(self, board, *calibrations):
        agent = rig.Agent({"sampling.interval_ms": 50, "sampling.window_ms": 500, "calibration": list(calibrations),
                           "sampling.columns": ["mv", "ma", "peak_mw"]}, root=board.root, verb="meter",
                          program=rig.SANITIZED)
        self.addCleanup(agent.close)
        return agent

    def windows(self, agent):
        status, out, _ = rig.run_once("spool", "dump", agent.hot)
        return [one for one in map(json.loads, out.splitlines()) if one["type"] == "window"] if status == 0 else []

    def sums(self, agent, channels):
        windows = self.windows(agent)
        return {one: sum(window["energy_mj"][one] or 0 for window in windows) for one in channels}

    def plan(self, agent, root):
        status, out, _ = rig.run_once("meter", "--check", "-c", agent.config, "--root", root)
        self.assertEqual(status, 0)
        return out

    def test_a_rail_is_scaled_and_shifted_and_its_total_with_it(self):
        board = rig.AgxOrin(self.scratch)
        self.addCleanup(board.close)
        watts = {rail: board.power(rail, 2000) / 1e6 for rail in board.RAILS}
        watts["VDD_CPU_CV"] = watts["VDD_CPU_CV"] * 1.25 - 0.08
        agent = self.meter(board, RAIL)
        window = rig.eventually(lambda: self.windows(agent)[1:2], why=agent.said)[0]
        for rail, value in watts.items():
            self.assertAlmostEqual(window["energy_mj"][rail], value * window["span_ms"], delta=1, msg=rail)
        self.assertAlmostEqual(window["energy_mj"]["total"], sum(watts[r] for r in board.TOTAL) * window["span_ms"], delta=3)
        self.assertEqual(window["peak_mw"]["VDD_CPU_CV"], 2420)
        self.assertEqual((window["mv"]["VDD_CPU_CV"], window["ma"]["VDD_CPU_CV"]), (5000, 400))  # the chip's own
        said = self.plan(agent, board.root)
        self.assertIn("VDD_CPU_CV (measured, module), in the total, calibrated x1.25 -80 mW\n", said)
        self.assertEqual(said.count("calibrated"), 1)

    def test_a_rail_that_does_not_answer_stays_unknown(self):
        board = rig.AgxOrin(self.scratch)
        self.addCleanup(board.close)
        board.text(f"{board.base[0x40]}/curr2_input", "broken")
        agent = self.meter(board, RAIL)
        window = rig.eventually(lambda: self.windows(agent)[1:2], why=agent.said)[0]
        self.assertIsNone(window["energy_mj"]["VDD_CPU_CV"])

    def test_a_counter_is_scaled_and_its_offset_refused(self):
        board = rig.X86(self.scratch)
        self.addCleanup(board.close)
        for zone in board.zones:
            board.energy(zone, 1000)
        agent = self.meter(board, COUNTER)
        rig.eventually(lambda: self.windows(agent), why=agent.said)
        for zone in board.zones:
            board.energy(zone, 1000 + 300_000_000)
        want = {"package-0": 270_000, "package-1": 300_000, "dram-0": 300_000}
        rig.eventually(lambda: self.sums(agent, want) == want, why=lambda: f"{self.sums(agent, want)}, {agent.said()}")
        for said in agent.said(), self.plan(agent, board.root):
            self.assertEqual(said.count("offset_mw is not applied: an energy counter has no zero that may be off "
                                        "(package-0): leave offset_mw out"), 1, said)
        self.assertIn("package-0 (measured, package), in the total, calibrated x0.9 +0 mW\n", self.plan(agent, board.root))


if __name__ == "__main__":
    unittest.main()
