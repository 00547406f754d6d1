#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The service in a whole Debian under its own systemd, on kernel counters: boots, reboots, hangs and an upgrade, and every
joule of every run accounted for. Counters grow only when the test says so, so sums are exact."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from guest import HERE, Guest, initramfs, main, made, release
from rig import eventually

PACKAGING = os.path.join(HERE, "..", "..", "cross", "packaging")
MODULES = ("virtio_blk", "ext4", "crc32c_generic")
CONF = "sampling = { window_ms = 500; block_windows = 4; };\n"
HALVES = ("meter", "post")
COUNTER = "/sys/class/powercap/intel-rapl:0/energy_uj"
CAPABILITY = "[Service]\nCapabilityBoundingSet=CAP_DAC_READ_SEARCH\nAmbientCapabilities=CAP_DAC_READ_SEARCH\n"
IMPATIENT = "[Service]\nWatchdogSec=6\nTimeoutStopSec=3\n"


def payload(folder):
    """What the rig lays over the disk: its hand, the counters' module, and joulepost as it was unpacked to be installed."""
    modules = f"{folder}/lib/modules/{release()}"
    for path in ("usr/local/sbin", "etc/modules-load.d", "opt"):
        os.makedirs(f"{folder}/{path}")
    shutil.copy(made("amd64", "programs", "hand"), f"{folder}/usr/local/sbin")
    shutil.copy(made("amd64", "programs", "ask"), f"{folder}/opt")
    shutil.copytree(PACKAGING, f"{folder}/opt/joulepost")
    shutil.copy(made("amd64", "agent", "joulepost.stripped"), f"{folder}/opt/joulepost/program")
    with open(f"{folder}/etc/modules-load.d/rig.conf", "w", encoding="ascii") as file:
        file.write("rig_rapl\n")
    image = made("amd64", "image", "lib", "modules", release())
    os.makedirs(f"{modules}/updates")
    shutil.copy(f"{image}/updates/rig_rapl.ko", f"{modules}/updates")
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(f"{image}/{name}", modules)
    subprocess.run(["depmod", "-b", folder, release()], check=True, stderr=subprocess.DEVNULL)
    shutil.move(f"{folder}/lib", f"{folder}/usr/lib")  # where Debian's /lib leads


class System(Guest):
    """A guest with a disk that stays over reboots."""

    boot_s = command_s = 400  # a quiet machine boots it in 20 s

    def __init__(self):
        self.outside = tempfile.mkdtemp(prefix="joulepost-kernel-")
        disk = f"{self.outside}/disk"
        subprocess.run(["cp", "--sparse=always", made("amd64", "system", "disk"), disk], check=True)
        payload(f"{self.outside}/rig")
        boot = initramfs(self.outside, MODULES, "agent", init="system_init", rig=f"{self.outside}/rig")
        super().__init__(boot=boot, memory_mb=512, qemu=("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"))

    def boot(self):
        super().boot()
        status, state = self.try_run("systemctl is-system-running --wait", seconds=self.boot_s)
        if status:
            raise AssertionError(f"systemd is {state}: {self.run('systemctl --failed')}")

    def end(self, how):
        """Powers off or reboots, in order, from inside."""
        self.run(f"systemctl {how} --no-block")
        self.process.wait(self.boot_s)
        self.hand.close()
        self.process.stderr.close()

    def reboot(self):
        self.end("reboot")
        self.boot()

    def close(self):
        super().close()
        shutil.rmtree(self.outside, ignore_errors=True)


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.guest = System()
        cls.addClassCleanup(cls.guest.close)

    def setUp(self):
        self.added_mj = 0

    # The counters, and what became of them ------------------------------------------------------
    def add(self, joules):
        """The package's counter counts on, and the account with it."""
        self.guest.write("/sys/module/rig_rapl/parameters/tell", f"add package-0 {joules * 1000000}")
        self.added_mj += joules * 1000

    def told(self):
        """What both spools tell, each thing once: windows, runs and gaps. The hot one first: things move to the other."""
        dump = self.guest.run("for one in /run/joulepost /var/lib/joulepost; do joulepost spool dump --json $one 2>/dev/null; done; true")
        out = {}
        for line in dump.splitlines():
            one = json.loads(line)
            out.setdefault((one["type"], one.get("run"), one.get("seq", one.get("run_no"))), one)
        return list(out.values())

    def accounted(self):
        """Every window of every run once, no gap, and the package's joules are those that were added."""
        told, runs = self.told(), {}
        self.assertEqual([one for one in told if one["type"] == "gap"], [])
        for one in told:
            if one["type"] == "window":
                runs.setdefault(one["run"], []).append(one)
        for windows in runs.values():
            self.assertEqual(sorted(one["seq"] for one in windows), list(range(len(windows))))
        energy = sum(one["energy_mj"]["package-0"] or 0 for windows in runs.values() for one in windows)
        self.assertEqual(energy, self.added_mj)
        return runs

    def numbered(self, run):
        """The runs that post has numbered, once that one is among them."""
        found = {one["run"]: one for one in self.told() if one["type"] == "run" and one["run_no"] is not None}
        return found if run in found else None

    # The halves ----------------------------------------------------------------------------------
    def show(self, half, what):
        return self.guest.run(f"systemctl show -P {what} joulepost-{half}")

    def pid(self, half):
        return int(self.show(half, "MainPID"))

    def journal(self):
        return self.guest.run("journalctl --no-pager -o cat -u 'joulepost-*'")

    def runs(self):
        return [self.show(half, "ActiveState") for half in HALVES] == ["active"] * 2

    def live(self):
        status, out = self.guest.try_run("/opt/ask /run/joulepost/control live")
        return json.loads(out) if status == 0 else {"run": None, "seq": None}

    def pass_windows(self, count=3, but=None):
        """So many windows close, of the run going on or, `but` another, of a new one."""
        begun = {}

        def closed():
            live = self.live()
            if live["seq"] is None or live["run"] == but:
                return False
            return live["seq"] >= begun.setdefault(live["run"], live["seq"]) + count
        eventually(closed, 300, self.journal)
        return self.live()

    # A life --------------------------------------------------------------------------------------
    def test_a_life(self):
        self.install()
        self.a_reboot(mode="440 root joulepost")
        self.confined()
        self.a_reboot_with_a_capability()
        self.upgrade()
        for half in HALVES:
            self.hang(half)
        self.stop_order()
        self.a_reboot(mode="400 root root")
        self.guest.end("poweroff")
        self.guest.proved("rapl_powercap", "both units under Debian's systemd: started at boot, counters by the udev rule and by "
                          "CAP_DAC_READ_SEARCH, reboots, hangs, an upgrade: no window and no joule lost")

    def install(self):
        self.guest.run(f"mkdir -p /etc/joulepost && printf %s '{CONF}' > /etc/joulepost/joulepost.conf")
        self.assertIn("it runs", self.guest.run("/opt/joulepost/install.sh install /opt/joulepost/program"))
        self.pass_windows()
        self.add(3)
        self.pass_windows()
        self.assertEqual(len(self.accounted()), 1)

    def a_reboot(self, mode):
        """Nothing closed is lost by it, runs are numbered on, and both halves are there again by themselves."""
        before = self.pass_windows()
        self.guest.reboot()
        self.assertEqual(self.guest.run(f"stat -c '%a %U %G' {COUNTER}"), mode)
        self.pass_windows()
        self.add(2)
        now = self.pass_windows()
        runs = self.accounted()
        self.assertGreaterEqual(len(runs[before["run"]]), before["seq"] + 1)
        numbers = eventually(lambda: self.numbered(now["run"]), 300, self.journal)
        self.assertEqual(numbers[now["run"]]["run_no"], numbers[before["run"]]["run_no"] + 1)
        self.assertEqual(numbers[now["run"]]["prev"], {"run": before["run"], "last_seq": len(runs[before["run"]]) - 1, "clean": True})

    def confined(self, capabilities="0" * 16):
        for half in HALVES:
            status = self.guest.read(f"/proc/{self.pid(half)}/status")
            for line in (f"CapEff:\t{capabilities if half == 'meter' else '0' * 16}\n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n"):
                self.assertIn(line, status)
            self.assertEqual(self.guest.run(f"stat -c %U /proc/{self.pid(half)}"), f"joulepost-{half}")
        # post cannot even see them.
        self.assertNotEqual(self.guest.try_run(f"nsenter -t {self.pid('post')} -m cat {COUNTER}")[0], 0)

    def a_reboot_with_a_capability(self):
        """The other way of operating.md: the counters stay root's."""
        self.guest.run("rm /etc/udev/rules.d/60-joulepost.rules; mkdir -p /etc/systemd/system/joulepost-meter.service.d; "
                       f"printf %s '{CAPABILITY}' > /etc/systemd/system/joulepost-meter.service.d/counters.conf")
        self.a_reboot(mode="400 root root")
        self.confined(capabilities="0000000000000004")

    def upgrade(self):
        """What is added while it goes on is found as well, and no window is missing."""
        before, pids = self.live(), [self.pid(half) for half in HALVES]
        self.add(5)
        self.guest.run("/opt/joulepost/install.sh install /opt/joulepost/program; rm /etc/udev/rules.d/60-joulepost.rules; "
                       "chmod 400 /sys/class/powercap/*/energy_uj; chgrp root /sys/class/powercap/*/energy_uj")
        self.add(5)
        self.pass_windows(but=before["run"])
        self.assertFalse({self.pid(half) for half in HALVES} & set(pids))
        self.accounted()

    def hang(self, half):
        folder = f"/run/systemd/system/joulepost-{half}.service.d"
        before = self.live()["run"]
        self.guest.run(f"mkdir -p {folder}; printf %s '{IMPATIENT}' > {folder}/test.conf; systemctl daemon-reload; "
                       f"systemctl restart joulepost-{half}")
        before = self.pass_windows(but=before if half == "meter" else None)
        pid = self.pid(half)
        self.add(1)
        self.pass_windows()
        self.guest.run(f"kill -STOP {pid}")
        self.add(7)
        eventually(lambda: self.pid(half) not in (0, pid) and self.runs(), 300, self.journal)
        self.add(1)
        now = self.pass_windows(but=before["run"] if half == "meter" else None)
        self.assertEqual(now["run"] == before["run"], half == "post")
        self.assertIn("Watchdog timeout", self.journal())
        self.assertGreaterEqual(int(self.show(half, "NRestarts")), 1)
        # In the run going on everything is covered: what the halt took is a span between two runs, and no window's.
        for one in self.accounted()[now["run"]]:
            self.assertNotIn("package-0", one.get("covered_ms", {}))
        self.guest.run(f"rm -r {folder}; systemctl daemon-reload")

    def stop_order(self):
        self.add(1)
        last = self.pass_windows()
        self.guest.run("systemctl stop joulepost.target")
        ended = [int(self.show(half, "InactiveEnterTimestampMonotonic")) for half in HALVES]
        self.assertLess(ended[0], ended[1])
        self.assertEqual({self.show(half, "Result") for half in HALVES}, {"success"})
        stored = self.guest.run("joulepost spool dump --json /var/lib/joulepost")
        self.assertGreaterEqual(max(one["seq"] for one in map(json.loads, stored.splitlines())
                                    if one["type"] == "window" and one["run"] == last["run"]), last["seq"])
        self.guest.run("systemctl start joulepost.target")
        self.pass_windows(but=last["run"])


if __name__ == "__main__":
    main()
