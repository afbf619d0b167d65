/**
 * What goes over the wire: the services of `proto/`, and their messages as plain objects.
 *
 * Each {@link ServiceType} is a name, the text of a `.proto` file, and the types
 * of its calls. It is what `rpc.ts` serves and calls; there is no gRPC here. The text is part of
 * the program, so that nothing is read from disk.
 *
 * @module
 */
import chatProto from "../../proto/chat.proto" with { type: "text" };
import etcdProto from "../../proto/etcd.proto" with { type: "text" };
import greetingProto from "../../proto/greeting.proto" with { type: "text" };
import healthProto from "../../proto/health.proto" with { type: "text" };
import namesProto from "../../proto/names.proto" with { type: "text" };

/**
 * What the calls of a service take and give. Where `streams` is there, the response is one of
 * many; where it is `"both"`, so is the request.
 */
export type Calls = Record<
  string,
  { request: unknown; response: unknown; streams?: "responses" | "both" }
>;

/** The names of those calls that are answered once, and of those that are answered by a stream. */
export type Unary<C extends Calls> = {
  [Name in keyof C]: C[Name] extends { streams: string } ? never : Name;
}[keyof C];
export type Streaming<C extends Calls> = Exclude<keyof C, Unary<C>>;

/** A service as its `.proto` file describes it. */
export interface ServiceType<C extends Calls> {
  /** Its full name, such as `greet.v1.Greeter`. */
  readonly name: string;
  /** The text of the `.proto` file. */
  readonly proto: string;
  /** How 64-bit integers come: as numbers, exact up to 2^53, or in decimal. */
  readonly longs?: NumberConstructor | StringConstructor;
  /** Never set: carries the types of the calls. */
  readonly calls?: C;
}

/** `greet.v1.UserInfo`: who wants to be greeted. */
export interface UserInfo {
  name: string;
}

/** `greet.v1.ServerResponse`: a greeting. */
export interface ServerResponse {
  greeting: string;
}

/** `google.protobuf.Timestamp`: whole seconds since 1970 in UTC, and nanoseconds. */
export interface Timestamp {
  seconds: number;
  nanos: number;
}

/** `greet.v1.ChatMessage`: one message, or a peer's answer to "who are you?". */
export interface ChatMessage {
  timestamp: Timestamp | null;
  sender: string;
  body: string;
  id: string;
}

/** `greet.v1.ChatMessages`: several messages of one sender, in order. */
export interface ChatMessages {
  messages: ChatMessage[];
}

/** `greet.v1.Nothing`. */
export type Nothing = Record<never, never>;

/**
 * The header in which who calls `GetInfo` may say on which port it listens itself, so that
 * nobody else has to be called back.
 */
export const LISTENING_PORT = "listening-port";

/** The greeting service. */
export const GREETER: ServiceType<{ Greet: { request: UserInfo; response: ServerResponse } }> = {
  name: "greet.v1.Greeter",
  proto: greetingProto,
};

/** What chat peers offer each other. */
export const CHAT: ServiceType<{
  SendMessage: { request: ChatMessage; response: Nothing };
  SendMessages: { request: ChatMessages; response: Nothing };
  GetInfo: { request: Nothing; response: ChatMessage };
}> = { name: "greet.v1.Chat", proto: chatProto };

/** `greet.v1.Entry`: a name that is held. */
export interface NameEntry {
  name: string;
  address: string;
  shared: boolean;
  sinceMs: number;
  fingerprint: string;
}

/** `greet.v1.Claim`: who wants to hold a name. */
export interface NameClaim {
  name: string;
  address: string;
  shared: boolean;
  holder: string;
  fingerprint: string;
}

/** `greet.v1.Change`: what became of a name. */
export interface NameChange {
  kind: "HELD" | "FREED";
  entry: NameEntry | null;
  revision: number;
}

/** `greet.v1.WatchResponse`: changes, or all there is. */
export interface NameChanges {
  state: boolean;
  more: boolean;
  revision: number;
  changes: NameChange[];
}

/** The naming service. */
export const NAMES: ServiceType<{
  Register: { request: NameClaim; response: { sinceMs: number }; streams: "responses" };
  Lookup: { request: { name: string }; response: { entries: NameEntry[] } };
  Watch: { request: { name: string }; response: NameChanges; streams: "responses" };
  List: {
    request: { pageToken: string };
    response: { entries: NameEntry[]; nextPageToken: string };
  };
}> = { name: "greet.v1.Names", proto: namesProto };

/** A number of etcd's, which may be greater than 2^53; in requests also a number. */
type Long = string;

/** `etcdserverpb.KeyValue`. */
export interface EtcdKeyValue {
  key: Uint8Array;
  value: Uint8Array;
  modRevision: Long;
  lease: Long;
}

/** `etcdserverpb.RangeRequest`: the keys from one up to, and without, another. */
export interface EtcdRange {
  key: Uint8Array;
  rangeEnd?: Uint8Array;
  limit?: number;
  revision?: Long;
}

interface EtcdHeader {
  header: { revision: Long };
}

/** `etcdserverpb.RangeResponse`. */
export type EtcdKeys = EtcdHeader & { kvs: EtcdKeyValue[]; more: boolean };

/** `etcdserverpb.Compare`: a condition on a key, or on all from one up to another. */
export interface EtcdCompare {
  key: Uint8Array;
  rangeEnd?: Uint8Array;
  target: "CREATE" | "MOD" | "LEASE";
  createRevision?: Long;
  modRevision?: Long;
  lease?: Long;
}

/** `etcdserverpb.RequestOp`. */
export type EtcdOperation =
  | { requestRange: EtcdRange }
  | { requestPut: { key: Uint8Array; value: Uint8Array; lease: Long } }
  | { requestDeleteRange: { key: Uint8Array } };

/** `etcdserverpb.TxnRequest`: where all conditions hold, one thing, else another. */
export interface EtcdTransaction {
  compare: EtcdCompare[];
  success: EtcdOperation[];
  failure: EtcdOperation[];
}

/** `etcdserverpb.WatchResponse`. */
export interface EtcdWatched extends EtcdHeader {
  created: boolean;
  canceled: boolean;
  compactRevision: Long;
  cancelReason: string;
  events: { type: "PUT" | "DELETE"; kv: EtcdKeyValue }[];
}

/** etcd's keys and values. */
export const ETCD_KV: ServiceType<{
  Range: { request: EtcdRange; response: EtcdKeys };
  Txn: {
    request: EtcdTransaction;
    response: EtcdHeader & { succeeded: boolean; responses: { responseRange?: EtcdKeys }[] };
  };
}> = { name: "etcdserverpb.KV", proto: etcdProto, longs: String };

/** etcd's watches. */
export const ETCD_WATCH: ServiceType<{
  Watch: {
    request: {
      createRequest: { key: Uint8Array; rangeEnd?: Uint8Array; startRevision: Long };
    };
    response: EtcdWatched;
    streams: "both";
  };
}> = { name: "etcdserverpb.Watch", proto: etcdProto, longs: String };

/** etcd's leases. */
export const ETCD_LEASE: ServiceType<{
  LeaseGrant: { request: { TTL: number; ID: Long }; response: { TTL: Long; ID: Long } };
  LeaseRevoke: { request: { ID: Long }; response: Nothing };
  LeaseKeepAlive: {
    request: { ID: Long };
    response: { TTL: Long; ID: Long };
    streams: "both";
  };
}> = { name: "etcdserverpb.Lease", proto: etcdProto, longs: String };

/** etcd's passwords. */
export const ETCD_AUTH: ServiceType<{
  Authenticate: { request: { name: string; password: string }; response: { token: string } };
}> = { name: "etcdserverpb.Auth", proto: etcdProto, longs: String };

/** `grpc.health.v1.HealthCheckResponse`. */
export interface HealthStatus {
  status: "SERVING" | "SERVICE_UNKNOWN";
}

/** The standard health service. */
export const HEALTH: ServiceType<{
  Check: { request: { service: string }; response: HealthStatus };
  Watch: { request: { service: string }; response: HealthStatus; streams: "responses" };
}> = { name: "grpc.health.v1.Health", proto: healthProto };
