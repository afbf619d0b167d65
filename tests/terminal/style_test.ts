/** Colors of names, and painting. */
import assert from "node:assert/strict";
import { hueOf, HUES, paint } from "../../src/terminal/style.ts";

/** Relative luminance of one of the colors 16 to 231 (WCAG 2.2; xterm's 6 × 6 × 6 cube). */
function luminance(color: number): number {
  const levels = [0, 95, 135, 175, 215, 255];
  const index = color - 16;
  const [r, g, b] = [Math.floor(index / 36), Math.floor(index / 6) % 6, index % 6]
    .map((level) => levels[level] / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

Deno.test("every color is readable on black and on white", () => {
  for (const hue of HUES) {
    const onBlack = (luminance(hue) + 0.05) / 0.05;
    const onWhite = 1.05 / (luminance(hue) + 0.05);
    assert(Math.min(onBlack, onWhite) >= 3.9, `${hue}: ${onBlack} on black, ${onWhite} on white`);
  }
});

Deno.test("a name has the same color on every machine and every day", () => {
  assert.deepEqual(["Alice", "Bob", "Carol", "Dave", "日本"].map(hueOf), [27, 130, 28, 163, 28]);
});

Deno.test("names are spread evenly over the colors", () => {
  const counts = new Map<number, number>();
  for (let i = 0; i < 1_000; i++) {
    const hue = hueOf(`Name${i}`);
    counts.set(hue, (counts.get(hue) ?? 0) + 1);
  }
  assert.equal(counts.size, HUES.length);
  assert(Math.max(...counts.values()) < 2 * Math.min(...counts.values()));
});

Deno.test("each painted line is complete by itself", () => {
  assert.equal(paint([{ text: "a\nb", look: "dim" }], true), "\x1b[2ma\x1b[22m\n\x1b[2mb\x1b[22m");
  assert.equal(
    paint([{ text: "a", look: "dim" }, { text: "b", look: "dim" }], true),
    "\x1b[2mab\x1b[22m",
  );
  assert.equal(paint([{ text: "a\n", look: 28 }, { text: "b", look: "plain" }], false), "a\nb");
});
