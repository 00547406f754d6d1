# SPDX-License-Identifier: Apache-2.0
"""Debian packages to look into, never to install: fetched with apt from where this machine gets its own, unpacked."""
import os
import re
import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
NEWER = "trixie"  # sources that Debian 12 has too old, or without a static library


class Debian:
    """A private apt state in `home`: the host's architectures and lists stay as they are."""

    def __init__(self, home):
        self.home, self.pool = home, os.path.join(home, "pool")
        for folder in ("pool", "lists/partial", "cache/archives/partial", "sources.d"):
            os.makedirs(os.path.join(home, folder), exist_ok=True)
        open(os.path.join(home, "status"), "a", encoding="ascii").close()
        # Without the list of this machine's own sources by name: apt reads /etc/apt, and one folder of ours.
        with open(os.path.join(home, "apt.conf"), "w", encoding="ascii") as file:
            file.write(f'APT::Architecture "amd64";\nAPT::Architectures {{ "amd64"; "arm64"; }};\nAPT::Sandbox::User "root";\n'
                       f'Dir::State "{home}"; Dir::State::status "{home}/status"; Dir::State::lists "{home}/lists";\n'
                       f'Dir::Cache "{home}/cache"; Acquire::Languages "none"; Acquire::Retries "3";\n')
        self.fresh = False

    def apt(self, *words):
        environment = {**os.environ, "APT_CONFIG": os.path.join(self.home, "apt.conf"), "LC_ALL": "C"}
        done = subprocess.run(words, cwd=self.pool, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, text=True)
        if done.returncode:
            raise SystemExit(f"kernel rig: {' '.join(words)} failed:\n{done.stdout}")
        return done.stdout

    def mirror(self):
        """Where this machine gets Debian's main archive from."""
        targets = self.apt("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages")
        for line in targets.splitlines():
            uri, _, codename = line.partition(" ")
            if codename == "bookworm":
                return uri
        raise SystemExit("kernel rig: apt knows no source of Debian 12 (bookworm)")

    def update(self):
        """Once a process: the lists, those of the newer sources too."""
        if self.fresh:
            return
        self.apt("apt-get", "-qq", "update")
        parts = os.path.join(self.home, "sources.d")
        with open(os.path.join(parts, "newer.list"), "w", encoding="ascii") as file:
            file.write(f"deb-src [signed-by={KEYRING}] {self.mirror()} {NEWER} main\n")
        self.newer = ("-o", f"Dir::Etc::sourceparts={parts}", "-o", "Dir::Etc::sourcelist=/dev/null",
                      "-o", f"Dir::State::lists={self.home}/lists-newer")
        os.makedirs(os.path.join(self.home, "lists-newer/partial"), exist_ok=True)
        self.fresh = True

    def depends(self, package):
        """The packages that a (meta) package depends on."""
        return [line.split(": ")[1] for line in self.apt("apt-cache", "depends", package).splitlines() if "Depends: " in line]

    def version(self, package):
        lines = self.apt("apt-cache", "policy", package).splitlines()
        return next(line.split()[-1] for line in lines if "Candidate:" in line)

    def fetch(self, *packages):
        """name[:arch][=version]...; the files, fetched unless they are here already."""
        shown = self.apt("apt-cache", "show", "--no-all-versions", *packages)
        files = [f"{name}_{version.replace(':', '%3a')}_{arch}.deb" for name, version, arch in zip(
            *(re.findall(rf"^{field}: (.*)$", shown, re.M) for field in ("Package", "Version", "Architecture")))]
        if not all(os.path.exists(os.path.join(self.pool, name)) for name in files):
            self.apt("apt-get", "-q", "download", *packages)
        return [os.path.join(self.pool, name) for name in files]

    def fetch_source(self, package):
        """The upstream tarball of a source package of the newer Debian, checked by apt."""
        for _ in range(2):
            found = sorted(name for name in os.listdir(self.pool) if name.startswith(f"{package}_") and ".orig.tar." in name)
            if found:
                return os.path.join(self.pool, found[-1])
            self.apt("apt-get", "-qq", *self.newer, "update")
            self.apt("apt-get", "-q", *self.newer, "source", "--download-only", "--tar-only", f"{package}/{NEWER}")
        raise SystemExit(f"kernel rig: the source of {package} did not come")


def unpack(deb, folder):
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
