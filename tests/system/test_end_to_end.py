# SPDX-License-Identifier: Apache-2.0
"""From a rail to a subscriber: what the agent says when it starts, while it runs and when it stops."""
import os
import unittest

import rig

DEMO = os.path.join(rig.TREE, "boards", "demo", "jetson-agx-orin")
TOTAL = ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]
QUICK = {"sampling.window_ms": 500, "sampling.block_windows": 4, "mqtt.live_s": 1}


class EndToEnd(unittest.TestCase):
    def setUp(self):
        self.broker = rig.Broker()
        self.addCleanup(self.broker.close)
        self.subscriber = rig.Subscriber(self.broker.port)
        self.addCleanup(self.subscriber.close)

    def agent(self, **settings):
        agent = rig.Agent({"mqtt.url": self.broker.url, **QUICK, **settings}, root=DEMO)
        self.addCleanup(agent.close)
        return agent

    def test_a_board_is_announced_measured_and_said_goodbye(self):
        agent, sub = self.agent(), self.subscriber
        self.assertEqual(sub.wait("status")[0].json()["state"], "online")
        meta = sub.wait("meta")[0].json()
        self.assertEqual(meta["device"], "board-1")
        self.assertIn("AGX Orin", meta["board"]["name"])
        self.assertEqual((meta["gpu"]["count"], meta["gpu"]["name"]), (1, "Orin (nvgpu)"))
        self.assertEqual(sorted(meta["total"]["channels"]), sorted(TOTAL))
        self.assertIn("VDDQ_VDD2_1V8AO", [channel["name"] for channel in meta["channels"]])
        for live in [message.json() for message in sub.wait("live", 3)]:
            power = live["power_w"]
            self.assertAlmostEqual(power["total"], sum(power[name] for name in TOTAL), delta=0.01)
            self.assertTrue(5 < power["total"] < 60, power)
        once = sub.wait("records", 2) and sub.once()
        self.assertEqual((once.conflicts, once.missing()), ([], []))
        for window in once.windows.values():
            self.assertEqual(window["energy_mj"]["total"], sum(window["energy_mj"][name] for name in TOTAL))
        self.assertEqual(agent.stop(), 0, agent.said())
        self.assertEqual(sub.wait("status", where=lambda m: m.json()["state"] == "offline")[0].qos, 1)

    def test_what_was_retained_tells_a_late_subscriber_the_same(self):
        agent = self.agent()
        self.subscriber.wait("live")
        late = rig.Subscriber(self.broker.port)
        self.addCleanup(late.close)
        for leaf in ("status", "meta", "live"):
            self.assertTrue(late.wait(leaf)[0].retain, leaf)
        self.assertEqual(agent.stop(), 0, agent.said())
        after = rig.Subscriber(self.broker.port)
        self.addCleanup(after.close)
        self.assertEqual(after.wait("status")[0].json()["state"], "offline")

    def test_a_clean_stop_delivers_every_closed_window(self):
        agent = self.agent()
        self.subscriber.wait("records", 2)
        self.assertEqual(agent.stop(), 0, agent.said())
        self.subscriber.wait("status", where=lambda m: m.json()["state"] == "offline")
        once = self.subscriber.once()
        self.assertEqual((len(once.runs()), once.conflicts, once.missing()), (1, [], []))
        delivered = {}
        for message in self.subscriber.of("records"):
            delivered.update(rig.records.run_mj_of(message.payload))
        for (run, channel), run_mj in delivered.items():
            self.assertEqual(once.energy_mj(run, channel), run_mj, channel)

    def test_json_says_the_same_as_cbor(self):
        agent = self.agent(**{"mqtt.format": "json"})
        self.subscriber.wait("records", 2)
        self.assertEqual(agent.stop(), 0, agent.said())
        message = self.subscriber.of("records")[0]
        self.assertEqual(message.content_type, "application/json")
        for window in message.json():
            self.assertEqual(window["energy_mj"]["total"], sum(window["energy_mj"][name] for name in TOTAL))

    def test_neither_half_outlives_the_agent(self):
        agent = self.agent()
        halves = [agent.half("meter"), agent.half("post")]
        self.subscriber.wait("live")
        agent.process.kill()
        agent.process.wait()
        rig.eventually(lambda: not any(rig.alive(pid) for pid in halves), why="a half outlived the agent")

    def test_a_killed_half_comes_back_and_nothing_closed_is_lost(self):
        agent = self.agent()
        self.subscriber.wait("records")
        for half in ("post", "meter"):
            agent.kill_half(half)
            seen = len(self.subscriber.of("records"))
            self.subscriber.wait("records", seen + 2)
        self.assertEqual(agent.stop(), 0, agent.said())
        once = self.subscriber.once()
        self.assertEqual((once.conflicts, once.missing()), ([], []))
        self.assertEqual(len(once.runs()), 2)


if __name__ == "__main__":
    unittest.main()
