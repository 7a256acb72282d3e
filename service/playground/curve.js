// The curve of surprisal along a text: one SVG path between two axes. The pointer or the arrow keys
// select an item, whose value is shown.

import { itemLabel } from "./card.js";
import { createElement } from "./dom.js";
import { formatNumber } from "./format.js";
import { createPath, HEIGHT, linePath, roundTicks, runningMeans, toY } from "./svg_paths.js";

const MIN_AVERAGED_ITEMS = 200; // from here on, a running mean is easier to read than the line
const WINDOW = 25; // items of the running mean
const PAGE = 10; // items that Page Up and Page Down move by
const Y_TICKS = 4;
const X_TICKS = 6;
const TICK_MARGIN = 0.07; // of the axis, without ticks next to its ends

export class Curve {
  #figure;
  #drawing; // a slider, whose value is the selected item
  #svg;
  #readout;
  #items = [];
  #unit = "bits";
  #selected = 0;
  #onSelect;
  #onOpen;

  /** `onSelect(index)` is called with the selected item or null, `onOpen(index)` after a click. */
  constructor(figure, onSelect, onOpen) {
    this.#figure = figure;
    this.#drawing = figure.querySelector(".drawing");
    this.#svg = figure.querySelector("svg");
    this.#readout = figure.querySelector(".readout");
    this.#onSelect = onSelect;
    this.#onOpen = onOpen;
    const selectUnderPointer = (event) => this.#select(this.#indexAt(event));
    this.#drawing.addEventListener("pointermove", selectUnderPointer);
    this.#drawing.addEventListener("pointerdown", selectUnderPointer);
    this.#drawing.addEventListener("pointerleave", () => this.#deselect());
    this.#drawing.addEventListener("click", (event) => this.#onOpen(this.#indexAt(event)));
    this.#drawing.addEventListener("focus", () => {
      if (this.#drawing.matches(":focus-visible")) this.#select(this.#selected);
    });
    this.#drawing.addEventListener("blur", () => this.#deselect());
    this.#drawing.addEventListener("keydown", (event) => this.#handleKey(event));
  }

  hide() {
    this.#figure.hidden = true;
  }

  /** Draws the cross-entropies of items on an axis from 0 to `max`. */
  draw(items, max, unit, noun) {
    this.#items = items;
    this.#unit = unit;
    this.#selected = Math.min(this.#selected, Math.max(0, items.length - 1));
    this.#figure.hidden = items.length < 2;
    if (this.#figure.hidden) return;
    const values = items.map((item) => item.cross_entropy);
    const ticks = roundTicks(max, Y_TICKS);
    const hasMean = values.length >= MIN_AVERAGED_ITEMS;
    this.#svg.setAttribute("viewBox", `0 0 ${values.length} ${HEIGHT}`);
    const grid = ticks.map((value) => `M0 ${toY(value, max)}H${values.length}`).join("");
    const line = createPath("curve", linePath(values, max));
    line.classList.toggle("faint", hasMean);
    const paths = [createPath("grid", grid), line];
    if (hasMean) paths.push(createPath("mean", linePath(runningMeans(values, WINDOW), max)));
    paths.push(createPath("cursor", ""));
    this.#svg.replaceChildren(...paths);
    this.#drawYAxis(ticks, max);
    this.#drawXAxis(values.length);
    this.#describe(values, noun, hasMean);
  }

  /** Marks the position of an item; null removes the mark. */
  mark(index) {
    const cursor = this.#svg.querySelector(".cursor");
    cursor?.setAttribute("d", index === null ? "" : `M${index + 0.5} 0V${HEIGHT}`);
    this.#readout.hidden = true;
  }

  #showReadout(index) {
    this.#readout.hidden = false;
    const item = this.#items[index];
    const value = `${formatNumber(item.cross_entropy)} ${this.#unit}`;
    this.#readout.replaceChildren(createElement("bdi", "", itemLabel(item)), createElement("span", "value", value));
    const share = (index + 0.5) / this.#items.length;
    this.#readout.style.left = `${share * 100}%`;
    this.#readout.style.translate = `${-share * 100}% 0`;
  }

  #drawYAxis(ticks, max) {
    const labels = ticks.map((value) => {
      const label = createElement("span", "", formatNumber(value, Number.isInteger(value) ? 0 : 1));
      label.style.top = `${toY(value, max)}%`;
      return label;
    });
    this.#figure.querySelector(".axis-y").replaceChildren(...labels);
  }

  #drawXAxis(count) {
    const isInside = (tick) => tick > 1 && tick >= count * TICK_MARGIN && tick <= count * (1 - TICK_MARGIN);
    const labels = [1, ...roundTicks(count, X_TICKS).filter(isInside), count].map((tick) => {
      const label = createElement("span", "", formatNumber(tick, 0));
      const share = ((tick - 0.5) / count) * 100;
      label.style.left = `${share}%`;
      if (tick === count) label.style.translate = `${-share}% 0`; // the label ends with the curve
      return label;
    });
    this.#figure.querySelector(".axis-x").replaceChildren(...labels);
  }

  #describe(values, noun, hasMean) {
    const highest = values.reduce((high, value) => Math.max(high, value ?? 0), 0);
    const caption = `Surprisal of each ${noun} along the text, in ${this.#unit}`;
    const mean = hasMean ? ` · bold: mean of ${WINDOW} ${noun}s` : "";
    this.#figure.querySelector("figcaption").textContent = caption + mean;
    this.#setAria({
      label: `${caption}; highest ${formatNumber(highest, 1)} ${this.#unit}`,
      valuemin: 1,
      valuemax: values.length,
    });
    this.#updateValue();
  }

  #updateValue() {
    const item = this.#items[this.#selected];
    const number = this.#selected + 1;
    const text = `${number}: ${itemLabel(item)}, ${formatNumber(item.cross_entropy)} ${this.#unit}`;
    this.#setAria({ valuenow: number, valuetext: text });
  }

  #setAria(attributes) {
    for (const [name, value] of Object.entries(attributes)) this.#drawing.setAttribute(`aria-${name}`, value);
  }

  #indexAt(event) {
    const box = this.#svg.getBoundingClientRect();
    return this.#clamp(Math.floor(((event.clientX - box.left) / box.width) * this.#items.length));
  }

  #clamp(index) {
    return Math.max(0, Math.min(this.#items.length - 1, index));
  }

  #select(index) {
    if (this.#items[index] === undefined) return;
    this.#selected = index;
    this.#updateValue();
    this.mark(index);
    this.#showReadout(index);
    this.#onSelect(index);
  }

  #deselect() {
    this.mark(null);
    this.#onSelect(null);
  }

  #handleKey(event) {
    const index = this.#selected;
    const moves = {
      ...{ ArrowRight: index + 1, ArrowUp: index + 1, PageUp: index + PAGE },
      ...{ ArrowLeft: index - 1, ArrowDown: index - 1, PageDown: index - PAGE },
      ...{ Home: 0, End: this.#items.length - 1 },
    };
    if (event.key in moves) this.#select(this.#clamp(moves[event.key]));
    else if (event.key === "Enter") this.#onOpen(index);
    else if (event.key === "Escape") this.#deselect();
    else return;
    event.preventDefault();
  }
}
