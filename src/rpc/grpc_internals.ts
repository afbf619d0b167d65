/**
 * Everything that the program uses of grpc-js beyond its documented API.
 *
 * A new version of grpc-js may move any of it without notice, so nothing else reaches inside, and
 * `tests/rpc/grpc_internals_test.ts` tries each part on a real call.
 *
 * @module
 */
import "./deno_http2_workaround.ts";
import * as grpc from "@grpc/grpc-js";
import { PickFirstLoadBalancer } from "@grpc/grpc-js/build/src/load-balancer-pick-first.js";
import { ResolvingLoadBalancer } from "@grpc/grpc-js/build/src/resolving-load-balancer.js";
import { Http2SubchannelConnector } from "@grpc/grpc-js/build/src/transport.js";
import type { Http2Server } from "node:http2";
import type { TLSSocket } from "node:tls";

/** The parts of a call's HTTP/2 stream that are used here. */
export interface Http2Stream {
  readonly id?: number;
  readonly closed: boolean;
  readonly session?: Http2Session;
  once(event: "end" | "close", listener: () => void): Http2Stream;
  /** Resets the stream with an HTTP/2 error code. */
  close(code: number): void;
}

/** The parts of an HTTP/2 connection that are used here. */
export interface Http2Session {
  readonly socket: TLSSocket;
  readonly destroyed: boolean;
  destroy(): void;
  /** Sends a ping. The callback gets an error if the connection is lost before the answer. */
  ping(onAnswer: (error: Error | null) => void): boolean;
  on(event: "ping", listener: () => void): Http2Session;
  removeAllListeners(event: "ping"): Http2Session;
}

/** An incoming call as an interceptor gets it. */
export type InterceptedCall = grpc.ServerInterceptingCallInterface;

/** The private members of an incoming call. */
interface CallInternals {
  readonly stream: Http2Stream;
  readonly incomingEncoding: string;
  decompressMessage(message: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** The private members of a server. */
interface ServerInternals {
  createHttp2Server(credentials: grpc.ServerCredentials): Http2Server;
}

/**
 * The HTTP/2 stream of an incoming call.
 *
 * @param call the call as an interceptor gets it
 */
export function streamOf(call: InterceptedCall): Http2Stream {
  return (call as unknown as CallInternals).stream;
}

/**
 * The value of the header `grpc-encoding`, which grpc-js removes from a call's metadata.
 *
 * @param call the call as an interceptor gets it
 */
export function encodingOf(call: InterceptedCall): string {
  return (call as unknown as CallInternals).incomingEncoding;
}

/** What precedes each message: a flag and a length. Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`. */
const PREFIX_BYTES = 5;

/**
 * Ends a call at the first message whose flag says that it is compressed. grpc-js would take the
 * message for an uncompressed one if the call's encoding is `identity`.
 *
 * @param call the call as an interceptor gets it
 * @param status the status of the call then
 */
export function refuseFlaggedMessages(
  call: InterceptedCall,
  status: { code: grpc.status; details: string },
): void {
  (call as unknown as CallInternals).decompressMessage = (message) =>
    message[0] === 0 ? message.subarray(PREFIX_BYTES) : Promise.reject(status);
}

/**
 * grpc-js passes the metadata of a call to its handler as the object that an interceptor gets, so the
 * stream travels with it. V8 keeps the values of an old `WeakMap` until its next full collection.
 */
const STREAM = Symbol("stream");

/** The metadata of a call for which {@link passStream} was called. */
interface CarryingMetadata {
  [STREAM]?: Http2Stream;
}

/**
 * Lets the handler of a call find its HTTP/2 stream with {@link streamBehind}.
 *
 * @param metadata the metadata of the call, as an interceptor gets it
 */
export function passStream(call: InterceptedCall, metadata: grpc.Metadata): void {
  (metadata as CarryingMetadata)[STREAM] = streamOf(call);
}

/**
 * The HTTP/2 stream of a call, if {@link passStream} was called for it.
 *
 * @param metadata the metadata of the call, as its handler gets it
 */
export function streamBehind(metadata: grpc.Metadata): Http2Stream | undefined {
  return (metadata as CarryingMetadata)[STREAM];
}

/** A call in grpc-js wraps another one, down to that which has the stream. */
interface CallLayer {
  readonly http2Stream?: Http2Stream;
  readonly nextCall?: CallLayer;
  readonly call?: CallLayer | null;
  readonly child?: CallLayer | null;
  /** The attempts of a call that may be made again. */
  readonly underlyingCalls?: readonly CallLayer[];
}

/** The HTTP/2 stream of an outgoing call, or of its last attempt, once it has a connection. */
export function streamOfOutgoing(call: object): Http2Stream | undefined {
  let layer: CallLayer | null | undefined = call as CallLayer;
  while (layer && !layer.http2Stream) {
    layer = layer.nextCall ?? layer.call ?? layer.child ?? layer.underlyingCalls?.at(-1);
  }
  return layer?.http2Stream;
}

/**
 * Decodes one message of a stream before it is asked for, and not 16, each of which may have
 * megabytes.
 */
export function readAheadOne(stream: grpc.ClientReadableStream<unknown>): void {
  const { _readableState: state } = stream as unknown as ReadableInternals;
  state.highWaterMark = 1;
}

/** The private members of a stream that can be read. */
interface ReadableInternals {
  readonly _readableState: { highWaterMark: number };
}

/**
 * Passes each HTTP/2 server that a gRPC server creates to a function.
 *
 * @param server a gRPC server without any listeners or connection injectors
 */
export function onHttp2Server(server: grpc.Server, use: (http2: Http2Server) => void): void {
  const internals = server as unknown as ServerInternals;
  const create = internals.createHttp2Server.bind(server);
  internals.createHttp2Server = (credentials) => {
    const http2 = create(credentials);
    use(http2);
    return http2;
  };
}

/** Turns a TCP connection into one that calls can use. */
export type Connector = ReturnType<grpc.ChannelCredentials["_createSecureConnector"]>;

/** Where grpc-js connects to, and with which options. */
export type ConnectorArguments = Parameters<grpc.ChannelCredentials["_createSecureConnector"]>;

/** The connector of some channel credentials. */
export function connectorOf(
  credentials: grpc.ChannelCredentials,
  ...args: ConnectorArguments
): Connector {
  return credentials._createSecureConnector(...args);
}

/** Whether connections with some channel credentials are encrypted. */
export function isSecure(credentials: grpc.ChannelCredentials): boolean {
  return credentials._isSecure();
}

/** Channel credentials that connect in a way of their own. */
export abstract class CustomCredentials extends grpc.ChannelCredentials {
  readonly #isSecure: boolean;

  /** @param isSecure whether its connections are encrypted */
  constructor(isSecure = true) {
    super();
    this.#isSecure = isSecure;
  }

  /** Makes the connector for one target. */
  protected abstract connector(...args: ConnectorArguments): Connector;

  override _createSecureConnector(...args: ConnectorArguments): Connector {
    return this.connector(...args);
  }

  override _isSecure(): boolean {
    return this.#isSecure;
  }

  override _equals(other: grpc.ChannelCredentials): boolean {
    return this === other;
  }

  override compose(): never {
    throw new TypeError("call credentials are not supported");
  }
}

/** The details of a connection that ended before a call could use it. */
export const ENDED_AT_ONCE = "the connection ended as soon as it was made";

/**
 * A connection that the other side opens and closes in one segment counts as one that failed. grpc-js
 * misses the end, takes it for ready for ever, and tries each call on it again and again, without a
 * pause in which anything else could run: no deadline, no signal.
 */
function refuseEndedConnections(): void {
  const { connect } = Http2SubchannelConnector.prototype;
  Http2SubchannelConnector.prototype.connect = async function (...args) {
    const transport = await connect.apply(this, args);
    if (!(transport as unknown as { disconnectHandled: boolean }).disconnectHandled) {
      return transport;
    }
    transport.shutdown();
    throw new Error(ENDED_AT_ONCE);
  };
}

/** The private members of what finds the addresses of a channel. */
interface ResolvingInternals {
  updateResolution(): void;
  handleResolverResult(...result: unknown[]): boolean;
  destroy(): void;
}

/**
 * A channel that is closed while its target is being resolved makes no connection. grpc-js would make
 * one when it has the addresses, and keep it, or try again and again for as long as the process lives.
 */
function forgetClosedChannels(): void {
  const resolving = ResolvingLoadBalancer.prototype as unknown as ResolvingInternals;
  const { updateResolution, handleResolverResult, destroy } = resolving;
  const open = new WeakSet<ResolvingInternals>();
  resolving.updateResolution = function () {
    open.add(this);
    updateResolution.call(this);
  };
  resolving.handleResolverResult = function (...result) {
    return !open.has(this) || handleResolverResult.apply(this, result);
  };
  resolving.destroy = function () {
    open.delete(this);
    destroy.call(this);
  };
}

/** The private members of what connects a channel. */
interface ConnectingInternals {
  readonly connectionDelayTimeout: number;
  destroy(): void;
}

/** A channel that is closed while it connects leaves no timer for the next address. */
function clearConnectionTimers(): void {
  const connecting = PickFirstLoadBalancer.prototype as unknown as ConnectingInternals;
  const { destroy } = connecting;
  connecting.destroy = function () {
    destroy.call(this);
    clearTimeout(this.connectionDelayTimeout);
  };
}

refuseEndedConnections();
forgetClosedChannels();
clearConnectionTimers();
