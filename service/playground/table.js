// All figures of a text as a table, row after row, and as a CSV file.

import { label, probability } from "./card.js";
import { csv, download } from "./csv.js";
import { element, number, percent } from "./figures.js";
import { END } from "./scoring.js";

const ROWS = 200; // that are made at once

export class Table {
  #details;
  #items = [];
  #unit = "bits";
  #noun = "word";

  constructor(details, button) {
    this.#details = details;
    details.addEventListener("toggle", () => this.#fill());
    button.addEventListener("click", () => download("surprisal.csv", this.#file()));
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
    const table = element("table");
    const head = table.createTHead().insertRow();
    for (const name of [this.#noun, this.#unit, "probability", "rank", "entropy"]) {
      const cell = element("th", "", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    box.append(table);
    this.#more(box, body, 0);
  }

  #more(box, body, from) {
    const items = this.#items.slice(from, from + ROWS);
    for (const item of items) {
      const [part] = item.parts;
      const row = body.insertRow();
      const word = element("th");
      word.scope = "row";
      word.append(element("bdi", "", label(item)));
      row.append(word);
      const single = item.parts.length === 1;
      const cells = [number(item.cross_entropy), percent(probability(item))];
      cells.push(single ? number(part.rank, 0) : "–", single ? number(part.entropy) : "–");
      cells.forEach((text) => row.append(element("td", "", text)));
    }
    const left = this.#items.length - from - items.length;
    if (left === 0) return;
    const more = element("button", "", `${Math.min(left, ROWS)} more`);
    more.type = "button";
    more.addEventListener("click", () => {
      more.remove();
      this.#more(box, body, from + items.length);
    });
    box.append(more);
  }

  /** A row an item; `start` and `end` count code points of the whole text. */
  #file() {
    const head = [this.#noun, "start", "end", "tokens", `cross_entropy_${this.#unit}`, "logprob"];
    const rows = this.#items.map((item) => {
      const [part] = item.parts;
      const single = item.parts.length === 1;
      const text = part.text === END && item.surface.trim() === "" ? END : item.surface;
      const place = [item.offset + item.start, item.offset + item.end, item.parts.length];
      const one = single ? [part.rank, part.entropy] : [null, null];
      return [text, ...place, item.cross_entropy, item.logprob, ...one, Number(item.oov)];
    });
    return csv([...head, "rank", `entropy_${this.#unit}`, "unknown"], rows);
  }
}
