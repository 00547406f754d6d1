# SPDX-License-Identifier: Apache-2.0
"""`./dev run` shows measurements whatever the configuration, and leaves nothing behind when it is ended."""
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from program import PROGRAM, eventually, run
from rig import Broker

SOURCES = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
ROW = re.compile(r"^\d\d:\d\d:\d\d +\d+\.\d{3} ")
MQTT = json.loads(run("version", "--json").stdout)["features"]["mqtt"]
TOOLS = all(map(shutil.which, ("jq", "mosquitto_sub"))) and (shutil.which("mosquitto") or os.path.exists("/usr/sbin/mosquitto"))


class Scene(unittest.TestCase):
    """A temporary folder by which everything that a run starts can be told."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="jp_dev_", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        os.chmod(self.dir, 0o711)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        os.mkdir(self.dir + "/tmp")
        os.chmod(self.dir + "/tmp", 0o711)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def dev(self, *args, **environment):
        """./dev in the background, in a session of its own; its lines come through self.lines."""
        process = subprocess.Popen(
            [SOURCES + "/dev", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
            env={**os.environ, "JOULEPOST": os.path.abspath(PROGRAM), "TMPDIR": self.dir + "/tmp", **environment})
        self.lines = queue.Queue()
        self.seen = []
        reader = threading.Thread(target=lambda: [self.lines.put(line) for line in process.stdout])
        reader.start()

        def end():
            if process.poll() is None:
                process.terminate()
            process.wait()
            reader.join()
            process.stdout.close()
        self.addCleanup(end)
        return process

    def row(self):
        """Waits for a line of measurements."""
        while not self.seen or not ROW.match(self.seen[-1]):
            try:
                self.seen.append(self.lines.get(timeout=20))
            except queue.Empty:
                self.fail("no measurements: " + "".join(self.seen))

    def left(self):
        """What a run of this scene has left: processes and files."""
        found = os.listdir(self.dir + "/tmp")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if f"TMPDIR={self.dir}/tmp".encode() in file.read().split(b"\0"):
                        with open(f"/proc/{pid}/cmdline", "rb") as line:
                            found.append(line.read().replace(b"\0", b" ").decode())
            except OSError:
                pass
        return found

    def ended(self, process):
        process.wait(timeout=30)
        self.assertEqual(self.left(), [])


@unittest.skipUnless(MQTT and TOOLS, "no MQTT, or no tools to show it")
class Run(Scene):
    DEMO = ("run", "--demo", "jetson-agx-orin")

    def end(self, process):
        process.terminate()
        self.ended(process)

    def test_interrupt_and_terminate_leave_nothing(self):
        for how in (lambda p: os.killpg(p.pid, signal.SIGINT), lambda p: p.send_signal(signal.SIGTERM)):
            process = self.dev(*self.DEMO)
            self.row()
            self.assertGreater(len(self.left()), 3)
            how(process)
            self.ended(process)

    def test_a_broker_that_is_still_starting_ends_too(self):
        self.write("mosquitto", f"#!/bin/sh\ntouch {self.dir}/started\nexec sleep 1000\n", 0o755)
        process = self.dev(*self.DEMO, PATH=f"{self.dir}:{os.environ['PATH']}")
        self.assertTrue(eventually(lambda: os.path.exists(self.dir + "/started")))
        os.killpg(process.pid, signal.SIGINT)
        self.ended(process)

    def test_a_file_without_a_broker_keeps_all_that_it_says(self):
        inner = self.write("inner.conf", 'location = { country = "FRA"; }')
        self.write("ca.pem", "x")
        self.write("pw", "x\n", 0o600)
        hot = self.dir + "/own"
        file = self.write("a.conf", f"""
            @include "{inner}"
            device = {{ name = "my-box"; }};
            paths = {{ hot = "{hot}"; }}; log = {{ level = "error"; }}; user = "{'root' if os.geteuid() == 0 else 'me'}";
            mqtt = {{ root = "x/y"; status_s = 5; username = "u"; password_file = "{self.dir}/pw"; ca_file = "{self.dir}/ca.pem"; }};
            # the end""")
        process = self.dev(*self.DEMO, "-c", file)
        self.row()
        self.assertIn("56.039 g/kWh", "".join(self.seen))
        self.assertTrue(os.path.isdir(hot))
        self.end(process)

    def test_an_empty_file_will_do(self):
        process = self.dev(*self.DEMO, "-c", self.write("a.conf", ""))
        self.row()
        self.end(process)

    def test_a_file_with_a_broker_uses_that_one(self):
        broker = Broker(users={"u": "s3cret"})
        self.addCleanup(broker.close)
        secret = self.write("pw", "s3cret\n", 0o600)
        process = self.dev(*self.DEMO, "-c", self.write("a.conf", f"""
            mqtt = {{ url = "{broker.url}"; live_s = 1; username = "u"; password_file = "{secret}"; }};"""))
        self.row()
        self.assertFalse([line for line in self.left() if "mosquitto.conf" in line])
        self.end(process)

    def test_a_broker_at_an_ipv6_address_is_reached(self):
        try:
            with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
                port = server.getsockname()[1]
        except OSError:
            self.skipTest("no IPv6 here")
        broker = Broker(options=f"listener {port} ::1\nallow_anonymous true\n")
        self.addCleanup(broker.close)
        process = self.dev(*self.DEMO, "-c", self.write("a.conf", f'mqtt = {{ url = "mqtt://[::1]:{port}"; live_s = 1; }};'))
        self.row()
        self.end(process)

    def test_a_mistake_in_the_file_is_told_with_its_line(self):
        file = self.write("a.conf", "\nmqtt = { nonsense = 1; };")
        process = self.dev(*self.DEMO, "-c", file)
        self.ended(process)
        self.assertEqual(process.returncode, 78)
        self.assertIn(f"{file}:2: unknown key mqtt.nonsense", self.lines.get(timeout=20))


class Checkout(Scene):
    def test_every_verb_that_runs_can_be_asked_for_help(self):
        for args in (("help",), ("run", "--help"), ("run", "-h")):
            process = self.dev(*args)
            self.ended(process)
            self.assertEqual(process.returncode, 0)
            self.assertIn("usage: ./dev", self.lines.get(timeout=20))

    def test_a_build_folder_of_another_checkout_is_dropped(self):
        """configure() alone, with a cmake that only says what it saw."""
        with open(SOURCES + "/dev", encoding="utf-8") as file:
            function = re.search(r"^configure\(\) \{\n.*?^\}\n", file.read(), re.MULTILINE | re.DOTALL).group()
        for home, kept in (("/nowhere/else", False), (self.dir, True)):
            os.makedirs(self.dir + "/build", exist_ok=True)
            self.write("build/CMakeCache.txt", f"CMAKE_HOME_DIRECTORY:INTERNAL={home}\n")
            subprocess.run(["bash", "-euc", f"cmake() {{ :; }}\n{function}\nconfigure build"], cwd=self.dir, check=True)
            self.assertEqual(os.path.exists(self.dir + "/build/CMakeCache.txt"), kept)


if __name__ == "__main__":
    unittest.main()
