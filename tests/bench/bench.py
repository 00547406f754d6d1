#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What meter and post cost beside their floors, all in one run: CPU, wake-ups and memory per cycle.

usage: bench.py BUILD [SECONDS]

Five RAPL counters and six INA3221 rails (17 files) on tmpfs, each read once a second by both meter and floor. A
block every 30 s and `live` every 10 s, to a broker of its own; the idle Paho client says as much. CPU is the
scheduler's own count (schedstat, ns); a context switch of a sleeping thread is a wake-up. The ratios are what counts:
absolute figures move with the machine. tmpfs is not sysfs, and a real bus costs more for everybody.

Like with like: both halves of the first ratio make the same 17 preads of the same files, one wait and one append a
cycle; the meter's loads (`cpu_load`, /proc/stat) are left out, as the floor reads none. Unlike: the floor appends 40
bytes and waits on a fixed grid, the meter about 260 and at a random instant. At one cycle a second every cache is
cold, so code and data touched count, not instructions; one run is off by a tenth: take the median of three.

The start is a restart of `joulepost meter` alone, from before fork to the first sample (start of window 0, in ms).
"""
import os
import re
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import rig  # noqa: E402

RAPL = [("package-0", 25), ("core", 12), ("uncore", 3), ("dram", 4), ("psys", 40)]  # W
CYCLE_S = 1.0
SETTLE_S = 10
LIVE_BYTES, RECORDS_BYTES = 880, 1200
STARTS = 9
DRIVERS = ["ina3221_hwmon", "rapl_powercap"]


class Load(rig.Board):
    """The tree of the benchmark, moved every 10 ms."""

    def __init__(self, scratch):
        super().__init__(scratch, "load")
        self.text("/proc/cpuinfo", "processor\t: 0\nmodel name\t: bench\n")
        self.text("/proc/meminfo", "MemTotal:       16000000 kB\n")
        zones = ["intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:0:2", "intel-rapl:1"]
        self.counters = [(self.rapl(zone, name) + "/energy_uj", watts) for zone, (name, watts) in zip(zones, RAPL)]
        self.chips = [self.ina3221(3, 1, 0x40, ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]),
                      self.ina3221(4, 1, 0x41, ["RAIL_A", "RAIL_B", "RAIL_C"])]
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.move, daemon=True)

    def files(self):
        rails = [f"{base}/{kind}{i}_input" for base in self.chips for i in (1, 2, 3) for kind in ("in", "curr")]
        return [self.root + path for path in [counter for counter, _ in self.counters] + rails]

    def move(self):
        begin, step = time.monotonic(), 0
        while not self.ended.wait(0.01):
            step += 1
            elapsed = time.monotonic() - begin
            for path, watts in self.counters:
                self.number(path, int(watts * 1e6 * elapsed))
            for base in self.chips:
                for i in (1, 2, 3):
                    self.number(f"{base}/in{i}_input", 5000 + 8 * (step % 5))
                    self.number(f"{base}/curr{i}_input", 400 * i + 20 * (step % 7))


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def tasks(pid):
    return [f"/proc/{pid}/task/{task}" for task in os.listdir(f"/proc/{pid}/task")]


def snapshot(pid):
    """(CPU ns, context switches, PSS KiB) of all threads of a process."""
    cpu = switches = 0
    for task in tasks(pid):
        cpu += int(read(task + "/schedstat").split()[0])
        switches += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", read(task + "/status")))
    return cpu, switches, int(re.search(r"^Pss:\s+(\d+)", read(f"/proc/{pid}/smaps_rollup"), re.M).group(1))


def late_ticks(agent):
    try:
        return agent.ask("health")
    except OSError:
        return {}


def measure(processes, seconds):
    before = {name: snapshot(pid) for name, pid in processes.items()}
    begin = time.monotonic()
    time.sleep(seconds)
    cycles = (time.monotonic() - begin) / CYCLE_S
    after = {name: snapshot(pid) for name, pid in processes.items()}
    return {name: ((after[name][0] - before[name][0]) / 1000 / cycles, (after[name][1] - before[name][1]) / cycles,
                   after[name][2]) for name in processes}


def start_ms(load, program):
    """Median ms from before the fork to the first sample."""
    settings = {"sampling.interval_ms": 100, "sampling.window_ms": 100, "drivers": DRIVERS}
    agent, out = rig.Agent(settings, root=load.root, verb="meter", program=program), []

    def first_window():
        try:
            live = agent.ask("live")
        except OSError:
            return None
        return live["boot_ms"] and live["boot_ms"] - (live["seq"] + 1) * settings["sampling.window_ms"]
    try:
        for _ in range(STARTS):
            rig.eventually(first_window)
            agent.stop()
            begin = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
            agent.start()
            out.append(rig.eventually(first_window) - begin)
    finally:
        agent.close()
    return statistics.median(out)


def report(figures, hot_kib, first_ms):
    floor, idle, meter, post = (figures[name] for name in ("floor", "idle Paho client", "meter", "post"))
    print(f"{'process':<18}{'CPU us/cycle':>14}{'wake-ups/cycle':>16}{'PSS KiB':>10}")
    for name, (cpu, switches, pss) in figures.items():
        print(f"{name:<18}{cpu:>14.1f}{switches:>16.2f}{pss:>10}")
    print()
    print(f"{'against the budget':<54}{'measured':>10}{'budget':>10}")
    rows = [("meter / floor, CPU", meter[0] / floor[0], 1.3), ("meter, wake-ups per tick", meter[1], 1.05),
            ("post / idle Paho client, CPU", post[0] / idle[0], 1.3),
            (f"both halves with {hot_kib} KiB hot, PSS in MiB (dynamic)", (meter[2] + post[2] + hot_kib) / 1024, 4.0),
            ("start to first sample, ms", first_ms, 10.0)]
    for what, value, budget in rows:
        print(f"{what:<54}{value:>10.2f}{budget:>10.2f}  {'kept' if value <= budget else 'missed'}")


def main():
    build, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60
    scratch = rig.Scratch()
    scratch.close()
    scratch.dir = f"/dev/shm/{os.path.basename(scratch.dir)}"
    os.mkdir(scratch.dir)
    load, broker, agent, children = Load(scratch), rig.Broker(), None, []
    try:
        load.thread.start()
        agent = rig.Agent({"mqtt.url": broker.url, "sampling.interval_ms": 1000, "sampling.window_ms": 1000,
                           "sampling.block_windows": 30, "mqtt.live_s": 10, "mqtt.status_s": 300,
                           "drivers": DRIVERS},
                          root=load.root, program=os.path.join(build, "joulepost"))
        children.append(subprocess.Popen([os.path.join(build, "tests", "floor"), "1000", scratch.path("record"), *load.files()]))
        children.append(subprocess.Popen([os.path.join(build, "tests", "idle_paho"), f"tcp://127.0.0.1:{broker.port}", "10",
                                          str(LIVE_BYTES), "30", str(RECORDS_BYTES)]))
        processes = {"floor": children[0].pid, "idle Paho client": children[1].pid, "meter": agent.half("meter"),
                     "post": agent.half("post"), "agent": agent.process.pid}
        print(f"{len(load.files())} files, a cycle a second, {seconds:.0f} s after {SETTLE_S} s of settling", flush=True)
        time.sleep(SETTLE_S)
        figures = measure(processes, seconds)
        hot = sum(os.stat(os.path.join(agent.hot, name)).st_blocks // 2 for name in os.listdir(agent.hot))
        report(figures, hot, start_ms(load, os.path.join(build, "joulepost")))
        print("health:", late_ticks(agent))
    finally:
        load.ended.set()
        for child in children:
            rig.stop_process(child)
        if agent:
            agent.close()
        broker.close()
        load.close()
        scratch.close()


if __name__ == "__main__":
    main()
