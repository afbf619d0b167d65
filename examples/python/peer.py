"""A chat peer: `python3 peer.py Alice 55555 55556` listens on 55555 and chats with the peer on 55556."""

import datetime
import sys
import threading
import uuid
from concurrent import futures

import grpc

from greet.v1 import chat_pb2, chat_pb2_grpc

name, port, other_port = sys.argv[1:]
other = None  # the other peer's name, once it is known
met = threading.Event()


class Chat(chat_pb2_grpc.ChatServicer):
    def GetInfo(self, request, context):
        return chat_pb2.ChatMessage(sender=name)

    def SendMessage(self, message, context):
        if not met.wait(timeout=5) or message.sender != other:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{name} is not chatting with you")
        print(f"[{message.timestamp.ToDatetime():%H:%M}] {other}> {message.body}", flush=True)
        return chat_pb2.Nothing()


def message(body):
    written = chat_pb2.ChatMessage(sender=name, body=body, id=str(uuid.uuid4()))
    written.timestamp.FromDatetime(datetime.datetime.utcnow())
    return written


# Listen before calling: then the peer that starts last always finds the other one listening.
server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
chat_pb2_grpc.add_ChatServicer_to_server(Chat(), server)
server.add_insecure_port(f"127.0.0.1:{port}")
server.start()
print("Waiting for other peer to connect...\n", flush=True)
channel = grpc.insecure_channel(
    f"127.0.0.1:{other_port}", options=[("grpc.max_reconnect_backoff_ms", 1000)]
)
stub = chat_pb2_grpc.ChatStub(channel)
other = stub.GetInfo(chat_pb2.Nothing(), wait_for_ready=True).sender
met.set()
print(f"Welcome, {name}. You are chatting with {other}.\n", flush=True)
for line in sys.stdin:
    try:
        stub.SendMessage(message(line.rstrip("\n")), timeout=10)
    except grpc.RpcError as error:
        print(f"not delivered: {error.details()}", file=sys.stderr, flush=True)
server.stop(grace=5).wait()
