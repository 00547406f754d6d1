#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Chips and devices that tell power or energy themselves, under the kernel's own drivers."""
import json
import time
import unittest

from guest import ARCH, Guest, main
from windows import causes, holes, lost_ms, power_mw, wait_whole

BUS = "/sys/bus/platform/devices/i2c@3000"
RIG = "/sys/bus/platform/devices/rig-hwmon.0"


def ina219_mw(register, shunt_mohm):
    """The INA219's data sheet: current step 0.04096 V over calibration and shunt, here 4096; a power step is 20 of them."""
    return register * 20 * 0.04096 / (4096 * shunt_mohm / 1000) * 1000


def ina226_mw(register, shunt_mohm):
    """The INA226's: 0.00512 V, here with calibration 2048; a power step is 25."""
    return register * 25 * 0.00512 / (2048 * shunt_mohm / 1000) * 1000


def ina238_mw(register, shunt_mohm):
    """The INA238's: the current step is calibration, here 16384, over 819.2e6 and the shunt; power 0.2 of it."""
    return register * 0.2 * 16384 / (819.2e6 * shunt_mohm / 1000) * 1000


def powers(guest):
    told = json.loads(guest.run("joulepost probe --json"))
    return {one["name"]: one["power_w"] for one in told["channels"]}


class Chips:
    """What both kinds of bus have to show: `milliwatts` by name."""

    def measure(self, milliwatts):
        guest = self.guest
        told = powers(guest)
        for name, mw in milliwatts.items():
            self.assertAlmostEqual(told[name], mw / 1000, places=6, msg=name)
        self.assertEqual(set(told), set(milliwatts))
        guest.run("rm -rf /var/lib/agent-spool /run/agent-hot")
        agent = guest.agent()
        agent.wait_windows(6)
        self.assertEqual(agent.stop(), 0)
        for one in agent.dump()[1:6]:
            for name, mw in milliwatts.items():
                self.assertEqual(holes([one], name), [])
                self.assertAlmostEqual(one["energy_mj"][name], mw * one["span_ms"] / 1000, delta=1)


class Stub(Chips, unittest.TestCase):
    CHIPS = {"0x44": "ina219", "0x45": "ina226", "0x46": "ina230", "0x47": "ina231", "0x48": "ina238"}

    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["i2c-dev", f"i2c-stub chip_addr={','.join(cls.CHIPS)}", "ina2xx", "ina238"])
        cls.addClassCleanup(cls.guest.close)
        cls.bus = cls.guest.bus("SMBus stub")
        for address, name in cls.CHIPS.items():
            cls.guest.write(f"/sys/bus/i2c/devices/i2c-{cls.bus}/new_device", f"{name} {address}")

    def registers(self, address, words):
        self.guest.run(f"i2creg -f {self.bus} {address} {words}")

    def test_power_is_that_of_the_registers(self):
        for register in (0x03, 0x04d2, 0xffff):
            for address in list(self.CHIPS)[:4]:
                self.registers(address, f"0x03={register}")
            # 24 bits: of a block the stub takes the low byte of each word, which is the high one in the chip's order.
            power = register * 0x80 + 1
            self.registers("0x48", " ".join(f"{8 + i}={power >> (16 - 8 * i) << 8 & 0xff00}" for i in range(3)))
            self.measure({"ina219-44.1": ina219_mw(register, 10), "ina226-45.1": ina226_mw(register, 10),
                          "ina230-46.1": ina226_mw(register, 10), "ina231-47.1": ina226_mw(register, 10),
                          "ina238-48.1": ina238_mw(power, 10)})
        self.guest.proved("hwmon_power", "INA219, 226, 230, 231 (ina2xx) and INA238 (ina238): power by the data sheets' arithmetic")


@unittest.skipIf(ARCH != "arm64", "amd64 has no device tree")
class DeviceTree(Chips, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["rig_i2c", "ina2xx", "ina238"], dtsi="hwmon_power.dtsi")
        cls.addClassCleanup(cls.guest.close)

    def setUp(self):
        self.guest.write(f"{BUS}/poke", f"0x44 8 {0x0123ab} 3")
        self.guest.write(f"{BUS}/poke", f"0x45 3 {0x0321}")
        self.guest.write(f"{BUS}/poke", f"0x46 3 {0x0456}")
        self.milliwatts = {"VIN": ina238_mw(0x0123ab, 2), "CVB_ATX_12V": ina219_mw(0x0321, 2), "ina226-46.1": ina226_mw(0x0456, 5)}

    def test_labels_and_shunts_of_the_device_tree(self):
        self.assertEqual(self.guest.read("/sys/bus/i2c/drivers/ina238/*-0044/hwmon/hwmon*/label".replace("*", "?")), "VIN")
        self.measure(self.milliwatts)
        self.guest.proved("hwmon_power", "names by the device-level label (Thor's VIN), shunts of the device tree")

    def test_unbound_and_errors(self):
        guest = self.guest
        guest.run("rm -rf /var/lib/agent-spool /run/agent-hot")
        agent = guest.agent()
        wait_whole(agent, self.milliwatts)
        client = guest.run("basename /sys/bus/i2c/drivers/ina238/*-0044")
        guest.write("/sys/bus/i2c/drivers/ina238/unbind", client)
        time.sleep(5)
        guest.write("/sys/bus/i2c/drivers/ina238/bind", client)
        wait_whole(agent, self.milliwatts)
        guest.write(f"{BUS}/only", 0x46)
        guest.write(f"{BUS}/fail", 121)
        time.sleep(2)
        guest.write(f"{BUS}/fail", 0)
        wait_whole(agent, self.milliwatts)
        agent.wait_windows(agent.live()["seq"] + 3)
        self.assertEqual(agent.stop(), 0)
        windows = agent.dump()[1:]
        self.assertEqual(holes(windows, "CVB_ATX_12V"), [])
        for name, lost in (("VIN", 4500), ("ina226-46.1", 1500)):
            self.assertEqual(causes(windows, name), {"read_error"})
            self.assertGreaterEqual(lost_ms(windows, name), lost)
            self.assertAlmostEqual(power_mw(windows[-2], name), self.milliwatts[name], delta=self.milliwatts[name] / 100)
        guest.proved("hwmon_power", "a chip unbound for 5 s, errors of the bus: a hole there alone")


class Generic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["rig_hwmon"], extra_modules=["i2c-stub", "ina2xx"])
        cls.addClassCleanup(cls.guest.close)

    def put(self, name, value):
        self.guest.write(f"{RIG}/{name}", value)

    def test_powers_averages_energies(self):
        guest = self.guest
        self.put("power1", 1234567)
        self.put("power2", -2000000)
        self.put("energy3", 5000000)
        told = powers(guest)
        self.assertEqual(set(told), {"RIG_POWER", "rig.2", "rig.3"})
        self.assertAlmostEqual(told["RIG_POWER"], 1.234567)
        self.assertAlmostEqual(told["rig.2"], -2)
        agent = guest.agent()
        wait_whole(agent, told)
        self.put("energy3", 8000000)
        agent.wait_windows(agent.live()["seq"] + 4)
        self.assertEqual(agent.stop(), 0)
        windows = agent.dump()
        self.assertEqual(sum(one["energy_mj"]["rig.3"] or 0 for one in windows), 3000)
        for one in windows[1:3]:
            self.assertAlmostEqual(one["energy_mj"]["RIG_POWER"], 1234.567 * one["span_ms"] / 1000, delta=1)
            self.assertAlmostEqual(one["energy_mj"]["rig.2"], -2000 * one["span_ms"] / 1000, delta=1)
        guest.proved("hwmon_power", "powerN_input, powerN_average and energyN_input of any hwmon device")

    def test_unbound_and_bound_again_under_another_number(self):
        guest = self.guest
        guest.run("rm -rf /var/lib/agent-spool /run/agent-hot")
        self.put("power1", 1000000)
        agent = guest.agent()
        wait_whole(agent, ("RIG_POWER", "rig.2"))
        before = guest.run(f"basename {RIG}/hwmon/hwmon*")
        guest.write("/sys/bus/platform/drivers/rig-hwmon/unbind", "rig-hwmon.0")
        guest.modprobe("i2c-stub chip_addr=0x40")
        guest.modprobe("ina2xx")
        guest.write(f"/sys/bus/i2c/devices/i2c-{guest.bus('SMBus stub')}/new_device", "ina219 0x40")  # takes the number
        time.sleep(3)
        guest.write("/sys/bus/platform/drivers/rig-hwmon/bind", "rig-hwmon.0")
        self.put("power1", 3000000)
        self.assertNotEqual(guest.run(f"basename {RIG}/hwmon/hwmon*"), before)
        wait_whole(agent, ("RIG_POWER", "rig.2"))
        agent.wait_windows(agent.live()["seq"] + 4)
        self.assertEqual(agent.stop(), 0)
        windows = agent.dump()[1:]
        self.assertEqual(causes(windows, "RIG_POWER"), {"read_error"})
        self.assertGreaterEqual(lost_ms(windows, "RIG_POWER"), 2500)
        self.assertAlmostEqual(power_mw(windows[-2], "RIG_POWER"), 3000, delta=1)
        guest.proved("hwmon_power", "unbound and bound again under another hwmon number: found again")


if __name__ == "__main__":
    main()
