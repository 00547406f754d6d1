# SPDX-License-Identifier: Apache-2.0
"""A terminal for programs under test: a pty, and what of ECMA-48 they use, as text one can look at."""
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

PATIENCE_S = 20


class Terminal:
    """Runs a program under a pty of this size. `screen` is what a person would see now."""

    def __init__(self, command, columns=100, rows=30, environment=None):
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.x = self.y = 0
        self.modes = set()  # alternate screen 1049, cursor 25, wrap 7
        self.modes.update({"25", "7"})
        self.bytes = self.rest = b""
        self.status = None
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(ours)
            os.login_tty(theirs) if hasattr(os, "login_tty") else self.log_in(theirs)
            os.execvpe(command[0], command, {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(environment or {})})
        self.fd, self.theirs = ours, theirs  # held open: what is set on it outlives the program

    @staticmethod
    def log_in(fd):
        os.setsid()
        fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(fd, number)
        os.close(fd)

    # The program's side ------------------------------------------------------------------------
    def type(self, keys):
        os.write(self.fd, keys.encode())

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.x = self.y = 0
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def settings(self):
        return termios.tcgetattr(self.theirs)

    def wait(self, what, why=""):
        """what(screen) as soon as it is true."""
        end = time.monotonic() + PATIENCE_S
        while True:
            value = what(self.screen())
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(f"{why or 'it never came'}, there is:\n{self.screen()}")
            self.read(0.05)

    def wait_for(self, text):
        return self.wait(lambda screen: text in screen, f"no '{text}'")

    def end(self):
        """The exit status (minus the signal's number) once it has ended; all it wrote is read."""
        end = time.monotonic() + PATIENCE_S
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.read(0.02)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise AssertionError(f"it does not end:\n{self.screen()}")
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
        os.close(self.theirs)

    # The person's side -------------------------------------------------------------------------
    def screen(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def read(self, seconds):
        while select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return
            self.bytes += data
            self.feed(data)
            seconds = 0

    def feed(self, data):
        data = self.rest + data
        cut = re.search(rb"(\x1b(\[[?0-9;]*)?|[\xc0-\xff][\x80-\xbf]{0,2})$", data)  # may go on
        whole = data
        if cut:
            whole = data[:cut.start()]
            try:
                cut.group().decode()
                whole = data if cut.group()[0] != 0x1b else whole
            except UnicodeDecodeError:
                pass
        self.rest = data[len(whole):]
        for one in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|[\s\S]", whole.decode()):
            self.take(one)

    def take(self, one):
        if one == "\r":
            self.x = 0
        elif one == "\n":
            self.y += 1
            if self.y == self.rows:
                self.cells = self.cells[1:] + [[" "] * self.columns]
                self.y -= 1
        elif one.startswith("\x1b["):
            self.obey(one[2:-1], one[-1])
        elif one >= " ":
            if self.x == self.columns:
                if "7" not in self.modes:
                    self.x -= 1
                else:
                    self.take("\r")
                    self.take("\n")
            self.cells[self.y][self.x] = one
            self.x += 1
        else:
            raise AssertionError(f"a control character: {one!r}")

    def obey(self, argument, final):
        if final == "H" and not argument:
            self.x = self.y = 0
        elif final == "J":
            first = 0 if argument == "2" else self.y + 1
            if argument != "2":
                self.obey("", "K")
            for y in range(first, self.rows):
                self.cells[y] = [" "] * self.columns
        elif final == "K" and not argument:
            for x in range(min(self.x, self.columns - 1), self.columns):
                self.cells[self.y][x] = " "
        elif final in "hl" and argument.startswith("?"):
            (self.modes.add if final == "h" else self.modes.discard)(argument[1:])
        elif final != "m":
            raise AssertionError(f"an unknown escape: {argument}{final}")
