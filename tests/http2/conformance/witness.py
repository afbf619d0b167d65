"""An innocent client, on a connection of its own, that is served while others break the rules."""

import socket
import time

import h2.config
import h2.connection
import h2.events

from wire import GREET, MESSAGE, PSEUDO, REGULAR, WATCH, message

# How long a greeting may take, in seconds.
PATIENCE = 30


class Witness:
    """Keeps one call open all the time. The library h2 raises if the server breaks a rule."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.http2.initiate_connection()
        self.ended = set()
        self.texts = {}
        self.watch = self._call(WATCH, message(b""))

    def _call(self, path, request):
        stream = self.http2.get_next_available_stream_id()
        self.http2.send_headers(stream, [*{**PSEUDO, ":path": path, **REGULAR}.items()])
        self.http2.send_data(stream, request, end_stream=True)
        self.socket.sendall(self.http2.data_to_send())
        return stream

    def problem(self):
        """Greets. Returns what is wrong with the answer, or with the call that is open."""
        stream = self._call(GREET, MESSAGE)
        deadline = time.monotonic() + PATIENCE
        while stream not in self.ended:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                arrived = self.socket.recv(65_536)
            except TimeoutError:
                return "no answer in time"
            if arrived == b"":
                return "its connection was closed"
            for event in self.http2.receive_data(arrived):
                self._take(event)
            self.socket.sendall(self.http2.data_to_send())
        if b"Hello, Bob." not in self.texts.get(stream, b""):
            return "another answer"
        return "its open call has ended" if self.watch in self.ended else None

    def _take(self, event):
        if isinstance(event, h2.events.DataReceived):
            self.texts[event.stream_id] = self.texts.get(event.stream_id, b"") + event.data
            self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
            self.ended.add(event.stream_id)
