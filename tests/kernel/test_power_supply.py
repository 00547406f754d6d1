#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""power_supply against the kernel's power supply class: a battery, a charger and a USB port of its test_power driver."""
import json
import unittest

from guest import Guest, main

BATTERY = "/sys/class/power_supply/test_battery"
OUT_W, IN_W = 17.1, 22.8  # 11.4 V x 1.5 A, and x 2 A


class Battery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["test_power battery_voltage=11400000 battery_current=-1500000"])
        cls.addClassCleanup(cls.guest.close)

    def set(self, **parameters):
        for name, value in parameters.items():
            self.guest.write(f"/sys/module/test_power/parameters/{name}", value)

    def tearDown(self):
        if self.guest.try_run(f"test -e {BATTERY}")[0] == 0:
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
            with self.subTest(status=status, current=current):
                self.set(battery_status=status, battery_current=current)
                self.assertEqual(self.powers(), {"test_battery_in": power_in, "test_battery_out": power_out})
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
        agent.wait_windows(13)
        self.set(battery_present="true")
        agent.wait_windows(18)
        self.assertEqual(agent.stop(), 0)
        windows = [(one["span_ms"], one["energy_mj"], one["covered_ms"]) for one in agent.dump()]
        whole = [energy for span, energy, covered in windows if not set(covered) & {"test_battery_in", "test_battery_out"}]
        for energy in whole:  # at any time at most what flows, in one direction or (in the window of a change) both
            self.assertLessEqual(energy["test_battery_out"], OUT_W * 1000 + 1)
            self.assertLessEqual(energy["test_battery_in"], IN_W * 1000 + 1)
        self.assertIn((0, 17100), [(one["test_battery_in"], one["test_battery_out"]) for one in whole])
        self.assertIn((22800, 0), [(one["test_battery_in"], one["test_battery_out"]) for one in whole])
        self.assertTrue(any(energy["test_battery_in"] is None for _, energy, _ in windows), "no window of the empty bay")
        self.assertIsNotNone(windows[-1][1]["test_battery_in"], "it came back")
        self.guest.proved("power_supply", "in and out are two channels, an empty bay is a hole of both and of no other")

    def test_a_battery_that_goes_away_comes_back(self):
        agent = self.guest.agent({"sampling.interval_ms": 200}, name="away")
        self.guest.run("rmmod test_power", seconds=60)  # it sleeps 10 s first
        agent.wait_windows(agent.live()["seq"] + 4)
        self.assertIsNone(agent.live()["power_w"]["test_battery_out"])
        self.guest.modprobe("test_power battery_voltage=11400000 battery_current=-1500000")

        def back():
            return agent.live()["power_w"]["test_battery_out"] is not None
        for _ in range(60):
            if back():
                break
            agent.wait_windows(agent.live()["seq"] + 2)
        self.assertAlmostEqual(agent.live()["power_w"]["test_battery_out"], OUT_W, places=2)
        self.assertEqual(agent.stop(), 0)
        self.guest.proved("power_supply", "a battery whose driver is unloaded is missing, and is found again under its name")


if __name__ == "__main__":
    main()
