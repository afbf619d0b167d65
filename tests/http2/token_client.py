"""Greets a server three times, with a token: token_client.py ADDRESS TOKEN [CERTIFICATE_FILE]"""

import sys

import grpc

address, token, *certificate = sys.argv[1:]
if certificate:
    with open(certificate[0], "rb") as file:
        channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(file.read()))
else:
    channel = grpc.insecure_channel(address)
greet = channel.unary_unary("/greet.v1.Greeter/Greet")
for _ in range(3):
    print(greet(b"\x0a\x03Bob", metadata=[("authorization", token)], timeout=10))
