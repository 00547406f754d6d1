#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a unit; as a program, runs a command under what the unit's filters let through: unitfile.py UNIT COMMAND...

Where the service manager would answer an error the kernel kills, so that nothing passes unseen."""
import functools
import mmap
import os
import socket
import subprocess
import sys

SET_ID = 0o6000


def read(path):
    """[(section, key, value)] in order."""
    out, section = [], None
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if line.startswith("["):
                section = line.strip("[]")
            elif line and line[0] not in "#;":
                key, _, value = line.partition("=")
                out.append((section, key, value))
    return out


def values(path, key):
    """The words of all lines with that key."""
    return [word for _, name, value in read(path) if name == key for word in value.split()]


@functools.lru_cache(None)
def group(name):
    """The system calls of a group, as this machine's systemd has it."""
    out = set()
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True).stdout
    for word in listed.split("\n")[1:]:
        word = word.strip()
        if word.startswith("@"):
            out |= group(word)
        elif word and not word.startswith("#"):
            out.add(word)
    return out


def system_calls(path):
    """All that the unit lets through; it has to be a list of what is allowed."""
    words = values(path, "SystemCallFilter")
    assert words and not any(word.startswith("~") for word in words), words
    return set().union(*(group(word) if word.startswith("@") else {word} for word in words))


def enter(path):
    """Puts this process under the unit's filters."""
    import seccomp
    rules = seccomp.SyscallFilter(defaction=seccomp.KILL_PROCESS)

    def allow(name, *conditions):
        try:
            rules.add_rule(seccomp.ALLOW, name, *conditions)
        except (RuntimeError, ValueError):
            pass  # not on this machine

    on = {key for _, key, value in read(path) if value == "yes"}
    masks = {}  # system call: (argument, bits it may not have)
    if "RestrictSUIDSGID" in on:
        masks.update({"chmod": (1, SET_ID), "fchmod": (1, SET_ID), "fchmodat": (2, SET_ID), "mkdir": (1, SET_ID),
                      "mkdirat": (2, SET_ID)})
    if "MemoryDenyWriteExecute" in on:
        masks["mprotect"] = (2, mmap.PROT_EXEC)
    for name in system_calls(path):
        if name == "socket":
            for family in values(path, "RestrictAddressFamilies"):
                allow(name, seccomp.Arg(0, seccomp.EQ, getattr(socket, family)))
            # glibc asks the kernel for its addresses, and does without where the answer is no.
            rules.add_rule(seccomp.ERRNO(97), "socket", seccomp.Arg(0, seccomp.EQ, socket.AF_NETLINK))
        elif name in masks:
            allow(name, seccomp.Arg(masks[name][0], seccomp.MASKED_EQ, masks[name][1], 0))
        else:
            allow(name)
    rules.load()


if __name__ == "__main__":
    enter(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
