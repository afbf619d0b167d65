"""What gRPC over HTTP/2 (grpc/grpc doc/PROTOCOL-HTTP2.md) allows a server to do about a request."""

from case import Case, http, status
from wire import *

OK, INVALID_ARGUMENT, DEADLINE_EXCEEDED = status(0), status(3), status(4)
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = status(8), status(12), status(13)
BAD_REQUEST = INTERNAL | INVALID_ARGUMENT | http(400)
BAD_MESSAGE = INTERNAL | INVALID_ARGUMENT | UNIMPLEMENTED


def of_type(content_type):
    return call_with(("content-type", content_type), leave_out=["content-type"])


def method(name):
    return call_after((":method", name), leave_out=[":method"])


def timeout(value):
    return call_with(("grpc-timeout", value))


def sent(*payloads):
    """A call whose request is in DATA frames with given payloads."""
    *earlier, last = payloads
    return headers() + b"".join(data(1, part, 0) for part in earlier) + data(1, last)


def case(section, what, sends, allowed, known=None):
    return Case(section, what, sends, allowed, stream=1, known=known)


CASES = [
    case("Request-Headers", "content-type: text/plain", of_type("text/plain"), http(415)),
    case(
        "Request-Headers",
        "content-type: application/grpcx",
        of_type("application/grpcx"),
        OK | http(415),
    ),
    case(
        "Request-Headers", "content-type: application/json", of_type("application/json"), http(415)
    ),
    case("Request-Headers", "no content-type", call_with(leave_out=["content-type"]), http(415)),
    case(
        "Request-Headers",
        "content-type: application/grpc+proto",
        of_type("application/grpc+proto"),
        OK,
    ),
    case(
        "Request-Headers", "content-type: application/grpc;x=y", of_type("application/grpc;x=y"), OK
    ),
    case("Request-Headers", "no te", call_with(leave_out=["te"]), OK),
    case("Request-Headers", "GET", method("GET"), http(405)),
    case("Request-Headers", "PUT", method("PUT"), http(405)),
    case("Request-Headers", "an unknown service", call_with(path="/nothing/Greet"), UNIMPLEMENTED),
    case(
        "Request-Headers",
        "an unknown call",
        call_with(path="/greet.v1.Greeter/Nothing"),
        UNIMPLEMENTED,
    ),
    case("Request-Headers", "a path without a call", call_with(path="/"), UNIMPLEMENTED),
    case("Request-Headers", "a path in another case", call_with(path=GREET.lower()), UNIMPLEMENTED),
    case("Request-Headers", "a path with a query", call_with(path=GREET + "?x"), UNIMPLEMENTED),
    case("Timeout", "no number", timeout("soon"), BAD_REQUEST),
    case("Timeout", "no unit", timeout("10"), BAD_REQUEST),
    case(
        "Timeout",
        "nine digits",
        timeout("100000000S"),
        BAD_REQUEST,
    ),
    case(
        "Timeout",
        "negative",
        timeout("-1S"),
        BAD_REQUEST,
    ),
    case("Timeout", "a nanosecond", timeout("1n"), DEADLINE_EXCEEDED | OK),
    case("Timeout", "30 days", timeout("720H"), OK),
    case("Timeout", "99,999,999 hours, the longest", timeout("99999999H"), OK),
    case(
        "Custom-Metadata",
        "binary metadata that is not Base64",
        call_with(("x-bin", "!!!")),
        OK | INTERNAL | INVALID_ARGUMENT,
    ),
    case(
        "Custom-Metadata",
        "binary metadata with and without padding",
        call_with(("x-bin", "YQ=="), ("y-bin", "YQ"), ("z-bin", "YQ,Yg==")),
        OK,
    ),
    case("Custom-Metadata", "a reserved name", call_with(("grpc-something", "x")), OK),
    case("Custom-Metadata", "names with dots and underscores", call_with(("a.b_c-d", "x")), OK),
    case(
        "Message-Encoding",
        "an unknown encoding",
        call_with(("grpc-encoding", "zip")),
        UNIMPLEMENTED,
    ),
    case(
        "Message-Encoding",
        "gzip, which this server does not accept",
        call_with(("grpc-encoding", "gzip")),
        UNIMPLEMENTED,
    ),
    case("Message", "one octet in each DATA frame", sent(*[bytes([b]) for b in MESSAGE]), OK),
    case(
        "Message",
        "a message that ends before its length",
        sent(message(BOB, length=50)),
        BAD_MESSAGE,
    ),
    case(
        "Message",
        "a message that goes on after its length",
        sent(message(BOB) + b"xyz"),
        BAD_MESSAGE,
        known="grpc-status 0",
    ),
    case("Message", "half of a prefix", sent(MESSAGE[:3]), BAD_MESSAGE),
    case("Message", "no message", sent(b""), BAD_MESSAGE),
    case(
        "Message",
        "no message, ended by the headers",
        headers(1, block(), END_HEADERS | END_STREAM),
        BAD_MESSAGE,
    ),
    case("Message", "two messages", sent(MESSAGE, MESSAGE), BAD_MESSAGE),
    case(
        "Message",
        "a compressed flag without an encoding",
        sent(message(BOB, flag=1)),
        INTERNAL | UNIMPLEMENTED,
    ),
    case(
        "Message",
        "a compressed flag of 2",
        sent(message(BOB, flag=2)),
        INTERNAL,
    ),
    case(
        "Message",
        "a message that is no protobuf",
        sent(message(b"\xff\xff\xff")),
        INTERNAL | INVALID_ARGUMENT,
    ),
    case(
        "Message", "a length of 4 GB", sent(message(b"x", length=0xFFFF_FFFF)), RESOURCE_EXHAUSTED
    ),
    case("Message", "an empty message", sent(message(b"")), INVALID_ARGUMENT),
]
