# SPDX-License-Identifier: Apache-2.0
"""`upload`: spools taken from other machines, against an independent reader of the same bytes."""
import fcntl
import hashlib
import io
import json
import os
import pwd
import random
import shutil
import signal
import subprocess
import time
import unittest

import cbor2

import records
import segments
from rig import (SANITIZED, TREE, AgxOrin, Agent, Broker, Scratch, Subscriber, config_text, eventually, free_port,
                 run_once)

SEED = int(os.environ.get("SEED", "21"))
GOLDEN = os.path.join(TREE, "tests", "golden", "v1")
SPOOL_ID = bytes(range(16))
PROGRESS = "upload-" + SPOOL_ID.hex()
NAMES = ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]
BUILT_MS = 1767225600000  # no spool is older: a clock before it was never set


def fingerprint(folder):
    """Everything below the folder: kind, size, time of change, content."""
    out = {}
    for root, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            st = os.lstat(os.path.join(root, name))
            data = b""
            if name in files:
                with open(os.path.join(root, name), "rb") as file:
                    data = hashlib.sha256(file.read()).digest()
            out[os.path.join(root, name)] = st.st_mode, st.st_size, st.st_mtime_ns, st.st_ctime_ns, data
    return out


def frames_of(path):
    """The header, and (offset, type, payload) of each whole frame."""
    with open(path, "rb") as file:
        data = file.read()
    stream, out = io.BytesIO(data), []
    header = cbor2.load(stream)  # the decoder takes the tag off
    try:
        while stream.tell() < len(data) and data[stream.tell()] != 0:
            at = stream.tell()
            crc, _number, kind, payload = cbor2.load(stream)
            if crc != segments.crc32c(data[at + 6:stream.tell()]):
                break
            out.append((at, kind, payload))
    except (cbor2.CBORDecodeError, ValueError, TypeError):
        pass
    return header, out


def cursor_of(folder):
    """(segment, offset) of the newest slot; the beginning when there is none."""
    try:
        with open(os.path.join(folder, "cursor"), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return 0, 0
    slots = [(int.from_bytes(data[at + 8:at + 16], "big"), cbor2.loads(data[at + 24:]))
             for at in range(0, len(data), 4096) if data[at:at + 4] == b"JPS1"]
    return tuple(max(slots)[1][1:3])


def wall_of(anchors, at_ms):
    """(off_ms, clock) from the nearest anchor of a boot that was synced, else from the nearest."""
    anchors = sorted(anchors, key=lambda one: one[0])
    own = ([one for one in anchors if one[0] <= at_ms] or anchors[:1])[-1]
    good = [one for one in anchors if one[2] == 1]
    off = min(good or anchors, key=lambda one: abs(one[0] - at_ms))[1]
    return off, "unsynced" if not good else "synced" if own[2] == 1 else "estimated"


def expected_of(folder, start=None):
    """What an upload has to bring, in order: windows, ("event", ...) and ("gap", ...)."""
    start = cursor_of(folder) if start is None else start
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".jps"))
    whole = [(header, [(at, kind, cbor2.loads(payload) if payload else None) for at, kind, payload in frames])
             for header, frames in map(frames_of, paths)]
    anchors, out = {}, []
    for header, frames in whole:
        anchors.setdefault(header["boot"], []).extend(item for _, kind, item in frames if kind == segments.ANCHOR)
    for header, frames in whole:
        for at, kind, item in frames:
            if (header["segment"], at) < start:
                continue
            if kind == segments.BLOCK:
                off, clock = wall_of(anchors[header["boot"]], item[3])
                head = {"device": header["device"], "off_ms": off, "clock": clock, "g_per_kwh": None, "pue": 1.0}
                out += records.windows_of_block(head, item)
            elif kind == segments.EVENT:
                out.append(("event", header["device"], f"{item[0]:016x}", item[1], item[2], json.loads(item[4])))
            elif kind == segments.GAP:
                out.append(("gap", header["device"], f"{item[0]:016x}", item[1], item[2], dict(zip(item[8], item[7]))))
    return out


def brought(subscriber):
    """The same out of what a subscriber received."""
    out = []
    for message in list(subscriber.messages):
        if message.leaf == "records":
            windows = records.windows_of(message.payload, message.device)
            assert {one["device"] for one in windows} == {message.device}, message.topic
            out += windows
            continue
        told = message.json()
        if message.leaf == "event":
            out.append(("event", message.device, told["run"], told["boot_ms"], told["kind"], told["detail"]))
        else:
            out.append(("gap", message.device, told["run"], told["first_seq"], told["last_seq"], told["energy_mj"]))
    return out


def json_view(entries):
    """What JSON can say: no wall time before the format was born."""
    return [{**one, "t_ms": None if one["t_ms"] is not None and one["t_ms"] < BUILT_MS else one["t_ms"]}
            if isinstance(one, dict) else one for one in entries]


def blocks_of(payload):
    """The bytes of each block of a CBOR message, by (run, seq)."""
    stream, out = io.BytesIO(payload), {}
    cbor2.load(stream)
    while stream.tell() < len(payload):
        at = stream.tell()
        block = cbor2.load(stream)
        out[block[0], block[1]] = payload[at:stream.tell()]
    return out


class Maker:
    """A spool of several boots and devices, blocks of five windows."""

    def __init__(self, folder, seed=SEED):
        self.folder, self.number, self.rng = folder, 0, random.Random(seed)

    def run(self, boot, run, anchors, device="box-7", segments_count=4, blocks=12, at_ms=1000):
        """A run over several segments; the k-th anchor [boot_ms, off_ms, clock] stands at the k-th block."""
        seq, sums, k = 0, [0] * len(NAMES), 0
        run_map = segments.run_of(run, NAMES, [0, 1, 2], boot=boot, device=device, block_windows=5,
                                  run_no=self.number + 1, prev=None)
        for part in range(segments_count):
            frames = [(segments.RUN, run_map)]
            if k > 0:
                frames.append((segments.ANCHOR, [*anchors[min(k, len(anchors)) - 1], None]))
            if part == 0:
                frames.append((segments.EVENT, [run, at_ms, "run", "", '{"action":"start","version":"0.1.0"}']))
            for _ in range(blocks):
                if k < len(anchors):
                    frames.append((segments.ANCHOR, [*anchors[k], None]))
                k += 1
                windows = []
                for _ in range(5):
                    mjs = [None if self.rng.random() < 0.05 else self.rng.randrange(20_000) for _ in NAMES]
                    windows.append(segments.window_of(run, seq, at_ms + seq * 1000, mjs))
                    for c, mj in enumerate(mjs):
                        sums[c] += mj or 0
                        windows[-1][5][c][1] = sums[c]
                    seq += 1
                frames.append((segments.BLOCK, segments.block_of(run, NAMES, [0, 1, 2], windows)))
            if part == 1:
                frames.append((segments.EVENT, [run, at_ms + seq * 1000, "task", "", '{"action":"start","name":"bake"}']))
                frames.append((segments.GAP, [run, seq, seq + 1, 2, at_ms + seq * 1000, 2000, "hot_full", [7, None, 9], NAMES,
                                              [0, 1, 2]]))
                seq += 2
            self.number += 1
            segments.write(self.folder, self.number, frames + [(segments.SEAL, None)], tail=bytes(500), device=device,
                           boot=boot, boot_ms=at_ms, real_ms=at_ms + anchors[0][1], spool_id=SPOOL_ID,
                           clock="synced" if anchors[0][2] == 1 else "unsynced")


def make(folder, seed=SEED):
    """Four boots: synced with a step, one that learns the time late, one that never does, and another device."""
    def steady(off_ms, clock):
        return [[1000 + 5000 * k, off_ms, clock] for k in range(20)]
    maker = Maker(folder, seed)
    late = 1790000000000
    maker.run("aaaaaaaa-0000-4000-8000-000000000000", 0xA1, steady(late, 1) + [[105_500, late + 40, 1]])
    maker.run("aaaaaaaa-0000-4000-8000-000000000000", 0xA2, [[900_000, late + 40, 1]], segments_count=2, at_ms=900_000)
    maker.run("bbbbbbbb-0000-4000-8000-000000000000", 0xB1, steady(7_000, 0) + [[106_000, late + 9_000_000, 1]])
    maker.run("cccccccc-0000-4000-8000-000000000000", 0xC1, [[1000, 9_000, 0]], segments_count=3)
    maker.run("dddddddd-0000-4000-8000-000000000000", 0xD1, [[1000, late + 20_000_000, 1]], device="box-8", segments_count=2)


class Upload(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.close)
        self.state = self.scratch.path("state")
        self.spool = self.scratch.path("card", "spool")

    def broker(self, **options):
        options["options"] = options.get("options", "") + "max_queued_messages 0\n"
        broker = Broker(**options)
        self.addCleanup(broker.close)
        return broker

    def subscriber(self, broker, **options):
        subscriber = Subscriber(broker.port, **options)
        self.addCleanup(subscriber.close)
        return subscriber

    def config(self, broker, name="upload.conf", **settings):
        more = {key.replace("__", "."): value for key, value in settings.items()}
        return self.scratch.write(name, config_text({"paths.spool": self.state, "device.name": "desk",
                                                     **({"mqtt.url": broker.url} if broker else {}), **more}))

    def upload(self, config, *args, spool=None, status=0):
        """(stdout, stderr) of one upload to its end; not a byte of the spool may change."""
        spool = spool or self.spool
        before = fingerprint(spool)
        got, out, err = run_once("upload", "-c", config, spool, *args, program=SANITIZED)
        self.assertEqual(got, status, err[-3000:])
        self.assertEqual(fingerprint(spool), before)
        return out, err

    def begin(self, config):
        process = subprocess.Popen([SANITIZED, "upload", "-c", config, self.spool], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def complete(self, subscriber, expected):
        eventually(lambda: len(brought(subscriber)) >= len(expected), why=lambda: f"{len(brought(subscriber))} of {len(expected)}")
        self.assertEqual(brought(subscriber), expected)

    def test_the_golden_spool_arrives_from_its_cursor_on(self):
        broker = self.broker()
        subscriber = self.subscriber(broker)
        shutil.copytree(GOLDEN, self.spool)
        expected = expected_of(self.spool)
        self.assertGreater(len(expected_of(self.spool, (0, 0))), len(expected), "the cursor lies within")
        self.assertEqual({one[0] for one in expected if isinstance(one, tuple)}, {"event", "gap"})
        out, err = self.upload(self.config(broker))
        self.complete(subscriber, expected)
        self.assertEqual({message.device for message in subscriber.messages}, {"bench"})
        self.assertEqual({(m.qos, m.retain) for m in subscriber.messages}, {(1, False)})
        self.assertIn("delivered by the device itself", err)
        self.assertIn("torn tail", err)
        windows = sum(isinstance(one, dict) for one in expected)
        self.assertIn(f"{windows} windows in {windows // 30} blocks, 1 events and 1 gaps sent", err.splitlines()[-1])
        self.assertEqual(out, "")
        self.assertEqual([name for name in os.listdir(self.state) if not name.startswith("upload-")], [])
        again = self.upload(self.config(broker), "--json")
        told = json.loads(again[0])
        self.assertEqual((told["complete"], told["windows"], told["events"], told["gaps"]), (True, 0, 0, 0))
        self.assertIn("uploaded before", again[1])
        self.complete(subscriber, expected)

    def test_boots_devices_and_clocks_each_in_their_order(self):
        broker = self.broker()
        subscriber = self.subscriber(broker)
        make(self.spool)
        expected = expected_of(self.spool)
        clocks = {one["clock"] for one in expected if isinstance(one, dict)}
        self.assertEqual(clocks, {"synced", "estimated", "unsynced"})
        out, err = self.upload(self.config(broker), "--json", spool=os.path.dirname(self.spool))
        self.complete(subscriber, expected)
        self.assertEqual({m.topic for m in subscriber.messages},
                         {f"joulepost/1/{device}/{leaf}" for device in ("box-7", "box-8") for leaf in ("records", "event", "gap")})
        told = json.loads(out)
        self.assertEqual((told["complete"], told["windows"], told["damaged"], told["windows_before"]),
                         (True, sum(isinstance(one, dict) for one in expected), 0, 0))
        self.assertEqual((told["events"], told["gaps"]), (10, 5))
        self.assertEqual(err, "")
        stored = {}
        for name in os.listdir(self.spool):
            for _, kind, payload in frames_of(os.path.join(self.spool, name))[1]:
                if kind == segments.BLOCK:
                    stored[tuple(cbor2.loads(payload)[:2])] = payload
        for message in subscriber.of("records"):
            self.assertEqual(message.content_type, "application/cbor-seq")
            head = records.items_of(message.payload)[0]
            self.assertEqual(head["boot"][0], head["boot"][7])
            for key, data in blocks_of(message.payload).items():
                self.assertEqual(data, stored[key], "byte for byte as stored")

    def test_what_post_kept_without_a_network_arrives(self):
        board = AgxOrin(self.scratch)
        self.addCleanup(board.close)
        agent = Agent({"sampling.window_ms": 100, "sampling.interval_ms": 20, "sampling.block_windows": 5,
                       "mqtt.ack_timeout_s": 1, "mqtt.url": f"mqtt://127.0.0.1:{free_port()}"}, root=board.root)
        self.addCleanup(agent.close)
        eventually(lambda: os.path.isdir(agent.spool) and any(n.endswith(".jps") for n in os.listdir(agent.spool)))
        time.sleep(1)
        self.assertEqual(agent.stop(), 0, agent.said())
        broker = self.broker()
        subscriber = self.subscriber(broker)
        self.upload(self.config(broker), spool=agent.spool)
        expected = expected_of(agent.spool)
        eventually(lambda: len(brought(subscriber)) >= len(expected))
        # Header and ANCHOR of a start are one moment read twice: their offsets may differ by a millisecond.
        for one, got in zip(expected, brought(subscriber)):
            if isinstance(one, dict) and isinstance(got, dict) and abs(one["t_ms"] - got["t_ms"]) <= 1:
                one["t_ms"] = got["t_ms"]
        self.complete(subscriber, expected)
        self.assertEqual(subscriber.once().missing(), [])
        self.assertEqual(expected[0][4:], ("run", expected[0][5]))
        self.assertEqual(expected[0][5]["action"], "start")
        self.assertGreater(len(subscriber.once().windows), 9)

    def test_json_says_the_same(self):
        broker = self.broker()
        subscriber = self.subscriber(broker)
        make(self.spool)
        self.upload(self.config(broker, mqtt__format="json"))
        expected = json_view(expected_of(self.spool))
        eventually(lambda: len(brought(subscriber)) >= len(expected))
        got = brought(subscriber)
        self.assertEqual(got, expected)
        self.assertIn(None, [one["t_ms"] for one in got if isinstance(one, dict)])
        self.assertEqual({m.content_type for m in subscriber.messages}, {"application/json"})

    def test_a_killed_upload_goes_on_and_nothing_is_missing(self):
        broker = self.broker()
        subscriber = self.subscriber(broker)
        make(self.spool)
        expected = expected_of(self.spool)
        before = fingerprint(self.spool)
        first = self.begin(self.config(broker, "slow.conf", mqtt__backlog_blocks_per_s=40))
        eventually(lambda: len(brought(subscriber)) > 450)
        first.kill()
        first.wait()
        time.sleep(0.2)
        had = len(brought(subscriber))
        self.assertLess(had, len(expected))
        self.assertTrue(os.path.exists(os.path.join(self.state, PROGRESS)))
        _, err = self.upload(self.config(broker))
        self.assertEqual(fingerprint(self.spool), before)
        self.assertIn("uploaded before", err)
        # What came again is what came last before the kill, and not all of it.
        eventually(lambda: brought(subscriber)[-1] == expected[-1])
        got = brought(subscriber)
        repeated = len(got) - len(expected)
        self.assertLess(repeated, had - 100, "most was saved")
        self.assertEqual(got[:had] + got[had + repeated:], expected)
        self.assertEqual(got[had:had + repeated], expected[had - repeated:had])
        blocks = {}
        for message in subscriber.of("records"):
            for key, data in blocks_of(message.payload).items():
                self.assertEqual(blocks.setdefault(key, data), data)

    def test_an_interrupted_upload_saves_what_was_delivered(self):
        broker = self.broker()
        subscriber = self.subscriber(broker)
        make(self.spool)
        for count, number in enumerate((signal.SIGINT, signal.SIGTERM), 1):
            process = self.begin(self.config(broker, "slow.conf", mqtt__backlog_blocks_per_s=40))
            eventually(lambda: len(brought(subscriber)) > 150 * count)
            process.send_signal(number)
            self.assertEqual(process.wait(10), 1)
            self.assertIn("stopped, the same command goes on from here", process.stderr.read().decode())
        self.upload(self.config(broker))
        self.complete(subscriber, expected_of(self.spool))

    def test_a_broker_that_comes_late_and_goes_in_the_middle(self):
        kept = self.scratch.path("broker")
        os.mkdir(kept)
        broker = self.broker(options=f"persistence true\npersistence_location {kept}/\n")
        subscriber = self.subscriber(broker, name="lasting")
        make(self.spool)
        broker.stop()
        process = self.begin(self.config(broker, mqtt__backlog_blocks_per_s=60, mqtt__retry_max_s=1))
        line = process.stderr.readline().decode()
        self.assertIn("cannot connect: connection refused", line)
        for count in (1, 2):
            broker.start()
            eventually(lambda: len(brought(subscriber)) > 200 * count)
            broker.stop()
        broker.start()
        self.assertEqual(process.wait(60), 0)
        self.assertIn("connection lost", process.stderr.read().decode())
        expected = expected_of(self.spool)
        eventually(lambda: expected[-1] in brought(subscriber))
        self.assertEqual(subscriber.once().conflicts, [])
        got = [json.dumps(one) for one in brought(subscriber)]
        self.assertEqual(list(dict.fromkeys(got)), [json.dumps(one) for one in expected])

    def test_a_small_packet_limit_splits(self):
        make(self.spool)
        expected = expected_of(self.spool)
        for limit in ("max_packet_size 1500", "message_size_limit 1500"):
            for form in ("cbor", "json"):
                broker = self.broker(options=limit + "\n")
                subscriber = self.subscriber(broker)
                shutil.rmtree(self.state, ignore_errors=True)
                self.upload(self.config(broker, mqtt__format=form))
                self.complete(subscriber, expected if form == "cbor" else json_view(expected))
                largest = max(len(m.payload) for m in subscriber.messages)
                self.assertTrue(200 < largest <= 1500, (limit, form, largest))

    def test_under_3_1_1_a_closed_connection_means_too_large(self):
        make(self.spool)
        broker = self.broker(options="max_packet_size 1500\n")
        subscriber = self.subscriber(broker, version=4)
        _, err = self.upload(self.config(broker, mqtt__version="3.1.1", mqtt__retry_max_s=1))
        self.assertIn("connection lost", err)
        self.complete(subscriber, expected_of(self.spool))

    def test_a_block_too_large_stops_with_a_line(self):
        make(self.spool)
        for limit in ("max_packet_size 300", "message_size_limit 200"):
            broker = self.broker(options=limit + "\n")
            shutil.rmtree(self.state, ignore_errors=True)
            _, err = self.upload(self.config(broker), status=1)
            self.assertIn("a single block for joulepost/1/box-7/records is larger than the broker takes", err)
            self.assertIn("not all: 0 windows in 0 blocks, 1 events", err.splitlines()[-1])
            roomy = self.broker()
            subscriber = self.subscriber(roomy)
            self.upload(self.config(roomy))
            self.complete(subscriber, expected_of(self.spool)[1:])

    def test_a_denial_stops_with_the_brokers_reason_and_a_right_goes_on(self):
        make(self.spool)
        broker = self.broker(users={"desk": "secret", "reader": "r"},
                             acl="user desk\ntopic write joulepost/1/box-7/#\nuser reader\ntopic read #\n")
        subscriber = self.subscriber(broker, username="reader", password="r")
        secret = self.scratch.write("password", "secret\n", 0o600)
        account = {"mqtt__username": "desk", "mqtt__password_file": secret}
        _, err = self.upload(self.config(broker, **account), status=1)
        self.assertIn("the broker refuses joulepost/1/box-8/event: Not authorized (0x87)", err)
        self.assertEqual(err.count("\n"), 2, err)
        expected = expected_of(self.spool)
        allowed = [one for one in expected if (one["device"] if isinstance(one, dict) else one[1]) == "box-7"]
        self.complete(subscriber, allowed)
        wrong = self.scratch.write("wrong", "guess\n", 0o600)
        _, err = self.upload(self.config(broker, mqtt__username="desk", mqtt__password_file=wrong), status=1)
        self.assertIn("does not let us in", err)
        open_broker = self.broker()
        rest = self.subscriber(open_broker)
        self.upload(self.config(open_broker))
        self.complete(rest, expected[len(allowed):])

    def test_damage_is_told_once_passed_over_and_ends_with_1(self):
        broker = self.broker()
        subscriber = self.subscriber(broker)
        make(self.spool)
        expected = expected_of(self.spool)
        path = os.path.join(self.spool, "00000003.jps")
        _, frames = frames_of(path)
        blocks = [(at, cbor2.loads(payload)) for at, kind, payload in frames if kind == segments.BLOCK]
        at, block = blocks[4]
        with open(path, "r+b") as file:
            file.seek(at + 40)
            file.write(b"\xff\xff\xff")
        segments.write(self.spool, 25, [(segments.BLOCK, ["no", "block"])], device="box-7", spool_id=SPOOL_ID)
        segments.write(self.spool, 26, [(segments.BLOCK, block)], device="a/+/b", spool_id=SPOOL_ID)
        _, err = self.upload(self.config(broker), status=1)
        lost = {(f"{block[0]:016x}", block[1] + i) for i in range(block[2])}
        kept = [one for one in expected if isinstance(one, tuple) or (one["run"], one["seq"]) not in lost]
        self.assertEqual(len(kept), len(expected) - 5)
        self.complete(subscriber, kept)
        self.assertEqual(err.count("segment 3 at"), 1, err)
        self.assertIn("segment 25", err)
        self.assertIn("segment 26: nothing in it tells whose it is", err)
        self.assertIn("damaged in 3 places", err.splitlines()[-1])

    def test_a_window_in_the_middle_is_told_and_not_taken_for_the_end(self):
        broker = self.broker()
        subscriber = self.subscriber(broker)
        window = (segments.WINDOW, segments.window_of(7, 3, 0, [1, 2, 3]))
        events = [(segments.EVENT, [7, i, "task", "", "{}"]) for i in range(20)]
        run = (segments.RUN, segments.run_of(7, NAMES, [0], boot="aaaaaaaa-0000-4000-8000-000000000000", device="box-7"))
        segments.write(self.spool, 1, [run, *events[:10], window, window, *events[10:], (segments.SEAL, None)],
                       device="box-7", boot="aaaaaaaa-0000-4000-8000-000000000000", spool_id=SPOOL_ID)
        out, err = self.upload(self.config(broker), "--json", status=1)
        told = json.loads(out)
        self.assertEqual((told["complete"], told["events"], told["damaged"]), (True, 20, 2))
        self.assertEqual(err.count("a window of a hot spool: passed over"), 1, err)
        eventually(lambda: len(subscriber.messages) == 20)
        told = json.loads(self.upload(self.config(broker), "--json")[0])
        self.assertEqual((told["complete"], told["events"], told["damaged"]), (True, 0, 0))

    def test_another_copy_with_the_same_id_begins_anew(self):
        broker = self.broker()
        make(self.spool)
        self.upload(self.config(broker))
        shutil.rmtree(self.spool)
        make(self.spool, SEED + 1)
        for name in os.listdir(self.spool):
            path = os.path.join(self.spool, name)
            header, frames = frames_of(path)
            frames = [(kind, cbor2.loads(payload) if payload else None) for _, kind, payload in frames]
            segments.write(self.spool, header["segment"], frames, device="twin", spool_id=SPOOL_ID, boot=header["boot"])
        subscriber = self.subscriber(broker)
        _, err = self.upload(self.config(broker))
        self.assertIn("is of another copy of this spool: beginning anew", err)
        self.complete(subscriber, expected_of(self.spool))

    def test_a_place_beyond_the_end_of_another_copy_begins_anew(self):
        broker = self.broker()
        make(self.spool)
        self.upload(self.config(broker))
        whole = expected_of(self.spool)
        for number in range(4, 1 + len(os.listdir(self.spool))):
            os.unlink(os.path.join(self.spool, f"{number:08d}.jps"))
        subscriber = self.subscriber(broker)
        _, err = self.upload(self.config(broker))
        self.assertIn("is of another copy of this spool: beginning anew", err)
        self.assertLess(len(expected_of(self.spool)), len(whole))
        self.complete(subscriber, expected_of(self.spool))

    def test_a_place_below_what_is_left_counts(self):
        broker = self.broker()
        maker = Maker(self.spool)
        anchors = [[1000, 1790000000000, 1]]
        maker.run("aaaaaaaa-0000-4000-8000-000000000000", 0xA1, anchors, segments_count=2)
        self.upload(self.config(broker))
        maker.run("aaaaaaaa-0000-4000-8000-000000000000", 0xA2, anchors, segments_count=2, at_ms=900_000)
        for number in (1, 2):
            os.unlink(os.path.join(self.spool, f"{number:08d}.jps"))
        subscriber = self.subscriber(broker)
        _, err = self.upload(self.config(broker))
        self.assertNotIn("another copy", err)
        self.complete(subscriber, expected_of(self.spool))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_a_stranger_reads_a_read_only_card(self):
        broker = self.broker()
        subscriber = self.subscriber(broker)
        make(self.spool)
        nobody = pwd.getpwnam("nobody")
        os.mkdir(self.state)
        os.chown(self.state, nobody.pw_uid, nobody.pw_gid)
        for root, _, files in os.walk(self.scratch.path("card")):
            os.chmod(root, 0o555)
            for name in files:
                os.chmod(os.path.join(root, name), 0o444)
        program = shutil.copy(SANITIZED, self.scratch.path("joulepost"))
        os.chmod(program, 0o755)
        before = fingerprint(self.spool)
        command = [program, "upload", "-c", self.config(broker), self.spool]
        done = subprocess.run(command, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], capture_output=True,
                              cwd="/", check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(fingerprint(self.spool), before)
        self.complete(subscriber, expected_of(self.spool))
        os.chown(self.state, 0, 0)
        os.chmod(self.state, 0o755)
        os.unlink(os.path.join(self.state, PROGRESS))
        done = subprocess.run(command, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], capture_output=True,
                              cwd="/", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"paths.spool {self.state} cannot be written by user {nobody.pw_uid}", done.stderr.decode())
        self.assertEqual(done.stderr.count(b"\n"), 1)

    def test_a_terminal_sees_how_far_it_is(self):
        broker = self.broker()
        make(self.spool)
        ours, theirs = os.openpty()
        process = subprocess.Popen([SANITIZED, "upload", "-c", self.config(broker, mqtt__backlog_blocks_per_s=100), self.spool],
                                   stdin=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        seen = b""
        try:
            while True:
                seen += os.read(ours, 4096)
        except OSError:  # the terminal closed with the process
            pass
        os.close(ours)
        self.assertEqual(process.wait(10), 0)
        self.assertRegex(seen.decode(), r"\r\d+ of 180 blocks, \d+/s")
        self.assertRegex(seen.decode().splitlines()[-1], r"900 windows in 180 blocks")

    def test_what_cannot_be_uploaded_is_said_in_one_line(self):
        broker = self.broker()
        make(self.spool)
        config = self.config(broker)
        empty, file = self.scratch.path("empty"), self.scratch.write("file", "text")
        os.mkdir(empty)
        hot = self.scratch.path("hot-copy")
        segments.write(hot, 1, [(segments.RUN, segments.run_of(1, NAMES, [0])), (segments.WINDOW, segments.window_of(1, 0, 0, [1, 2, 3]))])
        own = self.config(broker, "own.conf", paths__spool=self.spool)
        inside = self.config(broker, "inside.conf", paths__spool=os.path.join(self.spool, "a", "b"))
        for args, status, what in (
                ((), 64, "a spool is missing, allowed:"),
                (("--bogus", self.spool), 64, "unknown flag '--bogus', allowed:"),
                ((self.spool, "more"), 64, "surplus argument 'more'"),
                ((self.spool + "-gone",), 1, "spool-gone: No such file or directory; name the folder of segments"),
                ((file,), 1, "file: Not a directory; name the folder of segments"),
                ((empty,), 1, "empty: there are no segments in it; name the folder"),
                ((hot,), 1, "is a hot spool (paths.hot): upload sends durable ones"),
                ((self.spool, "-c", self.config(None, "none.conf")), 78, "none.conf: there is no mqtt.url, allowed:"),
                ((self.spool, "-c", self.scratch.path("gone.conf")), 78, "gone.conf"),
                ((self.spool, "-c", own), 1, "is paths.spool of this configuration, which post itself delivers"),
                ((self.spool, "-c", inside), 1, "is paths.spool of this configuration"),
                ((self.spool, "-c", self.config(broker, "odd.conf", paths__spool=file)), 1, f"paths.spool {file} cannot be")):
            more = () if "-c" in args else ("-c", config)
            before = fingerprint(self.scratch.path("card"))
            got, out, err = run_once("upload", *args, *more, program=SANITIZED)
            self.assertEqual((got, out, err.count("\n")), (status, "", 1), err)
            self.assertIn(what, err)
            self.assertEqual(fingerprint(self.scratch.path("card")), before)
        self.assertEqual(run_once("upload", "--help", program=SANITIZED)[0], 0)

    def test_two_uploads_of_one_spool_do_not_meet(self):
        broker = self.broker()
        make(self.spool)
        self.upload(self.config(broker))
        with open(os.path.join(self.state, PROGRESS), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _, err = self.upload(self.config(broker), status=1)
        self.assertIn("another upload of this spool runs", err)


if __name__ == "__main__":
    unittest.main()
