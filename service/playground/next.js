// The view that predicts the next word at every keystroke.
//
// The state after the finished words is kept as a handle, so a keystroke sends the half-typed word
// alone and costs the same however long the text is.

import { Latest, post, showError } from "./api.js";
import { BEGINNINGS, examples } from "./examples.js";
import { element, percent, readable } from "./figures.js";
import { fileButton } from "./files.js";
import { continuations, fitting, grows, MOST, question } from "./growth.js";
import { endsUnspaced } from "./items.js";
import { forget, model } from "./model.js";
import { Splitter } from "./splitter.js";

const COUNT = 10;

export class NextWord {
  #section = document.getElementById("next");
  #alert = this.#section.querySelector(".error");
  #area = document.getElementById("next-text");
  #list = document.getElementById("predictions");
  #note = document.getElementById("next-note");
  #spoken = document.getElementById("spoken");
  #latest = new Latest();
  #examples;
  #splitter = null;
  #states = []; // {text, state} after finished words, each text longer than the one before
  #shown = []; // the words in the list
  #prefix = "";
  #marked = 0;
  #before = ""; // the text that was asked about last
  #released = false; // after Escape, Tab moves the focus
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    this.#area.addEventListener("input", () => {
      this.#released = false;
      this.#onChange();
      this.refresh();
    });
    this.#area.addEventListener("selectionchange", () => this.#moved());
    this.#area.addEventListener("keydown", (event) => this.#key(event));
    this.#list.addEventListener("click", (event) => {
      const row = event.target.closest("li");
      if (row) this.#accept([...this.#list.children].indexOf(row));
    });
    this.#examples = examples(BEGINNINGS, (text) => this.#type(text));
    const opened = (text) => this.#type(text.replace(/\s+$/u, ""));
    const file = fileButton(this.#section, opened, (error) => showError(this.#alert, error));
    document.getElementById("next-help").after(this.#examples, file);
  }

  #type(text) {
    this.#area.value = text;
    this.#area.setSelectionRange(text.length, text.length);
    this.#area.focus();
    this.#area.dispatchEvent(new Event("input"));
  }

  read(parameters) {
    this.#area.value = parameters.get("words") ?? "";
    this.#area.setSelectionRange(this.#area.value.length, this.#area.value.length);
  }

  write(parameters) {
    parameters.set("words", this.#area.value);
  }

  /** Asks about the text before the cursor; while one question is out, only the latest waits. */
  refresh() {
    this.#list.setAttribute("aria-busy", "true");
    return this.#latest.run(() => this.#predict());
  }

  #moved() {
    if (this.#section.hidden) return;
    if (this.#area.value.slice(0, this.#area.selectionEnd) !== this.#before) this.refresh();
  }

  async #predict() {
    const before = this.#area.value.slice(0, this.#area.selectionEnd);
    this.#before = before;
    this.#examples.hidden = this.#area.value !== "";
    try {
      this.#splitter ??= Splitter.of(await model());
      this.#show(await this.#answer(before));
      showError(this.#alert, null);
      this.#list.dataset.characters = before.length; // of the text that the list is about
    } catch (error) {
      this.#states = []; // the server may have another key or model by now
      this.#splitter = null;
      forget();
      showError(this.#alert, error);
      this.#shown = [];
      this.#list.replaceChildren();
      this.#note.textContent = "";
    }
    if (!this.#latest.overtaken) this.#list.setAttribute("aria-busy", "false");
  }

  /** {tokens, prefix, note}: a prediction takes the place of `prefix`. */
  async #answer(before) {
    const { finished, head, prefix } = this.#splitter.split(before);
    const pieces = this.#splitter.ofPieces;
    if (pieces && prefix !== "" && endsUnspaced(prefix)) return this.#goOn(finished, prefix);
    const asked = await this.#ask(finished, head, prefix, pieces ? MOST : COUNT);
    const answer = pieces ? fitting(asked, prefix) : asked;
    if (pieces && prefix !== "" && !grows(answer, prefix)) return this.#goOn(finished, prefix);
    if (answer.tokens.length === 0 && prefix !== "") return this.#afterUnknown(finished, head + prefix, prefix);
    return { tokens: answer.tokens, prefix, note: note(answer, prefix) };
  }

  /** What may be added in the middle of a run: the rest of a longer piece, or the next piece. */
  async #goOn(finished, run) {
    const { results } = await post("/score", { text: run, eos: false });
    const asked = question(results[0].tokens, run);
    const grown = asked && (await this.#ask(finished, asked.head, asked.prefix, MOST));
    const next = await this.#ask(finished, run, "", MOST);
    const tokens = continuations(grown, asked?.prefix ?? "", next);
    return { tokens, prefix: "", note: others(tokens) };
  }

  /** What follows a word that is not in the vocabulary, nor the beginning of one that is. */
  async #afterUnknown(finished, head, word) {
    const { tokens } = await this.#ask(finished, head, "", COUNT);
    return { tokens, prefix: "", note: `No word of the vocabulary begins with “${word}”; these may follow it.` };
  }

  async #ask(finished, head, prefix, count) {
    while (this.#states.length && !finished.startsWith(this.#states.at(-1).text)) this.#states.pop();
    let known = this.#states.at(-1);
    const most = (await model()).vocabulary_size;
    const question = { top_k: Math.min(count, most), exclude_special: true };
    if (prefix !== "") question.prefix = prefix;
    if (known?.text !== finished && (head !== "" || prefix !== "")) {
      // A pasted text: the state before its last word, for the keystrokes that follow.
      const answer = await post("/next-token", { ...this.#from(known, finished), top_k: 0, return_state: true });
      known = this.#keep(finished, answer.state);
    }
    const fresh = known?.text !== finished;
    const request = { ...question, ...this.#from(known, finished + head) };
    const answer = await post("/next-token", { ...request, return_state: fresh });
    if (fresh) this.#keep(finished, answer.state);
    return answer;
  }

  /** A request that goes on from a state to a longer text. */
  #from(known, text) {
    if (known === undefined) return { context: text };
    return { state: known.state, context: text.slice(known.text.length) };
  }

  #keep(text, state) {
    const kept = { text, state };
    this.#states.push(kept);
    return kept;
  }

  #show({ tokens, prefix, note }) {
    const shown = tokens.filter(isWhole).slice(0, COUNT);
    this.#prefix = prefix;
    this.#shown = shown.map((token) => token.surface);
    this.#marked = 0;
    const rows = this.#list.children;
    while (rows.length > shown.length) this.#list.lastChild.remove();
    while (rows.length < shown.length) this.#list.append(newRow());
    const most = shown[0]?.probability ?? 1;
    shown.forEach((token, index) => {
      const [bar, word, value] = rows[index].firstChild.children;
      bar.style.width = `${(token.probability / most) * 100}%`;
      word.textContent = readable(token.surface);
      value.textContent = percent(token.probability);
    });
    this.#mark(0);
    this.#note.textContent = note;
  }

  #mark(index) {
    const rows = this.#list.children;
    rows[this.#marked]?.removeAttribute("aria-current");
    this.#marked = index;
    rows[index]?.setAttribute("aria-current", "true");
  }

  #key(event) {
    if (event.key === "Escape") {
      this.#released = true;
      this.#spoken.textContent = "Tab moves on now.";
      return;
    }
    const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
    if (!plain || event.isComposing || this.#shown.length === 0) return;
    if (event.key === "Tab" && !this.#released) {
      event.preventDefault();
      this.#accept(this.#marked);
      return;
    }
    const direction = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const atEnd = this.#area.selectionStart === this.#area.value.length;
    if (direction === undefined || !atEnd) return;
    event.preventDefault();
    this.#mark((this.#marked + direction + this.#shown.length) % this.#shown.length);
    this.#spoken.textContent = readable(this.#shown[this.#marked]);
  }

  /** Puts a prediction in the place of the half-typed word. */
  #accept(index) {
    const word = this.#shown[index];
    // A list that is older than the text would replace the wrong letters.
    if (word === undefined || this.#list.getAttribute("aria-busy") === "true") return;
    const end = this.#area.selectionEnd;
    const before = this.#area.value.slice(0, end);
    const { from, inserted } = this.#splitter.accept(before, this.#prefix, word);
    this.#area.setRangeText(inserted, from, end, "end");
    this.#area.focus();
    this.#area.dispatchEvent(new Event("input"));
  }
}

function newRow() {
  const row = element("li");
  const button = element("button", "prediction");
  button.type = "button";
  button.append(element("span", "bar-fill"), element("bdi", "word"), element("span", "value"));
  row.append(button);
  return row;
}

/** Whether a token is something to read: a piece may end in the middle of a character. */
function isWhole(token) {
  return !token.surface.startsWith("bytes:\\x");
}

function note(answer, prefix) {
  if (answer.prefix_probability === undefined) return others(answer.tokens);
  return `Words that begin with “${prefix}”: ${percent(answer.prefix_probability)} of all probability`;
}

function others(tokens) {
  const shown = tokens.filter(isWhole).slice(0, COUNT);
  const left = 1 - shown.reduce((sum, token) => sum + token.probability, 0);
  return left < 0.0005 ? "" : `All others: ${percent(left)}`;
}
