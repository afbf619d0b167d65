/**
 * Two ways to show a chat: as text for people, and as lines of JSON for programs.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Peer, PeerEvent } from "../peer/peer.ts";
import type { Screen } from "../terminal/screen.ts";
import { errorLine, toJsonLine } from "./json_lines.ts";
import type { Transcript } from "./transcript.ts";
import { errorText, keptText, shortened } from "./wording.ts";

/** Shows a chat from its beginning to its end. */
export interface View {
  begin(): void;
  show(event: PeerEvent): void;
  /** Reports an error that did not come from an event. */
  refuse(error: GreetError): void;
  end(): void;
}

/** What a view for people needs. */
export interface TextViewOptions {
  readonly screen: Screen;
  readonly peer: Peer;
  readonly transcript: Transcript;
  /** How many earlier lines to show at the start, on a terminal (default: none). */
  readonly history?: number;
}

/** Shows a chat as a conversation. */
export function textView({ screen, peer, transcript, history = 0 }: TextViewOptions): View {
  let toRecall = screen.interactive ? history : 0;
  const recall = () => {
    const entries = toRecall === 0 ? [] : peer.history(toRecall);
    transcript.recall(entries.map((entry) => ({ ...entry, message: shortened(entry.message) })));
    if (entries.length > 0) toRecall = 0;
  };
  return {
    begin() {
      recall();
      transcript.begin();
    },
    show(event) {
      // Earlier lines must not follow new ones.
      if (event.type === "message" || event.type === "queued") toRecall = 0;
      transcript.show(event);
      // The history is that of the peers in this chat, who may only be known now.
      if (event.type === "welcome") recall();
    },
    refuse: (error) => screen.warn(errorText(error)),
    end: () => transcript.end(),
  };
}

/** Shows a chat as lines of JSON. */
export function jsonView(screen: Screen, peer: Peer): View {
  return {
    begin() {},
    show(event) {
      const line = toJsonLine(event);
      if (line !== undefined) screen.show(line);
    },
    refuse: (error) => screen.show(errorLine(error)),
    end() {
      const queue = peer.queue();
      if (queue.length > 0) screen.show(errorLine(new GreetError("UNAVAILABLE", keptText(queue))));
    },
  };
}
