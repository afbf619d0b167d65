"""One case: what a client sends, and the reactions that the specification allows."""

from dataclasses import dataclass

from connection import Connection
from wire import call

# The stream of the greeting that shows whether a connection still works.
LAST = 999_999

IGNORED = {"ignored"}


def connection_error(*codes):
    return {"GOAWAY " + code for code in codes}


def stream_error(*codes):
    """A stream error may be treated as a connection error. RFC 9113, section 5.4.1."""
    return {"RST_STREAM " + code for code in codes} | connection_error(*codes)


def http(status):
    return {f"HTTP {status}"}


def status(*codes):
    return {f"grpc-status {code}" for code in codes}


# An HTTP response may come instead of a reset. RFC 9113, section 8.1.1.
MALFORMED = stream_error("PROTOCOL_ERROR") | http(400)


def describe(allowed):
    """A set of reactions in a few words."""
    words, rest = [], set(allowed)
    if MALFORMED <= rest:
        words, rest = ["malformed"], rest - MALFORMED
    for connection in sorted(reaction for reaction in rest if reaction.startswith("GOAWAY ")):
        code = connection.removeprefix("GOAWAY ")
        is_of_stream = f"RST_STREAM {code}" in rest
        words.append(f"{'stream' if is_of_stream else 'connection'} error {code}")
        rest -= stream_error(code)
    return " or ".join(words + sorted(rest))


@dataclass
class Case:
    section: str
    what: str
    sends: object  # Bytes, or a function of the connection that may return what is wrong.
    allowed: set
    stream: int | None = None  # The stream whose fate counts, rather than the connection's.
    after: bytes = b""  # A call that has to be answered before.
    known: str | None = None  # A reaction that is not allowed, and explained in the docs.
    greets: bool = True  # Whether the client sends its preface before.
    is_last: bool = False  # Whether no other call can follow on the connection.

    def run(self, port):
        """Returns the reaction of the server on a port."""
        with Connection(port) as connection:
            if self.greets:
                connection.greet()
            if self.after:
                connection.send(self.after)
                connection.until(lambda: connection.has_ended(1))
            return self._act(connection) or self._reaction(connection)

    def _act(self, connection):
        if callable(self.sends):
            return self.sends(connection)
        connection.send(self.sends)

    def _reaction(self, connection):
        streams = [self.stream] if self.stream else []
        if not self.is_last:
            connection.send(call(LAST))
            streams.append(LAST)
        connection.until(lambda: all(connection.has_ended(stream) for stream in streams))
        failure = connection.failure()
        if failure:
            is_closed = connection.until(lambda: connection.is_closed)
            return failure if is_closed else failure + ", left open"
        if not self.is_last and connection.answer(LAST) != "grpc-status 0":
            return "closed" if connection.is_closed else "no further call"
        return connection.answer(self.stream) if self.stream else "ignored"
