#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Energy of a scripted sequence of registers, against the arithmetic of the sequence: one chip under the kernel's hwmon
driver and one read directly, scripted alike and measured by one agent."""
import unittest

from guest import Guest, main

INTERVAL_MS, WINDOW_MS = 100, 250
PLATEAU_S = 4
# Away from a step, on both sides: a line between two readings crosses it, and a machine under load may be late for some.
SETTLED_MS = 1000
SHUNTS = (10000, 5000, 2000)
# Steps of 8 mV and of 40 uV for three channels: levels of a board at rest, at work, at full scale, feeding back, off.
SEQUENCE = (
    ((600, 20), (625, 50), (2375, 3)),
    ((2375, 410), (625, 700), (2374, 25)),
    ((4095, 4095), (1, 1), (4095, -4096)),
    ((2500, -25), (624, -1), (0, 90)),
    ((600, 0), (0, 0), (2375, 1)),
)
BOARD = """name = "Two chips of one kind";
match = ( "none,such" );
sensors = ( { chip = "ina3221"; address = 0x41; bus_node = "SMBus stub driver"; channels = ( %s ); } );
""" % ", ".join(f'{{ channel = {n}; label = "direct-{n}"; shunt_uohm = {shunt}; }}' for n, shunt in enumerate(SHUNTS, 1))


def milliwatts(step):
    """What the registers mean: 8 mV a step of voltage, 40 uV a step over the shunt."""
    return [bus * 8 * shunt * 40 / uohm for (bus, shunt), uohm in zip(step, SHUNTS)]


def words(step):
    out = []
    for n, (bus, shunt) in enumerate(step, 1):
        out += [f"{2 * n - 1:#x}={shunt * 8 & 0xffff:#x}", f"{2 * n:#x}={bus * 8 & 0xffff:#x}"]
    return " ".join(out)


class Energy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = guest = Guest(modules=["i2c-dev", "i2c-stub chip_addr=0x40,0x41"], extra_modules=["ina3221"])
        cls.addClassCleanup(guest.close)
        cls.bus = bus = guest.bus("SMBus stub")
        for address in ("0x40", "0x41"):
            guest.run(f"i2creg {bus} {address} 0x00=0x7127 0x0f=0x0001 0xfe=0x5449 0xff=0x3220 {words(SEQUENCE[0])}")
        guest.modprobe("ina3221")
        guest.write(f"/sys/bus/i2c/devices/i2c-{bus}/new_device", "ina3221 0x40")
        guest.run(f"i2creg -f {bus} 0x40 0x0f=0x0001")
        hwmon = guest.run(f"echo /sys/bus/i2c/devices/{bus}-0040/hwmon/hwmon*")
        for n, shunt in enumerate(SHUNTS, 1):
            guest.write(f"{hwmon}/shunt{n}_resistor", shunt)
        guest.run("mkdir -p /tmp/boards")
        guest.put("/tmp/boards/two.conf", BOARD)
        agent = guest.agent({"sampling.interval_ms": INTERVAL_MS, "sampling.window_ms": WINDOW_MS, "board.dir": "/tmp/boards",
                             "board.name": "two"})
        agent.wait_windows(4)
        # The steps are made in the guest: nothing of the host stands between a step and its time.
        script = "".join(f"i2creg -f {bus} 0x40 {words(step)}; i2creg -f {bus} 0x41 {words(step)}; cut -d' ' -f1 /proc/uptime; "
                         f"sleep {PLATEAU_S}; cut -d' ' -f1 /proc/uptime; " for step in SEQUENCE[1:])
        out = guest.run(f"cut -d' ' -f1 /proc/uptime; {script}", 120)
        times = [float(one) * 1000 for one in out.split()]
        # Of each plateau the first and the last moment that is certainly on it.
        cls.plateaus = [(float("-inf"), times[0]), *zip(times[1::2], times[2::2])]
        agent.wait_windows(agent.live()["seq"] + 2)
        assert agent.stop() == 0, agent.log()
        cls.windows = agent.dump()
        cls.names = [f"{path}{n}" for path in ("ina3221-40.", "direct-") for n in (1, 2, 3)]

    def on_plateaus(self):
        for window in self.windows[1:]:
            begin, end = window["boot_ms"], window["boot_ms"] + window["span_ms"]
            for step, (first, last) in zip(SEQUENCE, self.plateaus):
                if begin >= first + SETTLED_MS and end <= last - SETTLED_MS:
                    yield step, window

    def test_a_window_on_a_plateau_is_voltage_times_current_times_time(self):
        seen = {step: 0 for step in SEQUENCE}
        for step, window in self.on_plateaus():
            seen[step] += 1
            for name, power in zip(self.names, milliwatts(step) * 2):
                energy = window["energy_mj"][name]
                self.assertIsNotNone(energy, (name, window))
                self.assertAlmostEqual(energy, power * window["span_ms"] / 1000, delta=1, msg=(name, window))
        self.assertGreater(min(list(seen.values())[1:]), 3, seen)
        for path, driver in (("hwmon", "ina3221_hwmon"), ("I2C", "ina3221_i2c")):
            self.guest.proved(driver, f"energy of scripted registers is their arithmetic ({path})")

    def test_both_paths_agree_window_for_window(self):
        count = 0
        for _, window in self.on_plateaus():
            count += 1
            for n in (1, 2, 3):
                self.assertAlmostEqual(window["energy_mj"][f"ina3221-40.{n}"], window["energy_mj"][f"direct-{n}"], delta=1,
                                       msg=window)
        self.assertGreater(count, 12)
        self.guest.proved("ina3221_i2c", "agrees with hwmon, window for window")

    def test_the_sequence_adds_up_to_one_interval_a_step(self):
        windows = self.windows[1:]
        begin = windows[0]["boot_ms"]
        end = windows[-1]["boot_ms"] + windows[-1]["span_ms"]
        borders = [begin, *((self.plateaus[i][1] + self.plateaus[i + 1][0]) / 2 for i in range(len(SEQUENCE) - 1)), end]
        for channel in range(3):
            powers = [milliwatts(step)[channel] for step in SEQUENCE]
            expected = sum(power * (borders[i + 1] - borders[i]) / 1000 for i, power in enumerate(powers))
            room = len(windows)  # a millijoule each
            for i in range(len(SEQUENCE) - 1):
                unsure = (self.plateaus[i + 1][0] - self.plateaus[i][1]) / 2 + 10  # /proc/uptime counts in 10 ms
                room += abs(powers[i + 1] - powers[i]) * (INTERVAL_MS + unsure) / 1000
            for name in (self.names[channel], self.names[channel + 3]):
                total = sum(one["energy_mj"][name] for one in windows)
                self.assertAlmostEqual(total, expected, delta=room, msg=name)


if __name__ == "__main__":
    main()
