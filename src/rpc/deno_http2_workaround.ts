/**
 * Works around two faults of Deno in HTTP/2: versions 2.9.4 to 2.9.6 crash, and 2.9.3 keeps closed
 * sessions in memory (`closed_sessions.ts`).
 *
 * When a GOAWAY arrives, the later versions free a session that nghttp2 still uses, which kills the
 * process (denoland/deno#36788); so each session's `destroy` is deferred until the current frame is
 * done. Import this before anything that takes functions from `node:http2`, on every thread.
 *
 * @module
 */
import http2 from "node:http2";
import { setImmediate } from "node:timers";
import { freeWhenClosed } from "../http2/closed_sessions.ts";

const CRASHING_VERSIONS = ["2.9.4", "2.9.5", "2.9.6"];
const LEAKING_VERSIONS = ["2.9.3"];

/** Changes a session that has just been created. */
type Patch = (session: http2.Http2Session) => void;

function deferDestroy(session: http2.Http2Session): void {
  const destroy = session.destroy.bind(session);
  let isDestroyed = false;
  session.destroy = (error?: Error, code?: number) => {
    if (isDestroyed) return;
    isDestroyed = true;
    setImmediate(() => destroy(error, code));
  };
}

function patchServer<Server extends http2.Http2Server | http2.Http2SecureServer>(
  server: Server,
  patch: Patch,
): Server {
  // First of all listeners, so that none of the others sees the original session.
  server.prependListener("session", patch);
  return server;
}

/** Patches all sessions, of clients and of servers. */
function install(patch: Patch): void {
  const { connect, createServer, createSecureServer } = http2;
  const patched = {
    connect: (...parameters: Parameters<typeof connect>) => {
      const session = connect(...parameters);
      patch(session);
      return session;
    },
    createServer: (...parameters: Parameters<typeof createServer>) =>
      patchServer(createServer(...parameters), patch),
    createSecureServer: (...parameters: Parameters<typeof createSecureServer>) =>
      patchServer(createSecureServer(...parameters), patch),
  };
  Object.assign(http2, patched);
}

if (CRASHING_VERSIONS.includes(Deno.version.deno)) install(deferDestroy);
if (LEAKING_VERSIONS.includes(Deno.version.deno)) install(freeWhenClosed);
