// All values of a text as a table that grows on request, and as a CSV file.

import { itemLabel, probability } from "./card.js";
import { download, toCsv } from "./csv.js";
import { createElement } from "./dom.js";
import { formatNumber, formatPercent } from "./format.js";
import { END } from "./scorer.js";

const ROWS = 200; // created at once

export class Table {
  #details;
  #items = [];
  #unit = "bits";
  #noun = "word";

  constructor(details, csvButton) {
    this.#details = details;
    details.addEventListener("toggle", () => this.#fill());
    csvButton.addEventListener("click", () => download("surprisal.csv", this.#csv()));
  }

  show(items, unit, noun) {
    this.#items = items;
    this.#unit = unit;
    this.#noun = noun;
    this.#details.parentElement.hidden = items.length === 0;
    this.#fill();
  }

  #fill() {
    const box = this.#details.querySelector(".scroll");
    box.replaceChildren();
    if (!this.#details.open || this.#items.length === 0) return;
    const table = createElement("table");
    const head = table.createTHead().insertRow();
    for (const name of [this.#noun, this.#unit, "probability", "rank", "entropy"]) {
      const cell = createElement("th", "", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    box.append(table);
    this.#addRows(box, body, 0);
  }

  #addRows(box, body, from) {
    const items = this.#items.slice(from, from + ROWS);
    for (const item of items) {
      const row = body.insertRow();
      const heading = createElement("th");
      heading.scope = "row";
      heading.append(createElement("bdi", "", itemLabel(item)));
      row.append(heading);
      const isToken = item.parts.length === 1;
      const [part] = item.parts;
      const cells = [formatNumber(item.cross_entropy), formatPercent(probability(item))];
      cells.push(isToken ? formatNumber(part.rank, 0) : "–", isToken ? formatNumber(part.entropy) : "–");
      cells.forEach((text) => row.append(createElement("td", "", text)));
    }
    const remaining = this.#items.length - from - items.length;
    if (remaining === 0) return;
    const button = createElement("button", "", `${Math.min(remaining, ROWS)} more`);
    button.type = "button";
    button.addEventListener("click", () => {
      button.remove();
      this.#addRows(box, body, from + items.length);
    });
    box.append(button);
  }

  /** One row per item. `start` and `end` count code points of the whole text. */
  #csv() {
    const head = [this.#noun, "start", "end", "tokens", `cross_entropy_${this.#unit}`, "logprob"];
    const rows = this.#items.map((item) => {
      const [part] = item.parts;
      const text = part.text === END && item.surface.trim() === "" ? END : item.surface;
      const position = [item.offset + item.start, item.offset + item.end, item.parts.length];
      const tokenValues = item.parts.length === 1 ? [part.rank, part.entropy] : [null, null];
      return [text, ...position, item.cross_entropy, item.logprob, ...tokenValues, Number(item.oov)];
    });
    return toCsv([...head, "rank", `entropy_${this.#unit}`, "unknown"], rows);
  }
}
