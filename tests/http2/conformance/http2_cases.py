"""What RFC 9113 (HTTP/2) and RFC 7541 (HPACK) allow a server to do about a client's frames."""

import struct

import hyperframe.frame as frames

from case import IGNORED, MALFORMED, Case, connection_error, status, stream_error
from wire import *

PING_BYTES = b"12345678"
OPEN = headers()  # A call whose request has not ended.
MAX_FRAME_SIZE = 16_384
MAX_WINDOW = (1 << 31) - 1
OK = status(0)


def trailers(*sent):
    return OPEN + data(flags=0) + headers(1, encode(*sent), END_HEADERS | END_STREAM)


def in_frames(count):
    """A greeting whose header block is in HEADERS and a number of CONTINUATION frames."""
    encoded = block()
    sent = headers(payload=encoded[:1], flags=0)
    for at in range(1, count):
        sent += frame(CONTINUATION, 0, 1, encoded[at : at + 1])
    return sent + frame(CONTINUATION, END_HEADERS, 1, encoded[count:]) + data()


def hpack_bytes(*encoded):
    return headers(1, block() + bytes(encoded))


def starve(connection):
    """With a window of nothing the answer waits; each octet that is granted lets one octet out."""
    connection.send(settings((4, 0)) + call())
    connection.until(lambda: 1 in connection.headers)
    connection.send(frame(PING, payload=PING_BYTES))
    connection.until(lambda: connection.of(frames.PingFrame))
    sizes = [len(connection.text(1))]
    for size in (1, 2):
        connection.send(window_update(1, 1))
        connection.until(lambda: len(connection.text(1)) >= size)
        sizes.append(len(connection.text(1)))
    connection.send(settings((4, 65_535)))
    return None if sizes == [0, 1, 2] else f"sent {sizes} octets"


def go_below_zero(connection):
    """A window that SETTINGS make negative has to be filled up before anything is sent."""
    connection.send(settings((4, 3)) + call())
    connection.until(lambda: len(connection.text(1)) == 3)
    connection.send(settings((4, 0)) + window_update(1, 3) + frame(PING, payload=PING_BYTES))
    connection.until(lambda: connection.of(frames.PingFrame))
    if len(connection.text(1)) != 3:
        return f"sent {len(connection.text(1))} octets"
    connection.send(settings((4, 65_535)))


def call_beside_unread_answers(connection):
    """Asks for more answers than fit into the window, and calls while the server makes them."""
    connection.send(window_update(0, MAX_WINDOW - 65_535) + headers(1, block(path=REFLECTION)))
    connection.send(data(1, LIST_SERVICES * 2_000, 0) * 4)
    for stream in range(3, 400, 2):
        connection.send(call(stream))
        if not connection.until(lambda: connection.has_ended(stream)):
            return f"call {stream // 2} is not answered"


def keep_table_empty(connection):
    """The server's encoder must not use a table that this client does not keep."""
    connection.decoder.max_allowed_table_size = 0
    connection.send(settings((1, 0)) + call(1))
    connection.until(lambda: connection.has_ended(1))
    connection.send(call(3))


def answer_ping(connection):
    connection.send(frame(PING, payload=PING_BYTES))
    connection.until(lambda: connection.of(frames.PingFrame))
    pongs = [f.opaque_data for f in connection.of(frames.PingFrame) if "ACK" in f.flags]
    return None if pongs == [PING_BYTES] else f"answered {pongs}"


def acknowledge(connection):
    """Two SETTINGS frames get two acknowledgements."""
    before = len(connection.of(frames.SettingsFrame))
    connection.send(settings((4, 1_000)) + settings((4, 70_000)))
    is_done = connection.until(lambda: len(connection.of(frames.SettingsFrame)) >= before + 2)
    return None if is_done else "not acknowledged"


def open_too_many(connection):
    limit = next(f.settings[3] for f in connection.of(frames.SettingsFrame) if 3 in f.settings)
    for stream in range(1, 2 * limit + 2, 2):
        connection.send(headers(stream))
    refused = 2 * limit + 1
    connection.until(lambda: connection.has_ended(refused))
    connection.send(reset(1))
    return connection.failure() or connection.answer(refused)


CASES = [
    # ------------------------------------------------------------------ starting
    Case(
        "3.4",
        "something else than the preface",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n    ",
        connection_error("PROTOCOL_ERROR") | {"closed"},
        greets=False,
    ),
    Case(
        "3.4",
        "a preface that is not followed by SETTINGS",
        PREFACE + frame(PING, payload=PING_BYTES),
        connection_error("PROTOCOL_ERROR") | {"closed"},
        greets=False,
    ),
    # ------------------------------------------------------------------ frames
    Case("4.1", "a frame of unknown type", frame(0xBB, 0xFF, 0, b"???"), IGNORED),
    Case("4.1", "a frame of unknown type on an idle stream", frame(0xBB, 0, 1, b"???"), IGNORED),
    Case("4.1", "undefined flags", frame(PING, 0xFE, 0, PING_BYTES), IGNORED),
    Case("4.1", "the reserved bit", frame(PING, 0, 1 << 31, PING_BYTES), IGNORED),
    Case(
        "4.2",
        "DATA larger than SETTINGS_MAX_FRAME_SIZE",
        OPEN + data(payload=bytes(MAX_FRAME_SIZE + 1)),
        stream_error("FRAME_SIZE_ERROR"),
        stream=1,
    ),
    Case(
        "4.2",
        "HEADERS larger than SETTINGS_MAX_FRAME_SIZE",
        headers(payload=block(("x", "x" * MAX_FRAME_SIZE))),
        connection_error("FRAME_SIZE_ERROR"),
    ),
    Case(
        "4.2",
        "SETTINGS larger than SETTINGS_MAX_FRAME_SIZE",
        settings(*[(9, 0)] * 2_731),
        connection_error("FRAME_SIZE_ERROR"),
    ),
    Case(
        "4.3",
        "a field block that cannot be decoded",
        headers(payload=b"\xff" * 10),
        connection_error("COMPRESSION_ERROR"),
    ),
    Case(
        "4.3",
        "PRIORITY inside a field block",
        headers(flags=0) + frame(PRIORITY, 0, 1, bytes(5)) + frame(CONTINUATION, END_HEADERS, 1),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "4.3",
        "HEADERS of another stream inside a field block",
        headers(flags=0) + headers(3),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "5.5",
        "a frame of unknown type inside a field block",
        headers(flags=0) + frame(0xBB, 0, 1),
        connection_error("PROTOCOL_ERROR"),
    ),
    # ------------------------------------------------------------------ states
    Case("5.1", "DATA on an idle stream", data(), connection_error("PROTOCOL_ERROR")),
    Case("5.1", "RST_STREAM on an idle stream", reset(), connection_error("PROTOCOL_ERROR")),
    Case(
        "5.1",
        "WINDOW_UPDATE on an idle stream",
        window_update(1, 1),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "5.1",
        "CONTINUATION on an idle stream",
        frame(CONTINUATION, END_HEADERS, 1, block()),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case("5.1", "PRIORITY on an idle stream", frame(PRIORITY, 0, 1, bytes(5)), IGNORED),
    Case(
        "5.1",
        "DATA on a half-closed stream",
        watch() + data(),
        stream_error("STREAM_CLOSED"),
        stream=1,
    ),
    Case(
        "5.1",
        "HEADERS on a half-closed stream",
        watch() + headers(),
        stream_error("STREAM_CLOSED"),
        stream=1,
    ),
    Case(
        "5.1",
        "CONTINUATION on a half-closed stream",
        watch() + frame(CONTINUATION, END_HEADERS, 1, block()),
        connection_error("PROTOCOL_ERROR", "STREAM_CLOSED"),
    ),
    Case(
        "5.1",
        "WINDOW_UPDATE and PRIORITY on a half-closed stream",
        watch() + window_update(1, 1) + frame(PRIORITY, 0, 1, bytes(5)),
        IGNORED,
    ),
    Case(
        "5.1",
        "DATA on a stream that the client has reset",
        OPEN + reset() + data(),
        stream_error("STREAM_CLOSED") | IGNORED,
    ),
    Case(
        "5.1",
        "HEADERS on a stream that the client has reset",
        OPEN + reset() + headers(),
        stream_error("STREAM_CLOSED") | IGNORED,
    ),
    Case(
        "5.1",
        "DATA on a closed stream",
        data(),
        connection_error("STREAM_CLOSED") | IGNORED,
        after=call(),
    ),
    Case(
        "5.1",
        "HEADERS on a closed stream",
        headers(),
        connection_error("STREAM_CLOSED", "PROTOCOL_ERROR") | IGNORED,
        after=call(),
    ),
    Case(
        "5.1",
        "CONTINUATION on a closed stream",
        frame(CONTINUATION, END_HEADERS, 1, block()),
        connection_error("PROTOCOL_ERROR", "STREAM_CLOSED"),
        after=call(),
    ),
    Case(
        "5.1",
        "WINDOW_UPDATE, PRIORITY and RST_STREAM on a closed stream",
        window_update(1, 1) + frame(PRIORITY, 0, 1, bytes(5)) + reset(),
        IGNORED,
        after=call(),
    ),
    Case("5.1.1", "a stream with an even number", headers(2), connection_error("PROTOCOL_ERROR")),
    Case(
        "5.1.1",
        "a stream with a smaller number than an earlier one",
        call(5) + headers(3),
        connection_error("PROTOCOL_ERROR", "STREAM_CLOSED"),
        known="ignored",
    ),
    Case(
        "5.1.2",
        "more streams than SETTINGS_MAX_CONCURRENT_STREAMS",
        open_too_many,
        stream_error("REFUSED_STREAM", "PROTOCOL_ERROR"),
    ),
    Case(
        "5.3.2",
        "HEADERS that make a stream depend on itself",
        headers(1, struct.pack(">IB", 1, 9) + block(), END_HEADERS | HAS_PRIORITY) + data(),
        stream_error("PROTOCOL_ERROR") | OK,
        stream=1,
    ),
    # ------------------------------------------------------------------ DATA
    Case("6.1", "DATA on stream 0", data(0), connection_error("PROTOCOL_ERROR")),
    Case(
        "6.1",
        "padded DATA",
        OPEN + data(1, b"\5" + MESSAGE + bytes(5), END_STREAM | PADDED),
        OK,
        stream=1,
    ),
    Case(
        "6.1",
        "more padding than DATA",
        OPEN + data(1, b"\7" + bytes(6), PADDED),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "6.1",
        "padded DATA without a pad length",
        OPEN + data(1, b"", PADDED),
        connection_error("FRAME_SIZE_ERROR", "PROTOCOL_ERROR"),
    ),
    Case(
        "6.1",
        "empty DATA frames around the message",
        OPEN + data(1, b"", 0) * 3 + data(1, MESSAGE, 0) + data(1, b""),
        OK,
        stream=1,
    ),
    # ------------------------------------------------------------------ HEADERS
    Case("6.2", "HEADERS on stream 0", headers(0), connection_error("PROTOCOL_ERROR")),
    Case(
        "6.2",
        "HEADERS with padding and a priority",
        headers(
            1,
            b"\3" + struct.pack(">IB", 0, 9) + block() + bytes(3),
            END_HEADERS | PADDED | HAS_PRIORITY,
        )
        + data(),
        OK,
        stream=1,
    ),
    Case(
        "6.2",
        "more padding than HEADERS",
        headers(1, b"\x09\x82", END_HEADERS | PADDED),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "6.2",
        "HEADERS too short for a priority",
        headers(1, b"123", END_HEADERS | HAS_PRIORITY),
        connection_error("FRAME_SIZE_ERROR", "PROTOCOL_ERROR"),
    ),
    # ------------------------------------------------------------------ PRIORITY, RST_STREAM
    Case(
        "6.3",
        "PRIORITY on stream 0",
        frame(PRIORITY, 0, 0, bytes(5)),
        connection_error("PROTOCOL_ERROR"),
        known="ignored",
    ),
    Case(
        "6.3",
        "PRIORITY of 4 octets",
        OPEN + frame(PRIORITY, 0, 1, bytes(4)),
        stream_error("FRAME_SIZE_ERROR"),
        stream=1,
    ),
    Case("6.4", "RST_STREAM on stream 0", reset(0), connection_error("PROTOCOL_ERROR")),
    Case(
        "6.4",
        "RST_STREAM of 3 octets",
        OPEN + frame(RST_STREAM, 0, 1, bytes(3)),
        connection_error("FRAME_SIZE_ERROR"),
    ),
    Case("7", "RST_STREAM with an unknown error code", OPEN + reset(code=0xFFFF), IGNORED),
    # ------------------------------------------------------------------ SETTINGS
    Case("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1), connection_error("PROTOCOL_ERROR")),
    Case(
        "6.5",
        "SETTINGS of 5 octets",
        frame(SETTINGS, 0, 0, bytes(5)),
        connection_error("FRAME_SIZE_ERROR"),
    ),
    Case(
        "6.5",
        "an acknowledgement with a payload",
        frame(SETTINGS, ACK, 0, bytes(6)),
        connection_error("FRAME_SIZE_ERROR"),
    ),
    Case("6.5.2", "an unknown setting", settings((0xFFFF, 1)), IGNORED),
    Case(
        "6.5.2", "SETTINGS_ENABLE_PUSH of 2", settings((2, 2)), connection_error("PROTOCOL_ERROR")
    ),
    Case(
        "6.5.2",
        "SETTINGS_INITIAL_WINDOW_SIZE of 2^31",
        settings((4, 1 << 31)),
        connection_error("FLOW_CONTROL_ERROR"),
    ),
    Case(
        "6.5.2",
        "SETTINGS_MAX_FRAME_SIZE of 16,383",
        settings((5, MAX_FRAME_SIZE - 1)),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "6.5.2",
        "SETTINGS_MAX_FRAME_SIZE of 2^24",
        settings((5, 1 << 24)),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case("6.5.2", "SETTINGS_HEADER_TABLE_SIZE of 0", keep_table_empty, OK, stream=3),
    Case("6.5.3", "SETTINGS twice, to be acknowledged twice", acknowledge, IGNORED),
    # ------------------------------------------------------------------ PUSH_PROMISE, PING, GOAWAY
    Case(
        "6.6",
        "PUSH_PROMISE",
        OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + block()),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case("6.7", "PING, to be answered with the same octets", answer_ping, IGNORED),
    Case(
        "6.7",
        "an answer without a PING",
        frame(PING, ACK, 0, PING_BYTES),
        connection_error("PROTOCOL_ERROR") | IGNORED,
    ),
    Case(
        "6.7", "PING on a stream", frame(PING, 0, 1, PING_BYTES), connection_error("PROTOCOL_ERROR")
    ),
    Case(
        "6.7", "PING of 6 octets", frame(PING, 0, 0, bytes(6)), connection_error("FRAME_SIZE_ERROR")
    ),
    Case(
        "6.8",
        "GOAWAY on a stream",
        frame(GOAWAY, 0, 1, bytes(8)),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "6.8",
        "GOAWAY of 4 octets",
        frame(GOAWAY, 0, 0, bytes(4)),
        connection_error("FRAME_SIZE_ERROR"),
    ),
    Case(
        "6.8",
        "GOAWAY while a call is open",
        OPEN + frame(GOAWAY, 0, 0, bytes(8)) + data(),
        OK,
        stream=1,
        is_last=True,
    ),
    # ------------------------------------------------------------------ flow control
    Case(
        "6.9",
        "WINDOW_UPDATE of 0 for the connection",
        window_update(0, 0),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "6.9",
        "WINDOW_UPDATE of 0 for a stream",
        OPEN + window_update(1, 0),
        stream_error("PROTOCOL_ERROR"),
        stream=1,
    ),
    Case(
        "6.9",
        "WINDOW_UPDATE of 3 octets",
        frame(WINDOW_UPDATE, 0, 0, bytes(3)),
        connection_error("FRAME_SIZE_ERROR"),
    ),
    Case(
        "6.9.1",
        "the connection's window beyond 2^31-1",
        window_update(0, MAX_WINDOW),
        connection_error("FLOW_CONTROL_ERROR"),
    ),
    Case(
        "6.9.1",
        "a stream's window beyond 2^31-1",
        OPEN + window_update(1, MAX_WINDOW),
        stream_error("FLOW_CONTROL_ERROR"),
        stream=1,
    ),
    Case("6.9.1", "windows of 0, then octet by octet", starve, OK, stream=1),
    Case("6.9.2", "SETTINGS that make a window negative", go_below_zero, OK, stream=1),
    Case(
        "6.9.2",
        "SETTINGS that take a window beyond 2^31-1",
        OPEN + window_update(1, 1) + settings((4, MAX_WINDOW)),
        connection_error("FLOW_CONTROL_ERROR"),
    ),
    Case(
        "6.9.1",
        "more DATA than the window allows",
        # A server that keeps pace would open the window, so it is made to stop reading: it reads no
        # further request of this stream while the client does not let it send its answers.
        window_update(0, 65_535)
        + headers(1, block(path=REFLECTION))
        + data(1, LIST_SERVICES * (MAX_FRAME_SIZE // len(LIST_SERVICES)), 0) * 300,
        stream_error("FLOW_CONTROL_ERROR"),
        stream=1,
    ),
    Case(
        "5.2",
        "a stream whose answers are not read, and calls beside it",
        call_beside_unread_answers,
        IGNORED,
    ),
    # ------------------------------------------------------------------ CONTINUATION
    Case("6.10", "a field block in 8 CONTINUATION frames", in_frames(8), OK, stream=1),
    Case(
        "6.10",
        "a field block in 100 CONTINUATION frames",
        in_frames(100),
        connection_error("ENHANCE_YOUR_CALM") | OK,
        stream=1,
    ),
    Case(
        "6.10",
        "CONTINUATION after the end of a field block",
        OPEN + frame(CONTINUATION, END_HEADERS, 1, block()),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "6.10",
        "CONTINUATION of another stream",
        headers(flags=0) + frame(CONTINUATION, END_HEADERS, 3, block()),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "6.10",
        "CONTINUATION on stream 0",
        frame(CONTINUATION, END_HEADERS, 0, block()),
        connection_error("PROTOCOL_ERROR"),
    ),
    Case(
        "10.5",
        "CONTINUATION without end",
        headers(flags=0) + frame(CONTINUATION, 0, 1) * 5_000,
        connection_error("ENHANCE_YOUR_CALM"),
    ),
    # ------------------------------------------------------------------ requests
    Case("8.1", "trailers", trailers(("x", "y")), OK, stream=1),
    Case(
        "8.1",
        "trailers that do not end the stream",
        OPEN + headers(1, encode(("x", "y"))),
        MALFORMED,
        stream=1,
    ),
    Case("8.1", "pseudo-fields in trailers", trailers((":path", GREET)), MALFORMED, stream=1),
    Case(
        "8.1.1",
        "content-length shorter than the DATA",
        call_with(("content-length", "3")),
        MALFORMED,
        stream=1,
    ),
    Case(
        "8.1.1",
        "content-length longer than the DATA",
        call_with(("content-length", "300")),
        MALFORMED,
        stream=1,
    ),
    Case(
        "8.1.1",
        "content-length that is no number",
        call_with(("content-length", "ten")),
        MALFORMED,
        stream=1,
    ),
    Case("8.2.1", "a name in upper case", call_with(("X-Name", "x")), MALFORMED, stream=1),
    Case(
        "8.2.1",
        "a name with a space",
        call_with(("x name", "x")),
        MALFORMED,
        stream=1,
        known="grpc-status 0",
    ),
    Case(
        "8.2.1",
        "a name with a colon",
        call_with(("x:name", "x")),
        MALFORMED,
        stream=1,
        known="grpc-status 0",
    ),
    Case(
        "8.2.1", "an empty name", call_with(("", "x")), MALFORMED, stream=1, known="grpc-status 0"
    ),
    Case(
        "8.2.1",
        "a value with NUL",
        call_with(("x", "a\0b")),
        MALFORMED,
        stream=1,
        known="grpc-status 0",
    ),
    Case(
        "8.2.1",
        "a value with a line break",
        call_with(("x", "a\r\nb: c")),
        MALFORMED,
        stream=1,
        known="grpc-status 0",
    ),
    Case(
        "8.2.1",
        "a value with a space at its end",
        call_with(("x", "a ")),
        MALFORMED,
        stream=1,
        known="grpc-status 0",
    ),
    Case("8.2.2", "connection: close", call_with(("connection", "close")), MALFORMED, stream=1),
    Case("8.2.2", "keep-alive", call_with(("keep-alive", "timeout=5")), MALFORMED, stream=1),
    Case(
        "8.2.2",
        "proxy-connection",
        call_with(("proxy-connection", "keep-alive")),
        MALFORMED,
        stream=1,
    ),
    Case(
        "8.2.2",
        "transfer-encoding: chunked",
        call_with(("transfer-encoding", "chunked")),
        MALFORMED,
        stream=1,
    ),
    Case("8.2.2", "upgrade: h2c", call_with(("upgrade", "h2c")), MALFORMED, stream=1),
    Case("8.2.2", "te: gzip", call_with(("te", "gzip"), leave_out=["te"]), MALFORMED, stream=1),
    Case("8.3", "an unknown pseudo-field", call_after((":x", "y")), MALFORMED, stream=1),
    Case("8.3", ":status in a request", call_after((":status", "200")), MALFORMED, stream=1),
    Case(
        "8.3",
        "a pseudo-field after an ordinary one",
        call_with((":path", GREET), leave_out=[":path"]),
        MALFORMED,
        stream=1,
    ),
    Case("8.3.1", "no :method", call_with(leave_out=[":method"]), MALFORMED, stream=1),
    Case("8.3.1", "no :scheme", call_with(leave_out=[":scheme"]), MALFORMED, stream=1),
    Case("8.3.1", "no :path", call_with(leave_out=[":path"]), MALFORMED, stream=1),
    Case(
        "8.3.1",
        "neither :authority nor host",
        call_with(leave_out=[":authority"]),
        MALFORMED,
        stream=1,
    ),
    Case(
        "8.3.1",
        "host instead of :authority",
        call_with(("host", "localhost"), leave_out=[":authority"]),
        OK,
        stream=1,
    ),
    Case("8.3.1", "an empty :path", call_with(path=""), MALFORMED, stream=1),
    Case("8.3.1", "two :path", call_after((":path", GREET)), MALFORMED, stream=1),
    Case("8.3.1", "two :method", call_after((":method", "POST")), MALFORMED, stream=1),
    Case(
        "8.3.1",
        "host other than :authority",
        call_with(("host", "example.org")),
        MALFORMED | OK,
        stream=1,
    ),
    Case("8.5", "CONNECT with :path", call_after((":method", "CONNECT")), MALFORMED, stream=1),
    # ------------------------------------------------------------------ HPACK
    Case("HPACK 2.3.3", "an index of 0", hpack_bytes(0x80), connection_error("COMPRESSION_ERROR")),
    Case(
        "HPACK 2.3.3",
        "an index beyond both tables",
        hpack_bytes(0xFF, 0x20),
        connection_error("COMPRESSION_ERROR"),
    ),
    Case(
        "HPACK 5.1",
        "an integer that is too large",
        hpack_bytes(0xFF, *[0xFF] * 9),
        connection_error("COMPRESSION_ERROR"),
    ),
    Case(
        "HPACK 5.2",
        "Huffman padding of more than 7 bits",
        hpack_bytes(0, 1, 120, 0x82, 0xFF, 0xFF),
        connection_error("COMPRESSION_ERROR"),
    ),
    Case(
        "HPACK 5.2",
        "Huffman padding with zeros",
        hpack_bytes(0, 1, 120, 0x81, 0x00),
        connection_error("COMPRESSION_ERROR"),
    ),
    Case(
        "HPACK 5.2",
        "Huffman's end-of-string symbol",
        hpack_bytes(0, 1, 120, 0x84, 0xFF, 0xFF, 0xFF, 0xFC),
        connection_error("COMPRESSION_ERROR"),
    ),
    Case(
        "HPACK 6.2",
        "a block that ends inside a field",
        hpack_bytes(0, 5, 120),
        connection_error("COMPRESSION_ERROR"),
    ),
    Case(
        "HPACK 6.3",
        "a table larger than SETTINGS_HEADER_TABLE_SIZE",
        headers(1, integer(4_097, 5, 0x20) + block()),
        connection_error("COMPRESSION_ERROR"),
    ),
    Case(
        "HPACK 4.2",
        "a table size after a field",
        hpack_bytes(0x20),
        connection_error("COMPRESSION_ERROR"),
    ),
]
