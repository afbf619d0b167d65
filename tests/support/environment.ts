/**
 * Sets what tests and the programs they start inherit: the mode of new files, the time zone, and
 * which CAs they trust.
 */

// The program refuses files that a group can write, which is the default on some systems.
if (Deno.build.os !== "windows") Deno.umask(0o022);

// A chat prints the date when it changes, which must not happen in the middle of a test.
Deno.env.set("TZ", noon());

Deno.env.delete("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH");

/** A time zone in which it is between noon and one o'clock. */
function noon(): string {
  const offset = 12 - new Date().getUTCHours();
  return `Etc/GMT${offset > 0 ? "-" : "+"}${Math.abs(offset)}`;
}
