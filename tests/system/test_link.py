# SPDX-License-Identifier: Apache-2.0
"""The MQTT link alone, through link_probe: against mosquitto, and against brokers that misbehave."""
import os
import queue
import signal
import socket
import subprocess
import threading
import time
import unittest

import rig
from slam import SlamBroker
from websocket import WebSocketFront

PROBE = os.path.join(os.path.dirname(rig.JOULEPOST), "tests", "link_probe")
SANITIZED = os.path.join(os.path.dirname(rig.SANITIZED), "tests", "link_probe")


class News:
    def __init__(self, line):
        kind, reason, max_packet, self.topic, size, self.text = line.rstrip("\n").split("\t", 5)
        self.kind, self.reason, self.max_packet, self.size = kind, int(reason), int(max_packet), int(size)

    def __repr__(self):
        return f"{self.kind} {self.reason:#x} {self.topic} {self.text}"


class Probe:
    """The link program; its news in order."""

    def __init__(self, program=PROBE, **config):
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.process = subprocess.Popen([program] + [f"{key}={value}" for key, value in config.items()], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        self.seen = []
        self.queue = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.queue.put(News(line.decode("utf-8", "replace")))
        self.queue.put(None)

    def wait(self, *kinds):
        """The next news of one of these kinds; others are passed over."""
        while True:
            try:
                news = self.queue.get(timeout=rig.PATIENCE_S)
            except queue.Empty:
                raise AssertionError(f"no {kinds}; there were {self.seen}") from None
            if news is None:
                raise AssertionError(f"the probe ended; there were {self.seen}; {self.process.stderr.read().decode()[-3000:]}")
            self.seen.append(news)
            if news.kind in kinds:
                return news

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def send(self, topic, text="hello", qos=1, retained=0):
        """Sends and waits: DELIVERED or FAILED, or None when the link did not take it."""
        self.say(f"send {topic} {qos} {retained} {text}")
        return self.outcome()

    def bulk(self, topic, size, qos=1):
        self.say(f"bulk {topic} {qos} {size}")
        return self.outcome()

    def outcome(self):
        return None if self.wait("SENT").reason else self.wait("DELIVERED", "FAILED")

    def stop(self, rest="3000"):
        self.say(f"stop {rest}")
        self.wait("STOPPED")
        return self.process.wait(rig.PATIENCE_S)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except OSError:
                pass


class Case(unittest.TestCase):
    def probe(self, *arguments, **config):
        one = Probe(*arguments, **config)
        self.addCleanup(one.close)
        return one

    def broker(self, *arguments, **options):
        one = rig.Broker(*arguments, **options)
        self.addCleanup(one.close)
        return one

    def slam(self, **options):
        one = SlamBroker(**options)
        self.addCleanup(one.close)
        return one

    def refusal(self, **config):
        probe = self.probe(**config)
        return probe.wait("REFUSED", "UP", "ERROR")


class Good(Case):
    def test_publishes_arrive_with_qos_retain_and_content_type(self):
        broker = self.broker()
        probe = self.probe(url=broker.url)
        up = probe.wait("UP")
        self.assertEqual(up.text, "connected")
        subscriber = rig.Subscriber(broker.port, "t/#")
        self.addCleanup(subscriber.close)
        self.assertEqual(probe.send("t/one", "hello", 1, 1).kind, "DELIVERED")
        self.assertEqual(probe.send("t/two", "again", 0).kind, "DELIVERED")
        one, two = subscriber.wait("one")[0], subscriber.wait("two")[0]
        self.assertEqual((one.payload, one.qos, one.content_type), (b"hello", 1, "text/plain"))
        self.assertEqual((two.payload, two.qos), (b"again", 0))
        late = rig.Subscriber(broker.port, "t/#")
        self.addCleanup(late.close)
        self.assertTrue(late.wait("one")[0].retain)
        self.assertEqual(probe.stop(), 0)

    def test_version_3_1_1_delivers_too(self):
        broker = self.broker()
        probe = self.probe(url=broker.url, version=4)
        self.assertEqual(probe.wait("UP").max_packet, 0xFFFFFFFF)
        for i in range(20):
            self.assertEqual(probe.send("t/one", f"n{i}").kind, "DELIVERED")

    def test_retained_messages_of_subscriptions_come_in(self):
        for version in (5, 4):
            broker = self.broker()
            publisher = rig.Subscriber(broker.port, publish_only=True)
            self.addCleanup(publisher.close)
            for i in range(5):
                publisher.publish(f"in/{i}", f"value {i}", retain=True)
            publisher.publish("other", "second filter", retain=True)
            probe = self.probe(url=broker.url, version=version, subscribe="in/#", subscribe2="other")
            probe.wait("UP")
            got = {news.topic: news.text for news in (probe.wait("INCOMING") for _ in range(6))}
            self.assertEqual(got, {**{f"in/{i}": f"value {i}" for i in range(5)}, "other": "second filter"})
            publisher.publish("in/live", "now")
            now = probe.wait("INCOMING")
            self.assertEqual((now.text, now.reason), ("now", 0))
            self.assertEqual([news.reason for news in probe.seen if news.kind == "INCOMING"], [1] * 6 + [0])

    def test_subscriptions_come_back_after_a_restart_of_the_broker(self):
        broker = self.broker()
        probe = self.probe(url=broker.url, subscribe="in/#")
        probe.wait("UP")
        broker.stop()
        probe.wait("DOWN")
        self.assertEqual(probe.wait("REFUSED").text, f"connection refused by 127.0.0.1 port {broker.port}")
        broker.start()
        probe.wait("UP")
        publisher = rig.Subscriber(broker.port, publish_only=True)
        self.addCleanup(publisher.close)
        publisher.publish("in/a", "back")
        self.assertEqual(probe.wait("INCOMING").text, "back")

    def test_a_subscription_that_was_ended_stays_ended(self):
        for version in (5, 4):
            broker = self.broker()
            publisher = rig.Subscriber(broker.port, publish_only=True)
            self.addCleanup(publisher.close)
            publisher.publish("in/a", "kept", retain=True)
            publisher.publish("other", "1", retain=True)
            probe = self.probe(url=broker.url, version=version, subscribe="in/a", subscribe2="other", retry_max_s=1)
            probe.wait("UP")
            self.assertEqual({probe.wait("INCOMING").text for _ in range(2)}, {"kept", "1"})
            probe.say("unsubscribe nothing")
            self.assertLess(probe.wait("UNSUBSCRIBED").reason, 0)
            probe.say("unsubscribe in/a")
            self.assertEqual(probe.wait("UNSUBSCRIBED").reason, 0)
            self.assertEqual(probe.send("marker").kind, "DELIVERED")  # the wish lay in the mailbox before it
            ended = len(probe.seen)
            publisher.publish("in/a", "new", retain=True)
            publisher.publish("other", "2", retain=True)
            self.assertEqual(probe.wait("INCOMING").text, "2")
            twin = self.probe(url=broker.url)  # the same client id: the broker ends the other's connection
            probe.wait("DOWN")
            twin.close()
            probe.wait("UP")
            publisher.publish("other", "3", retain=True)
            while probe.wait("INCOMING").text != "3":
                pass
            self.assertNotIn("in/a", [news.topic for news in probe.seen[ended:] if news.kind == "INCOMING"])

    def test_the_brokers_packet_limit_is_told_and_kept(self):
        broker = self.broker(options="max_packet_size 20000\n")
        probe = self.probe(url=broker.url)
        self.assertEqual(probe.wait("UP").max_packet, 20000)
        failed = probe.bulk("t", 20000)
        self.assertEqual((failed.kind, failed.reason), ("FAILED", 0x95))
        self.assertEqual(probe.bulk("t", 19900).kind, "DELIVERED")

    def test_the_last_message_replaces_the_will(self):
        broker = self.broker()
        subscriber = rig.Subscriber(broker.port, "s/#")
        self.addCleanup(subscriber.close)
        probe = self.probe(url=broker.url, will_topic="s/status", will_payload="dead")
        probe.wait("UP")
        self.assertEqual(probe.stop("3000 s/status bye"), 0)
        message = subscriber.wait("status")[0]
        self.assertEqual(message.payload, b"bye")

    def test_the_will_is_published_when_the_program_dies(self):
        broker = self.broker()
        subscriber = rig.Subscriber(broker.port, "s/#")
        self.addCleanup(subscriber.close)
        probe = self.probe(url=broker.url, version=4, will_topic="s/status", will_payload="dead")
        probe.wait("UP")
        probe.process.kill()
        self.assertEqual(subscriber.wait("status")[0].payload, b"dead")

    def test_pahos_socket_is_found_at_every_connect(self):
        broker = self.broker()
        probe = self.probe(url=broker.url)
        for _ in range(3):
            probe.wait("UP")
            probe.say("tuned")
            tuned = probe.wait("TUNED")
            self.assertEqual((tuned.reason, tuned.max_packet), (1, 1))
            broker.stop()
            probe.wait("DOWN")
            broker.start()

    def test_an_empty_retained_message_clears(self):
        broker = self.broker()
        probe = self.probe(url=broker.url)
        probe.wait("UP")
        self.assertEqual(probe.send("t/one", "kept", 1, 1).kind, "DELIVERED")
        self.assertEqual(probe.send("t/one", "", 1, 1).kind, "DELIVERED")
        self.assertEqual(probe.send("t/end", "end", 1, 1).kind, "DELIVERED")
        late = rig.Subscriber(broker.port, "t/#")
        self.addCleanup(late.close)
        late.wait("end")
        self.assertEqual(late.of("one"), [])

    def test_two_devices_of_one_name_are_suspected(self):
        broker = self.broker()
        pair = [self.probe(url=broker.url, client_id="twin", retry_max_s=1) for _ in range(2)]
        while "client id" not in pair[0].wait("DOWN").text:
            pair[0].wait("UP")
        self.assertNotIn("REFUSED", [news.kind for news in pair[0].seen])

    def test_two_sends_at_once_are_not_taken(self):
        broker = self.slam(on_publish="silent")
        probe = self.probe(url=broker.url)
        probe.wait("UP")
        probe.say("send t 1 0 first\nsend t 1 0 second")
        self.assertEqual(probe.wait("SENT").reason, 0)
        self.assertLess(probe.wait("SENT").reason, 0)


class Accounts(Case):
    ACL = "user board\ntopic write open/#\n"

    def test_a_denied_topic_is_told_under_5_and_looks_delivered_under_3_1_1(self):
        broker = self.broker(users={"board": "secret"}, acl=self.ACL)
        for version, kind, reason in ((5, "FAILED", 0x87), (4, "DELIVERED", 0)):
            probe = self.probe(url=broker.url, version=version, username="board", password="secret")
            probe.wait("UP")
            news = probe.send("closed/t")
            self.assertEqual((news.kind, news.reason), (kind, reason))
            self.assertEqual(probe.send("open/t").kind, "DELIVERED")

    def test_a_bad_password_is_refused_in_words(self):
        broker = self.broker(users={"board": "secret"})
        for version in (5, 4):
            news = self.refusal(url=broker.url, version=version, username="board", password="wrong")
            self.assertEqual(news.kind, "REFUSED")
            self.assertNotEqual(news.reason, 0)
            self.assertIn("not authorised", news.text)


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        cls.scratch = rig.Scratch()
        cls.made = rig.Certificates(cls.scratch)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.close()

    def url(self, broker, scheme="mqtts", host="localhost"):
        return f"{scheme}://{host}:{broker.port}"

    def test_the_right_authority_by_name_and_by_address(self):
        broker = self.broker(tls=self.made.server)
        for host in ("localhost", "127.0.0.1"):
            for version in (5, 4):
                probe = self.probe(url=self.url(broker, host=host), version=version, ca_file=self.made.ca)
                self.assertEqual(probe.wait("UP", "REFUSED").text, "connected")
                for _ in range(20):
                    self.assertEqual(probe.bulk("t", 60000).kind, "DELIVERED")
                self.assertEqual(probe.stop(), 0)

    def test_retained_messages_come_in_over_tls(self):
        broker = self.broker(tls=self.made.server)
        first = self.probe(url=self.url(broker), ca_file=self.made.ca)
        first.wait("UP")
        for i in range(8):
            self.assertEqual(first.send(f"in/{i}", f"value {i}", 1, 1).kind, "DELIVERED")
        second = self.probe(url=self.url(broker), client_id="second", ca_file=self.made.ca, subscribe="in/#")
        self.assertEqual(sorted(second.wait("INCOMING").text for _ in range(8)), [f"value {i}" for i in range(8)])

    def test_a_wrong_authority_is_named(self):
        broker = self.broker(tls=self.made.server)
        news = self.refusal(url=self.url(broker), ca_file=self.made.other_ca)
        self.assertEqual((news.kind, news.text), ("REFUSED", f"the server's certificate is not signed by {self.made.other_ca}"))

    def test_a_wrong_host_name_is_named(self):
        broker = self.broker(tls=self.made.elsewhere)
        for host in ("localhost", "127.0.0.1"):
            news = self.refusal(url=self.url(broker, host=host), ca_file=self.made.ca)
            self.assertEqual((news.kind, news.text), ("REFUSED", f"the server's certificate is not for {host}"))

    def test_an_expired_certificate_is_named(self):
        name, key = self.made.issue("expired", "subjectAltName=DNS:localhost")
        self.made.openssl("x509", "-req", "-in", "expired.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                          "-days", "-1", "-extfile", "expired.ext", "-out", "expired.pem")
        broker = self.broker(tls=(name, key))
        news = self.refusal(url=self.url(broker), ca_file=self.made.ca)
        self.assertEqual(news.kind, "REFUSED")
        self.assertIn("certificate has expired", news.text)

    def test_a_client_certificate_is_shown_when_asked_for(self):
        broker = self.broker(tls=self.made.server, ca=self.made.ca)
        news = self.refusal(url=self.url(broker), ca_file=self.made.ca)
        self.assertEqual(news.kind, "REFUSED")
        self.assertIn("client certificate", news.text)
        probe = self.probe(url=self.url(broker), ca_file=self.made.ca, cert_file=self.made.client[0], key_file=self.made.client[1])
        self.assertEqual(probe.wait("UP", "REFUSED").text, "connected")
        self.assertEqual(probe.send("t").kind, "DELIVERED")

    def test_tls_1_1_alone_is_refused(self):
        port = rig.free_port()
        server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0",
                                   "-cert", self.made.server[0], "-key", self.made.server[1], "-quiet"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(rig.stop_process, server)
        news = self.refusal(url=f"mqtts://localhost:{port}", ca_file=self.made.ca)
        while "connection refused" in news.text:
            news = self.refusal(url=f"mqtts://localhost:{port}", ca_file=self.made.ca)
        self.assertEqual((news.kind, news.text), ("REFUSED", "the server does not offer TLS 1.2 or later"))

    def test_a_server_without_tls_is_told(self):
        broker = self.broker()
        news = self.refusal(url=self.url(broker), ca_file=self.made.ca)
        self.assertEqual(news.kind, "REFUSED")
        self.assertIn("TLS", news.text)

    def test_files_that_cannot_work_are_refused_at_start(self):
        for config in ({"ca_file": "/nonexistent/ca.pem"}, {"ca_file": self.made.ca, "cert_file": self.made.ca, "key_file": self.made.client[1]},
                       {"ca_file": self.made.client[1]}):
            news = self.refusal(url="mqtts://localhost", **config)
            self.assertEqual(news.kind, "ERROR", news)
            self.assertIn("_file", news.text)
        self.assertEqual(self.refusal(url="mqtt://localhost", ca_file=self.made.ca).kind, "ERROR")
        self.assertEqual(self.refusal(url="http://localhost").kind, "ERROR")

    def front(self, *arguments, **options):
        one = WebSocketFront(*arguments, **options)
        self.addCleanup(one.close)
        return one

    def test_websockets_plain_and_tls(self):
        broker = self.broker()
        for scheme, tls, config in (("ws", None, {}), ("wss", self.made.server, {"ca_file": self.made.ca})):
            front = self.front(broker.port, tls=tls)
            for version in (5, 4):
                probe = self.probe(url=self.url(front, scheme) + "/a/path", version=version, subscribe="echo", **config)
                self.assertEqual(probe.wait("UP", "REFUSED").text, "connected")
                self.assertEqual(front.path, "/a/path")
                self.assertEqual(probe.bulk("t", 60000).kind, "DELIVERED")
                probe.say("send echo 1 0 hello")
                self.assertEqual({probe.wait("DELIVERED", "INCOMING").kind for _ in range(2)}, {"DELIVERED", "INCOMING"})
                self.assertEqual(probe.stop(), 0)

    def test_secure_websockets_verify_the_host_name(self):
        front = self.front(self.broker().port, tls=self.made.elsewhere)
        news = self.refusal(url=self.url(front, "wss"), ca_file=self.made.ca)
        self.assertEqual((news.kind, news.text), ("REFUSED", "the server's certificate is not for localhost"))

    def test_a_broker_without_websockets_is_told(self):
        news = self.refusal(url=self.url(self.broker(), "ws"))
        self.assertEqual(news.kind, "REFUSED")
        self.assertIn("MQTT over WebSocket", news.text)


class Hostile(Case):
    def test_nobody_listens(self):
        port = rig.free_port()
        self.assertEqual(self.refusal(url=f"mqtt://127.0.0.1:{port}").text, f"connection refused by 127.0.0.1 port {port}")

    def test_an_unknown_host(self):
        self.assertIn("host not found: nowhere.invalid", self.refusal(url="mqtt://nowhere.invalid").text)

    def test_a_broker_that_refuses(self):
        broker = self.slam(on_connect="refuse", connect_code=0x85)
        news = self.refusal(url=broker.url)
        self.assertEqual((news.kind, news.reason), ("REFUSED", 0x85))
        self.assertIn("client id", news.text)

    def test_a_broker_that_closes_or_resets_at_connect_is_tried_again(self):
        for how in ("close", "reset"):
            broker = self.slam(on_connect=how)
            probe = self.probe(url=broker.url, retry_max_s=1)
            self.assertIn("does not answer as an MQTT broker", probe.wait("REFUSED").text)
            broker.on_connect = "accept"
            probe.wait("UP")

    def test_a_broker_that_never_answers_the_connect(self):
        broker = self.slam(on_connect="hang")
        probe = self.probe(url=broker.url, retry_max_s=1)
        self.assertIn("timed out", probe.wait("REFUSED").text)
        broker.on_connect = "accept"
        broker.drop_all()
        probe.wait("UP")

    def test_no_acknowledgement_fails_and_reconnects(self):
        for version in (5, 4):
            broker = self.slam(on_publish="silent")
            probe = self.probe(url=broker.url, version=version, ack_timeout_s=1, retry_max_s=1)
            probe.wait("UP")
            news = probe.send("t")
            self.assertEqual((news.kind, news.reason), ("FAILED", 0))
            probe.wait("DOWN")
            broker.on_publish = "ack"
            probe.wait("UP")
            self.assertEqual(probe.send("t", "again").kind, "DELIVERED")
            self.assertEqual(broker.most_unacknowledged, 1)
            self.assertEqual([one.dup for one in broker.publishes], [False, False])

    def test_a_reason_in_the_acknowledgement(self):
        broker = self.slam(on_publish=0x97)
        probe = self.probe(url=broker.url)
        probe.wait("UP")
        self.assertEqual(probe.send("t").reason, 0x97)
        broker.on_publish = 0xF7
        news = probe.send("t")
        self.assertEqual((news.kind, news.reason), ("FAILED", 0xF7))
        broker.on_publish = 0x10
        self.assertEqual(probe.send("t").kind, "DELIVERED")

    def slam_doors(self, programs, rounds):
        """Each program against a broker of its own, side by side."""
        pairs = []
        for program in programs:
            broker = self.slam(on_publish="close")
            pairs.append((broker, self.probe(program, url=broker.url, retry_max_s=1)))
        for i in range(rounds):
            for broker, probe in pairs:
                broker.on_publish = "reset" if i % 2 else "close"
                probe.wait("UP")
                news = probe.bulk("t", 60000)
                self.assertEqual((news.kind, news.reason), ("FAILED", 0))
                probe.wait("DOWN")
        for broker, probe in pairs:
            broker.on_publish = "ack"
            probe.wait("UP")
            self.assertEqual(probe.bulk("t", 60000).kind, "DELIVERED")
            self.assertEqual(probe.stop(), 0)
            self.assertEqual(broker.most_unacknowledged, 1)
            self.assertEqual(broker.problems, [])
            self.assertEqual(probe.process.stderr.read(), b"")

    def test_the_door_slams_again_and_again_under_the_sanitizers_too(self):
        both = {PROBE, SANITIZED} if os.path.exists(SANITIZED) else {PROBE}
        self.slam_doors(both, 50 if os.environ.get("CI") == "true" else 10)

    def test_a_frozen_broker_does_not_hold_up_the_end(self):
        broker = self.broker()
        probe = self.probe(url=broker.url)
        probe.wait("UP")
        broker.process.send_signal(signal.SIGSTOP)
        try:
            self.assertEqual(probe.stop("2000 s/status bye"), 0)
        finally:
            broker.process.send_signal(signal.SIGCONT)

    def test_a_frozen_broker_with_a_message_under_way_does_not_hold_up_the_end(self):
        broker = self.broker()
        probe = self.probe(url=broker.url)
        probe.wait("UP")
        broker.process.send_signal(signal.SIGSTOP)
        try:
            probe.say("bulk t 1 250000")
            self.assertEqual(probe.wait("SENT").reason, 0)
            self.assertEqual(probe.stop("1000 s/status bye"), 0)
        finally:
            broker.process.send_signal(signal.SIGCONT)

    def test_the_will_is_published_when_the_goodbye_was_not_acknowledged(self):
        broker = self.broker()
        subscriber = rig.Subscriber(broker.port, "s/#")
        self.addCleanup(subscriber.close)
        probe = self.probe(url=broker.url, version=4, will_topic="s/status", will_payload="dead")
        probe.wait("UP")
        broker.process.send_signal(signal.SIGSTOP)
        try:
            self.assertEqual(probe.stop("1000 s/status bye"), 0)
        finally:
            broker.process.send_signal(signal.SIGCONT)
        self.assertEqual([message.payload for message in subscriber.wait("status", 2)], [b"bye", b"dead"])

    def test_a_short_absence_publishes_no_will(self):
        broker = self.broker()
        subscriber = rig.Subscriber(broker.port, "s/#")
        self.addCleanup(subscriber.close)
        for name in ("s/first", "s/second"):
            probe = self.probe(url=broker.url, will_topic="s/status", will_payload="dead")
            probe.wait("UP")
            self.assertEqual(probe.send(name).kind, "DELIVERED")
            probe.process.kill()
            probe.process.wait()
        subscriber.wait("second")
        self.assertEqual(subscriber.of("status"), [])

    def test_the_session_outlasts_the_will_delay(self):
        # MQTT 5.0 3.1.3.2.2: the will comes after its delay or at the session's end, whichever is first.
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.settimeout(rig.PATIENCE_S)
            self.probe(url=f"mqtt://127.0.0.1:{listener.getsockname()[1]}", will_topic="s/status", will_payload="dead")
            with listener.accept()[0] as peer:
                peer.settimeout(rig.PATIENCE_S)
                connect = b""
                while b"dead" not in connect:
                    connect += peer.recv(4096)
        self.assertIn(b"\x18" + (10).to_bytes(4, "big"), connect)
        self.assertIn(b"\x11" + (15).to_bytes(4, "big"), connect)

    def test_a_shorter_keep_alive_of_the_broker_is_obeyed(self):
        broker = self.broker(options="max_keepalive 11\n")
        probe = self.probe(url=broker.url, keepalive_s=600)
        self.assertEqual(probe.wait("UP", "REFUSED").kind, "UP")
        self.assertEqual(broker.log().count("New client connected"), 2)
        self.assertIn("k11)", broker.log())
        self.assertEqual(probe.send("t").kind, "DELIVERED")

    def test_the_end_during_a_dial(self):
        broker = self.slam(on_connect="hang")
        probe = self.probe(url=broker.url)
        rig.eventually(lambda: broker.connections)
        self.assertEqual(probe.stop("5000"), 0)

    def test_a_keep_alive_finds_a_dead_connection(self):
        broker = self.broker()
        probe = self.probe(url=broker.url, keepalive_s=2)
        probe.wait("UP")
        broker.process.send_signal(signal.SIGSTOP)
        try:
            probe.wait("DOWN")
        finally:
            broker.process.send_signal(signal.SIGCONT)
        probe.wait("UP")

    def test_a_keep_alive_keeps_an_idle_connection(self):
        broker = self.broker()
        probe = self.probe(url=broker.url, keepalive_s=5)
        probe.wait("UP")
        time.sleep(9)
        self.assertEqual(probe.send("t").kind, "DELIVERED")
        self.assertNotIn("DOWN", [news.kind for news in probe.seen])


if __name__ == "__main__":
    unittest.main()
