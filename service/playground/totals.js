// The totals of a text, and a note if its perplexity is misleading.

import { createElement } from "./dom.js";
import { formatNumber } from "./format.js";
import { isUnspaced } from "./items.js";
import { aggregate, END } from "./scorer.js";

const MIN_NOTED_SHARE = 0.1; // of unknown words

export class Totals {
  #list;
  #note;

  constructor(list, note) {
    this.#list = list;
    this.#note = note;
  }

  set busy(isBusy) {
    this.#list.setAttribute("aria-busy", String(isBusy));
  }

  clear() {
    this.#list.replaceChildren();
    this.#note.hidden = true;
  }

  /** Shows the totals of scored chunks. `entries` is the kind of the vocabulary's entries. */
  show(results, text, unit, entries) {
    this.clear();
    if (!results.length) return;
    const totals = aggregate(results, unit, Array.from(text).length);
    const unknown = totals.oov_count;
    this.#add("perplexity", formatNumber(totals.perplexity, 1));
    if (unknown) this.#add("without unknown", formatNumber(totals.perplexity_excluding_oov, 1));
    this.#add(`${unit} total`, formatNumber(totals.total_cross_entropy));
    this.#add(`${unit} per token`, formatNumber(totals.mean_cross_entropy));
    // Without spaces, a value per word would be a value per line.
    if (isUnspaced(text)) this.#add(`${unit} per character`, formatNumber(totals.cross_entropy_per_character));
    else this.#add(`${unit} per word`, formatNumber(totals.cross_entropy_per_word));
    this.#add("tokens", formatNumber(totals.token_count, 0));
    this.#add("unknown", formatNumber(unknown, 0));
    const ends = results.flatMap((result) => result.tokens).filter((token) => token.text === END).length;
    this.#showNote(unknown / (totals.token_count - ends), entries);
  }

  #add(name, value) {
    const row = createElement("div");
    row.append(createElement("dt", "", name), createElement("dd", "", value));
    this.#list.append(row);
  }

  #showNote(share, entries) {
    this.#note.hidden = !(share > MIN_NOTED_SHARE);
    this.#note.textContent =
      `${formatNumber(share * 100, 0)} % of the ${entries} are unknown to this model. The perplexity is too low, ` +
      "because each of them has the probability of all unknown words together. Compare “without unknown”.";
  }
}
