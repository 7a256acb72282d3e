// Numbers as they are read, and the steps of the colour scale.

export const UNITS = { bits: 1 / Math.LN2, nats: 1, bans: 1 / Math.LN10 };
export const STEPS = 9;
const STEP_BITS = 2; // of the scale: each step is four times less probable

/** Which of the scale's steps a cross-entropy has. */
export function step(crossEntropy, unit) {
  const bits = crossEntropy / UNITS[unit] / Math.LN2;
  return Math.max(0, Math.min(STEPS - 1, Math.floor(bits / STEP_BITS)));
}

/** Where a step of the scale begins, in a unit. */
export function stepStart(index, unit) {
  return index * STEP_BITS * Math.LN2 * UNITS[unit];
}

export function number(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size >= 1e7) return value.toExponential(2);
  const places = size >= 1000 ? 0 : size >= 100 ? Math.min(1, digits) : digits;
  const format = { minimumFractionDigits: places, maximumFractionDigits: places };
  return value.toLocaleString("en", format).replace("-", "−");
}

export function percent(probability) {
  if (probability === null || probability === undefined) return "–";
  const value = probability * 100;
  if (value === 0) return "0 %";
  if (value < 0.001) return `${value.toExponential(1)} %`;
  return `${value.toPrecision(value >= 99.95 ? 4 : 3)} %`;
}

/** An element with a class and a text; texts are never markup. */
export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

/** A token's surface as it is shown alone: what a reader cannot see has a sign or a name. */
export function readable(surface) {
  if (surface === "\n") return "end of line";
  if (surface.startsWith("bytes:\\x")) return "part of a character";
  if (!/^\s+$/u.test(surface)) return surface;
  return Array.from(surface, (character) => (character === "\t" ? "⇥" : "␣")).join("");
}

/** Lets the page breathe: resolves when there is time for more. */
export function breathe() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = resolve;
    channel.port2.postMessage(null);
  });
}
