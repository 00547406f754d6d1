# SPDX-License-Identifier: Apache-2.0
"""Segments made by hand from docs/format.md with python3-cbor2: spools that no meter would write."""
import os

import cbor2

RUN, WINDOW, BLOCK, ANCHOR, GAP, EVENT, SEAL = range(1, 8)
TABLE = []
for index in range(256):
    for _ in range(8):
        index = index >> 1 ^ (0x82F63B78 if index & 1 else 0)
    TABLE.append(index)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def header(number, device="made", boot="11111111-2222-4333-8444-555555555555", boot_ms=0, real_ms=0, clock="unsynced",
           version=1, spool_id=bytes(16)):
    pairs = {"format": version, "spool_id": spool_id, "segment": number, "device": device, "boot": boot,
             "boot_ms": boot_ms, "real_ms": real_ms, "clock": clock, "tool": "test"}
    body = b"\xd9\xd9\xf7" + bytes([0xa0 + len(pairs) + 1])
    body += b"".join(cbor2.dumps(key) + cbor2.dumps(value) for key, value in pairs.items()) + cbor2.dumps("crc")
    return body + b"\x1a" + crc32c(body).to_bytes(4, "big")


def frame(number, kind, item=None):
    payload = b"" if kind == SEAL else cbor2.dumps(item)
    covered = b"\x1a" + number.to_bytes(4, "big") + b"\x18" + bytes([kind]) + b"\x59" + len(payload).to_bytes(2, "big")
    covered += payload
    return b"\x84\x1a" + crc32c(covered).to_bytes(4, "big") + covered


def write(folder, number, frames, tail=b"", **more):
    """A segment of (type, item) frames; its path."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{number:08d}.jps")
    with open(path, "wb") as file:
        file.write(header(number, **more))
        for fno, (kind, item) in enumerate(frames):
            file.write(frame(fno, kind, item))
        file.write(tail)
    return path


def run_of(run, names, total, **more):
    """A RUN's map with sampled rails."""
    channel = {"part_of": "", "kind": 0, "method": 0, "scope": 0, "roles": 0, "resolution_uw": 0, "max_uw": 0,
               "unverified": False, "scale": 1.0, "offset_uw": 0}
    return {"run": run, "boot": "11111111-2222-4333-8444-555555555555", "device": "made", "window_ms": 1000,
            "block_windows": 30, "interval_ms": 200, "total_known": total is not None, "total_scope": 0,
            "total_method": 0, "gauges": [], "facts": {},
            "channels": [{"name": name, "in_total": total is not None and i in total, **channel}
                         for i, name in enumerate(names)], **more}


def window_of(run, seq, t0_ms, mjs, span_ms=1000):
    """A WINDOW's array; None in mjs is a channel without coverage."""
    return [run, seq, t0_ms, span_ms, 0,
            [[mj, 0, 0 if mj is None else span_ms, 3 if mj is None else 0, None, None, None, None] for mj in mjs], []]


def column(values):
    out, last = [], 0
    for value in values:
        out.append(None if value is None else value - last)
        last = last if value is None else value
    return out


CAUSES = [None, "stall", "suspend", "read_error", "reset", "implausible"]


def block_of(run, names, total, windows):
    """A BLOCK's array of consecutive WINDOW arrays."""
    dt_ms = 1000 if len(windows) == 1 else windows[0][3]
    options = {}
    spans = {i: one[3] for i, one in enumerate(windows) if one[3] != dt_ms}
    cover = {c: [[i, one[5][c][2], CAUSES[one[5][c][3]]] for i, one in enumerate(windows) if one[5][c][2] < one[3]]
             for c in range(len(names))}
    cover = {c: entries for c, entries in cover.items() if entries}
    if spans:
        options["span"] = spans
    if cover:
        options["cov"] = cover
    return [run, windows[0][1], len(windows), windows[0][2], dt_ms, names, total,
            [[windows[-1][5][c][1], column([one[5][c][0] for one in windows])] for c in range(len(names))], options]
