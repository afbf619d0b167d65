/**
 * Keeps Deno 2.9.4 to 2.9.6 from crashing in HTTP/2.
 *
 * When a GOAWAY arrives, these versions free an HTTP/2 session that nghttp2 still uses, which kills
 * the process (denoland/deno#36788); so each session's `destroy` is deferred until the current frame
 * is done. Import this before anything that takes functions from `node:http2`, on every thread.
 *
 * @module
 */
import http2 from "node:http2";
import { setImmediate } from "node:timers";

const AFFECTED_VERSIONS = ["2.9.4", "2.9.5", "2.9.6"];

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
): Server {
  // First of all listeners, so that none of the others sees the original `destroy`.
  server.prependListener("session", deferDestroy);
  return server;
}

function install(): void {
  const { connect, createServer, createSecureServer } = http2;
  const patched = {
    connect: (...parameters: Parameters<typeof connect>) => {
      const session = connect(...parameters);
      deferDestroy(session);
      return session;
    },
    createServer: (...parameters: Parameters<typeof createServer>) =>
      patchServer(createServer(...parameters)),
    createSecureServer: (...parameters: Parameters<typeof createSecureServer>) =>
      patchServer(createSecureServer(...parameters)),
  };
  Object.assign(http2, patched);
}

if (AFFECTED_VERSIONS.includes(Deno.version.deno)) install();
