"""Calls a server by reflection, like grpcurl, knowing nothing but its port.

Given a port and, unless the service is Greeter, a service, a method and a name to call it with.
Debian's protobuf checks descriptors as strictly as Go's.
"""

import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

import reflection_client_pb2 as reflection

port, *what = sys.argv[1:]
SERVICE, METHOD, NAME = what or ["greet.v1.Greeter", "Greet", "Bob"]
channel = grpc.insecure_channel(f"127.0.0.1:{port}")


def ask(version, **request):
    call = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection.Request.SerializeToString,
        reflection.Response.FromString,
    )
    return next(iter(call(iter([reflection.Request(**request)]), timeout=10)))


def call(version, service, method, request):
    pool = descriptor_pool.DescriptorPool()
    for file in ask(version, file_containing_symbol=service).file_descriptor_response.file_descriptor_proto:
        pool.Add(descriptor_pb2.FileDescriptorProto.FromString(file))
    found = pool.FindServiceByName(service).FindMethodByName(method)
    factory = message_factory.MessageFactory(pool)
    request = factory.GetPrototype(found.input_type)(**request)
    answer = channel.unary_unary(
        f"/{service}/{method}",
        type(request).SerializeToString,
        factory.GetPrototype(found.output_type).FromString,
    )(request, timeout=10)
    return json_format.MessageToDict(answer)


for version in ["v1", "v1alpha"]:
    services = ask(version, list_services="*").list_services_response.service
    print(version, *sorted(service.name for service in services))
    print(call(version, SERVICE, METHOD, {"name": NAME}))
    print(call(version, "grpc.health.v1.Health", "Check", {"service": SERVICE}))
    print(sorted(call(version, "grpc.health.v1.Health", "List", {})["statuses"]))
    print(ask(version, file_containing_symbol="no.Such").error_response.error_code)
