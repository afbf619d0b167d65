"""A client of a naming server, written with nothing but the code that grpc_tools generates.

Given a port, it claims names, looks them up, lists and watches them, and prints the answers. Given
`hold PORT NAME ADDRESS`, it holds a name until it is killed.
"""

import queue
import sys
import threading

import grpc

from greet.v1 import names_pb2 as pb
from greet.v1 import names_pb2_grpc

TIMEOUT_S = 10


def connect(port):
    return names_pb2_grpc.NamesStub(grpc.insecure_channel(f"127.0.0.1:{port}"))


def hold(names, name, address, **more):
    """Claims a name. Cancelling the returned call releases it."""
    call = names.Register(pb.Claim(name=name, address=address, **more))
    assert next(call).since_ms > 0
    return call


def refused(call):
    try:
        return f"not refused: {call()}"
    except grpc.RpcError as error:
        return error.code().name


def follow(watch):
    """Returns a function that gives the next change of a watch, as a line of text."""
    answers = queue.Queue()

    def read():
        try:
            for answer in watch:
                if answer.state:
                    answers.put(f"state {[change.entry.name for change in answer.changes]}")
                    continue
                for change in answer.changes:
                    kind = pb.Change.Kind.Name(change.kind)
                    answers.put(f"{kind} {change.entry.name} {change.entry.address}")
        except grpc.RpcError as error:
            answers.put(error.code().name)

    threading.Thread(target=read, daemon=True).start()
    return lambda: answers.get(timeout=TIMEOUT_S)


def main(port):
    names = connect(port)
    bob = hold(names, "Bob", "127.0.0.1:1")
    watch = names.Watch(pb.WatchRequest())
    next_line = follow(watch)
    print(next_line())
    print("second claim:", refused(lambda: next(connect(port).Register(pb.Claim(name="Bob", address="a:1")))))
    print("bad name:", refused(lambda: next(names.Register(pb.Claim(name="a/b", address="a:1")))))
    print("nobody:", refused(lambda: names.Lookup(pb.LookupRequest(name="Carol"), timeout=TIMEOUT_S)))
    first = hold(names, "service", "127.0.0.1:2", shared=True)
    second = hold(names, "service", "[::1]:3", shared=True, holder="secret")
    print(next_line(), next_line(), sep="\n")
    found = names.Lookup(pb.LookupRequest(name="service"), timeout=TIMEOUT_S)
    print("found:", *(entry.address for entry in found.entries))
    moved = hold(names, "service", "[::1]:4", shared=True, holder="secret")
    print(next_line(), next_line(), sep="\n")
    print("the earlier call:", refused(lambda: next(second)))
    bob.cancel()
    print(next_line())
    print("list:", *(entry.name for entry in names.List(pb.ListRequest(), timeout=TIMEOUT_S).entries))
    first.cancel()
    print(next_line())
    moved.cancel()
    print(next_line())


if sys.argv[1] == "hold":
    _, _, port, name, address = sys.argv
    call = hold(connect(port), name, address)
    print("held", flush=True)
    for _ in call:
        pass
else:
    main(sys.argv[1])
