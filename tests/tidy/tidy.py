#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The style guide as a test: what of it a program can check, on this tree and on a small bad one."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

TREE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

# Who may include whom: data flows downstream, includes point upstream. What is listed is seen with what it sees.
INCLUDES = {
    "drivers": [],
    "boards": ["drivers"],
    "agent/base": [],
    "agent/measure": ["agent/base", "drivers"],
    "agent/carbon": ["agent/base"],
    "agent/keep": ["agent/base"],
    "agent/send": ["agent/base", "agent/measure", "agent/carbon"],
    "agent/report": ["agent/base", "agent/measure", "agent/carbon", "agent/keep", "agent/send"],
    "agent": ["agent/base", "agent/measure", "agent/carbon", "agent/keep", "agent/send", "agent/report", "boards", "drivers"],
}

LICENCE = "Apache-2.0"
KERNEL_LICENCE = "GPL-2.0"  # what the kernel's functions for modules ask of a test module
FILE_LINES = 400
FUNCTION_LINES = 70
BLOB_BYTES = 512 * 1024

# Each banned call and what to use instead.
BANNED = {
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "strcpy": "snprintf", "strcat": "snprintf", "strncpy": "snprintf",
    "strncat": "snprintf", "gets": "fgets", "atoi": "strtol", "atol": "strtol", "atoll": "strtoll", "atof": "strtod",
    "strtok": "strcspn", "system": "fork and exec", "popen": "fork and exec", "tmpnam": "mkstemp", "mktemp": "mkstemp",
    "alloca": "a bounded array", "signal": "sigaction", "rand": "entropy.h", "usleep": "the clock door",
    "gmtime": "gmtime_r", "localtime": "localtime_r", "strerror_l": "strerror",
}
ALLOCATION = ("malloc", "calloc", "realloc", "free", "strdup", "strndup", "asprintf", "vasprintf", "aligned_alloc",
              "posix_memalign", "reallocarray", "getline", "fopen", "opendir")
# The doors: outside of them nobody calls these.
DOORS = {
    "clock_gettime": ("agent/base/clock.c",), "clock_nanosleep": ("agent/base/clock.c",), "nanosleep": (),
    "sleep": (), "gettimeofday": (), "time": (), "getrandom": ("agent/base/entropy.c",),
}
# Split, so that this file does not hold them.
LATER = re.compile(r"\b(TO" r"DO|FIX" r"ME|HA" r"CK)\b")
FOREIGN = re.compile(r"/wo" r"rk/|\.\./sha" r"red|/ho" r"me/\w+|/ro" r"ot/|\.pye" r"nv")
MAY_NAME_FOREIGN = {".ci/run"}
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def list_files(root):
    """The tree's own files: git's view, new files included, or everything but build folders without git."""
    if os.path.exists(os.path.join(root, ".git")):
        out = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root,
                             check=True, stdout=subprocess.PIPE).stdout.decode()
        names = [name for name in out.split("\0") if name]
    else:
        names = []
        for folder, folders, files in os.walk(root):
            folders[:] = [f for f in folders if f not in ("dist", "__pycache__") and not f.startswith("build")]
            names += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(name for name in names if os.path.isfile(os.path.join(root, name)))


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def code_of(text):
    """C without comments and texts; line numbers stay."""
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


class Tree:
    def __init__(self, root):
        self.root = root
        self.names = list_files(root)
        self.bytes = {}
        self.texts = {}
        for name in self.names:
            with open(os.path.join(root, name), "rb") as file:
                data = file.read()
            self.bytes[name] = len(data)
            if b"\0" not in data:
                self.texts[name] = data.decode("utf-8", "replace")

    def ending(self, *endings):
        return [name for name in self.names if name.endswith(endings) and name in self.texts]

    def sources(self):
        return self.ending(".c", ".h")

    def program(self):
        return [name for name in self.sources() if name.startswith(("agent/", "drivers/", "boards/"))]


def room_of(name):
    """The room of INCLUDES a file stands in, None outside of them."""
    folder = os.path.dirname(name)
    while folder and folder not in INCLUDES:
        folder = os.path.dirname(folder)
    return folder or None


def rooms_seen(room):
    seen, wanted = set(), [room]
    while wanted:
        one = wanted.pop()
        if one not in seen:
            seen.add(one)
            wanted += INCLUDES[one]
    return seen


def includes_point_upstream(tree):
    homes = {os.path.basename(name): room_of(name) for name in tree.program() if name.endswith(".h")}
    for name in tree.sources():
        for header in re.findall(r'^\s*#\s*include\s+"([^"]+)"', tree.texts[name], re.M):
            if "/" in header:
                yield name, f'include "{header}" by its bare name'
            home, room = homes.get(os.path.basename(header)), room_of(name)
            if home and room and home not in rooms_seen(room):
                yield name, f"{room} may not include {header} of {home}"


def spdx_comes_first(tree):
    for name in tree.names:
        if name not in tree.texts:
            continue
        lines = tree.texts[name].split("\n")
        if name.endswith((".c", ".h", ".py", ".sh")) or lines[0].startswith("#!"):
            first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
            licence = KERNEL_LICENCE if name.startswith("tests/kernel/modules/") else LICENCE
            if first not in (f"// SPDX-License-Identifier: {licence}", f"# SPDX-License-Identifier: {licence}"):
                yield name, "the SPDX line does not come first"


def files_and_functions_are_short(tree):
    for name in (name for name in tree.program() if name.endswith(".c")):
        lines = tree.texts[name].split("\n")
        if len(lines) - 1 > FILE_LINES:
            yield name, f"{len(lines) - 1} lines, at most {FILE_LINES}"
        head = begin = None
        for number, line in enumerate(lines, 1):
            if begin is None and re.match(r"[A-Za-z_].*\(", line):
                head = number
            if line == "{":
                begin = head or number
            elif line.startswith("}") and begin:
                if line == "}" and number - begin + 1 > FUNCTION_LINES:
                    yield name, f"the function at line {begin} has {number - begin + 1} lines, at most {FUNCTION_LINES}"
                begin = None


def calls(tree, name, words):
    code = code_of(tree.texts[name])
    for match in re.finditer(r"(?<![\w.>])(" + "|".join(words) + r")\s*\(", code):
        yield match.group(1), code.count("\n", 0, match.start()) + 1


def banned_calls_are_absent(tree):
    for name in tree.program():
        for word, line in calls(tree, name, BANNED):
            yield name, f"line {line}: {word} is banned, use {BANNED[word]}"


def sampling_never_allocates(tree):
    for name in tree.program():
        if name.startswith("agent/measure/"):
            for word, line in calls(tree, name, ALLOCATION):
                yield name, f"line {line}: {word} in the sampling path"


def time_comes_through_the_door(tree):
    for name in tree.program():
        for word, line in calls(tree, name, DOORS):
            if name not in DOORS[word]:
                yield name, f"line {line}: {word} past the door"


def a_kernel_driver_is_never_passed(tree):
    for name in tree.program():
        for word in re.findall(r"\b(I2C_SLAVE_FORCE|I2C_RDWR)\b", code_of(tree.texts[name])):
            yield name, f"{word} reaches a chip that a kernel driver holds, use I2C_SLAVE"


def nothing_is_left_for_later(tree):
    for name, text in tree.texts.items():
        for match in LATER.finditer(text):
            yield name, f"{match.group(1)} at line {text.count(chr(10), 0, match.start()) + 1}"


def the_project_speaks_of_itself(tree):
    for name, text in tree.texts.items():
        for match in FOREIGN.finditer(text):
            if name not in MAY_NAME_FOREIGN:
                yield name, f"a path of some machine at line {text.count(chr(10), 0, match.start()) + 1}"


def pages_have_titles(tree):
    for name in tree.ending(".md"):
        if not tree.texts[name].startswith("# "):
            yield name, "no title on the first line"


def no_big_blobs(tree):
    for name, size in tree.bytes.items():
        if size > BLOB_BYTES:
            yield name, f"{size} bytes, at most {BLOB_BYTES}"


def changelog_has_its_shape(tree):
    text = tree.texts.get("CHANGELOG.md", "")
    if not text.startswith("# Changelog\n"):
        yield "CHANGELOG.md", "does not begin with its title"
    releases = re.findall(r"^## (.*)$", text, re.M)
    if not releases or releases[0] != "[Unreleased]":
        yield "CHANGELOG.md", "the first release is not [Unreleased]"
    for release in releases[1:]:
        if not re.match(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}$", release):
            yield "CHANGELOG.md", f"a release is [X.Y.Z] - YYYY-MM-DD, not {release}"
    for section in re.findall(r"^### (.*)$", text, re.M):
        if section not in SECTIONS:
            yield "CHANGELOG.md", f"unknown section {section}"


def every_test_is_listed(tree):
    for folder, ending, verb in (("unit", ".c", "jp_unit_test"), ("system", ".py", "jp_system_test"),
                                 ("kernel", ".py", "jp_kernel_test")):
        listed = set(re.findall(verb + r"\(\s*(\w+)", tree.texts.get(f"tests/{folder}/tests.cmake", "")))
        found = {name[len(f"tests/{folder}/test_"):-len(ending)] for name in tree.ending(ending)
                 if name.startswith(f"tests/{folder}/test_")}
        for one in sorted(found - listed):
            yield f"tests/{folder}/test_{one}{ending}", "not in tests.cmake: it would never run"


def every_test_asserts(tree):
    for name in tree.ending(".c"):
        if not name.startswith("tests/unit/"):
            continue
        text = tree.texts[name]
        bodies = dict(re.findall(r"^static [\w ]+[ *](\w+)\([^;{]*\)\n\{\n(.*?)^\}", text, re.M | re.S))
        judges = {one for one, body in bodies.items() if re.search(r"\b(assert|fail|expect)", body)}
        while True:  # who calls a judge is one
            more = {one for one, body in bodies.items() if set(re.findall(r"\w+", body)) & judges} - judges
            if not more:
                break
            judges |= more
        for one in bodies:
            if f"cmocka_unit_test({one})" in text and one not in judges:
                yield name, f"{one} asserts nothing"


def sources_are_formatted(tree):
    names = tree.sources()
    if names:
        run = subprocess.run(["clang-format", "--dry-run", "-Werror", "--style=file:" + os.path.join(TREE, ".clang-format")]
                             + names, cwd=tree.root, stderr=subprocess.PIPE, universal_newlines=True)
        for name in sorted({line.split(":")[0] for line in run.stderr.split("\n") if "clang-format-violations" in line}):
            yield name, "not formatted: ./dev format"
        if run.returncode and "clang-format-violations" not in run.stderr:
            yield "", "clang-format failed: " + run.stderr


RULES = (includes_point_upstream, spdx_comes_first, files_and_functions_are_short, banned_calls_are_absent,
         sampling_never_allocates, time_comes_through_the_door, a_kernel_driver_is_never_passed, nothing_is_left_for_later,
         the_project_speaks_of_itself, pages_have_titles, no_big_blobs, changelog_has_its_shape, every_test_is_listed, every_test_asserts,
         sources_are_formatted)

SPDX_C = "// SPDX-License-Identifier: Apache-2.0\n"
GOOD_CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n"

# For each rule the smallest files that break it, and nothing else.
BAD = {
    "includes_point_upstream": [
        {"agent/base/a.c": SPDX_C + '#include "window.h"\n', "agent/measure/window.h": SPDX_C},
        {"drivers/a.c": SPDX_C + '#include "clock.h"\n', "agent/base/clock.h": SPDX_C},
        {"agent/keep/a.c": SPDX_C + '#include "grid.h"\n', "agent/carbon/grid.h": SPDX_C},
        {"agent/keep/a.c": SPDX_C + '#include "../base/clock.h"\n', "agent/base/clock.h": SPDX_C},
    ],
    "spdx_comes_first": [{"agent/a.h": "// Late.\n" + SPDX_C}, {"tool": "#!/bin/sh\necho\n"}, {"tests/a.py": "print()\n"},
                         {"tests/kernel/modules/a.c": SPDX_C}, {"agent/a.h": SPDX_C.replace(LICENCE, KERNEL_LICENCE)}],
    "files_and_functions_are_short": [
        {"agent/a.c": SPDX_C + "int a;\n" * FILE_LINES},
        {"agent/a.c": SPDX_C + "int jp_a(void)\n{\n" + "    jp_b();\n" * 68 + "}\n"},
    ],
    "banned_calls_are_absent": [{"agent/a.c": SPDX_C + "int a = atoi(b);\n"}, {"drivers/a.c": SPDX_C + "int a = strcpy(b, c);\n"}],
    "sampling_never_allocates": [{"agent/measure/a.c": SPDX_C + "void *a = malloc(1);\n"}],
    "time_comes_through_the_door": [{"agent/a.c": SPDX_C + "int a = clock_gettime(b, c);\n"}],
    "a_kernel_driver_is_never_passed": [{"drivers/a.c": SPDX_C + "int a = ioctl(b, I2C_SLAVE_FORCE, c);\n"}],
    "nothing_is_left_for_later": [{"agent/a.c": SPDX_C + "// TO" "DO: write it\n"}],
    "the_project_speaks_of_itself": [{"docs/a.md": "# Title\n\nSee /wo" "rk/main.\n"}],
    "pages_have_titles": [{"docs/a.md": "Text.\n"}],
    "no_big_blobs": [{"docs/a.bin": "\0" * (BLOB_BYTES + 1)}],
    "changelog_has_its_shape": [
        {"CHANGELOG.md": "# Changelog\n\n## 0.1.0\n"},
        {"CHANGELOG.md": GOOD_CHANGELOG + "\n### Improved\n"},
        {"CHANGELOG.md": GOOD_CHANGELOG + "\n## v1\n"},
    ],
    "every_test_is_listed": [
        {"tests/unit/test_a.c": SPDX_C, "tests/unit/tests.cmake": "jp_unit_test(b jp_base)\n"},
        {"tests/system/test_a.py": "# SPDX-License-Identifier: Apache-2.0\n"},
        {"tests/kernel/test_a.py": "# SPDX-License-Identifier: Apache-2.0\n"},
    ],
    "every_test_asserts": [{
        "tests/unit/test_a.c": SPDX_C + "static void a_holds(void **state)\n{\n    (void)state;\n}\n\n"
                               "static int main_(void)\n{\n    return cmocka_unit_test(a_holds);\n}\n",
        "tests/unit/tests.cmake": "jp_unit_test(a jp_base)\n"}],
    "sources_are_formatted": [{"agent/a.c": SPDX_C + "int   a;\n"}],
}
GOOD = {
    "agent/measure/a.c": SPDX_C + '#include "clock.h"\n#include "driver.h"\n// strcpy() and malloc() in a comment\n'
                         'const char *a = "system(1)";\n',
    "agent/base/clock.h": SPDX_C, "drivers/driver.h": SPDX_C, "docs/a.md": "# Title\n",
}


class Tidy(unittest.TestCase):
    def found(self, files, rules=RULES):
        with tempfile.TemporaryDirectory() as root:
            for name, text in {"CHANGELOG.md": GOOD_CHANGELOG, **files}.items():
                os.makedirs(os.path.join(root, os.path.dirname(name)), exist_ok=True)
                with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                    file.write(text)
            tree = Tree(root)
            return {rule.__name__ for rule in rules if list(rule(tree))}

    def test_a_good_tree_passes(self):
        self.assertEqual(self.found(GOOD), set())

    def test_each_rule_catches_its_violation_and_only_it(self):
        self.assertEqual(set(BAD), {rule.__name__ for rule in RULES})
        for rule, trees in BAD.items():
            for files in trees:
                with self.subTest(rule=rule, files=sorted(files)):
                    self.assertEqual(self.found(files), {rule})


def add_rule_test(rule):
    def test(self):
        findings = [f"{name}: {what}" for name, what in rule(self.tree)]
        self.assertEqual(findings, [], "\n" + "\n".join(findings))
    setattr(ThisTree, "test_" + rule.__name__, test)


class ThisTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = Tree(TREE)


for each in RULES:
    add_rule_test(each)

if __name__ == "__main__":
    unittest.main(argv=sys.argv)
