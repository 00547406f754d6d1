# SPDX-License-Identifier: Apache-2.0
"""A machine to break: systemd as process 1 in namespaces of its own, over a copy of this root that forgets."""
import os
import shlex
import shutil
import signal
import subprocess
import tempfile

import rig

SYSTEMD = "/lib/systemd/systemd"
CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
# What belongs to a machine and not to the services under test.
MASKED = ("systemd-resolved systemd-networkd systemd-timesyncd systemd-logind dbus-org.freedesktop.login1 systemd-udevd "
          "systemd-udev-trigger console-getty getty@tty1").split()

BOOT = r"""
set -e
mount -t tmpfs -o size=1g none {base}
mkdir {base}/upper {base}/work {base}/root
mount -t overlay overlay -o lowerdir=/,upperdir={base}/upper,workdir={base}/work {base}/root
cd {base}/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs -o mode=755 none run
mount -t tmpfs -o mode=1777 none tmp
mount -t tmpfs -o mode=755 none dev
for one in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do set -- $one; mknod -m 666 dev/$1 c 1 $2; done
mkdir dev/pts dev/shm old src
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 none dev/shm
mount --bind {tree} src
mount -o remount,bind,ro src
rm -rf etc/systemd/system/*.wants etc/systemd/system/joulepost* var/log/journal var/lib/joulepost etc/joulepost
: >etc/fstab
for one in {masked}; do ln -sf /dev/null etc/systemd/system/$one.service; done
ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target
echo 0123456789abcdef0123456789abcdef >etc/machine-id
pivot_root . old
umount -l old
mount --make-rshared /
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin {systemd} --log-target=null --show-status=no
"""


def cgroup():
    """Where the second version of cgroups is mounted, or None."""
    for path in CGROUPS:
        if os.path.exists(path + "/cgroup.procs") and os.path.exists(path + "/cgroup.controllers"):
            return path
    return None


def why_not():
    """Why there can be no box here, or None."""
    if os.geteuid() != 0:
        return "a box needs root"
    if not os.path.exists(SYSTEMD) or not shutil.which("systemctl"):
        return "there is no systemd here"
    if not cgroup():
        return "there are no cgroups (version 2) here"
    with tempfile.TemporaryDirectory() as base:
        try_it = (f"mount -t tmpfs none {base} && mkdir {base}/u {base}/w {base}/r && mount -t overlay overlay "
                  f"-o lowerdir=/,upperdir={base}/u,workdir={base}/w {base}/r && mount -t proc proc {base}/r/proc")
        done = subprocess.run(["unshare", "-muinpC", "--fork", "--propagation", "private", "sh", "-c", try_it],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return None if done.returncode == 0 else "no namespaces to be had here: " + done.stdout.strip()


class Box:
    def __init__(self):
        self.base = tempfile.mkdtemp(prefix="jp_box_")
        self.group = os.path.join(cgroup(), os.path.basename(self.base))
        os.mkdir(self.group)
        script = BOOT.format(base=self.base, tree=rig.TREE, masked=" ".join(MASKED), systemd=SYSTEMD)
        enter = (f"echo $$ >{self.group}/cgroup.procs; exec setpriv --pdeathsig KILL unshare -muinpC --fork --kill-child "
                 f"--propagation private sh -c {shlex.quote(script)}")
        with open(os.path.join(self.base, "console"), "wb") as console:
            self.process = subprocess.Popen(["sh", "-c", enter], stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        self.init = None
        self.init = rig.eventually(self.find_init, why="systemd did not start in the box")
        rig.eventually(lambda: self.run("systemctl is-system-running", check=False).strip() in ("running", "degraded"),
                       why="the box did not come up")

    def find_init(self):
        assert self.process.poll() is None, "the box ended"
        for pid in rig.children_of(self.process.pid):
            if os.readlink(f"/proc/{pid}/exe").endswith("systemd/systemd"):
                return pid
        return None

    def run(self, script, check=True, stdin=b""):
        """A shell script in the box: what it says on stdout and stderr."""
        done = subprocess.run(["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "env", "-i", "TERM=dumb",
                               "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", script],
                              input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        said = done.stdout.decode(errors="replace")
        assert not check or done.returncode == 0, f"{script}: {done.returncode}: {said}"
        return said

    def show(self, unit, what):
        return self.run(f"systemctl show -P {what} {unit}").strip()

    def journal(self):
        return self.run("journalctl --no-pager -o short-monotonic -u 'joulepost-*'")

    def write(self, path, data, mode="644"):
        self.run(f"mkdir -p {os.path.dirname(path)} && cat >{path} && chmod {mode} {path}",
                 stdin=data if isinstance(data, bytes) else data.encode())

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)  # and process 1 with it, and all that are in its namespace
        self.process.wait()

        def gone():
            try:
                for folder, _, _ in os.walk(self.group, topdown=False):
                    os.rmdir(folder)
                return True
            except OSError:
                return False
        rig.eventually(gone, why="processes of the box outlive it")
        shutil.rmtree(self.base, ignore_errors=True)
