# SPDX-License-Identifier: Apache-2.0
"""Runs the program for the tests of its command line: once to its end, or in the background until stopped."""
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

PROGRAM = os.environ.get("JOULEPOST") or os.path.join(os.path.dirname(__file__), "../../build/joulepost")
PATIENCE_S = 20  # a test fails after this long without what it waits for; none waits this long in order


def run(*args, **more):
    """The program's end: returncode, stdout, stderr."""
    return subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60, check=False, **more)


def eventually(what):
    """what() once it is true, or what it was at last."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        value = what()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.02)


def status(pid):
    """The fields of /proc/PID/status, {} when there is no such process or it is dead and not yet buried."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {} if fields.get("State", "Z").startswith("Z") else fields


def children(pid):
    """{name: pid} of a process's living children."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
            pids = [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {told["Name"]: child for child, told in ((child, status(child)) for child in pids) if told}


class Scratch(unittest.TestCase):
    """A test with a folder that other users may pass, and programs that end with it."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="jp_cli_")
        os.chmod(self.dir, 0o755)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def write(self, name, text, mode=0o644):
        """A file in the folder; its path."""
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def config(self, text=""):
        """A configuration whose folders lie in the test's own; its path."""
        return self.write("joulepost.conf",
                          f'device = {{ name = "test"; }};\n'
                          f'paths = {{ hot = "{self.dir}/hot"; spool = "{self.dir}/spool"; }};\n{text}')

    def start(self, *args, **more):
        """The program in the background, stderr in the file `log`; ended with the test."""
        with open(os.path.join(self.dir, "log"), "a", encoding="utf-8") as log:
            process = subprocess.Popen([PROGRAM, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=log, **more)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        """The exit status after SIGTERM, if it has not ended before."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def log(self):
        """What the program said on stderr so far."""
        with open(os.path.join(self.dir, "log"), encoding="utf-8") as file:
            return file.read()
