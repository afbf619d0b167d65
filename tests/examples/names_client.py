"""Uses a naming server as somebody else's program would: with what grpc_tools makes of names.proto.

Given a port, it registers, is refused, looks up, lists and watches, and prints
what it was told. Given `hold PORT NAME ADDRESS`, it holds a name until it is killed.
"""

import queue
import sys
import threading

import grpc

import names_pb2 as pb
import names_pb2_grpc

TIMEOUT_S = 10


def connect(port):
    return names_pb2_grpc.NamesStub(grpc.insecure_channel(f"127.0.0.1:{port}"))


def hold(names, name, address, **more):
    """Claims a name. The call is to be cancelled to give it back."""
    call = names.Register(pb.Claim(name=name, address=address, **more))
    assert next(call).since_ms > 0
    return call


def refused(call):
    try:
        return f"not refused: {call()}"
    except grpc.RpcError as error:
        return error.code().name


def told(watch):
    """What a watch is told, one line at a time."""
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
    hear = told(watch)
    print(hear())
    print("second claim:", refused(lambda: next(connect(port).Register(pb.Claim(name="Bob", address="a:1")))))
    print("bad name:", refused(lambda: next(names.Register(pb.Claim(name="a/b", address="a:1")))))
    print("nobody:", refused(lambda: names.Lookup(pb.LookupRequest(name="Carol"), timeout=TIMEOUT_S)))
    first = hold(names, "service", "127.0.0.1:2", shared=True)
    hold_second = hold(names, "service", "[::1]:3", shared=True, holder="secret")
    print(hear(), hear(), sep="\n")
    found = names.Lookup(pb.LookupRequest(name="service"), timeout=TIMEOUT_S)
    print("found:", *(entry.address for entry in found.entries))
    moved = hold(names, "service", "[::1]:4", shared=True, holder="secret")
    print(hear(), hear(), sep="\n")
    print("the earlier call:", refused(lambda: next(hold_second)))
    bob.cancel()
    print(hear())
    print("list:", *(entry.name for entry in names.List(pb.ListRequest(), timeout=TIMEOUT_S).entries))
    first.cancel()
    print(hear())
    moved.cancel()
    print(hear())


if sys.argv[1] == "hold":
    _, _, port, name, address = sys.argv
    call = hold(connect(port), name, address)
    print("held", flush=True)
    for _ in call:
        pass
else:
    main(sys.argv[1])
