// Scored text with one coloured span per item, and one block per line. The text of all blocks
// together is the text that was sent.

import * as card from "./card.js";
import { colourClass } from "./colours.js";
import { createElement } from "./dom.js";
import { toItems } from "./items.js";

export class ColouredText {
  items = []; // of the whole text, each with its span, surface and offset
  #chunks = []; // the position at which each chunk starts: {items, lines, children, points}
  #box;
  #unit = "bits";
  #colouring = "surprisal";
  #active = 0; // the item in the tab order
  #highlighted = null;
  #points = 0; // code points of all chunks
  #onHighlight;

  /** `onHighlight(index)` is called with the item under the pointer or focus, or with null. */
  constructor(box, onHighlight) {
    this.#box = box;
    this.#onHighlight = onHighlight;
    box.addEventListener("pointerover", (event) => this.#handlePointer(event));
    box.addEventListener("pointerleave", () => this.#handleLeave());
    box.addEventListener("focusin", (event) => this.#handleFocus(event));
    box.addEventListener("focusout", () => this.#handleLeave());
    box.addEventListener("keydown", (event) => this.#handleKey(event));
  }

  get chunkCount() {
    return this.#chunks.length;
  }

  /** Removes the chunk at `index` and all chunks after it. */
  truncate(index) {
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

  /** Appends a scored chunk. `by` is "words" or "tokens". */
  add(text, result, { unit, colouring, by }) {
    this.#unit = unit;
    this.#colouring = colouring;
    const lastLine = this.#box.lastChild;
    this.#chunks.push({
      items: this.items.length,
      lines: this.#box.children.length,
      children: lastLine ? lastLine.childNodes.length : 0,
      points: this.#points,
    });
    const points = Array.from(text); // offsets count code points
    const slice = (start, end) => points.slice(start, end).join("");
    let line = lastLine ?? this.#addLine();
    let position = 0;
    for (const item of toItems(result, points, by)) {
      const touchesPrevious = item.start === position && line.lastChild !== null;
      if (item.start > position) line.append(slice(position, item.start));
      position = Math.max(position, item.end);
      item.surface = slice(item.start, item.end);
      item.offset = this.#points;
      item.vocabularySize = result.vocabularySize;
      item.span = this.#createSpan(item);
      item.index = this.items.push(item) - 1;
      item.span.dataset.index = item.index;
      item.span.classList.toggle("close", touchesPrevious);
      line.append(item.span);
      if (item.surface === "\n") line = this.#addLine();
    }
    if (position < points.length) line.append(slice(position));
    this.#points += points.length;
    this.#box.hidden = false;
    if (this.items.length && this.#active < this.items.length) {
      this.items[this.#active].span.tabIndex = 0;
    }
  }

  /** Highlights the item that is selected on the curve; null removes the highlight. */
  highlight(index) {
    this.#highlighted?.classList.remove("marked");
    this.#highlighted = this.items[index]?.span ?? null;
    this.#highlighted?.classList.add("marked");
  }

  /** Moves the focus to an item. */
  focus(index) {
    const item = this.items[index];
    if (item === undefined) return;
    this.items[this.#active]?.span.setAttribute("tabindex", "-1");
    this.#active = index;
    item.span.tabIndex = 0;
    item.span.focus();
  }

  #addLine() {
    const line = createElement("div", "line");
    line.dir = "auto";
    line.setAttribute("role", "none");
    this.#box.append(line);
    return line;
  }

  #createSpan(item) {
    const span = createElement("span", `w ${colourClass(item, this.#colouring, this.#unit)}`.trimEnd());
    span.textContent = item.surface;
    span.setAttribute("role", "option");
    span.tabIndex = -1;
    if (item.oov) span.classList.add("oov");
    if (/^\s+$/u.test(item.surface)) span.setAttribute("aria-label", card.itemLabel(item));
    if (item.surface === "\n" || item.surface === "") {
      span.classList.add("end");
      span.setAttribute("aria-label", card.itemLabel(item));
    }
    return span;
  }

  #itemOf(event) {
    const span = event.target.closest(".w");
    return span ? this.items[Number(span.dataset.index)] : undefined;
  }

  #handlePointer(event) {
    const item = this.#itemOf(event);
    if (item === undefined) {
      card.hideSoon();
      return;
    }
    card.show(item, this.#unit);
    this.#onHighlight(item.index);
  }

  #handleFocus(event) {
    const item = this.#itemOf(event);
    if (item === undefined) return;
    card.show(item, this.#unit);
    card.announce(item, this.#unit);
    this.#onHighlight(item.index);
  }

  #handleLeave() {
    card.hideSoon();
    this.#onHighlight(null);
  }

  #handleKey(event) {
    const item = this.#itemOf(event);
    if (item === undefined) return;
    const isRightToLeft = getComputedStyle(item.span.parentElement).direction === "rtl";
    const moves = {
      ArrowRight: () => item.index + (isRightToLeft ? -1 : 1),
      ArrowLeft: () => item.index + (isRightToLeft ? 1 : -1),
      ArrowDown: () => this.#nearestInNextRow(item, 1),
      ArrowUp: () => this.#nearestInNextRow(item, -1),
      Home: () => 0,
      End: () => this.items.length - 1,
    };
    if (event.key === "Escape") card.hide();
    else if (event.key in moves) this.focus(moves[event.key]());
    else return;
    event.preventDefault();
  }

  /** The index of the nearest item in the row of text below (1) or above (-1). */
  #nearestInNextRow(item, direction) {
    const from = item.span.getBoundingClientRect();
    const middle = (from.left + from.right) / 2;
    let nearest = item.index;
    let minDistance = Infinity;
    let rowTop = null;
    for (let index = item.index + direction; this.items[index]; index += direction) {
      const box = this.items[index].span.getBoundingClientRect();
      if (Math.abs(box.top - from.top) < from.height / 2) continue;
      rowTop ??= box.top;
      if (Math.abs(box.top - rowTop) > from.height / 2) break;
      const distance = Math.abs((box.left + box.right) / 2 - middle);
      if (distance < minDistance) [nearest, minDistance] = [index, distance];
    }
    return nearest;
  }
}
