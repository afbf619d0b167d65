/**
 * The end of a server's start-up, the same for all commands that serve.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import type { Io } from "./io.ts";
import { renounce } from "../base/permissions.ts";
import { isLoopback } from "../net/address.ts";
import { toJson } from "../base/text.ts";
import { warn } from "./reports.ts";
import { EXPOSED } from "./tls_options.ts";

/** A server that listens. */
export interface Started {
  /** Its description, such as "Naming server". */
  readonly title: string;
  readonly host: string;
  readonly port: number;
  /** Whether the system chose the port. */
  readonly isPortChosen: boolean;
  /** Whether connections are encrypted. */
  readonly isSecure: boolean;
  /** Whether files are read from now on. */
  readonly readsFiles: boolean;
  /** The naming service it calls, if any. */
  readonly service?: string;
}

/** Gives up unneeded permissions, warns if others can read the traffic, and announces the port. */
export function finishStartUp(server: Started, input: Arguments, io: Io): void {
  const { title, host, port, isPortChosen, isSecure, readsFiles, service } = server;
  if (!readsFiles) renounce(["read"], [service]);
  if (!isSecure && !isLoopback(host)) warn(EXPOSED, io);
  if (input.flag("json")) io.stdout.line(toJson({ type: "listening", host, port }));
  // A port that was chosen is a result rather than progress.
  else if (isPortChosen || !input.flag("quiet")) {
    io.stdout.line(`${title} started, listening on ${port}`);
  }
}
