// The two colourings of scored words: by surprisal, and by rank as in GLTR (Gehrmann et al. 2019,
// https://arxiv.org/abs/1906.04043). Each has steps, CSS classes, and a legend.

import { element, step, stepStart, STEPS } from "./figures.js";

const RANKS = [10, 100, 1000, Infinity];

/** The highest rank among an item's tokens: as improbable as its least expected part. */
export function worstRank(item) {
  const ranks = item.parts.map((part) => part.rank ?? 0);
  return Math.max(...ranks) || null;
}

/** The CSS class of an item, "" where it was not scored. */
export function colour(item, colouring, unit) {
  if (item.cross_entropy === null) return "";
  if (colouring !== "rank") return `s${step(item.cross_entropy, unit)}`;
  const rank = worstRank(item);
  return rank === null ? "" : `r${RANKS.findIndex((most) => rank <= most)}`;
}

export function drawLegend(legend, colouring, unit) {
  if (colouring === "rank") drawRanks(legend);
  else drawSteps(legend, unit);
}

function drawRanks(legend) {
  const names = ["top 10", "top 100", "top 1,000", "beyond"];
  const swatches = names.map((name, index) => element("span", `swatch wide r${index}`, name));
  legend.replaceChildren(element("span", "legend-end", "rank among all predictions"), ...swatches);
  legend.setAttribute("aria-label", `Colours by rank: ${names.join(", ")}`);
}

function drawSteps(legend, unit) {
  legend.replaceChildren(element("span", "legend-end", "expected"));
  for (let index = 0; index < STEPS; index += 1) {
    const start = stepStart(index, unit);
    const last = index === STEPS - 1 ? "+" : "";
    legend.append(element("span", `swatch s${step(start + 1e-9, unit)}`, shortly(start) + last));
  }
  legend.append(element("span", "legend-end", `surprising, in ${unit}`));
  const end = shortly(stepStart(STEPS - 1, unit));
  legend.setAttribute("aria-label", `Colour scale from 0 to ${end} ${unit} and more`);
}

function shortly(value) {
  return String(Number(value.toFixed(1)));
}
