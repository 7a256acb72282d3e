// What the server serves: names, sizes, and how the model cuts a text. It is asked once.

import { get } from "./api.js";

let asked = null;

/** The answer of `/info`. */
export function model() {
  asked ??= get("/info").catch((error) => {
    asked = null;
    throw error;
  });
  return asked;
}

/** Asks again next time, because the server may have another model by now. */
export function forget() {
  asked = null;
}

/** Whether a word is several tokens of this model. */
export async function isSubword() {
  return (await model()).tokenizer.subword;
}

const ENTRIES = { words: "words", whitespace: "words", char: "characters", bpe: "pieces", unigram: "pieces" };

/** What the model's vocabulary holds: "words", "characters" or "pieces". */
export async function entries() {
  return ENTRIES[(await model()).tokenizer.kind];
}

/** One line about a model: "starter · 14,000 words · 9.5 million parameters · int8". */
export function describe(info, number) {
  const entries = `${number(info.vocabulary_size, 0)} ${ENTRIES[info.tokenizer.kind]}`;
  const small = info.parameters < 1e5;
  const size = small ? number(info.parameters, 0) : `${number(info.parameters / 1e6, 1)} million`;
  const parameters = `${size} parameters`;
  return [info.model, entries, parameters, info.precision].join(" · ");
}
