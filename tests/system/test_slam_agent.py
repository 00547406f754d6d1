# SPDX-License-Identifier: Apache-2.0
"""A broker that slams the door at every publish: both halves under AddressSanitizer, and plain ones beside them for their memory."""
import unittest

from rig import Agent, AgxOrin, JOULEPOST, SANITIZED, Scratch, eventually
from slam import SlamBroker

CYCLES = 50
GROWTH_KB = 256  # of the plain program: the sanitizer's own records of calls and freed pieces grow by more


def rss_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class DoorSlam(unittest.TestCase):
    def start(self, program):
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = AgxOrin(scratch)
        self.addCleanup(board.close)
        broker = SlamBroker(on_publish="close")
        self.addCleanup(broker.close)
        options = "quarantine_size_mb=1:halt_on_error=1:detect_leaks=1:exitcode=99"
        settings = {"mqtt.url": broker.url, "mqtt.retry_max_s": 1, "mqtt.live_s": 1, "sampling.block_windows": 2}
        # As two processes: a half under an agent ends by _exit, which would skip the leak check.
        for verb in ("meter", "post"):
            half = Agent(settings, root=board.root, verb=verb, program=program, scratch=scratch,
                         environment={"ASAN_OPTIONS": options})
            self.addCleanup(half.close)
        return broker, half

    def slam(self, broker, agent, sessions):
        eventually(lambda: broker.sessions >= sessions, 180, lambda: f"{broker.sessions} sessions: {agent.said()}")

    def test_fifty_slams_leave_no_error_no_growth_and_one_message_under_way(self):
        pairs = [self.start(SANITIZED), self.start(JOULEPOST)]
        posts = [post.process.pid for _, post in pairs]
        for broker, agent in pairs:
            self.slam(broker, agent, 15)
        before = [rss_kb(post) for post in posts]
        for broker, agent in pairs:
            self.slam(broker, agent, CYCLES + 1)
        after = [rss_kb(post) for post in posts]
        for name, (broker, agent), old, new in zip(("sanitized", "plain"), pairs, before, after):
            print(f"{name}: {broker.sessions} sessions, {len(broker.publishes)} publishes, RSS {old} -> {new} kB, "
                  f"at most {broker.most_unacknowledged} unacknowledged")
            self.assertGreaterEqual(len(broker.publishes), CYCLES)
            self.assertEqual(broker.most_unacknowledged, 1)
            self.assertEqual(broker.problems, [])
        self.assertLess(after[1] - before[1], GROWTH_KB)
        for _, agent in pairs:  # with what the leak check finds at the end
            self.assertEqual(agent.stop(), 0, agent.said())
            self.assertNotIn("Sanitizer", agent.said())


if __name__ == "__main__":
    unittest.main()
