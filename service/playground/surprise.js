// The view that colours every word of a text, or of two, by its surprisal.

import { Latest, showError } from "./api.js";
import * as card from "./card.js";
import { breathe, element, number, percent, step, stepStart, STEPS } from "./figures.js";
import { Flow } from "./flow.js";
import { Plot } from "./plot.js";
import { Scorer, total } from "./scoring.js";

const TYPING_MILLISECONDS = 150;
const TABLE_ROWS = 200;

class Pane {
  text;
  #view;
  #area;
  #flow;
  #plot;
  #totals;
  #table;
  #scorer = new Scorer();
  #latest = new Latest();
  #running = null;
  #timer = 0;
  #results = [];

  constructor(view, article, name) {
    this.#view = view;
    this.#area = article.querySelector("textarea");
    this.#totals = article.querySelector(".totals");
    this.#table = article.querySelector("details");
    const label = article.querySelector("label");
    label.textContent = name;
    this.#area.id = `text-${name.replace(/\W/g, "").toLowerCase()}`;
    label.htmlFor = this.#area.id;
    this.#plot = new Plot(article.querySelector("figure"), (index) => this.#flow.focus(index));
    this.#flow = new Flow(article.querySelector(".scored"), (index) => this.#plot.mark(index));
    this.#area.addEventListener("input", () => this.#typed());
    this.#table.addEventListener("toggle", () => this.#fillTable());
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
    const unit = this.#view.unit;
    this.#running = new AbortController();
    this.#results = [];
    card.hide();
    try {
      if (text === "") this.#flow.cut(0);
      else await this.#scoreChunks(text, unit);
      this.#view.show(null);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#view.show(error);
      this.#scorer = new Scorer();
      this.#flow.cut(0);
      this.#results = [];
    }
    if (this.#latest.overtaken) return;
    this.#fillTotals(text, unit);
    this.#view.draw();
    this.#fillTable();
    this.#totals.setAttribute("aria-busy", "false");
  }

  async #scoreChunks(text, unit) {
    let index = 0;
    for await (const chunk of this.#scorer.score(text, unit, this.#running.signal)) {
      if (this.#latest.overtaken) return;
      if (chunk.fresh || index >= this.#flow.chunkCount) {
        this.#flow.cut(index);
        this.#flow.add(chunk.text, chunk.result, unit);
        await breathe();
      }
      this.#results.push(chunk.result);
      index += 1;
    }
    this.#flow.cut(index);
  }

  draw(most) {
    this.#plot.draw(this.surprisals, most, this.#view.unit);
  }

  #fillTotals(text, unit) {
    this.#totals.replaceChildren();
    if (!this.#results.length) return;
    const sums = total(this.#results, unit, Array.from(text).length);
    const unknown = sums.oov_count;
    this.#total("perplexity", number(sums.perplexity, 1));
    if (unknown) this.#total("without unknown", number(sums.perplexity_excluding_oov, 1));
    this.#total(`${unit} in all`, number(sums.total_cross_entropy));
    this.#total(`${unit} a token`, number(sums.mean_cross_entropy));
    this.#total(`${unit} a word`, number(sums.cross_entropy_per_word));
    this.#total("tokens", number(sums.token_count, 0));
    this.#total("unknown", number(unknown, 0));
  }

  #total(name, value) {
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", value));
    this.#totals.append(pair);
  }

  #fillTable() {
    const box = this.#table.querySelector(".scroll");
    box.replaceChildren();
    this.#table.hidden = this.#flow.items.length === 0;
    if (!this.#table.open || this.#table.hidden) return;
    const table = element("table");
    const head = table.createTHead().insertRow();
    for (const name of ["word", this.#view.unit, "probability", "rank", "entropy"]) {
      const cell = element("th", "", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    box.append(table);
    this.#moreRows(box, body, 0);
  }

  #moreRows(box, body, from) {
    const items = this.#flow.items.slice(from, from + TABLE_ROWS);
    for (const item of items) {
      const [part] = item.parts;
      const row = body.insertRow();
      const word = element("th");
      word.scope = "row";
      word.append(element("bdi", "", card.label(item)));
      row.append(word);
      const single = item.parts.length === 1;
      const cells = [number(item.cross_entropy), percent(card.probability(item))];
      cells.push(single ? number(part.rank, 0) : "–", single ? number(part.entropy) : "–");
      cells.forEach((text) => row.append(element("td", "", text)));
    }
    const left = this.#flow.items.length - from - items.length;
    if (left === 0) return;
    const more = element("button", "", `${Math.min(left, TABLE_ROWS)} more`);
    more.type = "button";
    more.addEventListener("click", () => {
      more.remove();
      this.#moreRows(box, body, from + items.length);
    });
    box.append(more);
  }
}

export class Surprise {
  #section = document.getElementById("surprise");
  #alert = this.#section.querySelector(".error");
  #units = document.getElementById("unit");
  #compare = document.getElementById("compare");
  #panes = [];
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    this.#addPane("Text");
    this.#units.addEventListener("change", () => {
      this.#drawLegend();
      this.changed();
      this.refresh();
    });
    this.#compare.addEventListener("click", () => {
      this.comparing = !this.comparing;
      this.changed();
      this.refresh();
    });
    this.#drawLegend();
  }

  get unit() {
    return this.#units.value;
  }

  get comparing() {
    return this.#panes.length > 1;
  }

  set comparing(wanted) {
    if (wanted === this.comparing) return;
    this.#compare.setAttribute("aria-pressed", String(wanted));
    if (wanted) this.#addPane("Second text");
    else {
      document.getElementById("texts").lastElementChild.remove();
      this.#panes.pop();
    }
    document.getElementById("texts").classList.toggle("two", wanted);
  }

  read(parameters) {
    const unit = parameters.get("unit");
    if ([...this.#units.options].some((option) => option.value === unit)) this.#units.value = unit;
    this.#drawLegend();
    this.comparing = parameters.has("text2");
    this.#panes[0].value = parameters.get("text") ?? "";
    if (this.comparing) this.#panes[1].value = parameters.get("text2");
  }

  write(parameters) {
    parameters.set("unit", this.unit);
    parameters.set("text", this.#panes[0].value);
    if (this.comparing) parameters.set("text2", this.#panes[1].value);
  }

  refresh() {
    this.#panes.forEach((pane) => pane.score());
  }

  changed() {
    this.#onChange();
  }

  show(error) {
    showError(this.#alert, error);
  }

  /** Both lines on one axis. */
  draw() {
    const all = this.#panes.map((pane) => pane.surprisals);
    const most = all.flat().reduce((high, value) => Math.max(high, value ?? 0), stepStart(4, this.unit));
    this.#panes.forEach((pane) => pane.draw(most));
  }

  #addPane(name) {
    const template = document.getElementById("text-template").content;
    const article = template.firstElementChild.cloneNode(true);
    document.getElementById("texts").append(article);
    this.#panes.push(new Pane(this, article, name));
  }

  #drawLegend() {
    const legend = document.getElementById("legend");
    legend.replaceChildren(element("span", "legend-end", "expected"));
    for (let index = 0; index < STEPS; index += 1) {
      const start = stepStart(index, this.unit);
      const last = index === STEPS - 1 ? "+" : "";
      legend.append(element("span", `swatch s${step(start + 1e-9, this.unit)}`, shortly(start) + last));
    }
    legend.append(element("span", "legend-end", `surprising, in ${this.unit}`));
    const end = shortly(stepStart(STEPS - 1, this.unit));
    legend.setAttribute("aria-label", `Colour scale from 0 to ${end} ${this.unit} and more`);
  }
}

function shortly(value) {
  return String(Number(value.toFixed(1)));
}
