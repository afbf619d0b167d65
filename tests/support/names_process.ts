/**
 * A naming server, or somebody who uses one, as a process that tests can stop and kill.
 *
 *     serve                       serves names, and tells on which port
 *     hold PORT NAME ADDRESS      holds a name, and tells how the claim stands
 *     watch PORT                  watches all names, and tells what happens as lines of JSON
 *
 * Each line of input asks for how much memory it takes, in MB; it ends when the input does.
 */
import { openNames, serveNames } from "../../mod.ts";

const [what, port, name, address] = Deno.args;
await using stack = new AsyncDisposableStack();

if (what === "serve") {
  const server = stack.use(await serveNames({ port: 0 }));
  console.log(`listening on ${server.port}`);
} else {
  const names = stack.use(openNames(port));
  if (what === "hold") {
    const tell = ({ state }: { state: string }) => console.log(state);
    tell(stack.use(await names.register({ name, address }, tell)).standing);
  } else void watch(names);
}

async function watch(names: ReturnType<typeof openNames>): Promise<void> {
  for await (const event of names.watch()) {
    const { type } = event;
    console.log(JSON.stringify(type === "state" ? { type, count: event.entries.length } : event));
  }
}

for await (const _ of Deno.stdin.readable) {
  console.log(`memory ${Math.round(Deno.memoryUsage().rss / 2 ** 20)}`);
}
