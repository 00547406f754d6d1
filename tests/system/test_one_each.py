# SPDX-License-Identifier: Apache-2.0
"""One meter and one post on a hot path: a second one waits for a dying first, then says so and ends."""
import os
import signal
import unittest

from hotdir import WINDOW, frames_of
from program import Scratch, children, eventually

FAST = "user = \"root\";\nsampling = { interval_ms = 50; window_ms = 100; block_windows = 5; };\nhot = { max_bytes = 65536; };\n"


class OneEach(Scratch):
    def setUp(self):
        super().setUp()
        self.file = self.config(FAST)
        self.control = os.path.join(self.dir, "hot", "control")

    def refused(self, *verbs):
        """Starts each verb beside what runs; each must end with 1 and nothing else may end."""
        late = [self.start(verb, "-c", self.file) for verb in verbs]
        for process in late:
            self.assertEqual(process.wait(timeout=40), 1, self.log())
        for half in {"meter", "post"} & set(verbs) or {"meter"}:
            self.assertEqual(self.log().count(f"a {half} already runs on {self.dir}/hot"), len(verbs), self.log())

    def segments(self):
        hot = os.path.join(self.dir, "hot")
        return sorted(os.path.join(hot, name) for name in os.listdir(hot) if name.endswith(".jps"))

    def test_a_second_meter_and_a_second_agent_end_and_the_first_keeps_its_socket(self):
        first = self.start("meter", "-c", self.file)
        self.assertTrue(eventually(lambda: os.path.exists(self.control)), self.log())
        inode = os.stat(self.control).st_ino
        self.refused("meter", "agent")
        self.assertIsNone(first.poll())
        self.assertEqual(os.stat(self.control).st_ino, inode)
        newest = self.segments()[-1]
        before = len(frames_of(newest))
        self.assertTrue(eventually(lambda: len(frames_of(self.segments()[-1])) != before), "the first goes on")
        self.assertEqual(self.end(first), 0, self.log())
        self.assertFalse(os.path.exists(self.control))

    def test_a_second_post_ends(self):
        first = self.start("post", "-c", self.file)
        self.assertTrue(eventually(lambda: os.path.exists(os.path.join(self.dir, "hot", "wake"))), self.log())
        self.refused("post")
        self.assertIsNone(first.poll())
        self.assertEqual(self.end(first), 0, self.log())

    def test_after_a_kill_the_next_agent_waits_for_the_halves_of_the_one_before(self):
        first = self.start("agent", "-c", self.file)
        halves = eventually(lambda: len(children(first.pid)) == 2 and children(first.pid))
        self.assertTrue(eventually(lambda: os.path.exists(self.control)), self.log())
        for pid in halves.values():
            os.kill(pid, signal.SIGSTOP)  # slow to die
        first.kill()
        first.wait()
        second = self.start("agent", "-c", self.file)
        self.assertTrue(eventually(lambda: "another meter still runs" in self.log()), self.log())
        for pid in halves.values():
            os.kill(pid, signal.SIGCONT)
        self.assertTrue(eventually(lambda: os.path.exists(self.control) and self.segments()[1:]), self.log())
        self.assertTrue(eventually(lambda: WINDOW in [kind for kind, _ in frames_of(self.segments()[-1])]), self.log())
        self.assertEqual(self.log().count("another meter still runs"), 1)
        self.assertIsNone(second.poll())
        self.assertEqual(self.end(second), 0, self.log())
        self.assertNotIn("already runs", self.log())


if __name__ == "__main__":
    unittest.main()
