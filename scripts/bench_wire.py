"""As much protobuf, gRPC and HTTP/2 as a load for the benchmarks needs."""

import socket
import struct
import sys

RANGE = "/etcdserverpb.KV/Range"
PUT = "/etcdserverpb.KV/Put"
WATCH = "/etcdserverpb.Watch/Watch"

# A fault that has to judge every Range, and matches none.
NOBODY = ("faults: [{name: nobody, match: {method: Range, resource: secrets, namespace: nowhere}, "
          "action: {delay: {response: 1s}}}]")


def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def message(payload):
    return b"\0" + struct.pack(">I", len(payload)) + payload


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def request(stream, path, payload, end=True):
    head = b"\x83\x86" + literal(":path", path) + literal(":authority", "bench")
    head += literal("content-type", "application/grpc") + literal("te", "trailers")
    return frame(1, 4, stream, head) + frame(0, int(end), stream, message(payload))


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HELLO = PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 2**31 - 1)) \
    + frame(8, 0, 0, struct.pack(">I", 2**31 - 1 - 65535))


class Client:
    """One HTTP/2 connection that answers SETTINGS and PING."""

    def __init__(self, port, tls=None, hello=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.sock.sendall(HELLO if hello is None else PREFACE + hello)
        self.buffer = bytearray()
        self.credit = 0
        self.window = 65535
        # What the server lets every stream begin with.
        self.initial = 65535

    def frames(self, until):
        """Reads until `until(kind, flags, stream, length)` holds; payloads of DATA are only counted."""
        got = 0
        while True:
            while len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) < 9 + length:
                    break
                kind, flags = self.buffer[3], self.buffer[4]
                stream = int.from_bytes(self.buffer[5:9], "big")
                payload = bytes(self.buffer[9:9 + length]) if kind != 0 else b""
                del self.buffer[:9 + length]
                if kind == 4 and not flags & 1:
                    self.settings(payload)
                elif kind == 6 and not flags & 1:
                    self.sock.sendall(frame(6, 1, 0, payload))
                elif kind == 7:
                    sys.exit(f"bench: GOAWAY {payload!r}")
                elif kind == 8 and stream == 0:
                    self.window += int.from_bytes(payload, "big")
                elif kind == 0:
                    got += length
                    self.credit += length
                    if self.credit > 1 << 28:
                        self.sock.sendall(frame(8, 0, 0, struct.pack(">I", self.credit)))
                        self.credit = 0
                if until(kind, flags, stream, length):
                    return got
            part = self.sock.recv(1 << 18)
            if not part:
                sys.exit("bench: the connection was closed")
            self.buffer += part



def settings(self, payload):
    """Takes SETTINGS over; how much more every open stream may send."""
    before = self.initial
    for at in range(0, len(payload), 6):
        if int.from_bytes(payload[at:at + 2], "big") == 4:
            self.initial = int.from_bytes(payload[at + 2:at + 6], "big")
    self.sock.sendall(frame(4, 1, 0))
    return self.initial - before


Client.settings = settings


def read_update(self):
    """Reads up to the next credit: (stream, bytes); by SETTINGS it is for every stream (None)."""
    while True:
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + length:
                break
            kind, flags = self.buffer[3], self.buffer[4]
            stream = int.from_bytes(self.buffer[5:9], "big")
            payload = bytes(self.buffer[9:9 + length])
            del self.buffer[:9 + length]
            if kind == 8:
                return stream, int.from_bytes(payload, "big")
            if kind == 4 and not flags & 1:
                return None, self.settings(payload)
            if kind == 6 and not flags & 1:
                self.sock.sendall(frame(6, 1, 0, payload))
        self.buffer += self.sock.recv(1 << 18)


Client.read_update = read_update
