/** What `deno task check` finds in a GitHub workflow. */
import assert from "node:assert/strict";
import { lintWorkflow } from "./lint_workflows.ts";

const PINNED = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1";

/** A workflow that is right, with something replaced. */
function workflow(from = "", to = ""): string {
  return `on: push
permissions:
  attestations: write
jobs:
  test:
    runs-on: ubuntu-24.04-arm
    steps:
      - uses: ${PINNED}
      - run: echo \${{ github.ref }}
`.replace(from, to);
}

const WRONG: readonly [what: string, from: string, to: string, complaint: RegExp][] = [
  ["an action that is pinned by tag", PINNED, "actions/checkout@v7", /pin by commit/],
  ["a pinned action without a version", / # v.*/.exec(PINNED)![0], "", /pin by commit/],
  ["a runner that changes under our feet", "ubuntu-24.04-arm", "ubuntu-latest", /not one of our/],
  ["an unknown permission", "attestations", "attestation", /unknown permission/],
  ["an unknown variable", "github.ref", "githb.ref", /undefined variable "githb"/],
];

Deno.test("a workflow that is right has no complaints", async () => {
  assert.deepEqual(await lintWorkflow("right.yml", workflow()), []);
});

for (const [what, from, to, complaint] of WRONG) {
  Deno.test(`${what} is reported`, async () => {
    const complaints = await lintWorkflow("wrong.yml", workflow(from, to));
    assert.equal(complaints.length, 1);
    assert.match(complaints[0].message, complaint);
  });
}
