// A text of any length scored in chunks that go on from each other through state handles.
//
// Chunks end before white space or after a line's end, where every tokenizer cuts too, and are
// found from the front: what stands before an edit is cut as before, and is not asked again.

import { post } from "./api.js";
import { UNITS } from "./figures.js";
import { forget, model } from "./model.js";

const CHUNK_CHARACTERS = 3000;
const ALTERNATIVES = 5;
export const END = "<eos>";
// Before a whole run of white space, which belongs to the word that follows.
const SPACE = String.raw`\S(?=[ \t]+\S)`;
// After the end of a sentence where none follows, as in Chinese: letters begin a token of their own.
const SENTENCE = String.raw`[。！？；…」』”](?=\p{L})`;

/** Texts that together are `text`; all but the last go on in the next. */
export function chunks(text, kind = "words") {
  const gap = new RegExp(kind === "whitespace" ? SPACE : `${SPACE}|${SENTENCE}`, "gu");
  const found = [];
  let begin = 0;
  while (text.length - begin > CHUNK_CHARACTERS) {
    const end = cut(text, begin, gap);
    if (end === text.length) break;
    found.push(text.slice(begin, end));
    begin = end;
  }
  found.push(text.slice(begin));
  return found;
}

function cut(text, begin, gap) {
  const aim = begin + CHUNK_CHARACTERS;
  const lineEnd = text.indexOf("\n", aim);
  const limit = aim + CHUNK_CHARACTERS;
  if (lineEnd >= 0 && lineEnd < limit) return lineEnd + 1;
  gap.lastIndex = aim;
  const match = gap.exec(text);
  return match ? match.index + match[0].length : text.length;
}

export class Scorer {
  #unit = null;
  #known = []; // {text, last, answer} of the text scored last

  /**
   * Scores `text` in `unit`; gives the answers of its chunks one by one, each as
   * {text, result, fresh}: `fresh` is false while nothing has changed since the last time.
   * `begin(asked, known)` is called first with how many chunks have to be asked for, and how many
   * before them do not.
   */
  async *score(text, unit, signal, begin) {
    if (unit !== this.#unit) this.#known = [];
    this.#unit = unit;
    const parts = chunks(text, (await model()).tokenizer.kind);
    const unchanged = this.#unchanged(parts);
    begin(parts.length - unchanged, unchanged);
    let state;
    for (const [index, part] of parts.entries()) {
      const last = index === parts.length - 1;
      const same = index < unchanged;
      if (!same) {
        this.#known.length = index;
        const result = await ask(part, unit, state, last, signal);
        result.inWord = index > 0 && /\S$/u.test(parts[index - 1]) && /^\S/u.test(part);
        this.#known.push({ text: part, last, result });
      }
      const { result } = this.#known[index];
      state = result.state;
      yield { text: part, result, fresh: !same };
    }
    this.#known.length = parts.length;
  }

  /** How many of the first parts are as they were scored. */
  #unchanged(parts) {
    const last = parts.length - 1;
    const changed = parts.findIndex((text, index) => {
      const known = this.#known[index];
      return known === undefined || known.text !== text || known.last !== (index === last);
    });
    return changed < 0 ? parts.length : changed;
  }
}

async function ask(text, unit, state, last, signal) {
  const request = { text, unit, details: true, top: ALTERNATIVES, eos: last };
  if (state !== undefined) request.state = state;
  if (!last) request.return_state = true;
  const answer = await post("/score", request, signal);
  if (answer.model !== (await model()).model) forget(); // the server has another one by now
  return { ...answer.results[0], vocabularySize: answer.vocabulary_size };
}

/** Aggregates over all chunks: totals divided by counts, as the API makes them. */
export function total(results, unit, characters) {
  if (results.length === 1) return results[0];
  const sum = (value) => results.reduce((all, result) => all + value(result), 0);
  const tokens = sum((result) => result.token_count);
  const unknown = sum((result) => result.oov_count);
  const words = sum((result) => result.word_count - result.inWord);
  const whole = sum((result) => result.total_cross_entropy);
  const ofUnknown = sum((result) =>
    result.tokens.reduce((all, token) => all + (token.oov ? token.cross_entropy : 0), 0),
  );
  return {
    token_count: tokens,
    oov_count: unknown,
    word_count: words,
    total_cross_entropy: whole,
    mean_cross_entropy: over(whole, tokens),
    perplexity: perplexity(whole, tokens, unit),
    perplexity_excluding_oov: perplexity(whole - ofUnknown, tokens - unknown, unit),
    cross_entropy_per_word: over(whole, words),
    cross_entropy_per_character: over(whole, characters),
  };
}

function over(sum, count) {
  return count ? sum / count : null;
}

function perplexity(sum, count, unit) {
  const value = count ? Math.exp(sum / count / UNITS[unit]) : null;
  return Number.isFinite(value) ? value : null;
}
