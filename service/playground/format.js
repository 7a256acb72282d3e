// Numbers and tokens formatted for readers.

/** How many of each unit are in one nat. */
export const UNITS = { bits: 1 / Math.LN2, nats: 1, bans: 1 / Math.LN10 };
const PARTIAL_CHARACTER = "bytes:\\x";

export function formatNumber(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e7) return value.toExponential(2);
  const places = size >= 1000 ? 0 : size >= 100 ? Math.min(1, digits) : digits;
  const options = { minimumFractionDigits: places, maximumFractionDigits: places };
  return value.toLocaleString("en", options).replace("-", "−");
}

export function formatPercent(probability) {
  if (probability === null || probability === undefined) return "–";
  const value = probability * 100;
  if (value === 0) return "0 %";
  if (value < 0.001) return `${value.toExponential(1)} %`;
  return `${value.toPrecision(value >= 99.95 ? 4 : 3)} %`;
}

/** Whether a token is text. A subword may end in the middle of a character. */
export function isText(token) {
  return !token.surface.startsWith(PARTIAL_CHARACTER);
}

/** The surface of a token, with symbols or names for what a reader cannot see. */
export function formatSurface(surface) {
  if (surface === "\n") return "end of line";
  if (surface.startsWith(PARTIAL_CHARACTER)) return "part of a character";
  if (!/^\s+$/u.test(surface)) return surface;
  return Array.from(surface, (character) => (character === "\t" ? "⇥" : "␣")).join("");
}
