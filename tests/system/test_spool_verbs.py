# SPDX-License-Identifier: Apache-2.0
"""`spool status|verify|dump` and `export` against an independent reader, on spools whole, damaged, foreign and hostile."""
import csv
import datetime
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

import cbor2

import hotdir
import segments
from rig import SANITIZED, Agent, AgxOrin, Scratch, config_text, run_once

SEED = int(os.environ.get("SEED", "20"))
NAMES = ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"]
TOTAL = [0, 1, 2]


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def segments_in(folder):
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".jps"))


def fingerprint(folder):
    """Every name below the folder with its kind, size, time of change and content."""
    out = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        st = os.lstat(path)
        data = b""
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                data = hashlib.sha256(file.read()).digest()
        out[name] = st.st_mode, st.st_size, st.st_mtime_ns, data
    return out


def window_json(item, names=None, total=None, **more):
    """What a WINDOW frame means, made without the program's help."""
    names, total = names or NAMES, TOTAL if total is None else total
    run, seq, t0_ms, span_ms, _late, channels, _gauges = item
    energy = {name: one[0] for name, one in zip(names, channels)}
    known = [channels[c][0] for c in total if channels[c][0] is not None]
    energy["total"] = sum(known) if known else None
    covered = {name: one[2] for name, one in zip(names, channels) if one[2] < span_ms}
    cause = {name: segments.CAUSES[one[3]] for name, one in zip(names, channels) if one[2] < span_ms}
    least = min(total, key=lambda c: channels[c][2], default=None)
    if least is not None and channels[least][2] < span_ms:
        covered["total"], cause["total"] = channels[least][2], segments.CAUSES[channels[least][3]]
    return {"boot_ms": t0_ms, "span_ms": span_ms, "run": f"{run:016x}", "seq": seq, "energy_mj": energy,
            "covered_ms": covered, "cause": cause, **more}


class Verbs(unittest.TestCase):
    """A spool of the true meter: two runs, a hole, a task's event, a window cut short."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        board = AgxOrin(cls.scratch)
        meter = Agent({"sampling.window_ms": 100, "sampling.interval_ms": 20, "sampling.block_windows": 4}, root=board.root,
                      verb="meter", scratch=cls.scratch)
        rng = random.Random(SEED)
        for start in range(2):
            if start:
                meter.start()
            for step in range(80 if start else 30):
                for rail in board.RAILS:
                    if rail != "VDD_CPU_CV" or not start or not 12 <= step < 65:
                        board.power(rail, rng.randrange(500, 20_000))
                if start and step == 12:  # longer than what is bridged
                    os.truncate(f"{board.root}{board.base[0x40]}/curr2_input", 0)
                if start and step == 70:
                    meter.ask("task start bake")
                time.sleep(0.05)
            assert meter.stop() == 0, meter.said()
        cls.hot = cls.scratch.path("hot")
        shutil.copytree(meter.hot, cls.hot, ignore=lambda _, names: [n for n in names if not n.endswith(".jps")])
        meter.close()
        board.close()
        cls.config = cls.scratch.write("read.conf", config_text(
            {"paths.spool": cls.hot, "location.country": "FRA", "location.pue": 1.25}))
        cls.frames = [frame for path in segments_in(cls.hot) for frame in hotdir.frames_of(path)]
        cls.windows = [item for kind, item in cls.frames if kind == hotdir.WINDOW]
        assert len(cls.windows) > 20 and any(None in [c[0] for c in w[5]] for w in cls.windows), "no hole came about"

    @classmethod
    def tearDownClass(cls):
        cls.scratch.close()

    def setUp(self):
        self.dir = self.scratch.path(self.id().rpartition(".")[2])
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def copy(self, name="copy"):
        return shutil.copytree(self.hot, os.path.join(self.dir, name))

    def run_verb(self, *args, status=0, program=None):
        """(stdout, stderr); the status is judged here."""
        got, out, err = run_once(*args, "-c", self.config, program=program or SANITIZED)
        self.assertEqual(got, status, (args, out[-500:], err[-3000:]))
        return out, err

    def dump(self, folder, quiet=True):
        out, err = self.run_verb("spool", "dump", folder)
        if quiet:
            self.assertEqual(err, "")
        return lines_of(out)

    def test_dump_tells_what_an_independent_reader_finds(self):
        lines = self.dump(self.hot)
        self.assertTrue(all(next(iter(line)) == "type" for line in lines))
        self.assertEqual({line["device"] for line in lines}, {"board-1"})
        told = [line for line in lines if line["type"] == "window"]
        expected = [window_json(item) for item in self.windows]
        self.assertEqual([{key: line[key] for key in expected[0]} for line in told], expected)
        anchors = {item[0]: item for kind, item in self.frames if kind == hotdir.ANCHOR}
        for line in told:
            at = line["boot_ms"]
            near = min(anchors.values(), key=lambda anchor: abs(anchor[0] - at))
            self.assertEqual(line["t_ms"], at + near[1])
            total = line["energy_mj"]["total"]
            self.assertEqual(line["emissions_ug"] is None, total is None)
        factor = {round(line["emissions_ug"] / line["energy_mj"]["total"], 1) for line in told if line["emissions_ug"]}
        self.assertEqual(len(factor), 1, "one factor for all")
        kinds = [line["type"] for line in lines]
        self.assertEqual(kinds.count("run"), 2, "a run is told once")
        self.assertEqual([(line["run_no"], line["prev"]) for line in lines if line["type"] == "run"], [(None, None)] * 2)
        self.assertEqual(kinds.count("anchor"), sum(kind == hotdir.ANCHOR for kind, _ in self.frames))
        self.assertEqual([line["detail"].get("name") for line in lines if line["type"] == "event" and
                          line["kind"] == "task"], ["bake"])

    def test_blocks_tell_the_windows_that_frames_tell(self):
        durable, number, held = os.path.join(self.dir, "durable"), 0, []
        runs = {item["run"]: item for kind, item in self.frames if kind == hotdir.RUN}
        for run in runs:
            frames = [next(frame for frame in self.frames if frame[0] == hotdir.RUN and frame[1]["run"] == run)]
            mine = [item for item in self.windows if item[0] == run]
            frames += [(segments.BLOCK, segments.block_of(run, NAMES, TOTAL, mine[i:i + 4])) for i in range(0, len(mine), 4)]
            frames += [frame for frame in self.frames if frame[0] == hotdir.ANCHOR] + [(segments.SEAL, None)]
            number += 1
            held += mine
            segments.write(durable, number, frames, tail=bytes(3000), device="board-1", boot=runs[run]["boot"])
        self.assertEqual([line for line in self.dump(durable) if line["type"] == "window"],
                         [line for line in self.dump(self.hot) if line["type"] == "window"])
        out, _ = self.run_verb("spool", "verify", durable)
        self.assertTrue(out.startswith("whole: 2 segments"), out)
        for form in ("csv", "jsonl"):
            self.assertEqual(self.run_verb("export", "--as", form, durable), self.run_verb("export", "--as", form, self.hot))

    def test_csv_holds_what_the_json_holds(self):
        out, err = self.run_verb("export", "--as", "csv")
        self.assertEqual(err, "")
        rows = list(csv.DictReader(io.StringIO(out)))
        windows = lines_of(self.run_verb("export", "--as", "jsonl")[0])
        self.assertEqual(len(rows), len(self.windows))
        holes = 0
        for row, window in zip(rows, windows):
            for name, mj in window["energy_mj"].items():
                self.assertEqual(row[f"{name}_mj"], "" if mj is None else str(mj))
                covered = window["covered_ms"].get(name, window["span_ms"])
                self.assertEqual(row[f"{name}_covered_ms"], str(covered))
                holes += mj is None
            for key in ("t_ms", "boot_ms", "span_ms", "device", "run", "seq", "clock"):
                self.assertEqual(row[key], str(window[key]))
            self.assertEqual(row["emissions_ug"], str(window["emissions_ug"]))
            self.assertEqual(datetime.datetime.fromisoformat(row["time"].replace("Z", "+00:00")).timestamp(),
                             window["t_ms"] / 1000)
        self.assertGreater(holes, 0)

    def test_from_and_to_cut_at_moments(self):
        windows = lines_of(self.run_verb("export", "--as", "jsonl")[0])
        first, last = windows[5]["t_ms"], windows[20]["t_ms"]

        def stamp(ms, zone):
            return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone(datetime.timedelta(hours=zone))).isoformat()
        for low, high in ((str(first), str(last)), (stamp(first, 0), stamp(last, -5)), (f"{first / 1000:.3f}", stamp(last, 2))):
            got = lines_of(self.run_verb("export", "--as", "jsonl", "--from", low, "--to", high)[0])
            self.assertEqual(got, windows[5:20], (low, high))
        self.assertEqual(self.run_verb("export", "--as", "jsonl", "--to", "1999-12-31")[0], "")
        for bad in ("yesterday", "2026-02-30", "2026-11-20T12:00:00", "2026-11-20T24:00:00Z", "1e9", "", "12:00"):
            _, err = self.run_verb("export", "--as", "csv", "--from", bad, status=64)
            self.assertIn("allowed:", err)
            self.assertEqual(err.count("\n"), 1)
        self.run_verb("export", "--as", "csv", "--from", "2026-01-02", "--to", "2026-01-01", status=64)

    def test_usage(self):
        for args, what in ((["export"], "--as"), (["export", "--as", "xls"], "'xls'"), (["spool"], "status|verify|dump"),
                           (["spool", "eat"], "'eat'"), (["spool", "dump", "a", "b"], "surplus argument 'b'"),
                           (["spool", "verify", "--root", "/"], "--root")):
            _, err = self.run_verb(*args, status=64)
            self.assertIn(what, err)
            self.assertIn("allowed:", err)
        for verb in ("status", "verify", "dump"):
            self.assertIn("No such file", self.run_verb("spool", verb, self.dir + "/nowhere", status=1)[1])
            self.assertIn("Not a directory", self.run_verb("spool", verb, self.config, status=1)[1])
        self.assertEqual(run_once("spool", "dump", "-c", "/nowhere.conf")[0], 78)
        self.assertTrue(run_once("spool", "--help")[1].startswith("joulepost spool"))

    def test_a_folder_that_holds_a_spool(self):
        os.makedirs(self.dir)
        self.copy("spool")
        self.assertEqual(self.dump(self.dir), self.dump(self.hot))

    def test_export_to_a_file_and_never_into_the_spool(self):
        spool = self.copy()
        path = os.path.join(self.dir, "out.csv")
        self.run_verb("export", "--as", "csv", "-o", path, spool)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), self.run_verb("export", "--as", "csv", spool)[0])
        before = fingerprint(spool)
        self.run_verb("export", "--as", "csv", "-o", segments_in(spool)[0], spool, status=64)
        self.assertEqual(fingerprint(spool), before)

    def test_nothing_is_written_even_where_it_cannot_be(self):
        spool = self.copy()
        for path in segments_in(spool):
            os.chmod(path, 0o400)
        os.chmod(spool, 0o500)
        before = fingerprint(spool)
        for args in (["spool", "status"], ["spool", "verify"], ["spool", "dump"], ["export", "--as", "csv"]):
            self.run_verb(*args, spool)
        os.chmod(spool, 0o700)
        self.assertEqual(fingerprint(spool), before)

    def test_status_counts(self):
        told = json.loads(self.run_verb("spool", "status", "--json")[0])
        windows = self.dump(self.hot)
        times = [line["t_ms"] for line in windows if line["type"] == "window"]
        self.assertEqual((told["segments"], told["windows"], told["runs"], told["devices"]),
                         (len(segments_in(self.hot)), len(self.windows), 2, ["board-1"]))
        self.assertEqual((told["oldest_ms"], told["newest_ms"]), (min(times), max(times)))
        self.assertEqual(told["bytes"], sum(os.path.getsize(path) for path in segments_in(self.hot)))
        self.assertEqual((told["cursor"], told["pending"]["windows"], told["lost"]), (None, len(self.windows), {}))
        plain, _ = self.run_verb("spool", "status")
        self.assertIn(f"{len(self.windows)} of 2 runs", plain)

    def test_every_flipped_byte_is_found_and_costs_one_frame_at_most(self):
        rng = random.Random(SEED)
        number, path = 0, segments_in(self.hot)[0]
        whole = self.dump(self.hot)
        with open(path, "rb") as file:
            data = bytearray(file.read())
        stream = io.BytesIO(data)
        cbor2.load(stream)
        first = stream.tell()  # RUN begins: without it the windows behind it have no names
        cbor2.load(stream)
        named = stream.tell()
        for at in [0, 3, 40] + [rng.randrange(len(data)) for _ in range(40)]:
            number += 1
            spool = self.copy(f"copy{number}")
            bad = data[:]
            bad[at] ^= 1 << rng.randrange(8)
            with open(segments_in(spool)[0], "wb") as file:
                file.write(bad)
            out, _ = self.run_verb("spool", "verify", spool, status=1)
            self.assertIn("segment 1 at ", out)
            self.assertIn("not whole", out)
            told = json.loads(self.run_verb("spool", "verify", "--json", spool, status=1)[0])
            self.assertEqual((told["whole"], told["findings"][0]["offset"] <= at), (False, True), (at, told))
            self.assertTrue(len(told["findings"]) == 1 or first <= at < named, (at, told))
            lines, err = self.run_verb("spool", "dump", spool)
            self.assertIn("segment 1 at ", err)
            if at >= named:  # all but one frame comes out
                kept = {(line["run"], line["seq"]) for line in lines_of(lines) if line["type"] == "window"}
                meant = {(line["run"], line["seq"]) for line in whole if line["type"] == "window"}
                self.assertTrue(kept <= meant)
                self.assertLessEqual(len(meant - kept), 1, at)
            shutil.rmtree(spool)

    def test_a_damaged_run_is_taken_from_another_segment(self):
        made = os.path.join(self.dir, "made")
        run = segments.run_of(7, ["a"], [0])
        for number in (1, 2):
            path = segments.write(made, number, [(segments.RUN, run)] + [
                (segments.WINDOW, segments.window_of(7, 5 * number + i, i * 1000, [5])) for i in range(5)])
        path = segments_in(made)[0]
        with open(path, "r+b") as file:
            file.seek(len(segments.header(1)) + 40)
            file.write(b"XX")
        lines = lines_of(self.run_verb("spool", "dump", made)[0])
        self.assertEqual([line["seq"] for line in lines if line["type"] == "window"], list(range(5, 15)))
        self.assertEqual([line["type"] for line in lines].count("run"), 1)

    def test_without_its_header_a_segment_still_has_times(self):
        spool = self.copy()
        with open(segments_in(spool)[0], "r+b") as file:
            file.seek(20)
            file.write(b"XX")
        told = lines_of(self.run_verb("spool", "dump", spool)[0])
        self.assertEqual(told, self.dump(self.hot))

    def test_the_cursor_tells_what_is_pending(self):
        spool = self.copy()
        with open(segments_in(spool)[0], "rb") as file:
            stream = io.BytesIO(file.read())
        cbor2.load(stream)
        seen = 0
        while seen < 5:
            seen += cbor2.load(stream)[2] == hotdir.WINDOW

        def slot(generation, at):
            record = cbor2.dumps([1, 1, at, bytes(16)])
            rest = generation.to_bytes(8, "big") + len(record).to_bytes(4, "big") + b"\0\0\0\1" + record
            return b"JPS1" + segments.crc32c(rest).to_bytes(4, "big") + rest
        with open(os.path.join(spool, "cursor"), "wb") as file:
            file.write(slot(8, stream.tell()).ljust(12288, b"\0") + slot(7, 3))
        told = json.loads(self.run_verb("spool", "status", "--json", spool)[0])
        self.assertEqual(told["cursor"], {"segment": 1, "offset": stream.tell()})
        self.assertEqual(told["pending"], {"windows": len(self.windows) - 5})
        self.assertIn(f"segment 1 at {stream.tell()}", self.run_verb("spool", "status", spool)[0])

    def test_a_torn_tail_is_told_from_damage(self):
        path = segments_in(self.hot)[-1]
        with open(path, "rb") as file:
            data = file.read()
        ends, at = [], 0
        stream = io.BytesIO(data)
        while stream.tell() < len(data):
            cbor2.load(stream)
            ends.append(stream.tell())
        begin, end = ends[-3], ends[-2]  # a frame before the SEAL
        for tail in (b"", bytes(4096)):
            for at in range(begin + 1, end, 7):
                spool = self.copy(f"cut{at}{len(tail)}")
                cut = data[:at] + tail
                while tail and cut[at - 1] == 0:  # what ends in zeros is as long as it looks
                    at -= 1
                with open(segments_in(spool)[-1], "wb") as file:
                    file.write(cut)
                told = json.loads(self.run_verb("spool", "verify", "--json", spool, status=1)[0])
                self.assertEqual((told["torn"], told["damaged"]), (1, 0), (at, begin, end, len(tail), told))
                shutil.rmtree(spool)
        spool = self.copy()
        with open(segments_in(spool)[-1], "wb") as file:
            file.write(data[:begin])  # at a border nothing is torn
        self.run_verb("spool", "verify", spool)

    def test_frames_cut_out_are_missed(self):
        made = os.path.join(self.dir, "made")
        run = segments.run_of(7, ["a"], [0])
        path = segments.write(made, 1, [(segments.RUN, run)])
        with open(path, "ab") as file:
            file.write(segments.frame(4, segments.WINDOW, segments.window_of(7, 3, 0, [5])))
        told = json.loads(self.run_verb("spool", "verify", "--json", made, status=1)[0])
        self.assertEqual([one["what"] for one in told["findings"]], ["missing"])
        self.assertIn("3 frames lost", told["findings"][0]["text"])

    def test_foreign_files_and_links_are_told_and_not_followed(self):
        spool = self.copy()
        secret = os.path.join(self.dir, "secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write("word " * 100)
        os.symlink(secret, os.path.join(spool, "00000900.jps"))
        os.mkdir(os.path.join(spool, "00000901.jps"))
        os.mkfifo(os.path.join(spool, "00000902.jps"))
        shutil.copy(secret, os.path.join(spool, "00000903.jps"))
        shutil.copy(secret, os.path.join(spool, "notes.txt"))
        shutil.copy(segments_in(spool)[0], os.path.join(spool, "00000904.jps"))
        with open(os.path.join(spool, "00000905.jps"), "wb") as file:
            file.write(segments.header(905, version=2) + b"whatever comes")
        told = json.loads(self.run_verb("spool", "verify", "--json", spool, status=1)[0])
        self.assertEqual({one["segment"]: one["what"] for one in told["findings"]},
                         {900: "foreign", 901: "foreign", 902: "foreign", 903: "header", 904: "number", 905: "version"})
        out, err = self.run_verb("spool", "dump", spool)
        self.assertNotIn("word", out + err)
        self.assertGreaterEqual(len(lines_of(out)), len(self.dump(self.hot)))

    def test_ten_thousand_empty_segments(self):
        spool = self.copy()
        for number in range(10, 10010):
            with open(os.path.join(spool, f"{number:08d}.jps"), "wb"):
                pass
        told = json.loads(self.run_verb("spool", "verify", "--json", spool, status=1)[0])
        self.assertEqual((told["segments"], told["windows"]), (10000 + len(segments_in(self.hot)), len(self.windows)))
        self.assertEqual([one["what"] for one in told["findings"]].count("empty"), 9999)
        self.assertEqual(told["findings"][-1]["what"], "fresh")
        self.assertEqual([line for line in lines_of(self.run_verb("spool", "dump", spool)[0])], self.dump(self.hot))

    def test_garbage_of_any_kind_ends_in_a_report(self):
        rng = random.Random(SEED)
        with open(segments_in(self.hot)[0], "rb") as file:
            data = file.read()
        head = b"\x84\x1aXXXX\x1a\xff\xff\xff\xff\x18\x02\x59\xbf\xff"
        inputs = [rng.randbytes(100_000), b"\x84" * 200_000, head * 20_000, data[:160] + head * 20_000,
                  data * 50, data[:len(data) // 2] + rng.randbytes(5000) + data[len(data) // 2:],
                  b"\xd9\xd9\xf7\xbb\xff\xff\xff\xff\xff\xff\xff\xff" + b"\x00" * 70_000]
        for i, content in enumerate(inputs):
            spool = os.path.join(self.dir, f"garbage{i}")
            os.makedirs(spool)
            with open(os.path.join(spool, "00000001.jps"), "wb") as file:
                file.write(content)
            shutil.copy(segments_in(self.hot)[0], os.path.join(spool, "00000002.jps"))
            self.run_verb("spool", "verify", spool, status=1)
            self.run_verb("spool", "dump", spool)
            self.run_verb("export", "--as", "csv", spool)

    def test_frames_that_make_no_sense(self):
        made = os.path.join(self.dir, "made")
        big = 9 * 10**15
        run = segments.run_of(7, ["a", "b,\"c"], [0, 1])
        segments.write(made, 1, [
            (segments.WINDOW, segments.window_of(7, 0, 0, [1, 2])), (segments.RUN, run), (segments.RUN, {"run": "seven"}),
            (segments.WINDOW, segments.window_of(7, 1, -5, [big, big])), (segments.WINDOW, segments.window_of(7, 2, 0, [2**62, 1])),
            (segments.WINDOW, "text"), (segments.BLOCK, [1, 2]),
            (segments.GAP, []), (segments.EVENT, 5), (segments.ANCHOR, [2**63 - 1, 2**63 - 1, 9, None]),
            (segments.EVENT, [7, 5, "kind", "", "no json"]), (99, "of a later version"),
            (segments.GAP, [7, 2, 4, 3, 0, 3000, "hot_full", [10, None]]),
            (segments.GAP, [5, 2, 4, 4, 0, 3000, "spool_full", [20, 30], ["x", "y"], [1]]),
            (segments.WINDOW, segments.window_of(9, 5, 0, [1, 2]))], device="d\x1b[2J,\"")
        told = json.loads(self.run_verb("spool", "verify", "--json", made, status=1)[0])
        self.assertEqual({one["what"] for one in told["findings"]}, {"senseless"})
        lines = lines_of(self.run_verb("spool", "dump", made)[0])
        kinds = [line["type"] for line in lines]
        self.assertEqual([kinds.count(kind) for kind in ("run", "window", "gap", "event")], [1, 2, 2, 1])
        totals = [line["energy_mj"]["total"] for line in lines if line["type"] == "window"]
        self.assertEqual(totals, [3, 2 * big])
        self.assertEqual([line["energy_mj"] for line in lines if line["type"] == "gap"],
                         [{"a": 10, "b,\"c": None}, {"x": 20, "y": 30}])
        rows = list(csv.DictReader(io.StringIO(self.run_verb("export", "--as", "csv", made)[0])))
        self.assertEqual((rows[1]["device"], rows[1]["b,\"c_mj"], rows[1]["total_mj"]), ("d\x1b[2J,\"", str(big), str(2 * big)))
        plain = self.run_verb("spool", "status", made)[0]
        self.assertNotIn("\x1b", plain)
        self.assertIn("hot_full: 3 windows, 3.000 s, 0.010 J", plain)
        self.assertIn("spool_full: 4 windows, 3.000 s, 0.030 J", plain)

    def test_times_are_repaired_by_the_boot_that_learned_them(self):
        made, real = os.path.join(self.dir, "made"), 4_000_000_000_000
        run = segments.run_of(7, ["a"], [0])
        windows = [(segments.WINDOW, segments.window_of(7, seq, seq * 1000, [5])) for seq in range(30)]
        segments.write(made, 1, [(segments.RUN, run), (segments.ANCHOR, [0, real - 5000, 0, None]), *windows[:10]])
        segments.write(made, 2, [(segments.RUN, run), (segments.ANCHOR, [10000, real, 1, 3]), *windows[10:20],
                                 (segments.ANCHOR, [20000, real + 700, 1, 3]), *windows[20:]])
        segments.write(made, 3, [(segments.RUN, {**run, "run": 8}), (segments.ANCHOR, [0, real, 0, None]),
                                 (segments.WINDOW, segments.window_of(8, 0, 1000, [5]))], boot="another", real_ms=real)
        segments.write(made, 4, [(segments.RUN, {**run, "run": 9}),
                                 (segments.WINDOW, segments.window_of(9, 0, 1000, [5]))], boot="third", real_ms=5)
        told = [(line["clock"], line["t_ms"]) for line in self.dump(made) if line["type"] == "window"]
        self.assertEqual(told[:10], [("estimated", real + seq * 1000) for seq in range(10)])
        self.assertEqual(told[10:16], [("synced", real + seq * 1000) for seq in range(10, 16)])
        self.assertEqual(told[16:30], [("synced", real + 700 + seq * 1000) for seq in range(16, 30)])
        self.assertEqual(told[30], ("unsynced", real + 1000))
        self.assertEqual(told[31], ("unsynced", None))

    def test_a_spool_older_than_the_program_keeps_its_times(self):
        made, run = os.path.join(self.dir, "made"), segments.run_of(7, ["a"], [0])
        window = (segments.WINDOW, segments.window_of(7, 0, 1000, [5]))
        for number, (real, clock) in enumerate(((1_770_000_000_000, 0), (1_500_000_000_000, 0), (1_500_000_000_000, 1)), 1):
            segments.write(made, number, [(segments.RUN, {**run, "run": 7}), (segments.ANCHOR, [0, real, clock, None]),
                                          window], boot=f"boot-{number}")
        told = [(line["clock"], line["t_ms"]) for line in self.dump(made) if line["type"] == "window"]
        self.assertEqual(told, [("unsynced", 1_770_000_001_000), ("unsynced", None), ("synced", 1_500_000_001_000)])

    def test_columns_are_those_of_the_run(self):
        run, names = segments.run_of(7, ["a", "b"], [0], columns=5), ["a", "b"]
        windows = [segments.window_of(7, seq, seq * 1000, [5, 6]) for seq in range(3)]
        for seq, one in enumerate(windows):
            one[5][0][5:] = [5000 + seq, 200, 9]  # mv, ma, peak_mw; b has none
        hot, durable = os.path.join(self.dir, "hot"), os.path.join(self.dir, "durable")
        segments.write(hot, 1, [(segments.RUN, run), *[(segments.WINDOW, one) for one in windows]])
        block = segments.block_of(7, names, [0], windows)
        block[8].update({"mv": {0: segments.column([5000, 5001, 5002])}, "peak_mw": {0: [9, 0, 0]}})
        segments.write(durable, 1, [(segments.RUN, run), (segments.BLOCK, block)])
        lines = self.dump(hot)
        self.assertEqual(lines, self.dump(durable))
        self.assertEqual([(line["mv"], line["peak_mw"], "ma" in line) for line in lines[1:]],
                         [({"a": 5000 + seq}, {"a": 9}, False) for seq in range(3)])

    def test_a_change_of_channels_gets_columns_for_all(self):
        made = os.path.join(self.dir, "made")
        segments.write(made, 1, [(segments.RUN, segments.run_of(7, ["a", "b"], [0])),
                                 (segments.WINDOW, segments.window_of(7, 0, 0, [1, 2]))])
        segments.write(made, 2, [(segments.BLOCK, segments.block_of(8, ["b", "c"], None, [
            segments.window_of(8, 0, 0, [3, None])]))])
        rows = list(csv.DictReader(io.StringIO(self.run_verb("export", "--as", "csv", made)[0])))
        self.assertEqual([[row[key] for key in ("a_mj", "b_mj", "c_mj", "total_mj", "total_covered_ms", "c_covered_ms")]
                          for row in rows], [["1", "2", "", "1", "1000", ""], ["", "3", "", "", "", "0"]])

    def test_what_was_written_twice_is_exported_once(self):
        made = os.path.join(self.dir, "made")
        block = (segments.BLOCK, segments.block_of(8, ["a"], [0], [segments.window_of(8, i, i * 1000, [3]) for i in range(3)]))
        segments.write(made, 1, [block])
        segments.write(made, 2, [block])
        self.assertEqual(len(self.dump(made)), 6)
        self.assertEqual([line["seq"] for line in lines_of(self.run_verb("export", "--as", "jsonl", made)[0])], [0, 1, 2])

    def test_status_knows_the_last_window_of_an_uneven_block(self):
        made, real = os.path.join(self.dir, "made"), 1_800_000_000_000
        spans, windows = [1000, 3000, 1000, 400], []
        for seq, span in enumerate(spans):
            windows.append(segments.window_of(8, seq, 5000 + sum(spans[:seq]), [3], span))
        segments.write(made, 1, [(segments.RUN, segments.run_of(8, ["a"], [0])), (segments.ANCHOR, [0, real, 1, 3]),
                                 (segments.BLOCK, segments.block_of(8, ["a"], [0], windows)),
                                 (segments.BLOCK, [8, 4, 301, 0, 1000, ["a"], [0], [[0, [0]]], {}])])
        told = json.loads(self.run_verb("spool", "status", "--json", made)[0])
        self.assertEqual((told["oldest_ms"], told["newest_ms"]), (real + 5000, real + 5000 + sum(spans[:3])))
        self.assertEqual((told["windows"], told["runs"], told["damaged"]), (4, 1, 1))

    def test_run_numbers_where_they_are_recorded(self):
        made = os.path.join(self.dir, "made")
        prev = {"run": 6, "last_seq": 41, "clean": False}
        segments.write(made, 1, [(segments.RUN, segments.run_of(7, ["a"], [0], run_no=3, prev=prev)),
                                 (segments.RUN, segments.run_of(7, ["a"], [0], run_no=3, prev=prev))])
        line, = self.dump(made)
        self.assertEqual((line["run_no"], line["prev"]), (3, {**prev, "run": f"{6:016x}"}))

    def test_a_reader_that_goes_away_ends_it_quietly(self):
        made = os.path.join(self.dir, "made")
        windows = [(segments.WINDOW, segments.window_of(7, seq, seq * 1000, [5])) for seq in range(3000)]
        segments.write(made, 1, [(segments.RUN, segments.run_of(7, ["a"], [0])), *windows])
        for args in (["spool", "dump"], ["export", "--as", "csv"]):
            process = subprocess.Popen([SANITIZED, *args, "-c", self.config, made], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            process.stdout.readline()
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.wait(), 0)
            process.stderr.close()
            with open("/dev/full", "w", encoding="utf-8") as full:
                done = subprocess.run([SANITIZED, *args, "-c", self.config, made], stdout=full, stderr=subprocess.PIPE,
                                      check=False)
            self.assertEqual((done.returncode, done.stderr.count(b"\n")), (1, 1), done.stderr)

    def test_a_spool_in_use_is_whole(self):
        board = AgxOrin(self.scratch, "live-board")
        self.addCleanup(board.close)
        scratch = Scratch()
        self.addCleanup(scratch.close)
        meter = Agent({"sampling.window_ms": 100, "sampling.interval_ms": 20, "sampling.block_windows": 4,
                       "hot.max_bytes": 65536}, root=board.root, verb="meter", scratch=scratch)
        self.addCleanup(meter.close)
        while not (os.path.isdir(meter.hot) and segments_in(meter.hot)):
            time.sleep(0.02)
        for _ in range(15):
            self.run_verb("spool", "verify", meter.hot)
            out, err = self.run_verb("spool", "dump", meter.hot)
            seqs = [line["seq"] for line in lines_of(out) if line["type"] == "window"]
            self.assertEqual((seqs, err), (list(range(len(seqs))), ""))
        os.kill(meter.process.pid, signal.SIGKILL)
        meter.process.wait()
        self.run_verb("spool", "verify", meter.hot)


if __name__ == "__main__":
    unittest.main()
