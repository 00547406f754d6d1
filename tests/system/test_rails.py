# SPDX-License-Identifier: Apache-2.0
"""Boards whose values move: what arrives is what the rails said, rails are what the profile says, totals count once."""
import math
import threading
import time
import unittest

from rig import Agent, AgxOrin, Board, Broker, Scratch, Subscriber, X86, eventually

SETTINGS = {"mqtt.live_s": 1, "sampling.block_windows": 5}


def boot_s():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Mover(threading.Thread):
    """Moves an AGX Orin's rails along a curve and remembers what the files said, and when."""

    def __init__(self, board):
        super().__init__(daemon=True)
        self.board, self.told, self.over = board, {rail: [] for rail in board.RAILS}, threading.Event()

    def curve_mw(self, rail, t):
        """A ramp of 20 s and, on top, a step of a fifth and more at each second."""
        base = {"VDD_GPU_SOC": 3000, "VDD_CPU_CV": 1200, "VIN_SYS_5V0": 3600, "VDDQ_VDD2_1V8AO": 600}[rail]
        ramp = 1 + abs(t / 10 % 2 - 1)
        step = (1.0, 1.25, 0.9, 1.4, 1.1)[int(t) % 5]
        return base * ramp * step

    def run(self):
        start = boot_s()
        while not self.over.wait(0.01):
            for rail in self.board.RAILS:
                before = boot_s()
                uw = self.board.power(rail, self.curve_mw(rail, before - start))
                self.told[rail].append(((before + boot_s()) / 2, uw))

    def joules(self, rail, since_s, until_s):
        """The integral of the stairs that the files were."""
        total, steps = 0.0, self.told[rail]
        for (t, uw), (t_next, _) in zip(steps, steps[1:] + [(math.inf, 0)]):
            total += uw * max(0.0, min(t_next, until_s) - max(t, since_s))
        return total / 1e6


class AgxOrinMoves(unittest.TestCase):
    SECONDS = 60

    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.close)
        self.board = AgxOrin(self.scratch)
        self.addCleanup(self.board.close)
        for base in self.board.base.values():  # what must never be taken for a rail
            for decoy in ("in4_input", "in5_input", "in6_input", "in7_input", "curr4_input"):
                self.board.number(f"{base}/{decoy}", 9_000_000)
        self.broker = Broker()
        self.addCleanup(self.broker.close)
        self.subscriber = Subscriber(self.broker.port)
        self.addCleanup(self.subscriber.close)

    def test_live_energy_is_the_true_energy_within_one_percent(self):
        mover = Mover(self.board)
        mover.start()
        agent = Agent({"mqtt.url": self.broker.url, **SETTINGS}, root=self.board.root)
        self.addCleanup(agent.close)
        first = self.subscriber.wait("live")[0].json()
        last = self.subscriber.wait("live", where=lambda m: m.json()["boot_ms"] >= first["boot_ms"] + 1000 * self.SECONDS,
                                    seconds=self.SECONDS + 30)[0].json()
        mover.over.set()
        mover.join()
        truth = {rail: mover.joules(rail, first["boot_ms"] / 1000, last["boot_ms"] / 1000) for rail in self.board.RAILS}
        truth["total"] = sum(truth[rail] for rail in self.board.TOTAL)
        for name, joules in truth.items():
            told = last["energy_j"][name] - first["energy_j"][name]
            print(f"{name}: true {joules:.3f} J, told {told:.3f} J, {100 * (told / joules - 1):+.3f} %")
            self.assertLess(abs(told / joules - 1), 0.01, name)
        self.assertEqual(set(last["energy_j"]), set(truth))
        self.assertEqual(first["register_id"], last["register_id"])
        self.check_meta(self.subscriber.wait("meta")[0].json())
        self.assertEqual(agent.stop(), 0)

    def check_meta(self, meta):
        self.assertEqual(meta["board"]["id"], "jetson-agx-orin")
        self.assertEqual(meta["gpu"], {"count": 1, "name": "Orin (nvgpu)"})
        self.assertEqual([one["name"] for one in meta["channels"]],
                         ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"])
        self.assertEqual(meta["total"]["channels"], list(self.board.TOTAL))
        self.assertEqual(meta["total"]["method"], "measured")
        ddr = meta["channels"][3]
        self.assertEqual((ddr["part_of"], ddr["roles"]), ("VIN_SYS_5V0", ["ram"]))


class OrinNano(unittest.TestCase):
    def test_the_total_is_vdd_in_alone(self):
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = Board(scratch)
        self.addCleanup(board.close)
        board.device_tree(["nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"], "Orin Nano")
        board.text("/proc/meminfo", "MemTotal:        7802128 kB\n")
        base = board.ina3221(1, 1, 0x40, ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"], shunts=(5000, 5000, 5000))
        for channel, ma in ((1, 1000), (2, 200), (3, 250)):
            board.number(f"{base}/curr{channel}_input", ma)
        broker = Broker()
        self.addCleanup(broker.close)
        subscriber = Subscriber(broker.port)
        self.addCleanup(subscriber.close)
        agent = Agent({"mqtt.url": broker.url, **SETTINGS}, root=board.root)
        self.addCleanup(agent.close)
        live = subscriber.wait("live")[0].json()
        self.assertEqual(live["power_w"], {"VDD_IN": 5.0, "VDD_CPU_GPU_CV": 1.0, "VDD_SOC": 1.25, "total": 5.0})
        meta = subscriber.wait("meta")[0].json()
        self.assertEqual(meta["total"]["channels"], ["VDD_IN"])
        self.assertEqual(meta["gpu"], {"count": 1, "name": "Orin (nvgpu)"})
        for window in subscriber.wait("records") and subscriber.once().windows.values():
            self.assertEqual(window["energy_mj"]["total"], window["energy_mj"]["VDD_IN"])


class X86Packages(unittest.TestCase):
    """Counters stand still, move, and stand still again: then the sum of windows is exact to the mJ."""

    MOVED_UJ = {"package-0": 25_000_017, "core-0": 12_000_003, "uncore-0": 2_000_001, "dram-0": 3_500_009,
                "package-1": 31_000_029, "core-1": 14_000_007, "uncore-1": 1_000_005, "dram-1": 4_250_013,
                "psys": 90_000_001, "mmio": 25_000_017}

    def test_total_is_packages_plus_dram_to_the_mj(self):
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = X86(scratch)
        self.addCleanup(board.close)
        at = {zone: 1_000_000_000 + 7 * i for i, zone in enumerate(board.zones)}
        for zone, uj in at.items():
            board.energy(zone, uj)
        broker = Broker()
        self.addCleanup(broker.close)
        subscriber = Subscriber(broker.port)
        self.addCleanup(subscriber.close)
        agent = Agent({"mqtt.url": broker.url, **SETTINGS, "sampling.window_ms": 200, "sampling.interval_ms": 100},
                      root=board.root)
        self.addCleanup(agent.close)
        subscriber.wait("records")
        for step in range(1, 11):
            for zone, uj in self.MOVED_UJ.items():
                board.energy(zone, at[zone] + uj * step // 10)
            time.sleep(0.1)
        count = len(subscriber.of("records"))
        eventually(lambda: len(subscriber.of("records")) >= count + 3, why="no more records")
        self.assertEqual(agent.stop(), 0)
        once = subscriber.once()
        (run,) = {run for _, run in once.runs()}
        self.assertEqual(once.missing(), [])
        sums = {name: once.energy_mj(run, name) for name in [*self.MOVED_UJ, "total"] if name != "mmio"}
        for name in sums:
            if name != "total":
                self.assertEqual(sums[name], self.MOVED_UJ[name] // 1000, name)
        self.assertEqual(sums["total"], sum(sums[n] for n in ("package-0", "package-1", "dram-0", "dram-1")))
        names = {name for window in once.windows.values() for name in window["energy_mj"]}
        self.assertEqual(names, set(sums), "the MMIO twin is no channel of its own")


if __name__ == "__main__":
    unittest.main()
