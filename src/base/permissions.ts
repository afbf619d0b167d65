/**
 * Permissions of the running program that a command does not need.
 *
 * @module
 */

/**
 * Gives up permissions, so that code that takes over the process cannot use them either.
 *
 * Nothing is given up where a target is a socket in the file system, for which Deno needs both.
 *
 * @param names the permissions to give up
 * @param targets the targets that the command calls, as far as there are any
 */
export function renounce(
  names: readonly ("read" | "write")[],
  targets: readonly (string | undefined)[],
): void {
  if (targets.some((target) => target !== undefined && /\bunix:/.test(target))) return;
  for (const name of names) Deno.permissions.revokeSync({ name });
}
