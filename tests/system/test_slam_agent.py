# SPDX-License-Identifier: Apache-2.0
"""A broker that slams the door at every publish, and the agent under AddressSanitizer behind it."""
import unittest

from rig import Agent, AgxOrin, SANITIZED, Scratch, eventually
from slam import SlamBroker

CYCLES = 50


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class DoorSlam(unittest.TestCase):
    def test_fifty_slams_leave_no_error_no_growth_and_one_message_under_way(self):
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = AgxOrin(scratch)
        self.addCleanup(board.close)
        broker = SlamBroker(on_publish="close")
        self.addCleanup(broker.close)
        options = "quarantine_size_mb=1:halt_on_error=1:detect_leaks=1:exitcode=99"
        agent = Agent({"mqtt.url": broker.url, "mqtt.retry_max_s": 1, "mqtt.live_s": 1, "sampling.block_windows": 2},
                      root=board.root, program=SANITIZED, environment={"ASAN_OPTIONS": options})
        self.addCleanup(agent.close)
        post = agent.half("post")
        eventually(lambda: broker.sessions >= 15, 120, lambda: f"{broker.sessions} sessions: {agent.said()}")
        before = rss_kb(post)
        eventually(lambda: broker.sessions > CYCLES, 180, lambda: f"{broker.sessions} sessions: {agent.said()}")
        after = rss_kb(post)
        print(f"{broker.sessions} sessions, {len(broker.publishes)} publishes, RSS {before} -> {after} kB, "
              f"at most {broker.most_unacknowledged} unacknowledged")
        self.assertEqual(agent.half("post"), post, "post was never restarted: " + agent.said())
        self.assertLess(after - before, 1024)
        self.assertGreaterEqual(len(broker.publishes), CYCLES)
        self.assertEqual(broker.most_unacknowledged, 1)
        self.assertEqual(broker.problems, [])
        self.assertEqual(agent.stop(), 0, agent.said())
        self.assertNotIn("Sanitizer", agent.said())


if __name__ == "__main__":
    unittest.main()
