#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""GPIO lines on the kernel's gpio-sim: markers, alerts and the LED, through libgpiod 1.6 and 2."""
import json
import re
import sys
import unittest

from guest import Guest, main

sys.path.insert(0, "../system")
from rig import eventually  # noqa: E402  (guest.py has put its folder there)

CONFIGFS = "/sys/kernel/config/gpio-sim"


class Chip:
    """A simulated chip; `lines` {number: name}, `hogs` {number: who holds it}."""

    def __init__(self, guest, name, label, count=8, lines=None, hogs=None):
        self.guest, self.path = guest, f"{CONFIGFS}/{name}"
        words = [f"mkdir -p {self.path}/bank0", f"echo {count} > {self.path}/bank0/num_lines", f"echo {label} > {self.path}/bank0/label"]
        for number, text in (lines or {}).items():
            words += [f"mkdir -p {self.path}/bank0/line{number}", f"echo {text} > {self.path}/bank0/line{number}/name"]
        for number, text in (hogs or {}).items():
            words += [f"mkdir -p {self.path}/bank0/line{number}/hog", f"echo {text} > {self.path}/bank0/line{number}/hog/name",
                      f"echo input > {self.path}/bank0/line{number}/hog/direction"]
        guest.run("; ".join(["set -e", *words]))
        self.live(True)

    def live(self, on):
        self.guest.write(f"{self.path}/live", int(on))
        if on:
            self.name = self.guest.read(f"{self.path}/bank0/chip_name")
            self.sysfs = f"/sys/devices/platform/{self.guest.read(f'{self.path}/dev_name')}/{self.name}"

    def remove(self):
        self.live(False)
        self.guest.run(f"find {self.path} -depth -type d -exec rmdir {{}} ';'")

    def file(self, line, name):
        return f"{self.sysfs}/sim_gpio{line}/{name}"

    def pull(self, line, count, gap_us=0):
        """Alternately up and down (count < 0: down first); [(ms before, ms after), ...] in BOOTTIME."""
        out = self.guest.run(f"pull {self.file(line, 'pull')} {count} {gap_us}")
        return [tuple(int(word) for word in row.split()) for row in out.splitlines()]

    def value(self, line):
        return self.guest.read(self.file(line, "value"))


class Gpio:
    """The scenarios, for one build of the agent."""
    PROGRAM = LIBRARY = COUNTS = None

    @classmethod
    def setUpClass(cls):
        cls.guest = Guest(modules=["gpio-sim"], program=cls.PROGRAM)
        cls.addClassCleanup(cls.guest.close)
        cls.guest.run(f"test -d {CONFIGFS} || mount -t configfs none /sys/kernel/config")  # a module, loaded with gpio-sim

    def chip(self, name, label, **more):
        chip = Chip(self.guest, name, label, **more)
        self.addCleanup(lambda: self.guest.try_run(f"echo 0 > {chip.path}/live; find {chip.path} -depth -type d -exec rmdir {{}} ';'"))
        return chip

    def agent(self, lines, **more):
        settings = {"gpio": lines, "sampling.window_ms": 500, "sampling.interval_ms": 100, "drivers": ["estimate_cpu", "estimate_ram"],
                    **more.pop("settings", {})}
        agent = self.guest.agent(settings, name=self.id().rpartition(".")[2], **more)
        self.addCleanup(lambda: agent.job.running() and agent.stop())
        return agent

    def events(self, agent, kind, spool=None):
        lines = self.guest.run(f"joulepost spool dump --json {spool or agent.spool} 2>/dev/null").splitlines()
        return [one for one in map(json.loads, lines) if one["type"] == "event" and one["kind"] == kind]

    def proved(self, what):
        self.guest.proved(f"gpio ({self.LIBRARY})", what)

    def test_edges_start_and_stop_a_task_with_the_kernels_time(self):
        chip = self.chip("marker", "bench")
        agent = self.agent([{"chip": "bench", "line": 3, "use": "marker", "task": "infer"}], settings={"sampling.window_ms": 2000})
        up, = chip.pull(3, 1)
        eventually(lambda: agent.live()["task"] == "infer", 30, "the task does not start")
        self.assertFalse(agent.ask("task stop infer")["ok"], "a line marks it")
        self.assertTrue(agent.ask("task start other")["ok"])
        agent.wait_windows(agent.live()["seq"] + 3)
        down, = chip.pull(3, -1)
        self.assertTrue(agent.ask("task stop other")["ok"])
        eventually(lambda: agent.live()["task"] is None, 30, "the task does not end")
        agent.wait_windows(agent.live()["seq"] + 3)
        self.assertEqual(agent.stop(), 0, agent.log())
        windows = {one["seq"]: one for one in agent.dump()}
        tasks = [one for one in self.events(agent, "task") if one["detail"]["name"] == "infer"]
        self.assertEqual([one["detail"]["action"] for one in tasks], ["start", "stop"])
        for one, (before, after) in zip(tasks, (up, down)):
            self.assertLessEqual(before, one["boot_ms"])
            self.assertLessEqual(one["boot_ms"], after, "stamped while the line was pulled: by the kernel, not when it was read")
            self.assertEqual((one["detail"]["by"], one["detail"]["missed"]), ("edge", 0))
            window = windows[one["detail"]["seq"]]
            self.assertLessEqual(window["boot_ms"], one["boot_ms"])
            self.assertLess(one["boot_ms"], window["boot_ms"] + window["span_ms"])
        self.proved("an edge starts and stops a task, with the kernel's time")

    def test_a_line_that_is_on_at_the_start(self):
        chip = self.chip("early", "early", lines={5: "PULSE"})
        self.guest.write(chip.file(5, "pull"), "pull-down")
        agent = self.agent([{"chip": chip.name, "line": "PULSE", "use": "marker", "task": "job", "active_low": True}])
        self.assertEqual(agent.live()["task"], "job")
        chip.pull(5, 1)
        eventually(lambda: agent.live()["task"] is None, 30, "the task does not end")
        agent.stop()
        self.assertEqual([(one["detail"]["action"], one["detail"]["by"]) for one in self.events(agent, "task")],
                         [("start", "level"), ("stop", "edge")])
        self.proved("active low, a line by its name, one that is on already")

    def test_an_alert_is_an_event_at_once(self):
        chip = self.chip("alert", "monitor")
        self.guest.write(chip.file(0, "pull"), "pull-up")
        agent = self.agent([{"chip": "monitor", "line": 0, "use": "alert", "active_low": True}],
                           settings={"sampling.window_ms": 8000, "sampling.interval_ms": 1000}, wait=False)
        agent.wait_windows(1)
        before, after = chip.pull(0, -1)[0]
        eventually(lambda: self.events(agent, "over_current", agent.hot), 30, "no event")
        event, = self.events(agent, "over_current", agent.hot)
        self.assertLessEqual(agent.live()["boot_ms"], event["boot_ms"], "told before the end of its window")
        self.assertTrue(before <= event["boot_ms"] <= after, (before, event, after))
        self.assertEqual(event["detail"], {"line": "monitor 0", "state": "on"})
        chip.pull(0, 5)  # up, down, up, down, up: two more pulses
        eventually(lambda: len(self.events(agent, "over_current", agent.hot)) == 2, 60, "no end")
        self.assertEqual(self.events(agent, "over_current", agent.hot)[1]["detail"], {"line": "monitor 0", "state": "off", "pulses": 3})
        agent.stop()
        self.proved("an alert line, active low, raises an event before its window ends")

    def test_the_led_shows_the_state(self):
        chip = self.chip("led", "panel")
        self.guest.run("mkdir -p /run/small && mount -t tmpfs -o size=256k tmpfs /run/small")
        agent = self.agent([{"chip": "panel", "line": 7, "use": "led"}], verb="meter",
                           settings={"paths.hot": "/run/small/hot", "sampling.window_ms": 200, "sampling.interval_ms": 100})
        eventually(lambda: chip.value(7) == "1", 30, "the LED stays off")
        self.guest.try_run("cat /dev/zero > /run/small/ballast")
        eventually(lambda: chip.value(7) == "0", 60, "nothing can be written, and the LED is on")
        self.guest.run("rm /run/small/ballast")
        eventually(lambda: chip.value(7) == "1", 60, "it can be written again, and the LED is off")
        self.assertEqual(agent.stop(), 0, agent.log())
        self.assertEqual(chip.value(7), "0")
        self.proved("an LED is on while all is well, off when the hot spool is full and at the end")

    def each_marks(self, agent, chips):
        for task, chip in chips.items():
            chip.pull(2, 1)
            eventually(lambda t=task: agent.live()["task"] == t, 30, f"{task} does not start")
            chip.pull(2, -1)
            eventually(lambda: agent.live()["task"] is None, 30, f"{task} does not end")

    def test_chips_that_are_renumbered(self):
        lines = [{"chip": "left", "line": 2, "use": "marker", "task": "left"}, {"chip": "right", "line": "GO", "use": "marker", "task": "right"}]
        left, right = self.chip("one", "left"), self.chip("two", "right", lines={2: "GO"})
        before = left.name, right.name
        agent = self.agent(lines)
        self.each_marks(agent, {"left": left, "right": right})
        agent.stop()
        left.live(False)
        right.live(False)
        agent.start()  # a boot in which they come late, and in the other order
        self.assertRegex(agent.log(), r"no such GPIO chip .*chip left, line 2")
        right.live(True)
        left.live(True)
        self.assertEqual((right.name, left.name), before)
        eventually(lambda: len(re.findall("it is here now", agent.log())) == 2, 60, lambda: f"not found: {agent.log()}")
        self.each_marks(agent, {"left": left, "right": right})
        agent.stop()
        self.proved("chips found by label and lines by name after a renumbering; chips that come late")

    def storm(self, count, gap_us):
        """Pairs that are events, and pairs that are counted."""
        chip = self.chip("storm", "storm")
        agent = self.agent([{"chip": "storm", "line": 1, "use": "marker", "task": "burst"}])
        chip.pull(1, count, gap_us)
        eventually(lambda: agent.live()["task"] is None, 60, "the line is off")  # a last edge that was dropped is found by the level
        agent.wait_windows(agent.live()["seq"] + 4)
        self.assertEqual(agent.stop(), 0, agent.log())
        tasks = [one["detail"] for one in self.events(agent, "task")]
        self.assertEqual([one["action"] for one in tasks], ["start", "stop"] * (len(tasks) // 2))
        windows = agent.dump()
        self.assertEqual([one["seq"] for one in windows], list(range(len(windows))))
        self.assertFalse([one for one in windows if one.get("cause")], "sampling went on")
        return len(tasks) // 2, sum(one["missed"] for one in tasks)

    def test_400_edges_in_a_row(self):
        self.assertEqual(self.storm(400, 200), (200, 0))
        self.proved("400 edges in a row: 200 starts and 200 stops, no window touched")

    def test_400_edges_back_to_back(self):
        told, missed = self.storm(400, 0)
        if self.COUNTS:
            self.assertEqual((told, missed), (200, 0))
        else:  # the kernel keeps 16 edges for libgpiod 1.6 and does not tell how many it dropped
            self.assertGreaterEqual(told, 8)
            self.assertLessEqual(told + missed, 200)
        self.proved(f"400 edges back to back on one busy processor: {told} of 200 pairs are events, no window touched")

    def test_what_cannot_be_used_is_told_and_all_else_goes_on(self):
        chip = self.chip("full", "full", count=4, hogs={0: "mains-switch"})
        bad = [{"chip": "full", "line": 0, "use": "marker", "task": "held"}, {"chip": "full", "line": 4, "use": "alert"},
               {"chip": "full", "line": "NONE", "use": "alert"}, {"chip": "absent", "line": 0, "use": "led"}]
        texts = [r"the GPIO line is in use by mains-switch \(gpio, marker: chip full, line 0\): stop what",
                 r"this line lies beyond the end of the GPIO chip \(gpio, alert: chip full, line 4\): `gpioinfo",
                 r"the GPIO chip has no line of this name \(gpio, alert: chip full, line NONE\): `gpioinfo",
                 r"no such GPIO chip \(gpio, led: chip absent, line 0\): `gpiodetect"]
        agent = self.agent([*bad, {"chip": "full", "line": 1, "use": "marker", "task": "works"}])
        agent.wait_windows(14)  # two more looks: nothing is said twice
        for text in texts:
            self.assertEqual(len(re.findall(text, agent.log())), 1, agent.log())
        chip.pull(1, 1)
        eventually(lambda: agent.live()["task"] == "works", 30, "the good line does not work")
        problems = json.loads(self.guest.run(f"joulepost probe --json -c {agent.dir}.conf"))["problems"]
        told = [f"{one['what']} ({one['where']}): {one['remedy']}" for one in problems if one["where"].startswith("gpio")]
        self.assertEqual(len(told), 4, told)  # the line that the running agent itself holds is none
        for text, one in zip(texts, told):
            self.assertRegex(one, text)
        agent.stop()
        other = self.chip("twin", "full")
        job = self.guest.spawn(f"joulepost probe --json -c {agent.dir}.conf")
        job.wait()
        self.assertIn("several GPIO chips have this label", job.out())
        other.remove()
        self.proved("busy, missing, beyond the end, two of a label: one clear line each, and the agent goes on")

    def test_a_chip_that_goes_and_comes_back(self):
        # An output: of a chip that goes the kernel frees interrupts in use too, and oopses sooner or later (docs/drivers.md).
        loose, fixed = self.chip("loose", "loose"), self.chip("fixed", "fixed")
        agent = self.agent([{"chip": "loose", "line": 2, "use": "led"}, {"chip": "fixed", "line": 0, "use": "marker", "task": "job"}])
        eventually(lambda: loose.value(2) == "1", 30, "the LED stays off")
        loose.live(False)
        eventually(lambda: agent.log().count("no such GPIO chip") == 1, 60, lambda: f"not told: {agent.log()}")
        fixed.pull(0, 1)
        eventually(lambda: agent.live()["task"] == "job", 30, "the other chip's line does not work")
        loose.live(True)
        eventually(lambda: loose.value(2) == "1", 60, lambda: f"not found: {agent.log()}")
        self.assertEqual(agent.log().count("it is here now"), 1)
        fixed.pull(0, -1)
        self.assertEqual(agent.stop(), 0, agent.log())
        self.assertEqual([one["detail"]["action"] for one in self.events(agent, "task")], ["start", "stop"])
        windows = agent.dump()
        self.assertEqual([one["seq"] for one in windows], list(range(len(windows))))
        self.proved("a chip that is removed while in use: told, the agent goes on, found again")

    def test_a_user_who_may_not_open_the_chip(self):
        self.chip("locked", "locked")
        agent = self.agent([{"chip": "locked", "line": 0, "use": "marker", "task": "job"}], verb="meter", user="u")
        agent.wait_windows(3)
        self.assertRegex(agent.log(), r"permission denied for the GPIO chip \(gpio, marker: chip locked, line 0\)")
        agent.stop()
        self.proved("no permission: told, and the agent measures")


class Gpiod1(Gpio, unittest.TestCase):
    PROGRAM, LIBRARY, COUNTS = "agent", "libgpiod 1.6", False


class Gpiod2(Gpio, unittest.TestCase):
    PROGRAM, LIBRARY, COUNTS = "agent-gpiod2", "libgpiod 2.2", True


if __name__ == "__main__":
    main()
