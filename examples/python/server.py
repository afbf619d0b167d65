"""A greeting server: `python3 server.py 55550`, or 0 for any free port."""

import signal
import sys
from concurrent import futures

import grpc

from greet.v1 import greeting_pb2, greeting_pb2_grpc


class Greeter(greeting_pb2_grpc.GreeterServicer):
    def Greet(self, request, context):
        if not request.name:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the name is empty")
        # In one piece, because threads would mix up lines and line ends.
        print(f"[Server] Received request from user named {request.name!r}\n", end="", flush=True)
        return greeting_pb2.ServerResponse(greeting=f"Hello, {request.name}.")


server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
greeting_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
port = server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
print(f"Server started, listening on {port}", flush=True)
signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=5))
server.wait_for_termination()
