#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes what the guests boot: Debian's kernels, its drivers that it does not build, our test modules, static agents.

usage: build.py FOLDER [ARCH...]

Debian's packages are unpacked in FOLDER, never installed. What is there and up to date is not made again."""
import glob
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile

import gpiod2
from debian import Debian, unpack

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
JOBS = str(os.cpu_count())

ARCHES = {
    "arm64": {"triplet": "aarch64-linux-gnu", "tools": "aarch64-linux-gnu-", "cmake": "aarch64"},
    "amd64": {"triplet": "x86_64-linux-gnu", "tools": "", "cmake": "x86_64"},
}
# Drivers that Debian does not build (i2c-stub and the hwmon ones on one of the two at least), from its own source.
SOURCES = {
    "ina3221.c": "drivers/hwmon/ina3221.c", "ina2xx.c": "drivers/hwmon/ina2xx.c", "ina238.c": "drivers/hwmon/ina238.c",
    "i2c-stub.c": "drivers/i2c/i2c-stub.c", "gpio-sim.c": "drivers/gpio/gpio-sim.c", "gpiolib.h": "drivers/gpio/gpiolib.h",
    "irq_sim_debian.c": "kernel/irq/irq_sim.c", "test_power.c": "drivers/power/supply/test_power.c",
}
# Static libraries and their headers, for the agent and the guests' programs.
LIBRARIES = ("libconfig-dev", "libjansson-dev", "libpaho-mqtt-dev", "libssl-dev", "libi2c-dev", "libgpiod-dev")


def run(*words, **more):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          text=True, errors="replace", **more)
    if done.returncode:
        raise SystemExit(f"kernel rig: {' '.join(words)} failed:\n{done.stdout[-6000:]}")
    return done.stdout


class Step:
    """One thing made in a folder, of inputs that are hashed: made anew when one of them changed."""

    def __init__(self, folder, *inputs):
        self.folder, self.stamp = folder, f"{folder}.made"
        digest = hashlib.sha256()
        for one in inputs:
            if os.path.exists(one):
                with open(one, "rb") as file:
                    digest.update(os.path.basename(one).encode() + b"\0" + file.read())
            else:
                digest.update(one.encode())
        self.digest = digest.hexdigest()

    def __enter__(self):
        self.due = not os.path.exists(self.stamp) or open(self.stamp, encoding="ascii").read() != self.digest
        if self.due:
            print(f"kernel rig: {os.path.relpath(self.folder)}", file=sys.stderr, flush=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            os.makedirs(self.folder)
        return self

    def __exit__(self, kind, *_):
        if self.due and kind is None:
            with open(self.stamp, "w", encoding="ascii") as file:
                file.write(self.digest)


class Kernel:
    """Debian's kernel of one version: images for both machines, headers, sources of single drivers."""

    def __init__(self, home):
        self.home, self.debian = home, Debian(os.path.join(home, "debian"))
        self.lock = os.path.join(home, "debian", "kernel")  # what the folder was made with
        if not os.path.exists(self.lock):
            self.debian.update()
            package = self.debian.depends("linux-image-amd64")[0]
            with open(self.lock, "w", encoding="ascii") as file:
                file.write(f"{package} {self.debian.version(package)}\n")
        with open(self.lock, encoding="ascii") as file:
            package, self.version = file.read().split()
        self.abi = re.fullmatch(r"linux-image-(.*)-amd64", package).group(1)  # 6.1.0-56
        self.series = ".".join(self.abi.split(".")[:2])                       # 6.1

    def release(self, arch):
        return f"{self.abi}-{arch}"

    def packages(self, *names):
        return self.debian.fetch(*names)

    def headers(self):
        """One tree with the headers of both machines; Debian's Makefiles include each other by absolute paths."""
        folder = os.path.join(self.home, "headers")
        with Step(folder, self.version) as step:
            if step.due:
                same = f"={self.version}"
                names = [f"linux-headers-{self.abi}-common{same}", f"linux-kbuild-{self.series}{same}"]
                names += [f"linux-headers-{self.release(arch)}:{arch}{same}" for arch in ARCHES]
                for deb in self.packages(*names):
                    unpack(deb, folder)
                common = f"{folder}/usr/src/linux-headers-{self.abi}-common"
                for arch in ARCHES:
                    with open(f"{folder}/usr/src/linux-headers-{self.release(arch)}/Makefile", "w", encoding="ascii") as file:
                        file.write(f"include {common}/Makefile\n")
        return folder

    def sources(self):
        folder = os.path.join(self.home, "sources")
        with Step(folder, self.version, str(SOURCES)) as step:
            if step.due:
                deb, = self.packages(f"linux-source-{self.series}={self.version}")
                unpack(deb, f"{folder}/deb")
                wanted = {f"linux-source-{self.series}/{path}": name for name, path in SOURCES.items()}
                with tarfile.open(f"{folder}/deb/usr/src/linux-source-{self.series}.tar.xz", "r|xz") as archive:
                    for member in archive:
                        name = wanted.pop(member.name.removeprefix("./"), None)
                        if name:
                            with open(f"{folder}/{name}", "wb") as file:
                                file.write(archive.extractfile(member).read())
                        if not wanted:
                            break
                shutil.rmtree(f"{folder}/deb")
                if wanted:
                    raise SystemExit(f"kernel rig: linux-source-{self.series} lacks {', '.join(wanted)}")
        return folder

    def image(self, arch):
        """Unpacked: boot/vmlinuz and lib/modules. Of x86 also the ELF kernel inside, which boots without a BIOS."""
        folder = os.path.join(self.home, arch, "image")
        with Step(folder, self.version) as step:
            if step.due:
                deb, = self.packages(f"linux-image-{self.release(arch)}:{arch}={self.version}")
                unpack(deb, folder)
                shutil.copy(f"{folder}/boot/vmlinuz-{self.release(arch)}", f"{folder}/kernel")
                if arch == "amd64":
                    with open(f"{folder}/kernel", "rb") as file:
                        kernel = payload(file.read())
                    with open(f"{folder}/kernel", "wb") as file:
                        file.write(kernel)
        return folder


def payload(image):
    """The ELF kernel in a bzImage (Linux, Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length)."""
    start = ((image[0x1f1] or 4) + 1) * 512 + struct.unpack_from("<I", image, 0x248)[0]
    length = struct.unpack_from("<I", image, 0x24c)[0]
    return lzma.LZMADecompressor().decompress(image[start:start + length])


def modules(kernel, arch):
    """Debian's drivers and our modules, beside the image's own ones and known to modprobe there."""
    folder = os.path.join(kernel.home, arch, "modules")
    headers, sources, image = kernel.headers(), kernel.sources(), kernel.image(arch)
    ours = sorted(glob.glob(f"{HERE}/modules/*"))
    with Step(folder, kernel.version, str(SOURCES), *ours) as step:
        if step.due:
            for one in [*ours, *glob.glob(f"{sources}/*.[ch]")]:
                shutil.copy(one, folder)
            run("make", "-C", f"{headers}/usr/src/linux-headers-{kernel.release(arch)}", f"M={folder}",
                f"CROSS_COMPILE={ARCHES[arch]['tools']}", "CONFIG_DEBUG_INFO_BTF_MODULES=", f"-j{JOBS}", "modules")
            updates = f"{image}/lib/modules/{kernel.release(arch)}/updates"
            shutil.rmtree(updates, ignore_errors=True)
            os.makedirs(updates)
            for one in glob.glob(f"{folder}/*.ko"):
                run(f"{ARCHES[arch]['tools']}strip", "--strip-debug", "-o", f"{updates}/{os.path.basename(one)}", one)
            run("depmod", "-b", image, kernel.release(arch))
    return folder


def libraries(kernel, arch):
    """A folder with static libraries and headers, Debian's and libcbor (whose package has no static one)."""
    folder = os.path.join(kernel.home, arch, "libraries")
    how = f"{HERE}/static.cmake"
    with Step(folder, how, *LIBRARIES) as step:
        if step.due:
            kernel.debian.update()
            for deb in kernel.packages(*(f"{name}:{arch}" for name in LIBRARIES)):
                unpack(deb, folder)
            source = os.path.join(kernel.home, arch, "libcbor")
            unpack_tar(kernel.debian.fetch_source("libcbor"), source)
            run("cmake", "-S", source, "-B", f"{source}/build", "-G", "Ninja", *toolchain(arch, folder), "-DCMAKE_BUILD_TYPE=Release",
                "-DWITH_EXAMPLES=OFF", "-DSANITIZE=OFF", "-DBUILD_SHARED_LIBS=OFF", "-DCMAKE_INSTALL_PREFIX=/usr",
                f"-DCMAKE_INSTALL_LIBDIR=lib/{ARCHES[arch]['triplet']}")
            run("cmake", "--build", f"{source}/build", "-j", JOBS)
            run("cmake", "--install", f"{source}/build", env={**os.environ, "DESTDIR": folder})
    return folder


def gpiod(kernel, arch):
    """The libraries with libgpiod 2 in place of 1.6."""
    folder = os.path.join(kernel.home, arch, "libraries-gpiod2")
    one = libraries(kernel, arch)
    with Step(folder, gpiod2.__file__, f"{one}.made") as step:
        if step.due:
            kernel.debian.update()
            tarball = kernel.debian.fetch_source("libgpiod")
            shutil.copytree(one, folder, symlinks=True, dirs_exist_ok=True)
            for path in glob.glob(f"{folder}/usr/lib/*/libgpiod*") + glob.glob(f"{folder}/usr/include/gpiod*"):
                os.remove(path)
            gpiod2.build(arch, ARCHES[arch]["tools"] + "gcc", ARCHES[arch]["tools"] + "ar", tarball, f"{folder}/usr")
    return folder


def unpack_tar(tarball, folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    run("tar", "-xf", tarball, "-C", folder, "--strip-components=1")


def toolchain(arch, libraries_):
    return (f"-DCMAKE_TOOLCHAIN_FILE={HERE}/static.cmake", f"-DRIG_ARCH={ARCHES[arch]['cmake']}", f"-DRIG_TOOLS={ARCHES[arch]['tools']}",
            f"-DRIG_TRIPLET={ARCHES[arch]['triplet']}", f"-DRIG_ROOT={libraries_}")


def agent(kernel, arch, libraries_, name):
    """build.ninja knows what changed: no stamp."""
    folder = os.path.join(kernel.home, arch, name)
    if not os.path.exists(f"{folder}/build.ninja"):
        run("cmake", "-S", TREE, "-B", folder, "-G", "Ninja", *toolchain(arch, libraries_), "-DJOULEPOST_WERROR=ON", "-DJOULEPOST_TESTS=OFF")
    run("ninja", "-C", folder, "-j", JOBS, "joulepost")
    run(f"{ARCHES[arch]['tools']}strip", "-o", f"{folder}/joulepost.stripped", f"{folder}/joulepost")
    kind = run("file", f"{folder}/joulepost.stripped")
    if "statically linked" not in kind:
        raise SystemExit(f"kernel rig: not static: {kind}")


def programs(kernel, arch, libraries_):
    folder = os.path.join(kernel.home, arch, "programs")
    sources = sorted(glob.glob(f"{HERE}/programs/*.c"))
    with Step(folder, *sources) as step:
        if step.due:
            triplet = ARCHES[arch]["triplet"]
            for one in sources:
                run(f"{ARCHES[arch]['tools']}gcc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", "-static",
                    "-isystem", f"{libraries_}/usr/include", "-o", f"{folder}/{os.path.basename(one)[:-2]}", one,
                    f"-L{libraries_}/usr/lib/{triplet}", "-li2c", "-lgpiod")


def busybox(kernel, arch):
    folder = os.path.join(kernel.home, arch, "busybox")
    with Step(folder, "busybox-static") as step:
        if step.due:
            kernel.debian.update()
            deb, = kernel.packages(f"busybox-static:{arch}")
            unpack(deb, folder)


def main():
    home, arches = os.path.abspath(sys.argv[1]), sys.argv[2:] or list(ARCHES)
    os.makedirs(os.path.join(home, "debian"), exist_ok=True)
    kernel = Kernel(home)
    for arch in arches:
        modules(kernel, arch)
        busybox(kernel, arch)
        found = libraries(kernel, arch)
        programs(kernel, arch, found)
        agent(kernel, arch, found, "agent")
        agent(kernel, arch, gpiod(kernel, arch), "agent-gpiod2")


if __name__ == "__main__":
    main()
