# SPDX-License-Identifier: Apache-2.0
"""docs/format.md alone is enough: its examples and the golden spool decode with cbor2 and a CRC written from the page."""
import io
import pathlib
import re
import unittest

import cbor2

TREE = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = TREE / "docs" / "format.md"
GOLDEN = TREE / "tests" / "golden" / "v1"
RUN = 0x0123456789ABCDEF


def fenced(word):
    """The bytes of each block fenced with that word."""
    return [bytes.fromhex(" ".join(line.split(";")[0] for line in block.splitlines()))
            for block in re.findall(rf"^```{word}\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sequence(data):
    """(offset, item, end) of each item of a CBOR Sequence."""
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        start = stream.tell()
        yield start, cbor2.load(stream), stream.tell()


def column(items):
    last = 0
    for item in items:
        if item is not None:
            last += item
        yield None if item is None else last


class FormatTest(unittest.TestCase):
    def setUp(self):
        self.bytes, = fenced("hex")
        self.items = list(sequence(self.bytes))

    def payload(self, kind):
        return next(cbor2.loads(item[3]) for _, item, _ in self.items if isinstance(item, list) and item[2] == kind)

    def test_any_decoder_reads_it_from_the_first_byte_to_the_last(self):
        kinds = [item[2] if isinstance(item, list) else type(item).__name__ for _, item, _ in self.items]
        self.assertEqual(kinds, ["dict", 4, 2, 3, 5, 6, 7] + ["int"] * 4)
        self.assertEqual(self.items[-1][1], 0)
        self.assertEqual(len(list(sequence(self.bytes + bytes(4096)))), len(self.items) + 4096)

    def test_the_crcs_cover_what_the_page_says(self):
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        _, header, end = self.items[0]
        self.assertEqual(header["crc"], crc32c(self.bytes[:end - 5]))
        for start, item, end in self.items:
            if isinstance(item, list):
                self.assertEqual(item[0], crc32c(self.bytes[start + 6:end]))

    def test_the_block_holds_the_windows(self):
        run, seq, n, t0, dt, names, total, channels, options = self.payload(3)
        self.assertEqual((run, seq, n, t0, dt), (RUN, 0, 3, 6000, 1000))
        self.assertEqual((names, total), (["CPU", "GPU"], [0, 1]))
        values = [list(column(items)) for _, items in channels]
        self.assertEqual(values, [[2001, 1999, 2500], [300, None, 310]])
        self.assertEqual([end for end, _ in channels], [6500, 610])
        self.assertEqual(options, {"span": {2: 400}, "cov": {1: [[1, 0, "read_error"]]}})

    def test_the_other_frames_say_what_the_page_says(self):
        self.assertEqual(self.payload(4), [5000, 1700000000000, 1, 12])
        self.assertEqual(self.payload(5), [RUN, 3, 4, 2, 8400, 2000, "hot_full", [4000, None], ["CPU", "GPU"], [0, 1]])
        self.assertEqual(self.payload(6), [RUN, 9000, "task", "", '{"name":"train"}'])
        run, seq, t0, span, late, channels, gauges = self.payload(2)
        self.assertEqual((run, seq, t0, span, late, gauges), (RUN, 1, 7000, 1000, 0, [47500]))
        self.assertEqual(channels[1], [None, 300, 0, 3, None, None, None, None])


# A decoder of a durable spool, written from the page alone -------------------------------------------
def segments_of(folder):
    """Section 1: the segments' files by number."""
    names = {path.name: path for path in folder.iterdir() if re.fullmatch(r"\d{8,12}\.jps", path.name)}
    return [names[name] for name in sorted(names, key=lambda name: int(name[:-4]))]


def header_of(data):
    """Section 2: the map and the offset behind it."""
    stream = io.BytesIO(data[:512])
    header = cbor2.load(stream)
    end = stream.tell()
    assert data[:3] == b"\xd9\xd9\xf7" and data[end - 5] == 0x1A and header["crc"] == crc32c(data[:end - 5])
    return header, end


def frame_at(data, at, last):
    """Section 3: (fno, type, payload, end) of a frame with a number above `last`, or None."""
    if len(data) < at + 16 or (data[at:at + 2], data[at + 6], data[at + 11], data[at + 13]) != (b"\x84\x1a", 0x1A, 0x18, 0x59):
        return None
    fno, size = int.from_bytes(data[at + 7:at + 11], "big"), int.from_bytes(data[at + 14:at + 16], "big")
    end = at + 16 + size
    if size > 49152 or end > len(data) or fno <= last or crc32c(data[at + 6:end]) != int.from_bytes(data[at + 2:at + 6], "big"):
        return None
    return fno, data[at + 12], data[at + 16:end], end


def frames_of(data, at):
    """Section 3: (offset, type, payload) of each frame; ("damage", from, to) for what was passed over."""
    last = -1
    while at < len(data) and any(data[at:]):
        frame = frame_at(data, at, last)
        if frame:
            last, kind, payload, end = frame
            yield at, kind, payload
            at = end
            continue
        begun = at
        while at < len(data) and not frame_at(data, at, last):
            at += 1
        yield "damage", begun, begun + len(data[begun:at].rstrip(b"\0"))


def slot_of(data, second):
    """Section 5: the record of the newest whole slot, None when there is none."""
    newest = (0, None)
    for at in (0, second):
        size = int.from_bytes(data[at + 16:at + 20], "big")
        whole = data[at:at + 4] == b"JPS1" and len(data) >= at + 24 + size
        if whole and int.from_bytes(data[at + 4:at + 8], "big") == crc32c(data[at + 8:at + 24 + size]):
            newest = max(newest, (int.from_bytes(data[at + 8:at + 16], "big"), data[at + 24:at + 24 + size]))
    return newest[1]


def windows_of(payload):
    """Section 4: (run, seq, t0_ms, span_ms, {name: mj or None}, total) of a BLOCK's windows."""
    run, seq, n, t0, dt, names, total, channels, options = cbor2.loads(payload)[:9]
    columns = [list(column(items)) for _, items in channels]
    assert all(len(one) == n for one in columns)
    for i in range(n):
        span = options.get("span", {}).get(i, dt)
        known = [] if total is None else [columns[c][i] for c in total if columns[c][i] is not None]
        yield run, seq + i, t0, span, {name: one[i] for name, one in zip(names, columns)}, sum(known) if known else None
        t0 += span


class GoldenTest(unittest.TestCase):
    """What made the golden spool is told in tests/unit/test_golden.c."""

    def setUp(self):
        self.frames, self.damage, self.headers = [], [], []
        for path in segments_of(GOLDEN):
            data = path.read_bytes()
            header, at = header_of(data)
            self.headers.append(header)
            self.assertEqual(f"{header['segment']:08d}.jps", path.name)
            for one in frames_of(data, at):
                if one[0] == "damage":
                    self.damage.append((header["segment"], *one[1:]))
                else:
                    self.frames.append((header["segment"], *one))
        self.windows = [(segment, at, *window) for segment, at, kind, payload in self.frames if kind == 3
                        for window in windows_of(payload)]

    def of(self, kind):
        return [(segment, cbor2.loads(payload)) for segment, _, each, payload in self.frames if each == kind]

    def test_the_headers_and_the_names(self):
        self.assertEqual([header["segment"] for header in self.headers], [1, 2, 3, 4])
        self.assertEqual({(header["format"], header["device"], header["clock"], header["spool_id"])
                          for header in self.headers}, {(1, "bench", "synced", bytes(range(16)))})
        self.assertEqual({path.name for path in GOLDEN.iterdir()} - {path.name for path in segments_of(GOLDEN)},
                         {"cursor", "spare", "lock"})

    def test_every_window_is_there_once(self):
        self.assertEqual([(run, seq) for _, _, run, seq, *_ in self.windows],
                         [(RUN + run, seq) for run in range(2) for seq in range(600)])
        off_ms = self.of(4)[0][1][1]
        for _, _, _, seq, t0, span, mj, total in self.windows:
            cpu, gpu = 2000 + seq * 37 % 401, None if seq % 7 == 3 else 300 + seq * 11 % 97
            self.assertEqual((t0, span), (6000 + 1000 * seq, 1000))
            self.assertEqual(t0 + off_ms, 1700000006000 + 1000 * seq)
            self.assertEqual((mj, total), ({"CPU": cpu, "GPU": gpu}, cpu + (gpu or 0)))

    def test_the_registers_are_the_sums(self):
        sums = {}
        for _, block in self.of(3):
            for name, (run_mj, items) in zip(block[5], block[7]):
                key = block[0], name
                sums[key] = sums.get(key, 0) + sum(mj for mj in column(items) if mj is not None)
                self.assertEqual(run_mj, sums[key])
            self.assertEqual(block[8]["cov"][1], [[i, 0, "read_error"] for i in range(30) if (block[1] + i) % 7 == 3])

    def test_each_segment_says_what_is_in_force(self):
        runs = self.of(1)
        self.assertEqual([segment for segment, _ in runs], [1, 2, 3, 4])
        self.assertEqual([segment for segment, _ in self.of(4)], [1, 2, 3, 4])
        for segment, run in runs:
            before = sum(1 for window in self.windows if window[0] < segment)
            second = segment > 2
            self.assertEqual((run["run"], run["run_no"], run["stored"]), (RUN + second, 1 + second, before))
            self.assertEqual(run["prev"], {"run": RUN, "last_seq": 599, "clean": True} if second else None)
            self.assertEqual([channel["name"] for channel in run["channels"]], ["CPU", "GPU"])

    def test_gap_event_and_how_the_segments_end(self):
        self.assertEqual(self.of(5), [(4, [RUN + 1, 600, 609, 10, 606000, 10000, "hot_full", [21000, None], ["CPU", "GPU"],
                                           [0, 1]])])
        self.assertEqual(self.of(6), [(4, [RUN + 1, 616000, "task", "", '{"name":"train"}'])])
        self.assertEqual([segment for segment, _, kind, _ in self.frames if kind == 7], [1, 2, 3])
        # A write that a power cut left behind the last frame: no loss.
        (segment, begun, end), = self.damage
        self.assertEqual((segment, end - begun), (4, 5))
        self.assertLess(max(at for each, at, _, _ in self.frames if each == 4), begun)

    def test_the_cursor_tells_what_is_released(self):
        data = (GOLDEN / "cursor").read_bytes()
        version, segment, offset, spool_id = cbor2.loads(slot_of(data, 4096))[:4]
        self.assertEqual((version, spool_id), (1, bytes(range(16))))
        released = [window for window in self.windows if window[:2] < (segment, offset)]
        self.assertEqual([window[3] for window in released], list(range(240)))
        # Each slot alone is enough; without both nothing is known.
        for at in (0, 4096):
            self.assertIsNotNone(slot_of(data[:at] + b"X" + data[at + 1:], 4096))
        self.assertIsNone(slot_of(b"X" + data[1:4096] + b"X" + data[4097:], 4096))

    def test_the_spare_is_zeros(self):
        data = (GOLDEN / "spare").read_bytes()
        self.assertGreater(len(data), 0)
        self.assertFalse(any(data))

    def test_the_page_shows_its_bytes(self):
        run, cursor = fenced("bytes")
        self.assertEqual((GOLDEN / "00000003.jps").read_bytes()[749:749 + len(run)], run)
        self.assertEqual((GOLDEN / "cursor").read_bytes()[:len(cursor)], cursor)


if __name__ == "__main__":
    unittest.main()
