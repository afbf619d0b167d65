"""A client that may break every rule, and tells how the server reacted."""

import socket
import time

import hpack
import hyperframe.frame as frames

from wire import ACK, PREFACE, SETTINGS, frame, settings

# RFC 9113, section 7.
ERRORS = """NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED
FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM
INADEQUATE_SECURITY HTTP_1_1_REQUIRED""".split()

# How long the server may take for a reaction, in seconds.
PATIENCE = 30


class Connection:
    """A connection, and the frames that the server has sent on it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""
        self.decoder = hpack.Decoder()
        self.received = []
        self.headers = {}
        self.is_closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def greet(self):
        """Sends a client's preface, and waits for the server's and its acknowledgement."""
        self.send(PREFACE + settings())
        self.until(lambda: len(self.of(frames.SettingsFrame)) >= 2)

    def send(self, payload):
        try:
            self.socket.sendall(payload)
        except OSError:
            pass  # What it has sent before it closed the connection can still be read.

    def until(self, is_over):
        """Reads frames until one is what is waited for, the connection closes, or time is up."""
        deadline = time.monotonic() + PATIENCE
        while not self.is_closed and not is_over():
            received = self._next(deadline)
            if received is None:
                break
            self.received.append(received)
            self._take(received)
        return is_over()

    def _next(self, deadline):
        """The next frame; none if there is no other one in time."""
        while (received := self._parse()) is None:
            try:
                self.socket.settimeout(max(0.001, deadline - time.monotonic()))
                arrived = self.socket.recv(65_536)
            except TimeoutError:
                return None
            except OSError:
                arrived = b""
            if arrived == b"":
                self.is_closed = True
                return None
            self.unread += arrived
        return received

    def _parse(self):
        if len(self.unread) < 9:
            return None
        received, length = frames.Frame.parse_frame_header(memoryview(self.unread[:9]))
        if len(self.unread) < 9 + length:
            return None
        received.parse_body(memoryview(self.unread[9 : 9 + length]))
        self.unread = self.unread[9 + length :]
        return received

    def _take(self, received):
        if isinstance(received, frames.HeadersFrame):
            # Refusals quote paths, which need not be UTF-8.
            fields = self.decoder.decode(received.data, raw=True)
            texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in fields}
            self.headers.setdefault(received.stream_id, {}).update(texts)
        if isinstance(received, frames.SettingsFrame) and "ACK" not in received.flags:
            self.send(frame(SETTINGS, ACK))

    def of(self, kind, stream=0):
        return [f for f in self.received if isinstance(f, kind) and f.stream_id == stream]

    def has_ended(self, stream):
        mine = [f for f in self.received if f.stream_id == stream]
        return any(isinstance(f, frames.RstStreamFrame) or "END_STREAM" in f.flags for f in mine)

    def text(self, stream):
        return b"".join(f.data for f in self.of(frames.DataFrame, stream))

    def answer(self, stream):
        """How a stream ended: reset, refused by HTTP, or with a gRPC status."""
        resets = self.of(frames.RstStreamFrame, stream)
        answered = self.headers.get(stream, {})
        if answered.get(":status", "200") != "200":
            return "HTTP " + answered[":status"]
        if "grpc-status" in answered:
            return "grpc-status " + answered["grpc-status"]
        return "RST_STREAM " + name_of(resets[0].error_code) if resets else "no answer"

    def failure(self):
        """The connection error, if the server has reported one."""
        errors = [f.error_code for f in self.of(frames.GoAwayFrame) if f.error_code != 0]
        return "GOAWAY " + name_of(errors[0]) if errors else None


def name_of(code):
    return ERRORS[code] if code < len(ERRORS) else str(code)
