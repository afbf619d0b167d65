"""A chat peer that no one can call: `python3 attach.py Bob HOST:PORT key.pem cert.pem other_cert.pem`."""

import queue
import sys
import threading
import uuid

import grpc

from greet.v1 import chat_pb2, chat_pb2_grpc

name, target, *files = sys.argv[1:]
key, cert, other_cert = (open(file, "rb").read() for file in files)
credentials = grpc.ssl_channel_credentials(other_cert, key, cert)
options = [("grpc.ssl_target_name_override", "peer.greet.invalid")]
stub = chat_pb2_grpc.ChatStub(grpc.secure_channel(target, credentials, options))

# The first receipt says who we are; each later one acknowledges a delivery.
receipts = queue.SimpleQueue()
introduction = chat_pb2.Introduction(sender=name, instance=str(uuid.uuid4()))
receipts.put(chat_pb2.Receipt(introduction=introduction))
deliveries = stub.Attach(iter(receipts.get, None))


def receive():
    try:
        for delivery in deliveries:
            for message in delivery.messages:
                print(f"[{message.timestamp.ToDatetime():%H:%M}] {other}> {message.body}", flush=True)
            receipts.put(chat_pb2.Receipt())
    except grpc.RpcError as error:
        print(f"not attached: {error.details()}", file=sys.stderr, flush=True)


other = stub.GetInfo(chat_pb2.Nothing(), wait_for_ready=True, timeout=10).sender
threading.Thread(target=receive, daemon=True).start()
for line in sys.stdin:
    message = chat_pb2.ChatMessage(sender=name, body=line.rstrip("\n"), id=str(uuid.uuid4()))
    message.timestamp.GetCurrentTime()
    try:
        stub.SendMessage(message, timeout=10)
    except grpc.RpcError as error:
        print(f"not delivered: {error.details()}", file=sys.stderr, flush=True)
receipts.put(None)
