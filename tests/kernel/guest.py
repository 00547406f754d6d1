# SPDX-License-Identifier: Apache-2.0
"""A guest: Debian's kernel in QEMU (software emulation), a small initramfs, and a hand that runs commands in it."""
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from rig import config_text, eventually  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.environ.get("KERNEL_HOME") or os.path.join(HERE, "..", "..", "build-kernel")
ARCH = os.environ.get("KERNEL_ARCH", "arm64")
TOOLS = {"arm64": "aarch64-linux-gnu-", "amd64": ""}[ARCH]
ALWAYS = ("virtio_mmio", "virtio_pci", "virtio_console")
QEMU = {
    "arm64": ("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"),
    "amd64": ("qemu-system-x86_64", "-M", "q35", "-cpu", "EPYC"),
}
# Its timer is tried for a moment that a loaded machine may not give it, and then the kernel panics.
CONSOLE = {"arm64": "ttyAMA0", "amd64": "ttyS0 no_timer_check"}
PASSWD = "root:x:0:0::/:/bin/sh\n" + "".join(f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in (
    ("u", 1000), ("joulepost-meter", 991), ("joulepost-post", 992), ("nobody", 65534)))
GROUP = "root:x:0:\nu:x:1000:\njoulepost-meter:x:991:\njoulepost-post:x:992:\njoulepost:x:990:joulepost-meter,joulepost-post\n" \
        "nogroup:x:65534:\n"


def made(*parts):
    path = os.path.join(HOME, *parts)
    if not os.path.exists(path):
        raise AssertionError(f"{os.path.relpath(path)} is not there: ./dev test --kernel makes it")
    return os.path.abspath(path)


def die_with_parent():
    """A test that is killed leaves no machine behind (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def release():
    return next(name for name in os.listdir(made(ARCH, "image", "lib", "modules")))


def initramfs(folder, names, program, init="guest_init", rig=None):
    """A cpio archive of what the guest needs. The modules by name, and those they need; `rig` a folder that becomes /rig."""
    root = os.path.join(folder, "root")
    for name in ("bin", "dev", "proc", "sys", "tmp", "run", "etc", "var/lib", "mnt"):
        os.makedirs(os.path.join(root, name))
    shutil.copy(made(ARCH, "busybox", "bin", "busybox"), f"{root}/bin")
    shutil.copy(made(ARCH, program, "joulepost.stripped"), f"{root}/bin/joulepost")
    for name in os.listdir(made(ARCH, "programs")):
        shutil.copy(made(ARCH, "programs", name), f"{root}/bin")
    shutil.copy(os.path.join(HERE, init), f"{root}/init")
    if rig:
        shutil.copytree(rig, f"{root}/rig")
    os.chmod(f"{root}/init", 0o755)
    for name, text in (("passwd", PASSWD), ("group", GROUP), ("machine-id", "0123456789abcdef0123456789abcdef\n")):
        with open(f"{root}/etc/{name}", "w", encoding="ascii") as file:
            file.write(text)
    image, modules = made(ARCH, "image"), f"{root}/lib/modules/{release()}"
    os.makedirs(modules)
    for name in sorted({*ALWAYS, *names}):
        shown = subprocess.run(["modprobe", "-d", image, "-S", release(), "--show-depends", name], check=False, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if shown.returncode and name not in ALWAYS:
            raise AssertionError(f"no module {name} for {release()}: {shown.stderr}")
        for path in re.findall(r"^insmod (\S+)", shown.stdout, re.M):
            shutil.copy(path, modules)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(f"{image}/lib/modules/{release()}/{name}", modules)
    subprocess.run(["depmod", "-b", root, release()], check=True, stderr=subprocess.DEVNULL)
    with open(f"{folder}/initramfs", "wb") as out:
        found = subprocess.run(["find", ".", "-mindepth", "1"], cwd=root, check=True, stdout=subprocess.PIPE)
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root, check=True, input=found.stdout, stdout=out)
    shutil.rmtree(root)
    return f"{folder}/initramfs"


class Guest:
    """Boots at once. `modules` are loaded in order ("NAME KEY=VALUE..."), `extra_modules` only put there for modprobe();
    `dtsi` is a part of tests/kernel for the device tree (arm64); `program` the agent's build; `qemu` more arguments."""

    boot_s, command_s = 120, 60  # of a machine under load; a quiet one boots in 2 to 5 s

    def __init__(self, modules=(), dtsi=None, extra_modules=(), memory_mb=256, program="agent", qemu=(), boot=None):
        self.folder = tempfile.mkdtemp(prefix="joulepost-kernel-")
        self.jobs, self.hand, self.process = 0, None, None
        try:
            names = [one.split()[0] for one in (*modules, *extra_modules)]
            machine = [*QEMU[ARCH], "-accel", "tcg", "-smp", "1", "-m", str(memory_mb), "-nodefaults", "-nographic", "-no-reboot",
                       "-chardev", f"socket,id=hand,path={self.folder}/hand,server=on,wait=off",
                       "-device", f"virtio-serial-{'device' if ARCH == 'arm64' else 'pci'}",
                       "-device", "virtserialport,chardev=hand,name=hand", *qemu]
            if dtsi:
                machine += ["-dtb", self.device_tree(machine, dtsi)]
            self.command = [*machine, "-serial", f"file:{self.folder}/console", "-kernel", made(ARCH, "image", "kernel"),
                            "-append", f"console={CONSOLE[ARCH]} panic=-1 quiet loglevel=4",
                            "-initrd", boot or initramfs(self.folder, names, program)]
            self.boot()
            for one in modules:
                self.modprobe(one)
        except BaseException:
            self.close()
            raise

    def device_tree(self, machine, dtsi):
        """QEMU's own tree for this machine with one more part."""
        def dtc(source, target, kind):
            subprocess.run(["dtc", "-q", "-I", kind[0], "-O", kind[1], "-o", target, source], check=True)
        base = f"{self.folder}/base"
        dump = [f"{word},dumpdtb={base}.dtb" if word == "virt" else word for word in machine]
        subprocess.run(dump, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        dtc(f"{base}.dtb", f"{base}.dts", ("dtb", "dts"))
        with open(f"{base}.dts", "a", encoding="ascii") as file, open(os.path.join(HERE, dtsi), encoding="ascii") as part:
            file.write(part.read())
        dtc(f"{base}.dts", f"{base}.dtb", ("dts", "dtb"))
        return f"{base}.dtb"

    def boot(self):
        if os.path.exists(f"{self.folder}/hand"):  # the QEMU that dumped its tree left it
            os.remove(f"{self.folder}/hand")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, preexec_fn=die_with_parent)
        self.hand = socket.socket(socket.AF_UNIX)
        eventually(lambda: self.alive() and self.hand.connect_ex(f"{self.folder}/hand") == 0, 20, "QEMU made no socket")
        self.hand.settimeout(self.boot_s)
        self.file = self.hand.makefile("rb")
        self.expect(lambda: self.file.readline() == b"ready\n")

    def alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"QEMU ended: {self.process.stderr.read().decode()}\n{self.console()}")
        return True

    def expect(self, step):
        try:
            got = step()
        except (socket.timeout, OSError) as error:
            raise AssertionError(f"the guest does not answer ({error}); its console:\n{self.console()}") from error
        if not got:
            raise AssertionError(f"the guest went away; its console:\n{self.console()}")
        return got

    def console(self):
        try:
            with open(f"{self.folder}/console", encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    # Commands ---------------------------------------------------------------------------------
    def try_run(self, command, seconds=None):
        """(status, what it printed), white space at the end cut."""
        text = command.encode()
        self.hand.settimeout(seconds or self.command_s)
        self.expect(lambda: self.hand.sendall(b"%d\n%s" % (len(text), text)) is None)
        head = self.expect(self.file.readline)
        status, length = (int(word) for word in head.split())
        return status, self.expect(lambda: (self.file.read(length) if length else b"") + b" ").decode(errors="replace").rstrip()

    def run(self, command, seconds=None):
        status, out = self.try_run(command, seconds)
        if status:
            raise AssertionError(f"in the guest: {command}: status {status}: {out}")
        return out

    def write(self, path, text):
        """One write(2)."""
        self.run(f"printf %s {shlex.quote(str(text))} > {shlex.quote(path)}")

    def read(self, path):
        return self.run(f"cat {shlex.quote(path)}")

    def put(self, path, text):
        """A file of any size."""
        self.run(f"cat > {shlex.quote(path)} <<'END-OF-FILE'\n{text}\nEND-OF-FILE")

    def modprobe(self, words):
        self.run(f"modprobe {words}")

    def bus(self, name):
        """The number of the I2C adapter whose name begins so."""
        found = self.run(f"grep -l '^{name}' /sys/class/i2c-adapter/*/name")
        return int(re.search(r"i2c-(\d+)/name", found).group(1))

    def spawn(self, command, user=None):
        self.jobs += 1
        return Job(self, f"/tmp/rig/{self.jobs}", command, user)

    def agent(self, settings=None, **more):
        return GuestAgent(self, settings or {}, **more)

    # The end ----------------------------------------------------------------------------------
    def proved(self, driver, what):
        """A row of the table at the end, of a test that came this far."""
        folder = os.path.join(HOME, "proved")
        os.makedirs(folder, exist_ok=True)
        row = {"driver": driver, "kernel": f"{release()}", "what": what}
        with open(os.path.join(folder, f"{os.path.basename(sys.argv[0])}.{ARCH}"), "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.process.stderr.close()
        if self.hand:
            self.hand.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Job:
    """A command in the background of the guest."""

    def __init__(self, guest, place, command, user):
        self.guest, self.place = guest, place
        inner = f"echo $$ > {place}.pid; exec {command}"
        if user:
            inner = f"echo $$ > {place}.pid; exec su -s /bin/sh {user} -c {shlex.quote('exec ' + command)}"
        guest.run(f"( sh -c {shlex.quote(inner)} > {place}.out 2>&1 < /dev/null; echo $? > {place}.end; mv {place}.end {place}.rc ) "
                  f"> /dev/null 2>&1 & while [ ! -s {place}.pid ]; do usleep 5000; done")
        self.pid = int(guest.read(f"{place}.pid"))

    def running(self):
        return self.guest.try_run(f"test -e {self.place}.rc")[0] != 0

    def wait(self, seconds=30):
        """Its status."""
        eventually(lambda: not self.running(), seconds, lambda: f"{self.place} does not end: {self.out()}")
        return int(self.guest.read(f"{self.place}.rc"))

    def kill(self, name="TERM"):
        self.guest.run(f"kill -{name} {self.pid}")

    def out(self):
        return self.guest.read(f"{self.place}.out")


class GuestAgent:
    """`joulepost agent` in the guest: a logger (no broker) that keeps all it wrote."""

    def __init__(self, guest, settings, verb="agent", user=None, wait=True, name="agent"):
        self.guest, self.dir, self.verb, self.user = guest, f"/tmp/rig/{name}", verb, user
        hot, spool = f"/run/{name}-hot", f"/var/lib/{name}-spool"
        self.settings = {"device.name": "guest", "user": "root", "paths.hot": hot, "paths.spool": spool, "spool.keep": "all",
                         **settings}
        self.hot, self.spool = self.settings["paths.hot"], self.settings["paths.spool"]
        guest.put(f"{self.dir}.conf", config_text(self.settings))
        if user:
            guest.run(f"mkdir -p {hot} {spool}; chown -R {user} {hot} {spool}")
        self.start(wait)

    def start(self, wait=True):
        self.job = self.guest.spawn(f"joulepost {self.verb} -c {self.dir}.conf", self.user)
        if wait:
            self.wait_windows(1)

    def ask(self, request):
        """One request over the control socket; its JSON."""
        return json.loads(self.guest.run(f"ask {self.hot}/control {shlex.quote(request)}"))

    def live(self):
        return self.ask("live")

    def wait_windows(self, count, seconds=60):
        """Until the running agent has closed that many windows of its run."""
        def there():
            if not self.job.running():
                raise AssertionError(f"the agent ended: {self.log()}")
            status, out = self.guest.try_run(f"ask {self.hot}/control live")
            if status:
                return False
            seq = json.loads(out).get("seq")
            return seq is not None and seq + 1 >= count
        eventually(there, seconds, lambda: f"no {count} windows: {self.log()}")

    def log(self):
        return self.job.out()

    def kill(self, name="KILL"):
        self.job.kill(name)

    def stop(self, seconds=30):
        self.job.kill("TERM")
        return self.job.wait(seconds)

    def dump(self, kind="window"):
        """Objects of `spool dump --json` of that type, in order; every one with kind None."""
        lines = self.guest.run(f"joulepost spool dump --json {self.spool} 2>/dev/null").splitlines()
        return [one for one in map(json.loads, lines) if kind in (None, one["type"])]


def main():
    path = os.path.join(HOME, "proved", f"{os.path.basename(sys.argv[0])}.{ARCH}")
    if os.path.exists(path):
        os.remove(path)
    unittest.main(verbosity=2)
