"""Encodes frames and header blocks, right or wrong."""

import struct

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE = range(6)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(6, 10)
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

GREET = "/greet.v1.Greeter/Greet"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"

PSEUDO = {":method": "POST", ":scheme": "http", ":path": GREET, ":authority": "localhost"}
REGULAR = {"content-type": "application/grpc", "te": "trailers"}

# UserInfo{name: "Bob"}, as protobuf and as gRPC sends it.
BOB = b"\n\x03Bob"
MESSAGE = struct.pack(">BI", 0, len(BOB)) + BOB

# ServerReflectionRequest{list_services: ""}, as gRPC sends it.
LIST_SERVICES = b"\0\0\0\0\2\x3a\0"


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def block(*added, path=GREET, leave_out=()):
    """An encoded header block: an ordinary call's fields, without some of them, then others."""
    ordinary = {**PSEUDO, ":path": path, **REGULAR}
    kept = [(name, value) for name, value in ordinary.items() if name not in leave_out]
    return encode(*kept, *added)


def encode(*fields):
    """A header block of literal fields, so that it needs no state and may contain anything."""
    encoded = b""
    for name, value in fields:
        name, value = (text if isinstance(text, bytes) else text.encode() for text in (name, value))
        encoded += b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value
    return encoded


def integer(value, bits, first=0):
    """RFC 7541, section 5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    encoded, value = [first | limit], value - limit
    while value >= 128:
        encoded.append(value % 128 | 128)
        value //= 128
    return bytes([*encoded, value])


def headers(stream=1, payload=None, flags=END_HEADERS):
    return frame(HEADERS, flags, stream, block() if payload is None else payload)


def data(stream=1, payload=MESSAGE, flags=END_STREAM):
    return frame(DATA, flags, stream, payload)


def call(stream=1):
    """A greeting."""
    return headers(stream) + data(stream)


def call_with(*added, leave_out=(), path=GREET):
    """A greeting with other fields in its header block."""
    return headers(1, block(*added, path=path, leave_out=leave_out)) + data()


def call_after(*first, leave_out=()):
    """A greeting with fields before the ordinary ones."""
    return headers(1, encode(*first) + block(leave_out=leave_out)) + data()


def message(payload, flag=0, length=None):
    """A message as gRPC sends it; its length can be a lie."""
    return struct.pack(">BI", flag, len(payload) if length is None else length) + payload


def watch(stream=1):
    """A call that is half-closed for the client, and stays open for the server."""
    return headers(stream, block(path=WATCH)) + data(stream, message(b""))


def reset(stream=1, code=8):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))
