// The line of surprisal along a text, as one SVG path whatever the text's length, between two axes.
// A pointer over it, or its arrow keys, read one word after another.

import { label } from "./card.js";
import { element, number } from "./figures.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;
const SMOOTH_FROM = 200; // words from which a running mean says more than the line
const WINDOW = 25;
const PAGE = 10; // words that Page Up and Page Down move by

export class Plot {
  #figure;
  #drawing; // a slider, whose value is the word that is read
  #svg;
  #readout;
  #items = [];
  #unit = "bits";
  #at = 0;
  #onMark;
  #onPick;

  /** `onMark(index)` is called with the word that is read, `onPick(index)` with one chosen. */
  constructor(figure, onMark, onPick) {
    this.#figure = figure;
    this.#drawing = figure.querySelector(".drawing");
    this.#svg = figure.querySelector("svg");
    this.#readout = figure.querySelector(".readout");
    this.#onMark = onMark;
    this.#onPick = onPick;
    this.#drawing.addEventListener("pointermove", (event) => this.#read(this.#under(event)));
    this.#drawing.addEventListener("pointerdown", (event) => this.#read(this.#under(event)));
    this.#drawing.addEventListener("pointerleave", () => this.#leave());
    this.#drawing.addEventListener("click", (event) => this.#onPick(this.#under(event)));
    this.#drawing.addEventListener("focus", () => this.#drawing.matches(":focus-visible") && this.#read(this.#at));
    this.#drawing.addEventListener("blur", () => this.#leave());
    this.#drawing.addEventListener("keydown", (event) => this.#key(event));
  }

  hide() {
    this.#figure.hidden = true;
  }

  /** Draws items' cross-entropies, on an axis that ends at `most`. */
  draw(items, most, unit, noun) {
    this.#items = items;
    this.#unit = unit;
    this.#at = Math.min(this.#at, Math.max(0, items.length - 1));
    this.#figure.hidden = items.length < 2;
    if (this.#figure.hidden) return;
    const values = items.map((item) => item.cross_entropy);
    const ticks = round(most, 4);
    this.#svg.setAttribute("viewBox", `0 0 ${values.length} ${HEIGHT}`);
    const grid = path("grid", ticks.map((value) => `M0 ${height(value, most)}H${values.length}`).join(""));
    const line = path("curve", points(values, most));
    line.classList.toggle("faint", values.length >= SMOOTH_FROM);
    const drawn = [grid, line];
    if (values.length >= SMOOTH_FROM) drawn.push(path("mean", points(means(values), most)));
    drawn.push(path("cursor", ""));
    this.#svg.replaceChildren(...drawn);
    this.#axes(ticks, most, values.length);
    this.#say(noun);
  }

  /** Marks a word's place; none with null. */
  mark(index) {
    const cursor = this.#svg.querySelector(".cursor");
    const at = index === null ? "" : `M${index + 0.5} 0V${HEIGHT}`;
    cursor?.setAttribute("d", at);
    this.#readout.hidden = true;
  }

  #label(index) {
    this.#readout.hidden = false;
    const { cross_entropy } = this.#items[index];
    const word = element("bdi", "", label(this.#items[index]));
    this.#readout.replaceChildren(word, element("span", "value", `${number(cross_entropy)} ${this.#unit}`));
    const share = (index + 0.5) / this.#items.length;
    this.#readout.style.left = `${share * 100}%`;
    this.#readout.style.translate = `${-share * 100}% 0`;
  }

  #axes(ticks, most, count) {
    const left = ticks.map((value) => {
      const tick = element("span", "", number(value, Number.isInteger(value) ? 0 : 1));
      tick.style.top = `${height(value, most)}%`;
      return tick;
    });
    this.#figure.querySelector(".axis-y").replaceChildren(...left);
    const places = [1, ...round(count, 6).filter((at) => at > 1 && at <= count * 0.93 && at >= count * 0.07)];
    const bottom = [...places, count].map((at) => {
      const tick = element("span", "", number(at, 0));
      const share = ((at - 0.5) / count) * 100;
      tick.style.left = `${share}%`;
      if (at === count) tick.style.translate = `${-share}% 0`; // it ends where the curve does
      return tick;
    });
    this.#figure.querySelector(".axis-x").replaceChildren(...bottom);
  }

  #say(noun) {
    const values = this.#items.map((item) => item.cross_entropy ?? 0);
    const highest = values.reduce((high, value) => Math.max(high, value), 0);
    const caption = `Surprisal of each ${noun} along the text, in ${this.#unit}`;
    const smooth = values.length >= SMOOTH_FROM ? ` · bold: mean of ${WINDOW} ${noun}s` : "";
    this.#figure.querySelector("figcaption").textContent = caption + smooth;
    const slider = { label: `${caption}; highest ${number(highest, 1)} ${this.#unit}`, valuemin: 1 };
    this.#describe({ ...slider, valuemax: values.length });
    this.#value();
  }

  #value() {
    const item = this.#items[this.#at];
    const said = `${label(item)}, ${number(item.cross_entropy)} ${this.#unit}`;
    this.#describe({ valuenow: this.#at + 1, valuetext: `${this.#at + 1}: ${said}` });
  }

  #describe(attributes) {
    for (const [name, value] of Object.entries(attributes)) this.#drawing.setAttribute(`aria-${name}`, value);
  }

  #under(event) {
    const box = this.#svg.getBoundingClientRect();
    const index = Math.floor(((event.clientX - box.left) / box.width) * this.#items.length);
    return this.#inside(index);
  }

  #inside(index) {
    return Math.max(0, Math.min(this.#items.length - 1, index));
  }

  #read(index) {
    if (this.#items[index] === undefined) return;
    this.#at = index;
    this.#value();
    this.mark(index);
    this.#label(index);
    this.#onMark(index);
  }

  #leave() {
    this.mark(null);
    this.#onMark(null);
  }

  #key(event) {
    const moves = {
      ...{ ArrowRight: this.#at + 1, ArrowUp: this.#at + 1, PageUp: this.#at + PAGE },
      ...{ ArrowLeft: this.#at - 1, ArrowDown: this.#at - 1, PageDown: this.#at - PAGE },
      ...{ Home: 0, End: this.#items.length - 1 },
    };
    if (event.key in moves) this.#read(this.#inside(moves[event.key]));
    else if (event.key === "Enter") this.#onPick(this.#at);
    else if (event.key === "Escape") this.#leave();
    else return;
    event.preventDefault();
  }
}

/** Round numbers from 0 to `most`, about as many as `count`. */
function round(most, count) {
  const rough = most / count;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * size >= rough) * size;
  const found = [];
  for (let index = 0; index * step <= most; index += 1) found.push(Number((index * step).toPrecision(12)));
  return found;
}

function height(value, most) {
  return Number((HEIGHT * (1 - value / most)).toFixed(2));
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
    found.push(`${pen}${index + 0.5} ${height(value, most).toFixed(2)}`);
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
