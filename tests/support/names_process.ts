/**
 * A naming server or one of its clients, as a process that tests can suspend and kill.
 *
 *     serve                       runs a naming server and prints its port
 *     hold PORT NAME ADDRESS      claims a name and prints the state of the claim
 *     watch PORT                  watches all names and prints the events as lines of JSON
 *
 * Prints its memory, in MB, for every line of input. Ends when the input ends.
 */
import { openNames, serveNames } from "../../mod.ts";

const [role, port, name, address] = Deno.args;
await using stack = new AsyncDisposableStack();

if (role === "serve") {
  const server = stack.use(await serveNames({ port: 0 }));
  console.log(`listening on ${server.port}`);
} else {
  const names = stack.use(openNames(port));
  if (role === "hold") {
    const print = ({ state }: { state: string }) => console.log(state);
    print(stack.use(await names.register({ name, address }, print)).status);
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
