#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the demo boards beside this file: trees with a trace that is made, not captured.

Jetson AGX Orin: the rails, their shunts and the chip's steps are the board's (2 mOhm and 40 uV make 20 mA, the bus
reads in 8 mV); an idle board in the 50 W mode was reported at about 8 W. How these 8 W part over the rails, the
bus voltages, and the load phases (CPU, GPU, both) are invented.
"""
import hashlib
import os
import random

HERE = os.path.dirname(os.path.abspath(__file__))
STEP_MA, STEP_MV = 20, 8
PERIOD_MS = 200

# (rail, index, chip address, bus mV)
RAILS = [("VDD_GPU_SOC", 1, 0x40, 19000), ("VDD_CPU_CV", 2, 0x40, 19000), ("VIN_SYS_5V0", 3, 0x40, 5000),
         ("VDDQ_VDD2_1V8AO", 2, 0x41, 5000)]
# (seconds, mW of each rail in the same order, GPU load in per cent)
PHASES = [
    (16, (3000, 800, 4200, 900), 0),
    (10, (3400, 9500, 5200, 1500), 2),
    (14, (16500, 3000, 6100, 2300), 96),
    (10, (19000, 11000, 6800, 2600), 98),
    (10, (3000, 1200, 4300, 950), 1),
]


def stepped(value, step):
    return round(value / step) * step


def rows(rng):
    for seconds, levels, load in PHASES:
        for _ in range(seconds * 1000 // PERIOD_MS):
            cells = []
            for (_, _, _, mv), mw in zip(RAILS, levels):
                bus = stepped(mv + rng.uniform(-12, 12), STEP_MV)
                cells.append(f"{bus}/{stepped(mw * rng.gauss(1, 0.04) * 1000 / bus, STEP_MA)}")
            yield cells + [str(max(0, min(1000, round(load * 10 + rng.uniform(-8, 8)))) * 100)]


def make_agx_orin():
    root = os.path.join(HERE, "jetson-agx-orin")
    for folder in ("proc/device-tree", "etc"):
        os.makedirs(os.path.join(root, folder), exist_ok=True)
    files = {
        "etc/machine-id": hashlib.md5(b"jetson-agx-orin").hexdigest().encode() + b"\n",
        "proc/device-tree/compatible": b"nvidia,p3737-0000+p3701-0000\0nvidia,p3701-0000\0nvidia,tegra234\0",
        "proc/device-tree/model": b"NVIDIA Jetson AGX Orin Developer Kit\0",
        "proc/meminfo": b"MemTotal:       64349200 kB\n",
        "proc/cpuinfo": b"".join(b"processor\t: %d\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n\n" % i for i in range(12)),
    }
    lines = ["joulepost-trace 1", "# Written by boards/demo/make.py.",
             "note made, not captured: idle at the reported 8 W; the split over the rails and the load phases are invented",
             f"period_ms {PERIOD_MS}"]
    lines += [f"channel {name} power chip=ina3221 address={address:#04x} index={index} bus=i2c@c240000 shunt=2000"
              for name, index, address, _ in RAILS]
    lines += ["channel gpu_load gauge unit=%", "rows"] + [" ".join(cells) for cells in rows(random.Random(8))]
    files["replay.trace"] = ("\n".join(lines) + "\n").encode()
    for name, data in files.items():
        with open(os.path.join(root, name), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    make_agx_orin()
