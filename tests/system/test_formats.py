# SPDX-License-Identifier: Apache-2.0
"""The two formats of `records` are one content: the same hot spool, posted once as CBOR and once as JSON."""
import os
import shutil
import time
import unittest

import records
from rig import Agent, Broker, Scratch, Subscriber, X86, eventually


class Formats(unittest.TestCase):
    def post(self, hot, form):
        """All `records` that one post makes of a copy of a hot spool."""
        broker = Broker()
        self.addCleanup(broker.close)
        subscriber = Subscriber(broker.port)
        self.addCleanup(subscriber.close)
        copy = hot + "-" + form
        shutil.copytree(hot, copy, ignore=lambda _, names: [n for n in names if not n.endswith(".jps")])
        agent = Agent({"mqtt.url": broker.url, "mqtt.format": form, "paths.hot": copy, "mqtt.live_s": 1,
                       "location.country": "FRA", "location.pue": 1.25}, verb="post")
        self.addCleanup(agent.close)
        eventually(lambda: self.held(subscriber) >= self.closed, why=lambda: "windows are missing: " + agent.said())
        self.assertEqual(agent.stop(), 0)
        return subscriber.of("records")

    @staticmethod
    def held(subscriber):
        return len(subscriber.once().windows)

    def test_cbor_decodes_into_the_windows_that_json_gives(self):
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = X86(scratch)
        self.addCleanup(board.close)
        meter = Agent({"sampling.window_ms": 200, "sampling.block_windows": 6, "location.country": "FRA",
                       "sampling.interval_ms": 100, "sampling.columns": ["peak_mw"]}, root=board.root, verb="meter")
        self.addCleanup(meter.close)
        uj = 10**9
        for step in range(60):
            uj += 1_234_567
            for zone in board.zones:
                if zone != "package-1" or not 20 <= step < 36:
                    board.energy(zone, uj)
            if step == 20:  # a hole, so that covered_ms and cause are told
                os.truncate(f"{board.root}{board.zones['package-1']}/energy_uj", 0)
            time.sleep(0.05)
        self.assertEqual(meter.stop(), 0, meter.said())
        self.closed = 10
        cbor, json = self.post(meter.hot, "cbor"), self.post(meter.hot, "json")
        self.assertEqual({one.content_type for one in cbor}, {"application/cbor-seq"})
        self.assertEqual({one.content_type for one in json}, {"application/json"})
        told = {w["seq"]: w for one in json for w in one.json()}
        decoded = {w["seq"]: w for one in cbor for w in records.windows_of(one.payload)}
        self.assertGreaterEqual(len(told), self.closed)
        self.assertEqual(set(told), set(decoded))
        holes = 0
        for seq, window in told.items():
            other = decoded[seq]
            for key in ("t_ms", "boot_ms", "span_ms", "run", "seq", "energy_mj", "emissions_ug", "clock"):
                self.assertEqual(window[key], other[key], (seq, key))
            for key in ("covered_ms", "cause"):
                self.assertEqual(window.get(key, {}), other[key], (seq, key))
            holes += bool(other["covered_ms"])
        self.assertGreater(holes, 0)
        print(f"{len(told)} windows, {holes} with a hole; CBOR {sum(len(m.payload) for m in cbor)} bytes, "
              f"JSON {sum(len(m.payload) for m in json)} bytes")


if __name__ == "__main__":
    unittest.main()
