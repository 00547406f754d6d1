#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The rig itself: a guest boots, runs what it is told, and what fails in it fails here."""
import unittest

from guest import ARCH, Guest, main


class Rig(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["i2c-dev", "i2c-stub chip_addr=0x40"], extra_modules=["ina3221"])
        cls.addClassCleanup(cls.guest.close)

    def test_commands(self):
        guest = self.guest
        self.assertEqual(guest.run("echo one; echo two >&2"), "one\ntwo")
        self.assertEqual(guest.try_run("exit 3"), (3, ""))
        self.assertEqual(len(guest.run("head -c 300000 /dev/zero | tr '\\0' x")), 300000)
        with self.assertRaisesRegex(AssertionError, "No such file"):
            guest.read("/nonexistent")
        with self.assertRaisesRegex(AssertionError, "can't open|can't create|Permission|nonexistent"):
            guest.write("/proc/nonexistent/file", "1")
        guest.put("/tmp/text", "a 'b' $c\nd")
        self.assertEqual(guest.read("/tmp/text"), "a 'b' $c\nd")

    def test_jobs(self):
        job = self.guest.spawn("sh -c 'echo begun; sleep 30'")
        self.assertTrue(job.running())
        job.kill("TERM")
        self.assertEqual(job.wait(), 143)
        self.assertRegex(job.out(), "^begun")
        self.assertEqual(self.guest.spawn("id -u", user="u").wait(), 0)

    def test_the_kernel_is_debians(self):
        machine = {"arm64": "aarch64", "amd64": "x86_64"}[ARCH]
        self.assertRegex(self.guest.run("uname -rm"), rf"^6\.1\.0-\d+-{ARCH} {machine}$")
        self.assertIn("joulepost", self.guest.run("joulepost version"))

    def test_an_agent_measures_what_the_chip_says(self):
        guest = self.guest
        bus = guest.bus("SMBus stub")
        guest.run(f"i2creg {bus} 0x40 0x00=0x7127 0x01=0x0640 0x02=0x12c0 0xfe=0x5449 0xff=0x3220")
        self.assertEqual(guest.run(f"i2creg {bus} 0x40 0xfe"), "0x5449")
        guest.modprobe("ina3221")
        guest.write(f"/sys/bus/i2c/devices/i2c-{bus}/new_device", "ina3221 0x40")
        self.assertNotEqual(guest.try_run(f"i2creg {bus} 0x40 0xfe")[0], 0, "the kernel's driver holds it")
        guest.run(f"i2creg -f {bus} 0x40 0x0f=0x0001")  # the conversion is ready
        agent = guest.agent({"sampling.window_ms": 200, "sampling.interval_ms": 50})
        agent.wait_windows(5)
        self.assertEqual(agent.stop(), 0, agent.log())
        windows = agent.dump()
        self.assertGreaterEqual(len(windows), 5)
        for one in windows[1:5]:  # 8 mV over 10 mOhm at 4.8 V
            self.assertAlmostEqual(one["energy_mj"]["ina3221-40.1"], 3840 * one["span_ms"] / 1000, delta=1)
        guest.proved("rig", "boots, runs commands, and an agent in it measures a chip's registers")


if __name__ == "__main__":
    main()
