/**
 * What real clients see of names is linearizable, whatever happens to a real naming service: it is
 * killed, started again, and suspended. `GREET_TEST_SEEDS=100` records as many histories of each, with
 * outages that outlast a lease; `GREET_TEST_SEED` is the first seed.
 */
import { hasEtcd } from "../support/etcd.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { etcd, greetNames, record, type Service } from "../support/name_faults.ts";
import { Undecided } from "../support/linearizability.ts";
import { wrongWith } from "../support/name_history.ts";
import { randomNumbers } from "../support/random.ts";
import { isPosix } from "../support/tools.ts";

/** How many histories to record on each service. */
const SEEDS = Number(Deno.env.get("GREET_TEST_SEEDS") ?? 1);

const FIRST_SEED = Number(
  Deno.env.get("GREET_TEST_SEED") ?? crypto.getRandomValues(new Uint16Array(1))[0],
);

/** A test that is skipped where the service cannot be run, or cannot be suspended. */
function faultTest(
  name: string,
  needs: { what: string; isThere: boolean },
  start: () => Promise<Service>,
): void {
  Deno.test({
    name: `${name} (needs ${needs.what})`,
    ignore: !needs.isThere,
    ...GRPC_TIMERS_OUTLIVE_CHANNELS,
    fn: () => explore(start),
  });
}

/** Records histories on one service, and checks each. */
async function explore(start: () => Promise<Service>): Promise<void> {
  await using service = await start();
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    const what = `GREET_TEST_SEED=${seed}`;
    const wrong = await wrongWithOne(service, randomNumbers(seed)).catch((cause) => {
      if (!(cause instanceof Undecided)) throw new Error(what, { cause });
      // A search that is given up has found nothing.
      console.log(`${what}: ${cause.message}`);
    });
    // Not `assert.equal`, which shortens long texts.
    if (wrong !== undefined) throw new Error(`${what}: ${wrong}`);
  }
}

async function wrongWithOne(
  service: Service,
  random: () => number,
): Promise<string | undefined> {
  const killsHolder = random() < 0.3;
  const longOutages = SEEDS > 1 ? 0.1 : 0;
  return wrongWith(await record(service, { outages: 3, longOutages, killsHolder }, random));
}

const POSIX = { what: "POSIX", isThere: isPosix };
const ETCD = { what: "etcd", isThere: hasEtcd };

faultTest("names are linearizable while greet names fails", POSIX, greetNames);

faultTest("names are linearizable while etcd fails", ETCD, () => etcd(1));

faultTest("names are linearizable while the leader of three nodes fails", ETCD, () => etcd(3));
