// The view that predicts the next word at every keystroke.
//
// The state after the finished words is kept as a handle, so a keystroke sends the half-typed word
// alone and costs the same however long the text is.

import { Latest, post, showError } from "./api.js";
import { element, percent } from "./figures.js";
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
    try {
      this.#splitter ??= await Splitter.learn();
      const { finished, head, prefix } = this.#splitter.split(before);
      const answer = await this.#ask(finished, head, prefix);
      showError(this.#alert, null);
      this.#show(answer, prefix);
      this.#list.dataset.characters = before.length; // of the text that the list is about
    } catch (error) {
      this.#states = []; // the server may have another key or model by now
      this.#splitter = null;
      showError(this.#alert, error);
      this.#shown = [];
      this.#list.replaceChildren();
    }
    if (!this.#latest.overtaken) this.#list.setAttribute("aria-busy", "false");
  }

  async #ask(finished, head, prefix) {
    while (this.#states.length && !finished.startsWith(this.#states.at(-1).text)) this.#states.pop();
    let known = this.#states.at(-1);
    const question = { top_k: COUNT, exclude_special: true };
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

  #show(answer, prefix) {
    this.#prefix = prefix;
    this.#shown = answer.tokens.map((token) => this.#splitter.spelling(token.text));
    this.#marked = 0;
    const rows = this.#list.children;
    while (rows.length > answer.tokens.length) this.#list.lastChild.remove();
    while (rows.length < answer.tokens.length) this.#list.append(newRow());
    const most = answer.tokens[0]?.probability ?? 1;
    answer.tokens.forEach((token, index) => {
      const [bar, word, value] = rows[index].firstChild.children;
      bar.style.width = `${(token.probability / most) * 100}%`;
      word.textContent = this.#shown[index];
      value.textContent = percent(token.probability);
    });
    this.#mark(0);
    this.#note.textContent = note(answer, prefix);
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
    this.#spoken.textContent = this.#shown[this.#marked];
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

function note(answer, prefix) {
  if (answer.prefix_probability === undefined) {
    return answer.remaining_probability < 0.0005 ? "" : `All other words: ${percent(answer.remaining_probability)}`;
  }
  if (answer.tokens.length === 0) return `No word of the vocabulary begins with “${prefix}”.`;
  return `Words that begin with “${prefix}”: ${percent(answer.prefix_probability)} of all probability`;
}
