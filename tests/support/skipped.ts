/**
 * Reads the output of `deno test` and fails if a test was skipped that this system should run: the
 * name of a skipped test must say what it needs, and that must be missing on CI's machines.
 */

/** What CI's machines have of what tests need. On Linux `.ci/run` installs everything. */
const FOUND: Partial<Record<typeof Deno.build.os, readonly string[]>> = {
  darwin: [
    ...["POSIX", "a POSIX shell", "a shell", "sh", "file modes", "symbolic links", "a network"],
    ...["jq", "openssl", "curl", "node", "Deno 2.9.6 from npm"],
  ],
  windows: ["openssl", "node", "a network", "Deno 2.9.6 from npm"],
};

/** What may be missing on Linux: rights that a container denies, and the source, if a binary is run. */
const DENIED = ["cgroups", "mount", "root", "strace", "unshare", "the source"];

/** Whether something that a test needs may be missing here. */
function mayBeMissing(need: string, os: typeof Deno.build.os): boolean {
  return os === "linux" ? DENIED.includes(need) : !FOUND[os]?.includes(need);
}

/** The skipped tests in the output of `deno test` that this system should have run. */
export function wronglySkipped(output: string, os = Deno.build.os): string[] {
  const skipped = [...output.matchAll(/^(.*) \.\.\. ignored/gm)].map(([, name]) => name);
  return skipped.filter((name) => {
    const needs = /\(needs ([^()]*)\)$/.exec(name)?.[1].split(/, | and /) ?? [];
    return !needs.some((need) => mayBeMissing(need, os));
  });
}

if (import.meta.main) {
  const wrong = wronglySkipped(await new Response(Deno.stdin.readable).text());
  for (const name of wrong) console.error(`skipped, although this system can run it: ${name}`);
  if (wrong.length > 0) Deno.exit(1);
}
