// Scores a text of any length in chunks that continue from each other's states.
//
// Chunks end before white space or after a line end, where every tokenizer splits. They are found
// from the start, so that an edit leaves the chunks before it unchanged, and only later ones are
// scored again.

import { post } from "./api.js";
import { UNITS } from "./format.js";
import { forgetModelInfo, modelInfo } from "./model_info.js";

const CHUNK_CHARACTERS = 3000;
const ALTERNATIVES = 5;
export const END = "<eos>";
// Before white space, which belongs to the next word.
const WORD_END = String.raw`\S(?=[ \t]+\S)`;
// After a sentence in a script without spaces: tokenizers split between its mark and a letter.
const SENTENCE_END = String.raw`[。！？；…」』”](?=\p{L})`;

/** Splits `text` into chunks that together are `text`. */
export function toChunks(text, kind = "words") {
  const boundary = new RegExp(kind === "whitespace" ? WORD_END : `${WORD_END}|${SENTENCE_END}`, "gu");
  const chunks = [];
  let start = 0;
  while (text.length - start > CHUNK_CHARACTERS) {
    const end = chunkEnd(text, start, boundary);
    if (end === text.length) break;
    chunks.push(text.slice(start, end));
    start = end;
  }
  chunks.push(text.slice(start));
  return chunks;
}

function chunkEnd(text, start, boundary) {
  const earliest = start + CHUNK_CHARACTERS;
  const lineEnd = text.indexOf("\n", earliest);
  if (lineEnd >= 0 && lineEnd < earliest + CHUNK_CHARACTERS) return lineEnd + 1;
  boundary.lastIndex = earliest;
  const match = boundary.exec(text);
  return match ? match.index + match[0].length : text.length;
}

export class Scorer {
  #unit = null;
  #scored = []; // {text, isLast, result} for each chunk of the last text

  /**
   * Scores `text` and yields {text, result, isNew} for each chunk. `isNew` is false for the chunks
   * that have not changed since the last call. First calls `onStart(requests, unchanged)` with the
   * number of chunks to score, and of unchanged chunks before them.
   */
  async *score(text, unit, signal, onStart) {
    if (unit !== this.#unit) this.#scored = [];
    this.#unit = unit;
    const chunks = toChunks(text, (await modelInfo()).tokenizer.kind);
    const unchanged = this.#countUnchanged(chunks);
    onStart(chunks.length - unchanged, unchanged);
    let state;
    for (const [index, chunk] of chunks.entries()) {
      const isLast = index === chunks.length - 1;
      const isNew = index >= unchanged;
      if (isNew) {
        this.#scored.length = index;
        const result = await requestScore(chunk, unit, state, isLast, signal);
        result.startsInWord = index > 0 && /\S$/u.test(chunks[index - 1]) && /^\S/u.test(chunk);
        this.#scored.push({ text: chunk, isLast, result });
      }
      const { result } = this.#scored[index];
      state = result.state;
      yield { text: chunk, result, isNew };
    }
    this.#scored.length = chunks.length;
  }

  #countUnchanged(chunks) {
    const lastIndex = chunks.length - 1;
    const firstChanged = chunks.findIndex((text, index) => {
      const scored = this.#scored[index];
      return scored === undefined || scored.text !== text || scored.isLast !== (index === lastIndex);
    });
    return firstChanged < 0 ? chunks.length : firstChanged;
  }
}

async function requestScore(text, unit, state, isLast, signal) {
  const request = { text, unit, details: true, top: ALTERNATIVES, eos: isLast };
  if (state !== undefined) request.state = state;
  if (!isLast) request.return_state = true;
  const response = await post("/score", request, signal);
  if (response.model !== (await modelInfo()).model) forgetModelInfo(); // the server reloaded
  return { ...response.results[0], vocabularySize: response.vocabulary_size };
}

/** The aggregates of all chunks: totals divided by counts, as the API computes them. */
export function aggregate(results, unit, characters) {
  if (results.length === 1) return results[0];
  const sum = (value) => results.reduce((total, result) => total + value(result), 0);
  const tokens = sum((result) => result.token_count);
  const unknown = sum((result) => result.oov_count);
  const words = sum((result) => result.word_count - result.startsInWord);
  const crossEntropy = sum((result) => result.total_cross_entropy);
  const unknownCrossEntropy = sum((result) =>
    result.tokens.reduce((total, token) => total + (token.oov ? token.cross_entropy : 0), 0),
  );
  return {
    token_count: tokens,
    oov_count: unknown,
    word_count: words,
    total_cross_entropy: crossEntropy,
    mean_cross_entropy: divide(crossEntropy, tokens),
    perplexity: perplexity(crossEntropy, tokens, unit),
    perplexity_excluding_oov: perplexity(crossEntropy - unknownCrossEntropy, tokens - unknown, unit),
    cross_entropy_per_word: divide(crossEntropy, words),
    cross_entropy_per_character: divide(crossEntropy, characters),
  };
}

function divide(sum, count) {
  return count ? sum / count : null;
}

function perplexity(crossEntropy, count, unit) {
  const value = count ? Math.exp(crossEntropy / count / UNITS[unit]) : null;
  return Number.isFinite(value) ? value : null;
}
