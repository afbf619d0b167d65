/**
 * Guesses which address a mistyped one was meant to be.
 *
 * Returns candidates only; `address.ts` decides which of them are valid.
 *
 * @module
 */
import { isIP } from "./ip.ts";

/** Whether a text is copied from a usage line, such as `PORT` or `<port>`. */
export function isPlaceholder(text: string): boolean {
  return /^[<[{]?(port|target|peer|host:port)[>\]}]?$/i.test(text);
}

/** An address without the scheme of a web address. */
export function withoutScheme(text: string): string {
  return text.trim().replace(/^([a-z][a-z\d+.-]*:\/\/|\/\/|(https?|grpcs?)[:/]+)/i, "");
}

/** Ports that a text may have been meant as, the likeliest first. */
export function likelyPorts(text: string): string[] {
  const trimmed = text.trim().replace(/^\D*=|^[<[("']+|[>\])"';,.:/]+$/g, "");
  const isCopied = /^\d{2,}[\doOlI]+$/.test(trimmed);
  return [
    trimmed.replace(/^[+*]?:?/, ""),
    trimmed.replaceAll(/[.,_']/g, ""),
    // What follows may be a name.
    trimmed.replace(/^(\d{2,})[,;:=/]\D.*$/, "$1"),
    isCopied ? trimmed.replaceAll(/[oO]/g, "0").replaceAll(/[lI]/g, "1") : "",
  ].filter((port) => /^\d+$/.test(port));
}

/** Targets that a text may have been meant as, the likeliest first. */
export function likelyTargets(text: string): string[] {
  if (/^(\.{0,2}\/(?!\/)|~)/.test(text)) return [`unix:${text.trim()}`];
  const rest = withoutScheme(text);
  const hostAndPort = rest.replaceAll(/^[^@/]*@(?=.*\d)|[/?#].*$|[\s,;.]+$/g, "");
  const [, v6 = "", port] = /^\[?(.*?)(?:\]:?|:)(\d{3,})$/.exec(hostAndPort) ?? [];
  return [
    isIP(v6) === 6 ? `[${v6}]:${port}` : hostAndPort,
    ...likelyPorts(text),
    // Another mark in place of the colon.
    rest.replace(/^((?:\d+\.){3}\d+|[\w.-]*[a-z][\w.-]*)[\s;,/=.:]+(\d+)$/i, "$1:$2"),
  ];
}

/** Hosts to listen on that a text may have been meant as, the likeliest first. */
export function likelyHosts(text: string): string[] {
  const host = withoutScheme(text).replace(/\/.*$/, "");
  const bare = host.replace(/^\[(.*)\](:\d+)?$/, "$1");
  return isIP(bare) === 6 ? [bare] : [host === "*" ? "0.0.0.0" : bare.replace(/:\d*$/, "")];
}
