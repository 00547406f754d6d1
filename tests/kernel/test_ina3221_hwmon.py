#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""INA3221 chips under the kernel's own driver: bound through a device tree on buses that fail on command, and on i2c-stub."""
import json
import time
import unittest

from guest import ARCH, Guest, main
from windows import causes, holes, lost_ms, power_mw, wait_hole, wait_whole

SICK = "/sys/bus/platform/devices/i2c@1000"  # the bus of MAIN, CORE, MEMORY, STORAGE
WELL = "/sys/bus/platform/devices/i2c@2000"
DRIVER = "/sys/bus/i2c/drivers/ina3221"
# mV of the shunt over its mOhm at 5 V, as rig_i2c begins and ina3221.dtsi has the shunts.
MILLIWATTS = {"MAIN": 4000, "CORE": 8000, "MEMORY": 20000, "STORAGE": 3000, "RADIO": 2000,
              "ina3221-41.1": 2000, "ina3221-41.2": 4000, "ina3221-41.3": 6000}
ON_SICK, ON_WELL = ("MAIN", "CORE", "MEMORY", "STORAGE"), ("RADIO", "ina3221-41.1", "ina3221-41.2", "ina3221-41.3")


def hwmon(guest, client):
    return guest.run(f"ls -d /sys/bus/i2c/devices/{client}/hwmon/hwmon*")


@unittest.skipIf(ARCH != "arm64", "amd64 has no device tree")
class DeviceTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["i2c-dev", "rig_i2c", "ina3221"], dtsi="ina3221.dtsi", extra_modules=["rig_hwmon"])
        cls.addClassCleanup(cls.guest.close)

    def setUp(self):
        for bus in (SICK, WELL):
            for name in ("fail", "fail_every", "delay_us", "stuck", "only"):
                self.guest.write(f"{bus}/{name}", 0)
        self.poke(SICK, 0x40, 1, 100)

    def poke(self, bus, address, register, steps):
        self.guest.write(f"{bus}/poke", f"{address} {register} {(steps << 3) & 0xffff}")

    def agent(self, **more):
        self.guest.run("rm -rf /var/lib/agent-spool /run/agent-hot")
        agent = self.guest.agent(more)
        self.addCleanup(lambda: agent.job.running() and agent.stop())
        wait_whole(agent, MILLIWATTS)
        return agent

    def windows(self, agent):
        """The first one begins with the agent and is of no interest here."""
        self.assertEqual(agent.stop(), 0, agent.log())
        return agent.dump()[1:]

    def no_hole(self, windows, names):
        for name in names:
            self.assertEqual([(one["seq"], one["covered_ms"][name], one["cause"][name]) for one in holes(windows, name)], [], name)

    def true_power(self, windows, names):
        """Where something is covered it is right."""
        for one in windows:
            for name in names:
                if power_mw(one, name) is None:
                    continue
                energy_mj = MILLIWATTS[name] * one.get("covered_ms", {}).get(name, one["span_ms"]) / 1000
                # What is covered is told in whole ms, energy in whole mJ.
                self.assertAlmostEqual(one["energy_mj"][name], energy_mj, delta=energy_mj / 100 + MILLIWATTS[name] / 1000 + 1,
                                       msg=f"{name} {one}")

    def test_rails_are_what_the_device_tree_says(self):
        guest = self.guest
        told = json.loads(guest.run("joulepost probe --json"))
        power = {one["name"]: one["power_w"] for one in told["channels"]}
        self.assertEqual(power, {name: mw / 1000 for name, mw in MILLIWATTS.items()})
        # What a fake tree would not have: files that are no rails, and one that stays without data.
        main, second = hwmon(guest, "1-0040"), hwmon(guest, "1-0041")
        self.assertEqual(guest.read(f"{main}/in4_input"), "4000")  # the shunt of the first, in uV
        guest.run(f"test -e {main}/in7_input -a -e {main}/in7_label -a -e {main}/curr4_input")
        self.assertIn("No data available", guest.try_run(f"cat {second}/in1_input")[1])
        self.assertEqual(guest.read(f"{main}/in3_label"), "NC")
        guest.proved("ina3221_hwmon", "four chips by the device tree's labels and shunts; NC, disabled and sums are no rails")

    def test_energy_of_steady_and_negative_currents(self):
        agent = self.agent()
        writes = self.guest.read(f"{SICK}/writes")
        agent.wait_windows(6)
        self.poke(SICK, 0x40, 1, -100)
        turned = agent.live()["seq"] + 2
        agent.wait_windows(turned + 5)
        self.assertEqual(self.guest.read(f"{SICK}/writes"), writes, "reading writes to a chip in continuous mode")
        windows = self.windows(agent)
        self.no_hole(windows, MILLIWATTS)
        self.true_power(windows, set(MILLIWATTS) - {"MAIN"})
        late = [one for one in windows if one["seq"] > turned][:-1]
        self.assertGreaterEqual(len(late), 3)
        for one in late:
            self.assertAlmostEqual(power_mw(one, "MAIN"), -4000, delta=10)
        self.guest.proved("ina3221_hwmon", "negative current; single-shot beside continuous; no write to a continuous chip")

    def test_a_ramp_has_the_energy_of_its_line(self):
        agent = self.agent()
        self.guest.write(f"{SICK}/ramp", "0x40 1 200 40 3")  # steps of 40 uV over 5 mOhm: 8 mA, at 5 V 40 mW
        t0_ms = int(self.guest.read(f"{SICK}/ramp")) / 1e6
        begin = agent.live()["seq"] + 2
        agent.wait_windows(begin + 22)
        windows = [one for one in self.windows(agent) if begin <= one["seq"] < begin + 20]
        step_mw, total, line = 40, 0, 0
        for one in windows:
            middle_s = (one["boot_ms"] + one["span_ms"] / 2 - t0_ms) / 1000
            expected = (200 + 40 * middle_s) * step_mw * one["span_ms"] / 1000
            self.assertAlmostEqual(one["energy_mj"]["MAIN"], expected, delta=step_mw * one["span_ms"] / 1000, msg=one)
            total, line = total + one["energy_mj"]["MAIN"], line + expected
        self.assertEqual(len(windows), 20)
        self.assertAlmostEqual(total, line, delta=step_mw / 2 * sum(one["span_ms"] for one in windows) / 1000)
        self.guest.proved("ina3221_hwmon", "energy of a ramp is that of the line, to a step of the register")

    def test_a_chip_pulled_away_is_a_hole_on_its_rails_alone(self):
        guest, agent = self.guest, self.agent()
        before = hwmon(guest, "1-0040").rsplit("/", 1)[-1]
        guest.write(f"{DRIVER}/unbind", "1-0040")
        guest.modprobe("rig_hwmon")  # takes the number that became free
        self.addCleanup(lambda: guest.run("rmmod rig_hwmon"))
        time.sleep(5)
        guest.write(f"{DRIVER}/bind", "1-0040")
        self.assertNotEqual(hwmon(guest, "1-0040").rsplit("/", 1)[-1], before)
        self.poke(SICK, 0x40, 1, 100)
        wait_whole(agent, MILLIWATTS)
        again = agent.live()["seq"]
        agent.wait_windows(again + 4)
        windows = self.windows(agent)
        self.no_hole(windows, set(MILLIWATTS) - {"MAIN", "CORE"})
        for name in ("MAIN", "CORE"):
            self.assertEqual(causes(windows, name), {"read_error"})
            self.assertGreaterEqual(lost_ms(windows, name), 4500)
            self.assertTrue(any(one["energy_mj"][name] is None for one in windows), "unknown, not zero")
        self.true_power(windows, MILLIWATTS)
        self.assertIn("MAIN: reading fails (No such device)", agent.log())
        self.assertIn("MAIN: reading works again", agent.log())
        guest.proved("ina3221_hwmon", "unbound for 5 s, bound under another hwmon number: found again, a hole there alone")

    def test_a_bus_that_hangs_for_a_second_a_transfer_holds_no_other_up(self):
        agent = self.agent()
        self.guest.write(f"{SICK}/delay_us", 1000000)
        time.sleep(10)
        self.guest.write(f"{SICK}/delay_us", 0)
        wait_whole(agent, MILLIWATTS, 180)
        windows = self.windows(agent)
        self.no_hole(windows, ON_WELL)
        for name in ON_SICK:
            self.assertEqual(causes(windows, name), {"read_error"})
        self.true_power(windows, ON_WELL)
        self.guest.proved("ina3221_hwmon", "a bus that hangs 1 s a transfer: no hole on the other bus")

    def test_a_slow_bus_is_read_less_often(self):
        self.guest.write(f"{SICK}/delay_us", 15000)
        agent = self.agent()
        agent.wait_windows(8)
        windows = self.windows(agent)
        self.no_hole(windows[3:], MILLIWATTS)
        self.true_power(windows[3:], MILLIWATTS)
        self.assertRegex(agent.log(), "reading takes [0-9]+ ms; read every [0-9]+ ms from now on")
        self.guest.proved("ina3221_hwmon", "a slow bus: read less often, and said so")

    def test_errors_of_the_bus_are_missing_and_never_a_number(self):
        agent = self.agent()
        self.guest.write(f"{SICK}/fail_every", 4)
        time.sleep(4)
        self.guest.write(f"{SICK}/fail_every", 0)
        for error in (121, 110, 6, 5, 19):  # EREMOTEIO, ETIMEDOUT, ENXIO, EIO, ENODEV
            self.guest.write(f"{SICK}/only", 0x40)
            self.guest.write(f"{SICK}/fail", error)
            wait_hole(agent, "MAIN")
            self.guest.write(f"{SICK}/fail", 0)
            wait_whole(agent, MILLIWATTS)
        windows = self.windows(agent)
        self.no_hole(windows, ON_WELL)
        self.true_power(windows, MILLIWATTS)
        for name in ("MAIN", "CORE"):
            self.assertEqual(causes(windows, name), {"read_error"})
        self.guest.proved("ina3221_hwmon", "errno of the bus reach the readings; what comes through is right")

    def test_a_conversion_that_never_ends(self):
        agent = self.agent()
        self.guest.write(f"{WELL}/stuck", 1)
        wait_hole(agent, "RADIO")
        time.sleep(2)
        self.assertIn("Connection timed out", self.guest.try_run(f"cat {hwmon(self.guest, '2-0040')}/in1_input")[1])
        self.guest.write(f"{WELL}/stuck", 0)
        wait_whole(agent, MILLIWATTS)
        windows = self.windows(agent)
        self.assertEqual(causes(windows, "RADIO"), {"read_error"})
        self.no_hole(windows, set(MILLIWATTS) - {"RADIO"})
        self.true_power(windows, MILLIWATTS)
        self.assertRegex(agent.log(), r"RADIO: reading fails \((Operation|Connection) timed out\)")
        self.guest.proved("ina3221_hwmon", "a conversion flag that sticks: single-shot times out, continuous is not touched")

    def test_averaging_changed_while_running(self):
        guest, agent = self.guest, self.agent()
        continuous, single = hwmon(guest, "1-0040"), hwmon(guest, "2-0040")
        guest.write(f"{continuous}/samples", 1024)
        guest.write(f"{single}/samples", 1024)  # the kernel waits as for one sample (Linux 6.1): ETIMEDOUT
        wait_hole(agent, "RADIO")
        guest.write(f"{single}/samples", 1)
        wait_whole(agent, MILLIWATTS)
        guest.write(f"{continuous}/samples", 1)
        windows = self.windows(agent)
        self.no_hole(windows, set(MILLIWATTS) - {"RADIO"})
        self.true_power(windows, MILLIWATTS)
        guest.proved("ina3221_hwmon", "averaging changed while it is read")

    def test_a_channel_switched_off_while_running(self):
        guest, agent = self.guest, self.agent()
        main = hwmon(guest, "1-0040")
        guest.write(f"{main}/in2_enable", 0)
        wait_hole(agent, "CORE")
        guest.write(f"{main}/in2_enable", 1)
        wait_whole(agent, MILLIWATTS)
        windows = self.windows(agent)
        self.no_hole(windows, set(MILLIWATTS) - {"CORE"})
        self.true_power(windows, MILLIWATTS)
        guest.proved("ina3221_hwmon", "a channel switched off while it is read: ENODATA, a hole there alone")

    def test_over_current_is_an_event(self):
        guest, agent = self.guest, self.agent()
        main = hwmon(guest, "1-0040")
        guest.write(f"{main}/curr2_crit", 1000)  # CORE takes 1600 mA
        guest.write(f"{main}/curr1_max", 500)    # MAIN takes 800 mA
        agent.wait_windows(agent.live()["seq"] + 9)
        guest.write(f"{main}/curr2_crit", 6000)
        guest.write(f"{main}/curr1_max", 6000)
        agent.wait_windows(agent.live()["seq"] + 15)
        windows = self.windows(agent)
        events = [(one["channel"], one["detail"].get("state")) for one in agent.dump("event") if one["kind"] == "over_current"]
        for name in ("MAIN", "CORE"):
            self.assertEqual(len([one for one in events if one[0] == name]), 2, f"{name}: {events}")
        self.no_hole(windows, MILLIWATTS)
        guest.proved("ina3221_hwmon", "over-current flags become events once, although reading clears them")


class Stub(unittest.TestCase):
    """Without a device tree: the kernel assumes 10 mOhm and knows no label."""

    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["i2c-dev", "i2c-stub chip_addr=0x40,0x41", "ina3221"], extra_modules=["rig_hwmon"])
        cls.addClassCleanup(cls.guest.close)
        cls.bus = cls.guest.bus("SMBus stub")
        for address in ("0x40", "0x41"):
            cls.registers(address, "0x00=0x7127 0x0f=1 0xfe=0x5449 0xff=0x3220 0x01=0x0640 0x02=0x12c0 0x03=0x0320 0x04=0x1388 "
                                   "0x05=0xff38 0x06=0x4e20")
            cls.guest.write(f"/sys/bus/i2c/devices/i2c-{cls.bus}/new_device", f"ina3221 {address}")

    @classmethod
    def registers(cls, address, words):
        cls.guest.run(f"i2creg -f {cls.bus} {address} {words}")

    # 8 mV at 4800 mV, 4 mV at 5000 mV, -1 mV at 20000 mV.
    MILLIWATTS = {f"ina3221-{address}.{index}": mw for address in (40, 41) for index, mw in ((1, 3840), (2, 2000), (3, -2000))}

    def test_energy_of_the_registers(self):
        agent = self.guest.agent()
        agent.wait_windows(6)
        self.assertEqual(agent.stop(), 0)
        windows = agent.dump()
        self.assertEqual(set(windows[0]["energy_mj"]) - {"total"}, set(self.MILLIWATTS))
        for one in windows[1:6]:
            for name, mw in self.MILLIWATTS.items():
                self.assertEqual(holes([one], name), [])
                self.assertAlmostEqual(one["energy_mj"][name], mw * one["span_ms"] / 1000, delta=1)
        self.guest.proved("ina3221_hwmon", "two chips without labels on i2c-stub: energy is that of the registers")

    def test_unbound_and_bound_again(self):
        guest, client = self.guest, f"{self.bus}-0040"
        self.guest.run("rm -rf /var/lib/agent-spool /run/agent-hot")
        agent = guest.agent()
        agent.wait_windows(3)
        before = hwmon(guest, client).rsplit("/", 1)[-1]
        guest.write(f"{DRIVER}/unbind", client)
        guest.modprobe("rig_hwmon")
        self.addCleanup(lambda: guest.run("rmmod rig_hwmon"))
        time.sleep(5)
        guest.write(f"{DRIVER}/bind", client)
        self.assertNotEqual(hwmon(guest, client).rsplit("/", 1)[-1], before)
        wait_whole(agent, self.MILLIWATTS)
        agent.wait_windows(agent.live()["seq"] + 4)
        self.assertEqual(agent.stop(), 0)
        windows = agent.dump()[1:]
        for name in self.MILLIWATTS:
            if "-40." in name:
                self.assertEqual(causes(windows, name), {"read_error"})
                self.assertGreaterEqual(lost_ms(windows, name), 4500)
            else:
                self.assertEqual(holes(windows, name), [], name)
        guest.proved("ina3221_hwmon", "unbound for 5 s and bound again on i2c-stub")


if __name__ == "__main__":
    main()
