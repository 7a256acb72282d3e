// One text with its field, totals, coloured items, curve and table.

import { LatestTask } from "./api.js";
import * as card from "./card.js";
import { ColouredText } from "./coloured_text.js";
import { Curve } from "./curve.js";
import { yieldToBrowser } from "./dom.js";
import { addOtherScripts, exampleRow, TEXTS } from "./examples.js";
import { formatNumber } from "./format.js";
import { forgetModelInfo, vocabularyEntries } from "./model_info.js";
import { Scorer } from "./scorer.js";
import { Table } from "./table.js";
import { fileButton } from "./text_files.js";
import { Totals } from "./totals.js";

const TYPING_MILLISECONDS = 150;

export class TextPane {
  #view;
  #field;
  #coloured;
  #curve;
  #table;
  #totals;
  #progress;
  #examples;
  #scorer = new Scorer();
  #latest = new LatestTask();
  #abort = null;
  #typingTimer = 0;
  #results = [];
  #entries = "words"; // of the vocabulary
  #drawnWith = ""; // the colouring and kind of items that the text was drawn with

  constructor(view, article, name) {
    this.#view = view;
    this.#field = article.querySelector("textarea");
    this.#totals = new Totals(article.querySelector(".totals"), article.querySelector(".unknown"));
    this.#progress = article.querySelector(".progress");
    const label = article.querySelector("label");
    label.textContent = name;
    this.#field.id = `text-${name.replace(/\W/g, "").toLowerCase()}`;
    label.htmlFor = this.#field.id;
    this.#coloured = new ColouredText(article.querySelector(".scored"), (index) => this.#curve.mark(index));
    this.#curve = new Curve(
      article.querySelector("figure"),
      (index) => this.#coloured.highlight(index),
      (index) => this.#coloured.focus(index),
    );
    this.#table = new Table(article.querySelector("details"), article.querySelector(".csv"));
    const setText = (text) => this.#setText(text);
    this.#examples = exampleRow(TEXTS, setText);
    addOtherScripts(this.#examples, setText);
    this.#field.after(this.#examples, fileButton(article, setText, (error) => view.showError(error)));
    this.#field.addEventListener("input", () => this.#handleInput());
  }

  get value() {
    return this.#field.value;
  }

  set value(text) {
    this.#field.value = text;
  }

  get surprisals() {
    return this.#coloured.items.map((item) => item.cross_entropy);
  }

  #setText(text) {
    this.value = text;
    this.#field.focus();
    this.#field.setSelectionRange(0, 0);
    this.#field.dispatchEvent(new Event("input"));
  }

  #handleInput() {
    this.#totals.busy = true;
    clearTimeout(this.#typingTimer);
    this.#typingTimer = setTimeout(() => this.score(), TYPING_MILLISECONDS);
    this.#view.onChange();
  }

  /** Scores the current text and aborts the requests for an older one. */
  score() {
    this.#totals.busy = true;
    this.#abort?.abort();
    return this.#latest.run(() => this.#score());
  }

  async #score() {
    const text = this.value;
    const { unit, colouring, by } = this.#view;
    this.#abort = new AbortController();
    this.#results = [];
    this.#examples.hidden = text !== "";
    card.hide();
    if (this.#drawnWith !== `${colouring} ${by}`) this.#coloured.truncate(0);
    this.#drawnWith = `${colouring} ${by}`;
    try {
      if (text === "") this.#coloured.truncate(0);
      else await this.#scoreChunks(text);
      this.#view.showError(null);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#view.showError(error);
      this.#scorer = new Scorer();
      forgetModelInfo();
      this.#coloured.truncate(0);
      this.#results = [];
    }
    if (this.#latest.superseded) return;
    this.#progress.hidden = true;
    this.#totals.show(this.#results, text, unit, this.#entries);
    this.#view.drawCurves();
    this.#table.show(this.#coloured.items, unit, this.#noun);
    this.#totals.busy = false;
  }

  get #noun() {
    return this.#view.by === "tokens" ? "token" : "word";
  }

  async #scoreChunks(text) {
    let index = 0;
    let characters = 0;
    let isLong = false;
    const onStart = (requests, unchanged) => {
      isLong = requests > 1;
      if (!isLong) return;
      this.#coloured.truncate(unchanged);
      this.#clearResults(text.length);
    };
    const { unit } = this.#view;
    this.#entries = await vocabularyEntries();
    for await (const chunk of this.#scorer.score(text, unit, this.#abort.signal, onStart)) {
      if (this.#latest.superseded) return;
      if (chunk.isNew || index >= this.#coloured.chunkCount) {
        this.#coloured.truncate(index);
        this.#coloured.add(chunk.text, chunk.result, this.#view);
        await yieldToBrowser();
      }
      this.#results.push(chunk.result);
      index += 1;
      characters += chunk.text.length;
      if (isLong) this.#showProgress(characters, text.length);
    }
    this.#coloured.truncate(index);
  }

  /** Hides the results of the previous text while a long one is scored. */
  #clearResults(characters) {
    this.#totals.clear();
    this.#curve.hide();
    this.#table.show([], this.#view.unit, this.#noun);
    this.#progress.hidden = false;
    this.#showProgress(0, characters);
  }

  #showProgress(scored, characters) {
    const bar = this.#progress.querySelector("progress");
    bar.max = characters;
    bar.value = scored;
    const label = `Scored ${formatNumber(scored, 0)} of ${formatNumber(characters, 0)} characters`;
    this.#progress.querySelector("span").textContent = label;
  }

  /** Draws the curve on an axis from 0 to `max`. */
  drawCurve(max) {
    this.#curve.draw(this.#coloured.items, max, this.#view.unit, this.#noun);
  }
}
