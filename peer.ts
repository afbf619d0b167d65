/**
 * Peer-to-peer chat: a peer, its journal, its identity, and the peers it knows.
 *
 * @module
 */
export { Peer } from "./src/peer/peer.ts";
export type { Other, PeerEvent, PeerOptions } from "./src/peer/peer.ts";
export type { RosterEvent } from "./src/peer/roster.ts";
export type { TrustEvent } from "./src/identity/trust.ts";
export type { NewcomerEvent, NewcomerPolicy } from "./src/peer/newcomers.ts";
export type { Presence } from "./src/peer/link.ts";
export { Journal } from "./src/peer/journal.ts";
export type {
  Addressee,
  Company,
  Ending,
  Entry,
  JournalOptions,
  Meeting,
  Message,
  Person,
  Waiting,
} from "./src/peer/journal.ts";
export { type Identity, newIdentity, openIdentity, spokenCode } from "./src/identity/identity.ts";
export { type KnownPeer, KnownPeers } from "./src/identity/known_peers.ts";
