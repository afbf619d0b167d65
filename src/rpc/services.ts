/**
 * The services of `proto/`, with the types of their messages.
 *
 * A {@link ServiceType} is a name, the text of a `.proto` file, and the types of its calls, without
 * any gRPC.
 *
 * @module
 */
import { PROTOS } from "./protos.ts";

/**
 * The requests and responses of a service's calls. With `streams`, a call has a stream of responses;
 * with `"both"`, also of requests.
 */
export type Calls = Record<
  string,
  { request: unknown; response: unknown; streams?: "responses" | "both" }
>;

/** The names of the calls with a single response. */
export type Unary<C extends Calls> = {
  [Name in keyof C]: C[Name] extends { streams: string } ? never : Name;
}[keyof C];

/** The names of the calls with a stream of responses. */
export type Streaming<C extends Calls> = Exclude<keyof C, Unary<C>>;

/** A service, as its `.proto` file describes it. */
export interface ServiceType<C extends Calls> {
  /** Its full name, such as `greet.v1.Greeter`. */
  readonly name: string;
  /** The text of the `.proto` file. */
  readonly proto: string;
  /** The type of 64-bit integers: numbers, exact up to 2^53, or decimal strings. */
  readonly longs?: NumberConstructor | StringConstructor;
  /** Never set; it only carries the types of the calls. */
  readonly calls?: C;
}

/** `greet.v1.UserInfo`: the user to greet. */
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

/** `greet.v1.ChatMessage`: a message, or a peer's answer to `GetInfo`. */
export interface ChatMessage {
  timestamp: Timestamp | null;
  sender: string;
  body: string;
  id: string;
  action?: boolean;
  direct?: boolean;
  instance?: string;
  pings?: boolean;
}

/** `greet.v1.Introduction`: a caller that asks to be met. */
export interface Introduction {
  sender: string;
  port: number;
  instance: string;
}

/** `greet.v1.Acceptance`: whether the peer that was called chats with the caller. */
export interface Acceptance {
  verdict: "ACCEPTED" | "UNLISTED" | "UNREACHABLE";
}

/** `greet.v1.ChatMessages`: several messages from one sender, in order. */
export interface ChatMessages {
  messages: ChatMessage[];
}

/** `greet.v1.Receipt`: what an attached caller says about itself, and then about each delivery. */
export interface Receipt {
  introduction: Introduction | null;
  status: number;
  reason: string;
}

/** `greet.v1.Delivery`: what a peer has for an attached caller. */
export interface Delivery {
  messages: ChatMessage[];
}

/** `greet.v1.Nothing`. */
export type Nothing = Record<never, never>;

/** The header of `GetInfo` that carries the port on which the caller listens. */
export const LISTENING_PORT = "listening-port";

/** The greeting service. */
export const GREETER: ServiceType<{ Greet: { request: UserInfo; response: ServerResponse } }> = {
  name: "greet.v1.Greeter",
  proto: PROTOS["greet/v1/greeting.proto"],
};

/** The service that chat peers offer each other. */
export const CHAT: ServiceType<{
  SendMessage: { request: ChatMessage; response: Nothing };
  SendMessages: { request: ChatMessages; response: Nothing };
  GetInfo: { request: Nothing; response: ChatMessage };
  Meet: { request: Introduction; response: Acceptance };
  Attach: { request: Receipt; response: Delivery; streams: "both" };
}> = { name: "greet.v1.Chat", proto: PROTOS["greet/v1/chat.proto"] };

/** `greet.v1.Entry`: a name that is held. */
export interface WireEntry {
  name: string;
  address: string;
  shared: boolean;
  sinceMs: number;
  fingerprint: string;
}

/** `greet.v1.Claim`: a claim to hold a name. */
export interface WireClaim {
  name: string;
  address: string;
  shared: boolean;
  holder: string;
  fingerprint: string;
}

/** `greet.v1.Change`: a change to one entry. */
export interface WireChange {
  kind: "HELD" | "FREED";
  entry: WireEntry | null;
  revision: number;
}

/** `greet.v1.WatchResponse`: changes, or a part of the state. */
export interface WireChanges {
  state: boolean;
  more: boolean;
  revision: number;
  changes: WireChange[];
}

/** The naming service. */
export const NAMES: ServiceType<{
  Register: { request: WireClaim; response: { sinceMs: number }; streams: "responses" };
  Lookup: { request: { name: string }; response: { entries: WireEntry[] } };
  Watch: { request: { name: string }; response: WireChanges; streams: "responses" };
  List: {
    request: { pageToken: string };
    response: { entries: WireEntry[]; nextPageToken: string };
  };
}> = { name: "greet.v1.Names", proto: PROTOS["greet/v1/names.proto"] };

/** `grpc.health.v1.HealthCheckResponse`. */
export interface HealthStatus {
  status: "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";
}

/** The standard health service. */
export const HEALTH: ServiceType<{
  Check: { request: { service: string }; response: HealthStatus };
  List: { request: Nothing; response: { statuses: Record<string, HealthStatus> } };
  Watch: { request: { service: string }; response: HealthStatus; streams: "responses" };
}> = { name: "grpc.health.v1.Health", proto: PROTOS["grpc/health/v1/health.proto"] };
