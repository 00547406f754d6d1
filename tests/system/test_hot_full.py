# SPDX-License-Identifier: Apache-2.0
"""No broker and a full disk for long: the hot spool grows to hot.max_bytes and no further, and what no longer fits is one
gap with its joules."""
import os
import signal
import subprocess
import time
import unittest

from rig import Agent, Broker, Scratch, Subscriber, X86

MAX_BYTES = 65536


class HotFull(unittest.TestCase):
    def full_disk(self, scratch):
        """A folder on a file system without a byte to spare."""
        if os.geteuid() != 0:
            self.skipTest("skipped: only root can mount a small file system")
        path = scratch.path("full")
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", path], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=True)
        with open(os.path.join(path, "filler"), "wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                pass
        return path

    def test_a_hot_path_without_room_at_the_start_says_what_to_do(self):
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = X86(scratch)
        self.addCleanup(board.close)
        meter = Agent({"paths.hot": self.full_disk(scratch)}, root=board.root, verb="meter", scratch=scratch)
        self.addCleanup(meter.close)
        self.assertEqual(meter.process.wait(timeout=20), 1)
        self.assertRegex(meter.said(), "full: No space left on device; make room on its file system, or set paths.hot")

    def test_every_millijoule_is_a_window_or_counted_in_a_gap(self):
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = X86(scratch)
        self.addCleanup(board.close)
        at = {zone: 5 * 10**9 for zone in board.zones}
        for zone, uj in at.items():
            board.energy(zone, uj)
        broker = Broker()
        self.addCleanup(broker.close)
        broker.stop()
        spool = self.full_disk(scratch)
        agent = Agent({"paths.spool": spool, "mqtt.url": broker.url, "mqtt.live_s": 1, "mqtt.retry_max_s": 1, "hot.max_bytes": MAX_BYTES,
                       "sampling.interval_ms": 50, "sampling.window_ms": 100, "sampling.block_windows": 5}, root=board.root)
        self.addCleanup(agent.close)
        time.sleep(0.5)
        largest, full_since = 0, None
        deadline = time.monotonic() + 90
        moved = dict.fromkeys(at, 0)
        while time.monotonic() < deadline and (full_since is None or time.monotonic() < full_since + 4):
            for i, zone in enumerate(board.zones):
                moved[zone] += 100_003 + 17 * i
                board.energy(zone, at[zone] + moved[zone])
            used = sum(os.path.getsize(os.path.join(agent.hot, n)) for n in os.listdir(agent.hot) if n.endswith(".jps"))
            largest = max(largest, used)
            if full_since is None and os.path.exists(os.path.join(agent.hot, "gap")) and agent.ask("health").get("degraded"):
                full_since = time.monotonic()
            time.sleep(0.05)
        self.assertIsNotNone(full_since, "the hot spool never filled: " + agent.said())
        self.assertLessEqual(largest, MAX_BYTES)
        time.sleep(0.3)  # the last movement belongs to a closed window
        post = agent.half("post")
        os.kill(post, signal.SIGSTOP)  # so that nothing is delivered before somebody listens
        broker.start()
        subscriber = Subscriber(broker.port)
        os.kill(post, signal.SIGCONT)
        self.addCleanup(subscriber.close)
        subscriber.wait("gap", seconds=60)
        count = len(subscriber.of("records"))
        subscriber.wait("records", count + 2, seconds=60)
        statuses = [message.json() for message in subscriber.of("status")]
        self.assertTrue(any("disk_full" in one.get("degraded", ()) for one in statuses), statuses)
        self.assertEqual(agent.stop(), 0)
        once = subscriber.once()
        gaps = [message.json() for message in subscriber.of("gap")]
        self.assertEqual({one["reason"] for one in gaps}, {"hot_full"})
        gap = max(gaps, key=lambda one: one["windows"])  # the last room may have taken a small one and no window
        self.assertEqual({one["run"] for one in gaps}, {gap["run"]})
        self.assertGreaterEqual(gap["windows"], 20)
        missing = {seq for _, _, seq in once.missing()}
        self.assertEqual(missing, {seq for one in gaps for seq in range(one["first_seq"], one["last_seq"] + 1)})
        for zone in board.zones:
            if zone == "mmio":
                continue
            windows = once.energy_mj(gap["run"], zone)
            folded = sum(one["energy_mj"][zone] for one in gaps)
            self.assertEqual(windows + folded, moved[zone] // 1000, zone)
            self.assertGreater(folded, 0)
        print(f"hot spool at most {largest} of {MAX_BYTES} bytes; {len(once.windows)} windows and a gap of {gap['windows']} "
              f"windows, {gap['seconds']} s, {gap['energy_mj']['package-0']} mJ of package-0")


if __name__ == "__main__":
    unittest.main()
