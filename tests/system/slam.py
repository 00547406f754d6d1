# SPDX-License-Identifier: Apache-2.0
"""A broker that misbehaves to order: a scripted MQTT 3.1.1 and 5 server that records what it is told."""
import select
import socket
import struct
import threading
import time

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14


class Publish:
    def __init__(self, topic, payload, qos, retain, dup, at):
        self.topic, self.payload, self.qos, self.retain, self.dup, self.at = topic, payload, qos, retain, dup, at
        self.leaf = topic.rpartition("/")[2]

    def __repr__(self):
        return f"{self.topic} qos {self.qos}{' dup' if self.dup else ''} {len(self.payload)} bytes"


class Gone(Exception):
    pass


def varint(value):
    out = b""
    while True:
        value, low = divmod(value, 128)
        out += bytes([low | (0x80 if value else 0)])
        if not value:
            return out


def take_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def take_text(data, at):
    size = struct.unpack_from(">H", data, at)[0]
    return data[at + 2:at + 2 + size], at + 2 + size


def packet(kind, body, flags=0):
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


class SlamBroker:
    """What it does may be changed while it runs.

    on_connect: "accept", "refuse" (with connect_code), "hang", "close" or "reset"
    on_publish: "ack", "close", "reset", "silent", or a reason code for the PUBACK (MQTT 5); or a function of the
                Publish that returns one of these. QoS 0 messages meet "close" and "reset" only.
    max_packet: told in the CONNACK (MQTT 5)
    ack_delay_s: how long it listens for a second publish before it acknowledges the first
    """

    def __init__(self, on_connect="accept", on_publish="ack", connect_code=0x87, max_packet=None, ack_delay_s=0.02, port=0):
        self.on_connect, self.on_publish = on_connect, on_publish
        self.connect_code, self.max_packet, self.ack_delay_s = connect_code, max_packet, ack_delay_s
        self.publishes = []      # every PUBLISH, in order of arrival
        self.acknowledged = []   # those of QoS 1 that got a good PUBACK
        self.connections = 0     # TCP connections so far
        self.sessions = 0        # CONNECT packets so far
        self.wills = []          # (topic, payload, qos, retain) of each CONNECT
        self.most_unacknowledged = 0
        self.problems = []
        self.lock = threading.Lock()
        self.open = set()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.ended = False
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while not self.ended:
            try:
                if not select.select([self.listener], [], [], 0.2)[0]:
                    continue
                sock = self.listener.accept()[0]
            except (OSError, ValueError):
                return
            with self.lock:
                self.connections += 1
                self.open.add(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            Connection(self, sock).run()
        except (Gone, OSError, ValueError):
            pass
        except (IndexError, struct.error, AssertionError) as error:
            self.problems.append(f"malformed: {error!r}")
        finally:
            with self.lock:
                self.open.discard(sock)
            sock.close()

    def of(self, leaf):
        return [one for one in list(self.publishes) if one.leaf == leaf]

    def drop_all(self):
        """Closes every open connection."""
        with self.lock:
            for sock in self.open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.ended = True
        self.drop_all()
        self.thread.join(5)
        self.listener.close()


class Connection:
    def __init__(self, broker, sock):
        self.broker, self.sock, self.data, self.version = broker, sock, b"", 5
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = []  # packet ids of QoS 1 publishes without an answer

    def run(self):
        kind, _, body = self.next()
        assert kind == CONNECT, f"the first packet is of type {kind}"
        self.take_connect(body)
        if not self.answer_connect():
            return
        while True:
            kind, flags, body = self.next()
            if kind == PUBLISH:
                self.take_publish(flags, body)
            elif kind == SUBSCRIBE:
                self.take_subscribe(body)
            elif kind == PINGREQ:
                self.sock.sendall(packet(PINGRESP, b""))
            elif kind == DISCONNECT:
                return

    def next(self, timeout=None):
        """The next packet; None when there is none within the timeout."""
        while True:
            whole = self.whole()
            if whole:
                return whole
            if timeout is not None and not select.select([self.sock], [], [], timeout)[0]:
                return None
            more = self.sock.recv(65536)
            if not more:
                raise Gone
            self.data += more

    def whole(self):
        if len(self.data) < 2:
            return None
        try:
            size, at = take_varint(self.data, 1)
        except IndexError:
            return None
        if len(self.data) < at + size:
            return None
        head, body, self.data = self.data[0], self.data[at:at + size], self.data[at + size:]
        return head >> 4, head & 0xF, body

    def take_connect(self, body):
        name, at = take_text(body, 0)
        assert name == b"MQTT", name
        self.version, flags = body[at], body[at + 1]
        at += 4
        if self.version == 5:
            size, at = take_varint(body, at)
            at += size
        _, at = take_text(body, at)
        will = None
        if flags & 4:
            if self.version == 5:
                size, at = take_varint(body, at)
                at += size
            topic, at = take_text(body, at)
            payload, at = take_text(body, at)
            will = (topic.decode(), payload, flags >> 3 & 3, bool(flags & 0x20))
        with self.broker.lock:
            self.broker.sessions += 1
            self.broker.wills.append(will)

    def answer_connect(self):
        how = self.broker.on_connect
        if how == "hang":
            while not self.broker.ended and self.sock.recv(65536):
                pass
            return False
        if how in ("close", "reset"):
            self.leave(how)
            return False
        code = self.broker.connect_code if how == "refuse" else 0
        properties = b""
        if self.version == 5 and self.broker.max_packet:
            properties = b"\x27" + struct.pack(">I", self.broker.max_packet)
        tail = varint(len(properties)) + properties if self.version == 5 else b""
        self.sock.sendall(packet(CONNACK, bytes([0, code]) + tail))
        return code == 0

    def leave(self, how):
        if how == "reset":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.sock.shutdown(socket.SHUT_RDWR)
        raise Gone

    def take_subscribe(self, body):
        at = 2
        if self.version == 5:
            size, at = take_varint(body, at)
            at += size
        codes = b""
        while at < len(body):
            _, at = take_text(body, at)
            codes += bytes([body[at] & 3])
            at += 1
        self.sock.sendall(packet(SUBACK, body[:2] + (b"\0" if self.version == 5 else b"") + codes))

    def take_publish(self, flags, body):
        qos = flags >> 1 & 3
        topic, at = take_text(body, 0)
        number = None
        if qos:
            number, at = struct.unpack_from(">H", body, at)[0], at + 2
        if self.version == 5:
            size, at = take_varint(body, at)
            at += size
        if self.broker.max_packet and 1 + len(varint(len(body))) + len(body) > self.broker.max_packet:
            self.broker.problems.append(f"a packet of more than {len(body)} bytes, the limit is {self.broker.max_packet}")
        publish = Publish(topic.decode(), body[at:], qos, bool(flags & 1), bool(flags & 8), time.monotonic())
        how = self.broker.on_publish
        how = how(publish) if callable(how) else how
        with self.broker.lock:
            self.broker.publishes.append(publish)
            if qos:
                self.pending.append(number)
                self.broker.most_unacknowledged = max(self.broker.most_unacknowledged, len(self.pending))
        if how in ("close", "reset"):
            self.leave(how)
        if qos and how != "silent":
            self.listen_for_a_second()
            self.acknowledge(number, publish, how if isinstance(how, int) else 0)

    def listen_for_a_second(self):
        """A second publish that came before the first was answered is handled, and so counted, first."""
        end = time.monotonic() + self.broker.ack_delay_s
        while True:
            got = self.next(max(0, end - time.monotonic()))
            if got is None:
                return
            kind, flags, body = got
            if kind == PUBLISH:
                self.take_publish(flags, body)
            elif kind == PINGREQ:
                self.sock.sendall(packet(PINGRESP, b""))
            elif kind == SUBSCRIBE:
                self.take_subscribe(body)
            elif kind == DISCONNECT:
                raise Gone

    def acknowledge(self, number, publish, reason):
        self.pending.remove(number)
        if reason < 0x80:
            with self.broker.lock:
                self.broker.acknowledged.append(publish)
        extra = bytes([reason]) if self.version == 5 and reason else b""
        self.sock.sendall(packet(PUBACK, struct.pack(">H", number) + extra))
