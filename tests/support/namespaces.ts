/** Network namespaces, in which a test simulates several machines without being root. */
import { works } from "./tools.ts";

/** Runs a command where it may create network namespaces. They end with it. */
export const UNSHARE = ["unshare", "--map-root-user", "--mount", "--net", "--"] as const;

/** Whether a shell command works where A and B are two machines that a cable connects. */
export function worksBetweenMachines(command: string): Promise<boolean> {
  const script = "mount -t tmpfs tmpfs /run && ip netns add A && ip netns add B && " +
    `ip link add cable netns A type veth peer name cable netns B && ${command}`;
  return works(...UNSHARE, "sh", "-c", script);
}
