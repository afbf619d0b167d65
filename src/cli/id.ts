/**
 * `greet id`: shows identities in forms that people can compare.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import { GreetError } from "../base/errors.ts";
import { homeOf } from "./home.ts";
import { identitiesIn, type Identity, openIdentity, spokenCode } from "../identity/identity.ts";
import type { Io } from "./io.ts";
import { parseName, showable, toJson } from "../base/text.ts";

/** Shows one identity, creating it if necessary, or all of them. */
export async function idCommand(input: Arguments, io: Io): Promise<number> {
  const [typed] = input.positionals(0, 1);
  const name = typed === undefined ? undefined : parseName(typed);
  const home = homeOf(input, io);
  const identities = name === undefined ? identitiesIn(home) : [await openIdentity(home, name)];
  if (identities.length === 0) {
    throw new GreetError("FAILED", `there is no identity in ${home} yet`, {
      hint: "greet id NAME creates one; so does the first chat beyond this machine",
    });
  }
  const text = input.flag("json") ? idLine : idText;
  io.stdout.line(identities.map(text).join("\n"));
  return 0;
}

function idText({ name, fingerprint }: Pick<Identity, "name" | "fingerprint">): string {
  return `${showable(name)}\n  fingerprint  ${fingerprint}\n  code         ${
    spokenCode(fingerprint)
  }`;
}

function idLine({ name, fingerprint }: Pick<Identity, "name" | "fingerprint">): string {
  return toJson({ type: "identity", name, fingerprint, code: spokenCode(fingerprint) });
}
