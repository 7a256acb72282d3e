// One text: its box, its totals, its words in colour, its curve and its table.

import { Latest } from "./api.js";
import * as card from "./card.js";
import { addScripts, examples, TEXTS } from "./examples.js";
import { breathe, element, number } from "./figures.js";
import { fileButton } from "./files.js";
import { Flow } from "./flow.js";
import { isUnspaced } from "./items.js";
import { entries, forget } from "./model.js";
import { Plot } from "./plot.js";
import { END, Scorer, total } from "./scoring.js";
import { Table } from "./table.js";

const TYPING_MILLISECONDS = 150;
const SHARE_UNKNOWN = 0.1; // of the words, from which the perplexity flatters

export class Pane {
  #view;
  #article;
  #area;
  #flow;
  #plot;
  #table;
  #totals;
  #progress;
  #unknown;
  #examples;
  #scorer = new Scorer();
  #latest = new Latest();
  #running = null;
  #timer = 0;
  #results = [];
  #entries = "words"; // what the vocabulary holds
  #look = ""; // the colouring and the items that the words were drawn with

  constructor(view, article, name) {
    this.#view = view;
    this.#article = article;
    this.#area = article.querySelector("textarea");
    this.#totals = article.querySelector(".totals");
    this.#progress = article.querySelector(".progress");
    this.#unknown = article.querySelector(".unknown");
    const label = article.querySelector("label");
    label.textContent = name;
    this.#area.id = `text-${name.replace(/\W/g, "").toLowerCase()}`;
    label.htmlFor = this.#area.id;
    const box = article.querySelector(".scored");
    this.#flow = new Flow(box, (index) => this.#plot.mark(index));
    const figure = article.querySelector("figure");
    this.#plot = new Plot(figure, (index) => this.#flow.mark(index), (index) => this.#flow.focus(index));
    this.#table = new Table(article.querySelector("details"), article.querySelector(".csv"));
    this.#examples = examples(TEXTS, (text) => this.#type(text));
    addScripts(this.#examples, (text) => this.#type(text));
    this.#area.after(this.#examples, this.#files());
    this.#area.addEventListener("input", () => this.#typed());
  }

  get value() {
    return this.#area.value;
  }

  set value(text) {
    this.#area.value = text;
  }

  get surprisals() {
    return this.#flow.items.map((item) => item.cross_entropy);
  }

  #files() {
    return fileButton(this.#article, (text) => this.#type(text), (error) => this.#view.show(error));
  }

  #type(text) {
    this.value = text;
    this.#area.focus();
    this.#area.setSelectionRange(0, 0);
    this.#area.dispatchEvent(new Event("input"));
  }

  #typed() {
    this.#totals.setAttribute("aria-busy", "true");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.score(), TYPING_MILLISECONDS);
    this.#view.changed();
  }

  /** Scores the text as it stands; what is still asked about an older one is given up. */
  score() {
    this.#totals.setAttribute("aria-busy", "true");
    this.#running?.abort();
    return this.#latest.run(() => this.#score());
  }

  async #score() {
    const text = this.value;
    const { unit, colouring, by } = this.#view;
    this.#running = new AbortController();
    this.#results = [];
    this.#examples.hidden = text !== "";
    card.hide();
    if (this.#look !== `${colouring} ${by}`) this.#flow.cut(0);
    this.#look = `${colouring} ${by}`;
    try {
      if (text === "") this.#flow.cut(0);
      else await this.#scoreChunks(text);
      this.#view.show(null);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#view.show(error);
      this.#scorer = new Scorer();
      forget();
      this.#flow.cut(0);
      this.#results = [];
    }
    if (this.#latest.overtaken) return;
    this.#progress.hidden = true;
    this.#fillTotals(text, unit);
    this.#view.draw();
    this.#table.show(this.#flow.items, unit, this.#noun);
    this.#totals.setAttribute("aria-busy", "false");
  }

  get #noun() {
    return this.#view.by === "tokens" ? "token" : "word";
  }

  async #scoreChunks(text) {
    let index = 0;
    let done = 0;
    let long = false;
    const begin = (chunks, known) => {
      long = chunks > 1;
      if (!long) return;
      this.#flow.cut(known);
      this.#blank(text.length);
    };
    const { unit } = this.#view;
    this.#entries = await entries();
    for await (const chunk of this.#scorer.score(text, unit, this.#running.signal, begin)) {
      if (this.#latest.overtaken) return;
      if (chunk.fresh || index >= this.#flow.chunkCount) {
        this.#flow.cut(index);
        this.#flow.add(chunk.text, chunk.result, this.#view);
        await breathe();
      }
      this.#results.push(chunk.result);
      index += 1;
      done += chunk.text.length;
      if (long) this.#show(done, text.length);
    }
    this.#flow.cut(index);
  }

  /** Takes away what is said of an older text, while a long one is scored. */
  #blank(characters) {
    this.#totals.replaceChildren();
    this.#unknown.hidden = true;
    this.#plot.hide();
    this.#table.show([], this.#view.unit, this.#noun);
    this.#progress.hidden = false;
    this.#show(0, characters);
  }

  #show(done, characters) {
    const bar = this.#progress.querySelector("progress");
    bar.max = characters;
    bar.value = done;
    const said = `Scored ${number(done, 0)} of ${number(characters, 0)} characters`;
    this.#progress.querySelector("span").textContent = said;
  }

  draw(most) {
    this.#plot.draw(this.#flow.items, most, this.#view.unit, this.#noun);
  }

  #fillTotals(text, unit) {
    this.#totals.replaceChildren();
    this.#unknown.hidden = true;
    if (!this.#results.length) return;
    const sums = total(this.#results, unit, Array.from(text).length);
    const unknown = sums.oov_count;
    this.#total("perplexity", number(sums.perplexity, 1));
    if (unknown) this.#total("without unknown", number(sums.perplexity_excluding_oov, 1));
    this.#total(`${unit} in all`, number(sums.total_cross_entropy));
    this.#total(`${unit} a token`, number(sums.mean_cross_entropy));
    // Where no spaces part words, a figure for each word would be one for each line.
    if (isUnspaced(text)) this.#total(`${unit} a character`, number(sums.cross_entropy_per_character));
    else this.#total(`${unit} a word`, number(sums.cross_entropy_per_word));
    this.#total("tokens", number(sums.token_count, 0));
    this.#total("unknown", number(unknown, 0));
    this.#warn(unknown, sums.token_count);
  }

  /** Says that a perplexity means little where the model does not know the words. */
  #warn(unknown, tokens) {
    const ends = this.#results.flatMap((result) => result.tokens).filter((one) => one.text === END).length;
    const share = unknown / (tokens - ends);
    this.#unknown.hidden = !(share > SHARE_UNKNOWN);
    this.#unknown.textContent =
      `${number(share * 100, 0)} % of the ${this.#entries} are unknown to this model. The perplexity flatters, because ` +
      "each of them is scored as any unknown word, whatever it is. Look at “without unknown” too.";
  }

  #total(name, value) {
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", value));
    this.#totals.append(pair);
  }
}
