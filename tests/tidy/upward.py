#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The compiler enforces the house: with a library's own include paths an upward include does not compile."""
import os
import subprocess
import sys
import unittest

# For each library a header it must see, and those it must not.
SEES = {
    "jp_base": ("clock.h", ["window.h", "driver.h", "hot.h", "grid.h", "config.h"]),
    "jp_drivers": ("site.h", ["clock.h", "log.h", "board.h", "window.h"]),
    "jp_boards": ("board.h", ["clock.h", "window.h", "config.h"]),
    "jp_measure": ("driver.h", ["hot.h", "posting.h", "grid.h", "config.h", "board.h"]),
    "jp_carbon": ("grid.h", ["window.h", "driver.h", "posting.h", "config.h"]),
    "jp_keep": ("fs.h", ["window.h", "driver.h", "posting.h", "grid.h", "config.h"]),
    "jp_report": ("walk.h", ["config.h", "board.h", "posting.h"]),
    "jp_send": ("window.h", ["hot.h", "board.h", "config.h"]),
}


def compiles(header, folders):
    """Whether a file that includes the header compiles; what the compiler said."""
    command = [os.environ.get("CC", "cc"), "-std=gnu11", "-x", "c", "-fsyntax-only", "-"]
    run = subprocess.run(command + folders, input=f'#include "{header}"\nint unused;\n',
                         stderr=subprocess.PIPE, universal_newlines=True)
    return run.returncode == 0, run.stderr


class Upward(unittest.TestCase):
    def test_an_upward_include_does_not_compile(self):
        self.assertEqual(set(PATHS), set(SEES))
        for library, (seen, unseen) in SEES.items():
            good, said = compiles(seen, PATHS[library])
            self.assertTrue(good, f"{library} should see {seen}: {said}")
            for header in unseen:
                good, said = compiles(header, PATHS[library])
                self.assertFalse(good, f"{library} sees {header}")
                self.assertRegex(said, "No such file|file not found")


if __name__ == "__main__":
    PATHS = {}
    for argument in sys.argv[1:]:
        name, _, folders_of = argument.partition("=")
        PATHS[name] = [folder for folder in folders_of.split(",") if folder.startswith("-iquote")]
    unittest.main(argv=sys.argv[:1])
