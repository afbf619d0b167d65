// deno-fmt-ignore-file
/**
 * The files in `proto/`, as strings: JSR refuses packages that import text, and nothing is read
 * from disk at run time. Made by `deno task generate`; do not edit.
 *
 * @module
 */

/** The text of each file in `proto/`, by its path there. */
export const PROTOS = {
  "etcdserverpb/rpc.proto": `// The part of etcd's own API that \`greet\` uses; etcd 3.4 and later serve it.
// Unneeded messages and fields are left out; names and numbers are those of
// etcd-io/etcd, api/etcdserverpb/rpc.proto and api/mvccpb/kv.proto.
syntax = "proto3";

package etcdserverpb;

message ResponseHeader {
  int64 revision = 3;
}

message KeyValue {
  bytes key = 1;
  int64 create_revision = 2;
  int64 mod_revision = 3;
  bytes value = 5;
  int64 lease = 6;
}

message RangeRequest {
  bytes key = 1;
  // If set, selects all keys from \`key\` up to but excluding this one.
  bytes range_end = 2;
  int64 limit = 3;
  // The revision to read at; 0 for the latest.
  int64 revision = 4;
}

message RangeResponse {
  ResponseHeader header = 1;
  repeated KeyValue kvs = 2;
  bool more = 3;
}

message PutRequest {
  bytes key = 1;
  bytes value = 2;
  int64 lease = 3;
}

message DeleteRangeRequest {
  bytes key = 1;
}

message Compare {
  enum CompareResult {
    EQUAL = 0;
  }
  enum CompareTarget {
    VERSION = 0;
    CREATE = 1;
    MOD = 2;
    VALUE = 3;
    LEASE = 4;
  }
  CompareResult result = 1;
  CompareTarget target = 2;
  bytes key = 3;
  oneof target_union {
    int64 create_revision = 5;
    int64 mod_revision = 6;
    int64 lease = 8;
  }
  bytes range_end = 64;
}

message RequestOp {
  oneof request {
    RangeRequest request_range = 1;
    PutRequest request_put = 2;
    DeleteRangeRequest request_delete_range = 3;
  }
}

message ResponseOp {
  oneof response {
    RangeResponse response_range = 1;
  }
}

// Does \`success\` if every comparison holds, otherwise \`failure\`; all or nothing.
message TxnRequest {
  repeated Compare compare = 1;
  repeated RequestOp success = 2;
  repeated RequestOp failure = 3;
}

message TxnResponse {
  ResponseHeader header = 1;
  bool succeeded = 2;
  repeated ResponseOp responses = 3;
}

service KV {
  rpc Range (RangeRequest) returns (RangeResponse);
  rpc Txn (TxnRequest) returns (TxnResponse);
}

message WatchCreateRequest {
  bytes key = 1;
  bytes range_end = 2;
  int64 start_revision = 3;
  bool prev_kv = 6;
}

message WatchRequest {
  oneof request_union {
    WatchCreateRequest create_request = 1;
  }
}

message Event {
  enum EventType {
    PUT = 0;
    DELETE = 1;
  }
  EventType type = 1;
  KeyValue kv = 2;
}

message WatchResponse {
  ResponseHeader header = 1;
  bool created = 3;
  bool canceled = 4;
  // If not 0, the watch asked for compacted changes: those before this revision.
  int64 compact_revision = 5;
  string cancel_reason = 6;
  repeated Event events = 11;
}

service Watch {
  rpc Watch (stream WatchRequest) returns (stream WatchResponse);
}

message LeaseGrantRequest {
  int64 TTL = 1;
  int64 ID = 2;
}

message LeaseGrantResponse {
  int64 ID = 2;
  int64 TTL = 3;
}

message LeaseRevokeRequest {
  int64 ID = 1;
}

message LeaseRevokeResponse {
  ResponseHeader header = 1;
}

message LeaseKeepAliveRequest {
  int64 ID = 1;
}

message LeaseKeepAliveResponse {
  int64 ID = 2;
  // In seconds; 0 if the lease has ended.
  int64 TTL = 3;
}

service Lease {
  rpc LeaseGrant (LeaseGrantRequest) returns (LeaseGrantResponse);
  rpc LeaseRevoke (LeaseRevokeRequest) returns (LeaseRevokeResponse);
  rpc LeaseKeepAlive (stream LeaseKeepAliveRequest) returns (stream LeaseKeepAliveResponse);
}

message AuthenticateRequest {
  string name = 1;
  string password = 2;
}

message AuthenticateResponse {
  string token = 2;
}

service Auth {
  rpc Authenticate (AuthenticateRequest) returns (AuthenticateResponse);
}
`,
  "greet/v1/chat.proto": `// Chat from peer to peer. Every peer serves this service and calls it on the
// other peers; there is no server in between.
//
// Requests must not be compressed (UNIMPLEMENTED), and text must be valid UTF-8
// (INVALID_ARGUMENT).
//
// This file is a contract with programs in any language: fields are added,
// never renumbered and never given another meaning.
syntax = "proto3";

package greet.v1;

import "google/protobuf/timestamp.proto";

message ChatMessage {
  // When the sender wrote it.
  google.protobuf.Timestamp timestamp = 1;
  // The sender's own name: 1 to 64 visible characters, no '/', '>' or brackets.
  string sender = 2;
  // The text. May have several lines.
  string body = 3;
  // Assigned by the sender, different for each message, and the same when a
  // message is sent again (\`greet\` uses UUIDv7). May be empty.
  string id = 4;
  // The body says what the sender does ("waves"), not what it says. A peer that
  // does not know this field shows the body as any other message.
  bool action = 5;
  // The message is for the receiver alone: the sender's other peers do not get it.
  bool direct = 6;
  // Only in answers to GetInfo: a random text that is the same as long as this
  // peer runs, so that two targets that lead to one peer can be recognized.
  string instance = 7;
  // Only in answers to GetInfo: an HTTP/2 ping, at any time, is as good a sign of
  // life as another GetInfo, and costs less. Other servers hang up on callers that
  // ping often, so a caller does that only if it is told here that it may.
  bool pings = 8;
}

message ChatMessages {
  // In the order in which they were written, all by one sender.
  repeated ChatMessage messages = 1;
}

// A caller that asks to be met.
message Introduction {
  // The caller's own name.
  string sender = 1;
  // The port that the caller listens on.
  uint32 port = 2;
  // The caller's own \`instance\`, as in its answer to GetInfo.
  string instance = 3;
}

message Acceptance {
  enum Verdict {
    // The peer that was called has reached the caller and chats with it.
    ACCEPTED = 0;
    // None of its targets leads to the caller.
    UNLISTED = 1;
    // One of its targets is the caller's address, but it cannot connect to it.
    UNREACHABLE = 2;
  }
  Verdict verdict = 1;
}

// What an attached caller says: first who it is, and then what became of each delivery.
message Receipt {
  // In the first receipt of a call, and in no other.
  Introduction introduction = 1;
  // The gRPC status of the delivery: 0 if all of it was stored, or the reader has it.
  uint32 status = 2;
  // Why it was not stored.
  string reason = 3;
}

// What the peer that was called has for the caller.
message Delivery {
  // In the order in which they were written. There are none in the first delivery,
  // which says that the caller is attached, and in later ones that only ask whether
  // the caller is still there.
  repeated ChatMessage messages = 1;
}

message Nothing {}

service Chat {
  // Delivers one message. The answer acknowledges that it was stored, or that
  // the reader has it. A message whose id this peer already has from the same
  // sender is acknowledged and ignored, so a retry is always safe.
  // PERMISSION_DENIED: this peer is not chatting with the sender; in an encrypted
  // chat, unknown keys are refused before the message is read.
  // UNAVAILABLE: the message cannot be stored now; try again later.
  rpc SendMessage (ChatMessage) returns (Nothing);

  // Delivers up to 1,000 messages at once, when many have waited. The answer
  // acknowledges all of them. A peer need not implement this call: callers that
  // get UNIMPLEMENTED fall back to SendMessage.
  rpc SendMessages (ChatMessages) returns (Nothing);

  // The handshake. The answer's \`sender\` is the name of the peer that was called;
  // its body is empty. A call is also a sign that the caller is up: a peer that
  // waits for others calls them back immediately. The optional header
  // \`listening-port\` says which port the caller listens on, so that only the
  // peers expected on that port, if there are any, are called back.
  rpc GetInfo (Nothing) returns (ChatMessage);

  // Asks whether the peer that is called chats with the caller; only then do the
  // two welcome each other. The answer may take 3 seconds, in which the peer
  // that was called looks for the caller at its own targets.
  // PERMISSION_DENIED: it was found there and is refused, for example because the
  // name belongs to another key. A peer need not implement this call: callers
  // that get UNIMPLEMENTED count as accepted.
  rpc Meet (Introduction) returns (Acceptance);

  // Lets the peer that was called deliver to the caller over the caller's own
  // connection, because it cannot connect to the caller. The first receipt has the
  // introduction; after that, each delivery is answered with one receipt, in order,
  // and a delivery that was not acknowledged comes again in the next call. The
  // caller sends its own messages with SendMessage or SendMessages.
  // UNAUTHENTICATED: the caller has no key, because calls are not encrypted.
  // PERMISSION_DENIED: the caller is not expected, or the name belongs to another key.
  // A peer need not implement this call.
  rpc Attach (stream Receipt) returns (stream Delivery);
}
`,
  "greet/v1/greeting.proto": `// The greeting service: one call, one answer.
//
// This file is a contract with programs in any language: fields may be added,
// but are never renumbered or given another meaning.
syntax = "proto3";

package greet.v1;

// The user to greet.
message UserInfo {
  // 1 to 64 visible characters, no '/', '>' or brackets.
  string name = 1;
}

// A greeting, such as "Hello, Bob."
message ServerResponse {
  string greeting = 1;
}

service Greeter {
  // Returns a greeting. INVALID_ARGUMENT: the name breaks the rule above.
  rpc Greet (UserInfo) returns (ServerResponse);
}
`,
  "greet/v1/names.proto": `// The naming service: maps names to addresses. Peers use it to find each other; what
// they say to each other never passes through it.
//
// The server sends HTTP/2 pings on every connection every few seconds, which gRPC
// libraries answer by themselves. A connection that does not answer within the lease
// of 5 seconds is closed, with all calls on it. Clients that want to notice a silent
// server turn on keepalive as well.
//
// This file is a contract with programs in any language: fields may be added,
// but are never renumbered or given another meaning.
syntax = "proto3";

package greet.v1;

// A name that is held.
message Entry {
  // 1 to 64 visible characters, no '/', '>' or brackets. Not a number, no ':', and no '@' before a
  // number at the end: callers would take it for a port or an address.
  string name = 1;
  // host:port or [v6]:port.
  string address = 2;
  // Whether others may hold the same name at other addresses.
  bool shared = 3;
  // Since when the name has been held, in milliseconds since 1970 (UTC), by the
  // server's clock.
  int64 since_ms = 4;
  // Empty, or the fingerprint of the holder's key: SHA256: and the base64, without
  // padding, of the SHA-256 of its SubjectPublicKeyInfo. Callers can compare it with
  // the certificate that the holder shows.
  string fingerprint = 5;
}

// A claim to hold a name.
message Claim {
  string name = 1;
  string address = 2;
  // Whether others may hold the same name at other addresses, for several servers of
  // one service.
  bool shared = 3;
  // A random secret of the holder. After a lost connection, a claim with the same
  // secret gets the name back at once, even if the server has not noticed the loss
  // yet; the earlier call then ends with ABORTED. May be empty; at most 128
  // characters.
  string holder = 4;
  // Empty, or the fingerprint of the holder's key: SHA256: and the base64, without
  // padding, of the SHA-256 of its SubjectPublicKeyInfo. Callers can compare it with
  // the certificate that the holder shows. Must be empty if the name is
  // shared: servers are identified by their certificates.
  string fingerprint = 5;
}

// Confirms that a name is held.
message Holding {
  // As in Entry.
  int64 since_ms = 1;
}

message LookupRequest {
  string name = 1;
}

message LookupResponse {
  // At least one. More than one only if the name is shared.
  repeated Entry entries = 1;
}

message ListRequest {
  // Empty for the first page, then the next_page_token of the previous answer.
  string page_token = 1;
}

message ListResponse {
  // Ordered by name.
  repeated Entry entries = 1;
  // Not empty if there are more entries. A page has up to 200 kB, or one name.
  string next_page_token = 2;
}

message WatchRequest {
  // Empty for all names.
  string name = 1;
}

message Change {
  enum Kind {
    // The name is held at this address, with this key.
    HELD = 0;
    // The name is no longer held at this address with this key.
    FREED = 1;
  }
  Kind kind = 1;
  Entry entry = 2;
  // Each change to any name has a revision one higher than the change before.
  int64 revision = 3;
}

message WatchResponse {
  // If true, a state begins: \`changes\` lists all entries, as HELD, and replaces
  // everything that was known before.
  bool state = 1;
  // If true, the state continues in the next answer.
  bool more = 2;
  // The revision that the watcher has reached with this answer.
  int64 revision = 3;
  // In order, without gaps.
  repeated Change changes = 4;
}

service Names {
  // Holds a name for exactly as long as the call stays open. The only answer confirms
  // that the name is held. ALREADY_EXISTS: someone else holds it. INVALID_ARGUMENT: the
  // name, the address, the holder or the fingerprint breaks the rules.
  // RESOURCE_EXHAUSTED: this connection, the server or the name is at its limit.
  rpc Register (Claim) returns (stream Holding);

  // Looks up the addresses of a name. NOT_FOUND: the name is not held.
  rpc Lookup (LookupRequest) returns (LookupResponse);

  // Returns the present state, then every change in order. If a watcher reads so slowly
  // that too many changes are waiting, it gets the whole state again instead of them.
  // RESOURCE_EXHAUSTED: this connection or the server has reached its limit of watches.
  rpc Watch (WatchRequest) returns (stream WatchResponse);

  // Lists all names. INVALID_ARGUMENT: the page token is not one from an answer.
  // RESOURCE_EXHAUSTED (also from Lookup): too many answers are waiting to be read on
  // this connection.
  rpc List (ListRequest) returns (ListResponse);
}
`,
  "grpc/health/v1/health.proto": `// The standard health service.
// Source: grpc/grpc-proto, grpc/health/v1/health.proto.
syntax = "proto3";

package grpc.health.v1;

message HealthCheckRequest {
  // The full name of a service, such as greet.v1.Greeter; empty for the whole server.
  string service = 1;
}

message HealthCheckResponse {
  enum ServingStatus {
    UNKNOWN = 0;
    SERVING = 1;
    NOT_SERVING = 2;
    // Only in answers to Watch; Check fails with NOT_FOUND instead.
    SERVICE_UNKNOWN = 3;
  }
  ServingStatus status = 1;
}

message HealthListRequest {}

message HealthListResponse {
  // By the full name of a service; the whole server has the empty name.
  map<string, HealthCheckResponse> statuses = 1;
}

service Health {
  rpc Check (HealthCheckRequest) returns (HealthCheckResponse);

  // Returns the status of every service. Clients that get UNIMPLEMENTED ask with Check.
  rpc List (HealthListRequest) returns (HealthListResponse);

  // Returns the current status, and again after each change. A server that stops reports
  // NOT_SERVING, and then ends the call with UNAVAILABLE.
  rpc Watch (HealthCheckRequest) returns (stream HealthCheckResponse);
}
`,
  "grpc/reflection/v1/reflection.proto": `// Taken from spec https://raw.githubusercontent.com/grpc/grpc/master/src/proto/grpc/reflection/v1/reflection.proto
// Additional versions can be found here: https://github.com/grpc/grpc/tree/master/src/proto/grpc/reflection

// Copyright 2016 The gRPC Authors
//
// Licensed under the Apache License, Version 2.0 (the "License");
// you may not use this file except in compliance with the License.
// You may obtain a copy of the License at
//
//     http://www.apache.org/licenses/LICENSE-2.0
//
// Unless required by applicable law or agreed to in writing, software
// distributed under the License is distributed on an "AS IS" BASIS,
// WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
// See the License for the specific language governing permissions and
// limitations under the License.

// Service exported by server reflection.  A more complete description of how
// server reflection works can be found at
// https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
//
// The canonical version of this proto can be found at
// https://github.com/grpc/grpc-proto/blob/master/grpc/reflection/v1/reflection.proto

syntax = "proto3";

package grpc.reflection.v1;

option go_package = "google.golang.org/grpc/reflection/grpc_reflection_v1";
option java_multiple_files = true;
option java_package = "io.grpc.reflection.v1";
option java_outer_classname = "ServerReflectionProto";

service ServerReflection {
  // The reflection service is structured as a bidirectional stream, ensuring
  // all related requests go to a single server.
  rpc ServerReflectionInfo(stream ServerReflectionRequest)
      returns (stream ServerReflectionResponse);
}

// The message sent by the client when calling ServerReflectionInfo method.
message ServerReflectionRequest {
  string host = 1;
  // To use reflection service, the client should set one of the following
  // fields in message_request. The server distinguishes requests by their
  // defined field and then handles them using corresponding methods.
  oneof message_request {
    // Find a proto file by the file name.
    string file_by_filename = 3;

    // Find the proto file that declares the given fully-qualified symbol name.
    // This field should be a fully-qualified symbol name
    // (e.g. <package>.<service>[.<method>] or <package>.<type>).
    string file_containing_symbol = 4;

    // Find the proto file which defines an extension extending the given
    // message type with the given field number.
    ExtensionRequest file_containing_extension = 5;

    // Finds the tag numbers used by all known extensions of the given message
    // type, and appends them to ExtensionNumberResponse in an undefined order.
    // Its corresponding method is best-effort: it's not guaranteed that the
    // reflection service will implement this method, and it's not guaranteed
    // that this method will provide all extensions. Returns
    // StatusCode::UNIMPLEMENTED if it's not implemented.
    // This field should be a fully-qualified type name. The format is
    // <package>.<type>
    string all_extension_numbers_of_type = 6;

    // List the full names of registered services. The content will not be
    // checked.
    string list_services = 7;
  }
}

// The type name and extension number sent by the client when requesting
// file_containing_extension.
message ExtensionRequest {
  // Fully-qualified type name. The format should be <package>.<type>
  string containing_type = 1;
  int32 extension_number = 2;
}

// The message sent by the server to answer ServerReflectionInfo method.
message ServerReflectionResponse {
  string valid_host = 1;
  ServerReflectionRequest original_request = 2;
  // The server sets one of the following fields according to the message_request
  // in the request.
  oneof message_response {
    // This message is used to answer file_by_filename, file_containing_symbol,
    // file_containing_extension requests with transitive dependencies.
    // As the repeated label is not allowed in oneof fields, we use a
    // FileDescriptorResponse message to encapsulate the repeated fields.
    // The reflection service is allowed to avoid sending FileDescriptorProtos
    // that were previously sent in response to earlier requests in the stream.
    FileDescriptorResponse file_descriptor_response = 4;

    // This message is used to answer all_extension_numbers_of_type requests.
    ExtensionNumberResponse all_extension_numbers_response = 5;

    // This message is used to answer list_services requests.
    ListServiceResponse list_services_response = 6;

    // This message is used when an error occurs.
    ErrorResponse error_response = 7;
  }
}

// Serialized FileDescriptorProto messages sent by the server answering
// a file_by_filename, file_containing_symbol, or file_containing_extension
// request.
message FileDescriptorResponse {
  // Serialized FileDescriptorProto messages. We avoid taking a dependency on
  // descriptor.proto, which uses proto2 only features, by making them opaque
  // bytes instead.
  repeated bytes file_descriptor_proto = 1;
}

// A list of extension numbers sent by the server answering
// all_extension_numbers_of_type request.
message ExtensionNumberResponse {
  // Full name of the base type, including the package name. The format
  // is <package>.<type>
  string base_type_name = 1;
  repeated int32 extension_number = 2;
}

// A list of ServiceResponse sent by the server answering list_services request.
message ListServiceResponse {
  // The information of each service may be expanded in the future, so we use
  // ServiceResponse message to encapsulate it.
  repeated ServiceResponse service = 1;
}

// The information of a single service used by ListServiceResponse to answer
// list_services request.
message ServiceResponse {
  // Full name of a registered service, including its package name. The format
  // is <package>.<service>
  string name = 1;
}

// The error code and error message sent by the server when an error occurs.
message ErrorResponse {
  // This field uses the error codes defined in grpc::StatusCode.
  int32 error_code = 1;
  string error_message = 2;
}
`,
};
