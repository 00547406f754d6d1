# SPDX-License-Identifier: Apache-2.0
"""A device through outages: the agent, a broker that goes away, and what a subscriber holds against what meter wrote."""
import os
import random
import shutil
import signal
import threading
import time
import unittest

import hotdir
from rig import Agent, AgxOrin, Broker, Scratch, Subscriber, alive, eventually

SEED = int(os.environ.get("SEED", "20"))
WINDOW_MS, BLOCK_WINDOWS, ACK_TIMEOUT_S = 200, 10, 2
LOSS_WINDOWS = BLOCK_WINDOWS + ACK_TIMEOUT_S * 1000 // WINDOW_MS  # loss_window_s, in windows


def first_arrivals(subscriber):
    """(run, seq) in the order in which each came first."""
    return [(run, seq) for _, run, seq in subscriber.once().windows]


class Outage(unittest.TestCase):
    """setUp: a broker, a subscriber, a board that moves. start() the agent."""

    SETTINGS = {"mqtt.live_s": 1, "mqtt.status_s": 2, "mqtt.retry_max_s": 1, "mqtt.ack_timeout_s": ACK_TIMEOUT_S,
                "sampling.interval_ms": 50, "sampling.window_ms": WINDOW_MS, "sampling.block_windows": BLOCK_WINDOWS}

    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.close)
        self.board = AgxOrin(self.scratch)
        self.addCleanup(self.board.close)
        self.broker = Broker()
        self.addCleanup(self.broker.close)
        self.subscriber = Subscriber(self.broker.port)
        self.addCleanup(self.subscriber.close)
        self.agent, self.spies = None, []
        self.over = threading.Event()
        self.addCleanup(self.over.set)
        threading.Thread(target=self.move, daemon=True).start()

    def move(self):
        rng = random.Random(SEED)
        while not self.over.wait(0.05):
            for rail in self.board.RAILS:
                self.board.power(rail, rng.randrange(500, 20_000))

    # The agent ------------------------------------------------------------------------------
    def start(self, **more):
        self.agent = Agent({**self.SETTINGS, "mqtt.url": self.broker.url, **more}, root=self.board.root, scratch=self.scratch)
        self.addCleanup(self.agent.close)
        self.spy()

    def spy(self):
        """From now on every segment of this hot folder is kept."""
        kept = f"{self.agent.hot}-kept{len(self.spies)}"
        self.addCleanup(shutil.rmtree, kept, ignore_errors=True)
        self.spies.append(hotdir.Spy(self.agent.hot, kept))
        self.spies[-1].start()

    def lose_hot(self):
        """What a power cut or a reboot does to a tmpfs."""
        self.spies[-1].stop()
        shutil.rmtree(self.agent.hot)

    def kill_halves(self):
        """Both at once; the agent starts them again."""
        pids = [self.agent.half("meter"), self.agent.half("post")]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in pids), why="a half survived SIGKILL")
        eventually(lambda: self.agent.half("meter") not in pids and self.agent.half("post") not in pids,
                   why=lambda: f"the halves did not come back: {self.agent.said()}")

    def kill_all(self):
        """As far as a program can tell, the power goes."""
        pids = [self.agent.process.pid, self.agent.half("meter"), self.agent.half("post")]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.agent.process.wait()
        eventually(lambda: not any(alive(pid) for pid in pids), why="a half survived SIGKILL")

    # The broker -----------------------------------------------------------------------------
    def broker_back(self):
        """Nothing is delivered before the subscriber listens again."""
        post = self.agent.half("post")
        os.kill(post, signal.SIGSTOP)
        self.subscriber.ready.clear()
        self.broker.start()
        self.assertTrue(self.subscriber.ready.wait(30), "the subscriber did not come back")
        os.kill(post, signal.SIGCONT)

    # Judging --------------------------------------------------------------------------------
    def written(self):
        """{(run, seq): WINDOW} and {run: names}, in the order in which meter wrote them."""
        windows, names = {}, {}
        for spy in self.spies:
            spy.look() if spy.is_alive() else None
            for kind, item in spy.frames():
                if kind == hotdir.RUN:
                    names[f"{item['run']:016x}"] = [channel["name"] for channel in item["channels"]]
                elif kind == hotdir.WINDOW:
                    windows[f"{item[0]:016x}", item[1]] = item
        return windows, names

    def held(self):
        return {(run, seq) for _, run, seq in self.subscriber.once().windows}

    def stopped_and_all_there(self, missing=lambda: set()):
        """A clean end with the broker up: everything written has to come, but for `missing`."""
        self.assertEqual(self.agent.stop(), 0, self.agent.said())
        self.over.set()
        self.spies[-1].stop()
        windows, _ = self.written()
        lost = missing()
        eventually(lambda: set(windows) - lost <= self.held(), 30, lambda: f"of {len(windows)} windows these never came: "
                   f"{sorted(set(windows) - lost - self.held())[:20]}\n{self.agent.said()[-3000:]}")
        self.assertEqual(self.held() - set(windows), set(), "nothing is invented")

    def judge(self, missing=frozenset(), registers=1):
        """Once, in order, the right joules, runs in a row, registers that never go down. Prints the figures."""
        windows, names = self.written()
        once, events = self.subscriber.once(), self.run_events()
        self.assertEqual(once.conflicts, [])
        runs = list(dict.fromkeys(run for run, _ in windows))
        self.assertEqual([run for run in events], runs, "every run is told, in order")
        number = {run: event["detail"]["run_no"] for run, event in events.items()}
        self.assertEqual([number[run] for run in runs], list(range(1, len(runs) + 1)))
        arrived = [(number[run], seq) for run, seq in first_arrivals(self.subscriber)]
        self.assertEqual(arrived, sorted(arrived), "windows come in order")
        for (run, seq), item in windows.items():
            if (run, seq) in missing:
                continue
            held = once.windows["board-1", run, seq]
            for name, channel in zip(names[run], item[5]):
                self.assertEqual(held["energy_mj"][name], channel[0], (run, seq, name))
        for run in runs:
            last = max((seq for r, seq in windows if r == run and (r, seq) not in missing), default=None)
            for i, name in enumerate(names[run]):
                cumulative = 0 if last is None else windows[run, last][5][i][1]
                self.assertEqual(once.energy_mj(run, name), cumulative, f"{name} of {run} against meter's own sum")
        self.judge_prev(events, windows, missing)
        self.judge_registers(registers)
        statuses = [m.json() for m in self.subscriber.of("status") if "cost" in m.json()]
        print(f"{self.id().rpartition('.')[2]}: {len(windows)} windows of {len(runs)} runs, {len(missing)} lost, "
              f"{once.resent} delivered more than once, {len(self.subscriber.of('records'))} messages, "
              f"{max(one['cost']['flash_bytes'] for one in statuses)} bytes written to flash")

    def run_events(self):
        """{run: event} as each came first."""
        events = {}
        for message in self.subscriber.of("event"):
            event = message.json()
            if event["kind"] == "run" and event["detail"]["action"] == "start":
                before = events.setdefault(event["run"], event)
                self.assertEqual(before["detail"], event["detail"], "a run is told the same each time")
        return events

    def judge_prev(self, events, windows, missing):
        """prev names the run before that had windows; its last_seq is no higher than what was written, and exact if clean."""
        before = None
        for run, event in events.items():
            prev = event["detail"]["prev"]
            seqs = [seq for r, seq in windows if r == run]
            if before is None:
                self.assertIsNone(prev)
            else:
                self.assertEqual(prev["run"], before[0], event)
                self.assertLessEqual(prev["last_seq"], before[1], event)
                if prev["clean"] or not missing:
                    self.assertEqual(prev["last_seq"], before[1], event)
            before = (run, seqs[-1]) if seqs else before

    def judge_registers(self, count):
        registers = {}
        for message in self.subscriber.of("live"):
            live = message.json()
            total = live["energy_j"]["total"]
            self.assertGreaterEqual(total, registers.get(live["register_id"], 0), live)
            registers[live["register_id"]] = total
        self.assertEqual(len(registers), count, f"registers: {registers}")

    def wait_drained(self):
        """Until nothing but the block at hand waits."""
        begin = time.monotonic()
        self.subscriber.wait("status", 1, lambda m: m.at > begin and "pending" in m.json() and
                             m.json()["pending"]["windows"] <= LOSS_WINDOWS, 60)
