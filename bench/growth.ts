/**
 * Measures how costs grow when there is ten and a hundred times as much to do. Processor time is more
 * telling than the time on the clock, because a busy machine adds to the second more than to the first.
 *
 * @module
 */
import { growBulk, growLinks, growMeshes } from "./growth/chats.ts";
import { growGreetings, growWaiting } from "./growth/commands.ts";
import { growNames, growWatchers } from "./growth/naming.ts";
import { growMemory, growRequests } from "./growth/server.ts";
import type { Report } from "./measure.ts";

export async function benchGrowth(report: Report): Promise<void> {
  await growGreetings(report);
  await growWaiting(report);
  await growRequests(report);
  await growMemory(report);
  await growLinks(report);
  await growBulk(report);
  await growMeshes(report);
  await growNames(report);
  await growWatchers(report);
}
