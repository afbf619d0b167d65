/** Sets what tests and the programs they start inherit: the mode of new files, and the time zone. */

// The program refuses files that a group can write, which is the default on some systems.
if (Deno.build.os !== "windows") Deno.umask(0o022);

// A chat prints the date when it changes, which must not happen in the middle of a test.
Deno.env.set("TZ", noon());

/** A time zone in which it is between noon and one o'clock. */
function noon(): string {
  const offset = 12 - new Date().getUTCHours();
  return `Etc/GMT${offset > 0 ? "-" : "+"}${Math.abs(offset)}`;
}
