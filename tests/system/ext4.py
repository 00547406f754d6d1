# SPDX-License-Identifier: Apache-2.0
"""A fresh ext4 on a loop device, and how many bytes the kernel wrote to it."""
import ctypes
import os
import shutil
import subprocess
import tempfile

SECTOR = 512  # of the kernel's statistics, whatever the device's is
WRITTEN = 6   # "write sectors" in Documentation/block/stat.rst
CLONE_NEWNS = 0x00020000


class Unavailable(Exception):
    """This machine lends no loop devices: the sentence says why."""


def tool(*arguments):
    """What the tool printed; Unavailable when it is missing or refuses."""
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False, env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})
    except FileNotFoundError:
        raise Unavailable(f"there is no {arguments[0]}") from None
    if done.returncode:
        raise Unavailable(f"{' '.join(arguments)}: {done.stderr.decode().strip() or done.returncode}")
    return done.stdout.decode().strip()


class Ext4:
    """`with Ext4() as disk:` disk.dir is its root. Mounted as Debian mounts one: relatime, a journal commit each 5 s.

    Seen by this process and its children alone, and the device goes with the mount: nothing is left behind, however
    they end."""

    def __init__(self, block=4096, megabytes=256):
        self.block, self.megabytes, self.before = block, megabytes, 0
        self.home = self.device = self.dir = None

    def __enter__(self):
        if os.geteuid() != 0:
            raise Unavailable("only root may have a loop device")
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
            raise Unavailable(f"unshare: {os.strerror(ctypes.get_errno())}")
        self.home = tempfile.mkdtemp(prefix="joulepost-ext4-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        try:
            self.make()
        except BaseException:
            self.close()
            raise
        return self

    def make(self):
        image, mount_point = os.path.join(self.home, "image"), os.path.join(self.home, "disk")
        os.mkdir(mount_point)
        with open(image, "wb") as file:
            file.truncate(self.megabytes << 20)
        # Nothing is left to the kernel's lazy initialisation, which would be counted.
        tool("mkfs.ext4", "-q", "-F", "-b", str(self.block), "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
        tool("mount", "--make-rprivate", "/")
        self.device = tool("losetup", "--find", "--show", image)
        try:
            tool("mount", "-t", "ext4", self.device, mount_point)
        finally:
            tool("losetup", "--detach", self.device)  # with the mount
        self.dir = mount_point
        self.sync()
        self.before = self.bytes_written()
        os.unlink(image)
        os.chmod(mount_point, 0o755)
        os.chmod(self.home, 0o755)

    def sync(self):
        """All that was written reaches the device."""
        subprocess.run(["sync", "--file-system", self.dir], check=True)

    def bytes_written(self):
        """Bytes that reached the device since it was mounted. Syncs nothing: what waits in the cache is not counted."""
        with open(f"/sys/block/{os.path.basename(self.device)}/stat", encoding="ascii") as file:
            return int(file.read().split()[WRITTEN]) * SECTOR - self.before

    def close(self):
        if self.dir and subprocess.run(["umount", self.dir], stderr=subprocess.DEVNULL, check=False).returncode:
            subprocess.run(["umount", "--lazy", self.dir], check=False)  # somebody still holds a file there
        shutil.rmtree(self.home, ignore_errors=True)
        self.dir = None

    def __exit__(self, *_):
        self.close()
