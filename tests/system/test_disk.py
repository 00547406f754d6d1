# SPDX-License-Identifier: Apache-2.0
"""Disks that fill up, turn read-only and come back, on the true program: nothing is lost while hot has room."""
import os
import signal
import subprocess
import time
import unittest

import records
from outage import Outage
from rig import eventually


@unittest.skipIf(os.geteuid() != 0, "skipped: only root can mount a small file system")
class Disk(Outage):
    def small(self, name, size="1m"):
        path = self.scratch.path(name)
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=True)
        return path

    def remount(self, path, how):
        def done():
            return subprocess.run(["mount", "-o", f"remount,{how}", path], stderr=subprocess.DEVNULL, check=False).returncode == 0
        eventually(done, why=f"{path} could not be made {how}")

    @staticmethod
    def fill(path):
        """All that is free; the file to remove again."""
        filler = os.path.join(path, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(bytes(512)):
                    pass
            except OSError:
                pass
        return filler

    def said(self, words, seconds=90):
        eventually(lambda: words in self.agent.said(), seconds, lambda: f"'{words}' was not said: {self.agent.said()}")

    def degraded(self, word, there=True, seconds=90):
        def newest():
            statuses = [m.json() for m in self.subscriber.of("status") if "degraded" in m.json()]
            return statuses and (word in statuses[-1]["degraded"]) == there
        eventually(newest, seconds, lambda: f"{word}: {self.subscriber.of('status')[-3:]} {self.agent.said()}")

    def test_a_full_disk_that_has_room_again(self):
        disk = self.small("disk")
        self.start(**{"paths.spool": os.path.join(disk, "spool")})
        self.subscriber.wait("records", 1)
        filler = self.fill(disk)
        self.broker.stop()
        self.said("spool cannot be written: No space left on device")
        os.unlink(filler)
        self.said("takes windows again")
        time.sleep(5)
        self.kill_halves()
        self.broker_back()
        self.wait_drained()
        self.stopped_and_all_there()
        self.judge()

    def test_a_disk_that_turns_read_only_and_back(self):
        disk = self.small("disk")
        self.start(**{"paths.spool": os.path.join(disk, "spool")})
        self.subscriber.wait("records", 1)
        self.broker.stop()
        time.sleep(6)  # segments are there
        self.turn_read_only(disk)
        time.sleep(6)
        self.broker_back()
        self.degraded("disk_error")
        self.remount(disk, "rw")
        self.degraded("disk_error", there=False)
        self.wait_drained()
        self.stopped_and_all_there()
        self.judge()

    def turn_read_only(self, disk):
        """A file that is open for writing forbids it: post is between two lives when it turns."""
        for _ in range(200):
            pid = self.agent.half("post")
            os.kill(pid, signal.SIGKILL)
            if subprocess.run(["mount", "-o", "remount,ro", disk], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return
        self.fail("it stays writable")

    def test_a_disk_that_is_read_only_at_the_start(self):
        disk = self.small("disk")
        self.start(**{"paths.spool": os.path.join(disk, "spool")})
        self.subscriber.wait("records", 1)
        self.broker.stop()
        time.sleep(6)
        self.assertEqual(self.agent.stop(), 0)
        self.lose_hot()
        self.remount(disk, "ro")
        self.agent.start()
        self.spy()
        time.sleep(1)
        self.broker_back()
        before = len(self.subscriber.of("records"))
        self.subscriber.wait("records", before + 2)
        self.degraded("disk_error")
        self.remount(disk, "rw")
        self.degraded("disk_error", there=False)
        self.wait_drained()
        self.stopped_and_all_there()
        self.judge()

    def test_a_full_hot_folder(self):
        hot = self.small("hot", "256k")
        self.start(**{"paths.hot": os.path.join(hot, "hot"), "hot.max_bytes": 65536})
        self.subscriber.wait("records", 1)
        filler = self.fill(hot)
        self.degraded("meter_silent")
        os.unlink(filler)
        self.subscriber.wait("gap", seconds=60)
        count = len(self.subscriber.of("records"))
        self.subscriber.wait("records", count + 2)
        self.assertEqual(self.agent.stop(), 0)
        gaps, once = [m.json() for m in self.subscriber.of("gap")], self.subscriber.once()
        self.assertEqual({gap["reason"] for gap in gaps}, {"hot_full"})
        told = {seq for gap in gaps for seq in range(gap["first_seq"], gap["last_seq"] + 1)}
        self.assertEqual(told, {seq for _, _, seq in once.missing()}, "a window, or counted in a gap")
        self.assertEqual(sum(gap["windows"] for gap in gaps), len(told))
        self.judge_gap_joules(gaps, once)
        print(f"full hot folder: {len(once.windows)} windows, {len(told)} in {len(gaps)} gaps")

    def judge_gap_joules(self, gaps, once):
        """What the run counts at the end of its last block is what windows and gaps hold."""
        run_mj = {}
        for message in self.subscriber.of("records"):
            run_mj.update(records.run_mj_of(message.payload))
        for (run, name), mj in run_mj.items():
            self.assertEqual(mj, once.energy_mj(run, name) + sum(gap["energy_mj"][name] or 0 for gap in gaps), name)


if __name__ == "__main__":
    unittest.main()
