/**
 * Frees what a closed HTTP/2 session keeps alive in Deno 2.9.3.
 *
 * That version never frees the native part of a session, and its properties refer to ours: the
 * session, its socket, the gRPC channel. Deno 2.9.4 frees it (denoland/deno#36043); once 2.9.3 is
 * no longer supported and `tests/http2/closed_sessions_test.ts` passes without it, delete this file.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { symbolIn } from "./runtime_symbols.ts";

/** The parts of a session that are used here. */
interface Session {
  emit(event: string | symbol, ...args: unknown[]): boolean;
  on(event: "error", listener: () => void): unknown;
  removeAllListeners(): unknown;
}

/** The native part of a session, with the properties that the runtime has added. */
type Native = Record<PropertyKey, unknown>;

/** Stands in for a session: callbacks of the runtime ignore one that is destroyed. */
const CLOSED = Object.freeze({ destroyed: true, destroy() {} });

/**
 * Frees what a session keeps alive as soon as it is closed. Without effect if the runtime stores the
 * native part elsewhere.
 *
 * @param session a session whose socket is connected
 */
export function freeWhenClosed(session: Session): void {
  // A closed session no longer refers to its native part.
  const native = nativeOf(session);
  if (native === undefined) return;
  const emit = session.emit.bind(session);
  // Not a listener, because grpc-js removes all of them.
  session.emit = (event, ...args) => {
    // The runtime may use the native part until the end of this turn.
    if (event === "close") setImmediate(() => free(native, session));
    return emit(event, ...args);
  };
}

function nativeOf(session: Session): Native | undefined {
  const symbol = symbolIn(session, "kHandle");
  return symbol && (session as unknown as Record<symbol, Native | undefined>)[symbol];
}

function free(native: Native, session: Session): void {
  // A late callback finds something harmless, instead of nothing.
  for (const key of Reflect.ownKeys(native)) {
    if (native[key] === session) native[key] = CLOSED;
    else if (typeof native[key] === "function") native[key] = doNothing;
  }
  // The runtime also keeps the session itself if its settings were never acknowledged.
  session.removeAllListeners();
  session.on("error", doNothing);
}

function doNothing(): void {}
