#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`top`: the screen under a pty, text and JSON elsewhere, and agents that come, go, hang and refuse."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from program import PROGRAM, Scratch, eventually, run
from terminal import Terminal

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures"))
import make_tree  # noqa: E402

RAILS = {"VDD_GPU_SOC": 3.04, "VDD_CPU_CV": 1.14, "VIN_SYS_5V0": 3.472, "VDDQ_VDD2_1V8AO": 0.595, "total": 7.652}
CURRENT = "/sys/devices/platform/bus@0/c240000.i2c/i2c-1/1-0040/hwmon/hwmon10/curr1_input"
FAST = "sampling = { interval_ms = 50; window_ms = 200; };\nlocation = { country = \"FRA\"; };\n"


class Top(Scratch):
    def setUp(self):
        super().setUp()
        self.root = os.path.join(self.dir, "root")
        make_tree.make("agx-orin-jp6", self.root)
        self.file = self.config(FAST)

    def agent(self):
        """A running agent that has closed a window with powers."""
        process = self.start("agent", "-c", self.file, "--root", self.root)
        self.assertTrue(eventually(lambda: self.once().get("seq") and self.once()["link"]), self.log())
        return process

    def once(self):
        done = run("top", "--once", "--json", "-c", self.file)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def terminal(self, **more):
        terminal = Terminal([PROGRAM, "top", "-c", self.file], **more)
        self.addCleanup(terminal.close)
        return terminal

    def restored(self, terminal):
        self.assertEqual(terminal.modes, {"25", "7"})
        self.assertEqual(terminal.settings(), terminal.before)


class Elsewhere(Top):
    def test_text_and_json_of_one_look(self):
        self.agent()
        done = run("top", "--once", "-c", self.file)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertNotIn("\x1b", done.stdout)
        self.assertRegex(done.stdout, r"^NVIDIA Jetson AGX Orin\b.*  test +up 0:00:\d\d\n")
        self.assertRegex(done.stdout, r"\ntotal +7\.65\d +[\d.]+ J\nmodule, measured +[\d.]+ mg CO2e\n")
        for name in list(RAILS)[:3]:
            self.assertRegex(done.stdout, rf"\n\+ {name} [a-z ]+{RAILS[name]:.2f}\d ")
        self.assertRegex(done.stdout, r"\n    VDDQ_VDD2_1V8AO  ram +0\.59\d ")
        self.assertRegex(done.stdout, r"\nload .*gpu +\d+ %")
        self.assertIn("\nlink     none: mqtt.url is not set", done.stdout)
        told = self.once()
        for name, watts in RAILS.items():  # a window's energy is in whole millijoules
            self.assertAlmostEqual(told["power_w"][name], watts, delta=0.02)
        self.assertEqual(told["power_w"].keys(), told["energy_j"].keys())
        self.assertEqual(set(told), {"run", "seq", "boot_ms", "power_w", "energy_j", "cause", "gauges", "task", "device",
                                     "power_mode", "degraded", "emissions_g", "factor", "link", "status", "registers"})
        self.assertEqual((told["device"], told["task"], told["link"]["state"]), ("test", None, "none"))
        self.assertAlmostEqual(told["emissions_g"], told["energy_j"]["total"] * told["factor"]["g_per_kwh"] / 3.6e6, 6)
        self.assertIn("pending", told["status"])

    def stream(self, *flags):
        process = subprocess.Popen([PROGRAM, "top", *flags, "-c", self.file], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        self.addCleanup(process.stderr.close)
        return process

    def test_pipes_get_a_block_or_a_line_a_window_until_their_reader_leaves(self):
        self.agent()
        lines = self.stream("--json")
        seqs = [json.loads(lines.stdout.readline())["seq"] for _ in range(3)]
        self.assertEqual(sorted(set(seqs)), seqs)
        blocks = self.stream()
        text = ""
        while text.count("\n\n") < 2:
            text += blocks.stdout.readline()
        self.assertEqual(text.count("NVIDIA"), 2)
        self.assertNotIn("\x1b", text)
        ended = self.stream()
        ended.stdout.readline()
        ended.send_signal(signal.SIGTERM)
        for process in (lines, blocks, ended):
            process.stdout.close()
            self.assertEqual(process.wait(timeout=20), 0)
            self.assertEqual(process.stderr.read(), "")

    def test_pipe_hears_that_the_agent_went_and_came(self):
        agent = self.agent()
        lines = self.stream("--json")
        first = json.loads(lines.stdout.readline())
        self.assertEqual(self.end(agent), 0)
        self.assertIn("no agent runs with paths.hot", lines.stderr.readline())
        self.agent()
        self.assertEqual(lines.stderr.readline(), "joulepost top: the agent is back\n")
        line = json.loads(lines.stdout.readline())
        while line["run"] == first["run"]:
            line = json.loads(lines.stdout.readline())
        self.assertIn("total", line["power_w"])
        lines.stdout.close()

    def test_nobody_there_is_one_line(self):
        for flags in ((), ("--once",), ("--json",), ("--once", "--json")):
            done = run("top", *flags, "-c", self.file)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertEqual(done.stderr, f"joulepost top: no agent runs with paths.hot = {self.dir}/hot; start it, "
                                          "or name its file with -c\n")


class Screen(Top):
    def test_a_life_on_the_screen(self):
        agent = self.agent()
        terminal = self.terminal()
        terminal.wait_for("VDDQ_VDD2_1V8AO")
        self.assertEqual(terminal.modes, {"1049"})
        self.assertFalse(terminal.settings()[3] & (2 | 8))  # neither lines nor echo
        terminal.wait(lambda screen: re.search(r"\n total +7\.65\d  .*[\u2581-\u2588] +7\.65\d ", screen))
        self.assertRegex(terminal.screen(), r"\n \+ VDD_GPU_SOC +3\.040 ")
        make_tree.set_number(self.root, CURRENT, 320)  # twice as much
        terminal.wait(lambda screen: re.search(r"VDD_GPU_SOC +6\.080  .* 3\.040 .* 6\.080 ", screen))
        self.assertEqual(run("task", "start", "bench-7", "-c", self.file).returncode, 0)
        terminal.wait_for("task     bench-7")
        terminal.resize(60, 12)
        terminal.wait(lambda screen: "total" in screen and "min" not in screen)
        self.assertLessEqual(max(map(len, terminal.screen().split("\n"))), 60)
        self.assertIn("bench-7", terminal.screen())
        terminal.resize(150, 40)
        terminal.wait_for("gpu soc")
        terminal.type("x")
        self.assertEqual(self.end(agent), 0)
        terminal.wait(lambda screen: re.search(r"waiting for 0:00:\d\d: no agent runs", screen))
        self.assertRegex(terminal.screen(), r"VDD_GPU_SOC +gpu soc +- ")
        self.agent()
        terminal.wait(lambda screen: "waiting" not in screen and re.search(r"VDD_GPU_SOC +gpu soc +6\.080 ", screen))
        terminal.type("q")
        self.assertEqual(terminal.end(), 0)
        self.restored(terminal)

    def test_whatever_ends_it_leaves_the_terminal_as_it_was(self):
        self.agent()
        endings = {"Ctrl-C": lambda one: one.type("\x03"), "Ctrl-\\": lambda one: one.type("\x1c"),
                   "TERM": lambda one: os.kill(one.pid, signal.SIGTERM),
                   "HUP": lambda one: os.kill(one.pid, signal.SIGHUP)}
        terminals = {name: self.terminal() for name in endings}
        for name, terminal in terminals.items():
            terminal.wait_for("VDD_GPU_SOC")
            endings[name](terminal)
            self.assertEqual(terminal.end(), 0, name)
            self.restored(terminal)

    def test_stopped_it_gives_the_terminal_back_until_it_goes_on(self):
        self.agent()
        terminal = self.terminal()
        terminal.wait_for("VDD_GPU_SOC")
        terminal.type("\x1a")
        os.waitpid(terminal.pid, os.WUNTRACED)
        terminal.read(0.1)
        self.restored(terminal)
        terminal.resize(70, 20)
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.wait_for("VDD_GPU_SOC")
        self.assertEqual(terminal.modes, {"1049"})
        terminal.type("q")
        self.assertEqual(terminal.end(), 0)
        self.restored(terminal)

    def test_simple_terminals_and_locales(self):
        self.agent()
        dumb, plain, ascii_only = (self.terminal(environment=one) for one in (
            {"TERM": "dumb"}, {"NO_COLOR": "1"}, {"LC_ALL": "C"}))
        dumb.wait_for("VDD_GPU_SOC")
        os.kill(dumb.pid, signal.SIGTERM)
        self.assertEqual(dumb.end(), 0)
        self.assertNotIn(b"\x1b", dumb.bytes)
        for terminal in (plain, ascii_only):
            terminal.wait_for("VDD_GPU_SOC")
            terminal.type("q")
            self.assertEqual(terminal.end(), 0)
        self.assertNotRegex(plain.bytes, rb"\x1b\[[0-9;]*3[0-7]m")
        self.assertIn(b"\x1b[1m", plain.bytes)
        self.assertTrue(ascii_only.bytes.isascii())


class FakeAgent:
    """Answers on the control socket what it is told to, one reply a request; None: nothing at all."""

    def __init__(self, hot, answer):
        os.makedirs(hot)
        self.requests = []
        self.answer = answer
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(os.path.join(hot, "control"))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        if self.thread.is_alive():
            self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def serve(self):
        held = []
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                break
            held.append(client)
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()
        for client in held:
            client.close()

    def talk(self, client):
        while True:
            try:
                request = client.recv(256)
            except OSError:
                return
            if not request:
                return
            self.requests.append(request)
            reply = self.answer(request)
            if reply is not None:
                client.send(json.dumps(reply).encode())


class Odd(Scratch):
    def fake(self, answer):
        agent = FakeAgent(os.path.join(self.dir, "hot"), answer)
        self.addCleanup(agent.close)
        self.file = self.config()
        return agent

    def told(self):
        done = run("top", "--once", "-c", self.file)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr.count("\n"), 1)
        return done.stderr

    def test_an_agent_that_hangs(self):
        self.fake(lambda request: None)
        self.assertIn("hot/control does not answer; look at the agent's log", self.told())

    def test_an_agent_of_another_version(self):
        for reply in ({"ok": False, "error": "known requests: ..."}, {"ok": True}, []):
            with self.subTest(reply=reply):
                agent = self.fake(lambda request, reply=reply: reply)
                self.assertIn("of another version", self.told())
                agent.close()
                subprocess.run(["rm", "-r", os.path.join(self.dir, "hot")], check=True)

    def seldom(self):
        """An agent whose window is of ten minutes."""
        now_ms = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
        live = {"ok": True, "run": "ab", "seq": 1, "boot_ms": now_ms, "power_w": {"total": 1.5}, "energy_j": {}}
        meta = {"ok": True, "run": "ab", "window_ms": 600000, "interval_ms": 200, "channels": [], "total": {}}
        return self.fake(lambda request: meta if request == b"meta" else live)

    def test_a_reader_that_leaves_is_noticed_between_windows(self):
        self.seldom()
        process = subprocess.Popen([PROGRAM, "top", "-c", self.file], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(self.end, process)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=20), 0)

    def test_however_often_it_draws_it_asks_once_a_window(self):
        agent = self.seldom()
        terminal = Terminal([PROGRAM, "top", "-c", self.file])
        self.addCleanup(terminal.close)
        for columns in (90, 70, 50, 110):
            terminal.wait_for("1.500")
            terminal.resize(columns, 20)
        terminal.wait_for("1.500")
        terminal.type("q")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(agent.requests, [b"live", b"meta"])


if __name__ == "__main__":
    unittest.main()
