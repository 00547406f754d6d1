#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Chips whose kernel driver is loaded after the agent's start: their rails come without anybody's doing, and the other
channels lose nothing by it."""
import unittest

from guest import Guest, main
from rig import eventually

SETTINGS = {"sampling.interval_ms": 250, "sampling.window_ms": 500, "sampling.block_windows": 4}
INA226, FIRST, SECOND = "0x44", "0x40", "0x41"
RAILS = {FIRST: {f"ina3221-40.{n}" for n in (1, 2, 3)}, SECOND: {f"ina3221-41.{n}" for n in (1, 2, 3)}}
POWER_MW = {"ina3221-40.1": 3840, "ina3221-41.1": 3840}  # 8 mV over 10 mOhm at 4.8 V


class Late(unittest.TestCase):
    def setUp(self):
        self.guest = Guest(modules=["i2c-dev", f"i2c-stub chip_addr={FIRST},{SECOND},{INA226}"], extra_modules=["ina3221", "ina2xx"])
        self.addCleanup(self.guest.close)
        self.bus = self.guest.bus("SMBus stub")
        for chip in (FIRST, SECOND):
            self.guest.run(f"i2creg {self.bus} {chip} 0x00=0x7127 0x01=0x0640 0x02=0x12c0 0x03=0x0320 0x04=0x1388 0x05=0xff38 "
                           f"0x06=0x4e20 0x0f=0x0001 0xfe=0x5449 0xff=0x3220")

    def declare(self, kind, address):
        self.guest.write(f"/sys/bus/i2c/devices/i2c-{self.bus}/new_device", f"{kind} {address}")

    def chip_of_the_start(self):
        """An INA226 that measures from the start; its channel's name."""
        self.guest.modprobe("ina2xx")
        self.guest.run(f"i2creg {self.bus} {INA226} 0x02=0x0fa0 0x03=0x0064 0x04=0x0400")
        self.declare("ina226", INA226)
        self.guest.run(f"i2creg -f {self.bus} {INA226} 0x03=0x0064")
        return "ina226-44.1"

    def until_rails(self, agent, rails):
        def there():
            try:
                return rails <= {one["name"] for one in agent.ask("meta")["channels"]}
            except AssertionError:  # meter is just beginning anew
                return False
        eventually(there, 90, lambda: f"no {rails}: {agent.log()}")
        agent.wait_windows(1)

    def check(self, agent, runs, kept=()):
        """Runs with these channels each, every window of each once; the kept channels without a hole."""
        found = {}
        for one in agent.dump():
            found.setdefault(one["run"], []).append(one)
        self.assertEqual([set(windows[0]["energy_mj"]) - {"total"} for windows in found.values()], runs)
        self.assertEqual([one for one in agent.dump(None) if one["type"] == "gap"], [])
        for windows in found.values():
            self.assertEqual([one["seq"] for one in windows], list(range(len(windows))))
            for one in windows:
                for name in kept:
                    self.assertNotIn(name, one.get("covered_ms", {}), one)
        return list(found.values())

    def test_a_driver_loaded_after_the_start(self):
        # Until then the chips are read over I2C, where nothing says which shunts they have.
        here, rails = self.chip_of_the_start(), RAILS[FIRST] | RAILS[SECOND]
        for chip in (FIRST, SECOND):
            self.declare("ina3221", chip)
        agent = self.guest.agent(SETTINGS)
        agent.wait_windows(20)  # 10 s
        before = agent.live()["run"]
        self.guest.modprobe("ina3221")
        eventually(lambda: self.run_of(agent) not in (None, before), 90, agent.log)
        agent.wait_windows(8)
        self.assertEqual(agent.stop(), 0, agent.log())
        self.assertIn("more sensors are here", agent.log())
        self.assertNotIn("ended with", agent.log())
        first, second = self.check(agent, [{here} | rails] * 2, [here])
        for one in first:
            self.assertEqual({one["energy_mj"][name] for name in rails}, {None})
        for one in second[1:-1]:
            for name, power in POWER_MW.items():
                self.assertAlmostEqual(one["energy_mj"][name], power * one["span_ms"] / 1000, delta=1)
        self.guest.proved("ina3221_hwmon", "driver loaded long after the agent's start: a new run reads through it, the others lose "
                          "no window")

    @staticmethod
    def run_of(agent):
        try:
            return agent.live()["run"]
        except AssertionError:  # meter is just beginning anew
            return None

    def test_models_give_way_to_rails_that_come(self):
        agent = self.guest.agent({**SETTINGS, "user": "joulepost-meter"})  # which may not open what it could as root
        agent.wait_windows(4)
        self.guest.modprobe("ina3221")
        self.declare("ina3221", FIRST)
        self.until_rails(agent, RAILS[FIRST])
        self.declare("ina3221", SECOND)
        self.until_rails(agent, RAILS[FIRST] | RAILS[SECOND])
        # A chip that is unbound and bound again is no new one, and begins no run.
        for verb in ("unbind", "bind"):
            self.guest.write(f"/sys/bus/i2c/drivers/ina3221/{verb}", f"{self.bus}-0040")
            agent.wait_windows(agent.live()["seq"] + 25)  # more than two looks
        self.assertEqual(agent.stop(), 0, agent.log())
        self.assertNotIn("ended with", agent.log())
        self.check(agent, [{"cpu", "ram"}, RAILS[FIRST], RAILS[FIRST] | RAILS[SECOND]], RAILS[SECOND])
        self.guest.proved("ina3221_hwmon", "chips that come one after the other under an agent that dropped root's rights")


if __name__ == "__main__":
    main()
