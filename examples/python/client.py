"""A greeting client: `python3 client.py 55550 Bob Alice` greets a server from one thread per name."""

import sys
import threading

import grpc

from greet.v1 import greeting_pb2, greeting_pb2_grpc


def say(line, file=sys.stdout):
    """Prints a line in one piece, because threads would mix up lines and line ends."""
    print(line + "\n", end="", flush=True, file=file)


def greet(name):
    try:
        response = stub.Greet(greeting_pb2.UserInfo(name=name), timeout=10)
        say(f'[{name}] Message received from server: "{response.greeting}"')
    except grpc.RpcError as error:
        failed.set()
        say(f"[{name}] {error.code().name}: {error.details()}", file=sys.stderr)


target, *names = sys.argv[1:]
failed = threading.Event()
with grpc.insecure_channel(f"127.0.0.1:{target}") as channel:
    stub = greeting_pb2_grpc.GreeterStub(channel)
    clients = [threading.Thread(target=greet, args=(name,)) for name in names]
    for number, client in enumerate(clients, start=1):
        say(f"Client {number} started")
        client.start()
    for client in clients:
        client.join()
sys.exit(1 if failed.is_set() else 0)
