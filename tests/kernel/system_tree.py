#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A whole Debian 12 with systemd, installed by debootstrap into a folder and made a disk: what a service meets.

usage: system_tree.py FOLDER

Nothing of joulepost is on the disk: what a test brings comes with the initramfs and is laid over it at each boot."""
import os
import shutil
import sys

from build import Kernel, Step, run

PACKAGES = "systemd-sysv,udev,kmod"
DISK_MB = 400
# What a guest without anybody at it does not need, and what would write while it is measured.
MASKED = ("serial-getty@", "getty@", "getty-static", "e2scrub_reap")
TIMERS = ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "e2scrub_all", "fstrim")
HAND = """[Unit]
Description=the host's hand
DefaultDependencies=no

[Service]
ExecStart=/usr/local/sbin/hand

[Install]
WantedBy=sysinit.target
"""


def write(tree, path, text):
    os.makedirs(os.path.dirname(tree + path), exist_ok=True)
    with open(tree + path, "w", encoding="ascii") as file:
        file.write(text)


def set_up(tree):
    for folder in ("usr/share/doc", "usr/share/locale", "usr/share/man", "var/lib/apt/lists", "var/cache/apt"):
        shutil.rmtree(f"{tree}/{folder}", ignore_errors=True)
    write(tree, "/etc/fstab", "/dev/vda / ext4 defaults 0 0\n")
    write(tree, "/etc/machine-id", "")  # systemd makes one at the first boot
    write(tree, "/etc/hostname", "guest\n")
    write(tree, "/etc/systemd/system/hand.service", HAND)
    wants = f"{tree}/etc/systemd/system/sysinit.target.wants"
    os.makedirs(wants, exist_ok=True)
    os.symlink("../hand.service", f"{wants}/hand.service")
    for name in [f"{one}.service" for one in MASKED] + [f"{one}.timer" for one in TIMERS]:
        path = f"{tree}/etc/systemd/system/{name}"
        if os.path.lexists(path):
            os.remove(path)
        os.symlink("/dev/null", path)


def make(home):
    """Its disk, made unless it is there."""
    kernel = Kernel(home)
    folder = os.path.join(home, "amd64", "system")
    with Step(folder, os.path.abspath(__file__)) as step:
        if step.due:
            if os.geteuid() != 0:
                raise SystemExit("kernel rig: debootstrap needs root")
            pool, tree = os.path.join(home, "debian", "bootstrap"), f"{folder}/tree"
            os.makedirs(pool, exist_ok=True)
            os.environ["DPKG_FORCE"] = "unsafe-io"  # a tree that is lost is made again
            run("debootstrap", "--variant=minbase", "--arch=amd64", f"--cache-dir={pool}", f"--include={PACKAGES}", "bookworm",
                tree, kernel.debian.mirror())
            set_up(tree)
            run("mke2fs", "-q", "-t", "ext4", "-d", tree, f"{folder}/disk", f"{DISK_MB}M")
            shutil.rmtree(tree)
    return f"{folder}/disk"


if __name__ == "__main__":
    make(os.path.abspath(sys.argv[1]))
