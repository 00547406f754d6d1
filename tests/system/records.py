# SPDX-License-Identifier: Apache-2.0
"""An independent reader of the `records` leaf: CBOR through python3-cbor2, or JSON, into the same windows."""
import io
import json

import cbor2


def items_of(payload):
    """The items of a CBOR Sequence (RFC 8742)."""
    stream, items = io.BytesIO(payload), []
    while stream.tell() < len(payload):
        items.append(cbor2.load(stream))
    return items


def column(values):
    """A column's values: the first known is absolute, the others are differences to the last known one."""
    out, last = [], 0
    for value in values:
        last = last if value is None else last + value
        out.append(None if value is None else last)
    return out


def windows_of_block(head, block):
    run, seq, count, at_ms, dt_ms, names, total, columns, options = block
    cells = [column(pair[1]) for pair in columns]
    assert len(names) == len(columns) and all(len(one) == count for one in cells), "columns of one length"
    cover = {(c, entry[0]): entry[1:] for c, entries in options.get("cov", {}).items() for entry in entries}
    spans = options.get("span", {})
    windows = []
    for i in range(count):
        span = spans.get(i, dt_ms)
        energy = {name: cells[c][i] for c, name in enumerate(names)}
        covered = {names[c]: ms for (c, at), (ms, _) in cover.items() if at == i}
        cause = {names[c]: why for (c, at), (_, why) in cover.items() if at == i and why is not None}
        if total is not None:
            known = [cells[c][i] for c in total if cells[c][i] is not None]
            energy["total"] = sum(known) if known else None
            members = [names[c] for c in total if names[c] in covered]
            if members:
                least = min(members, key=lambda name: covered[name])
                covered["total"] = covered[least]
                if least in cause:
                    cause["total"] = cause[least]
        factor, mj = head["g_per_kwh"], energy.get("total")
        windows.append({
            "device": head["device"], "run": f"{run:016x}", "seq": seq + i, "boot_ms": at_ms, "span_ms": span,
            "t_ms": None if head["off_ms"] is None else at_ms + head["off_ms"], "clock": head["clock"],
            "energy_mj": energy, "covered_ms": covered, "cause": cause,
            "emissions_ug": None if factor is None or mj is None else round(mj * head["pue"] * factor / 3600),
        })
        at_ms += span
    return windows


def windows_of(payload, device=None):
    """All windows of one `records` message, in order. JSON windows get their device from the caller (the topic)."""
    if payload[:1] == b"[":
        return [{"device": device, "covered_ms": {}, "cause": {}, **window} for window in json.loads(payload)]
    head, *blocks = items_of(payload)
    assert head["v"] == 1, head
    return [window for block in blocks for window in windows_of_block(head, block)]


def run_mj_of(payload):
    """{(run, channel): cumulative mJ at the end of the last block} of one CBOR message."""
    out = {}
    for block in items_of(payload)[1:]:
        for name, pair in zip(block[5], block[7]):
            out[f"{block[0]:016x}", name] = pair[0]
    return out


class Once:
    """At least once made once: windows by (device, run, seq), and a complaint when one has two contents."""

    def __init__(self):
        self.windows = {}
        self.resent = 0
        self.conflicts = []

    def add(self, window):
        key = window["device"], window["run"], window["seq"]
        content = {k: v for k, v in window.items() if k not in ("t_ms", "clock", "emissions_ug")}
        if key not in self.windows:
            self.windows[key] = window
            return
        self.resent += 1
        old = {k: v for k, v in self.windows[key].items() if k not in ("t_ms", "clock", "emissions_ug")}
        if old != content:
            self.conflicts.append((old, content))

    def add_message(self, payload, device=None):
        for window in windows_of(payload, device):
            self.add(window)

    def runs(self):
        """{(device, run): [seq, ...] in ascending order}"""
        out = {}
        for device, run, seq in sorted(self.windows):
            out.setdefault((device, run), []).append(seq)
        return out

    def missing(self):
        """(device, run, seq) of the holes below each run's last window."""
        return [(device, run, seq) for (device, run), seqs in self.runs().items()
                for seq in sorted(set(range(seqs[-1] + 1)) - set(seqs))]

    def energy_mj(self, run, channel):
        return sum(w["energy_mj"][channel] or 0 for (_, r, _), w in self.windows.items() if r == run)
