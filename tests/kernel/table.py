#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What was proved against the kernels' own drivers: table.py FOLDER prints driver, kernel and what, and fails for a
driver of the program that neither has a row nor a reason why not."""
import glob
import json
import os
import re
import sys

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
NOT_HERE = {
    "ina3221_iio": "NVIDIA's driver of kernel 4.9 never went to Linux: a fixture made after its source",
    "rpi_pmic": "only a Raspberry Pi 5's firmware answers it, and QEMU has none: unit tests answer the ioctl in its published form",
    "nvidia_gpu": "wants NVIDIA's own driver and a card: unit tests with a child that prints what nvidia-smi is published to print",
}
ONE_KERNEL = {"rapl_powercap": "amd64"}  # Debian's arm64 kernel has no powercap
# Gauges and models read files that every kernel has; the guests' are the same ones the unit tests imitate.
NO_SENSOR = ("replay", "cpu_load", "gpu_load", "cpu_freq", "gpu_freq", "thermal", "throttle", "estimate_cpu", "estimate_ram")


def drivers():
    with open(os.path.join(TREE, "drivers", "drivers.h"), encoding="utf-8") as file:
        return [name for name in re.findall(r"EACH\((\w+)\)", file.read()) if name not in NO_SENSOR]


def main():
    rows = []
    for path in sorted(glob.glob(os.path.join(sys.argv[1], "proved", "*"))):
        with open(path, encoding="utf-8") as file:
            rows += [json.loads(line) for line in file]
    rows = sorted({(row["driver"], row["what"], row["kernel"]) for row in rows})
    table, silent = [], []
    for driver in sorted({*drivers(), *(row[0] for row in rows)}):
        for what in dict.fromkeys(row[1] for row in rows if row[0] == driver):
            kernels = [row[2] for row in rows if row[:2] == (driver, what)]
            table.append((driver, ", ".join(sorted(one.rpartition("-")[2] for one in kernels)), what))
        if driver not in (row[0] for row in rows):
            table.append((driver, "-", "not on a real kernel: " + NOT_HERE[driver]) if driver in NOT_HERE else (driver, "-", "NOTHING"))
        found = {row[2].rpartition("-")[2] for row in rows if row[0] == driver}
        if driver in drivers() and driver not in NOT_HERE and found < {ONE_KERNEL.get(driver, "arm64"), "amd64"}:
            silent.append(f"{driver} ({' and '.join(sorted({'arm64', 'amd64'} - found))})")
    if rows:
        print("kernel " + ", ".join(sorted({row[2] for row in rows})))
    wide = [max(len(row[i]) for row in table) for i in (0, 1)]
    for driver, kernels, what in [("driver", "kernel", "proved"), *table]:
        print(f"{driver:<{wide[0]}}  {kernels:<{max(6, wide[1])}}  {what}")
    if silent:
        sys.exit(f"not proved, and no reason why not: {', '.join(silent)}")


if __name__ == "__main__":
    main()
