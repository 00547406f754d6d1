# SPDX-License-Identifier: Apache-2.0
"""A WebSocket front for a broker without one (mosquitto 2.0.11 cannot bind its own to loopback alone), plain or TLS."""
import asyncio
import base64
import hashlib
import ssl
import struct
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3


def frame(data):
    """One unmasked binary frame."""
    if len(data) < 126:
        return bytes([0x82, len(data)]) + data
    if len(data) < 65536:
        return b"\x82\x7e" + struct.pack(">H", len(data)) + data
    return b"\x82\x7f" + struct.pack(">Q", len(data)) + data


async def read_frame(reader):
    """(opcode, data) of a client's frame, unmasked."""
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    if size == 126:
        size = struct.unpack(">H", await reader.readexactly(2))[0]
    elif size == 127:
        size = struct.unpack(">Q", await reader.readexactly(8))[0]
    mask = await reader.readexactly(4)
    data = await reader.readexactly(size)
    key = (mask * (size // 4 + 1))[:size]
    return head[0] & 0xF, (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


class WebSocketFront:
    """Relays WebSocket connections on loopback to a broker's TCP port. tls: (certificate, key)."""

    def __init__(self, broker_port, tls=None):
        self.broker_port = broker_port
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.loop = asyncio.new_event_loop()
        self.tasks = set()
        self.path = None
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        starting = asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.context)
        self.server = asyncio.run_coroutine_threadsafe(starting, self.loop).result(10)
        self.port = self.server.sockets[0].getsockname()[1]

    async def shake_hands(self, reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        self.path = request[0].split()[1].decode()
        fields = dict(line.split(b": ", 1) for line in request[1:] if b": " in line)
        key = {name.lower(): value for name, value in fields.items()}[b"sec-websocket-key"].strip()
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")

    @staticmethod
    async def down(reader, writer):
        while data := await reader.read(65536):
            writer.write(frame(data))
            await writer.drain()

    @staticmethod
    async def up(reader, writer):
        while True:
            opcode, data = await read_frame(reader)
            if opcode == 8:
                return
            if opcode in (0, 2):
                writer.write(data)
                await writer.drain()

    async def serve(self, reader, writer):
        broker = None
        try:
            await self.shake_hands(reader, writer)
            broker_reader, broker = await asyncio.open_connection("127.0.0.1", self.broker_port)
            ways = [asyncio.ensure_future(self.up(reader, broker)), asyncio.ensure_future(self.down(broker_reader, writer))]
            _, other = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in other:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, EOFError, KeyError):
            pass
        finally:
            for one in (writer, broker):
                if one:
                    one.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
