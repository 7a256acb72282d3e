// A text of any length scored in chunks that go on from each other through state handles.
//
// Chunks end before white space or after a line's end, where every tokenizer cuts too, and are
// found from the front: what stands before an edit is cut as before, and is not asked again.

import { post } from "./api.js";
import { UNITS } from "./figures.js";
import { Splitter } from "./splitter.js";

const CHUNK_CHARACTERS = 3000;
const ALTERNATIVES = 5;
const END = "<eos>";

/** Texts that together are `text`; all but the last go on in the next. */
export function chunks(text) {
  const found = [];
  let begin = 0;
  while (text.length - begin > CHUNK_CHARACTERS) {
    const end = cut(text, begin);
    if (end === text.length) break;
    found.push(text.slice(begin, end));
    begin = end;
  }
  found.push(text.slice(begin));
  return found;
}

function cut(text, begin) {
  const aim = begin + CHUNK_CHARACTERS;
  const lineEnd = text.indexOf("\n", aim);
  const limit = aim + CHUNK_CHARACTERS;
  if (lineEnd >= 0 && lineEnd < limit) return lineEnd + 1;
  // Before a whole run of white space, which belongs to the word that follows.
  const gap = /\S(?=[ \t]+\S)/g;
  gap.lastIndex = aim;
  const match = gap.exec(text);
  return match ? match.index + 1 : text.length;
}

export class Scorer {
  #unit = null;
  #splitter = null;
  #known = []; // {text, last, answer} of the text scored last

  /**
   * Scores `text` in `unit`; gives the answers of its chunks one by one, each as
   * {text, result, fresh}: `fresh` is false while nothing has changed since the last time.
   */
  async *score(text, unit, signal) {
    if (unit !== this.#unit) this.#known = [];
    this.#unit = unit;
    const parts = chunks(text);
    let same = true;
    let state;
    for (const [index, part] of parts.entries()) {
      const last = index === parts.length - 1;
      const before = this.#known[index];
      same &&= before !== undefined && before.text === part && before.last === last;
      if (!same) {
        this.#known.length = index;
        const result = await ask(part, unit, state, last, signal);
        if (result.words) spell(result, (this.#splitter ??= await Splitter.learn()));
        this.#known.push({ text: part, last, result });
      }
      const { result } = this.#known[index];
      state = result.state;
      yield { text: part, result, fresh: !same };
    }
    this.#known.length = parts.length;
  }
}

async function ask(text, unit, state, last, signal) {
  const request = { text, unit, details: true, top: ALTERNATIVES, eos: last };
  if (state !== undefined) request.state = state;
  if (!last) request.return_state = true;
  const answer = await post("/score", request, signal);
  return { ...answer.results[0], vocabularySize: answer.vocabulary_size };
}

/** Makes alternatives, which stand nowhere in the text, as they would stand there. */
export function spell(result, splitter) {
  for (const token of result.tokens) {
    for (const one of token.top ?? []) one.text = splitter.spelling(one.text);
  }
}

/** Aggregates over all chunks: totals divided by counts, as the API makes them. */
export function total(results, unit, characters) {
  if (results.length === 1) return results[0];
  const sum = (value) => results.reduce((all, result) => all + value(result), 0);
  const tokens = sum((result) => result.token_count);
  const unknown = sum((result) => result.oov_count);
  const words = sum((result) => result.word_count);
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

/**
 * What is coloured as one: the words of a model whose tokens are pieces of words, the tokens of all
 * others. `parts` are its tokens; `start` and `end` count code points of the chunk.
 */
export function items(result) {
  const single = (token) => ({ ...token, parts: [token] });
  if (!result.words?.length) return result.tokens.map(single);
  const words = result.words.map((word) => ({ ...word, parts: [], oov: false }));
  const ends = [];
  let at = 0;
  for (const token of result.tokens) {
    if (token.text === END) {
      ends.push(single(token));
      continue;
    }
    while (at < words.length - 1 && words[at].end <= token.start) at += 1;
    words[at].parts.push(token);
    words[at].oov ||= token.oov;
  }
  return [...words, ...ends].sort((a, b) => a.start - b.start || a.end - b.end);
}
