# SPDX-License-Identifier: Apache-2.0
"""The rig itself: a judge that cannot say no is worth nothing."""
import socket
import struct
import time
import unittest

import cbor2
import paho.mqtt.client as paho

import records
import rig
import slam


def connect_packet(version):
    body = b"\0\4MQTT" + bytes([version, 2, 0, 60]) + (b"\0" if version == 5 else b"") + b"\0\1x"
    return slam.packet(slam.CONNECT, body)


def publish_packet(version, number, topic=b"a/live", payload=b"x", qos=1):
    body = struct.pack(">H", len(topic)) + topic + (struct.pack(">H", number) if qos else b"")
    return slam.packet(slam.PUBLISH, body + (b"\0" if version == 5 else b"") + payload, qos << 1)


class SlamBrokerTest(unittest.TestCase):
    def broker(self, **how):
        broker = slam.SlamBroker(**how)
        self.addCleanup(broker.close)
        return broker

    def talk(self, broker, *packets, expect):
        with socket.create_connection(("127.0.0.1", broker.port), 5) as sock:
            sock.settimeout(5)
            for one in packets:
                sock.sendall(one)
            data = b""
            while len(data) < expect:
                more = sock.recv(4096)
                if not more:
                    break
                data += more
            return data

    def test_a_real_client_gets_its_acknowledgement(self):
        for protocol in (paho.MQTTv5, paho.MQTTv311):
            broker = self.broker()
            client = paho.Client("c", protocol=protocol)
            client.will_set("a/status", b"gone", 1, True)
            client.connect("127.0.0.1", broker.port)
            client.loop_start()
            client.publish("a/records", b"payload", 1).wait_for_publish(10)
            client.disconnect()
            client.loop_stop()
            self.assertEqual([(one.topic, one.payload, one.qos) for one in broker.acknowledged], [("a/records", b"payload", 1)])
            self.assertEqual(broker.wills, [("a/status", b"gone", 1, True)])
            self.assertEqual((broker.most_unacknowledged, broker.problems), (1, []))

    def test_two_unacknowledged_publishes_are_seen(self):
        for version in (4, 5):
            broker = self.broker()
            self.talk(broker, connect_packet(version), publish_packet(version, 1) + publish_packet(version, 2), expect=12)
            self.assertEqual(broker.most_unacknowledged, 2)

    def test_reason_codes_reach_the_client(self):
        broker = self.broker(on_publish=0x97)
        data = self.talk(broker, connect_packet(5), publish_packet(5, 7), expect=10)
        self.assertEqual(data[-5:], b"\x40\x03\x00\x07\x97")
        self.assertEqual(broker.acknowledged, [])

    def test_it_closes_resets_refuses_and_hangs_to_order(self):
        broker = self.broker(on_publish="close")
        self.assertEqual(self.talk(broker, connect_packet(5), publish_packet(5, 1), expect=99), b"\x20\x03\x00\x00\x00")
        broker.on_connect = "refuse"
        self.assertEqual(self.talk(broker, connect_packet(5), expect=99), b"\x20\x03\x00\x87\x00")
        broker.on_connect = "reset"
        self.assertRaises(ConnectionResetError, self.talk, broker, connect_packet(5), expect=1)
        broker.on_connect = "hang"
        with socket.create_connection(("127.0.0.1", broker.port), 5) as sock:
            sock.sendall(connect_packet(5))
            rig.eventually(lambda: broker.sessions == 4)
            sock.settimeout(0.2)
            self.assertRaises(socket.timeout, sock.recv, 1)

    def test_a_packet_beyond_the_limit_is_a_problem(self):
        broker = self.broker(max_packet=100)
        data = self.talk(broker, connect_packet(5), publish_packet(5, 1, payload=b"x" * 85), expect=14)
        self.assertEqual(data[:10], b"\x20\x08\x00\x00\x05\x27\x00\x00\x00\x64")
        self.assertEqual(broker.problems, [])
        self.talk(broker, connect_packet(5), publish_packet(5, 1, payload=b"x" * 99), expect=14)
        self.assertEqual(len(broker.problems), 1)


class RecordsTest(unittest.TestCase):
    HEAD = {"v": 1, "device": "d", "boot": "b", "off_ms": 1000, "clock": "synced", "err_ms": 1, "g_per_kwh": 360.0, "pue": 1.0}
    BLOCK = [5, 30, 3, 90000, 1000, ["a", "b", "c"], [0, 1], [[700, [100, -20, None]], [60, [None, 5, 1]], [9, [1, 1, 1]]],
             {"cov": {0: [[2, 0, "read_error"]], 1: [[0, 0, "stall"]]}, "span": {2: 1500}}]

    def test_a_block_becomes_its_windows(self):
        windows = records.windows_of(cbor2.dumps(self.HEAD) + cbor2.dumps(self.BLOCK))
        self.assertEqual([w["energy_mj"] for w in windows], [
            {"a": 100, "b": None, "c": 1, "total": 100}, {"a": 80, "b": 5, "c": 2, "total": 85},
            {"a": None, "b": 6, "c": 3, "total": 6}])
        self.assertEqual([(w["seq"], w["boot_ms"], w["span_ms"], w["t_ms"]) for w in windows],
                         [(30, 90000, 1000, 91000), (31, 91000, 1000, 92000), (32, 92000, 1500, 93000)])
        self.assertEqual(windows[2]["covered_ms"], {"a": 0, "total": 0})
        self.assertEqual(windows[0]["cause"], {"b": "stall", "total": "stall"})
        self.assertEqual(windows[0]["emissions_ug"], 10)
        self.assertEqual(records.run_mj_of(cbor2.dumps(self.HEAD) + cbor2.dumps(self.BLOCK))["0000000000000005", "a"], 700)

    def test_once_finds_holes_and_second_contents(self):
        once = records.Once()
        message = cbor2.dumps(self.HEAD) + cbor2.dumps(self.BLOCK)
        once.add_message(message)
        once.add_message(message)
        self.assertEqual((len(once.windows), once.resent, once.conflicts), (3, 3, []))
        self.assertEqual(len(once.missing()), 30)
        other = [*self.BLOCK[:7], [[700, [101, -20, None]], *self.BLOCK[7][1:]], self.BLOCK[8]]
        once.add_message(cbor2.dumps(self.HEAD) + cbor2.dumps(other))
        self.assertEqual(len(once.conflicts), 2)
        self.assertEqual(once.energy_mj("0000000000000005", "b"), 11)


class BrokerTest(unittest.TestCase):
    def test_a_lasting_subscriber_misses_nothing_and_knows_retained(self):
        broker = rig.Broker()
        self.addCleanup(broker.close)
        first = rig.Subscriber(broker.port, name="lasting")
        first.close()
        writer = rig.Subscriber(broker.port, topic="nothing")
        self.addCleanup(writer.close)
        writer.publish("joulepost/1/d/meta", b'{"a": 1}', retain=True)
        writer.publish("joulepost/1/d/event", b"{}")
        again = rig.Subscriber(broker.port, name="lasting")
        self.addCleanup(again.close)
        again.wait("event")
        self.assertEqual(again.wait("meta")[0].json(), {"a": 1})
        late = rig.Subscriber(broker.port)
        self.addCleanup(late.close)
        self.assertTrue(late.wait("meta")[0].retain)

    def test_passwords_and_certificates_are_asked_for(self):
        scratch = rig.Scratch()
        self.addCleanup(scratch.close)
        certificates = rig.Certificates(scratch)
        broker = rig.Broker(users={"anna": "secret"}, tls=certificates.server, ca=certificates.ca)
        self.addCleanup(broker.close)
        client, key = certificates.client
        tls = {"ca_certs": certificates.ca, "certfile": client, "keyfile": key}
        good = rig.Subscriber(broker.port, username="anna", password="secret", tls=tls)
        self.addCleanup(good.close)
        good.publish("joulepost/1/d/live", b"{}")
        good.wait("live")
        self.assertRaises(OSError, rig.Subscriber, broker.port, tls={"ca_certs": certificates.other_ca})


class BoardTest(unittest.TestCase):
    def test_a_value_moves_in_place(self):
        scratch = rig.Scratch()
        self.addCleanup(scratch.close)
        board = rig.AgxOrin(scratch)
        self.addCleanup(board.close)
        path = board.root + "/sys/class/hwmon/hwmon3/curr2_input"
        with open(path, encoding="ascii") as file:
            self.assertEqual(board.power("VDD_CPU_CV", 12345), 12345000)
            self.assertEqual(int(file.read()), 2469)
            self.assertEqual(board.power("VDD_CPU_CV", -40), -40000)
            file.seek(0)
            self.assertEqual(int(file.read()), -8)

    def test_patience_ends(self):
        begin = time.monotonic()
        self.assertRaises(AssertionError, rig.eventually, lambda: False, 0.1)
        self.assertGreaterEqual(time.monotonic() - begin, 0.1)


if __name__ == "__main__":
    unittest.main()
