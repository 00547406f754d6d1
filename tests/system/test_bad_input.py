# SPDX-License-Identifier: Apache-2.0
"""Sensors that lie, vanish and err, brokers that refuse, hang and reset: sampling goes on, and what is known arrives."""
import os
import shutil
import signal
import time
import unittest

import records
from rig import Agent, AgxOrin, Board, Broker, Scratch, Subscriber, eventually
from slam import SlamBroker

FAST = {"mqtt.live_s": 1, "mqtt.retry_max_s": 1, "mqtt.ack_timeout_s": 2, "sampling.interval_ms": 50,
        "sampling.window_ms": 200, "sampling.block_windows": 5}

class Rig(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.close)

    def broker(self):
        broker = Broker()
        self.addCleanup(broker.close)
        subscriber = Subscriber(broker.port)
        self.addCleanup(subscriber.close)
        return broker, subscriber

    def agent(self, settings, root):
        agent = Agent({**FAST, **settings}, root=root)
        self.addCleanup(agent.close)
        return agent

    def board(self):
        board = AgxOrin(self.scratch)
        self.addCleanup(board.close)
        for rail in board.RAILS:
            board.power(rail, 2000)
        return board

class BadSensors(Rig):
    """One rail of four goes bad while the agent runs; the three others must not notice."""

    BAD = "VDD_CPU_CV"

    def spoil(self, text):
        board = self.board()
        broker, subscriber = self.broker()
        agent = self.agent({"mqtt.url": broker.url}, board.root)
        subscriber.wait("records")
        path = f"{board.root}{board.base[0x40]}/curr2_input"
        before = len(subscriber.of("records"))
        with open(path, "r+b") as file:
            file.truncate(0)
            file.write(text)
        subscriber.wait("records", before + 3)
        spoilt = [w for w in subscriber.once().windows.values() if self.BAD in w["covered_ms"]][2:]
        self.assertGreater(len(spoilt), 2)
        for window in spoilt:
            self.assertIsNone(window["energy_mj"][self.BAD])
            self.assertEqual(window["cause"][self.BAD], "read_error")
            self.assertEqual(window["energy_mj"]["VDD_GPU_SOC"], 2000 * window["span_ms"] // 1000)
            self.assertEqual(window["covered_ms"]["total"], 0, "a total with a silent member says so")
            self.assertEqual(window["energy_mj"]["total"], 2 * 2000 * window["span_ms"] // 1000)
        lines = [line for line in agent.said().splitlines() if self.BAD in line]
        self.assertEqual(len(lines), 1, "an error is said once, on its edge: " + agent.said())
        board.power(self.BAD, 2000)  # it comes back by itself
        eventually(lambda: self.BAD not in max(subscriber.once().windows.items())[1]["covered_ms"], 60, "it never came back")
        self.assertEqual(agent.stop(), 0)

    def test_an_empty_file_is_missing_not_zero(self):
        self.spoil(b"")

    def test_text_that_is_no_number_is_missing(self):
        self.spoil(b"<unsupported>\n")

    def test_a_negative_current_is_data(self):
        board = self.board()
        broker, subscriber = self.broker()
        board.number(f"{board.base[0x40]}/curr2_input", -400)
        agent = self.agent({"mqtt.url": broker.url}, board.root)
        subscriber.wait("records", 2)
        for window in subscriber.once().windows.values():
            if window["span_ms"] == 200:
                self.assertEqual(window["energy_mj"]["VDD_CPU_CV"], -400)
                self.assertEqual(window["energy_mj"]["total"], 400 + 400 - 400)
        live = subscriber.wait("live")[0].json()
        self.assertEqual(live["power_w"]["VDD_CPU_CV"], -2.0)
        self.assertEqual(agent.stop(), 0)

    def test_a_chip_that_is_not_there_leaves_the_rest_and_says_so(self):
        board = self.board()
        shutil.rmtree(board.root + board.base[0x41])
        broker, subscriber = self.broker()
        agent = self.agent({"mqtt.url": broker.url}, board.root)
        meta = subscriber.wait("meta")[0].json()
        self.assertNotIn("VDDQ_VDD2_1V8AO", [one["name"] for one in meta["channels"]])
        self.assertEqual(subscriber.wait("live")[0].json()["power_w"]["VDD_GPU_SOC"], 2.0)
        self.assertEqual(agent.stop(), 0)

    def test_an_unknown_board_has_rails_and_no_total(self):
        board = Board(self.scratch)
        self.addCleanup(board.close)
        board.device_tree(["example,board", "nvidia,tegra999"], "An unknown board")
        base = board.ina3221(1, 1, 0x40, ["RAIL_A", None, "RAIL_C"])
        for channel in (1, 2, 3):
            board.number(f"{base}/curr{channel}_input", 100 * channel)
        broker, subscriber = self.broker()
        agent = self.agent({"mqtt.url": broker.url}, board.root)
        live = subscriber.wait("live")[0].json()
        self.assertEqual(live["power_w"], {"RAIL_A": 0.5, "ina3221-40.2": 1.0, "RAIL_C": 1.5, "total": None})
        self.assertIsNone(live["energy_j"]["total"])
        self.assertIsNone(subscriber.wait("meta")[0].json()["total"])
        self.assertEqual(agent.stop(), 0)

class HotFolder(Rig):
    def test_a_folder_that_is_emptied_loses_no_window_of_the_run_that_follows(self):
        board = self.board()
        broker, subscriber = self.broker()
        agent = self.agent({"mqtt.url": broker.url, "hot.max_bytes": 65536, "sampling.window_ms": 100}, board.root)
        subscriber.wait("records", 4)
        first = {run for _, run in subscriber.once().runs()}
        for name in os.listdir(agent.hot):
            os.unlink(os.path.join(agent.hot, name))

        def second():
            runs = subscriber.once().runs()
            return any(run not in first and len(seqs) >= 40 for (_, run), seqs in runs.items())
        eventually(second, 60, lambda: f"no windows of a new run: {agent.said()}")
        missing = [one for one in subscriber.once().missing() if one[1] not in first]
        self.assertEqual(missing, [], agent.said())
        self.assertEqual(agent.stop(), 0)


class BadBrokers(Rig):
    """Whatever the broker does, meter goes on, and the first good broker gets every window."""

    def survive(self, **how):
        board = self.board()
        bad = SlamBroker(**how)
        self.addCleanup(bad.close)
        agent = self.agent({"mqtt.url": bad.url}, board.root)
        eventually(lambda: bad.connections >= 2, 60, lambda: "it does not try again: " + agent.said())
        health = agent.ask("health")
        self.assertTrue(health["ok"], health)
        bad.on_connect, bad.on_publish = "accept", "ack"
        bad.drop_all()

        def windows():

            once = records.Once()
            for publish in bad.acknowledged:
                if publish.leaf == "records":
                    once.add_message(publish.payload)
            return once if len(once.windows) >= 15 else None
        once = eventually(windows, 60, lambda: "no records came: " + agent.said())
        self.assertEqual((once.missing(), once.conflicts), ([], []))
        self.assertEqual({w["cause"].get("VDD_GPU_SOC") for w in once.windows.values()}, {None}, "no sample was late")
        self.assertLessEqual(bad.most_unacknowledged, 1)
        self.assertEqual(agent.stop(), 0)
        return agent.said()

    def test_a_broker_that_refuses(self):
        self.assertIn("not authori", self.survive(on_connect="refuse", connect_code=0x87).lower())

    def test_a_broker_that_closes_at_connect(self):
        self.survive(on_connect="close")

    def test_a_broker_that_resets_at_connect(self):
        self.survive(on_connect="reset")

    def test_a_broker_that_closes_at_the_first_publish(self):
        self.survive(on_publish="close")

    def test_a_broker_that_resets_at_the_first_publish(self):
        self.survive(on_publish="reset")

    def test_a_broker_that_never_acknowledges(self):
        self.survive(on_publish="silent")

    def test_a_broker_that_refuses_every_message(self):
        board = self.board()
        bad = SlamBroker(on_publish=0x97)
        self.addCleanup(bad.close)
        agent = self.agent({"mqtt.url": bad.url}, board.root)
        eventually(lambda: len(bad.publishes) >= 3, 60, lambda: agent.said())
        bad.on_publish = "ack"
        eventually(lambda: any(one.leaf == "records" for one in bad.acknowledged), 60, lambda: agent.said())
        self.assertEqual(agent.stop(), 0)

    def test_a_broker_that_hangs_does_not_hold_up_the_end(self):
        board = self.board()
        hung = SlamBroker(on_connect="hang")
        self.addCleanup(hung.close)
        agent = self.agent({"mqtt.url": hung.url}, board.root)
        eventually(lambda: hung.sessions >= 1, 30, "it does not connect")
        self.assertTrue(agent.ask("health")["ok"])
        self.assertEqual(agent.stop(seconds=15), 0)

    def test_a_frozen_broker_loses_nothing(self):
        board = self.board()
        broker, subscriber = self.broker()
        agent = self.agent({"mqtt.url": broker.url}, board.root)
        subscriber.wait("records")
        os.kill(broker.process.pid, signal.SIGSTOP)
        time.sleep(5)
        self.assertTrue(agent.ask("health")["ok"])
        os.kill(broker.process.pid, signal.SIGCONT)
        count = len(subscriber.of("records"))
        subscriber.wait("records", count + 6, seconds=60)
        once = subscriber.once()
        self.assertEqual((once.missing(), once.conflicts), ([], []))
        self.assertEqual(agent.stop(), 0)

if __name__ == "__main__":
    unittest.main()
