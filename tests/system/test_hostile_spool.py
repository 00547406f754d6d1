# SPDX-License-Identifier: Apache-2.0
"""The agent on durable spools that nobody sane made: it starts, says what it found, delivers, and touches nothing else."""
import hashlib
import io
import json
import os
import pwd
import random
import shutil
import stat
import time
import unittest

import cbor2

import records
import segments
from rig import SANITIZED, Agent, AgxOrin, Broker, Scratch, Subscriber, eventually, free_port, run_once

SEED = int(os.environ.get("SEED", "20"))
SETTINGS = {"sampling.interval_ms": 20, "sampling.window_ms": 100, "sampling.block_windows": 5, "mqtt.live_s": 1,
            "mqtt.status_s": 1, "mqtt.retry_max_s": 1, "mqtt.ack_timeout_s": 1}
NAMES = ["VDD_GPU_SOC", "VDD_CPU_CV"]


def contents(folder):
    out = {}
    for at, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(at, name)
            st = os.lstat(path)
            data = b""
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as file:
                    data = hashlib.sha256(file.read(1 << 20)).digest()
            out[os.path.relpath(path, folder)] = st.st_mode, st.st_size, st.st_uid, data
    return out


def slot(generation, record):
    rest = generation.to_bytes(8, "big") + len(record).to_bytes(4, "big") + b"\0\0\0\1" + record
    return b"JPS1" + segments.crc32c(rest).to_bytes(4, "big") + rest


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.close)
        cls.board = AgxOrin(cls.scratch)
        cls.addClassCleanup(cls.board.close)
        cls.broker = Broker()
        cls.addClassCleanup(cls.broker.close)
        cls.subscriber = Subscriber(cls.broker.port, "#")
        cls.addClassCleanup(cls.subscriber.close)
        scratch = Scratch()  # what an outage of some seconds leaves
        agent = Agent({**SETTINGS, "mqtt.url": f"mqtt://127.0.0.1:{free_port()}"}, root=cls.board.root, scratch=scratch)
        cls.addClassCleanup(scratch.close)
        cls.addClassCleanup(agent.close)
        time.sleep(3.5)
        assert agent.stop() == 0, agent.said()
        cls.real = shutil.copytree(agent.spool, cls.scratch.path("real"))
        with open(os.path.join(cls.real, "00000001.jps"), "rb") as file:
            cls.segment = file.read()
        cls.windows = cls.dumped(cls.real)
        assert len(cls.windows) > 20, agent.said()

    @staticmethod
    def dumped(spool):
        status, out, err = run_once("spool", "dump", spool)
        assert status == 0, err
        return {(one["run"], one["seq"]) for one in map(json.loads, out.splitlines()) if one["type"] == "window"}

    def setUp(self):
        self.home = Scratch()
        self.addCleanup(self.home.close)
        self.spool = self.home.path("spool")
        self.outside = self.home.path("outside")
        os.mkdir(self.outside)
        with open(os.path.join(self.outside, "target"), "wb") as file:
            file.write(b"precious " * 1000)
        self.target = os.path.join(self.outside, "target")
        self.root = self.id().rpartition(".")[2]

    def put(self, name, data=b"", length=0):
        os.makedirs(self.spool, exist_ok=True)
        with open(os.path.join(self.spool, name), "wb") as file:
            file.write(data)
            if length:
                file.truncate(length)

    def copy(self):
        shutil.copytree(self.real, self.spool)

    def of(self, leaf):
        return [m for m in self.subscriber.of(leaf) if m.topic.startswith(self.root + "/")]

    def held(self):
        out = {}
        for message in self.of("records"):
            if message.payload[:1] == b"[":
                out.update({(one["run"], one["seq"]): message.device for one in json.loads(message.payload)})
                continue
            head, *blocks = records.items_of(message.payload)
            for block in blocks:
                out.update({(f"{block[0]:016x}", block[1] + i): head["device"] for i in range(block[2])})
        return out

    @staticmethod
    def until(what, why, agent):
        eventually(what, 15, lambda: f"{why}: {agent.said()[-2000:]}")

    def works(self, expect=(), said=(), degraded=(), verify=1, **more):
        """The verbs (`verify` is the status of that one), then an agent that delivers `expect` and new windows, and says
        each of `said`; then the verbs again. The agent's stderr and last status."""
        self.verbs((0, 1) if verify is None else (verify,))
        before = contents(self.outside)
        home = contents(self.home.dir)
        begin = time.monotonic()
        agent = Agent({**SETTINGS, "mqtt.url": self.broker.url, "mqtt.root": self.root, "paths.spool": self.spool, **more},
                      root=self.board.root, scratch=self.home)
        try:
            self.until(lambda: self.of("live"), "no live", agent)
            self.live_s = time.monotonic() - begin
            run = self.of("live")[0].json()["run"]
            self.until(lambda: [1 for r, _ in self.held() if r == run], "no new records", agent)
            self.until(lambda: set(expect) <= set(self.held()), "windows are missing", agent)
            for words in said:
                self.until(lambda: words in agent.said(), f"'{words}' was not said", agent)
            for word in degraded:
                self.until(lambda: word in self.of("status")[-1].json()["degraded"], f"not {word}", agent)
            status = self.of("status")[-1].json()
            self.assertEqual(agent.stop(), 0, agent.said())
        finally:
            agent.close()
        self.assertNotIn("ERROR: AddressSanitizer", agent.said())
        self.verbs((0, 1))
        self.assertEqual(contents(self.outside), before, "nothing outside was touched")
        new = {name for name in set(contents(self.home.dir)) - set(home) if not name.startswith("spool")}
        self.assertEqual(new - {"joulepost.conf", "stderr"}, set(), "nothing is made elsewhere")
        return agent.said(), status

    def verbs(self, verify):
        """They end, say something, and write nothing."""
        before = contents(self.spool)
        for verb in ("verify", "status", "dump"):
            code, out, err = run_once("spool", verb, self.spool, program=SANITIZED)
            self.assertNotIn("Sanitizer", err)
            self.assertIn(code, verify if verb == "verify" else (0,), (verb, out[-300:], err[-1000:]))
            if verb != "dump":
                self.assertTrue(out.strip(), verb)
        self.assertEqual(contents(self.spool), before)

    # Files ----------------------------------------------------------------------------------
    def test_the_real_spool_is_delivered(self):
        self.copy()
        self.works(self.windows, verify=0)

    def test_garbage_under_a_segments_name(self):
        rng = random.Random(SEED)
        self.copy()
        for number, size in ((2, 100), (3, 5000), (4, 200_000), (7, 65536)):
            self.put(f"{number:08d}.jps", rng.randbytes(size))
        self.put("00000009.jps", b"\x84\x1aXXXX\x1a\0\0\0\1\x18\x03\x59\xbf\xff" * 8000)
        said, _ = self.works(self.windows, [f"segment {n} at 0" for n in (2, 3, 4, 7, 9)])
        self.assertIn("no segment of format 1", said)

    def test_segments_cut_short(self):
        ends = cbor_ends(self.segment)
        for cut in (5, ends[0] - 7, ends[0], ends[0] + 3, ends[3] + 20, ends[-1] - 1, ends[-1] + 1000):
            with self.subTest(cut):
                self.root = f"cut{cut}"
                shutil.rmtree(self.spool, ignore_errors=True)
                self.copy()
                with open(os.path.join(self.spool, "00000001.jps"), "r+b") as file:
                    file.truncate(cut)
                expect = self.dumped(self.spool)
                self.works(expect, verify=None)

    def test_empty_files(self):
        self.copy()
        for number in (2, 3, 99):
            self.put(f"{number:08d}.jps")
        self.put("00000098.jps", b"", 65536)
        self.put(".jps")
        self.works(self.windows, ["segment 2 at 0"])

    def test_another_version(self):
        self.copy()
        self.put("00000002.jps", segments.header(2, version=2) + b"whatever comes")
        self.works(self.windows, ["segment 2 at 0: no segment of format 1"])

    def test_a_flipped_bit_is_named_with_its_place(self):
        self.copy()
        at = cbor_ends(self.segment)[4] + 40
        with open(os.path.join(self.spool, "00000001.jps"), "r+b") as file:
            file.seek(at)
            file.write(bytes([self.segment[at] ^ 8]))
        expect = self.dumped(self.spool)
        self.assertLess(len(expect), len(self.windows))
        self.works(expect, ["segment 1 at "], ["damaged"])

    def test_a_length_beyond_all_bounds(self):
        """Whole by its CRC; the block inside says 2^62 windows, and strings of 2^60 bytes."""
        run = segments.run_of(7, NAMES, [0, 1], device="board-1", run_no=1, prev=None)
        good = segments.block_of(7, NAMES, [0, 1], [segments.window_of(7, i, i * 1000, [5, 6]) for i in range(5)])
        huge = cbor2.dumps(good[:2]) [:1] + b"\x07\x05\x1b\x40" + bytes(7)
        frames = [(segments.RUN, run), (segments.BLOCK, good), (segments.BLOCK, [7, 5, 2**62, 0, 1000, NAMES, [0], [[1, [1]]], {}])]
        path = segments.write(self.spool, 1, frames, device="board-1")
        with open(path, "ab") as file:
            for fno, (kind, payload) in enumerate(((3, huge), (3, b"\x9b" + b"\xff" * 8), (1, b"\xbb\x10" + bytes(7)),
                                                   (5, b"\x9f\x01"), (6, b"\x85\x07\x01\x7b\x10" + bytes(7)),
                                                   (4, b"\x84\x1b" + b"\xff" * 8)), 3):
                covered = b"\x1a" + fno.to_bytes(4, "big") + b"\x18" + bytes([kind]) + b"\x59" + len(payload).to_bytes(2, "big") + payload
                file.write(b"\x84\x1a" + segments.crc32c(covered).to_bytes(4, "big") + covered)
            bad = b"\x84\x1a" + bytes(4) + b"\x1a\0\0\0\x20\x18\x03\x59\xff\xff"
            file.write(bad)
        self.works({(f"{7:016x}", i) for i in range(5)}, ["segment 1 at "], ["damaged"])

    def test_a_block_that_makes_no_sense_does_not_stop_the_rest_in_json(self):
        run = segments.run_of(7, NAMES, [0, 1], device="board-1", run_no=1, prev=None)
        good = [segments.block_of(7, NAMES, [0, 1], [segments.window_of(7, at + i, i * 1000, [5, 6]) for i in range(5)])
                for at in (0, 10)]
        bad = [7, 5, 5, 0, 1000, NAMES, [0], [[1, [1]], [1, [1]]], {}]  # five windows, columns of one
        segments.write(self.spool, 1, [(segments.RUN, run), (3, good[0]), (3, bad), (3, bad), (3, good[1])], device="board-1")
        self.works({(f"{7:016x}", at + i) for i in range(5) for at in (0, 10)}, ["segment 1 at "], ["damaged"],
                   **{"mqtt.format": "json"})

    def test_a_spool_of_another_machine(self):
        run = segments.run_of(7, NAMES, [0, 1], device="elsewhere", run_no=41, prev=None)
        block = segments.block_of(7, NAMES, [0, 1], [segments.window_of(7, i, i * 1000, [5, 6]) for i in range(5)])
        segments.write(self.spool, 1, [(segments.RUN, run), (segments.BLOCK, block)], device="elsewhere")
        self.works({(f"{7:016x}", i) for i in range(5)}, verify=0)

    def test_a_sparse_file_of_ten_gigabytes(self):
        self.copy()
        self.put("00000002.jps", b"", 10_000_000_000)
        self.put("00000003.jps", self.segment, 10_000_000_000)
        self.works(self.windows, verify=1)

    # Names ----------------------------------------------------------------------------------
    def hostile_names(self, make):
        for name in ("00000001.jps", "cursor", "state", "lock", "spare", "draft"):
            with self.subTest(name):
                self.root = f"{self._testMethodName}-{name}"
                shutil.rmtree(self.spool, ignore_errors=True)
                self.copy()
                path = os.path.join(self.spool, name)
                if os.path.exists(path):
                    os.unlink(path)
                make(path)
                expect = () if name.endswith(".jps") else self.windows
                segment = name.endswith(".jps")
                _, status = self.works(expect, ["segment 1 at 0"] if segment else (), ["damaged"] if segment else (),
                                       verify=int(segment))
                self.assertEqual(status["degraded"], ["damaged"] if segment else [])

    def test_links(self):
        self.hostile_names(lambda path: os.symlink(self.target, path))

    def test_dead_links(self):
        self.hostile_names(lambda path: os.symlink(os.path.join(self.outside, "new"), path))

    def test_directories(self):
        def make(path):
            os.mkdir(path)
            with open(os.path.join(path, "something"), "w", encoding="ascii") as file:
                file.write("kept")
        self.hostile_names(make)

    def test_pipes(self):
        self.hostile_names(os.mkfifo)

    # State ----------------------------------------------------------------------------------
    def test_a_cursor_beyond_the_end(self):
        """Everything was released, says one of a segment that is there; beyond the next to come none is believed."""
        for at, expect in (([1, 1, 10**9], set()), ([1, 500, 70], self.windows), ([1, 10**10, 0], self.windows),
                           ([1, 10**15, 2**62], self.windows)):
            with self.subTest(at):
                self.root = f"beyond{at[1]}"
                shutil.rmtree(self.spool, ignore_errors=True)
                self.copy()
                self.put("cursor", slot(8, cbor2.dumps([*at, bytes(16)])))
                self.works(expect, verify=0)
                self.assertEqual(expect, self.windows & set(self.held()))

    def test_both_slots_of_the_cursor_garbage(self):
        self.copy()
        self.put("cursor", random.Random(SEED).randbytes(9000))
        self.works(self.windows, ["cursor is damaged"], verify=0)

    def test_a_state_of_garbage(self):
        self.copy()
        self.put("state", random.Random(SEED).randbytes(60_000))
        self.works(self.windows, ["state is damaged"], verify=0)

    def test_a_record_of_another_form_in_the_state(self):
        rng = random.Random(SEED)
        records = [cbor2.dumps([1, 2**64 - 1, bytes(16), 2**64 - 1, 2**64 - 1, True, True, [], b""]), cbor2.dumps({}), b"\x9b" + b"\xff" * 8,
                   cbor2.dumps([2, 1]), rng.randbytes(3000)]
        for i, record in enumerate(records):
            with self.subTest(i):
                self.root = f"state{i}"
                shutil.rmtree(self.spool, ignore_errors=True)
                self.copy()
                self.put("state", slot(9, record))
                self.works(self.windows, ["state is damaged"], verify=0)

    # Many -----------------------------------------------------------------------------------
    def test_ten_thousand_segments(self):
        run = segments.run_of(7, NAMES, [0, 1], device="board-1", run_no=1, prev=None)
        head = segments.frame(0, segments.RUN, run)
        os.makedirs(self.spool)
        for number in range(1, 10_001):
            block = segments.block_of(7, NAMES, [0, 1], [segments.window_of(7, number - 1, number * 1000, [5, 6])])
            with open(os.path.join(self.spool, f"{number:08d}.jps"), "wb") as file:
                file.write(segments.header(number, device="board-1") + head + segments.frame(1, segments.BLOCK, block))
        begin = time.monotonic()
        self.works({(f"{7:016x}", i) for i in range(10_000)}, verify=0)
        print(f"10,000 segments: live after {self.live_s:.2f} s, all delivered and stopped after {time.monotonic() - begin:.1f} s")

    def test_ten_thousand_pieces_of_garbage(self):
        os.makedirs(self.spool)
        for number in range(1, 10_001):
            self.put(f"{number:08d}.jps", b"garbage" * 100)
        begin = time.monotonic()
        self.works()
        print(f"10,000 of garbage: live after {self.live_s:.2f} s, {time.monotonic() - begin:.1f} s")

    # Rights ---------------------------------------------------------------------------------
    def test_a_folder_that_the_user_may_not_write(self):
        if os.geteuid() != 0:
            self.skipTest("skipped: only root can give a folder away")
        self.copy()
        os.chmod(self.spool, 0o755)
        before = contents(self.spool)
        agent = Agent({**SETTINGS, "mqtt.url": self.broker.url, "mqtt.root": self.root, "paths.spool": self.spool,
                       "user": "nobody"}, root=self.board.root, scratch=self.home)
        self.addCleanup(agent.close)
        self.until(lambda: f"{self.spool} cannot be used by user" in agent.said(), "it was not said", agent)
        self.assertEqual(contents(self.spool), before)
        nobody = pwd.getpwnam("nobody")
        for name in (".", *os.listdir(self.spool)):
            os.chown(os.path.join(self.spool, name), nobody.pw_uid, nobody.pw_gid)
        self.until(lambda: self.windows <= set(self.held()), "windows are missing", agent)
        self.until(lambda: self.of("live")[-1].json()["run"] in {run for run, _ in self.held()}, "no new records", agent)
        self.assertEqual(agent.stop(), 0, agent.said())


def cbor_ends(data):
    """Where the header and each frame of a segment end."""
    stream, ends = io.BytesIO(data), []
    while stream.tell() < len(data) and data[stream.tell()] != 0:
        cbor2.load(stream)
        ends.append(stream.tell())
    return ends


if __name__ == "__main__":
    unittest.main()
