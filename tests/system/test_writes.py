# SPDX-License-Identifier: Apache-2.0
"""What the halves write while the broker is up, as the kernel sees it: nothing outside the hot path and the state."""
import os
import re
import signal
import unittest

from rig import Agent, AgxOrin, Broker, Scratch, Subscriber, children_of

CALLS = ("open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,"
         "truncate,ftruncate,fallocate,link,linkat,symlink,symlinkat,mknod,mknodat,fsync,fdatasync,sync,syncfs")
BLOCKS = 10


class Writes(unittest.TestCase):
    def test_no_write_outside_the_hot_path_and_the_state_over_ten_blocks(self):
        scratch = Scratch()
        self.addCleanup(scratch.close)
        board = AgxOrin(scratch)
        self.addCleanup(board.close)
        broker = Broker()
        self.addCleanup(broker.close)
        subscriber = Subscriber(broker.port)
        self.addCleanup(subscriber.close)
        trace = scratch.path("trace")
        agent = Agent({"mqtt.url": broker.url, "mqtt.live_s": 1, "sampling.window_ms": 200, "sampling.block_windows": 5},
                      root=board.root, wrapper=("strace", "-f", "-y", "-qq", "-e", f"trace={CALLS}", "-o", trace))
        self.addCleanup(agent.close)
        subscriber.wait("records", BLOCKS, seconds=60)
        os.kill(children_of(agent.process.pid)[0], signal.SIGTERM)  # strace itself would not pass it on
        self.assertEqual(agent.process.wait(30), 0)
        hot, state = agent.hot, agent.spool
        written, calls = {}, 0
        with open(trace, encoding="utf-8", errors="replace") as file:
            for line in file:
                calls += 1
                for path in self.written_paths(line):
                    written[path] = written.get(path, 0) + 1
        self.assertGreater(calls, 10 * BLOCKS)
        foreign = {path: n for path, n in written.items()
                   if not path.startswith((hot + "/", state + "/")) and path not in (hot, state, agent.scratch.path("stderr"))}
        self.assertEqual(foreign, {})
        self.assertTrue(any(path.endswith(".jps") for path in written), written)
        print(f"{calls} calls; written: {sorted(path.rpartition('/')[2] for path in written)}")

    @staticmethod
    def written_paths(line):
        """Files that one line of strace -y wrote to, created, removed or named anew. Sockets, pipes, eventfds are none."""
        call = re.match(r"\d+\s+(\w+)\((.*)", line)
        if not call or "= -1 " in line:
            return
        name, rest = call.groups()
        if name in ("open", "openat", "creat"):
            if re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", rest) or name == "creat":
                yield re.search(r'"([^"]*)"', rest).group(1)
        elif name in ("write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate", "fsync", "fdatasync"):
            match = re.match(r"\d+<(/[^>]*)>", rest)
            if match:
                yield match.group(1)
        elif name not in ("sync", "syncfs"):
            yield from re.findall(r'"([^"]*)"', rest)
        else:
            yield name


if __name__ == "__main__":
    unittest.main()
