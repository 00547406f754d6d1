# SPDX-License-Identifier: Apache-2.0
"""What stands beside the numbers, on the true agent: clocks, heat, alarms and the power mode, in live, event and meta."""
import json
import os
import unittest

from rig import SANITIZED, Agent, AgxOrin, Broker, Scratch, Subscriber

THERMAL = "/sys/class/thermal"
ZONES = [("cpu-thermal", 51500), ("gpu-thermal", -256000), ("tj-thermal", 53250), ("PMIC-Die", 100000)]
COOLING = ["pwm-fan", "hot-surface-alert", "cpufreq-cpu0", "cpu-throttle-alert", "devfreq-17000000.gpu",
           "gpu-throttle-alert"]
ALARM = "curr1_max_alarm"


class Orin(AgxOrin):
    """An AGX Orin of JetPack 6 with all that is not a rail."""

    def __init__(self, scratch):
        super().__init__(scratch)
        for i, (name, temp) in enumerate(ZONES):
            self.text(f"{THERMAL}/thermal_zone{i}/type", name + "\n")
            self.number(f"{THERMAL}/thermal_zone{i}/temp", temp)
        for i, name in enumerate(COOLING):
            self.text(f"{THERMAL}/cooling_device{i}/type", name + "\n")
            self.cool(name, 2 if name in ("pwm-fan", "hot-surface-alert") else 0)
        for policy, khz in ((0, 2201600), (4, 729600), (8, 729600)):
            self.number(f"/sys/devices/system/cpu/cpufreq/policy{policy}/scaling_cur_freq", khz)
        self.text("/sys/class/devfreq/17000000.gpu/device/of_node/name", b"gpu\0")
        self.number("/sys/class/devfreq/17000000.gpu/device/load", 437)
        self.number("/sys/class/devfreq/17000000.gpu/cur_freq", 1300500000)
        self.text("/sys/devices/system/cpu/present", "0-11\n")
        self.text("/proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n\n" * 8)
        self.text("/proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\n")
        self.text("/etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n")
        self.text("/etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=2 NAME=MODE_30W >\n")
        self.mode(2)
        for base in self.base.values():
            for i in (1, 2, 3):
                for limit in ("max", "crit"):
                    self.number(f"{base}/curr{i}_{limit}_alarm", 0)

    def cool(self, name, state):
        self.number(f"{THERMAL}/cooling_device{COOLING.index(name)}/cur_state", state)

    def mode(self, number):
        """As nvpmodel does: another file of that name."""
        self.text("/var/lib/nvpmodel/new", f"pmode:{number:04d} fmode:quiet\n")
        os.rename(self.root + "/var/lib/nvpmodel/new", self.root + "/var/lib/nvpmodel/status")

    def alarm(self, on):
        self.number(f"{self.base[0x40]}/{ALARM}", on)


class Facts(unittest.TestCase):
    def setUp(self):
        self.scratch = Scratch()
        self.addCleanup(self.scratch.close)
        self.board = Orin(self.scratch)
        self.addCleanup(self.board.close)
        self.broker = Broker()
        self.addCleanup(self.broker.close)
        self.subscriber = Subscriber(self.broker.port)
        self.addCleanup(self.subscriber.close)
        self.agent = Agent({"mqtt.url": self.broker.url, "mqtt.live_s": 1, "sampling.block_windows": 5},
                           root=self.board.root, program=SANITIZED)
        self.addCleanup(self.agent.close)

    def event(self, kind, where=lambda detail: True):
        return self.subscriber.wait("event", where=lambda m: m.json()["kind"] == kind and where(m.json()["detail"]))[0].json()

    def live(self, where):
        return self.subscriber.wait("live", where=lambda m: where(m.json()["gauges"]))[0].json()["gauges"]

    def meta(self, mode):
        return self.subscriber.wait("meta", where=lambda m: m.json()["power_mode"] == mode)[-1].json()

    def edges(self, state):
        on = state == "on"
        over = self.event("over_current", lambda detail: detail["state"] == state)
        self.assertEqual((over["channel"], over["detail"]),
                         ("VDD_GPU_SOC", {"gauge": "VDD_GPU_SOC_alarm", "state": state, "level": int(on)}))
        throttle = self.event("throttle", lambda detail: detail["state"] == state)
        self.assertEqual((throttle["channel"], throttle["detail"]),
                         (None, {"gauge": "throttle_cpu", "state": state, "level": int(on)}))

    def test_live_event_and_meta_follow_the_board(self):
        gauges = self.live(lambda gauges: True)
        expected = {"gpu_load": 43.7, "cpu_freq": 1220.266, "gpu_freq": 1300.5, "cpu-thermal": 51.5, "gpu-thermal": None,
                    "tj-thermal": 53.25, "throttle_cpu": 0, "throttle_gpu": 0, "VDD_GPU_SOC_alarm": 0}
        self.assertEqual({name: gauges.get(name, "none") for name in expected}, expected)
        self.assertNotIn("PMIC-Die", gauges)
        meta = self.meta("MODE_30W")
        self.assertEqual(meta["cpu"], {"count": 12, "model": "Arm Cortex-A78AE"})
        self.assertEqual((meta["os"]["l4t"], meta["os"]["jetpack"]), ("36.4.3", "6.2"))

        self.board.alarm(1)
        self.board.cool("cpufreq-cpu0", 3)
        self.board.mode(0)
        self.edges("on")
        self.live(lambda gauges: gauges["throttle_cpu"] == 1 and gauges["VDD_GPU_SOC_alarm"] == 1)
        self.assertEqual(self.event("power_mode")["detail"], {"from": "MODE_30W", "to": "MAXN", "id": 0})
        self.meta("MAXN")

        self.board.alarm(0)
        self.board.cool("cpufreq-cpu0", 0)
        before = len(self.subscriber.of("meta"))
        self.agent.kill_half("post")
        self.assertEqual(self.subscriber.wait("meta", before + 1)[-1].json()["power_mode"], "MAXN")
        self.edges("off")
        told = {message.payload for message in self.subscriber.of("event")}  # one may come again after the kill
        kinds = [json.loads(payload)["kind"] for payload in told]
        self.assertEqual({kind: kinds.count(kind) for kind in ("over_current", "throttle", "power_mode")},
                         {"over_current": 2, "throttle": 2, "power_mode": 1})
        self.assertEqual(self.agent.stop(), 0)


if __name__ == "__main__":
    unittest.main()
