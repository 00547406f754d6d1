# SPDX-License-Identifier: Apache-2.0
"""A year without a broker: `spool dump` streams its backlog complete, in order, and in constant memory; status, verify
and the start of post bear it."""
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import cbor2

from rig import Agent, AgxOrin, Broker, JOULEPOST, Scratch, Subscriber, eventually, run_once

MAKE_BACKLOG = os.environ.get("MAKE_BACKLOG", os.path.join(os.path.dirname(JOULEPOST), "tests", "make_backlog"))
YEAR_BLOCKS = 1_051_200
BLOCKS = int(os.environ.get("YEAR_BLOCKS", YEAR_BLOCKS))
GROWTH_KB = 3000
CHUNK = 1 << 20
WINDOW = re.compile(rb'"run":"([0-9a-f]{16})","seq":(\d+),')  # no other line has the two side by side


def peak_kb(pid):
    """The peak of a process's memory so far, None when it has ended."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        peak = re.search(r"VmHWM:\s+(\d+)", file.read())
    return int(peak.group(1)) if peak else None


class Year(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="joulepost-year-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.config = os.path.join(self.dir, "joulepost.conf")
        with open(self.config, "w", encoding="utf-8"):
            pass

    def make(self, name, blocks):
        spool = os.path.join(self.dir, name)
        done = subprocess.run([MAKE_BACKLOG, spool, str(blocks)], stdout=subprocess.PIPE, check=True)
        return spool, json.loads(done.stdout)

    def dump(self, spool):
        """Windows, runs, lines, and the peak of memory in kB; each window must be the next of its run."""
        windows, lines, peak, rest, run, seq, seen = 0, 0, 0, b"", None, 0, set()
        with subprocess.Popen([JOULEPOST, "spool", "dump", "-c", self.config, spool], stdout=subprocess.PIPE) as process:
            for data in iter(lambda: process.stdout.read(CHUNK), b""):
                peak = peak_kb(process.pid) or peak
                whole, newline, rest = (rest + data).rpartition(b"\n")
                lines += whole.count(b"\n") + len(newline)
                for its_run, its_seq in WINDOW.findall(whole):
                    if its_run != run:
                        run, seq = its_run, 0
                        self.assertNotIn(run, seen)
                        seen.add(run)
                    if int(its_seq) != seq:
                        self.fail(f"run {run}: {its_seq} comes where {seq} should")
                    seq += 1
                    windows += 1
        self.assertEqual((process.returncode, rest), (0, b""))
        return windows, len(seen), lines, peak

    def test_a_dump_is_complete_in_order_and_in_constant_memory(self):
        peaks = []
        for name, blocks in (("tenth", BLOCKS // 10), ("whole", BLOCKS)):
            spool, made = self.make(name, blocks)
            begun = time.monotonic()
            windows, runs, lines, peak = self.dump(spool)
            print(f"{blocks} blocks of a year's {YEAR_BLOCKS}, {made['bytes']} bytes: {windows} windows dumped in "
                  f"{time.monotonic() - begun:.1f} s, peak {peak} kB")
            self.assertEqual((windows, runs), (made["windows"], made["runs"]))
            self.assertEqual(windows, blocks * 30)
            # One line a run, gap and event; ANCHORs come on top.
            self.assertGreaterEqual(lines, windows + 2 * made["runs"] + made["gaps"])
            told = json.loads(run_once("spool", "status", "--json", "-c", self.config, spool)[1])
            self.assertEqual((told["windows"], told["pending"]["windows"], told["runs"], told["damaged"]),
                             (windows, windows, runs, 0))
            self.assertEqual(told["lost"]["hot_full"]["windows"], 5 * made["gaps"])
            status, out, _ = run_once("spool", "verify", "-c", self.config, spool)
            self.assertEqual((status, out.split()[0]), (0, "whole:"))
            peaks.append(peak)
        self.assertLess(peaks[1] - peaks[0], GROWTH_KB)
        # Post is ready on it at once: what is there is listed, not read.
        told = json.loads(subprocess.run([MAKE_BACKLOG, "--open", spool], stdout=subprocess.PIPE, check=True).stdout)
        print(f"opened in {told['open_s'] * 1e3:.1f} ms, the first frame {told['first_frame_s'] * 1e3:.1f} ms later")
        self.assertGreater(told["pending_bytes"], made["bytes"] * 9 // 10)

    def drain(self, name, blocks):
        """Post on the backlog, until it has sent it all: the records of the year, its own runs', its peak in kB, and CPU."""
        spool, _ = self.make(name, blocks)
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = AgxOrin(scratch)
        self.addCleanup(board.close)
        broker = Broker()
        self.addCleanup(broker.close)
        subscriber = Subscriber(broker.port, topic="joulepost/1/+/records")
        self.addCleanup(subscriber.close)
        agent = Agent({"mqtt.url": broker.url, "paths.spool": spool, "spool.max_bytes": 2_000_000_000}, root=board.root)
        self.addCleanup(agent.close)
        post = agent.half("post")
        eventually(lambda: not any(one.endswith(".jps") for one in os.listdir(spool)), seconds=300,
                   why=lambda: f"the backlog stays: {agent.said()}")
        with open(f"/proc/{post}/stat", encoding="ascii") as file:
            ticks = file.read().rpartition(")")[2].split()
        cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
        peak = peak_kb(post)
        self.assertEqual(agent.stop(), 0)
        payloads = [message.payload for message in subscriber.of("records")]
        size = sum(map(len, payloads))
        print(f"{blocks} blocks drained: {size} bytes in {len(payloads)} messages, {size / blocks / 90:.2f} a rail and window; "
              f"{blocks * 90 / cpu / 1e6:.1f} million rail-windows a CPU second (budget 5), peak {peak} kB")
        return payloads, peak

    def test_post_drains_it_complete_in_order_and_in_constant_memory(self):
        payloads, small = self.drain("tenth", BLOCKS // 10)
        runs, windows = {}, 0
        for payload in payloads:
            stream = io.BytesIO(payload)
            cbor2.load(stream)
            while stream.tell() < len(payload):
                run, seq, n = cbor2.load(stream)[:3]
                if len(runs) < 24 or run in runs:
                    self.assertEqual(seq, runs.get(run, 0))
                    runs[run] = seq + n
                    windows += n
        self.assertEqual(windows, BLOCKS // 10 * 30)
        whole, large = self.drain("whole", BLOCKS)
        self.assertGreater(sum(map(len, whole)), 9.5 * sum(map(len, payloads)))
        self.assertLess(large - small, GROWTH_KB)


if __name__ == "__main__":
    unittest.main()
