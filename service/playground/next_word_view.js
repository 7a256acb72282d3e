// The view that predicts the next word at every keystroke.

import { LatestTask, showError } from "./api.js";
import { createElement } from "./dom.js";
import { BEGINNINGS, exampleRow } from "./examples.js";
import { formatPercent, formatSurface, isText } from "./format.js";
import { forgetModelInfo } from "./model_info.js";
import { PREDICTIONS, Predictor } from "./predictor.js";
import { fileButton } from "./text_files.js";

const MIN_SHOWN_PROBABILITY = 0.0005;

export class NextWordView {
  #section = document.getElementById("next");
  #alert = this.#section.querySelector(".error");
  #field = document.getElementById("next-text");
  #list = document.getElementById("predictions");
  #note = document.getElementById("next-note");
  #announcer = document.getElementById("announcer");
  #latest = new LatestTask();
  #predictor = new Predictor();
  #examples;
  #surfaces = []; // the listed predictions
  #prefix = "";
  #marked = 0;
  #before = ""; // the text of the last request
  #tabLeaves = false; // after Escape, Tab moves the focus
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    this.#field.addEventListener("input", () => {
      this.#tabLeaves = false;
      this.#onChange();
      this.refresh();
    });
    this.#field.addEventListener("selectionchange", () => this.#handleCursor());
    this.#field.addEventListener("keydown", (event) => this.#handleKey(event));
    this.#list.addEventListener("click", (event) => {
      const row = event.target.closest("li");
      if (row) this.#accept([...this.#list.children].indexOf(row));
    });
    this.#examples = exampleRow(BEGINNINGS, (text) => this.#setText(text));
    const onText = (text) => this.#setText(text.replace(/\s+$/u, ""));
    const file = fileButton(this.#section, onText, (error) => showError(this.#alert, error));
    document.getElementById("next-help").after(this.#examples, file);
  }

  load(parameters) {
    this.#field.value = parameters.get("words") ?? "";
    this.#field.setSelectionRange(this.#field.value.length, this.#field.value.length);
  }

  save(parameters) {
    parameters.set("words", this.#field.value);
  }

  /** Predicts after the text before the cursor. Only the latest of several calls is sent. */
  refresh() {
    this.#list.setAttribute("aria-busy", "true");
    return this.#latest.run(() => this.#predict());
  }

  #setText(text) {
    this.#field.value = text;
    this.#field.setSelectionRange(text.length, text.length);
    this.#field.focus();
    this.#field.dispatchEvent(new Event("input"));
  }

  #handleCursor() {
    if (this.#section.hidden) return;
    if (this.#field.value.slice(0, this.#field.selectionEnd) !== this.#before) this.refresh();
  }

  async #predict() {
    const before = this.#field.value.slice(0, this.#field.selectionEnd);
    this.#before = before;
    this.#examples.hidden = this.#field.value !== "";
    try {
      this.#show(await this.#predictor.predict(before));
      showError(this.#alert, null);
      this.#list.dataset.characters = before.length; // of the text that the list continues
    } catch (error) {
      this.#predictor = new Predictor(); // the server may have another key or model
      forgetModelInfo();
      showError(this.#alert, error);
      this.#surfaces = [];
      this.#list.replaceChildren();
      this.#note.textContent = "";
    }
    if (!this.#latest.superseded) this.#list.setAttribute("aria-busy", "false");
  }

  #show(prediction) {
    const listed = prediction.tokens.filter(isText).slice(0, PREDICTIONS);
    this.#prefix = prediction.prefix;
    this.#surfaces = listed.map((token) => token.surface);
    this.#marked = 0;
    const rows = this.#list.children;
    while (rows.length > listed.length) this.#list.lastChild.remove();
    while (rows.length < listed.length) this.#list.append(createRow());
    const highest = listed[0]?.probability ?? 1;
    listed.forEach((token, index) => {
      const [bar, word, value] = rows[index].firstChild.children;
      bar.style.width = `${(token.probability / highest) * 100}%`;
      word.textContent = formatSurface(token.surface);
      value.textContent = formatPercent(token.probability);
    });
    this.#mark(0);
    this.#note.textContent = describe(prediction, listed);
  }

  #mark(index) {
    const rows = this.#list.children;
    rows[this.#marked]?.removeAttribute("aria-current");
    this.#marked = index;
    rows[index]?.setAttribute("aria-current", "true");
  }

  #handleKey(event) {
    if (event.key === "Escape") {
      this.#tabLeaves = true;
      this.#announcer.textContent = "Tab now leaves the field.";
      return;
    }
    const hasModifier = event.shiftKey || event.ctrlKey || event.altKey || event.metaKey;
    if (hasModifier || event.isComposing || this.#surfaces.length === 0) return;
    if (event.key === "Tab" && !this.#tabLeaves) {
      event.preventDefault();
      this.#accept(this.#marked);
      return;
    }
    const direction = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const isAtEnd = this.#field.selectionStart === this.#field.value.length;
    if (direction === undefined || !isAtEnd) return;
    event.preventDefault();
    this.#mark((this.#marked + direction + this.#surfaces.length) % this.#surfaces.length);
    this.#announcer.textContent = formatSurface(this.#surfaces[this.#marked]);
  }

  /** Replaces the half-typed word by a prediction. */
  #accept(index) {
    const word = this.#surfaces[index];
    // An outdated list would replace the wrong letters.
    if (word === undefined || this.#list.getAttribute("aria-busy") === "true") return;
    const end = this.#field.selectionEnd;
    const before = this.#field.value.slice(0, end);
    const { from, inserted } = this.#predictor.accept(before, this.#prefix, word);
    this.#field.setRangeText(inserted, from, end, "end");
    this.#field.focus();
    this.#field.dispatchEvent(new Event("input"));
  }
}

function createRow() {
  const row = createElement("li");
  const button = createElement("button", "prediction");
  button.type = "button";
  button.append(createElement("span", "bar-fill"), createElement("bdi", "word"), createElement("span", "value"));
  row.append(button);
  return row;
}

/** The note below the list. */
function describe({ prefix, prefixProbability, unknownWord }, listed) {
  if (unknownWord !== undefined) {
    return `No word in the vocabulary starts with “${unknownWord}”. These words may follow it.`;
  }
  if (prefixProbability !== undefined) {
    return `Words that start with “${prefix}”: ${formatPercent(prefixProbability)} of the probability`;
  }
  const rest = 1 - listed.reduce((sum, token) => sum + token.probability, 0);
  return rest < MIN_SHOWN_PROBABILITY ? "" : `All others: ${formatPercent(rest)}`;
}
