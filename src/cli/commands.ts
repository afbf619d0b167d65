/**
 * The table of commands: what help, completions, the manual page and hints know about them.
 *
 * A command's file is loaded when it runs, so `--help` does not wait for gRPC.
 *
 * @module
 */
import { LOOPBACK } from "../net/address.ts";
import type { Command } from "./help.ts";
import type { Option } from "./syntax.ts";

// ---------------------------------------------------------------- options of several commands

const QUIET: Option = { help: "leave out progress messages" };
const JSON_OUTPUT: Option = { help: "print one JSON object a line" };
const HOST: Option = {
  value: "ADDRESS",
  help: `address to listen on (default ${LOOPBACK}; with --names lan, every network)`,
  values: [LOOPBACK, "0.0.0.0", "::1", "::"],
};
const NAMES: Option = {
  value: "SERVICE",
  help: "naming service: host:port, etcd://host:port,... or lan (default $GREET_NAMES)",
  values: ["lan"],
};
const NAMES_CACERT: Option = {
  value: "FILE",
  help: "CA certificate (PEM) to verify the naming service with",
};
const ADVERTISE: Option = {
  value: "HOST",
  help: "host that others should call (default: --host)",
};
const HOME: Option = {
  value: "DIR",
  help: "directory of journal, identity and known_peers (default $GREET_HOME)",
};
const COLOR: Option = {
  value: "WHEN",
  help: "auto (default), always or never",
  values: ["auto", "always", "never"],
};
const TLS: Option = { help: "use TLS on this machine, too; beyond it, TLS is the default" };
const PLAINTEXT: Option = { help: "do not encrypt traffic beyond this machine" };
const KEY: Option = { value: "FILE", help: "private key (PEM) of --cert" };

const DAYS = ["today", "yesterday", "7d"];

const HISTORY_DATES = "DATE is a day such as 2026-11-26, today or yesterday, a time such as\n" +
  '"2026-11-26 17:00", or an age: 12h, 7d or 2w ago.';

const SERVER_TLS: Command["options"] = {
  cert: {
    value: "FILE",
    help: "use TLS with this certificate (PEM); it is read again when it changes",
  },
  key: KEY,
  "client-ca": {
    value: "FILE",
    help: "CA certificate (PEM) to verify callers with; callers need a certificate",
  },
  plaintext: PLAINTEXT,
};

const CLIENT_TLS: Command["options"] = {
  tls: TLS,
  cacert: {
    value: "FILE",
    help: "CA certificate (PEM) to verify the server and the naming service with",
  },
  cert: { value: "FILE", help: "certificate (PEM) to show to the server" },
  key: KEY,
  insecure: { help: "use TLS but skip certificate verification" },
  plaintext: PLAINTEXT,
};

// ---------------------------------------------------------------- the commands

/** The commands, in the order in which the help lists them. */
export const COMMANDS: readonly Command[] = [
  {
    name: "serve",
    usage: "[PORT]",
    summary: "run a greeting server",
    details: "PORT 0, the default, picks a free port and reports it. SIGINT and SIGTERM stop\n" +
      "the server; calls in flight get 5 s to finish.",
    examples: [
      ["on a port of this machine", "greet serve 55550"],
      ["on any free port, found by name", "greet serve --as hello --names 55500"],
      [
        "for other machines, over TLS",
        "greet serve 55550 --host 0.0.0.0 --cert server.pem --key server.key",
      ],
    ],
    options: {
      host: HOST,
      as: { value: "NAME", help: "register under this name, alone or with other servers" },
      names: NAMES,
      cacert: NAMES_CACERT,
      advertise: ADVERTISE,
      ...SERVER_TLS,
      threads: { value: "N", help: "number of threads (default 1; more need Linux)" },
      json: { help: "log one JSON object a line" },
      quiet: QUIET,
    },
    run: async (...args) => await (await import("./serve.ts")).serveCommand(...args),
  },
  {
    name: "greet",
    usage: "TARGET NAME...",
    names: { TARGET: "registered names" },
    summary: "greet a server, each name on its own thread",
    details: "TARGET is a port on this machine, host:port, [v6]:port, dns:///host:port or\n" +
      "unix:/path; with --names (or $GREET_NAMES), it can also be a name. Servers that\n" +
      "share a name are greeted in turn.",
    examples: [
      ["two names, on two threads", "greet greet 55550 Bob Alice"],
      [
        "a server that is found by name, when it is up",
        "greet greet hello Bob --names 55500 --wait",
      ],
      ["a server on another machine", "greet greet server.example:55550 Bob --cacert ca.pem"],
    ],
    options: {
      names: NAMES,
      ...CLIENT_TLS,
      "max-time": { value: "SECONDS", help: "deadline of a greeting (default 10)" },
      wait: { help: "wait for the server to come up, up to --max-time" },
      threads: {
        value: "N",
        help:
          "number of threads (default: one for each name, up to the number of cores, at least two)",
      },
      json: JSON_OUTPUT,
      quiet: QUIET,
    },
    run: async (...args) => await (await import("./greet.ts")).greetCommand(...args),
  },
  {
    name: "chat",
    usage: "NAME [PORT] PEER...",
    names: { NAME: "own names", PEER: "registered names" },
    summary: "chat with the peers at PEER, and listen on PORT",
    details: "PEER is a port on this machine, host:port, [v6]:port, dns:///host:port or\n" +
      "unix:/path; with --names (or $GREET_NAMES), it can also be a name. PORT, the\n" +
      "first number, may then be omitted: a free port is used, and others find you by\n" +
      "NAME.\n" +
      "\n" +
      "One side that can be reached is enough, if the chat is encrypted. Without --names,\n" +
      "a PEER that is only a name is waited for, whatever its address; it calls you, and\n" +
      "needs no PORT if all its PEERs are on other machines.\n" +
      "\n" +
      "Bob@PEER accepts only Bob there. Without a name, a peer that answers where you\n" +
      "met another one before is announced on a terminal, and refused in a pipe.\n" +
      "Everything beyond this machine is encrypted.\n" +
      "\n" +
      "Each line that is typed or piped in is sent to all peers. A message for a peer\n" +
      "that is away is kept in the journal and sent when you meet again. /help lists\n" +
      "the commands of a chat; /quit, Ctrl-D and the end of the input leave it, and so\n" +
      "does Ctrl-C on an empty line.",
    examples: [
      [
        "Alice listens on 55555 and calls Bob on 55556; Bob does the reverse",
        "greet chat Alice 55555 55556",
      ],
      ["", "greet chat Bob 55556 55555"],
      ["find each other by name on the local network", "greet chat Alice Bob --names lan"],
      ["find each other by name, with a naming server", "greet chat Alice Bob --names 55500"],
      [
        "Bob waits for Alice, who is behind a router and calls him",
        "greet chat Bob 55555 Alice --host 10.0.0.2",
      ],
      ["", "greet chat Alice 10.0.0.2:55555"],
      [
        "send one message, and wait up to a minute until Bob has it",
        "echo 'backup done' | greet chat Alice 55555 55556 --linger 60",
      ],
    ],
    options: {
      names: NAMES,
      cacert: NAMES_CACERT,
      host: HOST,
      advertise: ADVERTISE,
      tls: TLS,
      plaintext: PLAINTEXT,
      home: HOME,
      "no-journal": { help: "keep no history and no queue on disk" },
      history: { value: "N", help: "lines of history to show at the start (default 10)" },
      linger: {
        value: "SECONDS",
        help: "how long to wait for delivery when piped input ends",
      },
      json: { help: "print events and read messages as one JSON object a line" },
      quiet: QUIET,
      color: COLOR,
      bell: {
        value: "WHEN",
        help: "which messages ring: all, or mention (of your name)",
        values: ["all", "mention"],
      },
    },
    run: async (...args) => await (await import("./chat.ts")).chatCommand(...args),
  },
  {
    name: "history",
    usage: "NAME",
    names: { NAME: "own names" },
    summary: "print what NAME has said and heard in chats",
    details: `${HISTORY_DATES}\n` +
      "Reads the journal of NAME and changes nothing, also while its chat is running.",
    examples: [
      ["what Alice has said and heard since yesterday", "greet history Alice --since yesterday"],
      ["every message about lunch", "greet history Alice --find lunch"],
    ],
    options: {
      find: { value: "TEXT", help: "only messages that contain TEXT, in upper or lower case" },
      since: {
        value: "DATE",
        help: "only messages that were sent or arrived since then",
        values: DAYS,
      },
      home: HOME,
      json: JSON_OUTPUT,
      color: COLOR,
    },
    run: async (...args) => await (await import("./history.ts")).historyCommand(...args),
  },
  {
    name: "forget",
    usage: "NAME --before DATE",
    names: { NAME: "own names" },
    summary: "delete old messages from a journal",
    details: `${HISTORY_DATES}\n` +
      "Asks first. Messages that still wait to be delivered are kept. The chat of NAME\n" +
      "must not be running. Other people keep their own copies.",
    examples: [
      ["what is older than four weeks", "greet forget Alice --before 4w"],
      ["the same from a script, without being asked", "greet forget Alice --before 4w --yes"],
    ],
    options: {
      before: {
        value: "DATE",
        help: "delete messages that were sent or arrived before then",
        values: DAYS,
      },
      yes: { help: "do not ask" },
      home: HOME,
      json: JSON_OUTPUT,
    },
    run: async (...args) => await (await import("./forget.ts")).forgetCommand(...args),
  },
  {
    name: "names",
    usage: "[PORT] | list | watch [NAME]",
    names: { NAME: "registered names" },
    summary: "run a naming server, or show registered names",
    details: "Without list or watch, runs a naming server on PORT (default 55500; 0 picks a\n" +
      "free port and reports it). list prints the names registered at --names (or\n" +
      "$GREET_NAMES); watch also prints every change.",
    examples: [
      ["run a naming server on port 55500", "greet names"],
      ["show what is registered there, and then every change", "greet names watch --names 55500"],
      ["show what is registered on the local network", "greet names list --names lan"],
      ["show what is registered in an etcd", "greet names list --names etcd://127.0.0.1:2379"],
    ],
    options: {
      names: NAMES,
      cacert: NAMES_CACERT,
      host: HOST,
      ...SERVER_TLS,
      json: JSON_OUTPUT,
      quiet: QUIET,
    },
    run: async (...args) => await (await import("./names.ts")).namesCommand(...args),
  },
  {
    name: "id",
    usage: "[NAME]",
    names: { NAME: "own names" },
    summary: "show identities: fingerprints, and codes to read aloud",
    details: "Creates the identity if NAME has none yet; without NAME, lists all identities.\n" +
      "Chats beyond this machine show the identity to peers, which remember it.",
    examples: [
      ["Alice's identity", "greet id Alice"],
      ["all identities, for programs", "greet id --json"],
    ],
    options: { home: HOME, json: JSON_OUTPUT },
    run: async (...args) => await (await import("./id.ts")).idCommand(...args),
  },
  {
    name: "completions",
    usage: "bash | zsh | fish",
    summary: "print the completions for a shell",
    details: "Tab then completes commands, options, files and names: your own and, with\n" +
      "--names (or $GREET_NAMES), those of a naming service that answers within 0.2 s.\n" +
      "greet must be in PATH.",
    examples: [
      ["for bash, in ~/.bashrc", 'eval "$(greet completions bash)"'],
      ["for zsh, in ~/.zshrc, after compinit", 'eval "$(greet completions zsh)"'],
      ["for fish, once", "greet completions fish > ~/.config/fish/completions/greet.fish"],
    ],
    options: {},
    run: async (...args) => await (await import("./completions.ts")).completionsCommand(...args),
  },
];
