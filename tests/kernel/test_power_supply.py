#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""power_supply against the kernel's power supply class: a battery, a charger and a USB port of its test_power driver."""
import json
import unittest

from guest import Guest, eventually, main

BATTERY = "/sys/class/power_supply/test_battery"
MODULE = "test_power battery_voltage=11400000 battery_current=-1500000"
OUT_W, IN_W = 17.1, 22.8  # 11.4 V x 1.5 A, and x 2 A


class Battery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=[MODULE])
        cls.addClassCleanup(cls.guest.close)

    def set(self, **parameters):
        for name, value in parameters.items():
            self.guest.write(f"/sys/module/test_power/parameters/{name}", value)

    def tearDown(self):
        self.guest.modprobe(MODULE)  # where it is not loaded
        self.set(battery_status="discharging", battery_present="true", battery_current="-1500000")

    def powers(self):
        """{channel: W or None} of one look."""
        seen = json.loads(self.guest.run("joulepost probe --json"))
        return {one["name"]: one["power_w"] for one in seen["channels"] if one["name"].startswith("test_")}

    def test_the_class_shows_it_as_the_fixtures_do(self):
        self.assertEqual([self.guest.read(f"{BATTERY}/{name}") for name in
                          ("type", "status", "present", "voltage_now", "current_now")],
                         ["Battery", "Discharging", "1", "11400000", "-1500000"])
        self.assertEqual([self.guest.read(f"/sys/class/power_supply/{name}/type") for name in ("test_ac", "test_usb")],
                         ["Mains", "USB"])

    def test_the_status_tells_the_way_and_the_sign_only_where_it_does_not(self):
        for status, current, power_in, power_out in (
                ("discharging", -1500000, 0, OUT_W), ("discharging", 1500000, 0, OUT_W), ("charging", 2000000, IN_W, 0),
                ("charging", -2000000, IN_W, 0), ("full", 0, 0, 0), ("not-charging", 0, 0, 0),
                ("not-charging", -1500000, 0, OUT_W), ("full", 1500000, None, None)):
            self.set(battery_status=status, battery_current=current)
            self.assertEqual(self.powers(), {"test_battery_in": power_in, "test_battery_out": power_out}, (status, current))
        self.guest.proved("power_supply", "direction by status and sign, units; no charger and no USB port is a battery")

    def test_an_empty_bay_is_no_channel(self):
        self.set(battery_present="false")
        self.assertEqual(self.powers(), {})

    def test_energy_goes_to_the_channel_of_its_direction(self):
        agent = self.guest.agent({"sampling.interval_ms": 200})
        agent.wait_windows(4)
        self.set(battery_status="charging", battery_current=2000000)
        agent.wait_windows(9)
        self.set(battery_present="false")
        eventually(lambda: agent.live()["power_w"]["test_battery_in"] is None, 60, "the bay is empty and nothing says so")
        self.set(battery_present="true")
        eventually(lambda: agent.live()["power_w"]["test_battery_in"] == IN_W, 120, "it does not come back")
        self.assertEqual(agent.stop(), 0)
        windows = agent.dump()
        ways = [(one["energy_mj"]["test_battery_in"], one["energy_mj"]["test_battery_out"], one["span_ms"]) for one in windows
                if not one["covered_ms"]]
        for energy_in, energy_out, span in ways:  # never more than flows, and in the window of a change a part of both
            self.assertLessEqual(energy_in, IN_W * (span + 1) + 1)
            self.assertLessEqual(energy_out, OUT_W * (span + 1) + 1)
        self.assertIn((0, 17100, 1000), ways)
        self.assertIn((22800, 0, 1000), ways)
        holes = {name for one in windows for name in one["covered_ms"]}
        self.assertEqual(holes, {"test_battery_in", "test_battery_out"})
        self.guest.proved("power_supply", "in and out are two channels, an empty bay is a hole of both and of no other")

    def test_a_battery_that_goes_away_comes_back(self):
        agent = self.guest.agent({"sampling.interval_ms": 200}, name="away")

        def power():
            return agent.live()["power_w"]["test_battery_out"]
        self.guest.run("rmmod test_power")  # it sleeps 10 s first
        eventually(lambda: power() is None, 60, "it is still there")
        self.assertEqual(agent.live()["cause"]["test_battery_out"], "read_error")
        self.guest.modprobe(MODULE)
        eventually(lambda: power() == OUT_W, 120, "it does not come back")
        self.assertEqual(agent.stop(), 0)
        self.guest.proved("power_supply", "a battery whose driver is unloaded is missing, and is found again under its name")


if __name__ == "__main__":
    main()
