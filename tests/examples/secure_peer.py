"""A chat peer over TLS that has the other peer's certificate.

Given `chat NAME PORT OTHER_PORT KEY CERT OTHER_CERT`, it sends its input line by line, and prints every
call that it receives. Given `say SENDER PORT KEY CERT OTHER_CERT BODY`, it sends one message.
"""

import sys
import uuid
from concurrent import futures

import grpc

from greet.v1 import chat_pb2, chat_pb2_grpc

TIMEOUT_S = 10


def read(file):
    with open(file, "rb") as opened:
        return opened.read()


def connect(port, key, cert, other_cert):
    """Opens a channel that trusts only the other certificate, and presents our own."""
    credentials = grpc.ssl_channel_credentials(read(other_cert), read(key), read(cert))
    options = [
        ("grpc.ssl_target_name_override", "peer.greet.invalid"),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    return chat_pb2_grpc.ChatStub(grpc.secure_channel(f"127.0.0.1:{port}", credentials, options))


def say(stub, sender, body):
    """Sends a message, and prints the outcome."""
    message = chat_pb2.ChatMessage(sender=sender, body=body, id=str(uuid.uuid4()))
    message.timestamp.GetCurrentTime()
    try:
        stub.SendMessage(message, timeout=TIMEOUT_S)
        print(f"delivered: {body}", flush=True)
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}", flush=True)


class Chat(chat_pb2_grpc.ChatServicer):
    def __init__(self, name):
        self.name = name

    def GetInfo(self, request, context):
        # From the certificate that the handshake has verified, not from what the caller says.
        (caller,) = context.auth_context()["x509_common_name"]
        print(f"asked by {caller.decode()}", flush=True)
        return chat_pb2.ChatMessage(sender=self.name)

    def SendMessage(self, message, context):
        print(f"{message.sender}> {message.body}", flush=True)
        return chat_pb2.Nothing()


def chat(name, port, other_port, key, cert, other_cert):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
    chat_pb2_grpc.add_ChatServicer_to_server(Chat(name), server)
    credentials = grpc.ssl_server_credentials(
        [(read(key), read(cert))],
        root_certificates=read(other_cert),
        require_client_auth=True,
    )
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    # Listen before calling: then the peer that starts last always finds the other one listening.
    server.start()
    print("listening", flush=True)
    stub = connect(other_port, key, cert, other_cert)
    other = stub.GetInfo(chat_pb2.Nothing(), wait_for_ready=True, timeout=TIMEOUT_S).sender
    print(f"met {other}", flush=True)
    for line in sys.stdin:
        say(stub, name, line.rstrip("\n"))
    server.stop(grace=TIMEOUT_S).wait()


command, *arguments = sys.argv[1:]
if command == "chat":
    chat(*arguments)
else:
    sender, port, key, cert, other_cert, body = arguments
    say(connect(port, key, cert, other_cert), sender, body)
