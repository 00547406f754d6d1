# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments with the broker up: every closed window arrives, once in content, and the joules agree.

A counter goes on while nobody reads it: all runs together hold what it went on by, to the mJ."""
import os
import random
import signal
import threading
import time
import unittest

import hotdir
from rig import Agent, AgxOrin, Broker, Scratch, Subscriber, alive, eventually

TIMES = 20
SEED = int(os.environ.get("SEED", "20"))
RAILS = ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"]
RANGE_UJ = 262143328850
COUNTERS = {"package-0": 7_000_000, "core-0": 0, "dram-0": RANGE_UJ - 3_000_000}  # where they begin: one goes round


class Kill(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.close)
        self.board = AgxOrin(self.scratch)
        self.addCleanup(self.board.close)
        self.zones = {name: self.board.rapl(zone, name.partition("-0")[0] if zone.count(":") > 1 else name, COUNTERS[name], RANGE_UJ)
                      for name, zone in zip(COUNTERS, ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1"))}
        self.used_uj = dict.fromkeys(COUNTERS, 0)
        self.broker = Broker()
        self.addCleanup(self.broker.close)
        self.subscriber = Subscriber(self.broker.port)
        self.addCleanup(self.subscriber.close)
        self.random = random.Random(SEED)
        self.halves = {}
        self.spy = None

    def start(self, verb):
        """One half, in the place of the one that died."""
        first = next(iter(self.halves.values()), None)
        settings = {"mqtt.url": self.broker.url, "mqtt.live_s": 1, "mqtt.retry_max_s": 1, "sampling.interval_ms": 50,
                    "sampling.window_ms": 100, "sampling.block_windows": 4}
        if verb in self.halves:
            self.halves[verb].start()
            return
        self.halves[verb] = Agent(settings, root=self.board.root, verb=verb, scratch=self.scratch)
        self.assertTrue(first is None or first.hot == self.halves[verb].hot)
        self.addCleanup(self.halves[verb].close)

    def kill(self, verbs):
        for verb in verbs:
            os.kill(self.halves[verb].process.pid, signal.SIGKILL)
        for verb in verbs:
            self.halves[verb].process.wait()

    def move(self):
        rng = random.Random(SEED + 1)
        while not self.over.wait(0.02):
            for rail in self.board.RAILS:
                self.board.power(rail, rng.randrange(500, 20_000))
            for name, zone in self.zones.items():
                self.used_uj[name] += 1000 * rng.randrange(400)  # whole mJ: no run rounds anything off
                raw_uj = (COUNTERS[name] + self.used_uj[name]) % (RANGE_UJ + 1)
                self.board.number(f"{zone}/energy_uj", raw_uj)

    def run_and_kill(self, verbs):
        self.start("post")
        self.start("meter")
        self.spy = hotdir.Spy(self.halves["meter"].hot)
        self.addCleanup(lambda: [os.unlink(path) for path in self.spy.segments()] and os.rmdir(self.spy.kept))
        self.spy.start()
        self.over = threading.Event()
        self.subscriber.wait("records")
        mover = threading.Thread(target=self.move, daemon=True)
        mover.start()
        self.addCleanup(self.over.set)
        for i in range(TIMES):  # every other life is often too short for a window
            time.sleep(self.random.uniform(0.01, 0.15) if i % 2 else self.random.uniform(0.05, 1.2))
            self.kill(verbs)
            for verb in verbs:
                self.start(verb)
        count = len(self.subscriber.of("records"))
        self.subscriber.wait("records", count + 2, seconds=60)
        self.over.set()
        mover.join()
        self.assertEqual(self.halves["meter"].stop(), 0)
        self.judge()
        self.assertEqual(self.halves["post"].stop(), 0)

    def judge(self):
        """What meter wrote against what the subscriber holds."""
        self.spy.stop()
        written, names = {}, {}
        for kind, item in self.spy.frames():
            if kind == hotdir.RUN:
                names[f"{item['run']:016x}"] = [channel["name"] for channel in item["channels"]]
            elif kind == hotdir.WINDOW:
                written[f"{item[0]:016x}", item[1]] = item
        self.assertGreater(len({run for run, _ in written}), 0)

        def all_there():
            self.held = {(run, seq): w for (_, run, seq), w in self.subscriber.once().windows.items()}
            return not set(written) - set(self.held)
        eventually(all_there, 60, lambda: f"missing: {sorted(set(written) - set(self.held))[:20]} of {len(written)}: "
                   + self.halves["post"].said()[-2000:])
        once = self.subscriber.once()
        self.assertEqual(once.conflicts, [])
        self.assertEqual(set(self.held), set(written), "nothing is invented")
        self.assertEqual({tuple(sorted(one)) for one in names.values()}, {tuple(sorted([*RAILS, *COUNTERS]))})
        last = {}
        for (run, seq), item in written.items():
            for name, channel in zip(names[run], item[5]):
                self.assertEqual(self.held[run, seq]["energy_mj"][name], channel[0], (run, seq, name))
            last[run] = max(last.get(run, item), item, key=lambda one: one[1])
        for run, item in last.items():
            for name, channel in zip(names[run], item[5]):
                self.assertEqual(once.energy_mj(run, name), channel[1], "delivered mJ are the cumulative mJ of the run")
        for name, used_uj in self.used_uj.items():
            self.assertEqual(sum(once.energy_mj(run, name) for run in last), used_uj // 1000, f"{name} over all runs")
        print(f"{len(written)} windows of {len(last)} runs, {once.resent} delivered more than once, "
              f"{len(self.subscriber.of('records'))} messages")

    def test_meter_killed_twenty_times(self):
        self.run_and_kill(["meter"])

    def test_post_killed_twenty_times(self):
        self.run_and_kill(["post"])

    def test_both_killed_twenty_times(self):
        self.run_and_kill(["meter", "post"])


class AgentKilled(unittest.TestCase):
    def test_halves_restart_and_neither_outlives_the_agent(self):
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = AgxOrin(scratch)
        self.addCleanup(board.close)
        agent = Agent({"sampling.window_ms": 200}, root=board.root)
        self.addCleanup(agent.close)
        for name in ("meter", "post", "meter"):
            old = agent.kill_half(name)
            eventually(lambda: agent.half(name) != old, why=f"{name} did not come back: {agent.said()}")
        halves = [agent.half("meter"), agent.half("post")]
        agent.process.kill()
        agent.process.wait()
        eventually(lambda: not any(alive(pid) for pid in halves), 10, "a half outlived the killed agent")


if __name__ == "__main__":
    unittest.main()
