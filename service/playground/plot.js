// The line of surprisal along a text, as one SVG path whatever the text's length.

import { number } from "./figures.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;
const SMOOTH_FROM = 200; // words from which a running mean says more than the line
const WINDOW = 25;

export class Plot {
  #figure;
  #svg;
  #count = 0;

  /** `onPick(index)` is called with the word that was clicked. */
  constructor(figure, onPick) {
    this.#figure = figure;
    this.#svg = figure.querySelector("svg");
    this.#svg.addEventListener("click", (event) => {
      const box = this.#svg.getBoundingClientRect();
      const index = Math.floor(((event.clientX - box.left) / box.width) * this.#count);
      onPick(Math.max(0, Math.min(this.#count - 1, index)));
    });
  }

  /** Draws cross-entropies, null where a word has none, on an axis that ends at `most`. */
  draw(values, most, unit) {
    this.#count = values.length;
    this.#figure.hidden = values.length < 2;
    if (this.#figure.hidden) return;
    this.#svg.setAttribute("viewBox", `0 0 ${values.length} ${HEIGHT}`);
    const line = path("curve", points(values, most));
    line.classList.toggle("faint", values.length >= SMOOTH_FROM);
    const drawn = [line];
    if (values.length >= SMOOTH_FROM) drawn.push(path("mean", points(means(values), most)));
    drawn.push(path("cursor", ""));
    this.#svg.replaceChildren(...drawn);
    const highest = Math.max(...values.slice(0, 100_000).map((value) => value ?? 0));
    const caption = `Surprisal along the text, 0 to ${number(most, 1)} ${unit}`;
    this.#svg.setAttribute("aria-label", `${caption}; highest ${number(highest, 1)} ${unit}`);
    const smooth = values.length >= SMOOTH_FROM ? ` · bold: mean of ${WINDOW} words` : "";
    this.#figure.querySelector("figcaption").textContent = caption + smooth;
  }

  /** Marks a word's place; none with null. */
  mark(index) {
    const cursor = this.#svg.querySelector(".cursor");
    const at = index === null ? "" : `M${index + 0.5} 0V${HEIGHT}`;
    cursor?.setAttribute("d", at);
  }
}

function path(name, d) {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("class", name);
  made.setAttribute("d", d);
  made.setAttribute("vector-effect", "non-scaling-stroke");
  return made;
}

function points(values, most) {
  const found = [];
  let pen = "M";
  values.forEach((value, index) => {
    if (value === null) {
      pen = "M";
      return;
    }
    found.push(`${pen}${index + 0.5} ${(HEIGHT * (1 - value / most)).toFixed(2)}`);
    pen = "L";
  });
  return found.join("");
}

function means(values) {
  const found = [];
  let sum = 0;
  values.forEach((value, index) => {
    sum += value ?? 0;
    if (index >= WINDOW) sum -= values[index - WINDOW] ?? 0;
    found.push(sum / Math.min(index + 1, WINDOW));
  });
  return found;
}
