#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""INA3221 read directly, on Debian's i2c-stub: found and read where no kernel driver holds it, left alone where one does."""
import json
import re
import unittest

from guest import Guest, eventually, main

TRACE = "/sys/kernel/tracing"
RESET = ("0x00=0x7127 0x01=0x0640 0x02=0x12c0 0x03=0x0320 0x04=0x1388 0x05=0xff38 0x06=0x4e20 0x0f=0x0001 "
         "0xfe=0x5449 0xff=0x3220")
# 8, 4 and -1 mV over the shunts of BOARD, at 4.8, 5 and 20 V.
POWERS = {"MAIN": 4.8 * 0.8, "PART": 5.0 * 0.8, "BACK": -20.0 * 0.1}
BOARD = """name = "A carrier of one's own";
match = ( "none,such" );
sensors = ( { chip = "ina3221"; address = 0x40; bus_node = "SMBus stub driver"; scope = "board"; channels = (
  { channel = 1; label = "MAIN"; shunt_uohm = 10000; },
  { channel = 2; label = "PART"; part_of = "MAIN"; shunt_uohm = 5000; },
  { channel = 3; label = "BACK"; shunt_uohm = 10000; } ); } );
totals = { board = ( "MAIN" ); };
"""
QUICK = {"sampling.interval_ms": 50, "sampling.window_ms": 250}
MINE = {**QUICK, "board.dir": "/tmp/boards", "board.name": "mine"}


class Direct(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["i2c-dev", "i2c-stub chip_addr=0x40,0x41"], extra_modules=["ina3221"])
        cls.addClassCleanup(cls.guest.close)
        cls.bus = cls.guest.bus("SMBus stub")
        cls.guest.run("mkdir -p /tmp/boards")
        cls.guest.put("/tmp/boards/mine.conf", BOARD)
        cls.count = 0

    def setUp(self):
        self.client = f"/sys/bus/i2c/devices/{self.bus}-0040"
        self.guest.try_run(f"echo 0x40 > /sys/bus/i2c/devices/i2c-{self.bus}/delete_device")
        self.guest.try_run("rmmod ina3221")
        self.chip(RESET)
        self.chip(RESET, 0x41)

    def chip(self, words, address=0x40):
        return self.guest.run(f"i2creg -f {self.bus} {address:#x} {words}")

    def config(self):
        return int(self.chip("0x00"), 16)

    def add_client(self):
        self.guest.write(f"/sys/bus/i2c/devices/i2c-{self.bus}/new_device", "ina3221 0x40")

    def bind(self):
        self.guest.modprobe("ina3221")
        self.add_client()
        self.chip("0x0f=0x0001")

    def agent(self, settings, **more):
        type(self).count += 1
        agent = self.guest.agent(settings, name=f"agent{self.count}", **more)
        self.addCleanup(lambda: self.guest.try_run(f"kill -KILL {agent.job.pid}"))
        return agent

    def probe(self, settings, user=None):
        text = "\n".join(f"{key} = {value};" for key, value in settings.items())
        self.guest.put("/tmp/probe.conf", text)
        job = self.guest.spawn("joulepost probe --json -c /tmp/probe.conf", user)
        job.wait()
        return json.loads(job.out())

    def on_the_bus(self, action):
        """What goes over SMBus meanwhile: ["R 1", "W 0", ...]."""
        self.guest.run(f"cd {TRACE}; echo > trace; echo 4096 > buffer_size_kb; echo 1 > events/smbus/smbus_read/enable; "
                       "echo 1 > events/smbus/smbus_write/enable; echo 1 > tracing_on")
        action()
        self.guest.run(f"echo 0 > {TRACE}/tracing_on")
        out = self.guest.read(f"{TRACE}/trace")
        return [kind[0].upper() + " " + reg for kind, reg in re.findall(r"smbus_(read|write): .* c=([0-9a-f]+)", out)]

    @staticmethod
    def told(probe, words):
        return [one for one in probe["problems"] if words in one["what"]]

    def test_found_and_read_without_a_kernel_driver(self):
        probe = self.probe({"board": '{ dir = "/tmp/boards"; name = "mine"; }'})
        self.assertIn("ina3221_i2c", probe["drivers"])
        self.assertEqual({one["name"]: one["power_w"] for one in probe["channels"] if one["method"] == "measured"}, POWERS)
        self.assertEqual(self.told(probe, "INA3221"), [])
        agent = self.agent({**MINE, "sampling.columns": ["mv", "ma"]})
        agent.wait_windows(6)
        self.assertEqual(agent.stop(), 0, agent.log())
        for one in agent.dump()[1:6]:
            for name, power in POWERS.items():
                self.assertAlmostEqual(one["energy_mj"][name], power * one["span_ms"], delta=1, msg=one)
            self.assertEqual((one["mv"]["BACK"], one["ma"]["BACK"]), (20000, -100))
            self.assertEqual(one["energy_mj"]["total"], one["energy_mj"]["MAIN"])
        self.guest.proved("ina3221_i2c", "read without a kernel driver: byte order, sign, shunts of a board file")

    def test_one_burst_a_cycle_and_no_write(self):
        agent = self.agent(MINE)
        seen = self.on_the_bus(lambda: agent.wait_windows(agent.live()["seq"] + 12))
        agent.stop()
        text = " ".join(one[2:] for one in seen)
        text = text[text.index("1"):text.rindex("6") + 1]
        self.assertRegex(text, r"^((0 )?1 2 3 4 5 6 ?)+$")
        bursts = text.count("1 2 3 4 5 6")
        self.assertGreater(bursts, 20)
        self.assertLessEqual(bursts, 12 * 250 / 50 * 2)
        self.assertEqual([one for one in seen if one[0] == "W"], [])
        self.guest.proved("ina3221_i2c", "one burst of six words a chip and cycle, nothing written, 0x0f never read")

    def test_what_nobody_names_is_not_touched(self):
        self.assertEqual(self.on_the_bus(lambda: self.probe({})), [])

    def test_another_chip_is_refused(self):
        self.chip("0xff=0x2260")
        probe = self.probe({"board": '{ dir = "/tmp/boards"; name = "mine"; }'})
        self.assertNotIn("ina3221_i2c", probe["drivers"])
        problem, = self.told(probe, "is no INA3221")
        self.assertIn("manufacturer 0x5449, die 0x2260", problem["what"])
        self.assertTrue(problem["where"] and problem["remedy"])
        self.chip("0xff=0x3220 0xfe=0x4954")  # the right one, the wrong way round
        self.assertEqual(len(self.told(self.probe({"board": '{ dir = "/tmp/boards"; name = "mine"; }'}), "0x4954")), 1)
        self.guest.proved("ina3221_i2c", "a chip with another identity is refused")

    def test_a_client_without_a_driver_and_without_a_shunt(self):
        self.add_client()
        probe = self.probe({})
        self.assertEqual({one["name"]: one["power_w"] for one in probe["channels"] if one["method"] == "measured"},
                         {f"ina3221-40.{n}": None for n in (1, 2, 3)})
        self.assertEqual(len(self.told(probe, "no power: neither a board file")), 1)
        self.assertEqual(self.told(probe, "nobody reads it"), [])

    def test_without_permission_it_says_what_to_do(self):
        self.guest.run(f"chmod 600 /dev/i2c-{self.bus}")
        problem, = self.told(self.probe({"board": '{ dir = "/tmp/boards"; name = "mine"; }'}, user="u"), "Permission denied")
        self.assertIn("group i2c", problem["remedy"])

    def test_off_and_asleep_is_missing_and_never_zero(self):
        self.chip("0x00=0x6127")
        agent = self.agent(MINE)
        agent.wait_windows(3)
        self.chip("0x00=0x6120")
        agent.wait_windows(16, 90)
        self.chip("0x00=0x6127")
        seq = agent.live()["seq"]
        agent.wait_windows(seq + 30, 90)
        agent.stop()
        values = [one["energy_mj"]["MAIN"] for one in agent.dump()]
        self.assertNotIn("BACK", agent.dump()[0]["energy_mj"])
        self.assertIn(None, values)
        self.assertNotIn(0, values)
        self.assertIsNotNone(values[-2])
        self.guest.proved("ina3221_i2c", "a channel that is off is absent, a chip that sleeps is missing")

    # A kernel driver -----------------------------------------------------------------------------
    def test_a_kernel_driver_goes_first(self):
        self.bind()
        probe = self.probe({"board": '{ dir = "/tmp/boards"; name = "mine"; }'})
        self.assertIn("ina3221_hwmon", probe["drivers"])
        self.assertNotIn("ina3221_i2c", probe["drivers"])
        self.assertEqual([one["name"] for one in probe["channels"] if one["method"] == "measured"], list(POWERS))
        both = self.probe({"board": '{ dir = "/tmp/boards"; name = "mine"; }', "drivers": '( "ina3221_i2c", "ina3221_hwmon" )'})
        problem, = self.told(both, "EBUSY")
        self.assertIn("the kernel driver ina3221 has it", problem["what"])
        self.assertEqual([one["name"] for one in both["channels"]], list(POWERS))
        self.assertEqual(both["drivers"], ["ina3221_hwmon"])
        alone = self.probe({"board": '{ dir = "/tmp/boards"; name = "mine"; }', "drivers": '( "ina3221_i2c" )'})
        self.assertIn("add ina3221_hwmon", self.told(alone, "EBUSY")[0]["remedy"])
        self.guest.proved("ina3221_i2c", "a kernel driver holds the chip: EBUSY is told, hwmon reads it, nothing is forced")

    def test_a_kernel_driver_that_comes_later_is_let_be(self):
        agent = self.agent({**MINE, "drivers": ["ina3221_i2c"]})  # else it is soon read through that driver
        agent.wait_windows(3)
        self.bind()
        eventually(lambda: "busy" in agent.log(), 60, agent.log)
        seen = self.on_the_bus(lambda: agent.wait_windows(agent.live()["seq"] + 8, 90))
        agent.stop()
        self.assertEqual(seen, [])
        self.guest.proved("ina3221_i2c", "a kernel driver that is bound while the agent runs gets the chip")

    # hw_average ----------------------------------------------------------------------------------
    def test_averaging_is_set_and_put_back_at_the_end(self):
        agent = self.agent({**MINE, "sampling.hw_average": True})
        self.assertEqual(self.config(), 0x7127 | 2 << 9)  # 16 times 6.6 ms cover 50 ms
        self.assertEqual(self.guest.read(f"{agent.hot}/averaging"), f"{self.bus}-0040 1 16")
        self.assertEqual(agent.stop(), 0, agent.log())
        self.assertEqual(self.config(), 0x7127)
        self.assertNotEqual(self.guest.try_run(f"test -e {agent.hot}/averaging")[0], 0)

    def test_averaging_is_put_back_after_a_kill(self):
        self.chip("0x00=0x7327")
        agent = self.agent({**MINE, "sampling.hw_average": True}, verb="meter")
        agent.kill("KILL")
        agent.job.wait()
        self.assertEqual(self.config(), 0x7527)
        self.guest.run(f"sed -i 's/hw_average = true/hw_average = false/' {agent.dir}.conf")
        agent.start()
        self.assertEqual(self.config(), 0x7327)
        agent.stop()
        self.guest.proved("ina3221_i2c", "hw_average set, and put back at the end, after SIGTERM and after SIGKILL")

    def test_a_killed_half_keeps_the_old_value(self):
        agent = self.agent({**MINE, "sampling.hw_average": True, "user": "nobody"})
        self.guest.run("kill -KILL $(pidof jp-meter)")
        eventually(lambda: "again in" in agent.log() and agent.log().count("averages 16") == 2, 60, agent.log)
        agent.wait_windows(3, 90)
        self.assertEqual(self.config(), 0x7527)
        self.assertEqual(self.guest.read(f"{agent.hot}/averaging"), f"{self.bus}-0040 1 16")
        agent.stop()
        self.assertEqual(self.config(), 0x7127)

    def test_averaging_through_the_kernels_driver(self):
        self.bind()
        samples = self.guest.run(f"echo {self.client}/hwmon/hwmon*/samples")
        agent = self.agent({**MINE, "sampling.hw_average": True, "user": "nobody"})
        self.assertEqual(self.guest.read(samples), "16", agent.log())
        self.assertEqual(agent.stop(), 0, agent.log())
        self.assertEqual(self.guest.read(samples), "1")
        agent = self.agent({**MINE, "sampling.hw_average": True}, verb="meter", user="u")
        agent.wait_windows(3)
        self.assertEqual(self.guest.read(samples), "1")
        self.assertEqual(agent.log().count("cannot be set: Permission denied"), 1, agent.log())
        agent.stop()
        agent = self.agent({**MINE, "sampling.hw_average": True}, verb="meter")
        agent.kill("KILL")
        agent.job.wait()
        self.assertEqual(self.guest.read(samples), "16")
        self.guest.run(f"sed -i 's/hw_average = true/hw_average = false/' {agent.dir}.conf")
        agent.start()
        self.assertEqual(self.guest.read(samples), "1")
        agent.stop()
        self.guest.proved("ina3221_hwmon", "hw_average set and put back; without permission it is said once")


if __name__ == "__main__":
    main()
