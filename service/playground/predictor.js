// Predictions for a text that is being typed.
//
// The state after the finished words is kept as a handle. A keystroke therefore sends only the
// half-typed word, and its cost does not depend on the length of the text.

import { post } from "./api.js";
import { continuations, MAX_SUBWORDS, mayGrow, removeSpaced, splitLastToken } from "./continuations.js";
import { endsUnspaced } from "./items.js";
import { modelInfo } from "./model_info.js";
import { Splitter } from "./splitter.js";

export const PREDICTIONS = 10;

export class Predictor {
  #splitter = null;
  #states = []; // {text, state} after finished words, each text longer than the previous one

  /**
   * Returns {tokens, prefix, prefixProbability, unknownWord} for the text before the cursor.
   *
   * A prediction replaces `prefix`. `prefixProbability` is the mass of all words that start with it,
   * if the server computed it. `unknownWord` is the typed word, if no word starts with it.
   */
  async predict(before) {
    this.#splitter ??= Splitter.of(await modelInfo());
    const { finished, head, prefix } = this.#splitter.split(before);
    const isSubword = this.#splitter.isSubword;
    if (isSubword && prefix !== "" && endsUnspaced(prefix)) return this.#continue(finished, prefix);
    const unfiltered = await this.#request(finished, head, prefix, isSubword ? MAX_SUBWORDS : PREDICTIONS);
    const response = isSubword ? removeSpaced(unfiltered, prefix) : unfiltered;
    if (isSubword && prefix !== "" && !mayGrow(response, prefix)) return this.#continue(finished, prefix);
    if (response.tokens.length === 0 && prefix !== "") {
      const { tokens } = await this.#request(finished, head + prefix, "", PREDICTIONS);
      return { tokens, prefix: "", unknownWord: prefix };
    }
    return { tokens: response.tokens, prefix, prefixProbability: response.prefix_probability };
  }

  /** Returns how a prediction changes the text: {from, inserted}. */
  accept(before, prefix, word) {
    return this.#splitter.accept(before, prefix, word);
  }

  /** Predicts inside a pre-token: the rest of a longer subword, or the next subword. */
  async #continue(finished, pretoken) {
    const { results } = await post("/score", { text: pretoken, eos: false });
    const last = splitLastToken(results[0].tokens, pretoken);
    const grown = last && (await this.#request(finished, last.head, last.prefix, MAX_SUBWORDS));
    const next = await this.#request(finished, pretoken, "", MAX_SUBWORDS);
    return { tokens: continuations(grown, last?.prefix ?? "", next), prefix: "" };
  }

  async #request(finished, head, prefix, count) {
    while (this.#states.length && !finished.startsWith(this.#states.at(-1).text)) this.#states.pop();
    let saved = this.#states.at(-1);
    const size = (await modelInfo()).vocabulary_size;
    const fields = { top_k: Math.min(count, size), exclude_special: true };
    if (prefix !== "") fields.prefix = prefix;
    if (saved?.text !== finished && (head !== "" || prefix !== "")) {
      // After a paste: save the state before the last word, for the next keystrokes.
      const context = continueFrom(saved, finished);
      const response = await post("/next-token", { ...context, top_k: 0, return_state: true });
      saved = this.#save(finished, response.state);
    }
    const isNew = saved?.text !== finished;
    const request = { ...fields, ...continueFrom(saved, finished + head), return_state: isNew };
    const response = await post("/next-token", request);
    if (isNew) this.#save(finished, response.state);
    return response;
  }

  #save(text, state) {
    const saved = { text, state };
    this.#states.push(saved);
    return saved;
  }
}

/** The fields of a request for `text` that continues from a saved state, if there is one. */
function continueFrom(saved, text) {
  if (saved === undefined) return { context: text };
  return { state: saved.state, context: text.slice(saved.text.length) };
}
