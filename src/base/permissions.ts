/**
 * Drops permissions that a command does not need.
 *
 * @module
 */

/**
 * Drops permissions of this process, so that code that hijacks it cannot use them either.
 *
 * Does nothing if a target is a Unix socket, because Deno requires both permissions for those.
 *
 * @param names the permissions to drop
 * @param targets the targets that the command will call, if any
 */
export function renounce(
  names: readonly ("read" | "write")[],
  targets: readonly (string | undefined)[],
): void {
  if (targets.some((target) => target !== undefined && /\bunix:/.test(target))) return;
  for (const name of names) Deno.permissions.revokeSync({ name });
}
