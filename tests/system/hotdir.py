# SPDX-License-Identifier: Apache-2.0
"""What meter really wrote: every hot segment kept by a hard link before post unlinks it, and read by python3-cbor2."""
import io
import os
import threading

import cbor2

RUN, WINDOW, BLOCK, ANCHOR, GAP, EVENT, SEAL = range(1, 8)


def frames_of(path):
    """(type, payload item) of each whole frame of a segment; the tail of a killed writer may be torn."""
    with open(path, "rb") as file:
        data = file.read()
    stream, out = io.BytesIO(data), []
    try:
        cbor2.load(stream)  # tag 55799 and the header map
        while stream.tell() < len(data) and data[stream.tell()] != 0:
            _crc, _number, kind, payload = cbor2.load(stream)
            out.append((kind, cbor2.loads(payload) if payload else None))
    except (cbor2.CBORDecodeError, ValueError, TypeError):
        pass
    return out


class Spy(threading.Thread):
    """Links each new segment of a hot directory into another directory of the same file system."""

    def __init__(self, hot, kept=None):
        super().__init__(daemon=True)
        self.hot, self.kept, self.over = hot, kept or hot + "-kept", threading.Event()
        os.makedirs(self.kept, exist_ok=True)

    def look(self):
        try:
            names = os.listdir(self.hot)
        except FileNotFoundError:
            return
        for name in names:
            if name.endswith(".jps") and not os.path.exists(os.path.join(self.kept, name)):
                try:
                    os.link(os.path.join(self.hot, name), os.path.join(self.kept, name))
                except FileNotFoundError:
                    pass

    def run(self):
        while not self.over.wait(0.01):
            self.look()

    def stop(self):
        self.over.set()
        self.join()
        self.look()

    def segments(self):
        return sorted(os.path.join(self.kept, name) for name in os.listdir(self.kept))

    def frames(self):
        return [frame for path in self.segments() for frame in frames_of(path)]
