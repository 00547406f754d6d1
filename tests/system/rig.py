# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: a private broker, a subscriber, the true program, and a board whose values move."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.packettypes import PacketTypes

import records

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.abspath(os.path.join(HERE, "..", ".."))
JOULEPOST = os.environ.get("JOULEPOST", os.path.join(TREE, "build", "joulepost"))
# The same program under AddressSanitizer, where the build has one; else the plain one.
SANITIZED = os.environ.get("JOULEPOST_SANITIZED", JOULEPOST)
PATIENCE_S = 30


def free_port():
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, seconds=PATIENCE_S, why="it never came"):
    """Calls what() until its result is true, and hands that back."""
    end = time.monotonic() + seconds
    while True:
        result = what()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(why() if callable(why) else why)
        time.sleep(0.02)


def stop_process(process, sig=signal.SIGTERM, seconds=15):
    """Ends a child by its pid; its exit status."""
    if process.poll() is None:
        process.send_signal(sig)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"{process.args[0]} did not end within {seconds} s of signal {sig}") from None


def children_of(pid):
    """The pids of a process's children, from /proc."""
    out = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
            out += [int(word) for word in file.read().split()]
    return out


def words_of(pid):
    """A process's name and arguments, [] when it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            words = [file.read().strip()]
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return words + file.read().split("\0")
    except OSError:
        return []


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Scratch:
    """A temporary directory with a life of its own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="joulepost-")
        os.chmod(self.dir, 0o755)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Certificates:
    """A CA, a server certificate for localhost and 127.0.0.1, one for another host, and a client's; made by openssl."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.ca = self.authority("ca")
        self.other_ca = self.authority("other-ca")
        self.server = self.issue("server", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        self.elsewhere = self.issue("elsewhere", "subjectAltName=DNS:elsewhere.invalid")
        self.client = self.issue("client", "extendedKeyUsage=clientAuth")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.scratch.dir, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                     "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        return self.scratch.path(f"{name}.pem")

    def issue(self, name, extension):
        """(certificate, key) signed by the CA."""
        self.scratch.write(f"{name}.ext", extension + "\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
                     "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                     "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        os.chmod(self.scratch.path(f"{name}.key"), 0o644 if name != "client" else 0o600)
        return self.scratch.path(f"{name}.pem"), self.scratch.path(f"{name}.key")


class Broker:
    """A private mosquitto on loopback, started and stopped by pid. It may be stopped and started again."""

    def __init__(self, users=None, acl=None, tls=None, ca=None, websockets=False, options="", port=None):
        """users {name: password}; acl text; tls (certificate, key); ca: clients must show a certificate of it."""
        self.scratch = Scratch()
        self.port = port or free_port()
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "user root", f"allow_anonymous {'false' if users else 'true'}"]
        if websockets:
            lines.append("protocol websockets")
        if users:
            password_file = self.scratch.write("users", "".join(f"{n}:{p}\n" for n, p in users.items()), 0o600)
            subprocess.run(["mosquitto_passwd", "-U", password_file], check=True, stdout=subprocess.DEVNULL)
            lines.append(f"password_file {password_file}")
        if acl:
            lines.append("acl_file " + self.scratch.write("acl", acl))
        if tls:
            lines += [f"certfile {tls[0]}", f"keyfile {tls[1]}"]
        if ca:
            lines += [f"cafile {ca}", "require_certificate true"]
        self.config = self.scratch.write("mosquitto.conf", "\n".join(lines) + "\n" + options)
        self.process = None
        self.start()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self):
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        with open(self.scratch.path("log"), "ab") as log:
            self.process = subprocess.Popen([program, "-c", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self.answers, why=lambda: "mosquitto does not answer: " + self.log())

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("mosquitto ended: " + self.log())
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def log(self):
        with open(self.scratch.path("log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self, sig=signal.SIGTERM):
        if self.process:
            stop_process(self.process, sig)
            self.process = None

    def close(self):
        self.stop()
        self.scratch.close()


class Message:
    def __init__(self, message):
        self.topic, self.payload, self.qos, self.retain = message.topic, message.payload, message.qos, message.retain
        self.at = time.monotonic()
        properties = getattr(message, "properties", None)
        self.content_type = getattr(properties, "ContentType", None) if properties else None
        self.device, _, self.leaf = self.topic.rpartition("/")
        self.device = self.device.rpartition("/")[2]

    def json(self):
        return json.loads(self.payload)

    def __repr__(self):
        return f"{self.topic} qos {self.qos}{' retained' if self.retain else ''} {self.payload[:200]!r}"


class Subscriber:
    """Collects every message of its topics. With a name it has a lasting session: nothing is missed while it is away."""

    def __init__(self, port, topic="joulepost/#", version=5, name=None, username=None, password=None, tls=None, publish_only=False):
        self.messages = []
        self.lock = threading.Lock()
        self.ready = threading.Event()
        self.topic = topic
        protocol = paho.MQTTv5 if version == 5 else paho.MQTTv311
        lasting = {} if version == 5 else {"clean_session": name is None}
        self.client = paho.Client(name or f"subscriber-{random.getrandbits(32):08x}", protocol=protocol, **lasting)
        if username:
            self.client.username_pw_set(username, password)
        if tls:
            self.client.tls_set(**tls)
        self.client.on_connect = self.connected
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = self.came
        if publish_only:
            self.client.on_connect = lambda *_: self.ready.set()
        extra = {}
        if version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600 if name else 0
            extra = {"clean_start": name is None, "properties": properties}
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port, 30, **extra)
        self.client.loop_start()
        if not self.ready.wait(PATIENCE_S):
            raise AssertionError("the subscriber could not subscribe")

    def connected(self, client, *_):
        client.subscribe(self.topic, 1)

    def came(self, _client, _data, message):
        with self.lock:
            self.messages.append(Message(message))

    def publish(self, topic, payload, qos=1, retain=False):
        self.client.publish(topic, payload, qos, retain).wait_for_publish(PATIENCE_S)

    def of(self, leaf):
        with self.lock:
            return [message for message in self.messages if message.leaf == leaf]

    def wait(self, leaf, count=1, where=lambda message: True, seconds=PATIENCE_S):
        """The first `count` messages of a leaf that satisfy `where`, as soon as they are there."""
        def enough():
            found = [message for message in self.of(leaf) if where(message)]
            return found[:count] if len(found) >= count else None
        return eventually(enough, seconds, lambda: f"{count} x {leaf} never came; there are {self.messages[-8:]}")

    def once(self):
        """All windows of the `records` so far, each once."""
        out = records.Once()
        for message in self.of("records"):
            out.add_message(message.payload, message.device)
        return out

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def config_text(settings):
    """{"mqtt.url": "...", "sampling.window_ms": 500} as a libconfig file."""
    def value(one):
        if isinstance(one, bool):
            return "true" if one else "false"
        if isinstance(one, (int, float)):
            return str(one)
        if isinstance(one, (list, tuple)):
            return "( " + ", ".join(value(each) for each in one) + " )"
        if isinstance(one, dict):
            return "{ " + " ".join(f"{key} = {value(each)};" for key, each in one.items()) + " }"
        return json.dumps(one)
    groups = {}
    for key, one in settings.items():
        group, _, name = key.rpartition(".")
        groups.setdefault(group, {})[name] = one
    lines = [f"{key} = {value(one)};" for key, one in groups.pop("", {}).items()]
    return "\n".join(lines + [f"{group} : {value(members)};" for group, members in groups.items()]) + "\n"


class Agent:
    """The true program under a configuration of its own; its files live in a scratch directory (hot on tmpfs)."""

    def __init__(self, settings, root=None, verb="agent", program=None, environment=None, wrapper=(), scratch=None):
        self.own_scratch = scratch is None
        self.scratch = scratch or Scratch()
        shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.scratch.dir
        self.hot = settings.get("paths.hot") or os.path.join(shared_memory, os.path.basename(self.scratch.dir) + "-hot")
        self.spool = settings.get("paths.spool") or self.scratch.path("spool")
        self.settings = {"paths.hot": self.hot, "paths.spool": self.spool, "device.name": "board-1",
                         "user": "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody"), **settings}
        self.config = self.scratch.write("joulepost.conf", config_text(self.settings))
        self.command = [*wrapper, program or JOULEPOST, verb, "-c", self.config]
        if root:
            self.command += ["--root", root]
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        self.start()

    def start(self):
        with open(self.scratch.path("stderr"), "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment)

    def said(self):
        with open(self.scratch.path("stderr"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def half(self, name):
        """The pid of "meter" or "post", as soon as it runs."""
        def find():
            if self.process.poll() is not None:
                raise AssertionError(f"the agent ended with {self.process.returncode}: {self.said()}")
            for pid in children_of(self.process.pid):
                if any(name in (word, word.rpartition("-")[2], word.rpartition(" ")[2]) for word in words_of(pid)):
                    return pid
            return None
        return eventually(find, why=lambda: f"there is no {name}: {self.said()}")

    def kill_half(self, name, sig=signal.SIGKILL):
        pid = self.half(name)
        os.kill(pid, sig)
        eventually(lambda: not alive(pid), why=f"{name} survived signal {sig}")
        return pid

    def ask(self, request, seconds=5):
        """One request over the control socket; its JSON reply."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.settimeout(seconds)
            control.connect(os.path.join(self.hot, "control"))
            control.send(request.encode())
            return json.loads(control.recv(65536))

    def stop(self, sig=signal.SIGTERM, seconds=15):
        """Ends the agent; its exit status. None of its halves outlives it."""
        halves = children_of(self.process.pid) if self.process.poll() is None else []
        status = stop_process(self.process, sig, seconds)
        eventually(lambda: not any(alive(pid) for pid in halves), why="a half outlived the agent")
        return status

    def close(self):
        if self.process and self.process.poll() is None:
            stop_process(self.process, signal.SIGKILL)
        shutil.rmtree(self.hot, ignore_errors=True)
        if self.own_scratch:
            self.scratch.close()


def run_once(*arguments, environment=None, seconds=60, program=None):
    """One command to its end: (status, stdout, stderr)."""
    done = subprocess.run([program or JOULEPOST, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=seconds, env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Board:
    """A tree that looks like a board's /sys and /proc. Values have a fixed width and are moved in place, so a reader
    never meets half of one."""

    WIDTH = 16

    def __init__(self, scratch, name="root"):
        self.root = scratch.path(name)
        self.fds = {}
        os.makedirs(self.root)

    def text(self, path, text):
        full = self.root + path
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())

    def number(self, path, value):
        """Makes or moves a number."""
        data = f"{value}".encode().ljust(self.WIDTH, b"\n")
        assert len(data) == self.WIDTH
        if path not in self.fds:
            self.text(path, data)
            self.fds[path] = os.open(self.root + path, os.O_WRONLY)
        else:
            os.pwrite(self.fds[path], data, 0)

    def device_tree(self, compatible, model):
        self.text("/proc/device-tree/compatible", b"".join(one.encode() + b"\0" for one in compatible))
        self.text("/proc/device-tree/model", model.encode() + b"\0")

    def ina3221(self, hwmon, bus, address, labels, shunts=(2000, 2000, 2000)):
        """One chip; `labels` has None for a channel without a label."""
        device = f"/sys/bus/i2c/devices/{bus}-{address:04x}"
        base = f"{device}/hwmon/hwmon{hwmon}"
        self.text(f"{device}/name", "ina3221\n")
        self.text(f"{base}/name", "ina3221\n")
        for i, label in enumerate(labels, 1):
            if label is not None:
                self.text(f"{base}/in{i}_label", label + "\n")
            self.text(f"{base}/shunt{i}_resistor", f"{shunts[i - 1]}\n")
            self.number(f"{base}/in{i}_input", 5000)
            self.number(f"{base}/curr{i}_input", 0)
        for i in (4, 5, 6):
            self.number(f"{base}/in{i}_input", 0)
        self.text(f"{base}/in7_label", "sum of shunt voltages\n")
        self.number(f"{base}/in7_input", 0)
        self.number(f"{base}/curr4_input", 0)
        self.number(f"{base}/update_interval", 4)
        self.number(f"{base}/samples", 1)
        os.makedirs(f"{self.root}/sys/class/hwmon", exist_ok=True)
        os.symlink(f"../../bus/i2c/devices/{bus}-{address:04x}/hwmon/hwmon{hwmon}", f"{self.root}/sys/class/hwmon/hwmon{hwmon}")
        os.symlink("../../../" + os.path.basename(device), f"{self.root}{base}/device")
        return base

    def rapl(self, zone, name, energy_uj=0, range_uj=262143328850):
        base = f"/sys/class/powercap/{zone}"
        self.text(f"{base}/name", name + "\n")
        self.number(f"{base}/energy_uj", energy_uj)
        self.text(f"{base}/max_energy_range_uj", f"{range_uj}\n")
        self.text(f"{base}/enabled", "1\n")
        return base

    def close(self):
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}


class AgxOrin(Board):
    """A Jetson AGX Orin: two INA3221, six rails of which three make the total."""

    RAILS = {"VDD_GPU_SOC": (0x40, 1), "VDD_CPU_CV": (0x40, 2), "VIN_SYS_5V0": (0x40, 3), "VDDQ_VDD2_1V8AO": (0x41, 2)}
    TOTAL = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")

    def __init__(self, scratch, name="agx-orin"):
        super().__init__(scratch, name)
        self.device_tree(["nvidia,p3737-0000+p3701-0000", "nvidia,p3701-0000", "nvidia,tegra234"],
                         "NVIDIA Jetson AGX Orin Developer Kit")
        self.base = {0x40: self.ina3221(3, 1, 0x40, ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]),
                     0x41: self.ina3221(4, 1, 0x41, ["NC", "VDDQ_VDD2_1V8AO", "NC"])}
        self.text("/proc/meminfo", "MemTotal:       64349200 kB\n")
        self.text("/proc/cpuinfo", "".join(f"processor\t: {i}\n\n" for i in range(12)))
        for rail in self.RAILS:
            self.power(rail, 1000)

    def power(self, rail, mw):
        """Sets a rail to about `mw`; the exact power in uW that the files now say."""
        chip, channel = self.RAILS[rail]
        mv = 5000
        ma = round(mw * 1000 / mv)
        self.number(f"{self.base[chip]}/in{channel}_input", mv)
        self.number(f"{self.base[chip]}/curr{channel}_input", ma)
        return mv * ma


class X86(Board):
    """Two packages with core, uncore and dram, psys, and the MMIO twin of package 0."""

    def __init__(self, scratch, name="x86"):
        super().__init__(scratch, name)
        self.zones = {}
        for package in (0, 1):
            top = f"intel-rapl:{package}"
            self.zones[f"package-{package}"] = self.rapl(top, f"package-{package}")
            for i, part in enumerate(("core", "uncore", "dram")):
                self.zones[f"{part}-{package}"] = self.rapl(f"{top}:{i}", part)
        self.zones["psys"] = self.rapl("intel-rapl:2", "psys")
        self.zones["mmio"] = self.rapl("intel-rapl-mmio:0", "package-0")
        self.text("/proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz\n\n")
        self.text("/proc/meminfo", "MemTotal:       16000000 kB\n")

    def energy(self, zone, uj):
        self.number(f"{self.zones[zone]}/energy_uj", uj)
