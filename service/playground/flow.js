// Scored words as running text: one span each, coloured by its step of the scale, in one block a
// line. The text of the blocks together is the text as it was sent.

import * as card from "./card.js";
import { colour } from "./colours.js";
import { element } from "./figures.js";
import { items } from "./items.js";

export class Flow {
  items = []; // of the whole text; each has its span, surface and place
  #chunks = []; // where each began: {items, lines, children, points}
  #box;
  #unit = "bits";
  #colouring = "surprisal";
  #active = 0;
  #marked = null;
  #points = 0; // of the chunks before
  #onMark;

  /** `onMark(index)` is called with the word that is looked at, null when none is any more. */
  constructor(box, onMark) {
    this.#box = box;
    this.#onMark = onMark;
    box.addEventListener("pointerover", (event) => this.#hover(event));
    box.addEventListener("pointerleave", () => this.#leave());
    box.addEventListener("focusin", (event) => this.#focused(event));
    box.addEventListener("focusout", () => this.#leave());
    box.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Forgets all chunks from the one with this index on. */
  cut(index) {
    const chunk = this.#chunks[index];
    if (chunk === undefined) return;
    this.#chunks.length = index;
    this.items.length = chunk.items;
    this.#points = chunk.points;
    while (this.#box.children.length > chunk.lines) this.#box.lastChild.remove();
    const line = this.#box.lastChild;
    while (line && line.childNodes.length > chunk.children) line.lastChild.remove();
    this.#active = Math.min(this.#active, Math.max(0, this.items.length - 1));
    this.#box.hidden = this.items.length === 0;
  }

  get chunkCount() {
    return this.#chunks.length;
  }

  /** Adds a scored chunk; `look` says the unit, the colouring, and by what words are told apart. */
  add(text, result, { unit, colouring, by }) {
    this.#unit = unit;
    this.#colouring = colouring;
    const line = this.#box.lastChild;
    this.#chunks.push({
      items: this.items.length,
      lines: this.#box.children.length,
      children: line ? line.childNodes.length : 0,
      points: this.#points,
    });
    const points = Array.from(text); // offsets count code points
    const surface = (start, end) => points.slice(start, end).join("");
    let open = line ?? this.#newLine();
    let at = 0;
    for (const item of items(result, points, by)) {
      const close = item.start === at && open.lastChild !== null;
      if (item.start > at) open.append(surface(at, item.start));
      at = Math.max(at, item.end);
      item.surface = surface(item.start, item.end);
      item.offset = this.#points;
      item.vocabularySize = result.vocabularySize;
      item.span = this.#span(item);
      item.index = this.items.push(item) - 1;
      item.span.dataset.index = item.index;
      item.span.classList.toggle("close", close);
      open.append(item.span);
      if (item.surface === "\n") {
        open = this.#newLine();
      }
    }
    if (at < points.length) open.append(surface(at));
    this.#points += points.length;
    this.#box.hidden = false;
    if (this.items.length && this.#active < this.items.length) {
      this.items[this.#active].span.tabIndex = 0;
    }
  }

  /** Marks the word that is read on the curve; none with null. */
  mark(index) {
    this.#marked?.classList.remove("marked");
    this.#marked = this.items[index]?.span ?? null;
    this.#marked?.classList.add("marked");
  }

  /** Moves the focus to a word. */
  focus(index) {
    const item = this.items[index];
    if (item === undefined) return;
    this.items[this.#active]?.span.setAttribute("tabindex", "-1");
    this.#active = index;
    item.span.tabIndex = 0;
    item.span.focus();
  }

  #newLine() {
    const line = element("div", "line");
    line.dir = "auto";
    line.setAttribute("role", "none");
    this.#box.append(line);
    return line;
  }

  #span(item) {
    const span = element("span", `w ${colour(item, this.#colouring, this.#unit)}`.trimEnd());
    span.textContent = item.surface;
    span.setAttribute("role", "option");
    span.tabIndex = -1;
    if (item.oov) span.classList.add("oov");
    if (/^\s+$/u.test(item.surface)) span.setAttribute("aria-label", card.label(item));
    if (item.surface === "\n" || item.surface === "") {
      span.classList.add("end");
      span.setAttribute("aria-label", card.label(item));
    }
    return span;
  }

  #itemOf(event) {
    const span = event.target.closest(".w");
    return span ? this.items[Number(span.dataset.index)] : undefined;
  }

  #hover(event) {
    const item = this.#itemOf(event);
    if (item === undefined) {
      card.hideSoon();
      return;
    }
    card.show(item, this.#unit);
    this.#onMark(item.index);
  }

  #focused(event) {
    const item = this.#itemOf(event);
    if (item === undefined) return;
    card.show(item, this.#unit);
    card.speak(item, this.#unit);
    this.#onMark(item.index);
  }

  #leave() {
    card.hideSoon();
    this.#onMark(null);
  }

  #key(event) {
    const item = this.#itemOf(event);
    if (item === undefined) return;
    const rightToLeft = getComputedStyle(item.span.parentElement).direction === "rtl";
    const moves = {
      ArrowRight: () => item.index + (rightToLeft ? -1 : 1),
      ArrowLeft: () => item.index + (rightToLeft ? 1 : -1),
      ArrowDown: () => this.#inNextRow(item, 1),
      ArrowUp: () => this.#inNextRow(item, -1),
      Home: () => 0,
      End: () => this.items.length - 1,
    };
    if (event.key === "Escape") card.hide();
    else if (event.key in moves) this.focus(moves[event.key]());
    else return;
    event.preventDefault();
  }

  /** The word that stands nearest in the row of text under this one, or above it. */
  #inNextRow(item, direction) {
    const from = item.span.getBoundingClientRect();
    const middle = (from.left + from.right) / 2;
    let best = item.index;
    let distance = Infinity;
    let row = null;
    for (let at = item.index + direction; this.items[at]; at += direction) {
      const box = this.items[at].span.getBoundingClientRect();
      if (Math.abs(box.top - from.top) < from.height / 2) continue;
      row ??= box.top;
      if (Math.abs(box.top - row) > from.height / 2) break;
      const away = Math.abs((box.left + box.right) / 2 - middle);
      if (away < distance) [best, distance] = [at, away];
    }
    return best;
  }
}
