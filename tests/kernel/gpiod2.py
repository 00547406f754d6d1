# SPDX-License-Identifier: Apache-2.0
"""libgpiod 2, from the source package of a newer Debian: Debian 12 has 1.6 only."""
import glob
import os
import re
import shutil
import subprocess
import tempfile

PC = """prefix=/usr
Name: libgpiod
Description: Library for the Linux GPIO character device
Version: {version}
Libs: -L${{prefix}}/lib/{triplet} -lgpiod
Cflags: -I${{prefix}}/include
"""


def build(arch, cc, ar, tarball, prefix):
    """A static libgpiod for `arch`, its header and its pkg-config file below `prefix`, which stands for /usr. Its eleven
    files need no configure."""
    def run(*words, **more):
        return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, **more).stdout.strip()

    triplet = run(cc, "-dumpmachine")
    version = re.search(r"libgpiod_([0-9.]+)\.orig\.", os.path.basename(tarball)).group(1)
    library = os.path.join(prefix, "lib", triplet)
    os.makedirs(f"{library}/pkgconfig", exist_ok=True)
    os.makedirs(f"{prefix}/include", exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"libgpiod-{arch}-") as folder:
        run("tar", "-xf", os.path.abspath(tarball), "-C", folder, "--strip-components=1")
        run(cc, "-c", "-O2", "-std=gnu89", "-D_GNU_SOURCE", f'-DGPIOD_VERSION_STR="{version}"', "-ffunction-sections",
            f"-I{folder}/include", *glob.glob(f"{folder}/lib/*.c"), cwd=folder)
        if os.path.exists(f"{library}/libgpiod.a"):
            os.remove(f"{library}/libgpiod.a")
        run(ar, "rcs", f"{library}/libgpiod.a", *glob.glob(f"{folder}/*.o"))
        shutil.copy(f"{folder}/include/gpiod.h", f"{prefix}/include")
    with open(f"{library}/pkgconfig/libgpiod.pc", "w", encoding="ascii") as file:
        file.write(PC.format(version=version, triplet=triplet))
