/**
 * What the manual page says besides what the table of commands knows.
 *
 * @module
 */

/** A word, and what it means. */
export type Term = readonly [name: string, text: string];

/** How the program takes arguments and prints. */
export const OUTPUT =
  `greet serves and sends greetings over gRPC, and lets people chat from terminal \
to terminal without a server in between. A naming server, or etcd, can tell it where others are.

A command comes first. Its options may stand anywhere after it, as --option value or --option=value; \
arguments after -- are no options. --help and --version work everywhere. A name has 1 to 64 visible characters, with single spaces between \
them, no slash, no brackets and no ">".

Results go to the standard output, errors, warnings and hints to the standard error. With --json, the \
standard output has one JSON object a line and nothing else.`;

export const EXIT_CODES: readonly Term[] = [
  ["0", "done; a server or chat was stopped by the user"],
  ["1", "local failure: a port in use, for example"],
  ["2", "wrong usage"],
  ["64 + N", "a call failed with gRPC status N: 68 deadline exceeded, 78 unavailable"],
  ["130", "interrupted before the work was done"],
];

export const ENVIRONMENT: readonly Term[] = [
  ["GREET_NAMES", "the naming service, for all commands that have --names"],
  ["GREET_HOME", "the directory of journals, identities and known peers, as --home sets it"],
  ["GREET_ETCD_USER, GREET_ETCD_PASSWORD", "credentials for etcd"],
  [
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CA certificates (PEM) to verify servers with, instead of the system's, where --cacert is not given",
  ],
  [
    "GREET_NO_SUSPEND",
    "if not empty, Ctrl-Z does not suspend a chat: for wrappers that cannot be suspended",
  ],
  ["NO_COLOR, FORCE_COLOR", "if not empty, a chat has no colors, or has them in a pipe too"],
  ["TERM", "with the value dumb, a chat prints plain lines"],
  ["HOME, XDG_STATE_HOME, LOCALAPPDATA", "where the home directory is if GREET_HOME does not say"],
];

export const FILES: readonly Term[] = [
  ["~/.local/state/greet", "the home directory on Linux, or greet in $XDG_STATE_HOME"],
  ["~/Library/Application Support/greet", "the same on macOS"],
  ["%LOCALAPPDATA%\\greet", "the same on Windows"],
  ["journals/*.sqlite", "what each name has said and heard, and what still has to be delivered"],
  ["identities/*.key", "the private key of each name; it must be readable by its owner only"],
  ["identities/*.pem", "the certificate of that key"],
  ["known_peers", "the keys of the peers that were met: a text file that can be edited"],
];

export const BUGS =
  `More than one thread in a server needs Linux. A journal belongs to one running \
chat at a time. Terminals disagree about the width of some characters, so a row that contains them \
can look broken.

A report of a bug should contain the output of greet --version.`;

export const SEE_ALSO: readonly Term[] = [
  ["deno", "1"],
  ["etcd", "1"],
  ["etcdctl", "1"],
  ["tmux", "1"],
];
