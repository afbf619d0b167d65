"""Prints the health of a server and of all its services, and what changes until the server stops."""

import sys

import grpc

import health_pb2 as pb
import health_pb2_grpc

stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(f"127.0.0.1:{sys.argv[1]}"))
status_name = pb.HealthCheckResponse.ServingStatus.Name
for service, health in sorted(stub.List(pb.HealthListRequest(), timeout=10).statuses.items()):
    print(f"{service or 'server'}: {status_name(health.status)}")
try:
    for health in stub.Watch(pb.HealthCheckRequest(), timeout=30):
        print(status_name(health.status), flush=True)
except grpc.RpcError as error:
    print(f"{error.code().name}: {error.details()}")
