/**
 * Lets V8 free the closed streams of an HTTP/2 connection with its next quick collection, instead of
 * copying them until a full one: that took up to a quarter of a busy server's time.
 *
 * Two things keep them. The native part of a stream, which only a full collection frees, refers to
 * it. And V8 links each table that a `Map` has outgrown to the next one: once such a table is old,
 * all that follow are kept, with what was in the `Map` when each was outgrown.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { symbolIn } from "./runtime_symbols.ts";

/** The native part of a stream, with the properties that the runtime has added. */
type Native = Record<PropertyKey, unknown>;

/** A stream, or a session, with the properties that the runtime has given it. */
type Internals = Readonly<Record<PropertyKey, unknown>>;

/** Streams by their ids: all that the runtime uses of a `Map`. */
interface Streams {
  readonly size: number;
  get(id: number): Internals | undefined;
  set(id: number, stream: Internals): void;
  delete(id: number): void;
  forEach(use: (stream: Internals) => void): void;
}

/**
 * Frees each stream of a session soon after it has closed. Without effect if the runtime stores
 * streams elsewhere.
 *
 * @param session a session of the runtime's HTTP/2 that has no streams yet
 */
export function freeClosedStreams(session: object): void {
  const key = symbolIn(session, "state");
  const state = key && (session as Record<symbol, { streams?: Streams }>)[key];
  if (state?.streams?.size === 0) state.streams = new StreamTable();
}

/** The open streams of a session. */
class StreamTable implements Streams {
  readonly #streams: Record<number, Internals> = Object.create(null);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): Internals | undefined {
    return this.#streams[id];
  }

  set(id: number, stream: Internals): void {
    if (this.get(id) === undefined) this.#size++;
    this.#streams[id] = stream;
  }

  delete(id: number): void {
    const stream = this.get(id);
    if (stream === undefined) return;
    this.#size--;
    delete this.#streams[id];
    releaseSoon(stream);
  }

  forEach(use: (stream: Internals) => void): void {
    for (const id of Object.keys(this.#streams).map(Number)) {
      // To close one stream may have closed another.
      const stream = this.get(id);
      if (stream !== undefined) use(stream);
    }
  }
}

/** Streams that have closed in this turn, and their native parts. */
let closed: [Internals, Native][] = [];

/** The first stream that has closed stands in for all others, should a late callback come. */
let standIn: Internals | undefined;

/** Where a stream has its native part, and where that refers to the stream. */
let nativeKey: symbol | undefined;
let ownerKeys: readonly PropertyKey[] | undefined;

/** Releases a stream from its native part, which the runtime may use until the end of this turn. */
function releaseSoon(stream: Internals): void {
  nativeKey ??= symbolIn(stream, "kHandle");
  const native = nativeKey && stream[nativeKey] as Native | undefined;
  if (native === undefined) return;
  if (closed.push([stream, native]) === 1) setImmediate(releaseClosed);
}

function releaseClosed(): void {
  for (const [stream, native] of closed) {
    standIn ??= stream;
    ownerKeys ??= Reflect.ownKeys(native).filter((key) => native[key] === stream);
    for (const key of ownerKeys) native[key] = standIn;
  }
  closed = [];
}
