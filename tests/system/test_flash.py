# SPDX-License-Identifier: Apache-2.0
"""Bytes that reach the flash in a day: the agent with eight rails at its real intervals on ext4, online and offline.

What the disk sees is more than what the program writes, in whole pages as the kernel books it (write_bytes of
/proc/PID/io): ext4 journals the time of each change in three blocks, and then the inode's, unless another change within
5 s shares them (mount -o commit=SECONDS). With the blocks of 1 KiB that mkfs gives a disk of up to 512 MB the budgets hold
for the disk's own counters. With the 4 KiB of a larger one three blocks are 12 kB a sync, more than a budget of 20 MB has for
2,880 syncs: there what the program writes is held to it, and the disk's figure is printed beside.

A day is extrapolated. What is written scales with time but for two things that come once an hour: a checkpoint of
post's state, so that its bytes are measured with spool.checkpoint_s small, its writes counted by the generation in the
file, and taken 24 times; and the zeros that a segment gets ahead of its frames, which are as many bytes as the frames
and are added to them. What begins a segment is written before the measuring does. A whole day of the spool alone, its
syncs one behind the other, has it all."""
import os
import random
import subprocess
import sys
import threading
import time
import unittest

import ext4
from rig import JOULEPOST, TREE, Agent, Broker, Scratch, Subscriber, free_port

sys.path.insert(0, os.path.join(TREE, "tests", "fixtures"))
import make_tree  # noqa: E402

MAKE_BACKLOG = os.environ.get("MAKE_BACKLOG", os.path.join(os.path.dirname(JOULEPOST), "tests", "make_backlog"))
SKIP = 77  # as in tests.cmake
SECONDS = float(os.environ.get("FLASH_SECONDS", "180"))
SETTLE_S = 12  # the journal's commit comes 5 s after a write
BLOCK_S, DAY_S = 30, 86400
CHECKPOINT_S, CHECKPOINTS = 15, 24
ONLINE_MB, OFFLINE_MB = 0.2, 20


def content(path):
    """A file's bytes, b"" when there is none; a look must not move the times of what it looks at."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
    except FileNotFoundError:
        return b""
    with open(fd, "rb") as file:
        return file.read()


def generation(path):
    """How often a file of two slots was written; 0 when there is none."""
    data = content(path)
    return max((int.from_bytes(data[at + 8:at + 16], "big") for at in range(0, len(data), 4096)
                if data[at:at + 4] == b"JPS1"), default=0)


def frame_bytes(spool):
    """What lies in the segments before their zeros."""
    try:
        folder = os.open(spool, os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME)
    except FileNotFoundError:
        return 0
    try:
        return sum(len(content(os.path.join(spool, name)).rstrip(b"\0")) for name in os.listdir(folder)
                   if name.endswith(".jps"))
    finally:
        os.close(folder)


class Load(threading.Thread):
    """Moves the rails of the tree."""

    def __init__(self, tree):
        super().__init__(daemon=True)
        self.mover, self.ended = make_tree.Mover(tree), threading.Event()

    def run(self):
        rng = random.Random(8)
        while not self.ended.wait(0.1):
            busy = int(time.monotonic() / 20) % 2
            for index, (client, labels) in enumerate(make_tree.EIGHT_RAILS.items()):
                for rail in range(1, len(labels) + 1):
                    ma = 4 * rng.randrange(90, 110) + busy * 4 * rng.randrange(200)
                    self.mover.set(f"/sys/bus/i2c/devices/{client}/hwmon/hwmon{index}/curr{rail}_input", ma)

    def stop(self):
        self.ended.set()
        self.join()
        self.mover.close()


def booked(pid):
    """Bytes that the kernel books on a process as written to disks; pages of tmpfs are none."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(dict(line.split(": ") for line in file)["write_bytes"])


class Writer:
    """One who writes to a disk of his own, and what of it the kernel saw."""

    def __init__(self, test, block=4096):
        self.disk = ext4.Ext4(block)
        self.disk.__enter__()
        test.addClassCleanup(self.disk.close)
        self.spool = os.path.join(self.disk.dir, "spool")
        self.state = os.path.join(self.spool, "state")
        self.pid = self.before = None

    def agent(self, test, **settings):
        agent = Agent({"paths.spool": self.spool, **settings}, root=test.tree)
        test.addClassCleanup(agent.close)
        self.pid = agent.half("post")
        return self

    def paced(self, test, seconds):
        """The spool alone: a block with its sync each so many seconds."""
        self.process = subprocess.Popen([MAKE_BACKLOG, "--paced", self.spool, str(seconds)], stdout=subprocess.PIPE)
        test.addClassCleanup(self.process.stdout.close)
        test.addClassCleanup(self.process.wait)
        test.addClassCleanup(self.process.kill)
        self.pid = self.process.pid
        return self

    def look(self):
        self.disk.sync()
        return (booked(self.pid), self.disk.bytes_written(), frame_bytes(self.spool), generation(self.state),
                time.monotonic())

    def begin(self):
        self.before = self.look()

    def end(self):
        self.pages, self.bytes, self.frames, self.writes, self.seconds = (
            b - a for a, b in zip(self.before, self.look()))

    def a_day(self, count):
        return count * DAY_S / self.seconds / 1e6


class Flash(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = Scratch()
        cls.addClassCleanup(scratch.close)
        cls.tree = scratch.path("tree")
        make_tree.make("eight-rails", cls.tree)
        load = Load(cls.tree)
        load.start()
        cls.addClassCleanup(load.stop)
        broker = Broker()
        cls.addClassCleanup(broker.close)
        subscriber = Subscriber(broker.port)
        cls.addClassCleanup(subscriber.close)
        away = f"mqtt://127.0.0.1:{free_port()}"
        cls.online = Writer(cls).agent(cls, **{"mqtt.url": broker.url, "device.name": "online"})
        cls.checkpoints, cls.small_checkpoints = (
            Writer(cls, block).agent(cls, **{"mqtt.url": broker.url, "device.name": f"checkpoints-{block}",
                                             "spool.checkpoint_s": CHECKPOINT_S}) for block in (4096, 1024))
        cls.offline, cls.small_offline = (Writer(cls, block).agent(cls, **{"mqtt.url": away}) for block in (4096, 1024))
        cls.alone = Writer(cls).paced(cls, BLOCK_S)
        writers = [cls.online, cls.checkpoints, cls.small_checkpoints, cls.offline, cls.small_offline, cls.alone]
        for device in ("online", "checkpoints-4096", "checkpoints-1024"):
            subscriber.wait("records", 1, lambda message, device=device: message.device == device, 90)
        time.sleep(SETTLE_S)  # the offline ones have stored their first block by now
        for writer in writers:
            writer.begin()
        time.sleep(SECONDS)
        for writer in writers:
            writer.end()

    def test_online(self):
        self.assertEqual((self.online.pages, self.online.bytes), (0, 0))
        figures = []
        for writer in (self.checkpoints, self.small_checkpoints):
            self.assertGreater(writer.writes, 0, "there was no checkpoint")
            figures.append([CHECKPOINTS * count / writer.writes / 1e6 for count in (writer.pages, writer.bytes)])
        (pages, disk), (_, small) = figures
        print(f"online, nothing waits: 0 bytes in {self.online.seconds:.0f} s between checkpoints; {CHECKPOINTS} checkpoints a day "
              f"{pages:.2f} MB (at most {ONLINE_MB}), on the disk {small:.2f} with blocks of 1 KiB, {disk:.2f} with 4 KiB")
        self.assertLessEqual(pages, ONLINE_MB)
        self.assertLessEqual(small, ONLINE_MB)

    def offline_mb(self, writer, what):
        """MB a day: what the program writes, and what the disk sees."""
        blocks = writer.seconds / BLOCK_S
        zeros = writer.a_day(writer.frames)
        a_day, disk = writer.a_day(writer.pages) + zeros, writer.a_day(writer.bytes) + zeros
        print(f"{what}: {writer.pages} bytes in {writer.seconds:.0f} s; a block of {writer.frames / blocks:.0f} bytes takes "
              f"{writer.pages / blocks:.0f}, on the disk {writer.bytes / blocks:.0f}; {a_day:.1f} MB a day (at most "
              f"{OFFLINE_MB}), on the disk {disk:.1f}")
        return a_day, disk

    def test_offline(self):
        a_day, _ = self.offline_mb(self.offline, "offline, blocks of 4 KiB")
        self.assertGreater(self.offline.frames, 0, "nothing was stored")
        self.assertLessEqual(a_day, OFFLINE_MB)
        self.assertGreater(self.offline.bytes, 0)
        _, disk = self.offline_mb(self.small_offline, "offline, blocks of 1 KiB")
        self.assertGreater(self.small_offline.frames, 0, "nothing was stored")
        self.assertLessEqual(disk, OFFLINE_MB)

    def test_the_spool_alone(self):
        self.assertLessEqual(self.offline_mb(self.alone, "the spool alone")[0], OFFLINE_MB)
        self.assertGreater(self.alone.bytes, 0)

    def test_a_day_of_syncs(self):
        day = Writer(self).paced(self, 0)
        for _ in range(DAY_S // BLOCK_S):
            day.process.stdout.readline()
        day.disk.sync()
        pages, disk = booked(day.pid), day.disk.bytes_written()
        print(f"a day of the spool alone, its syncs one behind the other: {pages / 1e6:.1f} MB, on the disk {disk / 1e6:.1f} "
              f"(at most {OFFLINE_MB})")
        self.assertGreater(disk, frame_bytes(day.spool))
        self.assertLessEqual(disk / 1e6, OFFLINE_MB)


if __name__ == "__main__":
    try:
        with ext4.Ext4():
            pass
    except ext4.Unavailable as why:
        print(f"SKIPPED: no ext4 on a loop device here: {why}")
        sys.exit(SKIP)
    unittest.main()
