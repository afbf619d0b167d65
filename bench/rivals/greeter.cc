// A greeting server and client in C++, as its users would write them.
//
//   greeter serve PORT
//   greeter greet PORT NAME

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>

#include "greeting.grpc.pb.h"

using greet::v1::ServerResponse;
using greet::v1::UserInfo;

// The callback API is the fastest way to serve in gRPC for C++.
class Greeter final : public greet::v1::Greeter::CallbackService {
  grpc::ServerUnaryReactor* Greet(grpc::CallbackServerContext* context, const UserInfo* user,
                                  ServerResponse* response) override {
    response->set_greeting("Hello, " + user->name() + ".");
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

int Serve(const std::string& port) {
  Greeter greeter;
  int chosen = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + port, grpc::InsecureServerCredentials(), &chosen);
  builder.RegisterService(&greeter);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return 1;
  std::cout << "Server started, listening on " << chosen << std::endl;
  server->Wait();
  return 0;
}

int Greet(const std::string& port, const std::string& name) {
  auto channel = grpc::CreateChannel("127.0.0.1:" + port, grpc::InsecureChannelCredentials());
  auto stub = greet::v1::Greeter::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  UserInfo user;
  user.set_name(name);
  ServerResponse response;
  const grpc::Status status = stub->Greet(&context, user, &response);
  if (!status.ok()) {
    std::cerr << status.error_message() << std::endl;
    return 1;
  }
  std::cout << "[" << name << "] Message received from server: \"" << response.greeting() << "\""
            << std::endl;
  return 0;
}

int main(int, char** argv) {
  return std::string(argv[1]) == "serve" ? Serve(argv[2]) : Greet(argv[2], argv[3]);
}
