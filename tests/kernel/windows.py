# SPDX-License-Identifier: Apache-2.0
"""What the tests ask of a spool's windows and of a running agent."""
import sys
import os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from rig import eventually  # noqa: E402


def holes(windows, name):
    """The windows that do not cover the channel whole."""
    return [one for one in windows if name in one.get("covered_ms", {})]


def causes(windows, name):
    return {one["cause"][name] for one in holes(windows, name)}


def lost_ms(windows, name):
    return sum(one["span_ms"] - one["covered_ms"][name] for one in holes(windows, name))


def power_mw(one, name):
    """Over the time that is covered; None where none is."""
    covered = one.get("covered_ms", {}).get(name, one["span_ms"])
    return one["energy_mj"][name] * 1000 / covered if covered else None


def wait_whole(agent, names, seconds=90):
    """Until the last window of the running agent covers all of them."""
    def there():
        live = agent.live()
        return not set(names) & set(live["cause"]) and all(live["power_w"][name] is not None for name in names)
    eventually(there, seconds, lambda: f"not all of {names} came back: {agent.log()}")


def wait_hole(agent, name, seconds=30):
    eventually(lambda: name in agent.live()["cause"], seconds, lambda: f"{name} has no hole: {agent.log()}")
