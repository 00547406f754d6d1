# SPDX-License-Identifier: Apache-2.0
"""docs/format.md alone is enough: its example decodes with cbor2 and a CRC written from the page."""
import io
import pathlib
import re
import unittest

import cbor2

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "format.md"
RUN = 0x0123456789ABCDEF


def example():
    fenced = re.search(r"^```hex\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S).group(1)
    return bytes.fromhex(" ".join(line.split(";")[0] for line in fenced.splitlines()))


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
        self.bytes = example()
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


if __name__ == "__main__":
    unittest.main()
