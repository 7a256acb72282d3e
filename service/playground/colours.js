// The two colourings of scored words: by surprisal, and by rank as in GLTR (Gehrmann et al. 2019,
// https://arxiv.org/abs/1906.04043). Each has steps, CSS classes and a legend.

import { createElement } from "./dom.js";
import { UNITS } from "./format.js";

const STEPS = 9;
const STEP_BITS = 2; // each step is four times less probable
const MAX_RANKS = [10, 100, 1000, Infinity];

/** The index of the colour for a cross-entropy. */
function colourStep(crossEntropy, unit) {
  const bits = crossEntropy / UNITS[unit] / Math.LN2;
  return Math.max(0, Math.min(STEPS - 1, Math.floor(bits / STEP_BITS)));
}

/** The lowest cross-entropy of a colour, in `unit`. */
export function stepStart(index, unit) {
  return index * STEP_BITS * Math.LN2 * UNITS[unit];
}

/** The highest rank among an item's tokens, because the least expected token decides. */
function worstRank(item) {
  const ranks = item.parts.map((part) => part.rank ?? 0);
  return Math.max(...ranks) || null;
}

/** The CSS class of an item; "" if it was not scored. */
export function colourClass(item, colouring, unit) {
  if (item.cross_entropy === null) return "";
  if (colouring !== "rank") return `s${colourStep(item.cross_entropy, unit)}`;
  const rank = worstRank(item);
  return rank === null ? "" : `r${MAX_RANKS.findIndex((max) => rank <= max)}`;
}

export function drawLegend(legend, colouring, unit) {
  if (colouring === "rank") drawRanks(legend);
  else drawSteps(legend, unit);
}

function drawRanks(legend) {
  const names = ["top 10", "top 100", "top 1,000", "beyond"];
  const swatches = names.map((name, index) => createElement("span", `swatch wide r${index}`, name));
  legend.replaceChildren(createElement("span", "legend-end", "rank among all predictions"), ...swatches);
  legend.setAttribute("aria-label", `Colours by rank: ${names.join(", ")}`);
}

function drawSteps(legend, unit) {
  legend.replaceChildren(createElement("span", "legend-end", "expected"));
  for (let index = 0; index < STEPS; index += 1) {
    const plus = index === STEPS - 1 ? "+" : "";
    legend.append(createElement("span", `swatch s${index}`, oneDecimal(stepStart(index, unit)) + plus));
  }
  legend.append(createElement("span", "legend-end", `surprising, in ${unit}`));
  const last = oneDecimal(stepStart(STEPS - 1, unit));
  legend.setAttribute("aria-label", `Colour scale from 0 to ${last} ${unit} and more`);
}

function oneDecimal(value) {
  return String(Number(value.toFixed(1)));
}
