/**
 * Peer-to-peer chat: a peer, its journal, its identity, and the peers it knows.
 *
 * @module
 */
export { Peer } from "./src/peer/peer.ts";
export type { Other, PeerOptions } from "./src/peer/peer.ts";
export type { PeerEvent, PeerEvents } from "./src/peer/event_feed.ts";
export type { RosterEvent } from "./src/peer/roster.ts";
export type { TrustEvent } from "./src/identity/trust.ts";
export type { Caller, CallerEvent } from "./src/peer/callers.ts";
export type { NewcomerEvent, NewcomerPolicy } from "./src/peer/newcomers.ts";
export type { Answerer, Presence } from "./src/peer/presence.ts";
export type { Draft, Message } from "./src/peer/messages.ts";
export { Journal } from "./src/peer/journal.ts";
export type {
  Addressee,
  DeliveryOutcome,
  Entry,
  JournalOptions,
  Meeting,
  Participants,
  Person,
  ReadLimit,
  Waiting,
} from "./src/peer/journal.ts";
export { type Identity, newIdentity, openIdentity, spokenCode } from "./src/identity/identity.ts";
export { type KnownPeer, KnownPeers } from "./src/identity/known_peers.ts";
