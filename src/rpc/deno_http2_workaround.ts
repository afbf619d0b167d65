/**
 * Keeps Deno 2.9.4 to 2.9.6 from crashing under HTTP/2.
 *
 * Those versions free an HTTP/2 session while the library below still reads
 * from it when a GOAWAY arrives, and the whole process dies; no program can
 * catch that (denoland/deno#36788). Putting off each session's `destroy` until
 * the frame at hand is done avoids it. This must be imported before anything
 * that takes functions from `node:http2`, in the main thread and in every Worker.
 *
 * @module
 */
import http2 from "node:http2";
import { setImmediate } from "node:timers";

const AFFECTED_VERSIONS = ["2.9.4", "2.9.5", "2.9.6"];

function putOffDestroy(session: http2.Http2Session): void {
  const destroy = session.destroy.bind(session);
  let asked = false;
  session.destroy = (error?: Error, code?: number) => {
    if (asked) return;
    asked = true;
    setImmediate(() => destroy(error, code));
  };
}

function guardServer<Server extends http2.Http2Server | http2.Http2SecureServer>(
  server: Server,
): Server {
  // `prepend`, so that nobody who listens later gets hold of the bare `destroy`.
  server.prependListener("session", putOffDestroy);
  return server;
}

function install(): void {
  const { connect, createServer, createSecureServer } = http2;
  const guarded = {
    connect: (...parameters: Parameters<typeof connect>) => {
      const session = connect(...parameters);
      putOffDestroy(session);
      return session;
    },
    createServer: (...parameters: Parameters<typeof createServer>) =>
      guardServer(createServer(...parameters)),
    createSecureServer: (...parameters: Parameters<typeof createSecureServer>) =>
      guardServer(createSecureServer(...parameters)),
  };
  Object.assign(http2, guarded);
}

if (AFFECTED_VERSIONS.includes(Deno.version.deno)) install();
