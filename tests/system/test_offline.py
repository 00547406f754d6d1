# SPDX-License-Identifier: Apache-2.0
"""Outages on the true program: broker away, kills, a reboot, a power cut, a broker that forgets what it acknowledged."""
import json
import os
import signal
import threading
import time
import unittest

import records
from outage import ACK_TIMEOUT_S, LOSS_WINDOWS, Outage
from rig import Subscriber, eventually, run_once


class Offline(Outage):
    def kills_in_an_outage(self, seconds, **more):
        self.start(**more)
        self.subscriber.wait("records", 2)
        self.broker.stop()
        time.sleep(seconds / 2)
        self.kill_halves()
        time.sleep(seconds / 2)
        self.broker_back()
        self.wait_drained()
        self.stopped_and_all_there()
        self.judge()
        self.assertEqual(len(self.run_events()), 2)

    def test_a_minute_without_broker_and_both_halves_killed(self):
        self.kills_in_an_outage(60)

    def test_the_same_in_json(self):
        self.kills_in_an_outage(14, **{"mqtt.format": "json"})

    def test_many_kills_in_an_outage(self):
        self.start()
        self.subscriber.wait("records", 1)
        self.broker.stop()
        for i in range(6):
            time.sleep(0.3 + 1.1 * i)
            self.kill_halves()
        time.sleep(3)
        self.broker_back()
        self.wait_drained()
        self.stopped_and_all_there()
        self.judge()

    def reboot(self, online):
        self.start()
        self.subscriber.wait("records", 1)
        if not online:
            self.broker.stop()
        time.sleep(9.3)
        self.assertEqual(self.agent.stop(), 0, self.agent.said())
        self.lose_hot()
        self.agent.start()
        self.spy()
        time.sleep(5)
        if not online:
            self.broker_back()
        self.wait_drained()
        self.stopped_and_all_there()
        self.judge()
        first, second = self.run_events().values()
        self.assertEqual(second["detail"]["prev"], {"run": first["run"], "clean": True, "last_seq": max(
            seq for run, seq in self.written()[0] if run == first["run"])})

    def test_a_reboot_in_an_outage_loses_nothing(self):
        self.reboot(False)

    def test_a_reboot_online_loses_nothing(self):
        self.reboot(True)

    def power_cut(self, online, registers, asleep_s=0, **more):
        self.start(**more)
        self.subscriber.wait("records", 2)
        if not online:
            self.broker.stop()
        time.sleep(11.1)
        if asleep_s:
            os.kill(self.broker.process.pid, signal.SIGSTOP)
            time.sleep(asleep_s)
        self.kill_all()
        if asleep_s:
            os.kill(self.broker.process.pid, signal.SIGCONT)
        self.lose_hot()
        before, _ = self.written()
        self.agent.start()
        self.spy()
        time.sleep(5)
        if not online:
            self.broker_back()
        self.wait_drained()
        missing = set()
        self.stopped_and_all_there(lambda: missing.update(set(before) - self.held()) or missing)
        first, second = self.run_events().values()
        self.assertLessEqual(len(missing), LOSS_WINDOWS, sorted(missing))
        last = max(seq for run, seq in before)
        self.assertEqual(sorted(missing), [(first["run"], seq) for seq in range(last + 1 - len(missing), last + 1)], "its end only")
        prev = second["detail"]["prev"]
        self.assertFalse(prev["clean"])
        self.assertLessEqual(prev["last_seq"], last)
        self.judge(missing, registers)

    def test_a_power_cut_in_an_outage(self):
        self.power_cut(False, 2)  # the broker has forgotten `live`: nothing proves the register

    def test_a_power_cut_online(self):
        self.power_cut(True, 1, **{"energy.adopt_retained": True})

    def test_a_power_cut_behind_a_broker_that_sleeps(self):
        """post has saved more of the run than it could store: last_seq may name a window that is lost."""
        self.power_cut(True, 1, ACK_TIMEOUT_S + 1, **{"energy.adopt_retained": True})


class Collector:
    """Acknowledges what it holds without a hole: a run only after the one before it is whole."""

    def __init__(self, port):
        self.subscriber, self.port, self.acked, self.again = None, port, None, 0
        self.all, self.over = [], threading.Event()
        self.there()
        threading.Thread(target=self.work, daemon=True).start()

    def there(self):
        self.subscriber = Subscriber(self.port)
        self.all.append(self.subscriber)

    def away(self):
        subscriber, self.subscriber = self.subscriber, None
        subscriber.close()

    def messages(self, leaf):
        return [message for one in self.all for message in one.of(leaf)]

    def once(self):
        out = records.Once()
        for message in self.messages("records"):
            out.add_message(message.payload, message.device)
        return out

    def upto(self):
        """The newest (run, seq) up to which nothing is missing."""
        runs, best = self.once().runs(), None
        events = [m.json() for m in self.messages("event")]
        starts = {one["detail"]["run_no"]: one for one in events if "run_no" in one["detail"]}
        for _, event in sorted(starts.items()):  # a later one may come first: all that waits is sent again
            prev = event["detail"]["prev"]
            if prev and (not best or prev["run"] != best[0] or best[1] < prev["last_seq"]):
                break
            seqs = set(runs.get(("board-1", event["run"]), ()))
            whole = 0
            while whole in seqs:
                whole += 1
            if whole:
                best = event["run"], whole - 1
        return best

    def work(self):
        while not self.over.wait(0.3):
            subscriber, upto = self.subscriber, self.upto()
            if subscriber and upto and (upto != self.acked or time.monotonic() > self.again) and subscriber.client.is_connected():
                subscriber.client.publish("joulepost/1/board-1/ack", json.dumps({"run": upto[0], "upto": upto[1]}), 1, True)
                self.acked, self.again = upto, time.monotonic() + 3  # a broker may have forgotten it

    def close(self):
        self.over.set()
        if self.subscriber:
            self.away()


class Collected(Outage):
    """Only what the collector says it has is let go of."""

    def test_a_broker_that_forgets_what_it_acknowledged(self):
        collector = Collector(self.broker.port)
        self.addCleanup(collector.close)
        self.start(**{"mqtt.release": "collector", "mqtt.retry_max_s": 3})
        eventually(lambda: collector.acked, why="nothing was ever acknowledged")
        collector.away()  # the broker acknowledges and drops
        time.sleep(7)
        self.agent.kill_half("meter")
        time.sleep(3)
        self.broker.stop(signal.SIGKILL)
        time.sleep(4)
        self.broker.start()
        collector.there()
        time.sleep(4)
        collector.away()
        time.sleep(5)
        collector.there()  # the connection holds: it has to be sent again all the same
        windows, _ = self.written()
        eventually(lambda: set(windows) <= {(run, seq) for _, run, seq in collector.once().windows}, 60,
                   lambda: f"missing {sorted(set(windows) - {(r, s) for _, r, s in collector.once().windows})[:10]}")
        self.spies[-1].look()

        def drained():
            status, out, err = run_once("spool", "status", "--json", self.agent.spool)
            self.assertEqual(status, 0, err)
            return json.loads(out)["pending"]["windows"] == 0
        eventually(drained, 60, lambda: "the spool does not drain: " + run_once("spool", "status", self.agent.spool)[1])
        once = collector.once()
        self.assertEqual(once.conflicts, [])
        self.assertGreater(once.resent, 0)
        number = {m.json()["run"]: m.json()["detail"]["run_no"] for m in collector.messages("event")
                  if "run_no" in m.json()["detail"]}
        self.assertEqual(sorted(number.values()), [1, 2])
        self.assertEqual(self.agent.stop(), 0, self.agent.said())
        print(f"collector: {len(once.windows)} windows, {once.resent} delivered more than once")

    def test_an_event_while_nobody_listens(self):
        collector = Collector(self.broker.port)
        self.addCleanup(collector.close)
        self.start(**{"mqtt.release": "collector", "mqtt.retry_max_s": 2})
        eventually(lambda: collector.acked, why="nothing was ever acknowledged")
        collector.away()
        self.agent.ask("task start bake")
        time.sleep(1)
        collector.there()
        eventually(lambda: "task" in [m.json()["kind"] for m in collector.messages("event")], 20,
                   "the broker's word alone let go of it")
        self.assertEqual(self.agent.stop(), 0, self.agent.said())


if __name__ == "__main__":
    unittest.main()
